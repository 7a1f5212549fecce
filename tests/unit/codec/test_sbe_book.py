"""Books in binary frames: the bytes, the values that JSON gives too, what no book can have."""

import json
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.binary import ASKS, BIDS, BOOK, BOOK_PART, BOOK_SAID, TIMES, TOPICS, head

from gateway._native import Book as NativeBook
from gateway._native import book_levels, book_texts, sbe_record
from gateway.codec import decode as text
from gateway.codec import sbe
from gateway.codec.decode import Book, BookMessage, Level, Message
from gateway.codec.sbe_book import encode_book

Read = Callable[[bytes, dict[int, sbe.Topic]], list[Message]]
ROW = struct.Struct("<qqbb")
NONE = -(2**63)


def natively(frame: bytes, topics: dict[int, sbe.Topic]) -> list[Message]:
    decoder = sbe.Decoder()
    decoder.topics = topics
    return decoder.decode(frame)


readers = pytest.mark.parametrize("read", [sbe.decode, natively])


def group(*rows: bytes, size: int = ROW.size) -> bytes:
    return struct.pack("<HH", size, len(rows)) + b"".join(rows)


def frame(
    bids: bytes, asks: bytes, wides: bytes, *, part: tuple[int, int] = (0, 0), flags: int = 5
) -> bytes:
    """Of topic 11, with two texts."""
    times = TIMES["ts_event"], TIMES["ts_recv"], TIMES["ts_send"]
    block = struct.pack("<QqqqQIIHHHB", 7, *times, 2, 11, 99, 10, *part, flags)
    return head(55, 3) + block + bids + asks + wides + b"\x0212\x0219"


def levels(*pairs: tuple[str, str]) -> tuple[Level, ...]:
    return tuple(Level(*pair) for pair in pairs)


def test_bytes() -> None:
    wide = 12345678901234567890123456789012345678
    nines = 10**38 - 1
    bids = [
        ROW.pack(6425009, 0, -2, 0),
        ROW.pack(6425010, 1500, -2, -3),
        ROW.pack(64249, NONE, 0, 0),
    ]
    asks = [ROW.pack(-5, NONE, -1, -8), ROW.pack(642501100, NONE, -4, 23)]
    wides = [nines, wide, 10**37]
    halves = [struct.pack("<Qq", one % 2**64, one >> 64) for one in wides]
    made = frame(group(*bids), group(*asks), group(*halves, size=16), flags=4)
    assert made[: 8 + 44] + b"\xff" * 4 + made[8 + 48 :] == BOOK
    assert len(BOOK_PART) == 8 + 55 + 4 + 2 * 18 + 4 + 4 + 16 + 2


@readers
def test_values(read: Read) -> None:
    (whole,) = read(BOOK, dict(TOPICS))
    book = Book(levels(*BIDS), levels(*ASKS), **BOOK_SAID)
    assert whole == BookMessage(
        type="update", symbol="A.X", seq=7, skipped=2, **TIMES, data=(book,)
    )
    (part,) = read(BOOK_PART, dict(TOPICS))
    book = Book(levels(*BIDS[1:]), (), maybe_bad=True)
    assert part == BookMessage(
        type="snapshot", symbol="A.X", seq=8, **TIMES, data=(book,), part=(1, 3)
    )


@readers
def test_json_has_the_same(read: Read) -> None:
    """And ignores what a level may have behind its quantity."""
    for one in (BOOK, BOOK_PART):
        (message,) = read(one, dict(TOPICS))
        said = msgspec.to_builtins(message)
        assert text.decode(json.dumps(said)) == message
        for side in ("bids", "asks"):
            said["data"][0][side] = [[*level, 3] for level in said["data"][0][side]]
        assert text.decode(json.dumps(said)) == message


@readers
@pytest.mark.parametrize("topics", [{}, {11: ("bbo", "A.X")}, {12: ("book", "A.X")}])
def test_a_topic_that_was_not_announced(read: Read, topics: dict[int, sbe.Topic]) -> None:
    with pytest.raises(msgspec.DecodeError, match="a book of topic 11, announced as"):
        read(BOOK, topics)


@readers
def test_rows_of_a_newer_version_are_longer(read: Read) -> None:
    row = ROW.pack(100, 5, -2, 0) + b"new"
    empty = group(size=0)
    (message,) = read(frame(group(row, row, size=21), empty, empty), dict(TOPICS))
    assert isinstance(message, BookMessage)
    assert message.data[0].bids == levels(("1.00", "5"), ("1.00", "5"))


@readers
@pytest.mark.parametrize(
    "row",
    [
        ROW.pack(10**18, 1, 0, 0),
        ROW.pack(-(10**18), 1, 0, 0),
        ROW.pack(1, 1, 1, 0),
        ROW.pack(1, 1, -64, 0),
        ROW.pack(1, -1, 0, 0),
        ROW.pack(1, NONE, 0, 0),
        ROW.pack(1, 1, 0, 101),
        ROW.pack(1, 1, 0, -128),
        ROW.pack(1, 1, 0, 127),
        ROW.pack(1, 10**18, 0, 100)[:17] + b"\x6e",  # 10^128: more zeros than a level can say
    ],
)
def test_a_level_that_no_book_can_have(read: Read, row: bytes) -> None:
    empty = group()
    for bids, asks in ((group(row), empty), (empty, group(row))):
        with pytest.raises(msgspec.DecodeError, match="no book can have"):
            read(frame(bids, asks, group(size=16)), dict(TOPICS))


@readers
@pytest.mark.parametrize("wide", [-1, 10**38, 2**127 - 1])
def test_a_wide_quantity_that_no_book_can_have(read: Read, wide: int) -> None:
    half = struct.pack("<Qq", wide % 2**64, wide >> 64)
    row = group(ROW.pack(1, NONE, 0, 0))
    for wides in (group(half, size=16), group(struct.pack("<Qq", 0, 1), half, size=16)):
        with pytest.raises(msgspec.DecodeError, match="no book can have"):
            read(frame(row, group(), wides), dict(TOPICS))


@readers
@pytest.mark.parametrize(
    ("made", "why"),
    [
        (frame(group(), group(), group(size=16), part=(2, 1)), "part"),
        (frame(group(), group(), group(size=16), part=(0, 1)), "part"),
        (frame(group(b"a" * 17, size=17), group(), group(size=16)), "block"),
        (frame(group(), group(), group(b"a" * 15, size=15)), "block"),
        (frame(struct.pack("<HH", 0, 9), group(), group(size=16)), "block"),
        (frame(struct.pack("<HH", 18, 65535), group(), group(size=16)), "inside"),
        (BOOK[:-1] + b"\x7f", "ASCII"),
        (BOOK[:-6] + b"\x19" + b"1" * 25 + b"\0", "24"),
    ],
)
def test_refused(read: Read, made: bytes, why: str) -> None:
    with pytest.raises(msgspec.DecodeError, match=why):
        read(made, dict(TOPICS))


def decimals(most: int, digits: int) -> st.SearchStrategy[str]:
    """Numbers of up to so many digits, up to `most` of them behind the point."""

    def plain(mantissa: int, behind: int) -> str:
        whole = str(mantissa).zfill(behind + 1)
        return f"{whole[:-behind]}.{whole[-behind:]}" if behind else whole

    return st.builds(plain, st.integers(0, 10**digits - 1), st.integers(0, most))


prices = st.builds(str.__add__, st.sampled_from(["", "-"]), decimals(18, 17))
qtys = decimals(20, 38) | st.just("0") | st.integers(0, 88).map(lambda zeros: "7" + "0" * zeros)
sides = st.lists(st.tuples(prices, qtys), max_size=5)


@given(bids=sides, asks=sides)
def test_levels_come_back(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> None:
    """As texts, and as the batch that a book takes."""
    made = encode_book("update", 11, bids, asks, seq=1, **TIMES)
    record: Any = sbe_record(made, dict(TOPICS))
    assert record[8] == book_levels(bids, asks)
    expected = [[(_price(price), _qty(qty)) for price, qty in side] for side in (bids, asks)]
    assert list(book_texts(record[8])) == expected
    assert natively(made, dict(TOPICS)) == sbe.decode(made, dict(TOPICS))


def _price(price: str) -> str:
    return price.removeprefix("-") if not price.strip("-0.") else price


def _qty(qty: str) -> str:
    return qty if qty.strip("0.") else "0"


def test_texts_of_what_is_no_batch() -> None:
    with pytest.raises(ValueError, match="no whole levels"):
        book_texts(b"a" * 31)
    assert book_texts(b"") == ([], [])
    for fill in (b"\xff", b"\x7f", b"\x80"):
        bids, asks = book_texts(fill * 64)  # of no book, and no byte beyond it is read
        assert len(bids + asks) == 2


def test_a_book_takes_what_was_read() -> None:
    book = NativeBook()
    record: Any = sbe_record(BOOK, dict(TOPICS))
    book.replace_levels(record[8])
    assert book.levels("bid") == [("64250.10", "1.500"), ("64249", "9" * 38)]
    assert book.levels("ask") == ASKS
