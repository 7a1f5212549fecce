"""Where a feed's rows go: what is good to the ring, of what is refused all hear that are concerned.

A refused record may have changed what subscribers hold, so its topic is *suspect* until a good one
comes (`Publisher.suspect`): the data plane tells its subscribers, and the channel `health` says so
of its instrument. Only a known instrument, of which the feed has a topic, can become so: else each
name that a sender makes up would be a topic. Refusals of others, and of lines whose symbol can't
be read, count for the feed alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gateway.feeds.book_outlet import BookOutlet, Fate
from gateway.feeds.books import Doubt
from gateway.feeds.feed import Counters, Publisher, Topics
from gateway.feeds.refusals import Refusal, of_row
from gateway.feeds.venues.message import BookMessage
from gateway.model.record import BOOK

if TYPE_CHECKING:
    from gateway._native import Row


class Outlet:
    """Publishes one feed's rows, and tells everybody concerned of what is refused, in its place."""

    def __init__(
        self,
        counters: Counters,
        publisher: Publisher,
        index: int,
        topics: Mapping[str, Topics],
        derives: Callable[[str], bool] | None = None,
    ) -> None:
        """`derives`: of which symbols quotes are made of their books; None: of none."""
        self._counters = counters
        self._publisher = publisher
        self._index = index
        self._topics = topics
        self._rows = {name: one for name, one in topics.items() if name != BOOK}
        if BOOK in topics:
            self._books = BookOutlet(
                counters, publisher, index, topics[BOOK], self.refuse, topics.get("bbo"), derives
            )

    def publish(
        self,
        rows: "Sequence[Row]",
        ts_recv: int,
        mono_recv: int,
        *,
        ages: Sequence[int] | None = None,
        flags: int = 0,
        record_wire: bool = True,
        gap: str = "",
        lost: int = 0,
    ) -> dict[str, int]:
        """Publishes the good ones, in order; how many of each channel that were.

        `gap` and `lost` are of the first row (`_native.RingWriter.publish`).
        """
        went = {
            name: sum(row[0] in one.symbols for row in rows) for name, one in self._rows.items()
        }
        while rows:
            refused = self._publisher.publish(
                rows,
                ts_recv,
                mono_recv,
                ages=ages,
                flags=flags,
                feed=self._index,
                record_wire=record_wire,
                until_refused=True,
                gap=gap,
                lost=lost,
            )
            gap, lost = "", 0
            if not refused:
                break
            at, why = refused[0]
            channel, symbol = self._name(rows[at][0])
            if channel:
                went[channel] -= 1
            age_ns = 0 if ages is None else ages[at]
            refusal = of_row(channel, symbol, rows[at], why)
            self.refuse(refusal, ts_recv - age_ns, mono_recv - age_ns)
            rows = rows[at + 1 :]
            ages = None if ages is None else ages[at + 1 :]
        return went

    def book(
        self,
        change: BookMessage | Doubt,
        ts_recv: int,
        mono_recv: int,
        *,
        flags: int = 0,
        record_wire: bool = True,
    ) -> Fate:
        """Takes what became of a book, in order: sequenced, its levels checked.

        A snapshot replaces the book, an update is applied whole or not at all, from a doubt on the
        book is not up to date until its next snapshot.
        """
        return self._books.take(change, ts_recv, mono_recv, flags=flags, record_wire=record_wire)

    def retire(self, symbol: str) -> bool:
        """Ends all topics of the symbol; False: it has none."""
        if BOOK in self._topics:
            self._books.forget(symbol)
        return any([one.retire(symbol) for one in self._topics.values()])

    def refuse(self, refusal: Refusal, ts_recv: int, mono_recv: int) -> None:
        """Counts and logs it; its topic is suspect from now on, where its instrument is known."""
        topics = self._topics.get(refusal.channel)
        known = topics is not None and topics.known(refusal.symbol)
        self._counters.refused(refusal, known=known)
        if topics is None or not known:
            return
        topic = topics[refusal.symbol]
        if topic < 0:
            return  # There is no room for this channel of it: no subscriber has it.
        try:
            self._publisher.suspect(topic, refusal.words, ts_recv, mono_recv)
        except OverflowError as error:
            self._counters.unsuspected(error)

    def _name(self, topic: int) -> tuple[str, str]:
        for channel, topics in self._topics.items():
            if topic in topics.symbols:
                return channel, topics.symbols[topic]
        return "", ""
