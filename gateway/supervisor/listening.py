"""The clients' listening sockets: made once, inherited by workers, and longer-lived than these."""

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.address import listeners, shown, unix_listener
from gateway.errors import ResourceError

if TYPE_CHECKING:
    from gateway.options import ListenOptions


class Listening:
    """A socket per worker, all on one port; and where it is asked for, one of this host.

    Raises:
        ResourceError: an address is not to be had.
    """

    def __init__(self, options: "ListenOptions", workers: int) -> None:
        self._path = options.unix
        try:
            self.sockets = listeners(options.host, options.port, workers)
        except OSError as error:
            where = f"{options.host}:{options.port} (listen.host, listen.port)"
            raise ResourceError(f"cannot listen on {where}: {error.strerror or error}") from None
        try:
            # All workers share it: the kernel has no SO_REUSEPORT for such.
            made = unix_listener(self._path, int(options.unix_mode, 8)) if self._path else None
        except OSError as error:
            self._close_all()
            why = error.strerror or error
            raise ResourceError(f"cannot listen on {self._path} (listen.unix): {why}") from None
        self.unix: socket.socket | None = made

    def close(self) -> None:
        """Accepts no more, as far as this process holds the sockets."""
        self._close_all()
        if self.unix is not None:
            self.unix.close()
            self.unix = None
            with suppress(FileNotFoundError):
                os.unlink(self._path)

    def _close_all(self) -> None:
        for one in self.sockets:
            one.close()

    @property
    def unix_fd(self) -> int:
        """The descriptor of the one of this host; -1: there is none."""
        return -1 if self.unix is None else self.unix.fileno()


def url(scheme: str, listener: socket.socket, path: str) -> str:
    """Where a client of this host connects; all addresses of a host are none to connect to."""
    host, port = shown(listener)
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    return f"{scheme}://{host}:{port}{path}"
