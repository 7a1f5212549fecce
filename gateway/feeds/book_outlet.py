"""Where a feed's books go: into the ring, or in doubt, and all hear of it that are concerned.

The book itself is native, in the segment (`native/gw_books.h`): a message is one call. Here is what
follows from it. A book that turns out to be wrong gets nothing more until its next snapshot, which
whoever reads the venue has to come by (`Fate.why`).
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final, NamedTuple

from gateway import log
from gateway.feeds.books import Doubt
from gateway.feeds.feed import Counters, Publisher, Topics
from gateway.feeds.refusals import Refusal, shown, shown_symbol
from gateway.feeds.venues.message import BookMessage, Top

CROSSED_NS: Final = 1_000_000_000
"""A best bid that is not below the best ask is a book gone wrong, if it lasts for longer."""
DIFFERS_NS: Final = 1_000_000_000
"""A venue's quotes that are others than its book's top at the same number contradict it, if that
lasts for longer: the numbers' order need not be that of arrival."""
CHECKSUMS_WRONG: Final = 3
CHECKSUMS_WRONG_NS: Final = 600_000_000_000
"""So many wrong ones within so long: it is rather the checksum that is wrong, and it is let be."""
DISCARDED_LEVELS: Final = 1024
"""Levels of a message freed at once, holding the interpreter: 0.1 ms."""

_NONE: Final = "book message: ring.book_levels_max is 0"
_WAITS: Final = "book update before its snapshot"
_CHECKSUM: Final = "its checksum is another"
_CROSSED: Final = "its best bid is not below its best ask"
_UNCHECKED: Final = "checksums are wrong again and again: no longer checked"

_log = log.get("feeds")


class Fate(NamedTuple):
    """What became of a message.

    Attributes:
        published: it changed the book.
        why: the book is in doubt from here on, and for what; "" where it is not.
    """

    published: bool = False
    why: str = ""


class _Book:
    __slots__ = ("checked", "crossed_ns", "differs", "differs_ns", "topic", "waits", "wrong_ns")

    def __init__(self, topic: int) -> None:
        self.topic = topic
        self.differs = False  # from the venue's quotes; as it was told
        self.differs_ns = -1  # since when; -1: it does not
        self.waits = False  # for a snapshot
        self.checked = True
        self.wrong_ns: list[int] = []  # when checksums were
        self.crossed_ns = -1  # since when; -1: it is not


class BookOutlet:
    """Publishes one feed's books.

    Args:
        quotes: where quotes are made of the books of symbols of which `derives` is true.
        refuse: counts a refusal and tells those concerned.
    """

    def __init__(
        self,
        counters: Counters,
        publisher: Publisher,
        index: int,
        topics: Topics,
        refuse: Callable[[Refusal, int, int], None],
        quotes: Topics | None = None,
        derives: Callable[[str], bool] | None = None,
    ) -> None:
        self._counters = counters
        self._publisher = publisher
        self._index = index
        self._topics = topics
        self._refuse = refuse
        self._quotes = quotes
        self._derives = derives
        self._books: dict[str, _Book] = {}

    def take(
        self,
        change: BookMessage | Doubt,
        ts_recv: int,
        mono_recv: int,
        *,
        flags: int = 0,
        record_wire: bool = True,
    ) -> Fate:
        """Takes what became of a book, in order. A snapshot ends every doubt."""
        if isinstance(change, Doubt):
            self._doubt(change, ts_recv, mono_recv, flags)
            return Fate()
        if self._publisher.books_max == 0:
            self._counters.skip(_NONE)
            _discard(change)
            return Fate()
        topic = self._topics.of(change.symbol)
        if isinstance(topic, Refusal):
            self._refuse(topic, ts_recv, mono_recv)
            return Fate(why=topic.why)
        book = self._books.get(change.symbol)
        if book is None or book.topic != topic:
            book = self._books[change.symbol] = _Book(topic)
            self._derive(change.symbol, topic, ts_recv, mono_recv)
        if book.waits and change.type == "update":
            self._counters.skip(_WAITS)
            return Fate()
        try:
            _, published, agrees, crossed = self._publisher.book(
                topic,
                change.type == "snapshot",
                change.bids,
                change.asks,
                ts_recv,
                mono_recv,
                ts_event=change.ts_event,
                first=change.first,
                last=change.last,
                checksum=change.checksum if book.checked else None,
                depth=change.depth,
                doubted=change.doubted,
                flags=flags,
                feed=self._index,
                record_wire=record_wire,
            )
        except (ValueError, MemoryError) as error:
            why = shown(str(error) or "no memory")
            fate = self._lose(Doubt(change.symbol, why), ts_recv, mono_recv, flags)
            self._refuse(Refusal("limit", why, "book", change.symbol), ts_recv, mono_recv)
            return fate
        finally:
            _discard(change)
        book.waits = False
        if change.doubted is not None:
            return Fate(published)
        doubt = self._judge(change, book, agrees, crossed, ts_recv, mono_recv)
        if doubt is None:
            return Fate(published)
        return self._lose(doubt, ts_recv, mono_recv, flags)._replace(published=published)

    def _judge(
        self,
        change: BookMessage,
        book: _Book,
        agrees: bool,
        crossed: bool,
        ts_recv: int,
        mono_recv: int,
    ) -> Doubt | None:
        """Whether the book behind a message is in doubt by what it holds."""
        now_ns = change.ts_event or ts_recv
        if not agrees:
            self._wrong(change.symbol, book, ts_recv, mono_recv)
            return Doubt(change.symbol, _CHECKSUM)
        if self._crossed(book, crossed, now_ns):
            return Doubt(change.symbol, _CROSSED, "crossed")
        if change.top is not None:
            self._compare(book, change.top, now_ns)
        return None

    def _derive(self, symbol: str, topic: int, ts_recv: int, mono_recv: int) -> None:
        """Has quotes made of the symbol's book, where the venue sends none."""
        if self._quotes is None or self._derives is None or not self._derives(symbol):
            return
        quotes = self._quotes.of(symbol)
        if isinstance(quotes, Refusal):
            self._refuse(quotes, ts_recv, mono_recv)
        else:
            self._publisher.book_derive(topic, quotes)

    def forget(self, symbol: str) -> None:
        """The instrument has ended, and its book with it."""
        self._books.pop(symbol, None)

    def _doubt(self, doubt: Doubt, ts_recv: int, mono_recv: int, flags: int) -> None:
        topic = self._topics.get(doubt.symbol, -1)
        if topic >= 0:
            self._publisher.book_doubt(
                topic,
                ts_recv,
                mono_recv,
                state=doubt.state,
                reason=doubt.why,
                flags=flags,
                feed=self._index,
            )

    def _lose(self, doubt: Doubt, ts_recv: int, mono_recv: int, flags: int) -> Fate:
        """The book gets nothing more until a snapshot; subscribers are told."""
        book = self._books[doubt.symbol]
        book.waits, book.crossed_ns = True, -1
        self._doubt(doubt, ts_recv, mono_recv, flags)
        return Fate(why=doubt.why)

    def _compare(self, book: _Book, quote: Top, now_ns: int) -> None:
        """Holds the book against what the venue's quotes say of its top, by the messages' times."""
        top = self._publisher.book_top(book.topic)
        if top is None or _same(top, quote):
            book.differs_ns = -1
        elif book.differs_ns < 0:
            book.differs_ns = now_ns
        differs = book.differs_ns >= 0 and now_ns - book.differs_ns > DIFFERS_NS
        if differs != book.differs and (differs or book.differs_ns < 0):
            book.differs = differs
            self._publisher.differs(book.topic, differs)

    def _wrong(self, symbol: str, book: _Book, ts_recv: int, mono_recv: int) -> None:
        """A checksum is another; of several the next ones count for nothing."""
        since_ns = mono_recv - CHECKSUMS_WRONG_NS
        book.wrong_ns = [at_ns for at_ns in book.wrong_ns if at_ns > since_ns] + [mono_recv]
        if len(book.wrong_ns) >= CHECKSUMS_WRONG:
            book.checked = False
            _log.warning(
                "book.unchecked",
                feed=self._counters.name,
                symbol=shown_symbol(symbol),
                message=_UNCHECKED,
            )
            try:
                self._publisher.suspect(book.topic, _UNCHECKED, ts_recv, mono_recv)
            except OverflowError as error:
                self._counters.unsuspected(error)

    def _crossed(self, book: _Book, crossed: bool, now_ns: int) -> bool:
        """Whether it has been crossed for too long, by the messages' times."""
        if not crossed:
            book.crossed_ns = -1
        elif book.crossed_ns < 0:
            book.crossed_ns = now_ns
        return book.crossed_ns >= 0 and now_ns - book.crossed_ns > CROSSED_NS


def _same(one: Top, other: Top) -> bool:
    return one == other or all(
        (a is b) if a is None or b is None else Decimal(a) == Decimal(b)
        for a, b in zip(one, other, strict=True)
    )


def _discard(message: BookMessage) -> None:
    for levels in (message.bids, message.asks):
        while levels:  # a whole book at once takes the interpreter 3 ms to free
            del levels[-DISCARDED_LEVELS:]
