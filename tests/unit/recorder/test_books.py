"""The copies of books that recordings begin with: which there are, and which go."""

import errno
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from support.recorded_books import Market, go_round

from gateway._native import RingWriter, book_records, book_state, record_rows
from gateway.recorder import books as module
from gateway.recorder import ring
from gateway.recorder.books import Books
from gateway.recorder.ring import BookReader, Copy, Found, State
from gateway.recording import Chunk, unpack

if TYPE_CHECKING:
    from gateway._native import Row

NAMES = ("A.SIM", "B.SIM", "C.SIM")


@pytest.fixture
def market() -> Iterator[Market]:
    writer = RingWriter(1 << 16, 16, book_levels_max=10_000)
    yield Market(writer, NAMES)
    writer.close()


def seqs(books: Books, epoch: str) -> list[tuple[int, int]]:
    """(topic, seq) of each copy."""
    return [
        (state.owner & 0xFFFFFFFF, book_state(unpack(state.parts[0]))[1])
        for state in books.since(epoch, 0)
    ]


def test_what_has_changed_is_copied_in_the_order_of_the_ring(market: Market) -> None:
    books, epoch = Books(), market.writer.epoch
    go_round(books, market.writer)
    assert books.since(epoch, 0) == []
    market.snapshot("A.SIM")
    market.snapshot("B.SIM")
    go_round(books, market.writer)
    go_round(books, market.writer)
    market.update("B.SIM")
    market.doubt("A.SIM")
    market.doubt("A.SIM")  # it is already
    go_round(books, market.writer)
    assert seqs(books, epoch) == [(0, 1), (1, 1), (0, 2), (1, 2)]
    positions = [state.position for state in books.since(epoch, 0)]
    assert positions == sorted(positions)
    assert books.since("another", 0) == []
    assert 0 < books.held_bytes == sum(state.size for state in books.since(epoch, 0))


def test_of_each_book_its_newest_copy_and_those_of_the_span(market: Market) -> None:
    books = Books(span_ns=100_000_000)
    market.snapshot("A.SIM")
    market.snapshot("B.SIM")
    for _ in range(6):
        market.update("A.SIM")
        go_round(books, market.writer)
        time.sleep(0.05)
    held = seqs(books, market.writer.epoch)
    assert held.count((1, 1)) == 1, "as old as it is"
    of_a = [seq for topic, seq in held if topic == 0]
    assert of_a[-1] == 7
    assert 2 <= len(of_a) <= 4


def test_what_there_is_no_room_for_goes_and_is_copied_again(market: Market) -> None:
    market.snapshot("A.SIM")
    market.snapshot("B.SIM")
    go_round(whole := Books(), market.writer)
    one = max(state.size for state in whole.since(market.writer.epoch, 0))
    books = Books(bytes_max=5 * one // 2)
    for _ in range(4):
        go_round(books, market.writer)
        market.update("A.SIM")
    assert books.held_bytes <= 5 * one // 2
    held = seqs(books, market.writer.epoch)
    assert (0, 4) in held
    go_round(books, market.writer)
    go_round(books, market.writer)
    assert {topic for topic, _ in seqs(books, market.writer.epoch)} == {0, 1}


def test_a_book_that_has_ended_goes_after_the_span(market: Market) -> None:
    books = Books(span_ns=50_000_000)
    market.snapshot("A.SIM")
    go_round(books, market.writer)
    assert market.writer.retire("book", "A.SIM")
    go_round(books, market.writer)
    assert len(books.since(market.writer.epoch, 0)) == 1
    time.sleep(0.06)
    go_round(books, market.writer)
    assert (books.since(market.writer.epoch, 0), books.held_bytes) == ([], 0)
    # Its place is another's.
    market.snapshot("B.SIM")
    go_round(books, market.writer)
    assert market.writer.retire("book", "B.SIM")
    market.snapshot("C.SIM")
    go_round(books, market.writer)
    assert seqs(books, market.writer.epoch) == [(2, 1)]
    assert books.held_bytes == books.since(market.writer.epoch, 0)[0].size


def test_a_new_segment_has_new_books(market: Market) -> None:
    books = Books()
    market.snapshot("A.SIM")
    go_round(books, market.writer)
    other = RingWriter(1 << 16, 16, book_levels_max=10_000)
    go_round(books, other)
    assert (books.since(market.writer.epoch, 0), books.held_bytes) == ([], 0)
    other.close()


def test_a_step_is_bounded(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP_LEVELS", 50)
    for name in NAMES:
        market.snapshot(name)
    steps = Books().round(BookReader(os.dup(market.writer.fd)))
    assert len(list(steps)) == 1  # two of 40 levels, one of 40
    monkeypatch.setattr(module, "STEP_PLACES", 1)
    reader = BookReader(os.dup(market.writer.fd))
    assert len(list(Books().round(reader))) == reader.places


def test_a_book_that_is_being_written_is_the_next_round_s(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = BookReader.at

    def busy(self: BookReader, place: int, owner: int, seq: int) -> Found | None:
        if place == 0:
            raise BlockingIOError(errno.EAGAIN, "is being written")
        return at(self, place, owner, seq)

    market.snapshot("A.SIM")
    market.snapshot("B.SIM")
    books = Books()
    with monkeypatch.context() as patch:
        patch.setattr(BookReader, "at", busy)
        go_round(books, market.writer)
    assert seqs(books, market.writer.epoch) == [(1, 1)]
    go_round(books, market.writer)
    assert sorted(seqs(books, market.writer.epoch)) == [(0, 1), (1, 1)]


# --- in a recording -------------------------------------------------------------------------------


def chunks(market: Market, states: list[State], since_ns: int) -> list[Chunk]:
    copy = Copy(os.dup(market.writer.fd))
    try:
        return list(copy.chunks(since_ns, 1 << 30, states, sleep=lambda _: None))
    finally:
        copy.close()


def test_a_long_book_comes_in_parts(market: Market) -> None:
    writer = RingWriter(1 << 16, 16, book_levels_max=400_000)
    topic = writer.topic("book", "A.SIM")
    bids = [(f"{n}", "1") for n in range(1, 30_001)]
    asks = [(f"{n}", "1") for n in range(30_001, 60_001)]
    writer.book(topic, True, bids, asks, 1, time.monotonic_ns())
    books = Books()
    go_round(books, writer)
    copy = Copy(os.dup(writer.fd))
    states = books.since(writer.epoch, 0)
    parts = list(copy.chunks(0, 1 << 30, states, sleep=lambda _: None))
    copy.close()
    found = [book_state(one.payload)[-3:] for one in parts if one.kind == b"BOOK"]
    assert found == [(60_000, 0, 32_768), (60_000, 32_768, 60_000 - 32_768)]
    writer.close()


def test_of_a_book_one_copy_before_the_first_second_and_all_since(market: Market) -> None:
    books = Books()
    market.snapshot("A.SIM")
    for _ in range(3):
        go_round(books, market.writer)
        market.update("A.SIM")
    since_ns = time.monotonic_ns()
    for _ in range(2):
        market.update("A.SIM")
        go_round(books, market.writer)
    found = chunks(market, books.since(market.writer.epoch, since_ns), since_ns)
    states = [book_state(one.payload)[1] for one in found if one.kind == b"BOOK"]
    assert states == [3, 5, 6]
    kinds = [one.kind for one in found]
    assert kinds.index(b"BOOK") < kinds.index(b"RING")


def test_a_book_that_seldom_moves_needs_no_old_records(market: Market) -> None:
    books, epoch = Books(), market.writer.epoch
    market.snapshot("A.SIM")
    market.snapshot("B.SIM")
    go_round(books, market.writer)
    for _ in range(3):
        market.update("B.SIM")
        go_round(books, market.writer)
    market.update("B.SIM")
    since_ns = time.monotonic_ns()
    market.update("A.SIM")
    market.update("B.SIM")
    go_round(books, market.writer)
    found = chunks(market, books.since(epoch, since_ns), since_ns)
    assert [book_state(one.payload)[:2] for one in found if one.kind == b"BOOK"] == [
        (0, 1),
        (1, 4),
        (0, 2),
        (1, 6),
    ]
    records = [row for one in found if one.kind == b"RING" for row in book_records(one.payload)]
    assert sorted(row[:2] for row in records) == [(0, 2), (1, 5), (1, 6)]


def test_all_records_since_the_copy_come_along(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "PROBE_BYTES", 1024)
    trades = market.writer.topic("trade", "A.SIM")
    books = Books()
    market.snapshot("A.SIM")
    go_round(books, market.writer)
    for number in range(40):
        market.update("A.SIM")
        market.writer.publish([(trades, number, "1", "2", None, "")], 1, time.monotonic_ns())
    since_ns = time.monotonic_ns()
    for number in range(3):
        market.update("A.SIM")
        market.writer.publish([(trades, 90 + number, "1", "2", None, "")], 1, time.monotonic_ns())
    found = chunks(market, books.since(market.writer.epoch, since_ns), since_ns)
    data = b"".join(one.payload for one in found if one.kind == b"RING")
    assert [row[1] for row in book_records(data)] == [*range(2, 45)]
    rows = [row for row in record_rows(data)[0] if row is not None]
    assert [row[3][1] for row in rows if row[0] == "trade"] == [90, 91, 92]


def test_a_round_that_could_not_look_proves_nothing(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(self: BookReader, place: int, owner: int, seq: int) -> Found | None:
        raise BlockingIOError(errno.EAGAIN, "is being written")

    books, epoch = Books(), market.writer.epoch
    market.snapshot("A.SIM")
    go_round(books, market.writer)
    market.update("A.SIM")
    with monkeypatch.context() as patch:
        patch.setattr(BookReader, "at", busy)
        go_round(books, market.writer)
    since_ns = time.monotonic_ns()
    for _ in range(2):
        found = chunks(market, books.since(epoch, since_ns), since_ns)
        records = [row for one in found if one.kind == b"RING" for row in book_records(one.payload)]
        assert [row[1] for row in records] == [2]
        go_round(books, market.writer)


def test_behind_a_hole_all_books_come_again(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "COPY_RECORDS", 100)
    trades = market.writer.topic("trade", "A.SIM")

    def publish(count: int) -> None:
        rows = [(trades, n, "1", "2", "buy", "") for n in range(count)]
        assert market.writer.publish(rows, 1, time.monotonic_ns()) == []

    market.snapshot("A.SIM")
    market.snapshot("B.SIM")
    publish(300)
    copy = Copy(os.dup(market.writer.fd))
    pauses = iter([0, 600])
    found = list(copy.chunks(0, 1 << 30, (), sleep=lambda _: publish(next(pauses, 0))))
    copy.close()
    kinds = [one.kind for one in found]
    hole = kinds.index(b"HOLE")
    assert kinds[:hole].count(b"BOOK") == 0
    assert kinds[hole:].count(b"BOOK") == 2
    assert all(len(one.payload) < 1 << 16 for one in found)


def test_topics_begin_as_they_were(market: Market) -> None:
    """Quotes and status, not trades; of now where nothing has changed since, else of before."""
    writer = market.writer
    topics = {name: writer.topic(name, "A.SIM") for name in ("trade", "bbo", "status")}
    quiet = writer.topic("bbo", "B.SIM")

    def quote(topic: int, number: int) -> None:
        rows: list[Row] = [(topic, number, "1", "2", None, None)]
        assert writer.publish(rows, 1, time.monotonic_ns()) == []

    writer.publish([(topics["trade"], 1, "1", "2", None, "")], 1, time.monotonic_ns())
    halted = [(topics["status"], 1, "halted", "news")]
    writer.publish(halted, 1, time.monotonic_ns())  # type: ignore[arg-type]
    quote(quiet, 5)
    quote(topics["bbo"], 6)
    quote(topics["bbo"], 7)
    since_ns = time.monotonic_ns()
    quote(topics["bbo"], 8)
    quote(topics["bbo"], 9)
    found = chunks(market, [], since_ns)
    assert [one.kind for one in found] == [b"LAST", b"RING"]
    rows = [row for row in record_rows(found[0].payload)[0] if row is not None]
    assert sorted((row[0], row[3][1]) for row in rows) == [("bbo", 5), ("bbo", 7), ("status", 1)]
    assert [row[3][1] for row in record_rows(found[1].payload)[0] if row is not None] == [8, 9]
