"""A child process of `serve`: joins a feed process's or a worker's parts. Started by `app.py`.

A child imports what its role needs and no more: numpy and OpenSSL are 15 MB and 6 MB a process.
"""

import sys

if __name__ == "__main__" and sys.argv[1:2] == ["feed"]:
    # asyncio loads OpenSSL wherever it is installed, and does without where it is not. Live feeds
    # have TLS (`feed-tls`), other feeds none; in a worker uvloop wants the module.
    sys.modules["ssl"] = None  # type: ignore[assignment]

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gateway import host, log
from gateway._native import (
    RingWriter,
    StatsPage,
    forbid_dumps,
    request_slice,
    signal_when_orphaned,
)
from gateway.backoff import Backoff
from gateway.config import Config
from gateway.errors import ConfigurationError, ResourceError, TickgateError
from gateway.model.admin import Ask
from gateway.model.record import CANDLES, CHANNELS_OWN
from gateway.model.status import FeedStatus, Status, WorkerReport
from gateway.supervisor.channel import Channel, Received
from gateway.supervisor.child import Child, refuse
from gateway.supervisor.messages import (
    Failed,
    FeedStart,
    Ready,
    Reload,
    Reopen,
    Report,
    Segment,
    WorkerStart,
    type_of,
)
from gateway.supervisor.watchdog import INTERVAL_S, QUIET_INTERVAL_S, Watchdog

if TYPE_CHECKING:
    from gateway.feeds.feed import Feed

SLICE_NS = 100_000
"""Scheduler slice of the feed process: beside a busy thread on its core, wake-ups take 60 us at p99
instead of 1.9 ms."""
STATUS_INTERVAL_S = 1.0
BEGIN_S: Final = 2.0
"""A feed that takes longer to begin keeps nobody from the others."""
BEGIN_LOOK_S: Final = 0.005
CANDLES_INTERVAL_S = 0.05
"""Between two looks at what of candles is due: they close half a second after their end."""
HEALTH_INTERVAL_S = 0.25
"""Between two rounds of looks at instruments: GW_CONDITION_LOOK_NS."""
DISCONNECTED: Final = ("down", "reconnecting", "failed", "done")
"""States of a feed of which nothing more comes: its instruments are `stale`."""
ASKS_MAX: Final = 16
"""Questions of operators that wait for one another."""
BRIEF_CHARACTERS = 100
"""Of a feed's message in a status that is too long for one message."""

_log = log.get("app")


def main(argv: Sequence[str]) -> int:
    """`python -P -m gateway.process feed|feed-tls|worker FD`; FD is its control channel."""
    _, control_fd = argv
    # One that is stopped would stay for ever: the end of its supervisor lets it go on, and end.
    signal_when_orphaned(signal.SIGCONT)
    child = Child(Channel(socket.socket(fileno=int(control_fd))))
    first = child.first
    try:
        config = msgspec.json.decode(first.config, type=Config)
    except msgspec.MsgspecError as error:  # of another version than its supervisor
        why = f"the configuration that it was given: {error}"
        return _failed(child, why, ConfigurationError.exit_code)
    name = f"worker-{first.index}" if isinstance(first, WorkerStart) else "feed"
    handler = _configure_log(name, config)
    try:
        if few := host.too_few_descriptors():  # lowered since the supervisor looked
            return _failed(child, few)
        if isinstance(first, WorkerStart):
            import uvloop

            return uvloop.run(_run(child, handler, partial(_worker, child, first, config)))
        request_slice(SLICE_NS)
        return asyncio.run(_run(child, handler, partial(_feed, child, first, config)))
    except ConfigurationError as error:  # a file that it names has changed since
        return _failed(child, str(error), error.exit_code)
    except Exception as error:
        if little := host.too_little(error):
            return _failed(child, little)
        _log.exception("process.crashed")
        return 1
    finally:
        handler.stop()


def _failed(child: Child, why: str, exit_code: int = ResourceError.exit_code) -> int:
    """Tells the supervisor, which ends where this is the first start: the next would fail too."""
    child.channel.send(Failed(exit=exit_code, message=why))
    return exit_code


def _configure_log(name: str, config: Config) -> log.LogHandler:
    style, level = config.log.format, config.log.level
    try:
        return log.configure(name, style, level, file=config.log.file)
    except OSError as error:  # the supervisor could open it: a full table, a changed directory
        handler = log.configure(name, style, level)
        _log.error("log.not_opened", file=config.log.file, error=error.strerror)
        return handler


async def _run(
    child: Child,
    handler: log.LogHandler,
    work: Callable[[StatsPage, "Inbox", Watchdog], Coroutine[Any, Any, int]],
) -> int:
    """What all children do beside their work: listen to the supervisor and show signs of life."""
    stats = StatsPage(child.first.stats_fd, writable=True)
    inbox = Inbox(handler)
    interval_s = INTERVAL_S if isinstance(child.first, WorkerStart) else QUIET_INTERVAL_S
    with Watchdog(stats, dropped_logs=lambda: handler.dropped, interval_s=interval_s) as watchdog:
        signal.signal(signal.SIGCONT, watchdog.continued)
        listening = asyncio.create_task(child.listen(inbox.take))
        try:
            return await work(stats, inbox, watchdog)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


class Inbox:
    """What the supervisor sends a child while it runs."""

    def __init__(self, handler: log.LogHandler) -> None:
        self._handler = handler
        self.configs: asyncio.Queue[Config] = asyncio.Queue(maxsize=1)
        self.segments: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self.asks: asyncio.Queue[Ask] = asyncio.Queue(maxsize=ASKS_MAX)
        self._report: Callable[[str, str], None] | None = None

    def take(self, received: Received) -> None:
        """Puts a message where its reader waits."""
        match received:
            case Received(Segment(epoch=epoch), (fd,)):
                self.segments.put_nowait((epoch, fd))
            case Received(Reload(config=config)):
                self._reload(config)
            case Received(Ask() as ask) if not self.asks.full():
                self.asks.put_nowait(ask)
            case Received(Reopen()):
                log.reopen(self._handler)
            case Received(Report(channel=channel, text=text)) if channel in CHANNELS_OWN:
                if self._report is not None:  # a worker that has not begun has no clients
                    self._report(channel, text)
            case Received(message):
                refuse(type_of(message), "it is not for this process")

    def _reload(self, encoded: msgspec.Raw) -> None:
        try:
            config = msgspec.json.decode(encoded, type=Config)
        except msgspec.MsgspecError as error:
            refuse("reload", str(error))
            return
        log.set_level(config.log.level)
        if self.configs.full():  # a feed process takes none; whoever does needs the newest
            self.configs.get_nowait()
        self.configs.put_nowait(config)

    def reports(self, take: Callable[[str, str], None]) -> None:
        """Has what the gateway says of itself given to `take`, as (channel, text)."""
        self._report = take


def _say_ready(child: Child, watchdog: Watchdog) -> None:
    # What the start has made lives as long as the process: no collection need look at it again.
    gc.collect()
    gc.freeze()
    watchdog.ready()
    child.channel.send(Ready())


async def _worker(
    child: Child,
    first: WorkerStart,
    config: Config,
    stats: StatsPage,
    inbox: Inbox,
    watchdog: Watchdog,
) -> int:
    from gateway.audit.audit import Audit
    from gateway.feeds.options import venues
    from gateway.server import worker
    from gateway.server.parts import WorkerParts

    audit = Audit(f"worker-{first.index}", config.audit, count=stats.add)
    if config.tls.cert:
        forbid_dumps()  # there will be keys in its memory
    await worker.run(
        WorkerParts(
            index=first.index,
            config=config,
            venues=venues(config.feeds),
            listen_socket=socket.socket(fileno=first.listen_fd),
            unix_socket=socket.socket(fileno=first.unix_fd) if first.unix_fd >= 0 else None,
            tickets_fd=first.tickets_fd,
            seats_fd=first.seats_fd,
            stats=stats,
            wait_fd=first.wait_fd,
            event_fd=first.event_fd,
            segments=inbox.segments,
            configs=inbox.configs,
            reports=inbox.reports,
            drain=child.drain,
            window_ms=lambda: child.window_ms,
            asks=inbox.asks,
            answer=child.channel.deliver,
            ready=partial(_say_ready, child, watchdog),
            status=lambda report: _send_status(child, watchdog, worker=report),
            audit=audit,
            stalled=partial(watchdog.note, "plane"),
        )
    )
    audit.close()
    return 0


async def _feed(
    child: Child,
    first: FeedStart,
    config: Config,
    stats: StatsPage,
    _: Inbox,
    watchdog: Watchdog,
) -> int:
    from gateway.feeds.build import build

    writer = RingWriter(
        config.ring.capacity_bytes,
        config.ring.topics_max,
        wait_fd=first.wait_fd,
        event_fds=first.event_fds,
        stats=stats,
        populate=config.memory.populate == "start",
        candles=[CANDLES[interval].key for interval in config.candles.intervals],
        candles_max=config.candles.instruments_max,
        candles_update_ns=config.candles.update_ms * 1_000_000,
        book_levels_max=config.ring.book_levels_max,
    )
    try:
        feeds = build(config.feeds, writer, stats)
    except TickgateError as error:
        await child.channel.deliver(Failed(exit=error.exit_code, message=str(error)))
        return error.exit_code
    await child.channel.deliver(Segment(epoch=writer.epoch), [writer.fd])
    tasks = [asyncio.create_task(_keep_feed(feed, stats)) for feed in feeds]
    tasks.append(asyncio.create_task(_keep_health(writer, feeds)))
    if config.candles.intervals:
        tasks.append(asyncio.create_task(_keep_candles(writer)))
    await until_begun(child.drain, feeds)
    # Who asks once this is ready is told of the feeds.
    _send_status(child, watchdog, feeds=[feed.statistics() for feed in feeds])
    _say_ready(child, watchdog)
    while not child.drain.is_set():
        _send_status(child, watchdog, feeds=[feed.statistics() for feed in feeds])
        with suppress(TimeoutError):
            await asyncio.wait_for(child.drain.wait(), STATUS_INTERVAL_S)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    writer.close()
    return 0


async def until_begun(drain: asyncio.Event, feeds: "Sequence[Feed]") -> None:
    """Waits until each feed is up, or says why not: the first client finds their names, and is not
    told of feeds that are down."""
    for _ in range(round(BEGIN_S / BEGIN_LOOK_S)):
        if drain.is_set() or all(one.statistics().state != "connecting" for one in feeds):
            return
        await asyncio.sleep(BEGIN_LOOK_S)


async def _keep_candles(writer: RingWriter) -> None:
    """Closes candles by the clock, and tells those that trades have changed meanwhile."""
    while True:
        left = writer.candles_step()
        await asyncio.sleep(0 if left else CANDLES_INTERVAL_S)


async def _keep_health(writer: RingWriter, feeds: "Sequence[Feed]") -> None:
    """Looks at how instruments do, and tells those of which it is another."""
    untold = 0
    while True:
        down = [feed.index for feed in feeds if feed.statistics().state in DISCONNECTED]
        left, unheard = writer.health_step(down)
        if unheard and not untold:
            _log.error("health.full", message="no topic of health is left", count=unheard)
        untold += unheard
        await asyncio.sleep(0 if left else HEALTH_INTERVAL_S)


async def _keep_feed(feed: "Feed", stats: StatsPage) -> None:
    """Runs a feed until it is done; one that dies is started again."""
    backoff = Backoff(0.1, 5.0, least=0.5)
    while True:
        try:
            await feed.run()
            return
        except Exception:
            delay_s = backoff.next_s()
            _log.exception("feed.died", feed=feed.name, restart_in_s=round(delay_s, 2))
            stats.set("feed_up", feed.index, 0)
        await asyncio.sleep(delay_s)


def _send_status(
    child: Child,
    watchdog: Watchdog,
    *,
    worker: WorkerReport | None = None,
    feeds: Sequence[FeedStatus] = (),
) -> None:
    status = Status(vitals=watchdog.report(), worker=worker, feeds=tuple(feeds))
    try:  # one lost to a full buffer is made good by the next
        child.channel.send(status)
    except ValueError:  # it is too long for one message
        child.channel.send(msgspec.structs.replace(status, feeds=tuple(map(brief, feeds))))


def brief(feed: FeedStatus) -> FeedStatus:
    """A feed's status without what names of 64 feeds could make longer than a message may be.

    The log has it: what was refused last, and all of a long message.
    """
    return msgspec.structs.replace(
        feed,
        message=feed.message[:BRIEF_CHARACTERS],
        refused=msgspec.UNSET,
        refused_symbols=msgspec.UNSET,
        last_refused=None,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
