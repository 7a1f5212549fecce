"""Candles that the writer makes of trades: their topics, and what it publishes."""

import time
from typing import Any

import pytest

from gateway._native import (
    CANDLE_LENGTHS,
    FLAG_RETIRED,
    FLAG_UNPRINTED,
    STATS_SIZE,
    RingReader,
    RingWriter,
    StatsPage,
    create_memory,
)

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


@pytest.fixture
def writer() -> RingWriter:
    return RingWriter(1 << 16, 16, candles=["candle_1s", "candle_1m"], candles_max=2)


def publish(
    writer: RingWriter, topic: int, ts: int, price: str, number: int, flags: int = 0
) -> None:
    row = (topic, ts, price, "0.5", "buy", str(number))
    now, mono = time.time_ns(), time.monotonic_ns()
    assert writer.publish([row], now, mono, record_wire=False, flags=flags) == []


def polled(reader: RingReader) -> list[dict[str, Any]]:
    rows = reader.poll()
    assert rows is not None
    return rows


def test_the_channels() -> None:
    assert [*CANDLE_LENGTHS] == [f"candle_{one}" for one in ("1s", "1m", "5m", "15m", "1h", "1d")]
    assert CANDLE_LENGTHS["candle_15m"] == 15 * MINUTE


def test_topics_come_and_go_with_those_of_trades(writer: RingWriter) -> None:
    reader = RingReader(writer.fd)
    writer.topic("bbo", "A.X")
    assert reader.topics() == [("bbo", "A.X")]
    for name in ("A.X", "B.X", "C.X"):  # the third finds no room
        writer.topic("trade", name)
    candles = [topic for topic in reader.topics() if topic[0] != "bbo"]
    assert candles == [
        ("trade", "A.X"),
        ("candle_1s", "A.X"),
        ("candle_1m", "A.X"),
        ("trade", "B.X"),
        ("candle_1s", "B.X"),
        ("candle_1m", "B.X"),
        ("trade", "C.X"),
    ]
    assert writer.retire("candle_1m", "A.X") is False
    assert writer.retire("trade", "A.X") is True
    ended = [(row["channel"], row["flags"]) for row in polled(reader)]
    assert ended == [(one, FLAG_RETIRED) for one in ("candle_1s", "candle_1m", "trade")]
    writer.topic("trade", "D.X")
    assert ("candle_1m", "D.X") in reader.topics()
    with pytest.raises(ValueError, match="candle_1m has its topics with the trades'"):
        writer.topic("candle_1m", "E.X")
    with pytest.raises(ValueError, match="no channels of candles"):
        RingWriter(1 << 16, 16, candles=["trade"], candles_max=2)


def test_trades_make_them(writer: RingWriter) -> None:
    reader = RingReader(writer.fd)
    topic = writer.topic("trade", "A.X")
    start = time.time_ns() // MINUTE * MINUTE
    publish(writer, topic, start, "2", 1)
    publish(writer, topic, start + 1, "3", 2, flags=FLAG_UNPRINTED)
    publish(writer, topic, start + MINUTE, "1", 3)
    rows = [row for row in polled(reader) if row["channel"] == "candle_1m"]
    assert [(row["high"], row["volume"], row["trades"], row["closed"]) for row in rows] == [
        ("2", "0.5", 1, False),
        ("2", "0.5", 1, True),
        ("1", "0.5", 1, False),
    ]
    assert [row["start"] for row in rows] == [start, start, start + MINUTE]
    assert [row["partial"] for row in rows] == [True, True, False]
    assert rows[0]["ts_recv"] >= start


def test_the_clock_closes_them_and_counts_what_they_lack() -> None:
    stats = StatsPage(create_memory("stats", STATS_SIZE), writable=True)
    writer = RingWriter(1 << 16, 16, candles=["candle_1s"], candles_max=1, stats=stats)
    reader = RingReader(writer.fd)
    topic = writer.topic("trade", "A.X")
    writer.topic("trade", "B.X")
    publish(writer, topic, time.time_ns() - 3 * SECOND, "2", 1)
    publish(writer, topic, time.time_ns(), "2", 2)
    publish(writer, topic, time.time_ns(), "2", 2)
    for _ in range(200):
        writer.candles_step()
        rows = polled(reader)
        if any(row["channel"] == "candle_1s" and row["trades"] == 0 for row in rows):
            break
        time.sleep(0.02)
    else:
        raise AssertionError("no candle was closed by the clock")
    assert not writer.candles_step()
    names = ("late", "ahead", "duplicate", "unprinted", "unfit", "left_out", "restart", "full")
    counts = {name: stats.get("candle_trades", place) for place, name in enumerate(names)}
    assert counts == dict.fromkeys(names, 0) | {"duplicate": 1, "full": 1}
