"""TLS of the listeners: contexts of their certificates, what is wrong with these, keys of tickets.

The keys of tickets are the supervisor's, the same for all processes: who comes back may meet
another worker. They are in a page of shared memory, so that a worker that was started again has
them as well, and no message or log ever does.
"""

import asyncio
import os
import re
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway._native import TlsContext
    from gateway.options import TlsNameOptions, TlsOptions

# The native core is imported where it is used: configurations are read without it, too.
TLS_NAMES_MAX: Final = 64
TLS_TICKET_KEY_BYTES: Final = 80
TLS_TICKET_KEYS: Final = 2
"""As in native/gw_tls.h."""

TICKETS_BYTES: Final = 4096
"""Of the page of ticket keys."""
ROTATION_S: Final = 12 * 3600
"""Between two keys of tickets; the one before stays good for as long."""

_HOST = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.?)+", re.IGNORECASE)
_HOST_CHARACTERS_MAX = 253
_VERSION = struct.Struct("<Q")

Told = tuple[tuple[str, ...], str]
"""Keys of the configuration, the one to name first, and a message."""


def configured(options: "TlsOptions") -> bool:
    """Whether the listeners have TLS."""
    return bool(options.cert)


def missing() -> str:
    """Why TLS is not to be had here; empty where it is."""
    from gateway._native import tls_missing

    return tls_missing()


def context(options: "TlsOptions", listener: str) -> "TlsContext":
    """What a listener's handshakes need, read from the files as they are now.

    Args:
        options: with a certificate.
        listener: its name: tickets of one are no good at another.

    Raises:
        TlsFileError: a file is no good; the text names it.
    """
    from gateway._native import TlsContext

    made = TlsContext(listener, options.cert, options.key, options.client_ca)
    for one in options.names:
        made.add(one.name, one.cert, one.key)
    return made


def problems(options: "TlsOptions") -> Iterator[Told]:
    """What is wrong with the options, or with the files as they are now."""
    if not options.cert:
        others = [key for key in ("key", "client_ca", "names") if getattr(options, key)]
        for key in others:
            yield (f"tls.{key}", "tls.cert"), "needs tls.cert: without it there is no TLS"
        return
    if why := missing():
        yield ("tls.cert",), f"found a certificate, and TLS is not to be had here: {why}"
        return
    wrong = list(_shapes(options))
    yield from wrong
    if not wrong:
        yield from _files(options)


def _named(options: "TlsOptions") -> list[tuple[int, "TlsNameOptions"]]:
    """Those that have no problems of their own."""
    return [(n, one) for n, one in enumerate(options.names) if one is not None]


def _shapes(options: "TlsOptions") -> Iterator[Told]:
    if not options.key:
        yield ("tls.key", "tls.cert"), "missing; expected the private key's file of tls.cert"
    if len(options.names) > TLS_NAMES_MAX:
        yield ("tls.names",), f"found {len(options.names)}; expected at most {TLS_NAMES_MAX}"
    seen: set[str] = set()
    for n, one in _named(options):
        if len(one.name) > _HOST_CHARACTERS_MAX or not _HOST.fullmatch(one.name):
            expected = "expected a host's name, or *. and the rest of one"
            yield (f"tls.names.{n}.name",), f'found "{one.name}"; {expected}'
        elif one.name.lower() in seen:
            yield (f"tls.names.{n}.name",), f'found "{one.name}" again; expected each name once'
        seen.add(one.name.lower())


def _files(options: "TlsOptions") -> Iterator[Told]:
    from gateway._native import TlsContext, TlsFileError

    try:
        made = TlsContext("check", options.cert, options.key, options.client_ca)
    except TlsFileError as error:
        yield (f"tls.{error.field or 'cert'}",), str(error)
        return
    for n, one in _named(options):
        try:
            made.add(one.name, one.cert, one.key)
        except TlsFileError as error:
            yield (f"tls.names.{n}.{error.field or 'cert'}",), str(error)


# --- keys of tickets ------------------------------------------------------------------------------


class TicketKeys:
    """The supervisor's side of the page."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._version = 0
        self.keys: list[bytes] = []
        self.rotate()

    def rotate(self) -> None:
        """A new key; of those before, one stays."""
        self.keys = [os.urandom(TLS_TICKET_KEY_BYTES), *self.keys][:TLS_TICKET_KEYS]
        self._version += 1
        version = _VERSION.pack(self._version)
        all_keys = b"".join(self.keys)
        os.pwrite(self._fd, version + bytes([len(self.keys)]) + all_keys + version, 0)

    async def keep_rotating(self) -> None:
        """A new one every ROTATION_S, until cancelled."""
        while True:
            await asyncio.sleep(ROTATION_S)
            self.rotate()


def read_tickets(fd: int) -> list[bytes]:
    """The keys in the page, newest first; none while they are being written."""
    page = os.pread(fd, TICKETS_BYTES, 0)
    count = page[_VERSION.size] if len(page) > _VERSION.size else 0
    at = _VERSION.size + 1
    end = at + count * TLS_TICKET_KEY_BYTES
    if not 0 < count <= TLS_TICKET_KEYS or page[end : end + _VERSION.size] != page[: _VERSION.size]:
        return []
    return [page[n : n + TLS_TICKET_KEY_BYTES] for n in range(at, end, TLS_TICKET_KEY_BYTES)]
