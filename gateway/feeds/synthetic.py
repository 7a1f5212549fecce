"""The `synthetic` feed: a seeded random market, published on an open-loop schedule.

`Market` is the sequence of records: the same seed gives the same sequence, whatever the timing. It
is made a chunk at a time with numpy; only texts are made per record. `Schedule` says how many
records are due when. Neither knows a clock. The feed joins them: a record's `ts_event` is the time
at which it was due, and a late wake-up publishes all that is due by then, so lateness shows as
latency and never stretches the schedule.
"""

import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gateway.feeds.feed import Counters, Publisher, ThreadFeed
from gateway.feeds.ladder import Ladder
from gateway.feeds.options import SyntheticOptions, instruments
from gateway.feeds.refusals import Refusal
from gateway.model.record import INSTRUMENT

if TYPE_CHECKING:
    from gateway._native import Row

Integers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Fields = tuple[str, str, str, str]
"""(price, qty, side, id) of a trade, (bid, bid_qty, ask, ask_qty) of a quote."""

CHUNK = 512
"""Records made at once: long enough to spread numpy's cost per call, short enough (0.3 ms) that no
other thread waits long for the interpreter. Another size is another market."""

TRADE_SHARE = 0.4
"""Of the records, where both channels are published."""

ACTIVITY_EXPONENT = 1.0
"""Zipf's: the k-th symbol has 1/k of the first one's records, about as on equity markets."""

MOVE_SHARE = 0.3
"""Of the quotes, those that move the price; the others change quantities alone."""

SPREADS = np.array([1, 1, 1, 1, 2, 2, 3])
"""Ticks from bid to ask, each as likely."""

VOLATILITY_TICKS = 1.2
VOLATILITY_RETURN = 0.05
VOLATILITY_NOISE = 0.15
"""Log volatility of a symbol goes back to its mean by this share, and is shaken by this much, each
time that the symbol occurs in a chunk: hours of calm and minutes of storm."""

TICK_DECIMALS = (2, 2, 2, 4)
FIRST_TICKS = (5_000, 500_000)
"""Decimals of the price by symbol, in turn; range of the first price (50.00 to 5,000.00)."""

QUANTITIES = 4096
"""Quantity texts are drawn from a table of this many, log-normal, of three decimals."""

SLOT_NS = 1_000_000
"""Records due within a millisecond are published together (all due at its end): at 10,000 a second
a wake-up for each would cost more than the records."""

ROWS_MAX = 1024
"""Rows after which a late batch is published, so that catching up takes small bites too."""

LATE_NS_MAX = 1_000_000_000
"""What is later than this (the process was stopped, the machine slept) is left out, as a gap."""


class Market:
    """An endless sequence of (symbol index, fields): trades and quotes of a plausible market.

    A symbol's mid price walks on a grid of ticks, reflected at half and twice its first price, with
    a volatility of its own that reverts to the mean. Quotes stand one to three ticks apart around
    it; trades hit the bid or lift the ask of the quote before them.
    """

    def __init__(self, options: SyntheticOptions) -> None:
        self._rng = rng = np.random.default_rng(options.seed)
        count = options.symbols
        weights = np.arange(1, count + 1, dtype=np.float64) ** -ACTIVITY_EXPONENT
        self._activity: Reals = np.cumsum(weights) / weights.sum()
        self._activity[-1] = 1.0
        self._first: Integers = rng.integers(*FIRST_TICKS, size=count)
        self._walk: Integers = np.zeros(count, dtype=np.int64)  # Before reflection, from the first.
        self._spread: Integers = np.ones(count, dtype=np.int64)
        self._volatility: Reals = np.zeros(count)  # Log of its ratio to the mean.
        self._trades: Integers = np.zeros(count, dtype=np.int64)
        self._quoted = "bbo" in options.channels
        both = self._quoted and "trade" in options.channels
        self._trade_share = TRADE_SHARE if both else float(not self._quoted)
        decimals = [TICK_DECIMALS[k % len(TICK_DECIMALS)] for k in range(count)]
        self._formats = [f"%.{d}f" for d in decimals]
        self._ticks = [10.0**-d for d in decimals]
        sizes = np.maximum(1, rng.lognormal(4.0, 1.2, QUANTITIES)).astype(np.int64)
        self._quantities = [f"{size / 1000:.3f}" for size in sizes.tolist()]

    def records(self) -> Iterator[tuple[bool, int, Fields]]:
        """Yields (whether it is a trade, symbol index, fields) for ever."""
        formats, ticks, quantities = self._formats, self._ticks, self._quantities
        while True:
            for symbol, trade, bid, ask, one, two in self._chunk():
                form, tick = formats[symbol], ticks[symbol]
                if trade:
                    price, side = (ask, "buy") if one & 1 else (bid, "sell")
                    yield True, symbol, (form % (price * tick), quantities[two], side, str(trade))
                else:
                    texts = form % (bid * tick), form % (ask * tick)
                    yield False, symbol, (texts[0], quantities[one], texts[1], quantities[two])

    def _chunk(self) -> Iterator[tuple[int, ...]]:
        """(symbol, trade's number or 0, bid and ask in ticks, two random indices) of each."""
        rng = self._rng
        chosen = np.searchsorted(self._activity, rng.random(CHUNK), side="right")
        active, place = np.unique(chosen, return_inverse=True)
        # Sorted by symbol, then time; the symbol's state leads each group, as if it were a quote.
        states = len(active)
        group = np.concatenate((np.arange(states), place))
        order = np.argsort(group, kind="stable")
        trade = np.concatenate((np.zeros(states, bool), rng.random(CHUNK) < self._trade_share))
        moves = (rng.random(states + CHUNK) < MOVE_SHARE) & ~(trade & self._quoted)
        noise = rng.standard_normal(states + CHUNK)
        spread = rng.choice(SPREADS, states + CHUNK)
        spread[:states] = self._spread[active]
        volatility = (1 - VOLATILITY_RETURN) * self._volatility[active]
        volatility += VOLATILITY_NOISE * noise[:states]
        scale = VOLATILITY_TICKS * np.exp(volatility)[group]
        step = np.where(moves, np.rint(noise * scale), 0).astype(np.int64)
        step[:states] = self._walk[active]

        group, trade = group[order], trade[order]
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        ends = np.append(starts[1:], len(group)) - 1
        walk = _cumulate(step[order], starts, group)
        number = self._trades[active][group] + _cumulate(trade.astype(np.int64), starts, group)
        # The spread in force is that of the last quote.
        quote = np.maximum.accumulate(np.where(trade, 0, np.arange(len(group))))
        spread = spread[order][quote]
        self._volatility[active] = volatility
        self._walk[active], self._spread[active] = walk[ends], spread[ends]
        self._trades[active] = number[ends]

        bid = _reflect(walk, self._first[active][group]) - spread // 2
        columns = (active[group], np.where(trade, number, 0), bid, bid + spread)
        in_time = np.argsort(order)[states:]
        drawn = rng.integers(0, QUANTITIES, (2, CHUNK))
        return zip(*(c[in_time].tolist() for c in columns), *drawn.tolist(), strict=True)


def _cumulate(values: Integers, starts: Integers, group: Integers) -> Integers:
    """The running sum of each group, which begins with its first value."""
    total = np.cumsum(values)
    return total - (total - values)[starts][group]


def _reflect(walk: Integers, first: Integers) -> Integers:
    """The price in ticks of an unbounded walk: folded between half and twice the first."""
    low, width = first // 2, 2 * first - first // 2
    folded: Integers = np.mod(first + walk - low, 2 * width)
    price: Integers = low + np.minimum(folded, 2 * width - folded)
    return price


class Schedule:
    """How many records are due by the end of each slot, counted from the start."""

    def __init__(self, options: SyntheticOptions) -> None:
        self._rate = options.rate
        self._every_s = options.burst_every_s
        self._burst_s = options.burst_s
        self._extra = options.burst_factor - 1 if options.burst_every_s else 0.0
        self.slot_ns = max(SLOT_NS, round(1e9 / (options.rate * (1 + self._extra))))

    def due(self, slots: int) -> int:
        """Records due by the end of the first `slots` slots."""
        elapsed_s = slots * self.slot_ns * 1e-9
        busy_s = elapsed_s
        if self._extra:
            periods, within_s = divmod(elapsed_s, self._every_s)
            quiet_s = self._every_s - self._burst_s
            busy_s += self._extra * (periods * self._burst_s + max(0.0, within_s - quiet_s))
        # The small part keeps a record due exactly at the slot's end from falling into the next.
        return int(self._rate * busy_s + 1e-6)


class SyntheticFeed(ThreadFeed):
    """Publishes a `Market` on its `Schedule`."""

    def __init__(
        self,
        name: str,
        index: int,
        options: SyntheticOptions,
        publisher: Publisher,
        counters: Counters,
    ) -> None:
        super().__init__(name, index, counters)
        self._options = options
        self._publisher = publisher

    def instruments(self) -> list[str]:
        return instruments(self._options) or []

    def _work(self) -> None:
        topics = self._register()
        self._tell_instruments(topics.pop())
        books = topics.pop() if self._publisher.books_max else []
        self._ladders = [Ladder(self._options.seed + symbol) for symbol in range(len(books))]
        schedule = Schedule(self._options)
        records = Market(self._options).records()
        self._counters.change("up")
        started_ns = time.monotonic_ns()
        done = 0
        while not self._stopping:
            # The schedule is monotonic; its event times are on the wall clock of now, which may
            # have been stepped since the start.
            elapsed_ns = time.monotonic_ns() - started_ns
            origin_ns = time.time_ns() - elapsed_ns
            ready = elapsed_ns // schedule.slot_ns
            if ready == done:
                self._pause(((done + 1) * schedule.slot_ns - elapsed_ns) * 1e-9)
                continue
            if (ready - done) * schedule.slot_ns > LATE_NS_MAX:
                self._counters.gap(schedule.due(ready) - schedule.due(done))
                done = ready
            rows: list[Row] = []
            quotes: list[tuple[int, int, Fields]] = []  # symbol, ts_event, fields
            while done < ready and len(rows) < ROWS_MAX:
                count = schedule.due(done + 1) - schedule.due(done)
                done += 1
                ts_event = origin_ns + done * schedule.slot_ns
                for trade, symbol, fields in islice(records, count):
                    rows.append((topics[trade][symbol], ts_event, *fields))
                    if books and not trade:
                        quotes.append((symbol, ts_event, fields))
            self._publish(rows)
            self._publish_books(books, quotes)

    def _register(self) -> list[list[int]]:
        """Topic ids by symbol index: of quotes, then of trades, as `records` tells them apart, then
        of books and of what there is to know of instruments."""
        return [
            [self._publisher.topic(channel, name, feed=self.index) for name in self.instruments()]
            if channel in self._options.channels
            else []
            for channel in ("bbo", "trade", "book", INSTRUMENT)
        ]

    def _tell_instruments(self, topics: list[int]) -> None:
        rows: list[Any] = []
        for k, (topic, name) in enumerate(zip(topics, self.instruments(), strict=False)):
            decimals = TICK_DECIMALS[k % len(TICK_DECIMALS)]
            steps = f"{10.0**-decimals:.{decimals}f}", "0.001", decimals, 3
            assets = name.partition(".")[0], "USD"
            rows.append((topic, 0, *steps, *assets, False, 0, "trading", ""))
        self._publish(rows)

    def _publish(self, rows: "list[Row]") -> None:
        if not rows:
            return
        ts_recv, mono_recv = time.time_ns(), time.monotonic_ns()
        refused = self._publisher.publish(rows, ts_recv, mono_recv, feed=self.index)
        if refused:
            self._counters.refused(Refusal("value", refused[-1][1]), len(refused))
        self._counters.published(len(rows) - len(refused), ts_recv)

    def _publish_books(self, books: list[int], quotes: list[tuple[int, int, Fields]]) -> None:
        """What each quote does to its symbol's book."""
        for symbol, ts_event, quote in quotes:
            snapshot, bids, asks = self._ladders[symbol].quote(*quote)
            ts_recv, mono_recv = time.time_ns(), time.monotonic_ns()
            try:
                self._publisher.book(
                    books[symbol],
                    snapshot,
                    bids,
                    asks,
                    ts_recv,
                    mono_recv,
                    ts_event=ts_event,
                    feed=self.index,
                )
            except ValueError as error:
                self._counters.refused(Refusal("limit", str(error), "book"))
            else:
                self._counters.published(1, ts_recv)
