"""What the statistics pages of the processes say at one moment, and all of them together.

A page is written by its process alone and read here without locks: every number is whole, but two
numbers may be of slightly different moments. Counts that must balance exactly do so at rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway._native import PAUSED, STAGES, STATS, StatsPage
from gateway.latency.histogram import Histogram
from gateway.latency.window import Sample

LOST = ("dropped_lapped", "dropped_slow", "dropped_epoch")
"""What a client should have had. What it unsubscribed from or left behind is no loss of ours."""
PAUSED_NS: Final = PAUSED
"""A class's conflation interval while nothing of it is sent."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counter arrays and stage histograms by name."""

    counters: Mapping[str, tuple[int, ...]]
    stages: Mapping[str, Histogram]

    def total(self, name: str) -> int:
        """The sum of one counter array."""
        return sum(self.counters[name])


def read(page: StatsPage) -> Statistics:
    """One process's page, now."""
    stages = {}
    for stage in STAGES:
        _, sum_ns, saturated, negative = page.totals(stage)
        stages[stage] = Histogram(page.counts(stage), sum_ns, saturated, negative)
    return Statistics(page.read(), stages)


class Sampler:
    """Reads from all pages what an objective is judged by, and no more: 216 KiB a process.

    Args:
        pages: of all processes.
        stage: the objective's.
        shed: (counter array, index) of each way in which we send a client away.
    """

    def __init__(
        self, pages: Sequence[StatsPage], stage: str, shed: Sequence[tuple[str, int]] = ()
    ) -> None:
        self._pages = pages
        self._stage = stage
        self._shed = shed
        self._count = -1
        self._histogram = Histogram.empty()

    def sample(self) -> Sample:
        """Everything counted so far; the same histogram as before where none has come."""
        totals = [page.totals(self._stage) for page in self._pages]
        count = sum(one[0] for one in totals)
        if count != self._count:
            self._count = count
            self._histogram = Histogram.merged(
                Histogram(page.counts(self._stage), *one[1:])
                for page, one in zip(self._pages, totals, strict=True)
                if one[0]
            )
        counters = [page.read() for page in self._pages]

        def total(name: str) -> int:
            return sum(sum(one[name]) for one in counters)

        return Sample(
            self._histogram,
            total("conflated"),
            sum(map(total, LOST)),
            sum(one[name][index] for one in counters for name, index in self._shed),
        )


def merge(parts: Iterable[Statistics]) -> Statistics:
    """All processes together: everything is added, element by element.

    That is right for counters and for gauges of things held (connections, pending); times such as
    `loop_alive_ns` mean something in one process only, so take them from the parts.
    """
    every = list(parts)
    counters = {
        name: tuple(map(sum, zip(*(part.counters[name] for part in every), strict=True)))
        or (0,) * length
        for name, (_, length) in STATS.items()
    }
    stages = {stage: Histogram.merged(part.stages[stage] for part in every) for stage in STAGES}
    return Statistics(counters, stages)
