"""Histograms kept for long: only the places that have counts, in a bounded number of bytes.

A few histograms (one for each class) share the bytes. Kept are the distances between places with
counts, and the counts, compressed byte by byte of the same weight: most are zeros and small
numbers, a byte or two for each place. Where there are more places than is worth the time to read
them, or more bytes than allowed, neighbouring places are joined, two by two, until they fit: each
step halves the precision, which begins with the 0.1 % of the core's counts. Joining is by place, so
it does not matter when it happens: what was added and then joined equals what was joined and then
added. A joined place stands for the longest duration in it, so that no percentile is ever told
shorter than it was.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.latency.histogram import Histogram, highest_ns

Places = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint64]

PLACES: Final = Histogram.empty().counts.size
SHIFT_MAX: Final = 10
"""Then a place is a power of two; `PLACES` can be halved so often."""
PLACES_MAX: Final = 4096
"""Kept of all histograms together: a broad second of two classes is known to 0.4 %."""
HEAT_PER_OCTAVE: Final = 4

_HIGHEST_NS: Final = np.array([highest_ns(index) for index in range(PLACES)], dtype=np.int64)
_HEAT: Final = np.floor(
    HEAT_PER_OCTAVE * np.log2(np.maximum(_HIGHEST_NS / 1000, 1.0)) + 1e-9
).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Row:
    """One histogram: durations, rising, and how many there are of each."""

    indices: Places
    counts: Counts

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
        width: bytes of a count.
        packed: distances and counts, of one histogram after the other.
    """

    shift: int
    lengths: tuple[int, ...]
    width: int
    packed: bytes

    @classmethod
    def of(cls, histograms: Sequence[Histogram], bytes_max: int) -> Sparse:
        """These histograms, in at most so many bytes."""
        return _fitted(np.stack([each.counts for each in histograms]), 0, bytes_max)

    @classmethod
    def merged(cls, parts: Sequence[Sparse], bytes_max: int | None = None) -> Sparse:
        """The sum of all, which have the same number of histograms; at least one.

        It is as precise as the least precise of them, or less where it has to fit.
        """
        parts = [each for each in parts if any(each.lengths)] or parts[:1]
        if len(parts) == 1 and (bytes_max is None or parts[0].nbytes <= bytes_max):
            return parts[0]
        shift, rows = max(each.shift for each in parts), len(parts[0].lengths)
        places = PLACES >> shift
        dense = np.zeros(rows * places, dtype=np.uint64)
        for each in parts:
            own, counts = each._unpacked()
            row = np.repeat(np.arange(rows) * places, each.lengths)
            if each.shift == shift:  # each place once
                dense[own + row] += counts
            else:
                np.add.at(dense, (own >> (shift - each.shift)) + row, counts)
        return _fitted(dense.reshape(rows, places), shift, bytes_max)

    @property
    def nbytes(self) -> int:
        """Bytes that it is kept in."""
        return len(self.packed)

    def rows(self) -> list[Row]:
        """Each histogram."""
        places, counts = self._unpacked()
        ends = np.cumsum(self.lengths)[:-1]
        pairs = zip(np.split(places, ends), np.split(counts, ends), strict=True)
        return [Row(self._indices(own), count) for own, count in pairs]

    def together(self) -> Row:
        """The sum of the histograms."""
        places, counts = self._unpacked()
        if max(self.lengths) < len(places):
            dense = np.zeros(PLACES >> self.shift, dtype=np.uint64)
            np.add.at(dense, places, counts)
            places = np.flatnonzero(dense != 0)
            counts = dense[places]
        return Row(self._indices(places), counts)

    def _indices(self, places: Places) -> Places:
        """Of the longest duration that each place stands for."""
        return ((places + 1) << self.shift) - 1

    def _unpacked(self) -> tuple[Places, Counts]:
        """Places, rising in each histogram, and the counts there."""
        total = sum(self.lengths)
        planes = np.frombuffer(zlib.decompress(self.packed), dtype=np.uint8)
        distances = _woven(planes[: total * 2], 2).astype(np.int64)
        counts = _woven(planes[total * 2 :], self.width).astype(np.uint64)
        places = np.cumsum(distances)
        starts = np.cumsum((0, *self.lengths[:-1]))
        # Each histogram's first distance is from 0, so what the ones before it add up to is taken.
        before = np.concatenate(([0], places))[starts]
        return places - np.repeat(before, self.lengths), counts


def _fitted(dense: npt.NDArray[np.uint64], shift: int, bytes_max: int | None) -> Sparse:
    """Joins places until they are few enough; all are kept where `bytes_max` is None."""
    while True:
        used = dense != 0  # to find what is used is three times faster on booleans
        last = bytes_max is None or shift == SHIFT_MAX
        if last or np.count_nonzero(used) <= PLACES_MAX:
            one = _packed(dense, used, shift)
            if last or one.nbytes <= (bytes_max or 0):
                return one
        shift += 1
        dense = dense[:, ::2] + dense[:, 1::2]  # sum() over pairs takes five times as long


def _packed(dense: npt.NDArray[np.uint64], used: npt.NDArray[np.bool_], shift: int) -> Sparse:
    rows, places = np.nonzero(used)
    counts = dense[rows, places]
    lengths = np.bincount(rows, minlength=len(dense))
    distances = np.diff(places, prepend=0)
    starts = np.cumsum(lengths)[:-1]
    starts = starts[lengths[1:] > 0]
    distances[starts] = places[starts]
    width = np.min_scalar_type(int(counts.max()) if counts.size else 0).itemsize
    planes = _planes(distances, 2) + _planes(counts, width)
    return Sparse(shift, tuple(lengths.tolist()), width, zlib.compress(planes, 1))


def _planes(values: npt.NDArray[Any], width: int) -> bytes:
    """The lowest byte of each value, then the next of each, and so on."""
    return values.astype(f"<u{width}").view(np.uint8).reshape(-1, width).T.tobytes()


def _woven(planes: npt.NDArray[np.uint8], width: int) -> npt.NDArray[Any]:
    """The values of `_planes`."""
    return np.ascontiguousarray(planes.reshape(width, -1).T).view(f"<u{width}").ravel()
