"""Books of a recording: what stands, what is in doubt, and what was when it was recorded."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.recorded_books import Market, go_round

from gateway._native import RingWriter
from gateway.feeds.books import Doubt
from gateway.feeds.recorded import FLAG_DOUBT, GAP_FEED, RecordedBooks, Told
from gateway.feeds.refusals import Refusal
from gateway.feeds.venues.message import BookMessage
from gateway.recorder.books import Books
from gateway.recording import unpack

NAME, NUMBER = "A.SIM", 0
LEVELS = [("100", "1")], [("101", "2")]


@pytest.fixture
def skipped() -> Counter[str]:
    return Counter()


@pytest.fixture
def books(skipped: Counter[str]) -> RecordedBooks:
    return RecordedBooks(lambda why: skipped.update([why]))


Record = Callable[..., list[Told]]


@pytest.fixture
def record(books: RecordedBooks) -> Record:
    def take(
        seq: int, *, reset: bool = False, flags: int = 0, gap: int = 0, levels: Any = LEVELS
    ) -> list[Told]:
        fields = NUMBER, seq * 10, reset, str(seq), str(seq), *levels
        return list(books.record(NAME, (seq, flags, gap, 0), fields))

    return take


@pytest.fixture
def market() -> Iterator[Market]:
    writer = RingWriter(1 << 16, 16, book_levels_max=10_000)
    yield Market(writer, (NAME,))
    writer.close()


def state(market: Market) -> bytes:
    """The book as it is now, as a recording has it."""
    copies = Books()
    go_round(copies, market.writer)
    (copy,) = copies.since(market.writer.epoch, 0)
    (part,) = copy.parts
    return unpack(part)


def message(told: list[Told]) -> BookMessage:
    (one,) = told
    assert isinstance(one, BookMessage)
    return one


def doubt(told: list[Told]) -> str:
    (one,) = told
    assert isinstance(one, Doubt)
    assert one.symbol == NAME
    return one.why


def test_records_in_order_are_a_snapshot_and_updates(record: Record) -> None:
    first = message(record(1))
    assert (first.type, first.bids, first.asks, first.first, first.last) == (
        *("snapshot", *LEVELS),
        *(1, 1),
    )
    assert message(record(2)).type == "update"


def test_a_doubt_that_was_recorded_is_one_again_and_ends_as_it_did(record: Record) -> None:
    assert message(record(1)).doubted is False
    assert doubt(record(2, gap=GAP_FEED, levels=([], []))) == "it was when it was recorded"
    assert message(record(3, flags=FLAG_DOUBT)).doubted is True
    assert message(record(4)).doubted is False


def test_a_gap_that_brings_levels_is_an_update(record: Record) -> None:
    record(1)
    assert message(record(2, gap=GAP_FEED)).type == "update"


def test_a_hole_is_a_doubt_and_what_follows_waits_for_a_state(
    record: Record, skipped: Counter[str]
) -> None:
    record(1)
    assert "missing" in doubt(record(3))
    assert record(4) == []
    assert skipped["book record before its state"] == 2


def test_a_record_that_does_not_say_what_changed_is_a_doubt(record: Record) -> None:
    record(1)
    assert "does not say" in doubt(record(2, reset=True))


def test_a_state_mends_and_says_whether_it_is_in_doubt(
    market: Market, books: RecordedBooks, record: Record, skipped: Counter[str]
) -> None:
    market.snapshot(NAME)
    sure = state(market)
    market.doubt(NAME)
    unsure = state(market)
    (one,) = books.state(sure, {NUMBER: NAME}.get)
    assert isinstance(one, BookMessage)
    assert (one.type, one.doubted, len(one.bids), len(one.asks)) == ("snapshot", False, 20, 20)
    assert list(books.state(sure, {NUMBER: NAME}.get)) == [], "it is known already"
    assert record(1) == []
    assert skipped["book record that its state has"] == 1
    assert list(books.state(unsure, {NUMBER: NAME}.get)) == [], "its record has yet to come"
    assert message(record(2, reset=True)).doubted is True


def test_a_state_waits_for_its_record_no_longer_than_the_time_of_it(
    market: Market, skipped: Counter[str]
) -> None:
    books = RecordedBooks(lambda why: skipped.update([why]), patient=True)
    market.snapshot(NAME)
    before_ns = time.monotonic_ns()
    time.sleep(0.001)
    market.update(NAME)
    assert list(books.state(state(market), {NUMBER: NAME}.get)) == []
    assert books.waits
    assert list(books.until(before_ns)) == []
    told = list(books.until(time.monotonic_ns()))
    assert message(told).type == "snapshot"
    assert not books.waits


def test_a_state_of_another_book_or_shape_is_refused(market: Market, books: RecordedBooks) -> None:
    market.snapshot(NAME)
    payload = state(market)
    assert list(books.state(payload, {1: NAME}.get)) == []
    (refusal,) = books.state(payload[:-9], {NUMBER: NAME}.get)
    assert isinstance(refusal, Refusal)


def test_an_instrument_that_ends_takes_what_was_kept_along(
    market: Market, books: RecordedBooks, record: Record
) -> None:
    market.snapshot(NAME)
    market.update(NAME)
    record(1)
    assert list(books.state(state(market), {NUMBER: NAME}.get)) == []
    books.end(NUMBER)
    assert message(record(1)).type == "snapshot", "another life begins anew"
