"""Records of a ring, read back: what each comes to for a feed that publishes them again. Sans-IO.

Topics have numbers in the order of a directory. Records of a topic are counted, so that what is
missing among them shows, wherever it was lost.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from gateway.feeds.feed import Counters, Topics
from gateway.feeds.reading import After
from gateway.feeds.recorded import RecordedBooks
from gateway.feeds.refusals import Refusal
from gateway.model.record import BOOK

if TYPE_CHECKING:
    from gateway._native import BookFields, Raw, Row
    from gateway.feeds.reading import Told
    from gateway.feeds.venues.message import Fields

_INDEXES: Final = 1 << 32
"""A topic's records are counted modulo this."""
_GAPS: Final = ("", "feed", "reset")
"""What a record says that subscribers are told before it (GW_GAP_NONE, ...)."""


class Ended(NamedTuple):
    """An instrument's end."""

    topics: Topics
    symbol: str


class RingRecords:
    """One pass through the records of one ring, of one venue.

    Args:
        venue: of the records.
        topics: where they go, by symbol.
        patient: of `RecordedBooks`.
        complete: the records begin with the ring's first: what is missing of a topic before the
            first one that comes is missing, too.
    """

    def __init__(
        self,
        venue: str,
        counters: Counters,
        topics: dict[str, Topics],
        *,
        patient: bool = False,
        complete: bool = False,
    ) -> None:
        self._venue = venue
        self._counters = counters
        self._topics = topics
        self.books = RecordedBooks(counters.skip, patient=patient)
        self._directory: list[tuple[str, str] | None] = []
        self._newest: dict[int, int] = {}
        self.complete = complete

    def name(self, topics: Sequence[tuple[str, str]]) -> None:
        """(channel, instrument) of further topics."""
        self._directory += (self._ours(*one) for one in topics)

    @property
    def named(self) -> int:
        """How many topics have names."""
        return len(self._directory)

    def state(self, payload: bytes) -> "Iterator[Told]":
        """Takes a part of a book's state."""
        return self.books.state(payload, self._book_symbol)

    @property
    def seen(self) -> Mapping[int, int]:
        """By topic, the count of its newest record."""
        return self._newest

    def newer(self, read: "Raw") -> bool:
        """Whether the record comes behind all of its topic that were taken."""
        _, _, index, (number, *_), _ = read
        newest = self._newest.get(number)
        return newest is None or 0 < (index - newest) % _INDEXES < _INDEXES // 2

    def take(self, read: "Raw", *, state: bool = False) -> "Iterator[Told | Ended | None]":
        """What a record comes to: None for nothing of ours. `state`: it is what a topic was before,
        and nothing is told of what is missing before it."""
        channel, _, index, (number, *fields), told = read
        if number >= len(self._directory):
            yield Refusal("shape", f"topic {number} of {len(self._directory)}")
            return
        ours = self._directory[number]
        if ours is None:
            self._counters.skip("another venue or channel")
            yield None
            return
        lost = self._holes(number, index)
        topics = self._topics[ours[0]]
        if not channel:
            self.books.end(number)
            yield Ended(topics, ours[1])
        elif ours[0] != channel:
            yield Refusal("shape", f"a {channel} on a topic of {ours[0]}")
        elif channel == BOOK:
            fields_of_book = cast("BookFields", read[3])
            yield from self.books.record(ours[1], told, fields_of_book, opens=index == 0)
        else:
            row = topics.row(ours[1], cast("Fields", tuple(fields)))
            yield row if state or isinstance(row, Refusal) else _after(row, told, lost)

    def _ours(self, channel: str, instrument: str) -> tuple[str, str] | None:
        symbol, _, venue = instrument.rpartition(".")
        ours = venue == self._venue and channel in self._topics
        return (channel, symbol) if ours else None

    def _book_symbol(self, number: int) -> str | None:
        ours = self._directory[number] if number < len(self._directory) else None
        if ours is not None and ours[0] == BOOK:
            return ours[1]
        self._counters.skip("another venue or channel")
        return None

    def _holes(self, number: int, index: int) -> int:
        """Counts the records of a topic of ours that are missing before this one."""
        newest = self._newest.get(number, -1 if self.complete else index - 1)
        lost = (index - newest - 1) % _INDEXES
        self._newest[number] = index
        if not 0 < lost < _INDEXES // 2:  # beyond it they go back, which none of ours do
            return 0
        self._counters.gap(lost)
        return lost


def _after(row: "Row", told: tuple[int, int, int, int], lost: int) -> "Row | After":
    """What subscribers were told before it, and of what the recording lacks."""
    _, _, gap, missing = told
    if gap == 0 and not lost:
        return row
    what = _GAPS[gap] if 0 < gap < len(_GAPS) else "feed"
    return After(what, lost + missing if what == "feed" else 0, row)
