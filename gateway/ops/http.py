"""The ops listener: /metrics /livez /readyz /statusz, the page at / and the protocol at /v1.

HTTP is what the `websockets` server gives before an upgrade, here in the supervisor's process: one
GET a connection, headers bounded, the whole exchange under one deadline, so that neither a slow
request nor a slow scraper holds anything for longer. Paths are looked up in a table; no path ever
reaches a file system. An upgrade of /v1 becomes a session: see `hub.py`.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import orjson
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers, MultipleValuesError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State

from gateway import log
from gateway.errors import ResourceError
from gateway.ops.announcements import Announcements
from gateway.ops.health import Health
from gateway.ops.hub import SESSIONS_MAX, Channel, Hub
from gateway.ops.live import Live
from gateway.ops.metrics import CONTENT_TYPE, Metrics
from gateway.ops.objective import Look, Watch, message
from gateway.ops.pages import Pages, security_headers
from gateway.ops.reading import Reader
from gateway.ops.sampling import Sampling
from gateway.ops.status import Status
from gateway.ops.subject import Subject
from gateway.options import LOOPBACK_ORIGINS, OpsOptions
from gateway.session.handshake import PATH, Origins, select_subprotocol

EXCHANGE_TIMEOUT_S = 5.0
"""From accept to the last byte of the answer taken; then the connection is cut."""
CONNECTIONS_MAX = 64
"""People and scrapers; one more is cut at once."""
SCRAPES_MAX = 4
"""Renderings of /metrics at once; one more gets 503."""
SAMPLE_INTERVAL_S = 0.5
MESSAGE_BYTES_MAX = 16 << 10
"""Of a request; more is closed with 1009."""
MESSAGES_QUEUED_MAX = 4
"""Requests that wait for the one before them; with more the socket is not read."""
FRAGMENTS_MAX = 64
CONTROL_FRAMES_PER_S = 100
NOTSENT_BYTES = 16 << 10
"""What waits in the kernel, beyond what is on its way: the rest waits here, to be replaced."""
TCP_NOTSENT_LOWAT = 25  # not in Python's socket module before 3.14

_log = log.get("ops")
_TEXT = "text/plain; charset=utf-8"


class OpsServer:
    """Listens while its context lasts.

    Raises:
        ResourceError: on entering, when the address is not to be had.
    """

    def __init__(self, options: OpsOptions, subject: Subject) -> None:
        self._options = options
        self._subject = subject
        self._health = Health(subject)
        self._watch = Watch(subject)
        self._announcements = Announcements(
            subject, self._health.problems, lambda: self._watch.look.report.state
        )
        self._metrics = Metrics(subject, self._watch)
        self._reader = Reader(subject)
        self._sampling = Sampling(subject, self._watch)
        self._looked = asyncio.Event()
        self._status = Status(subject, self._watch, self._sampling)
        live = Live(subject, self._watch, self._health, self._reader, self._sampling)
        channels: dict[str, Channel] = {"ops": live.message, "slo": self._slo}
        self._hub = Hub(live.hello, channels, live.history)
        self._origins = Origins((*LOOPBACK_ORIGINS, *subject.config.listen.origins))
        self._scrapes = 0
        self._server: Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._pages = Pages()
        self._routes: dict[str, Callable[[], Response]] = {
            "/livez": lambda: _answer(HTTPStatus.OK, _TEXT, b"ok\n"),
            "/readyz": self._readyz,
        }

    @property
    def url(self) -> str:
        """Where the page is, with the port really bound."""
        assert self._server is not None
        host, port = next(iter(self._server.sockets)).getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    @property
    def look(self) -> Look:
        """The objective's last."""
        return self._watch.look

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._server.handler_tasks) if self._server is not None else 0

    async def __aenter__(self) -> "OpsServer":
        where = f"{self._options.host}:{self._options.port} (ops.host, ops.port)"
        try:
            self._server = await serve(
                self._serve,
                self._options.host,
                self._options.port,
                process_request=self._process,
                create_connection=_Connection,
                select_subprotocol=select_subprotocol,
                compression=None,
                open_timeout=EXCHANGE_TIMEOUT_S,
                close_timeout=EXCHANGE_TIMEOUT_S,
                ping_interval=None,  # the hub's
                max_size=MESSAGE_BYTES_MAX,
                max_queue=MESSAGES_QUEUED_MAX,
                write_limit=0,
                server_header=None,
            )
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise ResourceError(f"cannot listen on {where}: {reason}") from None
        self._tasks = [asyncio.create_task(work()) for work in (self._sample, self._tell)]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._hub.drain()
        self._server.close()
        for connection in [*self._server.handler_tasks]:
            connection.cancel()
        await self._server.wait_closed()

    async def _sample(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now_s = loop.time()
            try:
                self._health.sample(now_s)
                if self._watch.sample(now_s):
                    self._sampling.take(now_s, time.time_ns())
                    self._looked.set()
                self._announcements.sample(now_s)
            except Exception:
                # One look fails; the next ones must not end with it.
                _log.exception("sample.failed")
            await asyncio.sleep(SAMPLE_INTERVAL_S)

    async def _tell(self) -> None:
        """Beside the looking, which must not wait for all that is read for those who follow."""
        while True:
            await self._looked.wait()
            self._looked.clear()
            try:
                await self._hub.tell()
            except Exception:
                _log.exception("tell.failed")

    async def _process(self, _: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if request.method != "GET":
            response = _answer(HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"GET only\n")
            response.headers["Allow"] = "GET"
            return response
        if path == "/metrics":
            return await self._scrape()
        if path == "/statusz":
            return await self._statusz()
        if path == PATH and "Upgrade" in request.headers:
            return self._admit(request)
        if path in self._subject.streams:
            refusal = self._subject.streams[path].refuse(request)
            if refusal is None:
                return None
            code, why = refusal
            return _answer(code, _TEXT, f"{why}\n".encode())
        if path in self._routes:
            return self._routes[path]()
        page = await self._pages.answer(path, request.headers)
        return page or _answer(HTTPStatus.NOT_FOUND, _TEXT, b"not found\n")

    def _admit(self, request: Request) -> Response | None:
        """Why this request becomes no session, if it does not; the rest is the library's to check.

        A page may come from here, whatever name here has, from this host, or from where clients'
        pages may.
        """
        try:
            origin, host = request.headers.get("Origin"), request.headers.get("Host")
        except MultipleValuesError as error:
            return _answer(
                HTTPStatus.BAD_REQUEST, _TEXT, f"header {error.args[0]}: more than one\n".encode()
            )
        own = {f"{scheme}://{host}".lower() for scheme in ("http", "https")}
        if origin is not None and origin.lower() not in own and origin not in self._origins:
            return _answer(HTTPStatus.FORBIDDEN, _TEXT, b"header Origin: not in listen.origins\n")
        if len(self._hub) >= SESSIONS_MAX:
            response = _answer(HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"too many sessions\n")
            response.headers["Retry-After"] = "5"
            return response
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        """An upgraded connection: `_process` lets in those of PATH and of the streams' paths."""
        assert connection.request is not None
        stream = self._subject.streams.get(connection.request.path.partition("?")[0])
        await (stream.serve if stream is not None else self._hub.serve)(connection)

    async def _scrape(self) -> Response:
        if self._scrapes >= SCRAPES_MAX:
            response = _answer(HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"too many scrapes at once\n")
            response.headers["Retry-After"] = "1"
            return response
        self._scrapes += 1
        try:
            # On a thread: the supervisor goes on watching its children while numbers are added up.
            body = await asyncio.to_thread(self._metrics.render)
        finally:
            self._scrapes -= 1
        return _answer(HTTPStatus.OK, CONTENT_TYPE, body)

    async def _slo(self, _: str) -> bytes:
        return message(self._watch.look, time.time_ns()).encode()

    def _readyz(self) -> Response:
        problems = self._health.problems(asyncio.get_running_loop().time())
        if not problems:
            return _answer(HTTPStatus.OK, _TEXT, b"ready\n")
        body = "".join(f"{problem}\n" for problem in problems).encode()
        return _answer(HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, body)

    async def _statusz(self) -> Response:
        # As for /metrics; and whoever else is reading is not waited for on the loop.
        reading = await asyncio.to_thread(self._reader.read)
        problems = self._health.problems(asyncio.get_running_loop().time())
        document: dict[str, Any] = {"ready": not problems, "problems": problems}
        document |= self._status.document(reading) | {"ops": self.url}
        return _answer(HTTPStatus.OK, "application/json", orjson.dumps(document))


class _Connection(ServerConnection):
    """Refuses what is beyond the listener's bounds, and what the library would take without end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._fragments = 0
        self._controls = 0
        self._controls_second = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_BYTES
        )
        if len(self.server.handler_tasks) > CONNECTIONS_MAX:
            self.transport.abort()

    def process_event(self, event: Any) -> None:
        super().process_event(event)
        if not isinstance(event, Frame):
            return
        if event.opcode in (Opcode.PING, Opcode.PONG):
            second = int(self.loop.time())
            if second != self._controls_second:
                self._controls_second, self._controls = second, 0
            self._controls += 1
            if self._controls > CONTROL_FRAMES_PER_S:
                self._fail(4029, f"control frames: more than {CONTROL_FRAMES_PER_S} a second")
        elif event.opcode is not Opcode.CLOSE:
            self._fragments = self._fragments + 1 if event.opcode is Opcode.CONT else 0
            if self._fragments >= FRAGMENTS_MAX:
                self._fail(1009, f"message of more than {FRAGMENTS_MAX} fragments")

    def _fail(self, code: int, reason: str) -> None:
        if self.protocol.state is State.OPEN:
            self.protocol.fail(code, reason)
            self.send_data()
            self.loop.call_later(EXCHANGE_TIMEOUT_S, self.transport.abort)


def _answer(code: HTTPStatus, kind: str, body: bytes) -> Response:
    headers = Headers(
        [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            *security_headers(),
        ]
    )
    return Response(code.value, code.phrase, headers, body)
