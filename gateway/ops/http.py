"""The ops listener: /metrics /livez /readyz /statusz, the dashboard at / and the protocol at /v1.

In the supervisor's process: one request a connection, headers bounded, bodies discarded, the whole
exchange under one deadline (`exchange.py`), so that neither a slow request nor a slow scraper holds
anything for longer. HEAD is answered as GET, OPTIONS by 204: load balancers ask so. Paths are
looked up in a table; no path ever reaches a file system. An upgrade of /v1 becomes a session: see
`hub.py`.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from websockets.http11 import Request

from gateway import log
from gateway.address import listeners, shown
from gateway.dialects.tickgate import PATH
from gateway.errors import ConfigurationError, Problem, ResourceError
from gateway.model.encoding import SUBPROTOCOL_PREFIX
from gateway.ops.announcements import Announcements
from gateway.ops.connection import Connection
from gateway.ops.exchange import CONNECTIONS_MAX, UNANSWERED, Exchange
from gateway.ops.health import Health
from gateway.ops.hub import SESSIONS_MAX, Channel, Hub
from gateway.ops.live import Live
from gateway.ops.metrics import CONTENT_TYPE, Metrics
from gateway.ops.objective import Look, Watch, message
from gateway.ops.pages import Pages
from gateway.ops.reading import Reader
from gateway.ops.sampling import Sampling
from gateway.ops.secure import Arrived, Handshakes, server_context
from gateway.ops.status import Status
from gateway.ops.subject import Subject
from gateway.options import LOOPBACK_ORIGINS, OpsOptions
from gateway.session.codes import NOT_GRANTED
from gateway.wire.head import HEAD_BYTES_MAX
from gateway.wire.request import Origins, check, origin_form, path_of
from gateway.wire.response import Response
from gateway.wire.server_side import Endpoint

if TYPE_CHECKING:
    from gateway.config import Config

SCRAPES_MAX = 4
"""Renderings of /metrics at once; one more gets 503."""
SAMPLE_INTERVAL_S = 0.5
METHODS = "GET, HEAD, OPTIONS"
_ALLOW = (("Allow", METHODS),)
_SUBPROTOCOLS = (SUBPROTOCOL_PREFIX + "json",)

_log = log.get("ops")


class _Limits(NamedTuple):
    """How much is read of one session; more is closed with 1009, or 4029, a request with 431."""

    handshake_bytes: int = HEAD_BYTES_MAX
    message_bytes: int = 16 << 10
    fragments_max: int = 64
    control_frames_per_s: int = 100


LIMITS = _Limits()


class OpsServer:
    """Listens while its context lasts.

    Attributes:
        endpoint: of its WebSockets.
        exchanges: connections that are open now, or still worked on.
        answers: how requests were answered, by status code or UNANSWERED.

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
        self.answers: Counter[str] = Counter({"200": 0, UNANSWERED: 0})
        self.exchanges: set[Exchange] = set()
        doors = dict.fromkeys((PATH, *subject.streams), _SUBPROTOCOLS)
        self.endpoint = Endpoint(doors, (), LIMITS, bodies=True)  # origins: see _check
        self._metrics = Metrics(subject, self._watch, self.answers)
        self._reader = Reader(subject)
        self._sampling = Sampling(subject, self._watch)
        self._looked = asyncio.Event()
        self._status = Status(subject, self._watch, self._sampling)
        live = Live(subject, self._watch, self._health, self._reader, self._sampling)
        channels: dict[str, Channel] = {"ops": live.message, "slo": self._slo}
        self._hub = Hub(live.hello, channels, live.history)
        self._refused_origins = log.RefusedOrigins(_log)
        self._scrapes = 0
        self._server: asyncio.Server | None = None
        secure = options.tls and subject.config.tls.cert
        self._secure = server_context(subject.config.tls) if secure else None
        self._handshakes = Handshakes(lambda: Exchange(self), self._unanswered)
        self._tasks: list[asyncio.Task[None]] = []
        self._pages = Pages()
        self._routes: dict[str, Callable[[], Response]] = {
            "/livez": lambda: Response(200, b"ok\n"),
            "/readyz": self._readyz,
        }

    def reconfigure(self, config: "Config") -> None:
        """Takes over what may change while the gateway runs."""
        self._subject.config = config
        self._watch.reconfigure()

    def certificates(self, config: "Config") -> Callable[[], None]:
        """As `gateway.reload.Prepare`."""
        if self._secure is None or not config.tls.cert:
            return lambda: None
        try:
            fresh = server_context(config.tls)
        except OSError as error:
            problem = Problem("tls.cert", f"of the ops listener: {error}")
            raise ConfigurationError("the configuration has an error", [problem]) from None

        def commit() -> None:
            self._secure = fresh

        return commit

    @property
    def url(self) -> str:
        """Where the page is, with the port really bound."""
        assert self._server is not None
        host, port = shown(next(iter(self._server.sockets)))
        host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
        return f"{'http' if self._secure is None else 'https'}://{host}:{port}/"

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
        return len(self.exchanges) + len(self._handshakes)

    async def __aenter__(self) -> "OpsServer":
        where = f"{self._options.host}:{self._options.port} (ops.host, ops.port)"
        try:
            (listener,) = listeners(self._options.host, self._options.port, 1)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._accepted, sock=listener)
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
        await self._handshakes.end()
        await asyncio.gather(*(exchange.cut() for exchange in self.exchanges))
        await self._server.wait_closed()

    def _accepted(self) -> asyncio.Protocol:
        return Exchange(self) if self._secure is None else Arrived(self._shake)

    def _shake(self, transport: asyncio.Transport) -> None:
        """A handshake counts as a connection."""
        assert self._secure is not None
        if len(self.exchanges) + len(self._handshakes) >= CONNECTIONS_MAX:
            peer = str((transport.get_extra_info("peername") or ("",))[0])
            _log.warning("ops.full", peer=peer, connections=CONNECTIONS_MAX)
            self._unanswered()
            return
        try:
            self._handshakes.begin(transport, self._secure)
        except OSError:  # no descriptor
            self._unanswered()

    def _unanswered(self) -> None:
        self.answers[UNANSWERED] += 1

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

    # --- requests ---------------------------------------------------------------------------------

    async def respond(self, request: Request, peer: str) -> Response | None:
        """The answer; None where it is to become a WebSocket."""
        path = path_of(request.path)
        if request.method not in METHODS.split(", "):
            return Response(405, f"{METHODS} only\n".encode(), headers=_ALLOW)
        if request.method == "OPTIONS":
            return self._options_of(path)
        if path in self._routes:  # for load balancers, which have no tokens
            return self._routes[path]()
        permitted = self._permit(request, peer)
        if isinstance(permitted, Response):
            return permitted
        if path == "/metrics":
            return await self._scrape()
        if path == "/statusz":
            return await self._statusz()
        if path in self._subject.streams:
            return self._subject.streams[path].refuse(request) or self._check(request, peer)
        if path == PATH and "Upgrade" in request.headers:
            return self._check(request, peer) or self._full(peer)
        page = await self._pages.answer(path, request.headers)
        return page or Response(404, b"not found\n")

    def _options_of(self, path: str) -> Response:
        known = {"*", "/metrics", "/statusz", *self.endpoint.doors, *self._routes}
        if path not in known and path not in self._pages:
            return Response(404, b"not found\n")
        return Response(204, headers=_ALLOW)

    def _check(self, request: Request, peer: str) -> Response | None:
        """What speaks against a WebSocket; the rest is the library's to check.

        A page may come from here, whatever name here has, from this host, or from where clients'
        pages may.
        """
        host = origin_form(request.path)[0] or "".join(request.headers.get_all("Host")[:1])
        origins = (*LOOPBACK_ORIGINS, *self._subject.config.listen.origins)
        allowed = Origins((*origins, f"http://{host}", f"https://{host}"))
        refused = check(request, self.endpoint.doors, allowed)
        if refused is not None and refused.result == "origin":
            self._refused_origins.note(request.headers["Origin"], peer)
        return refused

    def _full(self, peer: str) -> Response | None:
        if len(self._hub) < SESSIONS_MAX:
            return None
        _log.warning("ops.full", peer=peer, sessions=SESSIONS_MAX)
        return Response(503, b"too many sessions\n", headers=(("Retry-After", "5"),))

    async def serve(self, connection: Connection) -> None:
        """One of PATH or of the streams' paths, from its beginning to its end."""
        stream = self._subject.streams.get(path_of(connection.request.path))
        watch = asyncio.create_task(self._look_after(connection))
        try:
            await (stream.serve if stream is not None else self._hub.serve)(connection)
        finally:
            watch.cancel()

    def _permit(self, request: Request, peer: str) -> "Response | Callable[[], str] | None":
        streams = path_of(request.path) in self._subject.streams
        return self._subject.permit(request, peer, "recordings" if streams else "ops")

    async def _look_after(self, connection: Connection) -> None:
        """Ends a session whose user may not have it any more."""
        permitted = self._permit(connection.request, "")
        if permitted is None:
            return
        why = "revoked"  # since the upgrade
        if not isinstance(permitted, Response):
            while not (why := permitted()):  # noqa: ASYNC110
                await asyncio.sleep(SAMPLE_INTERVAL_S)
        await connection.close(NOT_GRANTED, f"forbidden: {why}")

    async def _scrape(self) -> Response:
        if self._scrapes >= SCRAPES_MAX:
            _log.warning("ops.full", scrapes=SCRAPES_MAX)
            headers = (("Retry-After", "1"),)
            return Response(503, b"too many scrapes at once\n", headers=headers)
        self._scrapes += 1
        try:
            # On a thread: the supervisor goes on watching its children while numbers are added up.
            body = await asyncio.to_thread(self._metrics.render)
        finally:
            self._scrapes -= 1
        return Response(200, body, CONTENT_TYPE)

    async def _slo(self, _: str) -> bytes:
        return message(self._watch.look, time.time_ns()).encode()

    def _readyz(self) -> Response:
        problems = self._health.problems(asyncio.get_running_loop().time())
        if not problems:
            return Response(200, b"ready\n")
        body = "".join(f"{problem}\n" for problem in problems).encode()
        return Response(503, body)

    async def _statusz(self) -> Response:
        # As for /metrics; and whoever else is reading is not waited for on the loop.
        reading = await asyncio.to_thread(self._reader.read)
        problems = self._health.problems(asyncio.get_running_loop().time())
        document: dict[str, Any] = {"ready": not problems, "problems": problems}
        document |= self._status.document(reading) | {"ops": self.url}
        return Response(200, orjson.dumps(document), "application/json")
