"""A client's connection: `gateway.wire` over a transport of asyncio.

What comes in one read is taken at once, messages in a list: none has a queue or a future of its
own. While too much waits to be taken nothing more is read, so the server's kernel and then the
server notice. Pongs wait one at a time where a server doesn't read them.
"""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Final, cast

from gateway.wire.client_handshake import Opened, Refused
from gateway.wire.client_side import ClientLimits, ClientSide
from gateway.wire.events import Answer, End

READ_BYTES: Final = 64 << 10
WAITING_BYTES_MAX: Final = 64 << 10
"""Read and not taken yet: then reading pauses."""
CLOSE_TIMEOUT_S: Final = 1.0
"""For the server to answer a close frame, and to end the stream."""
ABNORMAL: Final = 1006
"""RFC 6455 section 7.4.1: no close frame was received."""


class HandshakeRefused(Exception):
    """The server's answer is not the upgrade that was asked for."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.text)
        self.refused = refused


class Closed(Exception):
    """The connection has ended.

    Attributes:
        code: the server's, 1005 where it gave none, 1006 where it sent no close frame.
        reason: the server's, else ours, else that it was lost.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


async def connect(
    url: str,
    subprotocols: Sequence[str],
    limits: ClientLimits,
    *,
    unix: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    tls: ssl.SSLContext | None = None,
) -> "Connection":
    """An open connection; the caller limits the time.

    Args:
        url: of the server; `wss://` checks its certificate.
        subprotocols: what the client speaks, the best one first.
        limits: how much is read of the server.
        tls: what a `wss://` server's certificate is checked by; None: the host's authorities.
        unix: the path of the server's Unix socket, in place of the URL's host and port.
        headers: of the request, beside those of every handshake.

    Raises:
        HandshakeRefused: the server does not want it, or is none.
        OSError: there is no server.
        WebSocketException: the URL is none of a WebSocket's.
        ValueError: likewise.
    """
    side = ClientSide(url, subprotocols, limits, headers)
    uri, loop = side.uri, asyncio.get_running_loop()
    connection = Connection(side)
    secure, name = (tls or True, uri.host) if uri.secure else (None, None)
    try:
        if unix is None:
            await loop.create_connection(
                lambda: connection, uri.host, uri.port, ssl=secure, server_hostname=name
            )
        else:
            await loop.create_unix_connection(
                lambda: connection, unix, ssl=secure, server_hostname=name
            )
        await connection.opened()
    except BaseException:
        connection.abort()
        raise
    return connection


class Connection(asyncio.BufferedProtocol):
    """One connection, made by `connect`; one task at a time receives."""

    def __init__(self, side: ClientSide) -> None:
        self._side = side
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._view = memoryview(bytearray(READ_BYTES))
        self._shaken: asyncio.Future[Opened | Refused] = self._loop.create_future()
        self._messages: list[str | bytes] = []  # that nobody has taken yet
        self._waiting = 0  # bytes read since some were taken
        self._paused = False
        self._taker: asyncio.Future[None] | None = None
        self._drained = asyncio.Event()
        self._drained.set()
        self._pong = b""  # to be written once the transport is drained
        self._code, self._reason = ABNORMAL, "connection lost"  # how it ends
        self._closing: asyncio.TimerHandle | None = None  # once a close frame was sent, or came
        self._discards = False  # messages: this side has closed
        self._gone = asyncio.Event()

    # --- for its owner ----------------------------------------------------------------------------

    async def opened(self) -> None:
        """Waits for the answer to the handshake.

        Raises:
            HandshakeRefused: it is not the upgrade that was asked for.
            OSError: the connection is lost.
        """
        answer = await self._shaken
        if isinstance(answer, Refused):
            raise HandshakeRefused(answer)

    async def receive(self) -> list[str | bytes]:
        """All messages that have come since the last call, at least one.

        Raises:
            Closed: the connection has ended, and all before its end was taken.
        """
        await self._some()
        messages, self._messages = self._messages, []
        self._resume()
        return messages

    async def receive_one(self) -> str | bytes:
        """The next message; raises as `receive` does."""
        await self._some()
        return self._messages.pop(0)

    async def _some(self) -> None:
        assert self._taker is None, "one task at a time"
        while not self._messages:
            if self._gone.is_set():
                raise self._closed()
            self._resume()
            self._taker = self._loop.create_future()
            try:
                await self._taker
            finally:
                self._taker = None

    async def send(self, text: str) -> None:
        """Sends a text message; waits while the transport has much that the server did not read.

        Raises:
            Closed: the connection has ended, or is about to.
        """
        if self._transport is None or self._closing is not None or self._gone.is_set():
            raise self._closed()
        self._transport.write(self._side.send(text))
        await self._drained.wait()
        if self._gone.is_set():
            raise self._closed()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes, and returns when the connection is gone: soon, whatever the server does.

        What the server still says is discarded.
        """
        if self._closing is None and not self._gone.is_set():
            self._reason = reason
            self._discards = True
            self._close(self._side.close(code, reason))
        try:
            await self._gone.wait()
        except asyncio.CancelledError:
            self.abort()
            raise

    def abort(self) -> None:
        """Ends the connection at once, without a word."""
        self._shaken.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _closed(self) -> Closed:
        return Closed(self._code, self._reason)

    # --- for the transport ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._transport.write(self._side.request)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        answer, messages, last = self._side.receive(bytes(self._view[:nbytes]))
        if answer is not None and not self._shaken.done():
            self._shaken.set_result(answer)
        self._waiting += nbytes
        if messages and not self._discards:
            self._messages += messages
            self._wake()
            if self._waiting >= WAITING_BYTES_MAX:
                self._pause()
        if last is not None:
            self._write_last(last)

    def _write_last(self, last: Answer | End) -> None:
        if isinstance(last, End):
            if not last.failed:
                self._code, self._reason = last.code, last.reason
            elif self._closing is None:
                self._reason = last.reason
            self._close(last.frame)
        elif self._drained.is_set():
            self._write(last.frame)
        else:
            self._pong = last.frame

    def _close(self, frame: bytes) -> None:
        """Writes a close frame, if there is one; then it is the server that ends the stream."""
        self._write(frame)
        self._pong = b""
        if self._closing is None:
            self._closing = self._loop.call_later(CLOSE_TIMEOUT_S, self.abort)
        self._resume()

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()
        pong, self._pong = self._pong, b""
        self._write(pong)

    def connection_lost(self, exc: Exception | None) -> None:
        end = self._side.receive_end()
        if not self._shaken.done():
            if exc is None and end is not None:
                self._shaken.set_result(end)
            else:
                self._shaken.set_exception(exc or ConnectionAbortedError("connection lost"))
        if self._closing is not None:
            self._closing.cancel()
        self._gone.set()
        self._drained.set()
        self._wake()

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _wake(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)

    def _pause(self) -> None:
        assert self._transport is not None
        if not self._paused and self._closing is None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        self._waiting = 0
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
