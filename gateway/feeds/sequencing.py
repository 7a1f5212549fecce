"""Sequence checks of one numbered stream: gaps, duplicates, late records, restarts. Sans-IO.

What a stream's numbers say depends on its numbering:

- `exact`: each record is one more than the last (a spot trade's id). A hole is a loss.
- `sparse`: numbers are of one record each, but may be left out without a loss (a futures trade's).
- `rising`: the numbers of a state (a bookTicker's update id), of which only the newest is of use.
- `none`: there are none, and nothing to check.

A number that is not beyond the last one has three causes. It fills a known hole: the record is
late. It came before: a duplicate. Or the venue has begun to number again. The records themselves
must show that, since a collector that lags brings long runs of old numbers as well:

- a time of the venue's that is later than any before: no duplicate has one;
- a number never seen, below half of the last one, that is not older: a count that began again;
- a long rising run of old numbers with nothing new between: the last resort, so that no stream is
  taken for duplicates for ever.

Behind a restart the last records of the count before may still come. Such a number is far beyond
the new ones, and tells of no hole: all that is between was never published. So of numbers where the
old count was, those without a later time are of before; and where it turns out that the venue is
there again, that is one more restart, not a loss of so many.
"""

from typing import Final, Literal, NamedTuple

HOLES_MAX: Final = 64
"""Of one stream; older ones are forgotten, and what fills them counts as a duplicate."""
RUN_FAR: Final = 8
"""Old numbers in a row that show a restart: below half of the last one, with no older time ..."""
RUN_NEAR: Final = 256
"""... or otherwise: more than what a collector that lags catches up with at once. Behind a restart
a hole of more, up to where the count of before was, is none."""

Numbering = Literal["exact", "sparse", "rising", "none"]


class _Before(NamedTuple):
    """The count before a restart.

    Attributes:
        begin: from here on numbers are where it was: its upper half or, where the new count began
            there, its last ones.
        last: its highest number.
        holes: what was missing of it.
    """

    begin: int
    last: int
    holes: list[tuple[int, int]]


class Gap(NamedTuple):
    """`lost` records are missing just before the record observed, which itself is good."""

    lost: int


Outcome = Literal["next", "duplicate", "late", "reset"] | Gap


class Sequence:
    """The numbers seen. The first record observed sets them, whatever it is."""

    __slots__ = ("_before", "_first", "_holes", "_last", "_numbering", "_run", "_run_last", "_time")

    _first: int
    _last: int
    _time: int

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        self._before: _Before | None = None
        self._begin(-1, -1, 0)

    @property
    def last(self) -> int:
        """The highest number since the last restart; -1: none yet."""
        return self._last

    def observe(self, first: int, last: int, time: int = 0) -> Outcome:
        """What the record of these numbers (of one: twice the same) is.

        After a gap the count goes on behind it, so that each hole is reported once; after `reset`
        it goes on from this record. `time` is the venue's, 0 where it sends none.
        """
        before = self._last
        if before < 0:
            self._begin(first, last, time)
            return "next"
        if self._before is not None and (outcome := self._beside(first, last, time)) is not None:
            return outcome
        if first > before:
            self._last = last
            self._run = 0
            self._time = max(self._time, time)
            if first == before + 1 or self._numbering == "rising":
                return "next"
            self._holes.append((before + 1, first - 1))
            del self._holes[:-HOLES_MAX]
            return Gap(first - before - 1) if self._numbering == "exact" else "next"
        if last == before:
            return "duplicate"
        if _fills(self._holes, first, last):
            return "late"
        if last < before and self._restarted(first, last, time):
            self._restart(first, last, time)
            return "reset"
        return "late" if self._numbering == "rising" else "duplicate"

    def _begin(self, first: int, last: int, time: int) -> None:
        self._first, self._last, self._time = first, last, time
        self._run, self._run_last = 0, -1
        self._holes: list[tuple[int, int]] = []

    def _restart(self, first: int, last: int, time: int) -> None:
        """The count goes on from this record; where the one before was is remembered.

        A hole of a few is told as one, so that a count that ends that near is not worth it: the one
        before it is.
        """
        before = self._before
        if before is None or self._last - last > RUN_NEAR:
            far = last <= self._last // 2
            begin = self._last // 2 + 1 if far else self._last - RUN_NEAR + 1
            before = _Before(begin, self._last, self._holes) if last < begin else None
        self._begin(first, last, time)
        self._before = before

    def _beside(self, first: int, last: int, time: int) -> Outcome | None:
        """What the record is where it is of the count before, or there; None: it is of this one."""
        old = self._before
        assert old is not None
        if first < old.begin:
            return None
        if first - self._last - 1 <= RUN_NEAR:
            self._before = None  # this count came there by itself
            return None
        self._run = self._run + 1 if first > self._run_last else 1
        self._run_last = last
        if (time and self._time and time > self._time) or self._run >= RUN_FAR:
            self._before = None
            self._begin(first, last, time)
            return "reset"
        if first > old.last:
            self._before = old._replace(last=last)
            return "late"
        fills = _fills(old.holes, first, last)
        return "late" if fills or self._numbering == "rising" else "duplicate"

    def _restarted(self, first: int, last: int, time: int) -> bool:
        if time and self._time and time > self._time:
            return True
        far = last <= self._last // 2 and not (time and time < self._time)
        if far and last < self._first:
            return True
        self._run = self._run + 1 if first > self._run_last else 1
        self._run_last = last
        return self._run >= (RUN_FAR if far else RUN_NEAR)


def _fills(holes: list[tuple[int, int]], first: int, last: int) -> bool:
    """Whether these numbers are missing; they are not any more."""
    for index, (start, end) in enumerate(holes):
        if start <= first and last <= end:
            rest = [(start, first - 1), (last + 1, end)]
            holes[index : index + 1] = [hole for hole in rest if hole[0] <= hole[1]]
            del holes[:-HOLES_MAX]
            return True
    return False
