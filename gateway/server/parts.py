"""What a worker process is given to work with; `process.py` fills it."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.audit.audit import Audit
from gateway.dialects.dialect import Dialect
from gateway.dialects.tickgate import TICKGATE

if TYPE_CHECKING:
    from gateway._native import StatsPage
    from gateway.config import Config
    from gateway.model.admin import Answer, Ask
    from gateway.model.status import WorkerReport
    from gateway.model.topic import ClosedList


async def _say_nothing(_: "Answer") -> None:
    """Where nobody asks."""


@dataclass(frozen=True)
class WorkerParts:
    """The parts of one worker.

    Attributes:
        index: which of the workers this is; also its wait page.
        config: the whole configuration.
        venues: every configured venue; of one whose list of instruments is closed, that list.
        listen_socket: bound, listening, non-blocking.
        unix_socket: the same for clients of this host, where there is one.
        tickets_fd: the page of ticket keys (`gateway.tls`); -1: there is no TLS.
        seats_fd: memory where all workers count identities' connections; -1: it is alone.
        stats: this process's statistics page. The loop's stamps and lag are written for it.
        wait_fd: memory of all workers' wait pages.
        event_fd: rung by the feed process.
        segments: (epoch, descriptor) of each segment to follow, newest last; the worker closes it.
        configs: the newest configuration that takes this one's place.
        reports: to be told who takes what the gateway says of itself, as (channel, text): it comes
            while `status` says that somebody follows.
        drain: set when the worker shall say shutdown and 1012 to all, and return.
        window_ms: over how long they shall come back then; 0: as the worker thinks.
        asks: what operators want to know of its clients, or done to them.
        answer: takes what there is to say to an ask.
        ready: to be called once, when the listener accepts and the plane runs.
        status: sends a report for /statusz; to be called about once a second; may lose one.
        dialects: those that clients may speak.
        audit: told who comes, what they ask for, and how they leave.
        stalled: to be told when the data plane stood still: for how long in ns, and why in words.
    """

    index: int
    config: "Config"
    venues: "Mapping[str, ClosedList | None]"
    listen_socket: socket.socket
    stats: "StatsPage"
    wait_fd: int
    event_fd: int
    segments: asyncio.Queue[tuple[str, int]]
    configs: "asyncio.Queue[Config]"
    reports: Callable[[Callable[[str, str], None]], None]
    drain: asyncio.Event
    ready: Callable[[], None]
    status: "Callable[[WorkerReport], None]"
    dialects: Sequence[Dialect] = (TICKGATE,)
    audit: Audit = field(default_factory=lambda: Audit("worker"))
    window_ms: Callable[[], int] = lambda: 0
    asks: "asyncio.Queue[Ask]" = field(default_factory=asyncio.Queue)
    answer: "Callable[[Answer], Awaitable[None]]" = _say_nothing
    stalled: Callable[[int, str], None] = lambda _duration_ns, _words: None
    unix_socket: socket.socket | None = None
    tickets_fd: int = -1
    seats_fd: int = -1
