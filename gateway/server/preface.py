"""The first bytes of a connection that comes from a proxy: the header that says whose it is.

With `listen.proxy_protocol` each connection begins with one, and comes from a trusted network; all
others are closed without a word, since what they expect is not known. No byte behind the header is
read here: a TLS hello or a request waits in the kernel for the connection.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from gateway.wire.proxy import FIXED_BYTES, Needed, Proxied, Wrong, parse

if TYPE_CHECKING:
    from gateway.server.readers import Readers

UNIX: Final = ""
"""The address of a client that came to its proxy by a Unix socket: none."""


class Owner(Protocol):
    """What a preface asks of the listener that it is of."""

    @property
    def readers(self) -> "Readers": ...
    def begin(self, sock: socket.socket, peer: str) -> None: ...
    def preface_failed(self, peer: str, result: str, why: str) -> None: ...


class Preface:
    """One connection's, from its accept on; then the socket is the owner's again, or closed.

    Args:
        peer: the proxy.
        timeout_s: for the whole header.
        release: called once, when it is over.

    Raises:
        OSError: the host has no room for it; the socket is closed.
    """

    costly = False
    __slots__ = ("_data", "_needed", "_owner", "_peer", "_release", "_sock", "_timer")

    def __init__(
        self,
        owner: Owner,
        sock: socket.socket,
        peer: str,
        timeout_s: float,
        release: Callable[[], None],
    ) -> None:
        self._owner = owner
        self._sock = sock
        self._peer = peer
        self._release = release
        self._data = b""
        self._needed = FIXED_BYTES
        try:
            owner.readers.add_reader(sock.fileno(), self)
        except OSError:
            sock.close()
            release()
            raise
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self._expire)

    def readable(self) -> None:
        """Some of it came, or the proxy is gone."""
        try:
            data = self._sock.recv(self._needed, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._fail("closed", "")
            return
        self._data += data
        match parse(self._data):
            case Needed(more):
                self._needed = more
            case Wrong(why):
                self._fail("proxy", why)
            case Proxied(address, _, unix):
                self._end()
                try:
                    self._owner.begin(self._sock, UNIX if unix else address or self._peer)
                except OSError:  # the host has no room for it, and it is closed
                    self._owner.preface_failed(self._peer, "closed", "")

    def _expire(self) -> None:
        self._fail("timeout", "the header took too long")

    def _fail(self, result: str, why: str) -> None:
        self._end()
        self._sock.close()
        self._owner.preface_failed(self._peer, result, why)

    def _end(self) -> None:
        self._timer.cancel()
        self._owner.readers.remove_reader(self._sock.fileno())
        self._release()
