"""Whether a book's messages follow each other: one small machine for all venues. Sans-IO.

A book begins with a snapshot, and each update must go on where the last message ended. A venue that
numbers its changes says for each update which number it goes on from: `previous`, or the one before
`first` (Binance spot: U is the previous u + 1; futures: pu is the previous u; Bybit: u counts by
one). A number that is not beyond the last one is old: a duplicate, or an update that the snapshot
has already. What begins at or before the last number and ends behind it goes on from it: quantities
are absolute. Where there is only `last`, it rises (Coinbase's numbers are of a connection, which
notices holes itself); where there is none, each update follows (Kraken, whose checksums tell).

Most venues send the snapshot in the stream itself: it replaces the book whenever it comes. Where it
is fetched *beside* the stream (Binance), it may be older than the updates that came by then, so
that those without a book are held until it comes. It must reach the first of them that is not older
than it; a book that stands needs none.

After a hole nothing is applied until the next snapshot. What shows a new beginning of the numbers
is a run of old ones with nothing new between: a hole like any other.
"""

from collections import deque
from typing import Final, Literal, NamedTuple

from gateway.feeds.sequencing import RUN_FAR, RUN_NEAR
from gateway.feeds.venues.message import BookMessage

HELD_MAX: Final = 1024
"""Updates held for a snapshot, the newest: 100 s of those that come ten times a second."""
HELD_LEVELS_MAX: Final = 262_144
"""Levels in those of all books that share a room: some 50 MB, and at most twice that."""


class Offer(NamedTuple):
    """What becomes of a message.

    Attributes:
        outcome: `snapshot`: the book is replaced; `apply`; `old`, which a snapshot is too where it
            does not reach the updates held; `waits`: there is no book for it (beside the stream it
            is held); `gap`: there is a hole before it, and no book until the next snapshot.
        messages: to apply now, in this order.
        dropped: how many messages, this one or held ones, are of no use. Each message that was
            offered is applied, dropped or held.
    """

    outcome: Literal["snapshot", "apply", "old", "waits", "gap"]
    messages: tuple[BookMessage, ...] = ()
    dropped: int = 0


_OLD: Final = Offer("old", dropped=1)


class Room:
    """For the updates that books hold: as long as there is room for all, one may take most of it.

    Where there is not, a book gives up its oldest updates down to its share, so that many books
    that wait for a snapshot hold at most twice what one may.
    """

    __slots__ = ("_books", "_levels")

    def __init__(self) -> None:
        self._books = 0
        self._levels = 0

    def enter(self) -> None:
        """One more book shares the room."""
        self._books += 1

    def take(self, levels: int) -> None:
        """A book holds so many more, or fewer."""
        self._levels += levels

    def short(self, levels: int) -> bool:
        """Whether a book that holds so many has to give some up."""
        return self._levels > HELD_LEVELS_MAX and levels > HELD_LEVELS_MAX // self._books


class BookSequence:
    """One book's messages.

    Args:
        beside: its snapshots come by another way than its updates.
        room: shared with other books; None: it has one of its own.
    """

    __slots__ = ("_beside", "_held", "_held_levels", "_room", "_run", "last", "stands")

    last: int | None
    """The number of the newest message applied; kept over a hole."""
    stands: bool
    """There is a book, and it is up to date: no snapshot is wanted."""

    def __init__(self, *, beside: bool = False, room: Room | None = None) -> None:
        self._beside = beside
        self._room = room or Room()
        self._room.enter()
        self.last = None
        self.stands = False
        self._run = 0  # old ones since the newest
        self._held: deque[BookMessage] = deque()
        self._held_levels = 0

    @property
    def held(self) -> int:
        """How many updates wait for the snapshot."""
        return len(self._held)

    def offer(self, message: BookMessage) -> Offer:
        if message.type == "snapshot":
            return _OLD if self._beside and self.stands else self._begin(message)
        if not self.stands:
            return Offer("waits", dropped=self._hold(message))
        step = _step(message, self.last)
        if step == "apply":
            self._run = 0
            self.last = message.last
            return Offer("apply", (message,))
        if step == "old" and not self._begins_again(message, self.last):
            return _OLD
        self.lose()
        return Offer("gap", dropped=self._hold(message))

    def lose(self) -> None:
        """The book is in doubt, by a hole or a wrong checksum: a snapshot is wanted."""
        self.stands = False

    def _begins_again(self, message: BookMessage, newest: int | None) -> bool:
        """Whether an old number is the last of a run that shows a new beginning."""
        assert message.last is not None
        assert newest is not None
        self._run += 1
        return self._run >= (RUN_FAR if message.last <= newest // 2 else RUN_NEAR)

    def _begin(self, snapshot: BookMessage) -> Offer:
        """The book of a snapshot with what was held behind it, which has no hole within."""
        last = snapshot.last
        applied = [snapshot]
        dropped = 0
        for message in self._held:
            step = _step(message, last)
            if step == "gap":
                return _OLD  # what was held waits for a newer one
            if step == "old":
                dropped += 1
            else:
                applied.append(message)
                last = message.last
        self._drop_held()
        self.stands, self._run, self.last = True, 0, last
        return Offer("snapshot", tuple(applied), dropped)

    def _hold(self, message: BookMessage) -> int:
        """Keeps an update for the snapshot; how many have to go for it, itself included."""
        if not self._beside:
            return 1
        dropped = 0
        if self._held:
            newest = self._held[-1].last
            step = _step(message, newest)
            if step == "old" and not self._begins_again(message, newest):
                return 1
            if step != "apply":
                # A snapshot that needed those before the hole would end at the hole.
                dropped = self._drop_held()
        self._run = 0
        self._held.append(message)
        self._take(_size(message))
        while len(self._held) > HELD_MAX or self._room.short(self._held_levels):
            self._take(-_size(self._held.popleft()))
            dropped += 1
        return dropped

    def _drop_held(self) -> int:
        count = len(self._held)
        self._held.clear()
        self._take(-self._held_levels)
        return count

    def _take(self, levels: int) -> None:
        self._held_levels += levels
        self._room.take(levels)


def _size(message: BookMessage) -> int:
    return len(message.bids) + len(message.asks)


def _step(message: BookMessage, last: int | None) -> Literal["apply", "old", "gap"]:
    """What an update is to a book that has all up to number `last`."""
    if message.last is None or last is None:
        return "apply"
    if message.last <= last:
        return "old"
    begin = message.previous
    if begin is None:
        if message.first is None:
            return "apply"
        begin = message.first - 1
    return "apply" if begin <= last else "gap"
