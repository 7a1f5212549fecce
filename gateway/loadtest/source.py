"""The source of a load test's ticks, as a process of its own: `python -m gateway.loadtest.source`.

It reads a `SourceJob` (a line of JSON) from standard input, connects, makes its schedule and says
`ready`. Then it reads the start, CLOCK_REALTIME nanoseconds, from a second line, unless the job had
it. When the schedule is over, or at SIGTERM once it began, its `SourceReport` (a line of JSON) is
the last line. Who closes standard input or sends SIGTERM before ends it without one.

A thread of its own sends, mostly without the interpreter's lock; the main thread makes the next
chunks of the schedule meanwhile.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from queue import Queue
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct, field

from gateway._native import HDR_COUNTS, TickSource, request_slice
from gateway.errors import TickgateError
from gateway.latency.histogram import Histogram
from gateway.loadtest.profiles import symbol_names
from gateway.loadtest.scenario import Source
from gateway.loadtest.schedule import Chunk, Int64s, Schedule, counts
from gateway.options import Port

CHUNKS_AHEAD: Final = 2
"""A second or so of schedule that is ready when it is due."""

SLICE_NS: Final = 100_000
"""Slice of the sending thread: it shares its core with clients, and wakes up beside them."""

LINE_BYTES_MAX: Final = 4 << 20
"""A job names at most 30,000 symbols."""

Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class SourceJob(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the process does.

    Attributes:
        host, port: where the ticks go.
        transport: the gateway's `udp` feed, or a NATS server.
        subject_prefix: of the NATS subjects, which go on with the symbol.
        source: which ticks come, and when.
        symbols: as they stand in the ticks, without the venue; empty: those of the scenario.
        warmup_s, duration_s, cooldown_s: the schedule's parts; only the second one is reported.
        start_ns: when the schedule starts, CLOCK_REALTIME; 0: the next line says it.
        batch_bytes_max, spin: see `gateway._native.TickSource`.
    """

    host: str = "127.0.0.1"
    port: Port
    transport: Literal["udp", "nats"] = "udp"
    subject_prefix: str = ""
    source: Source = Source()
    symbols: list[str] = field(default_factory=list)
    warmup_s: Seconds
    duration_s: Seconds
    cooldown_s: Seconds = 0.0
    start_ns: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0
    batch_bytes_max: int = 1400
    spin: bool = False


class SourceReport(Struct, frozen=True, kw_only=True):
    """What the source did inside the window.

    Attributes:
        intended: by channel, then symbol: ticks whose time came. All that the schedule has in the
            window, unless the process was told to stop.
        sent: how many of them the kernel took.
        bytes, send_calls: what they took.
        errors: system calls that failed: mostly, nobody listens.
        late: counts of a histogram, (index, count) where they are not zero: sent - intended.
        late_sum_ns, late_saturated: as `Histogram` has them.
        cpu_ns: CPU time of the sending thread.
        clock_steps: times that the wall clock was stepped, warm-up included.
        complete: the schedule ran to its end.
        failed: why it could not go on, or empty.
    """

    intended: dict[str, list[int]]
    sent: int = 0
    bytes: int = 0
    send_calls: int = 0
    errors: int = 0
    late: list[tuple[int, int]] = field(default_factory=list)
    late_sum_ns: int = 0
    late_saturated: int = 0
    cpu_ns: int = 0
    clock_steps: int = 0
    complete: bool = False
    failed: str = ""

    @property
    def lateness(self) -> Histogram:
        """When a tick was sent minus when it was due."""
        dense = np.zeros(HDR_COUNTS, dtype=np.uint64)
        for index, count in self.late:
            dense[index] = count
        return Histogram(dense, self.late_sum_ns, self.late_saturated)


_Reading = tuple[dict[str, int], Histogram]
"""The native source's counters, and how late it was, so far."""


class Sender:
    """Sends a schedule; `run` in the main thread, `stop` from anywhere."""

    def __init__(self, job: SourceJob) -> None:
        """Connects, and reads the capture if there is one.

        Raises:
            OSError: no such host, or the NATS server is not there or refuses.
            ValueError: a symbol, or another value of the job, is out of bounds.
            ScenarioError: the capture is of no use.
        """
        symbols = job.symbols or [
            name.rpartition(".")[0] for name in symbol_names(job.source.symbols)
        ]
        if len(symbols) != job.source.symbols:
            raise ValueError(f"{len(symbols)} symbols; source.symbols is {job.source.symbols}")
        self._schedule = Schedule(
            job.source,
            warmup_s=job.warmup_s,
            duration_s=job.duration_s,
            cooldown_s=job.cooldown_s,
        )
        self._intended: dict[str, Int64s] = {
            name: np.zeros(len(symbols), dtype=np.int64) for name in job.source.channels
        }
        self._native = TickSource(
            job.host,
            job.port,
            symbols=symbols,
            transport=job.transport,
            subject_prefix=job.subject_prefix,
            batch_bytes_max=job.batch_bytes_max,
            spin=job.spin,
        )
        self._missed: list[Chunk] = []
        self._before: _Reading | None = None
        self._after: _Reading | None = None
        self._parent = os.getppid()
        self._stopping = False
        self._failed = ""

    def run(self, start_ns: int) -> SourceReport:
        """Sends all of it, from this CLOCK_REALTIME moment on, or until `stop`."""
        queue: Queue[Chunk | None] = Queue(CHUNKS_AHEAD)
        thread = threading.Thread(target=self._send_all, args=(queue, start_ns), name="sender")
        thread.start()
        for chunk in self._schedule.chunks():
            self._count(chunk, 1)  # Here, as the sender has no time for it.
            queue.put(chunk)
            if os.getppid() != self._parent:  # Who asked is gone.
                self.stop()
            if self._stopping or self._failed:
                break
        queue.put(None)
        thread.join()
        return self._report()

    def stop(self) -> None:
        """Ends `run` within a tenth of a second or so."""
        self._stopping = True
        self._native.stop()

    def _send_all(self, queue: Queue[Chunk | None], start_ns: int) -> None:
        request_slice(SLICE_NS)
        while (chunk := queue.get()) is not None:
            done = 0
            try:
                if not self._failed:
                    done = self._send(chunk, start_ns)
            except OSError as error:
                self._failed = str(error)
            if done < len(chunk.due_ns):
                self._missed.append(chunk.part(done, len(chunk.due_ns)))

    def _send(self, chunk: Chunk, start_ns: int) -> int:
        """How many rows had their turn. Takes a reading at both ends of the window."""
        (first, end), rows = self._window(chunk), len(chunk.due_ns)
        done = self._native.send(*_at(chunk.part(0, first), start_ns))
        if done < first or first == rows:
            return done
        self._before = self._before or self._reading()
        done += self._native.send(*_at(chunk.part(first, end), start_ns))
        if done < end or end == rows:
            return done
        self._after = self._after or self._reading()
        return done + self._native.send(*_at(chunk.part(end, rows), start_ns))

    def _window(self, chunk: Chunk) -> tuple[int, int]:
        """The first row of the window, and the first one after it."""
        first, end = np.searchsorted(chunk.due_ns, self._schedule.window_ns).tolist()
        return first, end

    def _count(self, chunk: Chunk, sign: int) -> None:
        inside = chunk.part(*self._window(chunk))
        for name, part in counts(inside, list(self._intended), self._schedule.symbols).items():
            self._intended[name] += sign * part

    def _reading(self) -> _Reading:
        counters = self._native.counters()
        saturated = counters.pop("late_saturated")
        sum_ns = counters.pop("late_sum_ns")
        return counters, Histogram(self._native.counts(), sum_ns, saturated)

    def _report(self) -> SourceReport:
        for chunk in self._missed:
            self._count(chunk, -1)
        last = self._reading()
        counters, late = self._after or last
        before, late_before = self._before or (counters, late)
        late = late.subtract(late_before)
        used = np.flatnonzero(late.counts)
        return SourceReport(
            intended={name: counts.tolist() for name, counts in self._intended.items()},
            **{
                name: counters[name] - before[name]
                for name in ("sent", "bytes", "send_calls", "errors", "cpu_ns")
            },
            late=list(zip(used.tolist(), late.counts[used].tolist(), strict=True)),
            late_sum_ns=late.sum_ns,
            late_saturated=late.saturated,
            clock_steps=last[0]["clock_steps"],
            complete=not self._stopping and not self._failed,
            failed=self._failed,
        )


def _at(chunk: Chunk, start_ns: int) -> Chunk:
    return chunk._replace(due_ns=chunk.due_ns + start_ns)


def _read_line() -> bytes:
    line = sys.stdin.buffer.readline(LINE_BYTES_MAX)
    if not line:
        raise ValueError("standard input ended")
    return line


def _on_signals(handler: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: handler())


def main() -> int:
    """The process; its exit code: 1 where the report says `failed`, 2 for a bad job."""
    _on_signals(sys.exit)
    try:
        job = msgspec.json.decode(_read_line(), type=SourceJob)
        sender = Sender(job)
        print("ready", flush=True)
        start_ns = job.start_ns or int(_read_line())
    except (OSError, ValueError, TickgateError) as error:
        print(f"tickgate source: {error}", file=sys.stderr)
        return 2
    _on_signals(sender.stop)  # From here on a report is owed.
    gc.collect()
    gc.freeze()
    gc.disable()  # A collection would hold the lock that the sender needs between two chunks.
    report = sender.run(start_ns)
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.flush()
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
