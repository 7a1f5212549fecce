"""The run as it goes: the progress of all processes, moment by moment, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from gateway.latency.histogram import Histogram
from gateway.loadtest.interchange import Interval
from gateway.loadtest.link import Go, Progress, Sparse, moments, summed
from gateway.loadtest.result import Point

POINTS_MAX = 600
"""A timeline has a point a second, or as many as a chart can show."""

Phase = Literal["warming up", "measuring", "collecting"]


@dataclass(frozen=True)
class Snapshot:
    """What the interval up to one moment brought, over all processes; durations in microseconds."""

    phase: Phase
    open: int
    per_s: float
    p50_us: float
    p99_us: float
    max_us: float
    gaps: int
    conflated: int
    left_s: float


@dataclass
class _Interval:
    """Between two moments, as far as the processes have told."""

    told: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    ages: dict[int, list[Sparse]] = field(default_factory=dict)

    def add(self, progress: Progress) -> None:
        self.told += 1
        for name, value in progress.counters.items():
            self.counters[name] = self.counters.get(name, 0) + value
        for group, age in progress.ages.items():
            self.ages.setdefault(group, []).append(age)


@dataclass
class _Second:
    """Intervals of the window that share a point: the first and the last, and all that they had."""

    first: int
    last: int
    counters: dict[str, int] = field(default_factory=dict)
    ages: dict[int, list[Sparse]] = field(default_factory=dict)

    def add(self, tick: int, interval: _Interval) -> None:
        self.last = tick
        for name, value in interval.counters.items():
            self.counters[name] = self.counters.get(name, 0) + value
        for group, parts in interval.ages.items():
            known = self.ages.get(group, [])
            self.ages[group] = [Sparse.of(summed([*known, *parts]).counts)]  # one, however long


class Timeline:
    """Collects the processes' progress.

    Args:
        go: the moments of the run.
        processes: how many tell their progress.
        names: of the groups.
    """

    def __init__(self, go: Go, processes: int, names: Sequence[str] = ()) -> None:
        self._go = go
        self._names = names
        self._processes = processes
        self._moments = moments(go)
        self._intervals: dict[int, _Interval] = {}
        self._cpu_ns: dict[int, int] = {}
        self._second_ns = 10**9 * max(1, -(-(go.end_ns - go.start_ns) // (POINTS_MAX * 10**9)))
        self._seconds: dict[int, _Second] = {}

    def add(self, progress: Progress) -> Snapshot | None:
        """Takes one process's progress; the snapshot of the moment once all have told it."""
        interval = self._intervals.setdefault(progress.tick, _Interval())
        interval.add(progress)
        if interval.told < self._processes:
            return None
        del self._intervals[progress.tick]
        end_ns = self._moments[progress.tick]
        if self._go.start_ns < end_ns <= self._go.end_ns:
            number = (end_ns - 1 - self._go.start_ns) // self._second_ns
            second = self._seconds.setdefault(number, _Second(progress.tick, progress.tick))
            second.add(progress.tick, interval)
        return self._snapshot(progress.tick, interval)

    def cpu(self, tick: int, used_ns: int) -> None:
        """The server's CPU time at a moment, from any origin."""
        self._cpu_ns[tick] = used_ns

    def points(self) -> list[Point]:
        """The window, a point for each second of it or for several where it is long."""
        return [self._point(second) for _, second in sorted(self._seconds.items())]

    def intervals(self) -> list[Interval]:
        """The ages of each point's time: of all, and where several groups are measured of each."""
        found = []
        for _, second in sorted(self._seconds.items()):
            ages = {"": _all(second.ages)}
            if len(second.ages) > 1:
                ages |= {self._names[n]: summed(parts) for n, parts in sorted(second.ages.items())}
            begin_ns, end_ns = self._begin_ns(second.first), self._moments[second.last]
            found += [Interval(name, begin_ns, end_ns, age) for name, age in ages.items()]
        return found

    def _snapshot(self, tick: int, interval: _Interval) -> Snapshot:
        go, end_ns = self._go, self._moments[tick]
        phase: Phase = "collecting"
        if end_ns <= go.end_ns:
            phase = "warming up" if end_ns <= go.start_ns else "measuring"
        ages, counters = _all(interval.ages), interval.counters
        return Snapshot(
            phase=phase,
            open=counters.get("open", 0),
            per_s=counters.get("frames", 0) * 1e9 / max(1, end_ns - self._begin_ns(tick)),
            p50_us=ages.value_at_percentile(50) / 1000,
            p99_us=ages.value_at_percentile(99) / 1000,
            max_us=ages.max_ns / 1000,
            gaps=counters.get("gaps", 0),
            conflated=counters.get("conflated", 0),
            left_s=max(0.0, (go.until_ns - end_ns) / 1e9),
        )

    def _point(self, second: _Second) -> Point:
        begin_ns, end_ns = self._begin_ns(second.first), self._moments[second.last]
        seconds = (end_ns - begin_ns) / 1e9
        ages, counters = _all(second.ages), second.counters
        some = ages.count > 0
        before, after = (self._cpu_ns.get(tick) for tick in (second.first - 1, second.last))
        cpu = None
        if before is not None and after is not None:
            cpu = round((after - before) / 1e9 / seconds, 4)
        return Point(
            t_s=round((begin_ns - self._go.start_ns) / 1e9, 3),
            per_s=round(counters.get("received", 0) / seconds, 3),
            p50_us=ages.value_at_percentile(50) / 1000 if some else None,
            p99_us=ages.value_at_percentile(99) / 1000 if some else None,
            max_us=ages.max_ns / 1000 if some else None,
            gaps=counters.get("gaps"),
            conflated=counters.get("conflated"),
            server_cpu=cpu,
        )

    def _begin_ns(self, tick: int) -> int:
        return self._moments[tick - 1] if tick else self._go.at_ns


def _all(ages: Mapping[int, Sequence[Sparse]]) -> Histogram:
    return summed(chain.from_iterable(ages.values()))
