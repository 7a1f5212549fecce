"""Messages between a load test and its processes, over an inherited socket.

A process starts, gets a `Job`, says `Opened` when its clients are connected, waits for `Go`, and
then tells its `Progress` on a grid of moments that is the same for all of them, and what it found
at the end (`Final`). Arrays go as their bytes; of a histogram only the counts that are not zero.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Connection, Pipe
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np
from msgspec import Struct, field

from gateway._native import HDR_COUNTS
from gateway.latency.histogram import Counts, Histogram

if TYPE_CHECKING:
    from gateway.loadtest.source import SourceJob

PROGRESS_INTERVAL_NS = 500_000_000


class Sparse(Struct, frozen=True, array_like=True):
    """A histogram: where its counts are not zero (int32), how many there (uint64), and totals."""

    at: bytes = b""
    counts: bytes = b""
    sum_ns: int = 0
    saturated: int = 0
    negative: int = 0

    @classmethod
    def of(
        cls, counts: Counts, *, sum_ns: int = 0, saturated: int = 0, negative: int = 0
    ) -> Sparse:
        """What is not zero of `counts`."""
        at = np.flatnonzero(counts)
        kept = counts[at].astype(np.uint64).tobytes()
        return cls(at.astype(np.int32).tobytes(), kept, sum_ns, saturated, negative)

    def add_to(self, counts: Counts) -> None:
        """Adds these counts to `counts`, in place."""
        counts[np.frombuffer(self.at, np.int32)] += np.frombuffer(self.counts, np.uint64)

    def histogram(self) -> Histogram:
        """The same with all its zeros."""
        return summed([self])


def summed(parts: Iterable[Sparse]) -> Histogram:
    """All of them together."""
    counts = np.zeros(HDR_COUNTS, dtype=np.uint64)
    sum_ns = saturated = negative = 0
    for part in parts:
        part.add_to(counts)
        sum_ns += part.sum_ns
        saturated += part.saturated
        negative += part.negative
    return Histogram(counts, sum_ns, saturated, negative)


class Job(Struct, frozen=True, tag="job"):
    """What a process's swarm is made of: see `gateway._native.Swarm`, whose names these are."""

    targets: list[tuple[str, int, bytes]]
    accept: bytes
    groups: list[dict[str, int]]
    texts: list[bytes]
    clients: bytes  # int32, three a client: group, target, text
    stamp_kind: str
    stamp_arg: bytes | int
    sources: list[str] = field(default_factory=list)
    connect_rate: int = 0
    clock_offset_ns: int = 0
    hash_key: bytes = b""
    open_timeout_ns: int = 60_000_000_000
    tls_hosts: list[str] = field(default_factory=list)


class Opened(Struct, frozen=True, tag="opened"):
    """As many clients are connected as will be; of the others, why not and how often."""

    clients: int
    took_ns: int
    refusals: dict[str, int] = field(default_factory=dict)


class Go(Struct, frozen=True, tag="go"):
    """The moments of the run, CLOCK_REALTIME.

    Attributes:
        at_ns: when the groups' own clocks start.
        start_ns: the window's start, by the clock that stamps.
        end_ns: its end.
        until_ns: the end of grace period and cool-down, when the process stops, by its own clock.
    """

    at_ns: int
    start_ns: int
    end_ns: int
    until_ns: int


class Stop(Struct, frozen=True, tag="stop"):
    """Ends the run now: what there is becomes the `Final`."""


class Progress(Struct, frozen=True, tag="progress"):
    """What came since the moment before; `tick` is the index of this one in `moments`."""

    tick: int
    counters: dict[str, int]  # sums over the measured groups; `open`: over all
    ages: dict[int, Sparse]  # of each measured group


class Final(Struct, frozen=True, tag="final"):
    """All that a process has found.

    Attributes:
        counters: of each group.
        histograms: by name, of each group.
        load: the driving thread's own load inside the window, and how long the process stood still.
        ticks: rows of key, first ns, last ns, deliveries (uint64).
        tick_mask: which keys the rows are a sample of.
        refused: kind, code, message and how often, of what the server refused.
    """

    counters: list[dict[str, int]]
    histograms: dict[str, list[Sparse]]
    load: dict[str, int]
    ticks: bytes
    tick_mask: int
    refused: list[tuple[str, str, str | None, int]] = field(default_factory=list)


class Failed(Struct, frozen=True, tag="failed"):
    """The process can't go on."""

    why: str


Message = Job | Opened | Go | Stop | Progress | Final | Failed


def moments(go: Go) -> list[int]:
    """When processes tell their progress (CLOCK_REALTIME ns): the same moments for all of them.

    Both ends of the window are among them, and the last one is the end of the run.
    """
    step = PROGRESS_INTERVAL_NS
    warming = [go.start_ns, *range(go.start_ns - step, go.at_ns, -step)]
    window = range(go.start_ns + step, go.end_ns, step)
    grace = range(go.end_ns, go.until_ns, step)
    return [*reversed(warming), *window, *grace, go.until_ns]


class Link:
    """One end of a link. Messages are small or rare: both sides may block for them."""

    _decoder: ClassVar[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)

    def __init__(self, connection: Connection[bytes, bytes]) -> None:
        self._connection = connection

    @classmethod
    def pair(cls) -> tuple[Link, Connection[bytes, bytes]]:
        """Our end, and the connection whose descriptor a child inherits."""
        ours, theirs = Pipe(duplex=True)
        return cls(ours), theirs

    @classmethod
    def inherited(cls, fd: int) -> Link:
        """The end that a parent has handed down; not inherited further."""
        os.set_inheritable(fd, False)
        return cls(Connection(fd))

    def send(self, message: Message | SourceJob) -> None:
        """Sends one message.

        Raises:
            OSError: the other side is gone.
        """
        self._connection.send_bytes(msgspec.msgpack.encode(message))

    def poll(self, timeout_s: float) -> bool:
        """Whether a message, or the end, is there within this time."""
        return self._connection.poll(max(0.0, timeout_s))

    def receive(self) -> Message | None:
        """The next message; None: the other side is gone."""
        try:
            return self._decoder.decode(self._connection.recv_bytes())
        except (EOFError, ConnectionError):
            return None

    def fileno(self) -> int:
        """Readable while a message is there, or the end."""
        return self._connection.fileno()

    def close(self) -> None:
        self._connection.close()


def total(counters: list[dict[str, int]]) -> dict[str, int]:
    """Sums over groups."""
    names: Mapping[str, Any] = counters[0] if counters else {}
    return {name: sum(group[name] for group in counters) for name in names}
