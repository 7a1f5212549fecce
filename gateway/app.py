"""Joins the parts of `serve`'s supervisor; `process.py` joins those of its child processes.

`serve` makes everything that outlives a child: a statistics page per process, the workers' wait
pages and eventfds, the listening sockets. Children inherit them by number; a restarted one goes on
with them, so counters rise through a restart and a connection that arrives meanwhile waits in the
kernel.
"""

import asyncio
import mmap
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from gateway import host, log, tls
from gateway._native import (
    CANDLE_LENGTHS,
    CHANNELS,
    CLASS_STAGES,
    GAUGES_OF_TOPICS,
    STAGES,
    STATS,
    STATS_SIZE,
    WAIT_SIZE,
    StatsPage,
    create_memory,
    forbid_dumps,
)
from gateway.address import shown
from gateway.audit.audit import Audit
from gateway.config import Config
from gateway.errors import ConfigurationError, Problem, ResourceError, TickgateError
from gateway.feeds.options import is_live
from gateway.identity.seats import PART_BYTES, Seats
from gateway.latency import statistics
from gateway.latency.control import GAUGES
from gateway.model.outcomes import AUTHS, HANDSHAKES
from gateway.model.record import CANDLES
from gateway.model.status import FeedStatus
from gateway.orders import STOPS, Orders, admin, obey
from gateway.reload import Reloading
from gateway.session.codes import CLOSE_CODES
from gateway.supervisor import signals
from gateway.supervisor.children import ChildSpec
from gateway.supervisor.listening import Listening, url
from gateway.supervisor.messages import FeedStart, Report, WorkerStart
from gateway.supervisor.supervisor import Supervisor
from gateway.supervisor.watchdog import QUIET_INTERVAL_S, Watchdog

if TYPE_CHECKING:
    from gateway.identities import Identities
    from gateway.ops.objective import Look
    from gateway.ops.subject import Subject
    from gateway.recorder.recorder import Recorder
    from gateway.recorder.source import Source

FEED, WORKER = "feed", "worker"
WORKER_GAUGES = (
    "connections",
    "subscriptions",
    "links",
    "topics_waiting",
    "books_missing",
    "clients",
    "clients_blocked",
    "ring_lag_records",
    *GAUGES,
)
"""What a dead worker has no more of."""
SHED = (
    *(("handshakes", HANDSHAKES.index(result)) for result in ("shed", "overload")),
    *(("closes", CLOSE_CODES.index(code)) for code in (1011, 4008)),
)
"""Clients that we turned away or cut off: each counts against the objective like a lost update."""

_log = log.get("app")


@dataclass(frozen=True)
class Urls:
    """Where things are, with the ports really bound."""

    client: str
    ops: str


Feeds = Sequence[FeedStatus]
"""What feeds say of themselves."""
PLAYED_INTERVAL_S = 0.2
"""Between two looks at whether all feeds have ended."""


def serve(
    config: Config,
    *,
    on_ready: Callable[[Urls], None] | None = None,
    on_played: Callable[[Feeds], int] | None = None,
    reload: Callable[[], Config] | None = None,
    stops: Sequence[signal.Signals] = STOPS,
) -> int:
    """Runs the gateway until SIGTERM or SIGINT.

    Args:
        config: of everything.
        on_ready: called once, when all processes are ready.
        on_played: called once, when all feeds have ended: another answer than 0 ends the gateway,
            with that exit code.
        reload: reads the configuration again, for SIGHUP; None where there is nothing to read.
        stops: the signals that end it.

    Returns:
        The exit code: 0 after an orderly stop, 1 where a process had to be killed for it (too slow
        to drain, or a second signal came), 69 where a port or descriptors are not to be had.
    """
    style, level, file = config.log.format, config.log.level, config.log.file
    try:
        handler = log.configure("supervisor", style, level, file=file)
    except OSError as error:
        problem = Problem("log.file", f"{file} cannot be opened: {error.strerror}")
        raise ConfigurationError("the configuration has an error", [problem]) from None
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup(1): it outlives its terminal
        orders = Orders(reload)
    else:
        orders = Orders(reload, stops, signals.has_terminal())
    signals.ignore()  # until the loop runs: an early one kills as well as a late one
    signals.inherit_nothing()
    if config.tls.cert:
        forbid_dumps()  # there will be keys in its memory
    try:
        _prepare_host()
        return asyncio.run(_serve(config, handler, on_ready, on_played, orders))
    except TickgateError as error:
        _log.error("start.failed", message=error)
        return error.exit_code
    finally:
        handler.stop()


async def _serve(
    config: Config,
    handler: log.LogHandler,
    on_ready: Callable[[Urls], None] | None,
    on_played: Callable[[Feeds], int] | None,
    orders: Orders,
) -> int:
    from gateway.ops.http import OpsServer
    from gateway.ops.subject import Subject
    from gateway.recorder import stream

    with (
        _site(config) as site,
        _own_watchdog(site, handler) as watchdog,
        closing(_audit(config, site)) as audit,
    ):

        def ready() -> None:
            watchdog.ready()
            _tell_ready(config, urls, on_ready, listen=site.listen, ops_listen=ops.listen)
            begun.set()

        begun = asyncio.Event()
        supervisor = Supervisor(
            site.specs(),
            on_ready=ready,
            on_drain=site.close_listeners,
            on_answer=lambda answer: operators.answered(answer),
        )
        source = _source(site, supervisor, watchdog, lambda: subject.config, lambda: ops.look)
        recorder = _recorder(config, site, source)
        subject = Subject(
            version=version("tickgate"),
            config=config,
            channels=_channels(config),
            pages=site.pages,
            read=site.read,
            sample=site.sampler.sample,
            supervision=supervisor.statistics,
            tell=partial(_tell, supervisor),
            client_url=site.client_url,
            vitals=watchdog.report,
            streams={stream.PATH: stream.Stream(recorder)},
            recorder=lambda: asdict(recorder.statistics()),
        )

        def apply(fresh: Config) -> list[str]:
            missed = supervisor.reconfigure(encoded(fresh))
            log.set_level(fresh.log.level)
            ops.reconfigure(fresh)
            recorder.reconfigure(fresh.recorder)
            audit.reconfigure(fresh.audit)
            return missed

        reloading = Reloading(config, orders.reload, apply)
        identities = _identities(config, site, audit, reloading, subject)
        revoke = identities.revoke if identities else None
        operators = admin(config, supervisor, reloading, audit, revoke)
        async with identities or nullcontext(), OpsServer(config.ops, subject) as ops, operators:
            urls = Urls(site.client_url, ops.url)
            if tls.configured(config.tls):  # workers read theirs when they are told to reconfigure
                reloading.parts["tls"] = ops.certificates
            obey(orders, supervisor, reloading, handler)
            signal.signal(signal.SIGCONT, watchdog.continued)
            works = recorder.run(), site.tickets.keep_rotating()
            played = _played(supervisor, on_played, begun) if on_played else None
            code = await _run(supervisor, works, played, orders)
        _log.info("serve.stopped", exit=code)
        return code


def _tell_ready(
    config: Config, urls: Urls, on_ready: Callable[[Urls], None] | None, **bound: str
) -> None:
    _log.info("serve.ready", **asdict(urls), **bound)
    if not config.feeds:
        _log.warning("feeds.none", what="clients may connect, and nothing will come")
    if on_ready is not None:
        on_ready(urls)


async def _run(
    supervisor: Supervisor,
    works: Iterable[Coroutine[Any, Any, None]],
    playing: Coroutine[Any, Any, int] | None,
    orders: Orders,
) -> int:
    """Runs the children, and what goes on beside them, until all is over; the exit code."""
    beside: list[asyncio.Task[Any]] = [*map(asyncio.create_task, works)]
    played: asyncio.Task[int] | None = None
    if playing is not None:
        played = asyncio.create_task(playing)
        beside.append(played)
    code = await supervisor.run()
    signals.last((*orders.stops, signal.SIGXCPU, *signals.TOLD, signal.SIGCONT))
    if played is not None and played.done():
        code = code or played.result()
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)
    return code


def _tell(supervisor: Supervisor, name: str, channel: str, text: str) -> bool:
    """Sends a worker what those of its clients are to hear that follow this status channel."""
    return supervisor.tell(name, Report(channel=channel, text=text))


async def _played(supervisor: Supervisor, on: Callable[[Feeds], int], ready: asyncio.Event) -> int:
    """Waits until all feeds have ended; an exit code that is not 0 ends the gateway."""
    await ready.wait()  # a short feed may be over before, and that it begins is told first
    while True:
        children = supervisor.statistics().children
        feeds = [feed for child in children for feed in child.status.feeds]
        if feeds and all(feed.state in ("done", "failed") for feed in feeds):
            code = on(feeds)
            if code:
                supervisor.stop()
            return code
        await asyncio.sleep(PLAYED_INTERVAL_S)


def _own_watchdog(site: "Site", handler: log.LogHandler) -> Watchdog:
    """The supervisor's, which watches the host's clocks for all."""
    stats = StatsPage(site.stats_fds["supervisor"], writable=True)
    return Watchdog(
        stats, dropped_logs=lambda: handler.dropped, interval_s=QUIET_INTERVAL_S, host=True
    )


def _audit(config: Config, site: "Site") -> Audit:
    """The supervisor's own: what operators did, and who was entitled to what."""
    page = StatsPage(site.stats_fds["supervisor"], writable=True)
    return Audit("supervisor", config.audit, count=page.add)


def _identities(
    config: Config, site: "Site", audit: Audit, reloading: Reloading, subject: "Subject"
) -> "Identities | None":
    """Where clients may say who they are."""
    if config.auth.mode == "none":
        return None
    from gateway.identities import Identities  # a library for signatures, where there are any

    page = StatsPage(site.stats_fds["supervisor"], writable=True)
    found = Identities(config, audit, lambda *how: page.add("auth", AUTHS.index(how)))
    reloading.parts["auth"], subject.permit = found.prepare, found.permit
    return found


def _source(
    site: "Site",
    supervisor: Supervisor,
    watchdog: Watchdog,
    config: Callable[[], Config],
    look: "Callable[[], Look]",
) -> "Source":
    """The gateway as the flight recorder sees it."""
    from gateway.recorder.source import Source, told

    return Source(
        gateway=version("tickgate"),
        config=lambda: told(config()),
        look=look,
        supervision=supervisor.statistics,
        vitals=watchdog.report,
        segment=supervisor.segment,
    )


def _recorder(config: Config, site: "Site", source: "Source") -> "Recorder":
    """The flight recorder, over all processes and this one."""
    from gateway.recorder.observe import Observer
    from gateway.recorder.recorder import Recorder

    return Recorder(config.recorder, source, Observer(site.pages, (*STAGES[:-1], *CLASS_STAGES)))


def _site(config: Config) -> "Site":
    try:
        return Site(config)
    except OSError as error:  # descriptors, memory
        raise ResourceError(f"the host gives too little: {error.strerror or error}") from None


class Site:
    """What the supervisor makes once and its children inherit.

    Raises:
        ResourceError: the clients' address is not to be had.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        workers = config.cluster.workers
        names = ["supervisor", FEED, *(f"{WORKER}-{n}" for n in range(workers))]
        self._listening = Listening(config.listen, workers)
        first = self._listening.sockets[0]
        scheme = "wss" if config.tls.cert else "ws"
        self.client_url = url(scheme, first, "/v1")
        self.listen = "{}:{}".format(*shown(first))
        self.stats_fds = {name: create_memory(f"tickgate-{name}", STATS_SIZE) for name in names}
        self.pages = {name: StatsPage(fd, writable=False) for name, fd in self.stats_fds.items()}
        self.sampler = statistics.Sampler([*self.pages.values()], SHED)
        self._tickets_fd = create_memory("tickgate-tickets", tls.TICKETS_BYTES)
        self.tickets = tls.TicketKeys(self._tickets_fd)
        self._seats_fd = create_memory("tickgate-seats", PART_BYTES * workers)
        self._seats = Seats(self._seats_fd, -1, workers)
        self._wait_fd = create_memory("tickgate-wait", WAIT_SIZE * workers)
        self._wait = mmap.mmap(self._wait_fd, WAIT_SIZE * workers)
        self._event_fds = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(workers)]

    def __enter__(self) -> "Site":
        return self

    def __exit__(self, *_: object) -> None:
        self.close_listeners()
        self._wait.close()
        self._seats.close()
        for page in self.pages.values():
            page.close()
        pages = (self._wait_fd, self._tickets_fd, self._seats_fd)
        for fd in [*self.stats_fds.values(), *pages, *self._event_fds]:
            os.close(fd)

    def close_listeners(self) -> None:
        """Accepts no more, as far as this process holds the sockets."""
        self._listening.close()

    def read(self) -> dict[str, statistics.Statistics]:
        """What the pages hold, by process."""
        return {name: statistics.read(page) for name, page in self.pages.items()}

    def specs(self) -> list[ChildSpec]:
        """The feed process, then the workers, which are stopped first."""
        config = encoded(self._config)
        feed = FeedStart(
            config=config,
            stats_fd=self.stats_fds[FEED],
            wait_fd=self._wait_fd,
            event_fds=tuple(self._event_fds),
        )
        return [
            ChildSpec(
                role=FEED,
                name=FEED,
                argv=_argv(FEED + "-tls" * any(map(is_live, self._config.feeds))),
                first=feed,
                fds=(feed.stats_fd, feed.wait_fd, *feed.event_fds),
                stamps=partial(_stamps, self.pages[FEED], ("loop_alive_ns",)),
                died=partial(_feed_died, self.stats_fds[FEED], len(self._config.feeds)),
            ),
            *(self._worker_spec(index, config) for index in range(len(self._event_fds))),
        ]

    def _worker_spec(self, index: int, config: msgspec.Raw) -> ChildSpec:
        name = f"{WORKER}-{index}"
        first = WorkerStart(
            config=config,
            index=index,
            stats_fd=self.stats_fds[name],
            wait_fd=self._wait_fd,
            event_fd=self._event_fds[index],
            listen_fd=self._listening.sockets[index].fileno(),
            unix_fd=self._listening.unix_fd,
            tickets_fd=self._tickets_fd if self._config.tls.cert else -1,
            seats_fd=self._seats_fd if self._config.auth.mode != "none" else -1,
        )
        return ChildSpec(
            role=WORKER,
            name=name,
            argv=_argv(WORKER),
            first=first,
            fds=tuple(fd for fd in _descriptors(first) if fd >= 0),
            rank=1,
            stamps=partial(_stamps, self.pages[name], ("loop_alive_ns", "plane_alive_ns")),
            died=partial(self._worker_died, index),
            takes_segments=True,
        )

    def _worker_died(self, index: int) -> None:
        # A feed that may wait for readers must not wait for a dead one.
        self._wait[WAIT_SIZE * index : WAIT_SIZE * (index + 1)] = bytes(WAIT_SIZE)
        self._seats.clear(index)
        page = StatsPage(self.stats_fds[f"{WORKER}-{index}"], writable=True)
        # The page has no other writer now. Its clients are gone without a close frame: what was
        # pending for them is dropped, and what counted them is zero.
        page.add("closes", CLOSE_CODES.index(1006), page.get("connections"))
        for channel in CHANNELS.values():
            page.add("dropped_closed", channel, page.get("pending", channel))
            page.set("pending", channel, 0)
        for gauge in WORKER_GAUGES:
            for place in range(STATS[gauge][1]):
                page.set(gauge, place, 0)
        page.close()


def _channels(config: Config) -> dict[str, int]:
    """Those that there are, with their places in arrays of counters."""
    made = {CANDLES[interval].key for interval in config.candles.intervals}
    return {
        name: number
        for name, number in CHANNELS.items()
        if name not in CANDLE_LENGTHS or name in made
    }


def encoded(config: Config) -> msgspec.Raw:
    """The configuration as messages carry it."""
    return msgspec.Raw(msgspec.json.encode(config))


def _stamps(page: StatsPage, names: Sequence[str]) -> list[int]:
    return [page.get(name) for name in names]


def _feed_died(stats_fd: int, feeds: int) -> None:
    page = StatsPage(stats_fd, writable=True)
    for index in range(feeds):
        page.set("feed_up", index, 0)
    for gauge in GAUGES_OF_TOPICS:
        page.set(gauge)
    page.close()


def _argv(role: str) -> list[str]:
    # -P: a directory that happens to be current must not shadow the installed package.
    return [sys.executable, "-P", "-m", "gateway.process", role]


def _descriptors(first: WorkerStart) -> list[int]:
    return [getattr(first, name) for name in first.__struct_fields__ if name.endswith("_fd")]


def _prepare_host() -> None:
    """Takes what the host gives, and says what it doesn't.

    Raises:
        ResourceError: it is too little: children would end at once, again and again.
    """
    limit = host.raise_descriptor_limit()
    if few := host.too_few_descriptors():
        raise ResourceError(few)
    without = host.denied()
    if needed := [f"{one.call} ({one.why})" for one in without if not one.without]:
        raise ResourceError(f"the host denies {', '.join(needed)}: {host.ALLOW}")
    for one in without:
        _log.warning("host.denied", call=one.call, error=one.why, what=one.without)
    if limit.hard > limit.soft:  # unlimited is -1: nothing is said of it
        _log.info("descriptors.capped", used=limit.soft, allowed=limit.hard)
