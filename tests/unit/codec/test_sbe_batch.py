"""Many binary frames at once: the records that one by one give, as arrays."""

import gc
import math
import sys
from decimal import Decimal, localcontext
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.binary import (
    ANNOUNCED,
    BOOK,
    FRAMES,
    NOW,
    QUOTE,
    STAMPS,
    TIMES,
    TOPICS,
    TRADE,
    head,
    longer,
)

from gateway._native import SBE_FRAMES_MAX, book_levels, sbe_level_rows
from gateway.codec import sbe
from gateway.codec.decode import (
    BboMessage,
    BookMessage,
    CandleMessage,
    InstrumentMessage,
    StatusMessage,
    TradeMessage,
)
from gateway.codec.sbe_book import encode_book

SIDES = [None, "buy", "sell"]


def quotes_of(*texts: str | None) -> bytes:
    row: Any = (0, NOW, *texts)
    return sbe.encode_record("bbo", "update", 8, row, seq=1, **STAMPS)


def same(number: str | None, row: Any, name: str) -> bool:
    """Whether the columns of a decimal are this number: as the nearest float, and exactly."""
    if number is None:
        return bool(np.isnan(row[name]) and row[f"{name}_exponent"] == 127)
    mantissa = (int(row[f"{name}_high"]) << 64) + int(row[f"{name}_low"])
    exact = mantissa == int(number.replace(".", ""))
    exponent = -len(number.partition(".")[2])
    nearest = float(row[name])
    return (
        exact
        and row[f"{name}_exponent"] == exponent
        and nearest == float(number)
        and math.copysign(1, nearest) == math.copysign(1, float(number))
    )


def check_row(row: Any, message: TradeMessage | BboMessage | CandleMessage) -> None:
    for name in ("seq", "skipped", "ts_event", "ts_recv", "ts_send"):
        assert row[name] == getattr(message, name)
    assert TOPICS[int(row["topic"])][1] == message.symbol
    assert bool(row["flags"] & 1) == (message.type == "snapshot")
    (element,) = message.data
    values = msgspec.structs.asdict(element)
    values.pop("id", None)
    values.pop("interval", None)  # the topic's
    for name in ("start", "trades", "closed", "revised", "complete"):
        assert name not in values or row[name] == values.pop(name)
    if isinstance(message, TradeMessage):
        assert SIDES[row["side"]] == values.pop("side")
    for name, number in values.items():
        assert same(number, row, name)


def check_book(found: sbe.Batch, row: Any, index: int, message: BookMessage) -> None:
    for name in ("seq", "skipped", "ts_event", "ts_recv", "ts_send"):
        assert row[name] == getattr(message, name)
    (book,) = message.data
    assert TOPICS[int(row["topic"])][1] == message.symbol
    assert (int(row["part"]), int(row["parts"])) == (message.part or (0, 0))
    assert (row["depth"], row["frame"]) == (book.depth, index)
    assert row["checksum"] == (book.checksum or 0)
    said = (message.type == "snapshot", book.maybe_bad, book.checksum is not None)
    assert [bool(row["flags"] & 1 << bit) for bit in range(3)] == list(said)
    assert (int(row["bids"]), int(row["asks"])) == (len(book.bids), len(book.asks))
    first = int(row["first"])
    levels = found.levels[first : first + len(book.bids) + len(book.asks)]
    assert levels["side"].tolist() == [1] * len(book.bids) + [2] * len(book.asks)
    for level, text in zip(levels, (*book.bids, *book.asks), strict=True):
        assert found.books[int(level["book"])] == row
        assert same(text.price, level, "price")
        assert Decimal(text.qty) == exact(level, "qty")
        assert level["qty"] == float(text.qty)


def exact(row: Any, name: str) -> Decimal:
    mantissa = (int(row[f"{name}_high"]) << 64) + int(row[f"{name}_low"])
    with localcontext(prec=200):
        return Decimal(mantissa).scaleb(int(row[f"{name}_exponent"]))


@given(st.lists(st.sampled_from([*FRAMES, longer(TRADE), head(0, 60)]), max_size=20))
def test_a_batch_is_its_frames(frames: list[bytes]) -> None:
    topics = dict(TOPICS)
    found = sbe.batch(frames, topics)
    decoder = sbe.Decoder()
    decoder.topics = dict(TOPICS)
    trades, quotes, candles = map(iter, (found.trades, found.quotes, found.candles))
    books = iter(found.books)
    levels = 0
    others = set()
    for index, frame in enumerate(frames):
        messages = decoder.decode(frame)
        for message in messages:
            if isinstance(message, TradeMessage):
                check_row(next(trades), message)
            elif isinstance(message, BboMessage):
                check_row(next(quotes), message)
            elif isinstance(message, CandleMessage):
                check_row(next(candles), message)
            elif isinstance(message, BookMessage):
                check_book(found, next(books), index, message)
                levels += len(message.data[0].bids) + len(message.data[0].asks)
        if not messages or isinstance(messages[0], dict | InstrumentMessage | StatusMessage):
            others.add(index)
    assert not [*trades, *quotes, *candles, *books]
    assert len(found.levels) == levels
    assert set(found.others.tolist()) == others - {
        index for index, frame in enumerate(frames) if frame == ANNOUNCED
    }
    assert topics == decoder.topics


@given(st.lists(st.sampled_from(FRAMES), max_size=20))
def test_one_buffer_with_lengths_is_the_same(frames: list[bytes]) -> None:
    apart: dict[int, sbe.Topic] = {}
    together: dict[int, sbe.Topic] = {}
    one = sbe.batch(frames, apart)
    lengths = np.array([len(frame) for frame in frames], dtype=np.uint32)
    other = sbe.batch(b"".join(frames), together, lengths)
    assert [array.tobytes() for array in one] == [array.tobytes() for array in other]
    assert apart == together


digits = st.text("0123456789", min_size=1, max_size=38).map(lambda text: text.lstrip("0") or "0")
numbers = st.builds(
    lambda sign, text, decimals: (
        sign + (text if not decimals else f"{text.zfill(decimals + 1)[:-decimals]}."
        f"{text.zfill(decimals + 1)[-decimals:]}")
    ),
    st.sampled_from(["", "-"]),
    digits,
    st.integers(0, 127),
)  # fmt: skip


@given(bid=numbers, quantity=numbers)
def test_floats_are_the_nearest(bid: str, quantity: str) -> None:
    found = sbe.batch([quotes_of(bid, quantity, None, None)], {})
    (row,) = found.quotes
    assert same(bid, row, "bid")
    assert same(quantity, row, "bid_qty")
    assert same(None, row, "ask")


def test_columns() -> None:
    found = sbe.batch([TRADE, QUOTE], {})
    assert found.trades.dtype.names == (
        "seq", "skipped", "ts_event", "ts_recv", "ts_send", "price_low", "price_high", "qty_low",
        "qty_high", "price", "qty", "topic", "price_exponent", "qty_exponent", "flags", "side",
    )  # fmt: skip
    assert found.quotes.dtype.names is not None
    assert found.quotes.dtype.names[5:9] == ("bid_low", "bid_high", "bid_qty_low", "bid_qty_high")
    assert found.trades["price"].tolist() == [64250.10]


quantities = st.builds(
    lambda text, decimals: (
        text if not decimals else f"{text.zfill(decimals + 1)[:-decimals]}."
        f"{text.zfill(decimals + 1)[-decimals:]}"
    ),
    digits,
    st.integers(0, 60),
)  # fmt: skip
prices = st.builds(
    lambda sign, number, decimals: str(
        Decimal((sign, tuple(map(int, str(number))), -decimals)).__format__("f")
    ),
    st.integers(0, 1),
    st.integers(1, 10**18 - 1),
    st.integers(0, 17),
)
sides = st.lists(st.tuples(prices, quantities), max_size=4)


@given(bids=sides, asks=sides)
def test_levels_are_exact_wherever_they_come_from(bids: Any, asks: Any) -> None:
    frame = encode_book("update", 11, bids, asks, seq=1, **TIMES)
    levels = sbe.batch([TRADE, frame], {}).levels
    rows, counts = sbe_level_rows([b"", book_levels(bids, asks)])
    assert counts == [0, len(bids)]
    assert set(levels["book"].tolist()) <= {0}
    assert set(rows["book"].tolist()) <= {1}
    for each in (levels, rows):
        assert len(each) == len(bids) + len(asks)
        for level, (price, qty) in zip(each, [*bids, *asks], strict=True):
            assert exact(level, "price") == Decimal(price)
            assert exact(level, "qty") == Decimal(qty)
            assert level["price_exponent"] == -len(price.partition(".")[2])
            assert (level["price"], level["qty"]) == (float(price), float(qty))


def test_rows_of_levels_that_are_none() -> None:
    rows, counts = sbe_level_rows([])
    assert (len(rows), counts) == (0, [])
    with pytest.raises(ValueError, match="batch 1 is none of levels"):
        sbe_level_rows([b"", b"x"])
    both = book_levels([("1", "2")], [("3", "4")])
    rows, counts = sbe_level_rows([both + both])
    assert rows["price"].tolist() == [1, 1, 3, 3], "of each batch the bids come first"
    assert counts == [2]


def test_a_level_that_can_not_be_is_a_bad_frame() -> None:
    at = BOOK.index((6425009).to_bytes(8, "little"))
    bad = BOOK[:at] + (10**18).to_bytes(8, "little") + BOOK[at + 8 :]
    with pytest.raises(msgspec.DecodeError, match="frame 1: a level that no book can have"):
        sbe.batch([TRADE, bad], {})


def test_nothing() -> None:
    found = sbe.batch([], {})
    assert [len(array) for array in found] == [0, 0, 0, 0, 0, 0]
    assert sbe.batch(b"", {}, []).trades.dtype == found.trades.dtype


def test_a_bad_frame_is_named() -> None:
    with pytest.raises(msgspec.DecodeError, match="frame 2: the frame ends inside a message"):
        sbe.batch([TRADE, QUOTE, TRADE[:-1], TRADE], {})
    with pytest.raises(msgspec.DecodeError, match="frame 0: the frame ends inside"):
        sbe.batch([b""], {})
    with pytest.raises(msgspec.DecodeError, match=r"frame 1: .*UTF-8"):
        sbe.batch([TRADE, head(5, 16) + b"\7\0\0\0\1\1\xff"], {})


@pytest.mark.parametrize(
    ("lengths", "why"),
    [
        ([len(TRADE) + 1], "frame 0 ends beyond"),
        ([len(TRADE) - 1], "1 bytes are left"),
        ([], "are left"),
        ([2**64 - 1, 1], "frame 0 ends beyond"),
        ([1, 2**64 - 1], "frame 1 ends beyond"),
    ],
)
def test_lengths_that_are_not_those_of_the_bytes(lengths: list[int], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        sbe.batch(TRADE, {}, np.array(lengths, dtype=np.uint64))


@pytest.mark.parametrize(
    ("lengths", "why"),
    [
        ([-1], "frame 0 ends beyond"),
        ([len(TRADE) + 0.9], "1 dimensions of float64, expected one of integers"),
        ([[len(TRADE)]], "2 dimensions of int64"),
        ([2**70], "1 dimensions of object"),
        (["1"], "1 dimensions of <U1"),
        ([], "are left"),
    ],
)
def test_lengths_that_are_none(lengths: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        sbe.batch(TRADE, {}, lengths)


def test_what_is_no_batch() -> None:
    wrong: Any = [TRADE, bytearray(TRADE)]
    with pytest.raises(TypeError, match="frame 1"):
        sbe.batch(wrong, {})
    wrong = bytearray(TRADE)
    with pytest.raises(TypeError, match="one bytes object"):
        sbe.batch(wrong, {}, [len(TRADE)])


def test_a_batch_is_bounded() -> None:
    with pytest.raises(ValueError, match=f"{SBE_FRAMES_MAX + 1} frames"):
        sbe.batch([TRADE] * (SBE_FRAMES_MAX + 1), {})


def test_a_batch_keeps_nothing() -> None:
    frame = bytes(bytearray(TRADE))
    frames = [frame] * 100
    before = sys.getrefcount(frame)
    for _ in range(10):
        sbe.batch(frames, {})
        with pytest.raises(msgspec.DecodeError):
            sbe.batch([*frames, b"\0"], {})
    gc.collect()
    assert sys.getrefcount(frame) == before


def test_records_are_no_objects() -> None:
    frames = [TRADE] * 50_000
    before = sys.getallocatedblocks()
    found = sbe.batch(frames, {})
    assert len(found.trades) == len(frames)
    assert sys.getallocatedblocks() - before < 1000


def test_announcements_are_taken() -> None:
    topics: dict[int, sbe.Topic] = {}
    found = sbe.batch([ANNOUNCED + TRADE, sbe.encode_topic(9, "bbo", "B.X")], topics)
    assert topics == {7: TOPICS[7], 9: ("bbo", "B.X")}
    assert found.trades["topic"].tolist() == [7]
    assert found.others.tolist() == []
