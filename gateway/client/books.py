"""The order books of one client: parts joined, frames applied, sums checked.

Theory of operation. A book is *ready* from a snapshot on whose sum is right, and in doubt after
anything else that could make it another than the gateway's: a new connection or numbering, a hole
among its frames or parts, a wrong sum. In doubt, updates are told without a book, until the next
snapshot. What this client finds wrong is told as a `Gap`, for which the string is to be subscribed
again (`ClientSession.resync`): at once, and after three wrong sums in a row half a minute later.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Final

import msgspec

from gateway.client.book import Book, BookPart, OrderBook
from gateway.client.continuity import Topic
from gateway.client.events import Event, Gap, Malformed
from gateway.client.ticks import RawTick
from gateway.model.record import BOOK
from gateway.model.topic import is_pattern, match_pattern, meant

MISMATCHES_MAX: Final = 3
"""Wrong sums in a row, after which the next attempt waits."""
MISMATCH_RETRY_NS: Final = 30_000_000_000
"""For so long."""
DEPTH_MAX: Final = 0xFFFF
"""As much as binary frames can say."""
PARTS_LEVELS_MAX: Final = 1 << 17
"""Levels of a frame with all its parts: no gateway's book has more."""


class _Data(msgspec.Struct):
    bids: list[list[Any]]
    asks: list[list[Any]]
    depth: Annotated[int, msgspec.Meta(ge=0, le=DEPTH_MAX)] = 0
    first_id: str | None = None
    last_id: str | None = None
    maybe_bad: bool = False
    checksum: int | None = None


def frame_of(head: dict[str, Any], row: dict[str, Any], part: tuple[int, int] | None) -> Book:
    """A frame of the JSON; `head` is what all ticks have.

    Raises:
        msgspec.ValidationError: it is none.
    """
    from gateway._native import book_levels

    data = msgspec.convert(row, _Data)
    try:
        sides = ([(level[0], level[1]) for level in side] for side in (data.bids, data.asks))
        levels = book_levels(*sides)
    except (ValueError, TypeError, IndexError) as error:
        raise msgspec.ValidationError(str(error)) from None
    values = {name: getattr(data, name) for name in data.__struct_fields__[2:]}
    return made(head | values | {"levels": levels}, part)


def made(values: dict[str, Any], part: tuple[int, int] | None) -> Book:
    """A whole frame, or a part.

    Raises:
        msgspec.ValidationError: the part is none of its parts.
    """
    if part is None:
        return Book(**values)
    if not 1 <= part[0] <= part[1]:
        raise msgspec.ValidationError(f"part {part[0]} of {part[1]}")
    return BookPart(**values, part=part[0], parts=part[1])


class _Kept:
    """A book, and the parts of a frame that wait for the last."""

    __slots__ = ("book", "mismatches", "parts", "size")

    def __init__(self, symbol: str) -> None:
        self.book = OrderBook(symbol)
        self.parts: list[BookPart] = []
        self.size = 0
        self.mismatches = 0


class Books:
    """By instrument; those that are subscribed to.

    Attributes:
        mismatches: frames after which a book was not what the gateway has.
    """

    def __init__(
        self,
        tick: Callable[[Book | RawTick], Iterable[Event]],
        counted: Callable[[Iterable[Gap]], Iterable[Gap]],
    ) -> None:
        """Empty ones.

        Args:
            tick: what a whole frame makes by its numbers: gaps, and the frame.
            counted: counts gaps, and gives them back.
        """
        self._tick = tick
        self._counted = counted
        self._kept: dict[str, _Kept] = {}
        self.mismatches = 0

    def get(self, symbol: str) -> OrderBook | None:
        """The book of an instrument; None before its first frame."""
        kept = self._kept.get(symbol)
        return None if kept is None else kept.book

    def doubt(self) -> None:
        """A new connection, or another numbering: snapshots are to come."""
        for kept in self._kept.values():
            _doubt(kept)

    def left(self, asked: str, wanted: Callable[[Topic], bool]) -> None:
        """A subscription to a name or pattern has ended; `wanted`: another one covers a topic."""
        symbols = [meant(asked)]
        if is_pattern(asked):
            symbols = [symbol for symbol in self._kept if match_pattern(asked, symbol)]
        for symbol in symbols:
            if not wanted(Topic(BOOK, symbol)):
                self._kept.pop(symbol, None)

    def retired(self, symbol: str) -> None:
        """The instrument has ended."""
        self._kept.pop(symbol, None)

    def waits(self, symbol: str) -> bool:
        """Whether its sum has been wrong too often for another attempt at once."""
        kept = self._kept.get(symbol)
        return kept is not None and kept.mismatches >= MISMATCHES_MAX

    def take(self, frame: Book | RawTick) -> Iterator[Event]:
        """The events of a frame, which may be a part; a raw one has a level that can't be."""
        kept = self._kept.get(frame.symbol)
        if kept is None:
            kept = self._kept[frame.symbol] = _Kept(frame.symbol)
        if isinstance(frame, RawTick):
            yield from self._tick(frame)
            yield from self._wrong(kept)
            return
        whole: Book | None = frame
        if isinstance(frame, BookPart):
            if not _fits(kept, frame):
                yield from self._broken(kept, "sequence")
                return
            whole = _joined(kept, frame)
        else:
            kept.parts.clear()
        if whole is None:
            return
        for event in self._tick(whole):
            if isinstance(event, Book):
                yield from self._applied(kept, event)
                continue
            if isinstance(event, Gap) and event.reason == "sequence" and whole.type == "update":
                _doubt(kept)
            yield event

    def _applied(self, kept: _Kept, frame: Book) -> Iterator[Event]:
        book = kept.book
        if not book.ready and frame.type != "snapshot":
            yield frame
            return
        try:
            book.take(frame)
        except ValueError as error:
            yield Malformed(f"{frame.symbol}: {error}")
            yield from self._wrong(kept)
            return
        if frame.checksum is not None and frame.checksum != book.checksum():
            yield from self._wrong(kept)
            return
        kept.mismatches = 0
        book.ready = True
        yield msgspec.structs.replace(frame, book=book)

    def _wrong(self, kept: _Kept) -> Iterator[Gap]:
        kept.mismatches += 1
        self.mismatches += 1
        return self._broken(kept, "checksum")

    def _broken(self, kept: _Kept, reason: str) -> Iterator[Gap]:
        _doubt(kept)
        yield from self._counted([Gap(BOOK, kept.book.symbol, reason)])


def _doubt(kept: _Kept) -> None:
    kept.book.ready = False
    kept.parts.clear()


def _fits(kept: _Kept, part: BookPart) -> bool:
    """Whether it is the next part of its frame, or the first of one."""
    from gateway._native import BOOK_LEVEL_SIZE

    if part.part == 1:
        kept.parts.clear()
        kept.size = 0
    kept.size += len(part.levels)
    first = kept.parts[0] if kept.parts else part
    return (
        part.part == len(kept.parts) + 1
        and (part.parts, part.seq) == (first.parts, first.seq)
        and kept.size <= PARTS_LEVELS_MAX * BOOK_LEVEL_SIZE
    )


def _joined(kept: _Kept, part: BookPart) -> Book | None:
    """The whole frame, with the last part's times and sum; None before that one."""
    kept.parts.append(part)
    if part.part < part.parts:
        return None
    first = kept.parts[0]
    values = {name: getattr(part, name) for name in Book.__struct_fields__}
    values["levels"] = b"".join(one.levels for one in kept.parts)
    kept.parts.clear()
    return Book(**values | {"type": first.type, "skipped": first.skipped})
