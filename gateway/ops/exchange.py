"""One connection of the ops listener: a request's head, an answer, the end; or a WebSocket.

One answer a connection is HTTP, and `Connection: close` says so: a body, chunks and pipelined
requests are discarded. While a request is being answered nothing is read: frames behind an upgrade,
and the end of a client that has said all, wait in the kernel.
"""

import asyncio
import socket
import time
from collections import Counter
from http import HTTPStatus
from typing import Final, Protocol

from websockets.http11 import Request

from gateway import log
from gateway.ops.connection import Connection, write_last
from gateway.ops.pages import secured
from gateway.wire.handshake import Accepted
from gateway.wire.request import path_of
from gateway.wire.response import Response
from gateway.wire.server_side import Endpoint, ServerSide

EXCHANGE_TIMEOUT_S: Final = 5.0
"""From accept to the last byte of the answer taken; then the connection is cut."""
CONNECTIONS_MAX: Final = 64
"""People and scrapers; one more is cut at once."""
DISCARDED_BYTES_MAX: Final = 1 << 20
"""What an answered or closed client may still send before it is cut off."""
NOTSENT_BYTES: Final = 16 << 10
"""What waits in the kernel, beyond what is on its way: the rest waits here, to be replaced."""
TCP_NOTSENT_LOWAT: Final = 25  # not in Python's socket module before 3.14
UNANSWERED: Final = "none"
"""Instead of a code: the connection ended without an answer."""

_FAILED: Final = Response(HTTPStatus.INTERNAL_SERVER_ERROR, b"it failed: the log says why\n")

_log = log.get("ops")


class Owner(Protocol):
    """What an exchange asks of the listener that it is of.

    Attributes:
        exchanges: those that are open now, or still worked on.
        answers: how requests were answered, by status code or UNANSWERED.
    """

    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def exchanges(self) -> "set[Exchange]": ...
    @property
    def answers(self) -> Counter[str]: ...
    async def respond(self, request: Request, peer: str) -> Response | None:
        """The answer; None where it is to become a WebSocket."""

    async def serve(self, connection: Connection) -> None:
        """Until it returns, or the connection has ended."""


class Exchange(asyncio.Protocol):
    """Refuses what is beyond the listener's bounds, has the rest answered, serves WebSockets."""

    _transport: asyncio.Transport
    _deadline: asyncio.TimerHandle

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._wire = ServerSide(owner.endpoint)
        self._peer = ""
        self._answered = False
        self._discarded = 0
        self._task: asyncio.Task[None] | None = None  # from the request on
        self.connection: Connection | None = None  # once it is a WebSocket

    # --- the transport's --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peer = str((transport.get_extra_info("peername") or ("",))[0])
        transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_BYTES
        )
        self._deadline = asyncio.get_running_loop().call_later(EXCHANGE_TIMEOUT_S, transport.abort)
        if len(self._owner.exchanges) >= CONNECTIONS_MAX:
            _log.warning("ops.full", peer=self._peer, connections=CONNECTIONS_MAX)
            transport.abort()
        self._owner.exchanges.add(self)

    def data_received(self, data: bytes) -> None:
        if self.connection is not None and self.connection.receive(data):
            return
        if self._answered:
            self._discard(data)
            return
        self._wire.receive(data)
        event = self._wire.next_event(time.monotonic_ns())
        if isinstance(event, Response):
            self._answer(event)
        elif event is not None:
            assert isinstance(event, Request)
            self._transport.pause_reading()
            self._task = asyncio.create_task(self._run(event))

    def _discard(self, data: bytes) -> None:
        # It is read, since a socket closed over unread bytes takes the answer with it.
        self._discarded += len(data)
        if self._discarded > DISCARDED_BYTES_MAX:
            self._transport.abort()

    def eof_received(self) -> None:
        if self.connection is not None:
            self.connection.hung_up()

    def pause_writing(self) -> None:
        if self.connection is not None:
            self.connection.hold(back=True)

    def resume_writing(self) -> None:
        if self.connection is not None:
            self.connection.hold(back=False)

    def connection_lost(self, _: Exception | None) -> None:
        self._deadline.cancel()
        if self.connection is not None:
            self.connection.lost()
        if not self._answered:
            self._answered = True
            self._owner.answers[UNANSWERED] += 1
        if self._task is not None:
            self._task.add_done_callback(self._over)
        else:
            self._over()

    def _over(self, _: object = None) -> None:
        # What is still done for a client that is gone counts as a connection.
        self._owner.exchanges.discard(self)

    async def cut(self) -> None:
        """Ends it at once, whatever is under way."""
        self._transport.abort()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # --- a request --------------------------------------------------------------------------------

    async def _run(self, request: Request) -> None:
        try:
            response = await self._owner.respond(request, self._peer)
        except Exception:
            _log.exception("ops.failed", path=path_of(request.path))
            response = _FAILED
        if self._answered:
            return  # it was lost meanwhile
        answer = self._wire.answer(response)
        if isinstance(answer, Response):
            self._answer(answer, head=request.method == "HEAD")
        else:
            await self._open(answer, request)

    def _answer(self, response: Response, *, head: bool = False) -> None:
        self._answered = True
        self._owner.answers[f"{response.status:d}"] += 1
        write_last(self._transport, secured(response).data(head=head))

    async def _open(self, accepted: Accepted, request: Request) -> None:
        self._answered = True
        self._owner.answers["101"] += 1
        self._deadline.cancel()
        self._transport.write(accepted.response)
        self.connection = connection = Connection(self._transport, self._wire, request)
        connection.read()  # frames that came with the request
        try:
            await self._owner.serve(connection)
        except ConnectionError:
            pass  # it has ended
        except Exception:
            _log.exception("ops.failed", path=path_of(request.path))
            await connection.close(1011, "internal error")
        await connection.close()
