"""What was recorded lately: intervals of a cumulative histogram, sparse, added up as they slide.

Theory of operation. Somebody looks at cumulative counts about once a second and puts in the
difference to the look before. An interval is kept as the places of its counts and the counts there,
a few KiB in place of 216. The sum over the window is kept up to date: what comes is added, what has
left is taken away, so that a window of ten minutes costs no more per look than one of ten seconds.

Intervals that left the window stay for a while: where the window holds too few values for its
percentile, `widened` goes back as far as it must.

There are at most `PIECES_MAX` intervals: over a longer history, several looks share one. The
window then ends with the present all the same, and begins up to one shared interval early.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gateway.latency.histogram import Histogram, index_of

PIECES_MAX = 600
"""Intervals kept: one-second ones for ten minutes. 1 or 2 MB as a rule; at the very worst 100 MB,
where each interval has values in all of its 27,648 counts."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Cumulative counts of one moment, or, as the difference of two, of an interval.

    Attributes:
        histogram: durations of what was delivered.
        conflated: updates that a newer one replaced.
        dropped: updates that never reached a client which had not asked for that.
        shed: clients that were turned away or cut off.
    """

    histogram: Histogram
    conflated: int = 0
    dropped: int = 0
    shed: int = 0

    @property
    def lost(self) -> int:
        """What no duration stands for, since it never arrived."""
        return self.dropped + self.shed

    def subtract(self, earlier: Sample) -> Sample:
        """What happened since.

        Raises:
            ValueError: a count of the histogram went down.
        """
        same = self.histogram is earlier.histogram
        return Sample(
            _NOTHING if same else self.histogram.subtract(earlier.histogram),
            self.conflated - earlier.conflated,
            self.dropped - earlier.dropped,
            self.shed - earlier.shed,
        )


class Samples(NamedTuple):
    """Cumulative counts of one moment by class, and what no class is known of."""

    classes: tuple[Sample, ...]
    shed: int


_NOTHING = Histogram.empty()
_NOWHERE = np.zeros(0, dtype=np.uint16)


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """What happened between two looks: durations as the places of the counts that have risen."""

    places: npt.NDArray[np.uint16]
    counts: npt.NDArray[np.unsignedinteger[Any]]
    recorded: int
    conflated: int
    dropped: int
    shed: int

    @classmethod
    def between(cls, earlier: Sample, later: Sample) -> Interval:
        """The difference of cumulative counts.

        Raises:
            ValueError: a count of the histogram went down.
        """
        rest = (
            later.conflated - earlier.conflated,
            later.dropped - earlier.dropped,
            later.shed - earlier.shed,
        )
        if later.histogram is earlier.histogram:
            return cls(_NOWHERE, _NOWHERE, 0, *rest)
        # Most places never have a count, so one pass finds the few that have risen.
        now, before = later.histogram.counts, earlier.histogram.counts
        places = np.flatnonzero(now != before)
        now, before = now[places], before[places]
        if (now < before).any():
            raise ValueError("a count went down: not an earlier snapshot of this histogram")
        counts = now - before
        kind = np.min_scalar_type(int(counts.max()) if counts.size else 0)
        return cls(places.astype(np.uint16), counts.astype(kind), int(counts.sum()), *rest)

    @property
    def lost(self) -> int:
        """What no duration stands for."""
        return self.dropped + self.shed

    @property
    def nothing(self) -> bool:
        """Whether it changes no sum."""
        return not (self.recorded or self.conflated or self.dropped or self.shed)

    def count_at_most(self, value_ns: int) -> int:
        """As `Histogram.count_at_most`."""
        end = int(np.searchsorted(self.places, index_of(value_ns), side="right"))
        return int(self.counts[:end].sum())


@dataclass(slots=True)
class _Piece:
    start_s: float
    end_s: float
    interval: Interval


class _Sum:
    """Intervals added up."""

    __slots__ = ("conflated", "counts", "dropped", "recorded", "shed")

    def __init__(self) -> None:
        self.counts = np.zeros_like(_NOTHING.counts)
        self.recorded = self.conflated = self.dropped = self.shed = 0

    def add(self, interval: Interval) -> None:
        self.counts[interval.places] += interval.counts
        self.recorded += interval.recorded
        self.conflated += interval.conflated
        self.dropped += interval.dropped
        self.shed += interval.shed

    def remove(self, interval: Interval) -> None:
        self.counts[interval.places] -= interval.counts
        self.recorded -= interval.recorded
        self.conflated -= interval.conflated
        self.dropped -= interval.dropped
        self.shed -= interval.shed

    def copy(self) -> _Sum:
        other = _Sum()
        other.counts = self.counts.copy()
        other.recorded, other.shed = self.recorded, self.shed
        other.conflated, other.dropped = self.conflated, self.dropped
        return other

    @property
    def events(self) -> int:
        return self.recorded + self.dropped + self.shed

    def sample(self) -> Sample:
        histogram = Histogram(self.counts.copy()) if self.recorded else _NOTHING
        return Sample(histogram, self.conflated, self.dropped, self.shed)


class Window:
    """The last `window_s` of samples, and behind them a history of `history_s` in all.

    Args:
        window_s: what `widened` covers at the least.
        history_s: what it covers at the most; no less than the window.
        interval_s: how often somebody looks.
    """

    def __init__(self, window_s: float, history_s: float, interval_s: float) -> None:
        self._window_s = window_s
        self._history_s = max(history_s, window_s)
        # Looks are late by a little, each time: half an interval tells that from a whole one.
        self._slack_s = interval_s / 2
        self._shared_s = interval_s * math.ceil(self._history_s / interval_s / PIECES_MAX)
        self._inside: deque[_Piece] = deque()
        self._older: deque[_Piece] = deque()
        self._older_busy = 0
        self._sum = _Sum()

    def __len__(self) -> int:
        """Intervals kept."""
        return len(self._inside) + len(self._older)

    def add(self, start_s: float, end_s: float, interval: Interval) -> None:
        """Puts in what happened between two looks, the later of which is now."""
        self._sum.add(interval)
        last = self._inside[-1] if self._inside else None
        # Never across a hole, whose time no interval stands for.
        if (
            last is not None
            and last.end_s == start_s
            and end_s - last.start_s <= self._shared_s + self._slack_s
        ):
            self._inside[-1] = _Piece(last.start_s, end_s, _joined(last.interval, interval))
        else:
            self._inside.append(_Piece(start_s, end_s, interval))
        self.slide(end_s)

    def slide(self, now_s: float) -> None:
        """Lets go of what is too old by now."""
        while self._inside and self._left(self._inside[0], now_s, self._window_s):
            piece = self._inside.popleft()
            self._sum.remove(piece.interval)
            self._older.append(piece)
            self._older_busy += not piece.interval.nothing
        while self._older and self._left(self._older[0], now_s, self._history_s):
            self._older_busy -= not self._older.popleft().interval.nothing

    def _left(self, piece: _Piece, now_s: float, span_s: float) -> bool:
        return piece.end_s <= now_s - span_s + self._slack_s

    def widened(self, events_min: int) -> tuple[Sample, float]:
        """The window's sample and where it begins; a wider one's where it has too few events."""
        total, start_s = self._sum, self._inside[0].start_s if self._inside else math.inf
        if self._older and not self._older_busy and total.events < events_min:
            return total.sample(), self._older[0].start_s  # as for a class that nobody has
        for piece in reversed(self._older):
            if total.events >= events_min:
                break
            start_s = piece.start_s
            total = total.copy() if total is self._sum else total
            total.add(piece.interval)
        return total.sample(), start_s


def _joined(first: Interval, second: Interval) -> Interval:
    both = _Sum()
    both.add(first)
    both.add(second)
    return Interval.between(Sample(_NOTHING), both.sample())
