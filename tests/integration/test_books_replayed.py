"""The captures of four venues, played into a ring: each book there is what the venue said last."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.books import NaiveBook
from support.replaying import replay
from support.venues import Pass

from gateway._native import (
    STATS_SIZE,
    RingReader,
    RingWriter,
    Segment,
    StatsPage,
    book_records,
    create_memory,
)
from gateway.feeds.books import Doubt
from gateway.feeds.options import Format, ReplayOptions
from gateway.feeds.venues.message import BookMessage

CAPTURES: list[tuple[str, Format]] = [
    ("binance/spot_btcusdt_20240808.jsonl.gz", "binance"),
    ("kraken/KRAKEN.jsonl.zst", "kraken-v1"),
    ("coinbase/advanced_trade.jsonl.zst", "coinbase"),
    ("bybit/BYBIT.jsonl.zst", "bybit"),
]


def page() -> StatsPage:
    return StatsPage(create_memory("test", STATS_SIZE), writable=True)


def naive(path: Path, format: Format) -> tuple[dict[str, NaiveBook], set[str]]:
    """What the capture ends with, by another way, and which books are in doubt by then."""
    books: dict[str, NaiveBook] = {}
    doubted: set[str] = set()
    writer = RingWriter(1 << 16, 4096)
    for told in Pass(path, format, writer, page()).told():
        if isinstance(told, Doubt):
            doubted.add(told.symbol)
        elif isinstance(told, BookMessage):
            books.setdefault(told.symbol, NaiveBook()).apply(told)
            if told.type == "snapshot":
                doubted.discard(told.symbol)
    writer.close()
    return books, doubted


@pytest.mark.parametrize(("name", "format"), CAPTURES, ids=[one[1] for one in CAPTURES])
async def test_at_full_speed_each_book_is_the_venues(
    name: str, format: Format, capture: Callable[[str], Path]
) -> None:
    path, stats = capture(name), page()
    writer = RingWriter(1 << 26, 4096, stats=stats, book_levels_max=1_000_000)
    reader, segment = RingReader(writer.fd), Segment(writer.fd)
    feed = replay(ReplayOptions(path=str(path), format=format, speed=0), writer, stats)
    await feed.run()
    status = feed.statistics()
    assert status.state == "done", status.message
    books, doubted = naive(path, format)
    flags: dict[int, int] = {}
    seqs: dict[int, int] = {}
    records = 0
    while data := reader.poll_raw():
        for topic, seq, flag, *_ in book_records(data):
            assert seq == seqs.get(topic, 0) + 1
            seqs[topic], flags[topic] = seq, flag
            records += 1
    assert records == stats.get("published", 3) > 100
    assert len(books) == len(seqs)
    names = reader.topics()
    for topic, flag in flags.items():
        channel, instrument = names[topic]
        symbol = instrument.rpartition(".")[0]
        state = segment.book(segment.find(channel, instrument))
        assert state is not None
        assert state == (seqs[topic], books[symbol].bids(), books[symbol].asks())
        assert bool(flag & 8) == (symbol in doubted)
    for one in (reader, segment, writer):
        one.close()


async def test_at_its_own_pace_books_come_when_they_came(
    capture: Callable[[str], Path], tmp_path: Path
) -> None:
    path = capture("binance/spot_btcusdt_20240808.jsonl.gz")
    stats = page()
    writer = RingWriter(1 << 24, 64, stats=stats, book_levels_max=100_000)
    options = ReplayOptions(path=str(path), speed=1000)
    started = time.monotonic()
    feed = replay(options, writer, stats)
    await feed.run()
    assert feed.statistics().state == "done"
    assert time.monotonic() - started > 0.3  # of 345 s
    assert stats.get("published", 3) == 3447  # three change nothing
    writer.close()
