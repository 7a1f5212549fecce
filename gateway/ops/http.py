"""The ops listener: /metrics /livez /readyz /statusz, the dashboard at / and the protocol at /v1.

HTTP is what the `websockets` server gives before an upgrade, here in the supervisor's process: one
request a connection, headers bounded, bodies discarded (`exchange.py`), the whole exchange under
one deadline, so that neither a slow request nor a slow scraper holds anything for longer. HEAD is
answered as GET, OPTIONS by 204: load balancers ask so. Paths are looked up in a table; no path ever
reaches a file system. An upgrade of /v1 becomes a session: see `hub.py`.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import MultipleValuesError
from websockets.http11 import Request, Response

from gateway import log
from gateway.address import listeners, shown
from gateway.dialects.tickgate import PATH
from gateway.errors import ResourceError
from gateway.model.encoding import SUBPROTOCOL_PREFIX
from gateway.ops.announcements import Announcements
from gateway.ops.exchange import TEXT, UNANSWERED, Exchange, answer
from gateway.ops.health import Health
from gateway.ops.hub import SESSIONS_MAX, Channel, Hub
from gateway.ops.live import Live
from gateway.ops.metrics import CONTENT_TYPE, Metrics
from gateway.ops.objective import Look, Watch, message
from gateway.ops.pages import Pages
from gateway.ops.reading import Reader
from gateway.ops.sampling import Sampling
from gateway.ops.status import Status
from gateway.ops.subject import Subject
from gateway.options import LOOPBACK_ORIGINS, OpsOptions
from gateway.wire.request import Origins, choose_subprotocol, origin_form, origin_refused, path_of

if TYPE_CHECKING:
    from gateway.config import Config

EXCHANGE_TIMEOUT_S = 5.0
"""From accept to the last byte of the answer taken; then the connection is cut."""
SCRAPES_MAX = 4
"""Renderings of /metrics at once; one more gets 503."""
SAMPLE_INTERVAL_S = 0.5
MESSAGE_BYTES_MAX = 16 << 10
"""Of a request; more is closed with 1009."""
MESSAGES_QUEUED_MAX = 4
"""Requests that wait for the one before them; with more the socket is not read."""
METHODS = "GET, HEAD, OPTIONS"
_SUBPROTOCOLS = (SUBPROTOCOL_PREFIX + "json",)

_log = log.get("ops")


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
        self._answers: Counter[str] = Counter({"200": 0, UNANSWERED: 0})
        self._metrics = Metrics(subject, self._watch, self._answers)
        self._reader = Reader(subject)
        self._sampling = Sampling(subject, self._watch)
        self._looked = asyncio.Event()
        self._status = Status(subject, self._watch, self._sampling)
        live = Live(subject, self._watch, self._health, self._reader, self._sampling)
        channels: dict[str, Channel] = {"ops": live.message, "slo": self._slo}
        self._hub = Hub(live.hello, channels, live.history)
        self._origins = self._allowed()
        self._refused_origins = log.RefusedOrigins(_log)
        self._scrapes = 0
        self._server: Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._pages = Pages()
        self._routes: dict[str, Callable[[], Response]] = {
            "/livez": lambda: answer(HTTPStatus.OK, TEXT, b"ok\n"),
            "/readyz": self._readyz,
        }

    def reconfigure(self, config: "Config") -> None:
        """Takes over what may change while the gateway runs."""
        self._subject.config = config
        self._origins = self._allowed()
        self._watch.reconfigure()

    def _allowed(self) -> Origins:
        return Origins((*LOOPBACK_ORIGINS, *self._subject.config.listen.origins))

    @property
    def url(self) -> str:
        """Where the page is, with the port really bound."""
        assert self._server is not None
        host, port = shown(next(iter(self._server.sockets)))
        host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
        return f"http://{host}:{port}/"

    @property
    def listen(self) -> str:
        """The address that is really bound."""
        assert self._server is not None
        return "{}:{}".format(*shown(next(iter(self._server.sockets))))

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
            (listener,) = listeners(self._options.host, self._options.port, 1)
            self._server = await serve(
                self._serve,
                sock=listener,
                process_request=self._process,
                # It is called, whatever its type says.
                create_connection=partial(Exchange, answers=self._answers),  # type: ignore[arg-type]
                select_subprotocol=lambda _, offered: choose_subprotocol(offered, _SUBPROTOCOLS),
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

    async def _process(self, connection: ServerConnection, request: Request) -> Response | None:
        path = path_of(request.path)
        if request.method not in METHODS.split(", "):
            allow = ("Allow", METHODS)
            return answer(HTTPStatus.METHOD_NOT_ALLOWED, TEXT, f"{METHODS} only\n".encode(), allow)
        if request.method == "OPTIONS":
            return self._options_of(path)
        try:
            response = await self._get(path, connection, request)
        except Exception:
            _log.exception("ops.failed", path=path)
            raise  # the library answers 500
        if request.method == "HEAD":
            # No session begins with HEAD; else the answer is that to GET, without its body.
            allow = ("Allow", "GET")
            response = response or answer(HTTPStatus.METHOD_NOT_ALLOWED, TEXT, b"", allow)
            response.body = b""
        return response

    async def _get(
        self, path: str, connection: ServerConnection, request: Request
    ) -> Response | None:
        if path == "/metrics":
            return await self._scrape()
        if path == "/statusz":
            return await self._statusz()
        if path == PATH and "Upgrade" in request.headers:
            return self._admit(connection, request)
        if path in self._subject.streams:
            refusal = self._subject.streams[path].refuse(request)
            if refusal is None:
                return None
            code, why = refusal
            return answer(code, TEXT, f"{why}\n".encode())
        if path in self._routes:
            return self._routes[path]()
        page = await self._pages.answer(path, request.headers)
        return page or answer(HTTPStatus.NOT_FOUND, TEXT, b"not found\n")

    def _options_of(self, path: str) -> Response:
        known = {"*", "/metrics", "/statusz", PATH, *self._subject.streams, *self._routes}
        if path not in known and path not in self._pages:
            return answer(HTTPStatus.NOT_FOUND, TEXT, b"not found\n")
        response = answer(HTTPStatus.NO_CONTENT, TEXT, b"", ("Allow", METHODS))
        del response.headers["Content-Length"], response.headers["Content-Type"]
        return response

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Why this request becomes no session, if it does not; the rest is the library's to check.

        A page may come from here, whatever name here has, from this host, or from where clients'
        pages may.
        """
        try:
            origin, host = request.headers.get("Origin"), request.headers.get("Host")
            host = origin_form(request.path)[0] or host
        except MultipleValuesError as error:
            return answer(
                HTTPStatus.BAD_REQUEST, TEXT, f"header {error.args[0]}: more than one\n".encode()
            )
        own = {f"{scheme}://{host}".lower() for scheme in ("http", "https")}
        if origin is not None and origin.lower() not in own and origin not in self._origins:
            self._refused_origins.note(origin, str(connection.remote_address[0]))
            return answer(HTTPStatus.FORBIDDEN, TEXT, f"{origin_refused(origin)}\n".encode())
        if len(self._hub) >= SESSIONS_MAX:
            peer = str(connection.remote_address[0])
            _log.warning("ops.full", peer=peer, sessions=SESSIONS_MAX)
            response = answer(HTTPStatus.SERVICE_UNAVAILABLE, TEXT, b"too many sessions\n")
            response.headers["Retry-After"] = "5"
            return response
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        """An upgraded connection: `_process` lets in those of PATH and of the streams' paths."""
        assert connection.request is not None
        stream = self._subject.streams.get(path_of(connection.request.path))
        await (stream.serve if stream is not None else self._hub.serve)(connection)

    async def _scrape(self) -> Response:
        if self._scrapes >= SCRAPES_MAX:
            _log.warning("ops.full", scrapes=SCRAPES_MAX)
            response = answer(HTTPStatus.SERVICE_UNAVAILABLE, TEXT, b"too many scrapes at once\n")
            response.headers["Retry-After"] = "1"
            return response
        self._scrapes += 1
        try:
            # On a thread: the supervisor goes on watching its children while numbers are added up.
            body = await asyncio.to_thread(self._metrics.render)
        finally:
            self._scrapes -= 1
        return answer(HTTPStatus.OK, CONTENT_TYPE, body)

    async def _slo(self, _: str) -> bytes:
        return message(self._watch.look, time.time_ns()).encode()

    def _readyz(self) -> Response:
        problems = self._health.problems(asyncio.get_running_loop().time())
        if not problems:
            return answer(HTTPStatus.OK, TEXT, b"ready\n")
        body = "".join(f"{problem}\n" for problem in problems).encode()
        return answer(HTTPStatus.SERVICE_UNAVAILABLE, TEXT, body)

    async def _statusz(self) -> Response:
        # As for /metrics; and whoever else is reading is not waited for on the loop.
        reading = await asyncio.to_thread(self._reader.read)
        problems = self._health.problems(asyncio.get_running_loop().time())
        document: dict[str, Any] = {"ready": not problems, "problems": problems}
        document |= self._status.document(reading) | {"ops": self.url}
        return answer(HTTPStatus.OK, "application/json", orjson.dumps(document))
