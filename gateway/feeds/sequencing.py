"""Sequence checks of one numbered stream: gaps, duplicates, late records. Sans-IO.

A stream is numbered either contiguously (each record one more than the last: a trade id) or only
rising (a bookTicker's update id, which skips the changes that did not touch the top of the book).
A hole can be seen in the first kind alone.
"""

from typing import Literal, NamedTuple


class Gap(NamedTuple):
    """`lost` records are missing just before the record observed, which itself is good."""

    lost: int


Outcome = Literal["next", "duplicate", "late"] | Gap


class Sequence:
    """The last number seen. The first record observed sets it, whatever it is."""

    __slots__ = ("_contiguous", "_last")

    def __init__(self, *, contiguous: bool) -> None:
        self._contiguous = contiguous
        self._last: int | None = None

    def observe(self, number: int) -> Outcome:
        """What the record of this number is. After a gap the count goes on behind it, so that each
        hole is reported once; a record that would fill one is `late`."""
        last = self._last
        if last is not None and number <= last:
            return "duplicate" if number == last else "late"
        self._last = number
        if last is None or number == last + 1 or not self._contiguous:
            return "next"
        return Gap(number - last - 1)
