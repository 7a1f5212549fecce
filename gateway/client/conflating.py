"""Events for a consumer that must not be waited for: newer rather than older, in bounded room.

Theory of operation. Of a conflated topic one record waits, the newest: it takes the place of the
one before, in whose turn it is taken, and says in `skipped` for how many it stands. So a topic that
changes all the time does not lose its turn, and no age is longer than a turn through all topics.
What is told of a topic meanwhile (a gap, its end) or of all (a connection's end, an epoch) is a
border, over which no later record moves forward.

All else waits as it is, up to a bound. Beyond that one pass goes over everything: of each kind of
notice the newest stays, gaps of a topic become one, records on both sides of a border too; then the
oldest records of lossless topics go until half of the bound is free, and a `Gap` of the reason
"consumer" says which. A pass makes room for as many events as it leaves, so that an event costs the
same however many wait.
"""

from collections.abc import Callable, Hashable
from typing import Final

import msgspec

from gateway.client.book import Book, whole
from gateway.client.continuity import Topic
from gateway.client.events import (
    Conflation,
    Disconnected,
    Event,
    Gap,
    Hello,
    ReplayCompleted,
    Report,
    Retired,
    System,
)
from gateway.client.inbox import Inbox
from gateway.client.ticks import Bbo, Candle, InstrumentData, InstrumentHealth, Status, Tick, Trade

_WHOLE: Final = frozenset({Trade, Bbo, Book, Candle, InstrumentData, Status, InstrumentHealth})
"""Records that replace the one before; others may be changes of it. So are a book's, but the one
that stands for several becomes a snapshot when it is taken."""
_OF_TOPIC: Final = (Gap, Retired, ReplayCompleted)


class _Cell:
    """A place in the queue."""

    __slots__ = ("event", "skipped", "topic")

    def __init__(self, event: Event | None, topic: Topic | None) -> None:
        self.event = event
        self.topic = topic  # of a record that newer ones replace
        self.skipped = 0  # records that it stands for besides

    def put(self, newer: Tick) -> None:
        """Replaces the record by a newer one."""
        assert isinstance(self.event, Tick)
        self.skipped += 1 + self.event.skipped
        self.event = newer  # type: ignore[assignment]

    def joined(self) -> Event | None:
        event = self.event
        if self.skipped and isinstance(event, Tick):
            event = msgspec.structs.replace(event, skipped=event.skipped + self.skipped)
            return whole(event) if isinstance(event, Book) else event
        return event


class ConflatingInbox(Inbox):
    """An inbox whose filler never waits.

    Args:
        events_max: that wait beside the newest record of each conflated topic.
        lossless: whether every record of a topic should come.
    """

    __slots__ = ("_events_max", "_limit", "_lossless", "_newest")

    def __init__(self, events_max: int, lossless: Callable[[Topic], bool]) -> None:
        super().__init__()
        self.add, self.take = self._add, self._take
        self._events_max = self._limit = events_max
        self._lossless = lossless
        self._newest: dict[Topic, _Cell] = {}  # that wait, and no border is behind them

    def _add(self, event: Event | None) -> None:
        if type(event) in _WHOLE:
            topic = topic_of(event)  # type: ignore[arg-type]
            if not self._lossless(topic):
                self._replace(topic, event)  # type: ignore[arg-type]
                return
        elif isinstance(event, _OF_TOPIC):
            self._newest.pop(Topic(event.channel, event.symbol, event.interval), None)
        elif isinstance(event, Hello | Disconnected | System):
            self._newest.clear()
        self.events.append(_Cell(event, None))
        if len(self.events) - len(self._newest) > self._limit:
            self._shrink()

    def _replace(self, topic: Topic, tick: Tick) -> None:
        cell = self._newest.get(topic)
        if cell is None:
            self._newest[topic] = cell = _Cell(tick, topic)  # type: ignore[arg-type]
            self.events.append(cell)
        else:
            cell.put(tick)
            self.conflated += 1

    def _take(self) -> Event | None:
        cell: _Cell = self.events.popleft()
        if cell.topic is not None and self._newest.get(cell.topic) is cell:
            del self._newest[cell.topic]
        if not self.events:
            self._limit = self._events_max
        return cell.joined()

    # --- making room ------------------------------------------------------------------------------

    def _shrink(self) -> None:
        cells = self._merged()
        records = sum(cell.topic is None and isinstance(cell.event, Tick) for cell in cells)
        others = sum(cell.topic is None for cell in cells)
        surplus = min(records, others - self._events_max // 2)
        if surplus > 0:
            cells = self._without_oldest(cells, surplus)
        self.events.clear()
        self.events.extend(cells)
        self._limit = max(self._events_max, 2 * (len(cells) - len(self._newest)))

    def _merged(self) -> list[_Cell]:
        """Of each conflated topic, and of each kind of notice, the newest."""
        newest: dict[Hashable, _Cell] = {}
        kept: list[_Cell] = []
        for cell in reversed(self.events):
            key = cell.topic or _kind(cell.event)
            later = newest.setdefault(key, cell) if key is not None else cell
            if later is cell:
                kept.append(cell)
                continue
            self.conflated += 1
            if isinstance(cell.event, Tick):
                later.skipped += 1 + cell.event.skipped + cell.skipped
            elif isinstance(cell.event, Gap) and isinstance(later.event, Gap):
                later.event = _span(cell.event, later.event)
        kept.reverse()
        return kept

    def _without_oldest(self, cells: list[_Cell], surplus: int) -> list[_Cell]:
        """Without so many records of lossless topics, of which gaps tell in their place."""
        gaps: dict[Topic, _Cell] = {}
        kept: list[_Cell] = []
        for cell in cells:
            tick = cell.event
            if surplus == 0 or cell.topic is not None or not isinstance(tick, Tick):
                kept.append(cell)
                if isinstance(tick, Gap) and tick.reason == "consumer":
                    gaps[Topic(tick.channel, tick.symbol, tick.interval)] = cell
                continue
            surplus -= 1
            self.dropped += 1
            topic = topic_of(tick)
            gap = Gap(
                topic.channel,
                topic.symbol,
                "consumer",
                tick.seq - tick.skipped,
                tick.seq,
                1 + tick.skipped,
                interval=topic.interval,
            )
            if topic in gaps:
                before = gaps[topic].event
                assert isinstance(before, Gap)
                gaps[topic].event = _span(before, gap)
            else:
                gaps[topic] = _Cell(gap, None)
                kept.append(gaps[topic])
        return kept


def topic_of(tick: Tick) -> Topic:
    """Whose record it is."""
    return Topic(tick.channel, tick.symbol, tick.interval if isinstance(tick, Candle) else "")


def _kind(event: Event | None) -> Hashable:
    """What a notice may be merged with; None: nothing."""
    if event is None or isinstance(event, Tick):
        return None
    kind = type(event)
    match event:
        case Gap():
            return kind, event.channel, event.symbol, event.interval, event.reason
        case Retired() | ReplayCompleted():
            return kind, event.channel, event.symbol, event.interval
        case Conflation():
            return kind, event.class_
        case System():
            return kind, event.type
        case Report():
            return kind, event.channel
    return kind


def _span(first: Gap, second: Gap) -> Gap:
    """Two gaps of a topic as one: its numbers span both, and `lost` is their sum."""
    lost = None if first.lost is None or second.lost is None else first.lost + second.lost
    from_seq = second.from_seq if first.from_seq is None else first.from_seq
    return msgspec.structs.replace(second, from_seq=from_seq, lost=lost)
