"""A child process of `serve`: joins a feed process's or a worker's parts. Started by `app.py`.

A child imports what its role needs and no more: numpy and OpenSSL are 15 MB and 6 MB a process.
"""

import sys

if __name__ == "__main__" and sys.argv[1:2] == ["feed"]:
    # asyncio loads OpenSSL wherever it is installed, and does without where it is not. No feed has
    # TLS; in a worker uvloop wants the module.
    sys.modules["ssl"] = None  # type: ignore[assignment]

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from gateway import host, log
from gateway._native import RingWriter, StatsPage, request_slice, signal_when_orphaned
from gateway.backoff import Backoff
from gateway.config import Config
from gateway.errors import ResourceError, TickgateError
from gateway.model.record import CHANNELS_OWN
from gateway.supervisor.channel import Channel, Message, fits
from gateway.supervisor.child import Child
from gateway.supervisor.watchdog import INTERVAL_S, QUIET_INTERVAL_S, Watchdog

if TYPE_CHECKING:
    from gateway.feeds.feed import Feed

SLICE_NS = 100_000
"""Scheduler slice of the feed process: beside a busy thread on its core, wake-ups take 60 us at p99
instead of 1.9 ms."""
STATUS_INTERVAL_S = 1.0
BRIEF_CHARACTERS = 100
"""Of each text in a status that is too long for one message."""

_log = log.get("app")


def main(argv: Sequence[str]) -> int:
    """`python -P -m gateway.process feed|worker FD`; FD is its control channel."""
    role, control_fd = argv
    # One that is stopped would stay for ever: the end of its supervisor lets it go on, and end.
    signal_when_orphaned(signal.SIGCONT)
    child = Child(Channel(socket.socket(fileno=int(control_fd))))
    first = child.first
    config = msgspec.convert(first["config"], Config)
    name = f"{role}-{first['index']}" if role == "worker" else role
    handler = _configure_log(name, config)
    try:
        if few := host.too_few_descriptors():  # lowered since the supervisor looked
            return _failed(child, few)
        if role == "worker":
            import uvloop

            return uvloop.run(_run(child, handler, partial(_worker, child, config)))
        request_slice(SLICE_NS)
        return asyncio.run(_run(child, handler, partial(_feed, child, config)))
    except Exception as error:
        if little := host.too_little(error):
            return _failed(child, little)
        _log.exception("process.crashed")
        return 1
    finally:
        handler.stop()


def _failed(child: Child, why: str) -> int:
    """Tells the supervisor, which ends where this is the first start: the next would fail too."""
    exit_code = ResourceError.exit_code
    child.channel.send({"type": "failed", "exit": exit_code, "message": why})
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
    stats = StatsPage(child.first["stats_fd"], writable=True)
    inbox = Inbox(handler)
    interval_s = INTERVAL_S if "index" in child.first else QUIET_INTERVAL_S
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
        self.reports: dict[str, asyncio.Queue[str]] = {
            channel: asyncio.Queue(maxsize=1) for channel in CHANNELS_OWN
        }

    def take(self, message: Message) -> None:
        """Puts a message where its reader waits."""
        if message.type == "segment":
            self.segments.put_nowait((str(message.body["epoch"]), message.fds[0]))
        elif message.type == "reload":
            config = msgspec.convert(message.body["config"], Config)
            log.set_level(config.log.level)
            if self.configs.full():  # a feed process takes none; whoever does needs the newest
                self.configs.get_nowait()
            self.configs.put_nowait(config)
        elif message.type == "reopen":
            log.reopen(self._handler)
        elif (reports := self.reports.get(message.type)) is not None:
            # Each tells everything: whoever comes late needs the newest alone.
            if reports.full():
                reports.get_nowait()
            reports.put_nowait(str(message.body["text"]))


def _say_ready(child: Child, watchdog: Watchdog) -> None:
    # What the start has made lives as long as the process: no collection need look at it again.
    gc.collect()
    gc.freeze()
    watchdog.ready()
    child.channel.send({"type": "ready"})


async def _worker(
    child: Child, config: Config, stats: StatsPage, inbox: Inbox, watchdog: Watchdog
) -> int:
    from gateway.feeds.options import venues
    from gateway.server import worker
    from gateway.server.parts import WorkerParts

    first = child.first
    await worker.run(
        WorkerParts(
            index=first["index"],
            config=config,
            venues=venues(config.feeds),
            listen_socket=socket.socket(fileno=first["listen_fd"]),
            stats=stats,
            wait_fd=first["wait_fd"],
            event_fd=first["event_fd"],
            segments=inbox.segments,
            configs=inbox.configs,
            reports=inbox.reports,
            drain=child.drain,
            ready=partial(_say_ready, child, watchdog),
            status=partial(_send_status, child, watchdog),
            stalled=partial(watchdog.note, "plane"),
        )
    )
    return 0


async def _feed(
    child: Child, config: Config, stats: StatsPage, _: Inbox, watchdog: Watchdog
) -> int:
    from gateway.feeds.build import build

    first = child.first
    writer = RingWriter(
        config.ring.capacity_bytes,
        config.ring.topics_max,
        wait_fd=first["wait_fd"],
        event_fds=first["event_fds"],
        stats=stats,
        populate=config.memory.populate == "start",
    )
    try:
        feeds = build(config.feeds, writer, stats)
    except TickgateError as error:
        failed = {"type": "failed", "exit": error.exit_code, "message": str(error)}
        await child.channel.deliver(failed)
        return error.exit_code
    await child.channel.deliver({"type": "segment", "epoch": writer.epoch}, [writer.fd])
    tasks = [asyncio.create_task(_keep_feed(feed, stats)) for feed in feeds]
    _say_ready(child, watchdog)
    while not child.drain.is_set():
        _send_status(
            child, watchdog, {"feeds": [msgspec.to_builtins(f.statistics()) for f in feeds]}
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(child.drain.wait(), STATUS_INTERVAL_S)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    writer.close()
    return 0


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


def _send_status(child: Child, watchdog: Watchdog, body: Mapping[str, Any]) -> None:
    message = {**body, **watchdog.report(), "type": "status"}
    if not fits(message):
        message["feeds"] = brief(body.get("feeds", ()))
    # One lost to a full buffer is made good by the next.
    child.channel.send(message)


def brief(feeds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Feeds' statuses without what names of 64 feeds could make longer than a message may be.

    The log has it: what was refused last, and all of a long message.
    """
    return [
        {
            name: value[:BRIEF_CHARACTERS] if isinstance(value, str) else value
            for name, value in one.items()
            if not isinstance(value, dict)
        }
        for one in feeds
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
