"""The books of one pass through a flight recording. Sans-IO.

A record says what changed since the one before, so it is of use where that one was: else the book
is in doubt, and waits for a state. States come some records before their place, and again and
again: they are kept until the record of their seq comes, and are of use where the book is not
there. A record that does not say what changed is such a place, as is a hole in the copy.
"""

import struct
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from gateway._native import book_state, book_state_rows
from gateway.feeds.books import Doubt
from gateway.feeds.refusals import Refusal
from gateway.feeds.venues.message import BookMessage

if TYPE_CHECKING:
    from gateway._native import BookFields

Told = BookMessage | Doubt | Refusal

KEPT_BYTES_MAX: Final = 128 << 20
"""Of states whose record has not come yet: those that this program writes are less."""
ROWS: Final = 256
"""Decoded at once, holding the interpreter: 0.1 ms."""
FLAG_DOUBT: Final = 8
"""GW_FLAG_MAYBE_BAD_BOOK."""
GAP_FEED: Final = 1

_STAMP: Final = struct.Struct("<32xq")
"""When the record of a state was published, in its first part (`gw_header_t` behind 8 bytes)."""
_HOLE: Final = "records of it are missing in the recording"
_UNTOLD: Final = "the recording does not say what changed"
_WAITS: Final = "book record before its state"
_HAS: Final = "book record that its state has"


class _State:
    __slots__ = ("parts", "published_ns", "rows", "seq", "size", "so_far")

    def __init__(self, seq: int, rows: int, published_ns: int = 0) -> None:
        self.seq = seq
        self.published_ns = published_ns
        self.rows = rows
        self.so_far = 0
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, part: bytes, rows: int) -> None:
        self.parts.append(part)
        self.size += len(part)
        self.so_far += rows


class _Book:
    __slots__ = ("kept", "seq", "stands", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.seq = 0  # of the newest record or state
        self.stands = False  # and the book is that of this seq
        self.kept: deque[_State] = deque()  # whose record has not come yet


class RecordedBooks:
    """Books by the recording's numbers of topics; `skip` counts what is of no use, and why.

    `patient`: no state is taken before its time, which is when its record comes, or when `until`
    says that it has passed.
    """

    def __init__(self, skip: Callable[[str], None], *, patient: bool = False) -> None:
        self._skip = skip
        self._patient = patient
        self._waiting: set[int] = set()  # numbers of books that have states
        self._books: dict[int, _Book] = {}
        self._begun: tuple[int, _State] | None = None  # a state of which more is to come
        self._kept_bytes = 0

    def record(
        self,
        symbol: str,
        told: tuple[int, int, int, int],
        fields: "BookFields",
        *,
        opens: bool = False,
    ) -> Iterator[Told]:
        """What a record of a book comes to; `told` is (seq, flags, gap, lost). `opens`: the topic
        has begun with it, whose numbers may go on from an earlier life of its name."""
        number, ts_event, reset, first, last, bids, asks = fields
        seq, flags, gap, _ = told
        book = self._books.setdefault(number, _Book(symbol))
        if book.stands and seq <= book.seq:
            self._skip(_HAS)
            return
        follows = book.stands and seq == book.seq + 1
        begins = (opens or seq == 1) and book.seq == 0
        if book.stands and not follows:
            yield self._lost(book, _HOLE)
        state = self._due(book, seq)
        book.seq = max(book.seq, seq)
        if state is not None and state.seq == seq and (reset or not follows):
            yield from self._whole(book, state)
            return
        if state is not None and not (reset or follows or begins) and state.seq == seq - 1:
            yield from self._whole(book, state)
            follows = book.stands
        if reset or not (follows or begins):
            if book.stands:
                yield self._lost(book, _UNTOLD)
            else:
                self._skip(_WAITS)
        elif gap == GAP_FEED and not bids and not asks:
            yield Doubt(symbol, "it was when it was recorded")
        else:
            book.stands = True
            yield BookMessage(
                symbol,
                "snapshot" if begins else "update",
                bids,
                asks,
                ts_event,
                _number(first),
                _number(last),
                doubted=bool(flags & FLAG_DOUBT),
            )

    def state(self, payload: bytes, symbol_of: Callable[[int], str | None]) -> Iterator[Told]:
        """Takes a part of a state; what there is to tell once it is whole."""
        try:
            number, seq, *_, rows, first, count = book_state(payload)
        except ValueError as error:
            yield Refusal("shape", f"{error}", "book")
            return
        symbol = symbol_of(number)
        if symbol is None:
            return
        begun, self._begun = self._begun, None
        if first == 0:
            begun = number, _State(seq, rows, _STAMP.unpack_from(payload)[0])
        whose, state = begun or (-1, _State(0, 0))
        if whose != number or (state.seq, state.rows, state.so_far) != (seq, rows, first):
            yield Refusal("shape", "part of a book's state", "book", symbol)
            return
        state.add(payload, count)
        if state.so_far < rows:
            if state.size > KEPT_BYTES_MAX or not count:
                yield Refusal("size", f"a book of {rows} levels", "book", symbol)
            else:
                self._begun = number, state
            return
        book = self._books.setdefault(number, _Book(symbol))
        if (seq > book.seq and book.seq) or (self._patient and seq >= book.seq):
            if seq > book.seq or not book.stands:
                self._keep(number, book, state)
        elif seq >= book.seq and not book.stands:
            book.seq = seq
            yield from self._whole(book, state)

    def until(self, stamp_ns: int) -> Iterator[Told]:
        """All records that were published before that have come: what waits for none of them any
        more is taken."""
        for number in [*self._waiting]:
            book, state = self._books.get(number), None
            while book is not None and book.kept and book.kept[0].published_ns < stamp_ns:
                state = book.kept.popleft()
                self._kept_bytes -= state.size
            if book is None or not book.kept:
                self._waiting.discard(number)
            if book is None or state is None or state.seq < book.seq + book.stands:
                continue
            if book.stands:  # its record should have come
                yield self._lost(book, _HOLE)
            book.seq = state.seq
            yield from self._whole(book, state)

    @property
    def waits(self) -> bool:
        """Whether `until` may have something."""
        return bool(self._waiting)

    def lose(self, symbol: str) -> None:
        """The book is not to be had as it was recorded; the next state mends it."""
        for book in self._books.values():
            if book.symbol == symbol:
                book.stands = False

    def end(self, number: int) -> None:
        """The topic has ended."""
        book = self._books.pop(number, None)
        if book is not None:
            self._kept_bytes -= sum(state.size for state in book.kept)

    def _lost(self, book: _Book, why: str) -> Doubt:
        book.stands = False
        return Doubt(book.symbol, why)

    def _keep(self, number: int, book: _Book, state: _State) -> None:
        if self._kept_bytes + state.size > KEPT_BYTES_MAX:
            self._skip("book state beside too many others")
            return
        book.kept.append(state)
        self._kept_bytes += state.size
        if self._patient:
            self._waiting.add(number)

    def _due(self, book: _Book, seq: int) -> _State | None:
        """The state of the record of this seq, or of the one before it; older ones go."""
        state = None
        while book.kept and book.kept[0].seq <= seq:
            state = book.kept.popleft()
            self._kept_bytes -= state.size
        return state if state is not None and state.seq >= seq - 1 else None

    def _whole(self, book: _Book, state: _State) -> Iterator[Told]:
        _, _, flags, ts_event, first, last, *_ = book_state(state.parts[0])
        bids: list[tuple[str, ...]] = []
        asks: list[tuple[str, ...]] = []
        for part in state.parts:
            count = book_state(part)[-1]
            for at in range(0, count, ROWS):
                try:
                    some = book_state_rows(part, at, ROWS)
                except ValueError as error:
                    yield self._lost(book, str(error))
                    yield Refusal("shape", str(error), "book", book.symbol)
                    return
                bids += some[0]
                asks += some[1]
        book.stands = True
        yield BookMessage(
            book.symbol,
            "snapshot",
            bids,
            asks,
            ts_event,
            _number(first),
            _number(last),
            doubted=bool(flags & FLAG_DOUBT),
        )


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
