"""What every feed is: its protocol, its status, its counters, its topics and its thread.

A feed decodes and publishes on a thread of its own, because timers of an event loop are too coarse
(milliseconds) and a feed must not wait for the process's other work. All publish through one
`Publisher`, which makes them take turns.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from gateway import log
from gateway._native import request_slice
from gateway.feeds.refusals import OTHERS, Refusal, Tally, of_row, shown, shown_symbol
from gateway.model.outcomes import REFUSALS, REFUSALS_ROOM
from gateway.model.status import NUMBER_MAX, FeedState, FeedStatus, LastRefused
from gateway.model.topic import split_instrument

if TYPE_CHECKING:
    from gateway._native import Row
    from gateway.feeds.venues.message import Fields, Top

SLICE_NS = 100_000
"""Scheduler slice asked for by feed threads: with the default one, a busy neighbour on the same
core delays a wake-up by 1.9 ms at p99; with this, by 60 us."""

STOP_CHECK_S = 0.05
"""Longest sleep of a feed thread without a look at whether it shall stop."""

REFUSED_SYMBOLS_MAX = 1024
"""Refused symbols remembered, so that each costs a dictionary look-up and not an exception; beyond
it, or longer than this, they are only slower."""
REFUSED_CHARACTERS_MAX = 256

REFUSED_LOG_INTERVAL_NS = 10_000_000_000
"""Between two log lines of one feed and reason; the next one has the number in between."""

FAILING_AFTER_NS = 3_000_000_000
"""A feed that has refused everything for so long is failing ..."""
FAILING_REFUSALS_MIN = 2
"""... where that was more than one input: a single one before a pause is its topic's business."""

SKIPS_MAX = 32
"""Reasons, fixed in the code, for which a feed skips input; those beyond are counted as OTHERS."""

MESSAGE_CHARACTERS_MAX = 400
REFUSED = -1

_log = log.get("feeds")


class Publisher(Protocol):
    """Where records go; `_native.RingWriter` is one. See `gateway/_native.pyi` for each method."""

    def topic(self, channel: str, instrument: str, *, feed: int = 0) -> int: ...
    def publish(
        self,
        rows: "Sequence[Row]",
        ts_recv: int,
        mono_recv: int,
        *,
        ages: "Sequence[int] | None" = None,
        flags: int = 0,
        feed: int = 0,
        record_wire: bool = True,
        until_refused: bool = False,
        gap: str = "",
        lost: int = 0,
    ) -> list[tuple[int, str]]: ...
    def refusal(self, channel: str, fields: "Fields") -> str: ...
    def retire(self, channel: str, instrument: str) -> bool: ...
    def suspect(self, topic: int, reason: str, ts_recv: int, mono_recv: int) -> bool: ...
    def book(
        self,
        topic: int,
        snapshot: bool,
        bids: "Sequence[tuple[str, ...]]",
        asks: "Sequence[tuple[str, ...]]",
        ts_recv: int,
        mono_recv: int,
        *,
        ts_event: int = 0,
        first: int | str | None = None,
        last: int | str | None = None,
        checksum: int | None = None,
        depth: int = 0,
        doubted: bool | None = None,
        flags: int = 0,
        feed: int = 0,
        record_wire: bool = True,
    ) -> tuple[int, bool, bool, bool]: ...
    @property
    def books_max(self) -> int: ...
    def book_doubt(
        self,
        topic: int,
        ts_recv: int,
        mono_recv: int,
        *,
        state: str = "resync",
        reason: str = "",
        flags: int = 0,
        feed: int = 0,
    ) -> bool: ...
    def book_derive(self, topic: int, bbo: int) -> None: ...
    def book_top(self, topic: int) -> "Top | None": ...
    def differs(self, topic: int, differs: bool) -> None: ...
    def heartbeat(self, feed: int, interval_ns: int) -> None: ...
    def behind(self) -> int: ...
    def backlogged(self) -> int: ...
    def subscribed(self) -> int: ...


class Stats(Protocol):
    """Where counters go; `_native.StatsPage` is one."""

    def add(self, name: str, index: int = 0, n: int = 1) -> None: ...
    def set(self, name: str, index: int = 0, value: int = 0) -> None: ...
    def get(self, name: str, index: int = 0) -> int: ...


class Feed(Protocol):
    """A source of records."""

    name: str
    index: int

    async def run(self) -> None:
        """Publishes until cancelled, finished or failed; a failure is a state, not an exception."""

    def statistics(self) -> FeedStatus: ...
    def instruments(self) -> list[str] | None:
        """The closed list of what it can publish, or None: open."""


class Counters:
    """One feed's counts: its `FeedStatus` and its places in the statistics page, kept together.

    Of records there is one count, in the page, where an intake adds what it publishes itself.

    A *run* is what was refused since the last record that was not: of that alone it can be told
    whether the feed is failing. `refused` and `change` are the feed thread's; `status`, which
    judges that, is the loop's.
    """

    def __init__(self, name: str, kind: str, venue: str, index: int, stats: Stats) -> None:
        self.name = name
        self._identity = (name, kind, venue)
        self._venue = venue
        self._index = index
        self._stats = stats
        self._state: FeedState = "connecting"
        self._message = ""
        self._changing = threading.Lock()
        self._records_before = stats.get("feed_records", index)
        self._counts = dict.fromkeys(
            ("decode_errors", "gaps", "lost", "duplicates", "late", "resets", "reconnects"), 0
        )
        self._refused = dict.fromkeys(REFUSALS, 0)
        self._tally = Tally()
        self._unlogged_tallies = {reason: Tally() for reason in REFUSALS}  # since the last line
        self._unsuspected = 0
        self._logged: dict[str, tuple[int, int]] = {}  # of what -> when (MONOTONIC), count by then
        self._last: LastRefused | None = None
        self._run = (0, 0, -1)  # since when (MONOTONIC), inputs refused, records before
        self.skips: dict[str, int] = {}

    def published(self, records: int, ts_recv: int) -> None:
        self._stats.add("feed_records", self._index, records)
        self._stats.set("feed_last_ns", self._index, ts_recv)

    def refused(self, refusal: Refusal, inputs: int = 1, *, known: bool = False) -> None:
        """Counts input that was refused; logs the first of its reason, then now and then.

        `known`: the feed has a topic of the instrument.
        """
        reason = refusal.reason
        self._add("decode_errors", inputs)
        self._refused[reason] += inputs
        place = self._index * REFUSALS_ROOM + REFUSALS.index(reason)
        self._stats.add("feed_refused", place, inputs)
        symbol = shown_symbol(refusal.symbol)
        instrument = f"{symbol}.{self._venue}" if symbol else ""
        if instrument:
            self._tally.add(instrument, known, inputs)
            self._unlogged_tallies[reason].add(instrument, known, inputs)
        self._last = LastRefused(
            symbol=instrument,
            channel=refusal.channel,
            field=refusal.field,
            value=refusal.value,
            reason=reason,
            why=refusal.why,
            at_ns=time.time_ns(),
        )
        now_ns, records = time.monotonic_ns(), self._stats.get("feed_records", self._index)
        since_ns, run, before = self._run
        self._run = (
            (since_ns, run + inputs, before) if before == records else (now_ns, inputs, records)
        )
        if count := self._unlogged(reason, self._refused[reason], now_ns):
            words = {
                name: getattr(refusal, name) for name in ("reason", "channel", "field", "value")
            }
            _log.warning(
                "feed.refused",
                feed=self.name,
                symbol=instrument,
                **words,
                why=refusal.why,
                count=count,
                symbols=self._unlogged_tallies[reason],
            )
            self._unlogged_tallies[reason] = Tally()

    def unsuspected(self, error: OverflowError) -> None:
        """Counts what was refused and could not be made suspect, and logs it now and then."""
        self._unsuspected += 1
        if count := self._unlogged("health", self._unsuspected, time.monotonic_ns()):
            _log.error("health.full", feed=self.name, message=error, count=count)

    def skip(self, why: str) -> None:
        """Counts input that is nothing to publish, by a reason that is fixed in the code."""
        if why not in self.skips and len(self.skips) >= SKIPS_MAX:
            why = OTHERS
        self.skips[why] = self.skips.get(why, 0) + 1

    def gap(self, lost: int, where: tuple[str, str, int, int] | None = None) -> None:
        """Counts one hole in which `lost` records (or datagrams, for udp) went missing.

        It is logged now and then, with channel, symbol, number and newest number before, or where
        there is no `where` as the host's.
        """
        self._add("gaps", 1)
        self._add("lost", lost)
        if where is not None:
            self._log_numbers("gaps", *where)
        elif count := self._unlogged("lost", self._counts["lost"], time.monotonic_ns()):
            _log.warning("feed.lost", feed=self.name, count=count)

    def stamp_anomaly(self, datagrams: int) -> None:
        """Counts input whose time of arrival, as the kernel stamped it, was not believed."""
        self._stats.add("stamp_anomalies", self._index, datagrams)

    def duplicate(self) -> None:
        self._add("duplicates", 1)

    def late(self, channel: str, symbol: str, number: int, newest: int) -> None:
        """Counts a record that comes behind later ones, and logs it now and then."""
        self._add("late", 1)
        self._log_numbers("late", channel, symbol, number, newest)

    def reset(self, channel: str, symbol: str, number: int, newest: int) -> None:
        """Counts a venue's new beginning of a topic's numbers, and logs it now and then."""
        self._add("resets", 1)
        self._log_numbers("resets", channel, symbol, number, newest)

    def _log_numbers(self, what: str, channel: str, symbol: str, number: int, newest: int) -> None:
        if count := self._unlogged(what, self._counts[what], time.monotonic_ns()):
            _log.warning(
                f"feed.{what.removesuffix('s')}",
                feed=self.name,
                symbol=f"{shown_symbol(symbol)}.{self._venue}",
                channel=channel,
                number=number,
                newest=newest,
                count=count,
            )

    def _unlogged(self, what: str, total: int, now_ns: int) -> int:
        """How many came since the last log line of this kind, where another one is due; else 0."""
        logged_ns, logged = self._logged.get(what, (now_ns - REFUSED_LOG_INTERVAL_NS, 0))
        if now_ns - logged_ns < REFUSED_LOG_INTERVAL_NS:
            return 0
        self._logged[what] = (now_ns, total)
        return total - logged

    def reconnected(self) -> None:
        self._add("reconnects", 1)

    def change(
        self, state: FeedState, message: str = "", *, only_from: FeedState | None = None
    ) -> None:
        """Enters a state, and logs it; feed_up is 1 in state `up` alone.

        `only_from` another thread's judgement holds: what the feed has become since stays.
        """
        with self._changing:
            if only_from not in (None, self._state):
                return
            was, self._state = self._state, state
            self._message = message[:MESSAGE_CHARACTERS_MAX]
            self._stats.set("feed_up", self._index, int(state == "up"))
        told = _log.info if state in ("up", "done") else _log.warning
        told("feed.state", feed=self.name, state=state, was=was, reason=self._message)

    @property
    def refused_inputs(self) -> int:
        """How many were, for whatever reason."""
        return self._counts["decode_errors"]

    @property
    def last_refused(self) -> LastRefused | None:
        return self._last

    @property
    def refusals(self) -> dict[str, int]:
        """How many inputs were refused, by reason."""
        return {reason: count for reason, count in self._refused.items() if count}

    def status(self) -> FeedStatus:
        name, kind, venue = self._identity
        self._judge(time.monotonic_ns())
        return FeedStatus(
            name=name,
            type=kind,
            venue=venue,
            state=self._state,
            skipped=sum(self.skips.values()),
            records=self._stats.get("feed_records", self._index) - self._records_before,
            last_record_ns=self._stats.get("feed_last_ns", self._index),
            message=self._message,
            refused=self.refusals,
            refused_symbols=dict(self._tally.counts),
            last_refused=self._last,
            **self._counts,
        )

    def _judge(self, now_ns: int) -> None:
        """Whether all that comes is refused; `status` asks once a second."""
        since_ns, run, before = self._run
        refuses = run >= FAILING_REFUSALS_MIN and now_ns - since_ns >= FAILING_AFTER_NS
        refuses = refuses and before == self._stats.get("feed_records", self._index)
        if self._state == "up" and refuses and self._last is not None:
            why = f"refused all of the last {run}: {self._last.words}"
            self.change("failing", why, only_from="up")
        elif self._state == "failing" and not refuses:
            self.change("up", "accepts again", only_from="failing")

    def _add(self, name: str, n: int) -> None:
        self._counts[name] = min(self._counts[name] + n, NUMBER_MAX)
        self._stats.add(f"feed_{name}", self._index, n)


class Topics(dict[str, int]):
    """Symbol → topic id of one feed and channel, asking the publisher for each new symbol.

    A symbol that is refused (its grammar, topics_max, another feed's instrument) maps to REFUSED.
    `owners` is shared by all feeds: instrument → index of its feed. `symbols` is the reverse.
    """

    def __init__(
        self, channel: str, venue: str, index: int, publisher: Publisher, owners: dict[str, int]
    ) -> None:
        self._channel = channel
        self._venue = venue
        self._index = index
        self._publisher = publisher
        self._owners = owners
        self._refused: dict[str, tuple[str, str]] = {}  # (reason, why) of those remembered
        self._refused_last = ("name", "")
        self.symbols: dict[int, str] = {}

    def __missing__(self, symbol: str) -> int:
        instrument = f"{symbol}.{self._venue}"
        try:
            split_instrument(instrument)
        except ValueError as error:
            return self._refuse(symbol, "name", str(error))
        owner = self._owners.get(instrument, self._index)
        if owner != self._index:
            return self._refuse(symbol, "owner", f"{instrument!r} is published by feeds.{owner}")
        try:
            topic = self._publisher.topic(self._channel, instrument, feed=self._index)
        except OverflowError as error:
            why = f"{error}: the ring's table is full (ring.topics_max)"
            return self._refuse(symbol, "topics", why)
        except ValueError as error:
            return self._refuse(symbol, "name", str(error))
        self._owners[instrument] = self._index
        self.symbols[topic] = symbol
        self[symbol] = topic
        return topic

    def retire(self, symbol: str) -> bool:
        """Ends the symbol's topic, if it has one; rows with its id are published by then.

        Its next record makes it anew.
        """
        topic = self.get(symbol, REFUSED)
        if topic < 0:
            return False
        del self[symbol], self.symbols[topic]
        instrument = f"{symbol}.{self._venue}"
        self._owners.pop(instrument, None)
        return self._publisher.retire(self._channel, instrument)

    def known(self, symbol: str) -> bool:
        """Whether this feed has a topic of the instrument, in whatever channel."""
        return self._owners.get(f"{symbol}.{self._venue}") == self._index

    def refusal(self, fields: "Fields") -> str:
        """Why no row of these fields would be published, whatever its symbol; "" where it would."""
        return self._publisher.refusal(self._channel, fields)

    def row(self, symbol: str, fields: "Fields") -> "Row | Refusal":
        """The row to publish, or why there is none.

        An instrument's first record makes its topic, unless its fields are refused.
        """
        topic = self.get(symbol)
        if topic is None:
            if not self.known(symbol) and (why := self.refusal(fields)):
                return of_row(self._channel, symbol, (REFUSED, *fields), why)
            topic = self[symbol]
        return (topic, *fields) if topic >= 0 else self._refusal_of(symbol)

    def of(self, symbol: str) -> int | Refusal:
        """The symbol's topic, made where there is none yet, or why there can't be one."""
        topic = self[symbol]
        return topic if topic >= 0 else self._refusal_of(symbol)

    def _refusal_of(self, symbol: str) -> Refusal:
        reason, why = self._refused.get(symbol, self._refused_last)
        return Refusal(reason, shown(why), self._channel, symbol, "symbol", shown(symbol))

    def _refuse(self, symbol: str, reason: str, why: str) -> int:
        self._refused_last = (reason, why)
        if reason == "topics":
            return REFUSED  # There may be room again.
        if len(symbol) <= REFUSED_CHARACTERS_MAX and len(self._refused) < REFUSED_SYMBOLS_MAX:
            self._refused[symbol] = self._refused_last
            self[symbol] = REFUSED
        return REFUSED


class ThreadFeed:
    """A feed whose `_work` runs on a thread of its own until it returns or `_stopping` is set."""

    def __init__(self, name: str, index: int, counters: Counters) -> None:
        self.name = name
        self.index = index
        self._counters = counters
        self._stopping = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def main() -> None:
            self._main()
            loop.call_soon_threadsafe(ended.set)

        thread = threading.Thread(target=main, name=self.name, daemon=True)
        thread.start()
        try:
            await ended.wait()
        finally:
            self._stopping = True
            self._interrupt()
            # Every wait of a feed thread is interrupted or bounded by STOP_CHECK_S, so short.
            thread.join()

    def statistics(self) -> FeedStatus:
        return self._counters.status()

    def instruments(self) -> list[str] | None:
        return None

    def _main(self) -> None:
        request_slice(SLICE_NS)
        try:
            self._work()
        except Exception as error:
            _log.exception("feed.failed", feed=self.name)
            self._counters.change("failed", f"{type(error).__name__}: {error}")

    def _work(self) -> None:
        raise NotImplementedError

    def _interrupt(self) -> None:
        """Ends a wait that `_pause` does not bound."""

    def _pause(self, duration_s: float) -> bool:
        """Sleeps that long, or until the feed shall stop; then False."""
        end_s = time.monotonic() + duration_s
        while not self._stopping and (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(left_s, STOP_CHECK_S))
        return not self._stopping
