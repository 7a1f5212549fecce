"""What programs say in lines (docs/udp.md): decoded, and published a batch at a time.

`udp` has them in datagrams, `publisher` in a stream; what they mean is the same.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from gateway import log
from gateway.feeds.books import Books, Doubt
from gateway.feeds.feed import Counters, Publisher, Topics
from gateway.feeds.options import InstrumentOptions
from gateway.feeds.outlet import Outlet
from gateway.feeds.reference import fields_of, of_options
from gateway.feeds.refusals import Refusal, shown_symbol
from gateway.feeds.venues import tickgate_json
from gateway.feeds.venues.message import BookMessage
from gateway.feeds.venues.tickgate_json import Beat, Item, Quote, Reference, Status, Trade
from gateway.model.record import BOOK, INSTRUMENT

if TYPE_CHECKING:
    from gateway._native import Row

CHANNELS_SAID = ("trade", "bbo", BOOK, INSTRUMENT, "status")

_log = log.get("feeds")


class _Rules(NamedTuple):
    """Lines come in one stream; what is missing of it shows in a book's numbers."""

    books_beside: bool = False
    books_by_connection: bool = False


class Lines:
    """Of one feed.

    Args:
        topics: by channel, of CHANNELS_SAID.
        derived: quotes are made of books, and none of the lines'.
    """

    def __init__(
        self,
        name: str,
        index: int,
        counters: Counters,
        publisher: Publisher,
        topics: Mapping[str, Topics],
        *,
        derived: bool = False,
    ) -> None:
        self._name = name
        self._index = index
        self._counters = counters
        self._publisher = publisher
        self._trades, self._quotes = topics["trade"], topics["bbo"]
        self._references, self._statuses = topics[INSTRUMENT], topics["status"]
        self._derived = derived
        self._books = Books(_Rules(), counters, self._trades.refusal)
        always = (lambda symbol: True) if derived else None
        self._outlet = Outlet(counters, publisher, index, topics, always)

    def tell_instruments(self, instruments: Iterable[InstrumentOptions]) -> None:
        """What the configuration says of them; lines may say otherwise."""
        ts_recv, mono_recv = time.time_ns(), time.monotonic_ns()
        for one in map(of_options, instruments):
            row = self._references.row(one.symbol, fields_of(one, derived=self._derived))
            if isinstance(row, Refusal):
                self._outlet.refuse(row, ts_recv, mono_recv)
            else:
                self._publish_rows([row], [0], ts_recv, mono_recv)

    def publish(
        self, texts: Sequence[bytes], ages: Sequence[int], ts_read: int, mono_read: int
    ) -> None:
        """Takes texts of whole lines, in order.

        `ages`: of each, for how many ns before it was read it was there.
        """
        batch = tickgate_json.decode(texts)
        rows: list[Row] = []
        row_ages: list[int] = []
        for r, text in zip(batch.items, batch.datagrams, strict=True):
            age_ns = ages[text]
            row = self._row(r)
            if row is not None and not isinstance(row, Refusal):
                rows.append(row)
                row_ages.append(age_ns)
            if isinstance(row, Refusal) or isinstance(r, BookMessage) or _ends(r):
                # What came before it goes first: the next good record ends what a refusal begins,
                # and an instrument ends behind its last record.
                self._publish_rows(rows, row_ages, ts_read, mono_read)
                rows, row_ages = [], []
                self._take(r, row, ts_read - age_ns, mono_read - age_ns)
        self._publish_rows(rows, row_ages, ts_read, mono_read)

    def _row(self, r: Item) -> "Row | Refusal | None":
        """What is to be published of a line, or refused; None: nothing as a row."""
        match r:
            case Trade():
                return self._trades.row(r.symbol, (r.ts, r.price, r.qty, r.side, r.id))
            case Quote() if self._derived:
                self._counters.skip("bbo line: quotes are made of books")
            case Quote():
                return self._quotes.row(r.symbol, (r.ts, r.bid, r.bid_qty, r.ask, r.ask_qty))
            case Status() if _ends(r) and not self._statuses.known(r.symbol):
                pass  # nobody has it
            case Status():
                return self._statuses.row(r.symbol, (r.ts, r.status, r.reason))
            case Reference():
                steps = r.tick, r.lot, r.price_digits, r.qty_digits
                more = self._derived, r.delay_s, r.status, r.venue_symbol
                return self._references.row(r.symbol, (r.ts, *steps, r.base, r.quote, *more))
            case Beat():
                self._publisher.heartbeat(self._index, r.interval_ms * 1_000_000)
            case Refusal():
                return r
        return None

    def _take(self, r: Item, row: "Row | Refusal | None", ts_recv: int, mono_recv: int) -> None:
        """What a line means that is more than a row."""
        if isinstance(r, BookMessage):
            self._tell(self._books.take(r, ""), ts_recv, mono_recv)
        elif _ends(r):
            self._retire(r.symbol)
        if isinstance(row, Refusal):
            if row.channel == BOOK and row.symbol:
                self._tell(self._books.doubt(row.symbol, row.why), ts_recv, mono_recv)
            elif row.channel in ("", BOOK):  # it may have been any book's
                doubts = self._books.doubt_unnumbered("a line could not be read")
                self._tell(doubts, ts_recv, mono_recv)
            self._outlet.refuse(row, ts_recv, mono_recv)

    def _tell(
        self, told: "Iterable[BookMessage | Doubt | Refusal]", ts_recv: int, mono_recv: int
    ) -> None:
        """What became of a book, in order."""
        for one in told:
            if isinstance(one, Refusal):
                self._outlet.refuse(one, ts_recv, mono_recv)
                continue
            fate = self._outlet.book(one, ts_recv, mono_recv)
            if fate.published:
                self._counters.published(1, ts_recv)
            if fate.why:
                self._tell(self._books.doubt(one.symbol, fate.why), ts_recv, mono_recv)

    def _retire(self, symbol: str) -> None:
        self._books.forget(symbol)  # whom a doubt concerns hears of the end instead
        if self._outlet.retire(symbol):
            _log.info("feed.retired", feed=self._name, symbol=shown_symbol(symbol))
        else:
            self._counters.skip("delisted, and not known")

    def _publish_rows(
        self, rows: "list[Row]", ages: list[int], ts_read: int, mono_read: int
    ) -> None:
        if rows:
            went = self._outlet.publish(rows, ts_read, mono_read, ages=ages)
            self._counters.published(sum(went.values()), ts_read - ages[-1])

    def lose(self, why: str) -> None:
        """Lines are missing, of whatever instruments."""
        self._tell(self._books.doubt_unnumbered(why), time.time_ns(), time.monotonic_ns())


def _ends(r: Item) -> TypeGuard[Status]:
    return isinstance(r, Status) and r.status == "delisted"
