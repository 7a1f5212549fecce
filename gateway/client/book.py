"""Order books as a client has them: their frames, and the book that these make."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, overload

import msgspec

from gateway.client.ticks import Tick

if TYPE_CHECKING:
    from gateway._native import Book as NativeBook


class Level(NamedTuple):
    """A price and the quantity there; `price` and `qty` are exact.

    Attributes:
        price_text: the digits as the venue sent them.
        qty_text: likewise; "0" in a frame: the level is gone.
    """

    price_text: str
    qty_text: str

    @property
    def price(self) -> Decimal:
        """The price, exactly."""
        return Decimal(self.price_text)

    @property
    def qty(self) -> Decimal:
        """The quantity, exactly."""
        return Decimal(self.qty_text)

    @property
    def price_float(self) -> float:
        """The nearest float: 15 to 17 digits of the price."""
        return float(self.price_text)

    @property
    def qty_float(self) -> float:
        """The nearest float: 15 to 17 digits of the quantity."""
        return float(self.qty_text)


class Side(Sequence[Level]):
    """The levels of one side as they are now, the best first; they are made when they are asked
    for, so that the best ten of a thousand cost as much as ten."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._book: NativeBook | None = None
        self._best: list[Level] = []  # those asked for since the book changed

    def changed(self, book: "NativeBook | None") -> None:
        """The book is another one, or has other levels."""
        self._book = book
        self._best = []

    def __len__(self) -> int:
        return 0 if self._book is None else self._book.counts[self._name == "ask"]

    @overload
    def __getitem__(self, index: int) -> Level: ...
    @overload
    def __getitem__(self, index: slice) -> list[Level]: ...
    def __getitem__(self, index: int | slice) -> Level | list[Level]:
        if isinstance(index, slice):
            return self._have(self._end(index))[index]
        return self._have(index + 1 if index >= 0 else len(self))[index]

    def __iter__(self) -> Iterator[Level]:
        return iter(self._have(len(self))[:])

    def __repr__(self) -> str:
        return repr(list(self))

    def _end(self, index: slice) -> int:
        """How many levels a slice needs."""
        if index.stop is None or index.stop < 0 or (index.start or 0) < 0 or (index.step or 1) < 0:
            return len(self)
        return int(index.stop)

    def _have(self, count: int) -> list[Level]:
        """The best levels, at least so many where there are."""
        if count > len(self._best) and self._book is not None and len(self._best) < len(self):
            wanted = max(count, 2 * len(self._best))
            self._best = [Level(*row[:2]) for row in self._book.levels(self._name, wanted)]
        return self._best


class OrderBook:
    """The book of one instrument, which the client keeps by the gateway's frames and checks.

    `book.bids[0]` is the best bid and `book.asks[:10]` are the ten best offers. It changes as
    frames come: between two awaits it stands still, and may be newer than the event at hand.

    Attributes:
        symbol: the instrument, `SYMBOL.VENUE`.
        bids: the best first; so are `asks`.
        seq: of its newest frame.
        ts_event: likewise, REALTIME ns by the venue.
        depth: levels of a side that it has at most; 0: all that the venue gives.
        ready: whether it is known to be what the gateway has; else a snapshot is on its way.
        maybe_bad: the venue's own book is in doubt.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.bids = Side("bid")
        self.asks = Side("ask")
        self.seq = 0
        self.ts_event = 0
        self.depth = 0
        self.ready = False
        self.maybe_bad = False
        self._native: NativeBook | None = None

    def __repr__(self) -> str:
        bid, ask = (side[0] if side else None for side in (self.bids, self.asks))
        return f"OrderBook({self.symbol!r}, seq={self.seq}, ready={self.ready}, {bid}, {ask})"

    def checksum(self) -> int:
        """CRC-32 of the best 10 levels of each side, or of `depth` if fewer (docs/protocol.md)."""
        return 0 if self._native is None else self._native.checksum(self.depth)

    def take(self, frame: "Book") -> None:
        """Applies a frame: the client does, once for each.

        Raises:
            ValueError: it has a level that no book can have.
        """
        if self._native is None or self.depth != frame.depth:
            self._native = _made(frame.depth)
        try:
            if frame.type == "snapshot":
                self._native.replace_levels(frame.levels)
            else:
                self._native.apply_levels(frame.levels)
        finally:
            self.bids.changed(self._native)
            self.asks.changed(self._native)
        self.seq, self.ts_event, self.depth = frame.seq, frame.ts_event, frame.depth
        self.maybe_bad = frame.maybe_bad


def _made(depth: int) -> "NativeBook":
    """With room for the levels that a frame may bring before a side is cut to its depth."""
    from gateway._native import BOOK_LEVELS_MAX, Book

    room = min(max(1024, 4 * depth), BOOK_LEVELS_MAX) if depth else BOOK_LEVELS_MAX
    return Book(depth=depth, levels_max=room)


class Book(Tick, frozen=True, kw_only=True):
    """What changed of an order book, or all of it (`type` "snapshot").

    The client has applied and checked it: `book` is the state, which goes on changing.

    Attributes:
        levels: what it changes, as a batch of `gateway._native.Book`.
        depth: levels of a side that the gateway keeps up to date; 0: all that the venue gives.
        first_id: the venue's number of the first message that it stands for, where that is known.
        last_id: the last one's.
        maybe_bad: the venue's own book is in doubt.
        checksum: of the book after it.
        book: the client's book of this instrument; None while it waits for a snapshot.
    """

    levels: bytes
    depth: int = 0
    first_id: str | None = None
    last_id: str | None = None
    maybe_bad: bool = False
    checksum: int | None = None
    book: OrderBook | None = None

    @property
    def bids(self) -> list[Level]:
        """Bids that are gone (quantity "0"), then those that are new or others, best first."""
        return self._side(0)

    @property
    def asks(self) -> list[Level]:
        """The same of the asks."""
        return self._side(1)

    def _side(self, side: int) -> list[Level]:
        from gateway._native import book_texts

        return [Level(*row) for row in book_texts(self.levels)[side]]

    def __repr__(self) -> str:
        what = f"{self.type}, seq={self.seq}, bids={self.bids}, asks={self.asks}"
        return f"Book({self.symbol!r}, {what}, book={self.book})"


def whole(frame: Book) -> Book:
    """A frame that stands for those before it: all of the book as it is now, which may be newer;
    where that is in doubt, the frame without it."""
    from gateway._native import book_levels

    book = frame.book
    if frame.type == "snapshot" or book is None:
        return frame
    if not book.ready:
        return msgspec.structs.replace(frame, book=None)
    return msgspec.structs.replace(
        frame,
        type="snapshot",
        levels=book_levels(book.bids, book.asks),
        depth=book.depth,
        first_id=None,
        maybe_bad=book.maybe_bad,
        checksum=book.checksum(),
    )


class BookPart(Book, frozen=True, kw_only=True):
    """A part of a frame; clients get the whole, once all are there.

    Attributes:
        part: which one, from 1.
        parts: of how many.
    """

    part: int
    parts: int
