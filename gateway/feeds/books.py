"""The books of one feed: each message is checked, and handed on where its book goes on from it.

Levels are checked as the ring would: a book of which one level is refused is refused as a whole,
and is in doubt until its next snapshot, as behind a hole (`venues/book.py`). Where books go on
within one connection, the newest snapshot says which one that is; updates of others are skipped. Of
two streams of one symbol that differ in depth, the deeper one is the book.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from gateway.feeds.feed import Counters
from gateway.feeds.refusals import Refusal, of_row, shown
from gateway.feeds.venues.book import BookSequence, Room
from gateway.feeds.venues.message import BookMessage, Level

if TYPE_CHECKING:
    from gateway.feeds.venues.message import Fields

BOOKS_MAX: Final = 65_536
"""Symbols with a book; a message of one more is refused."""
CHECKED_LEVELS: Final = 256
"""Levels checked at once, holding the interpreter: 30 us."""

_USUAL: Final = re.compile(r"(?:-?[0-9]{1,19}(?:\.[0-9]{1,18})?,[0-9]{1,19}(?:\.[0-9]{1,18})?,)*")
"""Prices and quantities that no limit refuses, with a comma behind each."""


Doubted = Literal["gap", "resync", "crossed"]
"""What health says of an instrument whose book is in doubt: messages of it are missing; it has to
be had anew, for another reason; its best bid was not below its best ask."""


class Doubt(NamedTuple):
    """A book is not up to date from here on: what is missing, and why."""

    symbol: str
    why: str
    state: Doubted = "resync"


class _Book:
    __slots__ = ("connection", "depth", "sequence")

    def __init__(self, sequence: BookSequence, connection: str, depth: int) -> None:
        self.sequence = sequence
        self.connection = connection
        self.depth = depth


_OLD: Final = "old book update"
_WAITS: Final = "book update before its snapshot"
_ELSEWHERE: Final = "book update of another connection"
_SHALLOW: Final = "book of fewer levels"
_NAMELESS: Final = "book snapshot of no symbol"
_HOLE: Final = "the venue's numbers have a hole"


class Rules(Protocol):
    """How books come: `venues/table.py` has those of venues."""

    @property
    def books_beside(self) -> bool: ...
    @property
    def books_by_connection(self) -> bool: ...


class Books:
    """The books of one pass through a feed's messages.

    Args:
        refusal: why the ring would refuse a trade of these fields, "" where it would not.
    """

    def __init__(
        self, rules: Rules, counters: Counters, refusal: "Callable[[Fields], str]"
    ) -> None:
        self._beside = rules.books_beside
        self._bound = rules.books_by_connection
        self._counters = counters
        self._refusal = refusal
        self._books: dict[str, _Book] = {}
        self._room = Room()

    @property
    def only(self) -> str:
        """The symbol of the one book that there is; "" where there are none, or several."""
        return next(iter(self._books)) if len(self._books) == 1 else ""

    def waits(self, symbol: str) -> bool:
        """Whether updates of the symbol are held for its snapshot."""
        book = self._books.get(symbol)
        return book is not None and not book.sequence.stands and book.sequence.held > 0

    def stands(self, symbol: str) -> bool:
        """Whether the symbol has a book that is up to date."""
        book = self._books.get(symbol)
        return book is not None and book.sequence.stands

    def take(
        self, message: BookMessage, connection: str
    ) -> Iterator[BookMessage | Doubt | Refusal]:
        """What is to be told of the message, in order: what is to apply, a doubt, a refusal."""
        if not message.symbol:
            # A capture of one book may have its snapshots without a name.
            if not self.only:
                self._counters.skip(_NAMELESS)
                return
            message = message._replace(symbol=self.only)
        symbol = message.symbol
        book = self._books.get(symbol)
        if book is not None and (why := self._other(message, connection, book)):
            self._counters.skip(why)
            return
        refusal = self._refused(message)
        if refusal is not None:
            if message.type == "update" or not self._beside:  # else one that stands needs it not
                yield from self.doubt(symbol, refusal.why)
            yield refusal
            return
        if book is None and message.type == "update" and not self._beside:
            self._counters.skip(_WAITS)  # no place for a name that anybody may make up
            return
        if book is None:
            sequence = BookSequence(beside=self._beside, room=self._room)
            book = self._books[symbol] = _Book(sequence, connection, message.depth)
        elif message.type == "snapshot":
            book.connection, book.depth = connection, message.depth
        yield from self._offered(message, book.sequence)

    def _other(self, message: BookMessage, connection: str, book: _Book) -> str:
        """Why the message is not of the book that its symbol has; "" where it is."""
        update = message.type == "update"
        if message.depth != book.depth and (
            update or (book.sequence.stands and not _deeper(message.depth, book.depth))
        ):
            return _SHALLOW
        return _ELSEWHERE if self._bound and update and connection != book.connection else ""

    def _offered(
        self, message: BookMessage, sequence: BookSequence
    ) -> Iterator[BookMessage | Doubt]:
        newest = sequence.last
        offer = sequence.offer(message)
        for _ in range(offer.dropped):
            self._counters.skip(_OLD if offer.outcome in ("old", "snapshot") else _WAITS)
        if offer.outcome == "gap":
            number = message.last if message.first is None else message.first
            self._counters.gap(0, ("book", message.symbol, number or 0, newest or 0))
            yield Doubt(message.symbol, _HOLE, "gap")
        yield from offer.messages

    def doubt(self, symbol: str, why: str, state: Doubted = "resync") -> Iterator[Doubt]:
        """The symbol's book, where it has one that stands, is in doubt."""
        book = self._books.get(symbol)
        if book is not None and book.sequence.stands:
            book.sequence.lose()
            yield Doubt(symbol, why, state)

    def doubt_all(self, connection: str, why: str, state: Doubted = "resync") -> Iterator[Doubt]:
        """The connection's books are in doubt: messages of it are missing, or it is a new one.

        Books that may go on in another connection show by their own numbers what is missing.
        """
        if self._bound:
            for symbol, book in self._books.items():
                if book.connection == connection:
                    yield from self.doubt(symbol, why, state)

    def doubt_unnumbered(self, why: str) -> Iterator[Doubt]:
        """Messages are missing, nobody knows of which book: those are in doubt that don't show it
        by their numbers."""
        for symbol, book in self._books.items():
            if book.sequence.last is None:
                yield from self.doubt(symbol, why, "gap")

    def forget(self, symbol: str) -> None:
        """The instrument has ended, and its book with it."""
        book = self._books.pop(symbol, None)
        for _ in range(0 if book is None else book.sequence.held):
            self._counters.skip(_WAITS)

    def end(self) -> None:
        """Counts what still waits: there comes no snapshot for it."""
        for book in self._books.values():
            for _ in range(book.sequence.held):
                self._counters.skip(_WAITS)

    def _refused(self, message: BookMessage) -> Refusal | None:
        symbol = message.symbol
        if symbol not in self._books and len(self._books) >= BOOKS_MAX:
            why = f"more than {BOOKS_MAX} books"
            return Refusal("topics", why, "book", symbol, "symbol", shown(symbol))
        for side, levels in (("bid", message.bids), ("ask", message.asks)):
            for at in range(0, len(levels), CHECKED_LEVELS):
                some = levels[at : at + CHECKED_LEVELS]
                if not _usual(some) and (refusal := self._first_refused(symbol, side, some)):
                    return refusal
        return None

    def _first_refused(self, symbol: str, side: str, levels: Sequence[Level]) -> Refusal | None:
        for price, qty, *_ in levels:
            if qty[:1] == "-":
                why = "a negative quantity"
                return Refusal("value", why, "book", symbol, f"{side} qty", shown(qty))
            fields = (0, price, qty, None, "")
            if why := self._refusal(fields):
                refused = of_row("trade", symbol, (-1, *fields), why)
                return refused._replace(channel="book", field=f"{side} {refused.field}")
        return None


def _deeper(one: int, other: int) -> bool:
    """0 is as deep as can be."""
    return other != 0 and (one == 0 or one > other)


def _usual(levels: Sequence[Level]) -> bool:
    text = "".join(f"{level[0]},{level[1]}," for level in levels)
    return text.count(",") == 2 * len(levels) and _USUAL.fullmatch(text) is not None
