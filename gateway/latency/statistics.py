"""What the statistics pages of the processes say at one moment, and all of them together.

A page is written by its process alone and read here without locks: every number is whole, but two
numbers may be of slightly different moments. Counts that must balance exactly do so at rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway._native import CLASS_STAGES, PAUSED, STAGES, STATS, StatsPage
from gateway.latency.histogram import Histogram
from gateway.latency.window import Sample, Samples

TOTAL: Final = "total"
"""The stage that is kept by class."""
CLASSES: Final = len(CLASS_STAGES)
"""Of subscriptions."""
PAUSED_NS: Final = PAUSED
"""A class's conflation interval while nothing of it is sent."""
_NOTHING = Histogram.empty()


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counter arrays and stage histograms by name; `classes` are the parts of stage `total`."""

    counters: Mapping[str, tuple[int, ...]]
    stages: Mapping[str, Histogram]
    classes: tuple[Histogram, ...]

    def total(self, name: str) -> int:
        """The sum of one counter array."""
        return sum(self.counters[name])


def read(page: StatsPage) -> Statistics:
    """One process's page, now."""
    classes = tuple(_histogram(page, stage) for stage in CLASS_STAGES)
    stages = {stage: _histogram(page, stage) for stage in STAGES if stage != TOTAL}
    stages[TOTAL] = Histogram.merged(classes)
    return Statistics(page.read(), stages, classes)


def _histogram(page: StatsPage, stage: str) -> Histogram:
    count, sum_ns, saturated, negative = page.totals(stage)
    if not count and not negative:
        return _NOTHING  # as most are: a process records few of the stages
    return Histogram(page.counts(stage), sum_ns, saturated, negative)


class Sampler:
    """Reads from all pages what the objectives are judged by, and no more.

    A look costs a few words a process; the histogram of a class, 216 KiB in each, is copied only
    where something of the class was delivered since the look before. Dropped is here what a client
    should have had (lapped, slow, a new epoch): what it gave up itself is no loss of ours.

    Args:
        pages: of all processes.
        shed: (counter array, index) of each way in which we send a client away.
    """

    def __init__(self, pages: Sequence[StatsPage], shed: Sequence[tuple[str, int]] = ()) -> None:
        self._pages = pages
        self._shed = shed
        self._seen = [(0, Histogram.empty())] * CLASSES

    def sample(self) -> Samples:
        """Everything counted so far; a class's histogram is the same while none of it comes."""
        classes = []
        for number, stage in enumerate(CLASS_STAGES):
            totals = [page.totals(stage) for page in self._pages]
            count = sum(one[0] for one in totals)
            if count != self._seen[number][0]:
                parts = (
                    Histogram(page.counts(stage), *one[1:])
                    for page, one in zip(self._pages, totals, strict=True)
                    if one[0]
                )
                self._seen[number] = count, Histogram.merged(parts)
            conflated, dropped = (
                sum(page.get(name, number) for page in self._pages)
                for name in ("class_conflated", "class_dropped")
            )
            classes.append(Sample(self._seen[number][1], conflated, dropped))
        shed = sum(page.get(name, index) for page in self._pages for name, index in self._shed)
        return Samples(tuple(classes), shed)


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
    classes = tuple(
        Histogram.merged(part.classes[number] for part in every) for number in range(CLASSES)
    )
    return Statistics(counters, stages, classes)
