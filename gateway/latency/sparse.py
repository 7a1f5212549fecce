"""Histograms kept for long: only the places that have counts, in a bounded number of bytes.

A few histograms (one for each class) share the bytes. Where they need more than they may have,
neighbouring places are joined, two by two, until they fit: each step halves the precision, which
begins with the 0.1 % of the core's counts. Joining is by place, so it does not matter when it
happens: what was added and then joined equals what was joined and then added. A joined place stands
for the longest duration in it, so that no percentile is ever told shorter than it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.latency.histogram import Histogram, highest_ns

Keys = npt.NDArray[np.int64]
Counts = npt.NDArray[np.unsignedinteger[Any]]

PLACES: Final = Histogram.empty().counts.size
SHIFT_MAX: Final = 10
"""Then a place is a power of two; `PLACES` can be halved so often."""
HEAT_PER_OCTAVE: Final = 4

_HIGHEST_NS: Final = np.array([highest_ns(index) for index in range(PLACES)], dtype=np.int64)
_HEAT: Final = np.floor(
    HEAT_PER_OCTAVE * np.log2(np.maximum(_HIGHEST_NS / 1000, 1.0)) + 1e-9
).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Row:
    """One histogram: durations, rising, and how many there are of each."""

    indices: Keys
    counts: npt.NDArray[np.uint64]

    @classmethod
    def empty(cls) -> Row:
        """A histogram of nothing."""
        return cls(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64))

    @property
    def count(self) -> int:
        """How many in all."""
        return int(self.counts.sum())

    def percentiles_ns(self, percentiles: Sequence[float]) -> list[int]:
        """As `Histogram.value_at_percentile`, of each; 0 when empty."""
        if not self.counts.size:
            return [0] * len(percentiles)
        cumulative = np.cumsum(self.counts)
        count = int(cumulative[-1])
        wanted = [max(int(each * count / 100 + 0.5), 1) for each in percentiles]
        found = np.searchsorted(cumulative, np.array(wanted, dtype=np.uint64))
        return [int(ns) for ns in _HIGHEST_NS[self.indices[found]]]

    def heat(self) -> list[tuple[int, int]]:
        """(bucket, count) of a logarithmic scale, rising: bucket b is [2^(b/4), 2^((b+1)/4)) us.

        What is shorter than 1 us is in bucket 0.
        """
        buckets = _HEAT[self.indices]
        starts = np.flatnonzero(np.diff(buckets, prepend=-1))
        if not starts.size:
            return []
        sums = np.add.reduceat(self.counts, starts)
        return [(int(b), int(n)) for b, n in zip(buckets[starts], sums, strict=True)]

    def histogram(self) -> Histogram:
        """The same with a count for every place."""
        counts = np.zeros(PLACES, dtype=np.uint64)
        counts[self.indices] = self.counts
        return Histogram(counts)


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """Some histograms. Never changes once made.

    Attributes:
        shift: 2 to this many neighbouring places are one.
        lengths: places of each histogram.
        places: of all, one histogram after the other, rising in each.
        counts: at these.
    """

    shift: int
    lengths: tuple[int, ...]
    places: npt.NDArray[np.uint16]
    counts: Counts

    @classmethod
    def of(cls, histograms: Sequence[Histogram], bytes_max: int) -> Sparse:
        """These histograms, in at most so many bytes (`nbytes`)."""
        return _packed(np.stack([each.counts for each in histograms]), 0, bytes_max)

    @classmethod
    def merged(cls, parts: Iterable[Sparse], bytes_max: int | None = None) -> Sparse:
        """The sum of all, which have the same number of histograms; at least one.

        It is as precise as the least precise of them, or less where it has to fit.
        """
        every = list(parts)
        if len(every) == 1 and bytes_max is None:
            return every[0]
        shift, rows = max(each.shift for each in every), len(every[0].lengths)
        dense = np.zeros((rows, PLACES >> shift), dtype=np.uint64)
        for each in every:
            np.add.at(dense.ravel(), each._keys(shift), each.counts)
        return _packed(dense, shift, bytes_max)

    @property
    def nbytes(self) -> int:
        """Bytes of places and counts."""
        return self.places.nbytes + self.counts.nbytes

    def rows(self) -> list[Row]:
        """Each histogram."""
        ends = np.cumsum(self.lengths)
        return [
            Row(
                self._indices(slice(end - length, end)),
                self.counts[end - length : end].astype("u8"),
            )
            for length, end in zip(self.lengths, ends.tolist(), strict=True)
        ]

    def together(self) -> Row:
        """The sum of the histograms."""
        if max(self.lengths) == len(self.places):
            every = slice(None)
            return Row(self._indices(every), self.counts.astype("u8"))
        order = np.argsort(self.places, kind="stable")
        places, counts = self.places[order], self.counts[order].astype("u8")
        starts = np.flatnonzero(np.diff(places.astype(np.int64), prepend=-1))
        indices = self._indices(slice(None))[order][starts]
        return Row(indices, np.add.reduceat(counts, starts))

    def _indices(self, part: slice) -> Keys:
        """Of the longest duration that each place stands for."""
        places = self.places[part].astype(np.int64)
        return ((places + 1) << self.shift) - 1

    def _keys(self, shift: int) -> Keys:
        """Of each place in the flattened histograms of this shift, which is no smaller."""
        row = np.repeat(np.arange(len(self.lengths)), self.lengths)
        places: Keys = self.places.astype(np.int64) >> (shift - self.shift)
        return places + row * (PLACES >> shift)


def _packed(dense: npt.NDArray[np.uint64], shift: int, bytes_max: int | None) -> Sparse:
    while True:
        rows, places = np.nonzero(dense != 0)
        counts = dense[rows, places]
        kind = np.min_scalar_type(int(counts.max()) if counts.size else 0)
        size = counts.size * (np.dtype(np.uint16).itemsize + kind.itemsize)
        if bytes_max is None or size <= bytes_max or shift == SHIFT_MAX:
            break
        shift += 1
        dense = dense.reshape(len(dense), -1, 2).sum(axis=2)
    lengths = np.bincount(rows, minlength=len(dense))
    return Sparse(
        shift, tuple(lengths.tolist()), places.astype(np.uint16), counts.astype(kind, copy=False)
    )
