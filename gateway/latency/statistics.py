"""What the statistics pages of the processes say at one moment, and all of them together.

A page is written by its process alone and read here without locks: every number is whole, but two
numbers may be of slightly different moments. Counts that must balance exactly do so at rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway._native import STAGES, STATS, StatsPage
from gateway.latency.histogram import Histogram


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
