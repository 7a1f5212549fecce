"""The order book's Python face: texts in, texts out, what is refused, what links get.

What a book does with levels is tested without an interpreter (native/test/test_book*.c).
"""

from __future__ import annotations

import zlib
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway._native import (
    BOOK_DEPTHS,
    BOOK_LEVEL_SIZE,
    BOOK_LEVELS_MAX,
    Book,
    BookLink,
    book_levels,
)

if TYPE_CHECKING:
    from gateway._native import BookRow

BIDS: list[BookRow] = [("64250.10", "0.015"), ("64250", "1000"), ("64249.9", "3.78826000")]
ASKS: list[BookRow] = [("64250.20", "2"), ("64251.00", "0.00000001")]


def book_of(bids: list[BookRow], asks: list[BookRow]) -> Book:
    book = Book()
    book.apply(bids, asks)
    return book


def test_texts_come_back_as_the_venue_wrote_them() -> None:
    book = book_of(BIDS, ASKS)
    assert (book.levels("bid"), book.levels("ask")) == (BIDS, ASKS)
    assert book.levels("bid", 2) == BIDS[:2]
    assert book.top() == (BIDS[0], ASKS[0])
    assert (book.seq, book.scale, book.counts) == (1, 2, (3, 2))


def test_an_empty_book_has_no_top() -> None:
    book = Book()
    assert (book.top(), book.levels("bid"), book.seq) == ((None, None), [], 0)
    assert book.checksum() == 0
    assert BookLink(book).render() == ("snapshot", 0, 0, [], [])


def test_a_message_says_how_much_it_changed() -> None:
    book = book_of(BIDS, ASKS)
    assert book.apply([("64250.10", "0.015"), ("1", "0")], []) == (0, False)
    assert book.seq == 1
    assert book.apply([("64250.10", "0.0150"), ("64250", "0")], []) == (2, False)
    assert book.apply([("64250.105", "1")], [], seq=9) == (1, True)
    assert (book.seq, book.scale) == (9, 3)


def test_changes_are_what_another_book_needs() -> None:
    one, other = Book(depth=2), Book()
    for bids in ([("10", "1"), ("9", "1")], [("11", "1"), ("9", "2")], [("11", "0")]):
        one.apply(bids, [])
        changes = one.changes()
        assert len(changes) % BOOK_LEVEL_SIZE == 0
        other.apply_levels(changes)
        assert other.levels("bid") == one.levels("bid")
    assert one.levels("bid") == [("10", "1")]


def test_a_state_is_told_as_the_difference() -> None:
    book = book_of(BIDS, ASKS)
    assert book.replace(BIDS[:2], [*ASKS, ("64252", "1")]) == (2, False)
    assert book.replace_levels(book_levels([], [])) == (5, False)
    assert book.counts == (0, 0)


def test_a_book_that_follows_is_the_same() -> None:
    book, copy = book_of(BIDS, ASKS), Book()
    assert copy.follow(book) == (5, False)
    book.apply([("64250.10", "0")], [], seq=7)
    assert copy.follow(book) == (1, False)
    assert copy.follow(book) == (0, False)
    assert (copy.seq, copy.levels("bid")) == (7, BIDS[1:])


def test_orders_are_shown_where_they_are_counted() -> None:
    book = Book(orders=True)
    book.apply([("1.5", "2", 7)], [("1.6", "3")])
    assert book.top() == (("1.5", "2", 7), ("1.6", "3", 0))
    frame = BookLink(book).render()
    assert frame is not None
    assert frame[3] == [("1.5", "2", 7)]


@pytest.mark.parametrize(
    ("bids", "asks", "why"),
    [
        ([("1", "1"), ("x", "1")], [], "bid 1: price not a decimal: 'x'"),
        ([], [("1", "1,5")], "ask 0: quantity not a decimal: '1,5'"),
        ([("1", "-1")], [], "bid 0 has a quantity below zero"),
        ([("1e30", "1")], [], "bid 0 makes prices of more than 18 digits"),
        ([("1e-70", "1")], [], "bid 0 has a price of more than 63 digits after the point"),
        ([("1", "1" * 39)], [], "bid 0: quantity "),
    ],
)
def test_a_refused_level_is_named(bids: list[BookRow], asks: list[BookRow], why: str) -> None:
    book = book_of(BIDS, ASKS)
    with pytest.raises(ValueError, match="^" + why.replace("(", r"\(")):
        book.apply(bids, asks)
    assert (book.seq, book.counts) == (1, (3, 2))


def test_a_message_that_does_not_fit_the_book_is_refused() -> None:
    book = Book(levels_max=8, wides_max=1)
    long = "12345678901234567890123"
    with pytest.raises(ValueError, match="more long quantities than are free"):
        book.apply([("1", long), ("2", long)], [])
    with pytest.raises(ValueError, match="more levels than a side can have"):
        book.apply([(str(price), "1") for price in range(1, 1000)], [])
    with pytest.raises(ValueError, match="seq that is not the book's next"):
        book_of(BIDS, ASKS).apply([], [("1", "1")], seq=1)
    with pytest.raises(ValueError, match="level 1 makes prices of more than 18 digits"):
        book.apply([("0.0000000001", "1"), ("999999999999", "1")], [])
    with pytest.raises(ValueError, match="no whole levels"):
        book.apply_levels(b"x" * (BOOK_LEVEL_SIZE + 1))
    assert book.counts == (0, 0)


def test_arguments_are_checked() -> None:
    for bad in (0, BOOK_LEVELS_MAX + 1):
        with pytest.raises(ValueError, match="levels_max"):
            Book(levels_max=bad)
    with pytest.raises(ValueError, match="wides_max"):
        Book(wides_max=1 << 30)
    with pytest.raises(ValueError, match="bid or ask"):
        Book().levels("bids")
    with pytest.raises(ValueError, match="depth 7"):
        BookLink(Book(), 7)
    with pytest.raises(RuntimeError):
        Book().__init__()
    with pytest.raises(TypeError):
        Book().apply([(1, 2)], [])  # type: ignore[list-item]


def test_a_link_gets_what_it_misses() -> None:
    book = book_of(BIDS, ASKS)
    links = {depth: BookLink(book, depth) for depth in BOOK_DEPTHS}
    for depth, link in links.items():
        shown = depth or None
        assert link.render() == ("snapshot", 1, 0, BIDS[:shown], ASKS[:shown])
        assert link.render() is None
    book.apply([("64249.9", "0")], [])
    book.apply([("64250.10", "0")], [])
    assert links[1].render() == ("update", 3, 1, [("64250.10", "0"), ("64250", "1000")], [])
    bids = [("64250.10", "0"), ("64249.9", "0")]
    assert links[5].render() == links[10].render() == ("update", 3, 1, bids, [])
    assert links[0].render(rows_max=1) == ("parts", 3, 1, [], [])
    assert links[0].render() == ("update", 3, 1, bids, [])


def test_a_frame_that_never_left_is_taken_back() -> None:
    book = book_of(BIDS, ASKS)
    link = BookLink(book, 1)
    link.render()
    place = link.place
    book.apply([("64250.10", "0")], [])
    first = link.render()
    book.apply([("64250", "7")], [])
    link.take_back(place)
    assert first == ("update", 2, 0, [("64250.10", "0"), ("64250", "1000")], [])
    assert link.render() == ("update", 3, 1, [("64250.10", "0"), ("64250", "7")], [])


DECIMALS = st.builds(
    lambda digits, places: (
        f"{digits // 10**places}.{digits % 10**places:0{places}}" if places else str(digits)
    ),
    st.integers(1, 10**9),
    st.integers(0, 8),
)


@given(st.lists(st.tuples(DECIMALS, DECIMALS), min_size=1, max_size=30))
def test_a_book_is_sorted_and_its_last_words_count(rows: list[tuple[str, str]]) -> None:
    held = {Decimal(price): (price, qty) for price, qty in rows}
    book = Book()
    book.apply(rows, rows)
    assert book.levels("bid") == [held[price] for price in sorted(held, reverse=True)]
    assert book.levels("ask") == [held[price] for price in sorted(held)]
    best = [*book.levels("ask", 10), *book.levels("bid", 10)]
    digits = "".join(text.replace(".", "").lstrip("0") for row in best for text in row[:2])
    assert book.checksum() == zlib.crc32(digits.encode())
