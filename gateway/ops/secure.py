"""TLS of the ops listener, which few use and no tick passes: asyncio's."""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.options import TlsOptions

SUITES_12 = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""As of the clients' listener (native/gw_tls_context.c)."""
HANDSHAKE_S: Final = 5.0
"""As for clients' requests."""


def server_context(options: "TlsOptions") -> ssl.SSLContext:
    """Of the files as they are now; tickets of another one are no good here.

    Raises:
        OSError: one of the files is no good; configurations are checked for that before.
    """
    context = _context(options, options.cert, options.key)
    named = {one.name.lower(): _context(options, one.cert, one.key) for one in options.names}

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        asked = (name or "").lower()
        other = named.get(asked) or named.get(f"*.{asked.partition('.')[2]}")
        if other is not None:
            connection.context = other

    context.sni_callback = choose if named else None
    return context


def _context(options: "TlsOptions", cert: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES_12)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    if options.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(options.client_ca)
    context.load_cert_chain(cert, key, password="")  # none is asked for on a terminal
    return context


class Arrived(asyncio.Protocol):
    """A connection of which nothing is read here: `take` is given it."""

    def __init__(self, take: Callable[[asyncio.Transport], None]) -> None:
        self._take = take

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._take(transport)
        transport.abort()


class Handshakes:
    """Those of the ops listener that are under way.

    asyncio's own listener begins each one that comes, and has no bound for them.

    Args:
        protocol: of a connection whose handshake is through.
        failed: told of each that ended before that.
    """

    def __init__(
        self, protocol: Callable[[], asyncio.Protocol], failed: Callable[[], None]
    ) -> None:
        self._protocol = protocol
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        """Has the transport's socket, which the transport may close.

        Raises:
            OSError: the host has no descriptor for it.
        """
        sock = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        task = asyncio.create_task(self._shake(sock, context))
        self._tasks.add(task)

        def over(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                sock.close()

        task.add_done_callback(over)

    async def _shake(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol, sock, ssl=context, ssl_handshake_timeout=HANDSHAKE_S
            )
        except OSError:  # no TLS, no certificate, too slow, gone
            sock.close()
            self._failed()

    async def end(self) -> None:
        """Cuts them all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
