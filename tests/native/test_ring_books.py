"""Books of real venues through the ring: what its records and its pool say, to a reader of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.books import NaiveBook
from support.captures import Message, binance, bybit, coinbase, kraken

from gateway._native import (
    BOOK_LEVELS_MAX,
    FLAG_PACED,
    Book,
    RingReader,
    RingWriter,
    Segment,
    book_records,
    record_rows,
)

Capture = Callable[[str], Path]
Venue = Callable[[Path], Iterator[tuple[str, Message]]]
MAYBE_BAD = 8
GAP_FEED = 1


class Follower:
    """A reader with books of its own, from the ring's records or, where those say so, the pool."""

    def __init__(self, writer: RingWriter) -> None:
        self._reader = RingReader(writer.fd)
        self._segment = Segment(writer.fd)
        self.books: dict[int, Book] = {}
        self.copies = 0

    def follow(self) -> None:
        while data := self._reader.poll_raw():
            for topic, seq, _, _, reset, _, _, levels in book_records(data):
                book = self.books.setdefault(topic, Book(levels_max=BOOK_LEVELS_MAX))
                if seq <= book.seq:
                    continue
                if reset:
                    self.copies += 1
                    state = self._segment.book(topic)
                    assert state is not None
                    assert state[0] == seq
                    book.replace(state[1], state[2], seq=seq)
                else:
                    assert seq == book.seq + 1
                    book.apply_levels(levels, seq=seq)

    def close(self) -> None:
        self._reader.close()
        self._segment.close()


@pytest.mark.parametrize(("market", "updates"), [("spot", 3449), ("usdm", 6547)])
def test_records_of_binance_make_the_best_prices_that_it_says(
    capture: Capture, market: str, updates: int
) -> None:
    writer = RingWriter(1 << 22, 16, book_levels_max=100_000)
    topic = writer.topic("book", "BTCUSDT.BINANCE")
    follower = Follower(writer)
    said, compared, equal = None, 0, 0
    for message in binance(capture(f"binance/{market}_btcusdt_20240808.jsonl.gz")):
        if message.top is not None:
            said = message.top
            continue
        _, _, _, crossed = writer.book(topic, message.snapshot, message.bids, message.asks, 1, 1)
        assert not crossed
        follower.follow()
        if not message.snapshot:
            compared += said is not None
            equal += said == follower.books[topic].top()
    assert (compared, equal) == (updates, updates)
    follower.close()
    writer.close()


@pytest.mark.parametrize(
    ("name", "venue", "depth", "instruments"),
    [
        ("binance/spot_btcusdt_20240808.jsonl.gz", None, 0, 1),
        ("kraken/KRAKEN.jsonl.zst", kraken, 1000, 10),
        ("coinbase/advanced_trade.jsonl.zst", coinbase, 0, 0),
        ("bybit/BYBIT.jsonl.zst", bybit, 0, 0),
    ],
    ids=["binance", "kraken", "coinbase", "bybit"],
)
def test_books_of_all_venues_are_the_naive_ones(
    capture: Capture, name: str, venue: Venue | None, depth: int, instruments: int
) -> None:
    writer = RingWriter(1 << 24, 64, book_levels_max=1_000_000)
    follower, segment = Follower(writer), Segment(writer.fd)
    naive: dict[int, NaiveBook] = {}
    messages = (
        (("BTCUSDT", one) for one in binance(capture(name)) if one.top is None)
        if venue is None
        else venue(capture(name))
    )
    compared = differs = 0
    for number, (symbol, message) in enumerate(messages):
        topic = writer.topic("book", f"{symbol}.X".replace("/", "-"))
        checksum = message.checksum
        _, _, agrees, _ = writer.book(
            topic,
            message.snapshot,
            message.bids,
            message.asks,
            1,
            1,
            depth=depth,
            checksum=checksum,
            first=number,
        )
        differs += not agrees
        book = naive.setdefault(topic, NaiveBook())
        kind = "snapshot" if message.snapshot else "update"
        change = SimpleNamespace(type=kind, bids=message.bids, asks=message.asks, depth=depth)
        book.apply(change)
        follower.follow()
        if number % 101 and number > 20:
            continue
        compared += 1
        state = segment.book(topic)
        assert state is not None
        assert state[1:] == (book.bids(), book.asks())
        mine = follower.books[topic]
        assert (state[0], mine.levels("bid"), mine.levels("ask")) == (mine.seq, *state[1:])
    assert compared > 20
    assert differs == 0
    assert not instruments or len(naive) == instruments
    for one in (segment, follower, writer):
        one.close()


def test_a_doubt_is_told_once_and_ends_with_a_snapshot() -> None:
    writer = RingWriter(1 << 20, 16, book_levels_max=1000)
    topic = writer.topic("book", "A.X")
    reader = RingReader(writer.fd)

    def told() -> list[tuple[int, int, int, str, str]]:
        records = book_records(reader.poll_raw() or b"")
        return [(seq, flags, gap, first, last) for _, seq, flags, gap, _, first, last, _ in records]

    bids, asks = [("1.5", "2")], [("1.6", "3")]
    assert not writer.book_doubt(topic, 1, 1)
    assert writer.book(topic, True, bids, asks, 1, 1, flags=FLAG_PACED, last="x" * 30) == (
        2,
        True,
        True,
        False,
    )
    assert told() == [(1, FLAG_PACED, 0, "", "x" * 24)]
    assert writer.book_doubt(topic, 1, 1)
    assert not writer.book_doubt(topic, 1, 1)
    assert told() == [(2, MAYBE_BAD, GAP_FEED, "", "x" * 24)], "up to where the book is"
    assert writer.book(topic, False, [("1.7", "1")], [], 1, 1, first=7, last=9) == (
        1,
        True,
        True,
        True,
    )
    assert told() == [(3, MAYBE_BAD, 0, "7", "9")]
    assert writer.book(topic, True, bids, asks, 1, 1, checksum=1)[2] is False
    assert told() == [(4, MAYBE_BAD, 0, "", "")]
    assert writer.book(topic, True, bids, asks, 1, 1) == (0, True, True, False)
    assert writer.book(topic, True, bids, asks, 1, 1) == (0, False, True, False)
    assert told() == [(5, 0, 0, "", "")]
    assert writer.retire("book", "A.X")
    assert Segment(writer.fd).book(topic) is None
    with pytest.raises(ValueError, match="none of a book"):
        writer.book(topic, True, bids, asks, 1, 1)
    reader.close()
    writer.close()


def test_a_record_of_a_book_is_a_row_of_what_changed() -> None:
    writer = RingWriter(1 << 20, 16, book_levels_max=1000)
    topic = writer.topic("book", "A.X")
    reader = RingReader(writer.fd)
    writer.book(topic, True, [("1", "1"), ("2", "1"), ("3", "1")], [], 5, 5, ts_event=4)
    writer.retire("book", "A.X")
    data = reader.poll_raw() or b""
    (row, end), size = record_rows(data)
    assert size == len(data)
    assert row is not None
    assert end is not None
    assert (row[0], row[2]) == ("book", 0)
    assert row[3] == (topic, 4, False, "", "", [("1", "1"), ("2", "1"), ("3", "1")], [])
    assert row[4] == (1, 0, 0, 0)
    assert end[0] == ""
    reader.rewind(len(data))
    told = reader.poll() or []
    assert [(one["channel"], one["seq"]) for one in told] == [("book", 1), ("book", 2)]
    reader.close()
    writer.close()


def test_what_is_refused_is_named() -> None:
    writer = RingWriter(1 << 20, 16, book_levels_max=1)
    trade, topic = writer.topic("trade", "A.X"), writer.topic("book", "A.X")
    good = [("1", "1")]
    for bids, asks, words in (
        ([("x", "1")], [], "bid 0: price not a decimal: 'x'"),
        ([*good * 70, ("1", "1e")], [], "bid 70: quantity not a decimal: '1e'"),
        (good, [("1", "-1")], "ask 0 has a quantity below zero"),
        (good * (1 << 17), good, "131073 levels, 131072 at most"),
        ([(str(n), "1") for n in range(1, 40000)], [], "the message may need more levels than a"),
    ):
        with pytest.raises(ValueError, match=words):
            writer.book(topic, True, bids, asks, 1, 1)
    assert Segment(writer.fd).book(topic) is None
    with pytest.raises(ValueError, match="topic 0 is none of a book"):
        writer.book(trade, True, good, good, 1, 1)
    with pytest.raises(ValueError, match="feed 64"):
        writer.book_doubt(topic, 1, 1, feed=64)
    assert writer.publish([(topic, 0, "1", "1", None, "")], 1, 1) == [(0, "a topic of book")]
    with pytest.raises(ValueError, match="no whole record"):
        book_records(b"\0" * 64)
    assert writer.books_max == 16
    writer.close()
    plain = RingWriter(1 << 20, 16)
    assert plain.books_max == 0
    with pytest.raises(ValueError, match="the message is of one book more than there is room for"):
        plain.book(plain.topic("book", "A.X"), True, good, [], 1, 1)
    plain.close()
    with pytest.raises(ValueError, match="book_levels_max"):
        RingWriter(1 << 20, 16, book_levels_max=1 << 28)


def test_1000_levels_more_than_a_record_may_have_are_copied() -> None:
    writer = RingWriter(1 << 20, 16, book_levels_max=100_000)
    topic = writer.topic("book", "A.X")
    follower = Follower(writer)
    bids = [(str(Decimal(n) / 100), str(n)) for n in range(40_000, 1, -1)]
    asks = [(str(n), "1") for n in range(500, 520)]
    assert writer.book(topic, True, bids[:16_000], asks, 1, 1)[0] == 16_020
    follower.follow()
    assert follower.copies == 1
    assert follower.books[topic].levels("bid") == bids[:16_000]
    follower.close()
    writer.close()
