"""Where a feed's books go: into the ring, or in doubt, and all hear of it that are concerned.

The book itself is native, in the segment (`native/gw_books.h`): a message is one call. Here is what
follows from it. A book that turns out to be wrong gets nothing more until its next snapshot, which
whoever reads the venue has to come by (`Fate.why`).
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from gateway import log
from gateway.feeds.books import Doubt
from gateway.feeds.feed import Counters, Publisher, Topics
from gateway.feeds.refusals import Refusal, shown, shown_symbol
from gateway.feeds.venues.message import BookMessage

CROSSED_NS: Final = 1_000_000_000
"""A best bid that is not below the best ask is a book gone wrong, if it lasts for longer."""
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
    __slots__ = ("checked", "crossed_ns", "waits", "wrong_ns")

    def __init__(self) -> None:
        self.waits = False  # for a snapshot
        self.checked = True
        self.wrong_ns: list[int] = []  # when checksums were
        self.crossed_ns = -1  # since when; -1: it is not


class BookOutlet:
    """Publishes one feed's books. `refuse` counts a refusal and tells those concerned."""

    def __init__(
        self,
        counters: Counters,
        publisher: Publisher,
        index: int,
        topics: Topics,
        refuse: Callable[[Refusal, int, int], None],
    ) -> None:
        self._counters = counters
        self._publisher = publisher
        self._index = index
        self._topics = topics
        self._refuse = refuse
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
            self._doubt(change.symbol, ts_recv, mono_recv, flags)
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
        if book is None:
            book = self._books[change.symbol] = _Book()
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
                flags=flags,
                feed=self._index,
                record_wire=record_wire,
            )
        except (ValueError, MemoryError) as error:
            why = shown(str(error) or "no memory")
            fate = self._lose(change.symbol, why, ts_recv, mono_recv, flags)
            self._refuse(Refusal("limit", why, "book", change.symbol), ts_recv, mono_recv)
            return fate
        finally:
            _discard(change)
        book.waits = False
        why = "" if agrees else self._wrong(change.symbol, book, topic, ts_recv, mono_recv)
        why = why or self._crossed(book, crossed, change.ts_event or ts_recv)
        if not why:
            return Fate(published)
        fate = self._lose(change.symbol, why, ts_recv, mono_recv, flags)
        return fate._replace(published=published)

    def _doubt(self, symbol: str, ts_recv: int, mono_recv: int, flags: int) -> None:
        topic = self._topics.get(symbol, -1)
        if topic >= 0:
            self._publisher.book_doubt(topic, ts_recv, mono_recv, flags=flags, feed=self._index)

    def _lose(self, symbol: str, why: str, ts_recv: int, mono_recv: int, flags: int) -> Fate:
        """The book gets nothing more until a snapshot; subscribers are told."""
        book = self._books[symbol]
        book.waits, book.crossed_ns = True, -1
        self._doubt(symbol, ts_recv, mono_recv, flags)
        return Fate(why=why)

    def _wrong(self, symbol: str, book: _Book, topic: int, ts_recv: int, mono_recv: int) -> str:
        """A checksum is another; why the book is in doubt."""
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
                self._publisher.suspect(topic, _UNCHECKED, ts_recv, mono_recv)
            except OverflowError as error:
                self._counters.unsuspected(error)
        return _CHECKSUM

    def _crossed(self, book: _Book, crossed: bool, now_ns: int) -> str:
        """Why the book is in doubt: it has been crossed for too long, by the messages' times."""
        if not crossed:
            book.crossed_ns = -1
        elif book.crossed_ns < 0:
            book.crossed_ns = now_ns
        elif now_ns - book.crossed_ns > CROSSED_NS:
            return _CROSSED
        return ""


def _discard(message: BookMessage) -> None:
    for levels in (message.bids, message.asks):
        while levels:  # a whole book at once takes the interpreter 3 ms to free
            del levels[-DISCARDED_LEVELS:]
