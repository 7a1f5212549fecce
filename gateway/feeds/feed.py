"""What every feed is: its protocol, its status, its counters, its topics and its thread.

A feed decodes and publishes on a thread of its own, because timers of an event loop are too coarse
(milliseconds) and a feed must not wait for the process's other work. All publish through one
`Publisher`, which makes them take turns.
"""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from gateway._native import request_slice
from gateway.model.topic import split_instrument

if TYPE_CHECKING:
    from gateway._native import Row

SLICE_NS = 100_000
"""Scheduler slice asked for by feed threads: with the default one, a busy neighbour on the same
core delays a wake-up by 1.9 ms at p99; with this, by 60 us."""

STOP_CHECK_S = 0.05
"""Longest sleep of a feed thread without a look at whether it shall stop."""

REFUSED_SYMBOLS_MAX = 1024
"""Refused symbols remembered, so that each costs a dictionary look-up and not an exception; beyond
it they are only slower."""

MESSAGE_INTERVAL_NS = 1_000_000_000
"""A feed of bad lines renews its status message at most this often."""

MESSAGE_CHARACTERS_MAX = 200
INSTRUMENT_SHOWN_MAX = 60
"""Characters of a refused name in its reason: it is anybody's, of any length."""

REFUSED = -1

State = Literal["connecting", "up", "down", "done", "failed"]

log = logging.getLogger(__name__)


class Publisher(Protocol):
    """Where records go; `_native.RingWriter` is one. See `gateway/_native.pyi` for each method."""

    def topic(self, channel: str, instrument: str) -> int: ...
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
    ) -> list[tuple[int, str]]: ...
    def behind(self) -> int: ...
    def backlogged(self) -> int: ...
    def subscribed(self) -> int: ...


class Stats(Protocol):
    """Where counters go; `_native.StatsPage` is one."""

    def add(self, name: str, index: int = 0, n: int = 1) -> None: ...
    def set(self, name: str, index: int = 0, value: int = 0) -> None: ...
    def get(self, name: str, index: int = 0) -> int: ...


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A feed as it is now. Counts are since the start; `last_record_ns` is REALTIME, 0: none, and
    outlives a restart."""

    name: str
    type: str
    venue: str
    state: State
    records: int
    decode_errors: int
    gaps: int
    lost: int
    duplicates: int
    skipped: int
    reconnects: int
    last_record_ns: int
    message: str


class Feed(Protocol):
    """A source of records."""

    name: str
    index: int

    async def run(self) -> None:
        """Publishes until cancelled, finished or failed; a failure is a state, not an exception."""

    def statistics(self) -> Status: ...
    def instruments(self) -> list[str] | None:
        """The closed list of what it can publish, or None: open."""


class Counters:
    """One feed's counts: its `Status` and its places in the statistics page, kept together.

    Of records there is one count, in the page, where an intake adds what it publishes itself.
    """

    def __init__(self, name: str, kind: str, venue: str, index: int, stats: Stats) -> None:
        self._identity = (name, kind, venue)
        self._index = index
        self._stats = stats
        self._state: State = "connecting"
        self._message = ""
        self._message_ns = -MESSAGE_INTERVAL_NS
        self._records_before = stats.get("feed_records", index)
        self._counts = dict.fromkeys(
            ("decode_errors", "gaps", "lost", "duplicates", "reconnects"), 0
        )
        self.skipped = 0

    def published(self, records: int, ts_recv: int) -> None:
        self._stats.add("feed_records", self._index, records)
        self._stats.set("feed_last_ns", self._index, ts_recv)

    def refused(self, lines: int, why: str) -> None:
        """Counts input that was skipped; the message is a sample of why, renewed each second."""
        self._add("decode_errors", lines)
        now_ns = time.monotonic_ns()
        if now_ns - self._message_ns >= MESSAGE_INTERVAL_NS:
            self._message_ns = now_ns
            self._message = f"skipped: {why}"[:MESSAGE_CHARACTERS_MAX]

    def gap(self, lost: int) -> None:
        """Counts one hole in which `lost` records (or datagrams, for udp) went missing."""
        self._add("gaps", 1)
        self._add("lost", lost)

    def stamp_anomaly(self, datagrams: int) -> None:
        """Counts input whose time of arrival, as the kernel stamped it, was not believed."""
        self._stats.add("stamp_anomalies", self._index, datagrams)

    def duplicate(self) -> None:
        self._add("duplicates", 1)

    def reconnected(self) -> None:
        self._add("reconnects", 1)

    def change(self, state: State, message: str = "") -> None:
        """Enters a state; feed_up is 1 in state `up` alone."""
        self._state = state
        self._message = message[:MESSAGE_CHARACTERS_MAX]
        self._stats.set("feed_up", self._index, int(state == "up"))

    def status(self) -> Status:
        name, kind, venue = self._identity
        return Status(
            name=name,
            type=kind,
            venue=venue,
            state=self._state,
            skipped=self.skipped,
            records=self._stats.get("feed_records", self._index) - self._records_before,
            last_record_ns=self._stats.get("feed_last_ns", self._index),
            message=self._message,
            **self._counts,
        )

    def _add(self, name: str, n: int) -> None:
        self._counts[name] += n
        self._stats.add(f"feed_{name}", self._index, n)


class Topics(dict[str, int]):
    """Symbol → topic id of one feed and channel, asking the publisher for each new symbol.

    A symbol that is refused (its grammar, topics_max, another feed's instrument) maps to REFUSED
    and the reason goes to `why`. `owners` is shared by all feeds: instrument → index of its feed.
    """

    def __init__(
        self, channel: str, venue: str, index: int, publisher: Publisher, owners: dict[str, int]
    ) -> None:
        self._channel = channel
        self._venue = venue
        self._index = index
        self._publisher = publisher
        self._owners = owners
        self._refused_count = 0
        self.why = ""

    def __missing__(self, symbol: str) -> int:
        instrument = f"{symbol}.{self._venue}"
        try:
            split_instrument(instrument)
        except ValueError as error:
            return self._refuse(symbol, f"{instrument[:INSTRUMENT_SHOWN_MAX]!r}: {error}")
        owner = self._owners.get(instrument, self._index)
        if owner != self._index:
            return self._refuse(symbol, f"{instrument!r} is published by feeds.{owner}")
        try:
            topic = self._publisher.topic(self._channel, instrument)
        except OverflowError:
            return self._refuse(symbol, f"no topic left for {instrument!r} (ring.topics_max)")
        except ValueError as error:
            return self._refuse(symbol, str(error))
        self._owners[instrument] = self._index
        self[symbol] = topic
        return topic

    def _refuse(self, symbol: str, why: str) -> int:
        self.why = why
        if self._refused_count < REFUSED_SYMBOLS_MAX:
            self._refused_count += 1
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

    def statistics(self) -> Status:
        return self._counters.status()

    def instruments(self) -> list[str] | None:
        return None

    def _main(self) -> None:
        request_slice(SLICE_NS)
        try:
            self._work()
        except Exception as error:
            log.exception("feed %s failed", self.name)
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


def backoff_s(attempt: int, *, first_s: float = 0.1, last_s: float = 10.0) -> float:
    """The wait before reconnection `attempt` (from 0): full jitter over a doubling bound."""
    return random.uniform(0, min(last_s, first_s * 2.0 ** min(attempt, 32)))
