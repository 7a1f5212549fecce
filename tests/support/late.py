"""A delayed feed on a ring of its own, step by step, under a clock that the test sets."""

import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway._native import RingReader, RingWriter, StatsPage, book_state_rows, record_rows
from gateway.feeds.delay import DelayFeed
from gateway.feeds.feed import Counters
from gateway.feeds.options import DelayOptions

if TYPE_CHECKING:
    from gateway._native import Row

DELAY_S = 5
DELAY_NS = DELAY_S * 1_000_000_000


class Told(NamedTuple):
    """A record of the ring."""

    channel: str
    symbol: str
    published_ns: int
    fields: tuple[Any, ...]
    seq: int
    flags: int
    gap: int
    lost: int


class Clock:
    """MONOTONIC and how far the test has moved it on."""

    def __init__(self, seed: int = 1) -> None:
        self.shift_ns = 0
        self._draw = Random(seed)
        self._stopped_ns: int | None = None

    def stop(self, at_ns: int) -> None:
        """It is then, and goes on with sleeps alone."""
        self._stopped_ns, self.shift_ns = at_ns, 0

    def now(self) -> int:
        now_ns = time.monotonic_ns() if self._stopped_ns is None else self._stopped_ns
        return now_ns + self.shift_ns

    def sleep(self, duration_s: float) -> bool:
        """Now and then too short, by a little."""
        self.shift_ns += int(duration_s * 1e9 * self._draw.choice((0.3, 0.999999, 1.0, 1.5)))
        return True


class Feed(DelayFeed):
    """Sleeps by the test's clock."""

    clock: Clock

    def _pause(self, duration_s: float) -> bool:
        return self.clock.sleep(duration_s)


class Noting:
    """A writer that notes when trades were published, by the test's clock."""

    def __init__(self, writer: RingWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self.at: dict[str, int] = {}  # by trade id
        self.quotes: list[int] = []

    def publish(self, rows: "Sequence[Row]", *args: Any, **more: Any) -> list[tuple[int, str]]:
        now_ns = self._clock.now()
        for row in rows:
            if len(row) == 6 and row[4] in ("buy", "sell", None):
                self.at[str(row[5])] = now_ns
            else:
                self.quotes.append(now_ns)
        return self._writer.publish(rows, *args, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


class Process:
    """A feed process: a ring, a venue XNAS on it, and the feed that releases it as LATE."""

    def __init__(
        self,
        directory: Path,
        stats: StatsPage,
        clock: Clock,
        *,
        capacity: int = 1 << 22,
        boot: str = "boot",
        bytes_max: int = 1 << 30,
    ) -> None:
        self.clock = clock
        self.writer = RingWriter(capacity, 512, book_levels_max=1 << 15)
        self.noting = Noting(self.writer, clock)
        self._all = RingReader(self.writer.fd)
        self._seen: list[Told] = []
        options = DelayOptions(of="XNAS", venue="LATE", delay_s=DELAY_S, bytes_max=bytes_max)
        counters = Counters("delay:LATE", "delay", "LATE", 1, stats)
        ring = RingReader(self.writer.fd, venue="XNAS")
        self.feed = Feed(
            "delay:LATE", 1, options, self.noting, counters, {}, ring, directory, clock.now, boot
        )
        self.feed.clock = clock
        assert self.feed.open(), counters.status().message

    # --- the venue --------------------------------------------------------------------------------

    def trade(self, symbol: str, number: int, gap: str = "", lost: int = 0) -> None:
        topic = self.writer.topic("trade", f"{symbol}.XNAS")
        row: Row = (topic, number, "100.10", f"{number}", "buy", f"{number}")
        now_ns = time.time_ns(), time.monotonic_ns()
        assert self.writer.publish([row], *now_ns, gap=gap, lost=lost) == []

    def quote(self, symbol: str, number: int) -> None:
        topic = self.writer.topic("bbo", f"{symbol}.XNAS")
        row: Row = (topic, number, "100.10", f"{number}", "100.20", "1")
        assert self.writer.publish([row], time.time_ns(), time.monotonic_ns()) == []

    def book(self, symbol: str, number: int, levels: int = 1, *, snapshot: bool = False) -> None:
        topic = self.writer.topic("book", f"{symbol}.XNAS")
        bids = [(f"{90_000 - n}.5", f"{number}") for n in range(levels)]
        asks = [(f"{100_000 + n}.5", f"{number}") for n in range(levels)]
        now_ns = time.time_ns(), time.monotonic_ns()
        self.writer.book(topic, snapshot, bids, asks, *now_ns, ts_event=number, last=number)

    # --- the feed ---------------------------------------------------------------------------------

    def keep(self) -> None:
        """Spools all there is."""
        while self.feed.keeper.step():
            pass

    def release(self) -> None:
        """Releases all that is spooled; the clock goes on as the feed sleeps."""
        while self.feed.step():
            pass

    def both(self) -> None:
        self.keep()
        self.release()

    def stop(self) -> None:
        """Ends as it should."""
        self.feed._teller.publish()
        self.feed.keeper.end()
        self.feed.close()

    def die(self) -> None:
        """Ends without another word."""
        self.feed._reel.close()
        self.feed.spool.close()

    # --- what came of it --------------------------------------------------------------------------

    def told(self, venue: str, channel: str = "") -> list[Told]:
        """All records of a venue, in order."""
        while data := self._all.poll_raw():
            topics = self._all.topics()
            rows, _ = record_rows(data, published=True)
            for read in rows:
                assert read is not None
                kind, published_ns, _, (number, _, *fields), (seq, flags, gap, lost) = read
                instrument = topics[number][1]
                one = Told(kind, instrument, published_ns, tuple(fields), seq, flags, gap, lost)
                self._seen.append(one)
        end = f".{venue}"
        return [
            one._replace(symbol=one.symbol.removesuffix(end))
            for one in self._seen
            if one.symbol.endswith(end) and one.channel in (channel or one.channel, "")
        ]

    def ids(self, venue: str = "LATE") -> list[int]:
        """Of its trades."""
        return [int(one.fields[3]) for one in self.told(venue, "trade") if one.channel]

    def levels(self, symbol: str, venue: str) -> Any:
        """Of its book; None: it has none."""
        topic = self.writer.topic("book", f"{symbol}.{venue}")
        for place in range(self._all.books_max):
            found = self._all.book_at(place)
            if found is not None and found[0] & 0xFFFFFFFF == topic:
                return [book_state_rows(part, 0, 1 << 20) for part in found[4]]
        return None

    def none_is_early(self) -> None:
        """By the test's clock, and by the time of publishing of the originals."""
        originals = {str(one.fields[3]): one for one in self.told("XNAS", "trade")}
        for number, at_ns in self.noting.at.items():
            if number in originals:
                assert at_ns >= originals[number].published_ns + DELAY_NS
