"""What many swarm processes found, as one: counts are added, percentiles are never averaged.

Each process keeps the first and last moment at which its clients got a tick, for a sample of ticks:
those whose key has none of the mask's bits. A process that saw more ticks has a coarser mask; the
samples of all join under the coarsest, so that a tick is either known from everybody or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

import numpy as np
import numpy.typing as npt

from gateway._native import HDR_COUNTS, HDR_MAX_NS
from gateway.latency.histogram import Histogram
from gateway.loadtest.link import Final, summed
from gateway.loadtest.refusals import merged
from gateway.loadtest.result import ClientLoad, Refusal

TickTable = npt.NDArray[np.uint64]
"""Rows of key, first ns, last ns, deliveries."""


@dataclass(frozen=True)
class Merged:
    """All processes together.

    Attributes:
        counters: of each group.
        histograms: by name, of each group.
        skew: last - first recipient of each tick that more than one client got.
        load: of the processes' driving threads.
        refusals: what the server refused.
    """

    counters: list[dict[str, int]]
    histograms: dict[str, list[Histogram]]
    skew: Histogram
    load: ClientLoad
    refusals: list[Refusal] = field(default_factory=list)

    def histogram(self, name: str, groups: Iterable[int]) -> Histogram:
        """One histogram over these groups; of nothing where there is none of the name."""
        known = self.histograms.get(name)
        return Histogram.merged(known[group] for group in groups) if known else Histogram.empty()

    def total(self, name: str, groups: Iterable[int]) -> int:
        """One counter over these groups."""
        return sum(self.counters[group].get(name, 0) for group in groups)


def merge(finals: Sequence[Final]) -> Merged:
    """Joins what the processes of one run found; they all have the same groups."""
    groups = range(len(finals[0].counters))
    histograms = {
        name: [summed(final.histograms[name][group] for final in finals) for group in groups]
        for name in finals[0].histograms
    }
    return Merged(
        counters=[_added([final.counters[group] for final in finals]) for group in groups],
        histograms=histograms,
        skew=skew(join(finals)),
        load=client_load(finals),
        refusals=merged(final.refused for final in finals),
    )


def _added(counters: Sequence[dict[str, int]]) -> dict[str, int]:
    return {name: sum(one[name] for one in counters) for name in counters[0]}


def client_load(finals: Sequence[Final]) -> ClientLoad:
    """The load of the busiest driving thread, the longest turn and standstill of any."""

    def worst(name: str) -> float:
        return max(_share(final.load, name) for final in finals)

    def longest_us(name: str) -> float:
        return max(final.load.get(name, 0) for final in finals) / 1000

    return ClientLoad(
        processes=len(finals),
        busy=worst("cpu_ns"),
        run_delay=worst("run_delay_ns"),
        turn_max_us=longest_us("turn_max_ns"),
        still=worst("still_ns"),
        still_max_us=longest_us("still_max_ns"),
    )


def _share(load: dict[str, int], name: str) -> float:
    wall_ns = load.get("wall_ns", 0)
    return round(min(1.0, load.get(name, 0) / wall_ns), 4) if wall_ns else 0.0


def join(finals: Sequence[Final]) -> TickTable:
    """The tick tables of all processes as one, with a row for each key."""
    mask = np.uint64(reduce(or_, (final.tick_mask for final in finals), 0))
    rows = np.concatenate(
        [np.frombuffer(final.ticks, np.uint64).reshape(-1, 4) for final in finals]
    )
    rows = rows[(rows[:, 0] & mask) == 0]
    keys, which = np.unique(rows[:, 0], return_inverse=True)
    table = np.empty((keys.size, 4), dtype=np.uint64)
    table[:, 0] = keys
    table[:, 1] = np.iinfo(np.uint64).max
    table[:, 2:] = 0
    np.minimum.at(table[:, 1], which, rows[:, 1])
    np.maximum.at(table[:, 2], which, rows[:, 2])
    np.add.at(table[:, 3], which, rows[:, 3])
    return table


def skew(table: TickTable) -> Histogram:
    """How long after the first recipient of a tick the last one had it."""
    shared = table[table[:, 3] > 1]
    return histogram_of(shared[:, 2] - shared[:, 1])


def histogram_of(values_ns: npt.NDArray[np.uint64]) -> Histogram:
    """A histogram of these durations, in the layout of `gateway.latency.histogram`."""
    values = np.minimum(values_ns, np.uint64(HDR_MAX_NS)).astype(np.int64)
    # The exponent of frexp is the number's bit length: exact, as HDR_MAX_NS is far below 2^53.
    bucket = np.maximum(np.frexp(values.astype(np.float64))[1] - 11, 0)
    index = (bucket << 10) + (values >> bucket)
    counts = np.bincount(index, minlength=HDR_COUNTS).astype(np.uint64)
    return Histogram(counts, int(values.sum()), int((values_ns > np.uint64(HDR_MAX_NS)).sum()))
