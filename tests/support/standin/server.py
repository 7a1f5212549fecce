"""What all stand-ins share: one port for WebSocket and REST, a market that ticks, and faults."""

import asyncio
import contextlib
import json
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from support.standin.market import Book

TICK_S = 0.02


class Faults:
    """What the venue does wrong from now on; the test sets and unsets it.

    Attributes:
        silent: it sends no data.
        skip: so many of its next book messages are not sent.
        swap: the next two book messages of a symbol come in the wrong order.
        wrong_id: replies bear a number that nobody asked by.
        refuse: why it refuses every request for streams; "": it does not.
        handshake: the status by which it refuses connections; 0: it takes them.
        rest: likewise of REST.
        retry_after: the header of both.
        slow_s: how long REST takes.
        chance: of a fault at each tick: of a cut, a skipped message, two that are swapped.
    """

    def __init__(self) -> None:
        self.silent = self.wrong_id = False
        self.skip = 0
        self.swap = False
        self.refuse = ""
        self.handshake = self.rest = 0
        self.retry_after = ""
        self.slow_s = 0.0
        self.chance = 0.0


class StandIn:
    """A venue; a class of its own says how it speaks.

    Attributes:
        handshakes: connections that were asked for.
        requests: paths of the REST requests, with their queries.
        asked: set by each of them.
        open: connections → the streams that each has.
        most: the most requests of one connection within a second.
    """

    def __init__(self, books: dict[str, Book]) -> None:
        self.books = books
        self.faults = Faults()
        self.handshakes = 0
        self.requests: list[str] = []
        self.asked = asyncio.Event()
        self.open: dict[ServerConnection, set[str]] = {}
        self.most = 0
        self.frozen = False
        self._held: dict[str, str] = {}
        self._random = random.Random(1)
        self._server: Server | None = None

    # --- for tests --------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @contextlib.asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["StandIn"]:
        async with serve(
            self._serve,
            "127.0.0.1",
            0,
            ssl=tls,
            process_request=self._requested,
            ping_interval=None,
            close_timeout=0.2,
            compression=None,
        ) as server:
            self._server = server
            ticking = asyncio.create_task(self._tick())
            try:
                yield self
            finally:
                ticking.cancel()
                await asyncio.gather(ticking, return_exceptions=True)
                self.cut()

    def cut(self) -> None:
        """Cuts every connection, without a word."""
        for connection in [*self.open]:
            connection.transport.abort()

    async def leave(self, code: int, reason: str) -> None:
        """Closes every connection."""
        await asyncio.gather(*(one.close(code, reason) for one in [*self.open]))

    def streams(self) -> set[str]:
        """Of all connections."""
        return set().union(*self.open.values())

    def tell(self, message: dict[str, Any]) -> None:
        """Sends something to all."""
        broadcast(self.open, json.dumps(message))

    # --- how it speaks ----------------------------------------------------------------------------

    def request(self, text: str) -> tuple[list[str], set[str], set[str]]:
        """What a client's message is answered, what it adds and what it ends."""
        raise NotImplementedError

    def messages(self, book: Book) -> list[tuple[str, str, bool]]:
        """What one tick of a book brings: stream, message, whether it is the book's."""
        raise NotImplementedError

    def rest(self, path: str) -> tuple[int, Any]:
        """Status and answer of a REST request."""
        raise NotImplementedError

    # --- the server -------------------------------------------------------------------------------

    async def _requested(self, connection: ServerConnection, request: Request) -> Response | None:
        faults = self.faults
        if request.headers.get("Upgrade", "").lower() == "websocket":
            self.handshakes += 1
            return self._answer(faults.handshake, b"") if faults.handshake else None
        self.requests.append(request.path)
        self.asked.set()
        if faults.slow_s:
            await asyncio.sleep(faults.slow_s)
        if faults.rest:
            return self._answer(faults.rest, b'{"code":-1,"msg":"as the test wants"}')
        status, body = self.rest(request.path)
        return self._answer(status, json.dumps(body).encode())

    def _answer(self, status: int, body: bytes) -> Response:
        headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
        if status >= 400 and self.faults.retry_after:
            headers["Retry-After"] = self.faults.retry_after
        return Response(status, HTTPStatus(status).phrase, headers, body)

    async def _serve(self, connection: ServerConnection) -> None:
        streams = self.open[connection] = set()
        times: list[float] = []
        try:
            async for text in connection:
                times = [at for at in times if at > time.monotonic() - 1] + [time.monotonic()]
                self.most = max(self.most, len(times))
                answers, more, ended = self.request(str(text))
                streams |= more
                streams -= ended
                # What the market says from now on comes behind the answers, a snapshot among them.
                for answer in answers:
                    broadcast([connection], answer)
        except ConnectionClosed:
            pass
        finally:
            del self.open[connection]

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if self.frozen:
                continue
            self._misbehave()
            for book in self.books.values():
                for stream, message, of_book in self.messages(book):
                    self._send(stream, message, of_book)

    def _misbehave(self) -> None:
        chance: Callable[[], bool] = lambda: self._random.random() < self.faults.chance  # noqa: E731
        if chance():
            self.faults.skip += 1
        if chance():
            self.faults.swap = True
        if chance():
            self.cut()

    def _send(self, stream: str, message: str, of_book: bool) -> None:
        faults = self.faults
        if faults.silent:
            return
        if of_book and faults.skip:
            faults.skip -= 1
            return
        sent = [message]
        if of_book and stream in self._held:
            sent.append(self._held.pop(stream))
        elif of_book and faults.swap:
            faults.swap = False
            self._held[stream] = message
            return
        for connection, streams in [*self.open.items()]:
            if stream in streams:
                for one in sent:
                    broadcast([connection], one)
