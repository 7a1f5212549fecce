"""A process watched from inside: its loop's stamps and lag, its collections, its stalls by name.

A timer on the loop stamps `loop_alive_ns`, by which the supervisor sees a hang, and takes a `Beat`
(`latency/stalls.py` says what a late one means). Once a second what changes slowly is written too.
What costs little is counted always, so that a stall explains itself without a tool being attached:
two clock readings a collection, two readings of the kernel's accounts a turn.

A turn every 50 ms costs about 3 ms of CPU a second in a virtual machine, half of it for waking an
idle processor up. It can't be rarer without missing callbacks that wait for 50 ms, which use no CPU
and so leave no other trace.
"""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from gateway import log
from gateway.latency.stalls import (
    KINDS,
    LATE_NS,
    RECENT_MAX,
    Beat,
    Judge,
    Kind,
    Stall,
    WallClock,
)
from gateway.model.status import Load, Vitals
from gateway.supervisor.schedstat import ProcessRunDelay, Stolen, ThreadTimes

INTERVAL_S = 0.05
"""How often a loop stamps that it turns: a pause of twice that can't pass for less than 50 ms."""
QUIET_INTERVAL_S = 0.25
"""For loops that serve no client: a process stopped for 300 ms is seen."""
LOOK_NS = 1_000_000_000
"""How often what changes slowly is written."""
LONGEST_NS = 5_000_000_000
"""`loop_lag_ns` and `gc_pause_max_ns` show the longest of the last one to two such windows."""
LINE_NS = 1_000_000_000
"""At most one log line of a kind in so long; the next one says how many there were between."""
BRACKET_NS = 1_000_000
"""Clocks read further apart than this are not of one moment: somebody else had the CPU."""

_log = log.get("watchdog")


class Page(Protocol):
    """What is used of the process's statistics page."""

    def add(self, name: str, index: int = 0, n: int = 1) -> None: ...
    def set(self, name: str, index: int = 0, value: int = 0) -> None: ...
    def get(self, name: str, index: int = 0) -> int: ...


class Collections:
    """Counts garbage collections while it is hooked in; they may be on any thread.

    Attributes:
        pauses: by generation.
        total_ns: time spent in them.
        longest_ns: of those since somebody set it back.
    """

    def __init__(self) -> None:
        self.pauses = [0, 0, 0]
        self.total_ns = 0
        self.longest_ns = 0
        self._started_ns = 0

    def __call__(self, phase: str, info: Mapping[str, int]) -> None:
        """For `gc.callbacks`."""
        now_ns = time.monotonic_ns()
        if phase == "start":
            self._started_ns = now_ns
        elif self._started_ns:  # else it was hooked in by what a collection ran
            took_ns = now_ns - self._started_ns
            self.pauses[info["generation"]] += 1
            self.total_ns += took_ns
            if took_ns > self.longest_ns:
                self.longest_ns = took_ns


class Longest:
    """The largest value of the last one to two windows."""

    def __init__(self) -> None:
        self._ends_ns = 0
        self._now = self._before = 0

    def take(self, now_ns: int, value: int) -> int:
        """One more; gives the largest."""
        if now_ns > self._ends_ns:
            self._ends_ns = now_ns + LONGEST_NS
            self._before, self._now = self._now, 0
        if value > self._now:
            self._now = value
        return max(self._now, self._before)


class Watchdog:
    """Of one process; on the running loop, from its making to `stop` or the end of its block.

    Args:
        stats: the process's page.
        dropped_logs: how many log lines were lost so far.
        interval_s: how often the loop turns for it.
        host: watches the clocks too, which are the host's: one process of a gateway does.
    """

    def __init__(
        self,
        stats: Page,
        *,
        dropped_logs: Callable[[], int] = lambda: 0,
        interval_s: float = INTERVAL_S,
        host: bool = False,
    ) -> None:
        self._stats = stats
        self._loop = asyncio.get_running_loop()
        self._interval_s = interval_s
        self._interval_ns = int(interval_s * 1e9)
        self._dropped_logs = dropped_logs
        self._times, self._delays, self._stolen = ThreadTimes(), ProcessRunDelay(), Stolen()
        self._stolen_ns = 0
        self._collections = Collections()
        self._continued = 0
        self._judge: Judge | None = None
        self._clock = WallClock(*_clocks()[1:]) if host else None
        self._recent: deque[Stall] = deque(maxlen=RECENT_MAX)
        self._lines: dict[Kind, tuple[int, int]] = {}  # kind -> (last line's time, stalls since)
        self._lag, self._pause = Longest(), Longest()
        self._lag_shown, self._pause_ns = -1, 0
        self._load = Load()
        # Counters rise through a restart of the process.
        names = ("cpu_ns", "run_delay_ns", "gc_pause_ns", "log_dropped")
        self._base = {name: stats.get(name) for name in names}
        self._base_pauses = [stats.get("gc_pauses", generation) for generation in range(3)]
        gc.callbacks.append(self._collections)
        now_ns = time.monotonic_ns()
        self._looked = now_ns, time.process_time_ns(), self._delays.read()
        self._due_ns = now_ns + self._interval_ns
        self._timer = self._loop.call_later(interval_s, self._turn)

    def __enter__(self) -> "Watchdog":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ready(self) -> None:
        """From now on stalls are named; a start has its own."""
        self._collections.longest_ns = 0
        self._judge = Judge(self._interval_ns, self._beat())

    def continued(self, *_: object) -> None:
        """Handles SIGCONT: where the process was stopped, it was by a signal."""
        self._continued += 1

    def note(self, kind: Kind, duration_ns: int, words: str) -> None:
        """A stall that somebody else has seen."""
        self._record(Stall(time.time_ns(), kind, duration_ns, words))

    def report(self) -> Vitals:
        """For the process's status."""
        return Vitals(stalls=tuple(stall.row() for stall in self._recent), load=self._load)

    def stop(self) -> None:
        """Ends the stamps."""
        self._timer.cancel()
        gc.callbacks.remove(self._collections)
        self._times.close()

    # --- turns ------------------------------------------------------------------------------------

    def _turn(self) -> None:
        beat = self._beat()
        self._timer = self._loop.call_later(self._interval_s, self._turn)
        late_ns = beat.at_ns - self._due_ns
        self._due_ns = beat.at_ns + self._interval_ns
        self._stats.set("loop_alive_ns", 0, beat.at_ns)
        longest_ns = self._lag.take(beat.at_ns, late_ns)
        if longest_ns != self._lag_shown:
            self._lag_shown = longest_ns
            self._stats.set("loop_lag_ns", 0, longest_ns)
            if longest_ns > self._stats.get("loop_lag_max_ns"):
                self._stats.set("loop_lag_max_ns", 0, longest_ns)
        self._pause_ns = self._pause.take(beat.at_ns, beat.gc_longest_ns)
        if self._judge is not None:
            if late_ns >= LATE_NS:
                self._stolen_ns = self._stolen.read()
                beat = beat._replace(stolen_ns=self._stolen_ns)
            for stall in self._judge.turn(beat):
                self._record(stall)
        if self._clock is not None:
            took_ns, *clocks = _clocks()
            if took_ns <= BRACKET_NS:
                for stall in self._clock.look(*clocks):
                    self._record(stall)
        if beat.at_ns - self._looked[0] >= LOOK_NS:
            self._look(beat)

    def _beat(self) -> Beat:
        collections = self._collections
        longest_ns, collections.longest_ns = collections.longest_ns, 0
        used_ns, delay_ns = self._times.read()
        return Beat(
            time.monotonic_ns(),
            time.time_ns(),
            used_ns,
            time.process_time_ns(),
            delay_ns,
            self._stolen_ns,
            collections.total_ns,
            longest_ns,
            self._continued,
        )

    def _look(self, beat: Beat) -> None:
        """What changes slowly."""
        stats, collections = self._stats, self._collections
        before_ns, cpu_before_ns, delay_before_ns = self._looked
        delay_ns = self._delays.read()
        self._looked = beat.at_ns, beat.process_cpu_ns, delay_ns
        self._stolen_ns = self._stolen.read()
        span_ns = beat.at_ns - before_ns
        self._load = Load(
            run_delay_ms=round((delay_ns - delay_before_ns) / span_ns * 1e3, 3),
            cpu=round((beat.process_cpu_ns - cpu_before_ns) / span_ns, 4),
        )
        stats.set("cpu_ns", 0, self._base["cpu_ns"] + beat.process_cpu_ns)
        stats.set("run_delay_ns", 0, self._base["run_delay_ns"] + delay_ns)
        stats.set("log_dropped", 0, self._base["log_dropped"] + self._dropped_logs())
        stats.set("gc_pause_max_ns", 0, self._pause_ns)
        stats.set("gc_pause_ns", 0, self._base["gc_pause_ns"] + collections.total_ns)
        for generation, pauses in enumerate(collections.pauses):
            stats.set("gc_pauses", generation, self._base_pauses[generation] + pauses)

    # --- stalls -----------------------------------------------------------------------------------

    def _record(self, stall: Stall) -> None:
        index = KINDS.index(stall.kind)
        self._stats.add("stalls", index)
        self._stats.add("stall_ns", index, abs(stall.duration_ns))
        self._recent.append(stall)
        self._say(stall)

    def _say(self, stall: Stall) -> None:
        now_ns = time.monotonic_ns()
        said_ns, unsaid = self._lines.get(stall.kind, (now_ns - LINE_NS, 0))
        if now_ns - said_ns < LINE_NS:
            self._lines[stall.kind] = said_ns, unsaid + 1
            return
        self._lines[stall.kind] = now_ns, 0
        fields = msgspec.structs.asdict(stall.row())
        del fields["ts"]
        _log.warning("stall", **fields, **({"more": unsaid} if unsaid else {}))


def _clocks() -> tuple[int, int, int, int]:
    """How long the reading took, then MONOTONIC, BOOTTIME and REALTIME of one moment."""
    mono_ns = time.monotonic_ns()
    boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    real_ns = time.time_ns()
    return time.monotonic_ns() - mono_ns, mono_ns, boot_ns, real_ns
