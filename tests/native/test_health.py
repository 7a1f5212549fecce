"""The health of instruments as a ring writer tells it: by the clock, and of what its feeds say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway._native import (
    HEALTH_TOPICS_MAX,
    HEARTBEAT_NS_MAX,
    STATS_SIZE,
    RingReader,
    RingWriter,
    StatsPage,
    create_memory,
    record_rows,
)
from gateway.model.outcomes import HEALTH_STATES

Told = list[tuple[str, str]]


class Rig:
    def __init__(self, topics_max: int = 64) -> None:
        self.stats = StatsPage(create_memory("test", STATS_SIZE), writable=True)
        self.writer = RingWriter(1 << 20, topics_max, stats=self.stats, book_levels_max=1000)
        self._reader = RingReader(self.writer.fd)

    def told(self) -> Told:
        """States and reasons of health, since the last call."""
        found: Told = []
        while data := self._reader.poll_raw():
            for row in record_rows(data)[0]:
                assert row is not None
                if row[0] == "health":
                    fields: tuple[Any, ...] = row[3]
                    found.append(fields[2:])
        return found

    def counts(self) -> dict[str, int]:
        found = {
            state: self.stats.get("instrument_health", place)
            for place, state in enumerate(HEALTH_STATES)
        }
        return {state: count for state, count in found.items() if count}

    def close(self) -> None:
        self._reader.close()
        self.writer.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


def trade(topic: int, number: int = 1) -> tuple[int, int, str, str, str, str]:
    return topic, 1, "1.0", "2", "buy", str(number)


def test_a_feed_that_is_down_makes_its_instruments_stale(rig: Rig) -> None:
    writer = rig.writer
    one = writer.topic("trade", "A.X", feed=1)
    writer.topic("bbo", "A.X", feed=1)
    writer.topic("trade", "B.X", feed=2)
    writer.publish([trade(one)], 1, time.monotonic_ns())
    assert writer.health_step() == (False, 0)
    assert (rig.told(), rig.counts()) == ([], {"ok": 2})
    assert writer.health_step([1]) == (False, 0)
    assert rig.told() == [("stale", "the feed is not connected")]
    assert rig.counts() == {"ok": 1, "stale": 1}
    assert writer.health_step([1]) == (False, 0)
    assert rig.told() == []
    writer.health_step()
    assert (rig.told(), rig.counts()) == ([("ok", "")], {"ok": 2})
    for channel in ("trade", "bbo"):
        writer.retire(channel, "A.X")
    writer.health_step([1])
    assert rig.counts() == {"ok": 1}, "what has ended has no health"


def test_a_heartbeat_that_is_missing_twice_is_told(rig: Rig) -> None:
    writer, interval_ns = rig.writer, 100_000_000
    topic = writer.topic("trade", "A.X", feed=5)

    def until(state: str, alive: Callable[[], object] = lambda: None) -> float:
        start_s = time.monotonic()
        while rig.counts() != {state: 1}:
            assert time.monotonic() < start_s + 20
            alive()
            writer.health_step()
            time.sleep(0.001)
        return time.monotonic() - start_s

    until("ok")
    writer.heartbeat(5, interval_ns)
    assert until("stale") >= 0.2
    assert rig.told() == [("stale", "the feed's heartbeat is missing")]
    until("ok", lambda: writer.heartbeat(5, interval_ns))
    assert until("stale") >= 0.2
    until("ok", lambda: writer.publish([trade(topic)], 1, time.monotonic_ns()))
    assert until("stale") >= 0.2
    writer.heartbeat(5, 0)
    until("ok")  # it promises none any more
    assert [state for state, _ in rig.told()] == ["ok", "stale", "ok", "stale", "ok"]


def test_lost_trades_are_told_for_a_second(rig: Rig) -> None:
    topic = rig.writer.topic("trade", "A.X")
    rig.writer.publish([trade(topic)], 1, 1, gap="feed", lost=3)
    rig.writer.health_step()
    assert rig.told() == [("gap", "3 trades are missing")]
    rig.writer.publish([trade(topic)], 1, 1, gap="reset")
    time.sleep(1.05)
    rig.writer.health_step()
    assert rig.told() == [("ok", "")]


def test_a_book_in_doubt_is_told_until_its_snapshot(rig: Rig) -> None:
    writer = rig.writer
    book = writer.topic("book", "A.X")
    level = [("1.0", "2")]
    writer.book(book, True, level, [], 1, 1)
    writer.book_doubt(book, 1, 1, state="gap", reason="the venue's numbers have a hole")
    writer.health_step()
    assert rig.told() == [("gap", "the venue's numbers have a hole")]
    writer.book_doubt(book, 1, 1, state="resync", reason="less")
    assert rig.told() == []
    writer.book(book, True, level, [], 1, 1)
    assert rig.told() == [("ok", "")], "at once, since there is a topic for it by now"
    writer.book(book, False, level, [], 1, 1, checksum=99)
    assert rig.told() == [("resync", "the book's checksum is another")]
    writer.book_doubt(book, 1, 1, state="crossed", reason="why")
    assert rig.told() == [("crossed", "why")]
    writer.book(book, True, level, [], 1, 1)
    writer.differs(book, True)
    assert rig.told() == [("ok", ""), ("suspect", "the quote is not the top of the book")]
    writer.retire("book", "A.X")
    assert rig.counts() == {}


def test_a_book_may_be_crossed_while_its_instrument_does_not_trade(rig: Rig) -> None:
    writer = rig.writer
    book, status = writer.topic("book", "A.X"), writer.topic("status", "A.X")

    def crossed() -> bool:
        return writer.book(book, True, [("2.0", "2")], [("1.0", "2")], 1, 1)[3]

    assert crossed()
    rows: Any = [(status, 1, "auction", "")]
    writer.publish(rows, 1, 1)
    assert not crossed()
    rows = [(status, 2, "trading", "")]
    writer.publish(rows, 1, 1)
    assert crossed()


def test_where_there_is_no_topic_of_health_left_they_are_counted() -> None:
    rig = Rig(topics_max=8)
    rig.writer.topic("trade", "A.X", feed=1)
    for name in "BCDEFGH":
        rig.writer.topic("trade", f"{name}.X", feed=2)
    for _ in range(2):
        assert rig.writer.health_step([1, 2]) == (False, 0)
    assert rig.counts() == {"stale": 8}
    rig.close()
    assert HEALTH_TOPICS_MAX == 32768


def test_more_instruments_than_a_call_may_tell_are_told_by_several() -> None:
    rig = Rig(topics_max=3000)
    for number in range(3000):
        rig.writer.topic("trade", f"A{number}.X", feed=7)
    calls, left = 0, True
    while left:
        left, unheard = rig.writer.health_step([7])
        assert unheard == 0
        calls += 1
    assert calls > 1
    assert rig.counts() == {"stale": 3000}
    assert len(rig.told()) == 3000
    rig.close()


def test_what_is_none_is_refused(rig: Rig) -> None:
    writer = rig.writer
    book = writer.topic("book", "A.X")
    for feed, interval_ns in ((64, 1), (0, -1), (0, HEARTBEAT_NS_MAX + 1)):
        with pytest.raises(ValueError, match="heartbeat"):
            writer.heartbeat(feed, interval_ns)
    with pytest.raises(ValueError, match="no doubt is called 'odd'"):
        writer.book_doubt(book, 1, 1, state="odd")
    with pytest.raises(ValueError, match="feed 64"):
        writer.topic("bbo", "A.X", feed=64)
    writer.close()
    for call in (lambda: writer.heartbeat(0, 1), writer.health_step):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_quotes_of_a_book_are_its_best_levels_behind_each_message(rig: Rig) -> None:
    writer = rig.writer
    reader = RingReader(writer.fd)
    book, bbo = writer.topic("book", "A.X"), writer.topic("bbo", "A.X")
    writer.book_derive(book, bbo)

    def quotes() -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = []
        while data := reader.poll_raw():
            found += [row[3][1:] for row in record_rows(data)[0] if row and row[0] == "bbo"]
        return found

    assert writer.book_top(book) is None
    writer.book(book, True, [("1.50", "2"), ("1.49", "1")], [("1.60", "3")], 1, 1, ts_event=7)
    assert quotes() == [(7, "1.50", "2", "1.60", "3")]
    assert writer.book_top(book) == ("1.50", "2", "1.60", "3")
    writer.book(book, False, [("1.49", "7")], [("1.70", "1")], 1, 1, ts_event=8)
    assert quotes() == [], "the top is the same"
    writer.book(book, False, [("1.50", "0")], [], 1, 1, ts_event=9)
    writer.book(book, False, [], [("1.60", "0"), ("1.70", "0")], 1, 1, ts_event=10)
    assert quotes() == [(9, "1.49", "7", "1.60", "3"), (10, "1.49", "7", None, None)]
    writer.book_doubt(book, 1, 1)
    assert writer.book_top(book) is None
    writer.book(book, False, [("1.55", "1")], [], 1, 1, ts_event=11)
    assert quotes() == [], "in doubt"
    writer.book(book, True, [("1.49", "7")], [], 1, 1, ts_event=12)
    assert quotes() == [], "the same as before"
    writer.book_doubt(book, 1, 1)
    wide = "12345678901234567890.5"
    writer.book(book, True, [("1.49", wide)], [], 1, 1, ts_event=13)
    writer.book(book, True, [("1.49", wide), ("1.00", "1")], [], 1, 1, ts_event=14)
    writer.book(book, True, [], [], 1, 1, ts_event=15)
    assert quotes() == [(13, "1.49", wide, None, None), (15, None, None, None, None)]
    writer.retire("bbo", "A.X")
    writer.book(book, True, [("1.49", "7")], [], 1, 1, ts_event=16)
    assert quotes() == []
    reader.close()


def test_quotes_are_made_of_a_book_of_the_same_instrument(rig: Rig) -> None:
    book = rig.writer.topic("book", "A.X")
    for topic in (book, rig.writer.topic("bbo", "B.X"), rig.writer.topic("trade", "A.X"), 99):
        with pytest.raises(ValueError, match="none of quotes of this book"):
            rig.writer.book_derive(book, topic)
