"""Latency histograms over the counts that the native core keeps in HdrHistogram's layout.

A `Histogram` is a value: counts of one moment, or of an interval as the difference of two moments.
The core only ever adds to its counts, so nobody resets or swaps anything, and any number of readers
can have intervals of their own. What percentiles mean follows the `hdrhistogram` package, which is
the oracle of the tests and the codec of the interchange format.

Layout of the counts: https://github.com/HdrHistogram/HdrHistogram_c, `hdr_histogram.h`, for lowest
1, highest `HDR_MAX_NS` and three significant digits: values below 2,048 ns have a count each, and
above that every power of two has 1,024, so that a value is known to 0.1 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from gateway._native import HDR_COUNTS, HDR_MAX_NS

Counts = npt.NDArray[np.uint64]

DIGITS = 3
"""Significant decimal digits of the core's counts."""
_HALF_BITS = 10  # 1,024 counts for each power of two

_EDGES_NS = (*(digit * 10**power for power in range(3, 10) for digit in (1, 2, 5)), 10**10)


def _lowest(index: int) -> int:
    """The smallest value that this count stands for."""
    bucket = max((index >> _HALF_BITS) - 1, 0)
    return (index - (bucket << _HALF_BITS)) << bucket


def highest_ns(index: int) -> int:
    """The longest duration that the count at this place stands for."""
    return _lowest(index + 1) - 1


def index_of(value_ns: int) -> int:
    """The count that stands for this value: the last where it is too long, -1 where negative."""
    if value_ns < 0:
        return -1
    value_ns = min(value_ns, HDR_MAX_NS)
    bucket = max(value_ns.bit_length() - _HALF_BITS - 1, 0)
    return (bucket << _HALF_BITS) + (value_ns >> bucket)


def bucket_edges(target_ns: int) -> tuple[int, ...]:
    """Upper edges for a Prometheus histogram: 1-2-5 steps from 1 µs to 10 s, and the target.

    A target that no value exceeds needs none.
    """
    return tuple(sorted({*_EDGES_NS, target_ns} if target_ns <= HDR_MAX_NS else _EDGES_NS))


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts of recorded durations, in nanoseconds. Never changes once made."""

    counts: Counts
    sum_ns: int = 0
    saturated: int = 0
    """Of the counted ones: longer than `HDR_MAX_NS`, and counted as that."""
    negative: int = 0
    """Not counted: below zero, which only a stage that crosses two clocks can be."""

    def __post_init__(self) -> None:
        if self.counts.shape != (HDR_COUNTS,) or self.counts.dtype != np.uint64:
            raise ValueError(
                f"counts are {self.counts.dtype}{self.counts.shape}, not uint64({HDR_COUNTS},)"
            )
        self.counts.flags.writeable = False

    @classmethod
    def empty(cls) -> Histogram:
        """A histogram of nothing."""
        return cls(np.zeros(HDR_COUNTS, dtype=np.uint64))

    @classmethod
    def merged(cls, parts: Iterable[Histogram]) -> Histogram:
        """The sum of all: percentiles are never averaged, counts are added."""
        every = [*parts]
        return reduce(cls.merge, every) if every else cls.empty()

    def merge(self, other: Histogram) -> Histogram:
        """Both together."""
        return Histogram(
            self.counts + other.counts,
            self.sum_ns + other.sum_ns,
            self.saturated + other.saturated,
            self.negative + other.negative,
        )

    def subtract(self, earlier: Histogram) -> Histogram:
        """What was recorded since an earlier snapshot of the same counts.

        Raises:
            ValueError: a count went down, so `earlier` is of something else or of before a reset.
        """
        if bool(np.any(self.counts < earlier.counts)):
            raise ValueError("a count went down: not an earlier snapshot of this histogram")
        return Histogram(
            self.counts - earlier.counts,
            self.sum_ns - earlier.sum_ns,
            self.saturated - earlier.saturated,
            self.negative - earlier.negative,
        )

    @property
    def count(self) -> int:
        """How many values were recorded, negative ones excepted."""
        return int(self.counts.sum())

    @property
    def mean_ns(self) -> float:
        """The exact mean (not of buckets' middles); 0 when empty."""
        count = self.count
        return self.sum_ns / count if count else 0.0

    @property
    def max_ns(self) -> int:
        """The highest value equivalent to the largest recorded one; 0 when empty."""
        used = np.flatnonzero(self.counts)
        return highest_ns(int(used[-1])) if used.size else 0

    def value_at_percentile(self, percentile: float) -> int:
        """The highest value equivalent to the one at this percentile (0 to 100); 0 when empty.

        As HdrHistogram: the value that `percentile` per cent of all are at or below, the number of
        them rounded to the nearest and at least one. Percentile 0 is the lowest equivalent value.
        """
        return self.values_at_percentiles((percentile,))[0]

    def values_at_percentiles(self, percentiles: Sequence[float]) -> list[int]:
        """`value_at_percentile` of each, in one pass."""
        cumulative = np.cumsum(self.counts)
        count = int(cumulative[-1])
        if count == 0:
            return [0] * len(percentiles)
        values = []
        for percentile in percentiles:
            wanted = max(int(min(percentile, 100.0) * count / 100 + 0.5), 1)
            index = int(np.searchsorted(cumulative, np.uint64(wanted)))
            values.append(highest_ns(index) if percentile else _lowest(index))
        return values

    def count_at_most(self, value_ns: int) -> int:
        """How many were at most this long, all that are equivalent to it included (0.1 %)."""
        return int(self.counts[: index_of(value_ns) + 1].sum())

    def cumulative(self, edges_ns: Sequence[int]) -> list[int]:
        """`count_at_most` of each edge, in one pass."""
        cumulative = np.cumsum(self.counts)
        return [int(cumulative[index_of(edge)]) if edge >= 0 else 0 for edge in edges_ns]

    def to_hdr_v2(self, digits: int = DIGITS) -> str:
        """The counts in HdrHistogram's V2 compressed interchange format, base64.

        With fewer than the three significant digits that the counts have, each is counted as the
        lowest value that it stands for.
        """
        histogram = HdrHistogram(1, HDR_MAX_NS, digits)
        counts = self.counts if digits == DIGITS else _coarser(self.counts, digits)
        np.frombuffer(histogram.counts, dtype=np.uint64)[: len(counts)] = counts
        used = np.flatnonzero(counts)
        if used.size:
            histogram.set_internal_tacking_values(int(used[0]), int(used[-1]), self.count)
        encoded: bytes = histogram.encode()
        return encoded.decode("ascii")


def _coarser(counts: Counts, digits: int) -> Counts:
    """The same counts in the layout for fewer digits, where a power of two has fewer places."""
    half_bits = (2 * 10**digits - 1).bit_length() - 1
    places = np.flatnonzero(counts)
    bucket = np.maximum((places >> _HALF_BITS) - 1, 0)
    lowest = (places - (bucket << _HALF_BITS)) << bucket
    # Exact: a float64 has room for 53 bits, and values have 36. The exponent is the bit length.
    bucket = np.maximum(np.frexp(lowest.astype(np.float64))[1] - half_bits - 1, 0)
    coarse = (bucket << half_bits) + (lowest >> bucket)
    summed = np.zeros(int(coarse.max()) + 1 if coarse.size else 1, dtype=np.uint64)
    np.add.at(summed, coarse, counts[places])
    return summed
