"""The run as it goes: the progress of all processes, moment by moment, as one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from gateway._native import HDR_COUNTS
from gateway.latency.histogram import Counts, Histogram
from gateway.loadtest.link import Go, Progress, moments
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
    age: Counts = field(default_factory=lambda: np.zeros(HDR_COUNTS, dtype=np.uint64))

    def add(self, counters: dict[str, int]) -> None:
        self.told += 1
        for name, value in counters.items():
            self.counters[name] = self.counters.get(name, 0) + value


class Timeline:
    """Collects the processes' progress.

    Args:
        go: the moments of the run.
        processes: how many tell their progress.
    """

    def __init__(self, go: Go, processes: int) -> None:
        self._go = go
        self._processes = processes
        self._moments = moments(go)
        self._intervals: dict[int, _Interval] = {}
        self._cpu_ns: dict[int, int] = {}
        self._seconds = max(1, -(-(go.end_ns - go.start_ns) // (POINTS_MAX * 10**9)))
        self._points: dict[int, tuple[int, int, _Interval]] = {}

    def add(self, progress: Progress) -> Snapshot | None:
        """Takes one process's progress; the snapshot of the moment once all have told it."""
        interval = self._intervals.setdefault(progress.tick, _Interval())
        interval.add(progress.counters)
        progress.age.add_to(interval.age)
        if interval.told < self._processes:
            return None
        del self._intervals[progress.tick]
        return self._complete(progress.tick, interval)

    def cpu(self, tick: int, used_ns: int) -> None:
        """The server's CPU time at a moment, from any origin."""
        self._cpu_ns[tick] = used_ns

    def points(self) -> list[Point]:
        """The window, a point for each second of it or for several where it is long."""
        return [self._point(*one) for _, one in sorted(self._points.items())]

    def _complete(self, tick: int, interval: _Interval) -> Snapshot:
        go, end = self._go, self._moments[tick]
        begin = self._begin_ns(tick)
        if go.start_ns < end <= go.end_ns:
            second = (end - 1 - go.start_ns) // (10**9 * self._seconds)
            first, _, point = self._points.setdefault(second, (tick, tick, _Interval()))
            point.add(interval.counters)
            point.age += interval.age
            self._points[second] = (first, tick, point)
        ages = Histogram(interval.age)
        phase: Phase = "collecting"
        if end <= go.end_ns:
            phase = "warming up" if end <= go.start_ns else "measuring"
        return Snapshot(
            phase=phase,
            open=interval.counters.get("open", 0),
            per_s=interval.counters.get("frames", 0) * 1e9 / max(1, end - begin),
            p50_us=ages.value_at_percentile(50) / 1000,
            p99_us=ages.value_at_percentile(99) / 1000,
            max_us=ages.max_ns / 1000,
            gaps=interval.counters.get("gaps", 0),
            conflated=interval.counters.get("conflated", 0),
            left_s=max(0.0, (go.until_ns - end) / 1e9),
        )

    def _begin_ns(self, tick: int) -> int:
        return self._moments[tick - 1] if tick else self._go.at_ns

    def _point(self, first: int, last: int, interval: _Interval) -> Point:
        begin, end = self._begin_ns(first), self._moments[last]
        seconds = (end - begin) / 1e9
        ages = Histogram(interval.age)
        some = ages.count > 0
        cpu = [self._cpu_ns.get(tick) for tick in (first - 1, last)]
        return Point(
            t_s=round((begin - self._go.start_ns) / 1e9, 3),
            per_s=round(interval.counters.get("frames", 0) / seconds, 3),
            p50_us=ages.value_at_percentile(50) / 1000 if some else None,
            p99_us=ages.value_at_percentile(99) / 1000 if some else None,
            max_us=ages.max_ns / 1000 if some else None,
            gaps=interval.counters.get("gaps"),
            conflated=interval.counters.get("conflated"),
            server_cpu=None
            if cpu[0] is None or cpu[1] is None
            else round((cpu[1] - cpu[0]) / 1e9 / seconds, 4),
        )
