"""The `udp` feed: JSON records in datagrams, decoded and published a batch at a time.

Usual lines never come here: the socket's intake (native/gw_intake.h) publishes them itself, without
the interpreter, and moderates the batches by QUIET_NS and BATCH_INTERVAL_NS: at 50 records a second
nothing ever pauses, at 20,000 there are five to eight a batch. What it leaves is decoded here, in
its place between the others: lines of another form, bad ones, and the first of each symbol, which
the intake takes from then on.

A record's `ts_recv` is when its datagram reached this host, as the kernel stamped it: what it waits
in the socket's queue for this process to have its turn is part of `ingest` and `total`.
"""

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeGuard

from gateway import log
from gateway.backoff import Backoff
from gateway.feeds.books import Books, Doubt
from gateway.feeds.feed import Counters, Publisher, ThreadFeed, Topics
from gateway.feeds.options import UdpOptions
from gateway.feeds.outlet import Outlet
from gateway.feeds.reference import fields_of, of_options
from gateway.feeds.refusals import Refusal, shown_symbol
from gateway.feeds.venues import tickgate_json
from gateway.feeds.venues.message import BookMessage
from gateway.feeds.venues.tickgate_json import Beat, Item, Quote, Reference, Status, Trade
from gateway.model.record import BOOK, INSTRUMENT

if TYPE_CHECKING:
    from gateway._native import Row

RECEIVE_TIMEOUT_MS = 1000
"""Longest receive, whether the line is quiet or all that comes is usual."""

QUIET_NS = 100_000
"""A receive that waited this long found the line quiet: a few times what waking up costs."""

BATCH_INTERVAL_NS = 250_000
"""Least time from batch to batch on a busy line: adds at most that to a record's latency, a quarter
of the default objective, and bounds the workers' wake-ups at 4,000 a second."""

HEALTHY_NS = 10_000_000_000
"""A socket that lasted this long starts the backoff afresh."""
BACKOFF_BASE_S = 0.1
BACKOFF_CAP_S = 10.0

_log = log.get("feeds")


class Intake(Protocol):
    """What takes a symbol's usual lines once it has learned it; `_native.UdpIntake` is one."""

    def learn(self, channel: str, symbol: str, topic: int) -> None: ...
    def forget(self, channel: str, symbol: str) -> None: ...


class DatagramSocket(Protocol):
    """Where datagrams come from, or what an intake left of them; `_native.UdpSocket` is one."""

    @property
    def port(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def oversized(self) -> int: ...
    @property
    def batched(self) -> bool: ...
    @property
    def stamped(self) -> bool: ...
    @property
    def stamp_anomalies(self) -> int: ...
    def receive(self, timeout_ms: int) -> tuple[list[bytes], list[int], int, int]: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...


class _Rules(NamedTuple):
    """Lines come in one stream; what is missing of it shows in a book's numbers."""

    books_beside: bool = False
    books_by_connection: bool = False


class _TaughtTopics(Topics):
    """Topics that the intake learns when they are made."""

    def __init__(
        self,
        channel: str,
        venue: str,
        index: int,
        publisher: Publisher,
        owners: dict[str, int],
        intake: Intake,
    ) -> None:
        super().__init__(channel, venue, index, publisher, owners)
        self._intake = intake

    def __missing__(self, symbol: str) -> int:
        topic = super().__missing__(symbol)
        if topic >= 0:
            self._intake.learn(self._channel, symbol, topic)
        return topic

    def retire(self, symbol: str) -> bool:
        self._intake.forget(self._channel, symbol)
        return super().retire(symbol)


class UdpFeed(ThreadFeed):
    """Receives on an open socket; after an error of it, opens another with backoff.

    `intake` is what the sockets have in common.
    """

    def __init__(
        self,
        name: str,
        index: int,
        options: UdpOptions,
        publisher: Publisher,
        counters: Counters,
        owners: dict[str, int],
        intake: Intake,
        socket: DatagramSocket,
        reopen: Callable[[], DatagramSocket],
    ) -> None:
        super().__init__(name, index, counters)
        self._trades = _TaughtTopics("trade", options.venue, index, publisher, owners, intake)
        # Quotes that are made of books are none of the lines': the intake leaves such lines.
        self._derived = options.bbo == "derived"
        self._quotes = (
            Topics("bbo", options.venue, index, publisher, owners)
            if self._derived
            else _TaughtTopics("bbo", options.venue, index, publisher, owners, intake)
        )
        self._references = Topics(INSTRUMENT, options.venue, index, publisher, owners)
        self._statuses = Topics("status", options.venue, index, publisher, owners)
        topics = {
            "trade": self._trades,
            "bbo": self._quotes,
            BOOK: Topics(BOOK, options.venue, index, publisher, owners),
            INSTRUMENT: self._references,
            "status": self._statuses,
        }
        self._books = Books(_Rules(), counters, self._trades.refusal)
        always = (lambda symbol: True) if self._derived else None
        self._outlet = Outlet(counters, publisher, index, topics, always)
        self._publisher = publisher
        self._instruments = [of_options(one) for one in options.instruments]
        self._socket: DatagramSocket | None = socket
        self._reopen = reopen
        self._dropped = 0
        self._oversized = 0
        self._stamp_anomalies = 0
        self._unstamped_told = self._unbatched_told = False

    def _work(self) -> None:
        self._tell_instruments()
        attempt, backoff = 0, Backoff(BACKOFF_BASE_S, BACKOFF_CAP_S)
        while not self._stopping:
            opened_ns = time.monotonic_ns()
            try:
                self._receive_all(self._connect())
            except OSError as error:
                self._counters.change("down", str(error))
                if time.monotonic_ns() - opened_ns > HEALTHY_NS:
                    attempt = 0
                    backoff.reset()
                self._disconnect()
                attempt += 1
                if self._pause(backoff.next_s()):
                    self._counters.change("reconnecting", f"attempt {attempt} after {error}")
            finally:
                self._disconnect()

    def _tell_instruments(self) -> None:
        """What the configuration says of them; lines may say otherwise."""
        ts_recv, mono_recv = time.time_ns(), time.monotonic_ns()
        for one in self._instruments:
            row = self._references.row(one.symbol, fields_of(one, derived=self._derived))
            if isinstance(row, Refusal):
                self._outlet.refuse(row, ts_recv, mono_recv)
            else:
                self._publish_rows([row], [0], ts_recv, mono_recv)

    def _interrupt(self) -> None:
        socket = self._socket
        # The thread may close the socket of a moment ago just now; then there is nothing to wake.
        with contextlib.suppress(ValueError):
            if socket is not None:
                socket.wake()

    def _connect(self) -> DatagramSocket:
        if self._socket is None:
            self._socket = self._reopen()
            self._dropped = self._oversized = self._stamp_anomalies = 0
            self._counters.reconnected()
        if not self._socket.stamped and not self._unstamped_told:
            self._unstamped_told = True
            _log.warning(
                "feed.unstamped",
                feed=self.name,
                message="this host refuses SO_TIMESTAMPNS: ts_recv is when a datagram was read,"
                " and ingest and total do not have its wait in the socket",
            )
        if not self._socket.batched and not self._unbatched_told:
            self._unbatched_told = True
            _log.warning(
                "feed.unbatched",
                feed=self.name,
                message="this host denies recvmmsg (seccomp): each datagram costs a system call",
            )
        self._counters.change("up")
        return self._socket

    def _disconnect(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()

    def _receive_all(self, socket: DatagramSocket) -> None:
        while not self._stopping:
            datagrams, ages, ts_read, mono_read = socket.receive(RECEIVE_TIMEOUT_MS)
            self._count_losses(socket)
            if datagrams:
                self._publish(datagrams, ages, ts_read, mono_read)

    def _publish(
        self, datagrams: list[bytes], ages: list[int], ts_read: int, mono_read: int
    ) -> None:
        batch = tickgate_json.decode(datagrams)
        rows: list[Row] = []
        row_ages: list[int] = []
        for r, datagram in zip(batch.items, batch.datagrams, strict=True):
            age_ns = ages[datagram]
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
                self._publisher.heartbeat(self.index, r.interval_ms * 1_000_000)
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
            _log.info("feed.retired", feed=self.name, symbol=shown_symbol(symbol))
        else:
            self._counters.skip("delisted, and not known")

    def _publish_rows(
        self, rows: "list[Row]", ages: list[int], ts_read: int, mono_read: int
    ) -> None:
        if rows:
            went = self._outlet.publish(rows, ts_read, mono_read, ages=ages)
            self._counters.published(sum(went.values()), ts_read - ages[-1])

    def _count_losses(self, socket: DatagramSocket) -> None:
        """A datagram that the kernel dropped is lost as much as one that the network dropped."""
        dropped = socket.dropped
        if dropped != self._dropped:
            self._counters.gap(dropped - self._dropped)
            self._dropped = dropped
            doubts = self._books.doubt_unnumbered("datagrams were lost")
            self._tell(doubts, time.time_ns(), time.monotonic_ns())
        anomalies = socket.stamp_anomalies
        if anomalies != self._stamp_anomalies:
            self._counters.stamp_anomaly(anomalies - self._stamp_anomalies)
            self._stamp_anomalies = anomalies
        oversized = socket.oversized
        if oversized != self._oversized:
            refusal = Refusal("size", "datagram over 64 KiB")
            self._counters.refused(refusal, oversized - self._oversized)
            self._oversized = oversized
            doubts = self._books.doubt_unnumbered("a datagram was cut")
            self._tell(doubts, time.time_ns(), time.monotonic_ns())


def _ends(r: Item) -> TypeGuard[Status]:
    return isinstance(r, Status) and r.status == "delisted"
