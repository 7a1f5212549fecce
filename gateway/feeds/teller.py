"""What a feed that plays something again tells, in order: rows in batches, books one by one.

One batch has one receipt, so a row with other flags begins another one. What is to be told before a
row that the ring refuses is told before the next one of its topic.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, cast

from gateway._native import HEARTBEAT_NS_MAX
from gateway.feeds.books import Doubt
from gateway.feeds.feed import Counters, Publisher
from gateway.feeds.outlet import Outlet
from gateway.feeds.reading import After
from gateway.feeds.refusals import Refusal
from gateway.feeds.ring_records import Ended
from gateway.feeds.venues.message import BookMessage, Heartbeat
from gateway.model.record import BOOK

if TYPE_CHECKING:
    from gateway._native import Row
    from gateway.feeds.reading import Told

BATCH_ROWS_MAX: Final = 64
"""Rows of one publish: few, so that a queue grows little between two looks at it."""


class Teller:
    """Publishes what is told, and counts it.

    Args:
        channels: those of which something may be told.
        doubt: what else is to be told of a symbol whose book turned out to be wrong, and why.
        flags: of every record.
        heartbeat_ns: of the feed, where it has one.
        record_wire: whether a record's time and its receipt are of one time, so that their distance
            is a latency.
        stamps: the receipt of what is told: REALTIME and MONOTONIC.
        begun: called before each publish.
        done: called after it.

    Attributes:
        told: records, by channel.
    """

    def __init__(
        self,
        counters: Counters,
        publisher: Publisher,
        outlet: Outlet,
        index: int,
        channels: Mapping[str, object],
        *,
        doubt: "Callable[[str, str], Iterator[Told]]",
        flags: int = 0,
        heartbeat_ns: int = 0,
        record_wire: bool = False,
        stamps: Callable[[], tuple[int, int]] = lambda: (time.time_ns(), time.monotonic_ns()),
        begun: Callable[[], None] = lambda: None,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self._counters = counters
        self._publisher = publisher
        self._outlet = outlet
        self._index = index
        self._doubt = doubt
        self._flags = flags
        self._heartbeat_ns = heartbeat_ns
        self._record_wire = record_wire
        self._stamps = stamps
        self._begun = begun
        self._done = done
        self._rows: list[Row] = []
        self._rows_flags = flags
        self._untold: dict[int, After] = {}  # by topic: its row was refused
        self.told = dict.fromkeys(channels, 0)

    def tell(self, row: "Told | Ended", flags: int = 0) -> None:
        """Takes what comes next; `flags` of its own beside those of all."""
        if type(row) is tuple or isinstance(row, After):
            self._take(cast("Row | After", row), flags | self._flags)
        elif isinstance(row, Refusal):
            self.publish()  # what came before it goes first
            self._outlet.refuse(row, *self._stamps())
        elif isinstance(row, Ended):
            self.publish()  # its id is another's from then on
            row.topics.retire(row.symbol)
        elif isinstance(row, (BookMessage, Doubt)):
            self._book(row)
        elif isinstance(row, Heartbeat) and self._heartbeat_ns:
            self._publisher.heartbeat(self._index, min(self._heartbeat_ns, HEARTBEAT_NS_MAX))

    @property
    def pending(self) -> bool:
        """Whether rows are gathered that are not published."""
        return bool(self._rows)

    def publish(self, gap: str = "", lost: int = 0) -> int:
        """Publishes what is gathered; `gap` and `lost` are told before the first row. Returns how
        many rows the ring took."""
        rows, self._rows = self._rows, []
        if not rows:
            return 0
        self._begun()
        ts_recv, mono_recv = self._stamps()
        went = self._outlet.publish(
            rows,
            ts_recv,
            mono_recv,
            flags=self._rows_flags,
            record_wire=self._record_wire,
            gap=gap,
            lost=lost,
        )
        for channel, count in went.items():
            self.told[channel] += count
        count = sum(went.values())
        self._counters.published(count, ts_recv)
        self._done()
        return count

    def _book(self, change: BookMessage | Doubt) -> None:
        self.publish()  # what came before it goes first
        self._begun()
        ts_recv, mono_recv = self._stamps()
        fate = self._outlet.book(
            change, ts_recv, mono_recv, flags=self._flags, record_wire=self._record_wire
        )
        if fate.published:
            self.told[BOOK] += 1
            self._counters.published(1, ts_recv)
            self._done()
        if fate.why:
            for doubt in self._doubt(change.symbol, fate.why):
                self.tell(doubt)

    def _take(self, row: "Row | After", flags: int) -> None:
        """Gathers a row; one that something is told before goes alone, behind what came before."""
        topic = row.row[0] if isinstance(row, After) else row[0]
        if topic in self._untold:
            row = joined(self._untold.pop(topic), row)
        if flags != self._rows_flags:
            self.publish()
            self._rows_flags = flags
        if isinstance(row, After):
            self.publish()
            self._rows.append(row.row)
            if not self.publish(row.gap, row.lost):
                self._untold[topic] = row
            return
        self._rows.append(row)
        if len(self._rows) >= BATCH_ROWS_MAX:
            self.publish()


def joined(before: After, row: "Row | After") -> After:
    """What is to be told before the row, with what could not be told before."""
    if not isinstance(row, After):
        return before._replace(row=row)
    if row.gap == "reset":  # what was missing of the old numbers is moot
        return row
    return before._replace(lost=before.lost + row.lost, row=row.row)
