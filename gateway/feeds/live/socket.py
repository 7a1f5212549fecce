"""A WebSocket to a venue: `gateway.wire` over a transport of asyncio, through a proxy where the
environment names one.

What comes in one read is handed on at once, from the transport's callback: no queue, no task and no
other turn of the loop is between a message and the ring.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from websockets.exceptions import WebSocketException
from websockets.proxy import get_proxy, parse_proxy, prepare_connect_request
from websockets.uri import WebSocketURI

from gateway.feeds.live.words import wait_s, words
from gateway.wire.client_handshake import NO_HTTP, Opened, Refused
from gateway.wire.client_side import ClientLimits, ClientSide
from gateway.wire.events import Answer, End

READ_BYTES: Final = 64 << 10
LIMITS: Final = ClientLimits(message_bytes=32 << 20, fragments_max=4096)
"""Coinbase's snapshot of a whole book has 5 MB."""
HANDSHAKE_S: Final = 10.0
UNSENT_BYTES_MAX: Final = 1 << 20
"""Requests that the venue does not read: then it is gone."""
PROXY_HEAD_MAX: Final = 8192
CLOSE_S: Final = 1.0
"""For the venue to take what is still to be written, and to close its side."""

Messages = Callable[["list[str | bytes]"], None]


class NotOpened(Exception):
    """There is no connection.

    Attributes:
        wait_s: seconds that the venue asks for; 0: none.
    """

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class Ended(NamedTuple):
    """A connection's end; `why` in words."""

    why: str


class Socket(asyncio.BufferedProtocol):
    """One connection; made by `open_socket`.

    Attributes:
        ended: how it ended; None: it is open, or opens.
        heard: called with all messages of a read, and with none where something else came.
    """

    def __init__(self, side: ClientSide, heard: Messages) -> None:
        self._side = side
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._transport: asyncio.Transport | None = None
        self._made = False
        self._aborts: asyncio.TimerHandle | None = None
        self.heard = heard
        self.ended: Ended | None = None
        self.shaken: asyncio.Future[Opened | Refused] = asyncio.get_running_loop().create_future()

    def send(self, text: str) -> None:
        self._write(self._side.send(text))

    def ping(self) -> None:
        self._write(self._side.ping())

    def close(self, why: str) -> None:
        """Ends it with a close frame; nothing that still comes is handed on."""
        self._end(why)
        self._write(self._side.close(1000, ""))
        self._close()

    @property
    def gone(self) -> bool:
        """Whether its descriptor is closed."""
        return self._made and self._transport is None

    def abort(self) -> None:
        """Ends it at once."""
        self._end("ended here")
        if not self.shaken.done():
            self.shaken.cancel()
        if self._transport is not None:
            self._transport.abort()

    # --- for the transport ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._made = True
        if self.ended is not None:
            self._transport.abort()
            return
        self._transport.write(self._side.request)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        answer, messages, last = self._side.receive(bytes(self._view[:nbytes]))
        if answer is not None and not self.shaken.done():
            self.shaken.set_result(answer)
        if self.ended is None:
            self.heard(messages)
        if isinstance(last, End):
            self._end(f"the venue closed it: {last.code} {last.reason}".rstrip())
            self._write(last.frame)
            self._close()
        elif isinstance(last, Answer):
            self._write(last.frame)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        refused = self._side.receive_end()
        if not self.shaken.done():
            if refused is not None and exc is None:
                self.shaken.set_result(refused)
            else:
                self.shaken.set_exception(exc or ConnectionAbortedError("connection lost"))
                self.shaken.exception()  # it may be that nobody waits any more
        self._end(f"the connection is lost: {exc}" if exc else "the connection was cut")
        self._transport = None
        if self._aborts is not None:
            self._aborts.cancel()

    def _close(self) -> None:
        """Closes it, soon: a venue that does not close its side of TLS is not waited for."""
        if self._transport is not None and self._aborts is None:
            self._transport.close()
            loop = asyncio.get_running_loop()
            self._aborts = loop.call_later(CLOSE_S, self._transport.abort)

    def _end(self, why: str) -> None:
        if self.ended is None:
            self.ended = Ended(why)

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if not data or transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self._end("the venue reads no more")
            transport.abort()
            return
        transport.write(data)


async def open_socket(url: str, heard: Messages, tls: ssl.SSLContext) -> Socket:
    """A connection whose handshake is done.

    Raises:
        NotOpened: there is none.
    """
    try:
        side = ClientSide(url, (), LIMITS)
    except (WebSocketException, ValueError) as error:
        raise NotOpened(f"{url}: {error}") from None
    made: list[Socket] = []

    def factory() -> Socket:
        made.append(Socket(side, heard))
        return made[-1]

    try:
        async with asyncio.timeout(HANDSHAKE_S):
            await _connect(side.uri, factory, tls)
            answer = await made[-1].shaken
    except TimeoutError:
        why = f"no connection within {HANDSHAKE_S:g} s"
    except ssl.SSLCertVerificationError as error:
        why = f"the venue's certificate: {error.verify_message}"
    except (OSError, ValueError) as error:
        why = f"no connection: {error}"
    except asyncio.CancelledError:
        _abort(made)
        raise
    else:
        if isinstance(answer, Opened):
            return made[-1]
        _abort(made)
        raise _refused(answer)
    _abort(made)
    raise NotOpened(why) from None


def _abort(made: list[Socket]) -> None:
    for one in made:
        one.abort()


def _refused(answer: Refused) -> NotOpened:
    status, text, retry_after = answer
    if status in (NO_HTTP, 101):
        return NotOpened(f"no WebSocket there: {text}")
    return NotOpened(words(status), wait_s(status, retry_after, time.time()))


async def _connect(uri: WebSocketURI, factory: Callable[[], Socket], tls: ssl.SSLContext) -> None:
    loop = asyncio.get_running_loop()
    context = tls if uri.secure else None
    name = uri.host if uri.secure else None
    proxy = get_proxy(uri)
    if proxy is None:
        await loop.create_connection(factory, uri.host, uri.port, ssl=context)
        return
    sock = await _through(proxy, uri)
    try:
        await loop.create_connection(factory, sock=sock, ssl=context, server_hostname=name)
    except BaseException:
        sock.close()
        raise


async def _through(url: str, uri: WebSocketURI) -> socket.socket:
    """A socket to the server through a proxy of HTTP. ValueError, OSError."""
    loop = asyncio.get_running_loop()
    try:
        proxy = parse_proxy(url)
    except WebSocketException:  # whose text has the URL, and a password in it
        raise ValueError("the proxy that the environment names is none") from None
    if proxy.scheme != "http":
        raise ValueError(f"a proxy of scheme {proxy.scheme}: only http:// ones are known")
    infos = await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
    family, kind, number, _, address = infos[0]
    sock = socket.socket(family, kind, number)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        await loop.sock_sendall(sock, prepare_connect_request(proxy, uri))
        head = b""
        while not head.endswith(b"\r\n\r\n"):  # byte by byte: what follows is the server's
            byte = await loop.sock_recv(sock, 1)
            head += byte
            if not byte or len(head) > PROXY_HEAD_MAX:
                raise ConnectionAbortedError("the proxy does not answer as one")
        status = head.split(b"\r\n", 1)[0].split(b" ")
        if len(status) < 2 or not status[1].startswith(b"2"):
            shown = head[:80].split(b"\r\n", 1)[0].decode("latin-1")
            raise ConnectionRefusedError(f"the proxy refuses it: {shown}")
    except BaseException:
        sock.close()
        raise
    return sock
