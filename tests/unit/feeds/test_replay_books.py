"""Books of flight recordings, played again: each is at each record what it was."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.flight import recording
from support.recorded_books import Market, Seen, go_round, played, recorded
from support.replaying import replay

from gateway._native import RingReader, RingWriter
from gateway.feeds.books import Doubt
from gateway.feeds.options import ReplayOptions
from gateway.feeds.recorded import GAP_FEED, KEPT_BYTES_MAX, RecordedBooks
from gateway.feeds.refusals import Refusal
from gateway.feeds.venues.message import BookMessage
from gateway.recorder.books import Books
from gateway.recording import Reader

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeStats

NAMES = ("A.SIM", "B.SIM", "C.SIM")


@pytest.fixture
def market() -> Iterator[Market]:
    writer = RingWriter(1 << 20, 16, book_levels_max=10_000)
    yield Market(writer, NAMES)
    writer.close()


@pytest.fixture
def small() -> Iterator[Market]:
    """Records of its ring have room for 100 levels."""
    writer = RingWriter(1 << 16, 16, book_levels_max=10_000)
    yield Market(writer, NAMES)
    writer.close()


@pytest.fixture
def again() -> Iterator[RingWriter]:
    writer = RingWriter(1 << 22, 16, book_levels_max=10_000)
    yield writer
    writer.close()


async def play(
    path: str, again: RingWriter, stats: "FakeStats", state: str = "done", loop: bool = False
) -> dict[str, list[Seen]]:
    options = ReplayOptions(path=path, format="ring", venue="SIM", speed=0, loop=loop)
    feed = replay(options, again, stats)
    reader = RingReader(again.fd)
    await feed.run()
    assert feed.statistics().state == state, feed.statistics().message
    assert feed.statistics().decode_errors == 0
    seen = played(reader)
    reader.close()
    return seen


def some(market: Market, count: int, name: str = "A.SIM") -> None:
    for _ in range(count):
        market.update(name)


async def test_each_book_is_what_it_was_at_each_record(
    market: Market, again: RingWriter, stats: "FakeStats", tmp_path: Path
) -> None:
    books = Books()
    for name in NAMES:
        market.snapshot(name)
        some(market, 300, name)
    go_round(books, market.writer)
    copied = len(market.seen["A.SIM"])
    some(market, 100)
    since_ns = time.monotonic_ns()
    before = {name: len(seen) for name, seen in market.seen.items()}
    some(market, 400)
    some(market, 100, "B.SIM")
    market.doubt("B.SIM")
    some(market, 50, "B.SIM")
    market.snapshot("B.SIM")
    some(market, 50, "B.SIM")
    go_round(books, market.writer)
    some(market, 50)
    found = await play(recorded(tmp_path / "x", market.writer, books, since_ns), again, stats)
    assert sorted(found) == sorted(NAMES), "also the one that did not change"
    for name, seen in market.seen.items():
        since = seen[before[name] :]
        assert since == found[name][len(found[name]) - len(since) :]
    assert len(found["C.SIM"]) == 1
    assert found["C.SIM"][0] == market.seen["C.SIM"][-1], "its venue's number as well"
    assert any(one.doubted for one in found["B.SIM"])
    assert not found["B.SIM"][-1].doubted
    # From the state on: what came before the recording's first second is there as well.
    assert found["A.SIM"] == market.seen["A.SIM"][copied - 1 :]


async def test_a_book_that_is_in_doubt_begins_so(
    market: Market, again: RingWriter, stats: "FakeStats", tmp_path: Path
) -> None:
    books = Books()
    market.snapshot("A.SIM")
    market.doubt("A.SIM")
    market.update("A.SIM")
    go_round(books, market.writer)
    since_ns = time.monotonic_ns()
    market.update("A.SIM")
    market.snapshot("A.SIM")
    found = await play(recorded(tmp_path / "x", market.writer, books, since_ns), again, stats)
    assert [one.doubted for one in found["A.SIM"]] == [True, True, False]
    assert found["A.SIM"] == market.seen["A.SIM"][-3:]


async def test_a_message_that_does_not_say_what_changed_is_mended_by_the_next_copy(
    small: Market, again: RingWriter, stats: "FakeStats", tmp_path: Path
) -> None:
    books = Books()
    small.snapshot("A.SIM")
    go_round(books, small.writer)
    since_ns = time.monotonic_ns()
    small.update("A.SIM")
    small.snapshot("A.SIM", 300)
    small.update("A.SIM")
    go_round(books, small.writer)
    small.update("A.SIM")
    small.snapshot("B.SIM", 300)  # from its beginning
    small.update("B.SIM")
    go_round(books, small.writer)
    small.update("B.SIM")
    found = await play(recorded(tmp_path / "x", small.writer, books, since_ns), again, stats)
    state, first, untold, mended, last = found["A.SIM"]
    assert (state, first) == tuple(small.seen["A.SIM"][:2])
    assert untold == first._replace(doubted=True), "it is where it was"
    assert (mended, last) == tuple(small.seen["A.SIM"][-2:])
    assert found["B.SIM"] == small.seen["B.SIM"][-2:], "no book before its first copy"


async def test_an_untold_message_whose_book_was_copied_next_leaves_no_doubt(
    small: Market, again: RingWriter, stats: "FakeStats", tmp_path: Path
) -> None:
    books = Books()
    small.snapshot("A.SIM")
    go_round(books, small.writer)
    since_ns = time.monotonic_ns()
    small.snapshot("A.SIM", 300)
    go_round(books, small.writer)
    small.update("A.SIM")
    found = await play(recorded(tmp_path / "x", small.writer, books, since_ns), again, stats)
    assert found["A.SIM"] == small.seen["A.SIM"]


async def test_without_a_copy_it_begins_with_the_book_s_own_beginning_or_not_at_all(
    market: Market, again: RingWriter, stats: "FakeStats", tmp_path: Path
) -> None:
    market.snapshot("A.SIM")
    since_ns = time.monotonic_ns()
    some(market, 5)
    market.snapshot("B.SIM")
    some(market, 5, "B.SIM")
    found = await play(recorded(tmp_path / "x", market.writer, Books(), since_ns), again, stats)
    assert found == {"B.SIM": market.seen["B.SIM"]}


async def test_what_is_in_the_ring_no_more_is_no_book_until_a_copy(
    small: Market, again: RingWriter, stats: "FakeStats", tmp_path: Path
) -> None:
    books = Books()
    small.snapshot("A.SIM")
    small.snapshot("C.SIM")
    go_round(books, small.writer)
    since_ns = time.monotonic_ns()
    some(small, 1000)  # the ring has the last 200
    go_round(books, small.writer)
    some(small, 10)
    found = await play(recorded(tmp_path / "x", small.writer, books, since_ns), again, stats)
    assert found["A.SIM"][0].last == small.seen["A.SIM"][0].last
    assert found["A.SIM"][-11:] == small.seen["A.SIM"][-11:]
    assert found["C.SIM"] == small.seen["C.SIM"], "nothing of it is missing"


async def test_the_book_of_a_topic_that_has_ended_is_not_the_next_one_s(
    market: Market, again: RingWriter, stats: "FakeStats", tmp_path: Path
) -> None:
    books = Books()
    market.snapshot("A.SIM")
    go_round(books, market.writer)
    since_ns = time.monotonic_ns()
    market.update("A.SIM")
    assert market.writer.retire("book", "A.SIM")
    second = Market(market.writer, ["A.SIM"], seed=2)
    second.snapshot("A.SIM")
    second.update("A.SIM")
    found = await play(recorded(tmp_path / "x", market.writer, books, since_ns), again, stats)
    assert found == {"A.SIM": second.seen["A.SIM"]}


def test_the_pace_is_that_of_the_recording_s_seconds(
    market: Market, again: RingWriter, stats: "FakeStats", tmp_path: Path
) -> None:
    """What is there for the books alone takes no time."""
    books = Books()
    market.snapshot("A.SIM")
    go_round(books, market.writer)
    for _ in range(5):
        market.update("A.SIM")
        time.sleep(0.2)
    since_ns = time.monotonic_ns()
    market.update("A.SIM")
    time.sleep(0.3)
    market.update("A.SIM")
    path = recorded(tmp_path / "x", market.writer, books, since_ns)
    options = ReplayOptions(path=path, format="ring", venue="SIM", speed=1)
    took_s = [1.0]
    while took_s[-1] >= 0.9:  # what was for the books alone took a second; others may be busy
        started_s = time.monotonic()
        asyncio.run(replay(options, again, stats).run())
        took_s.append(time.monotonic() - started_s)
        assert took_s[-1] >= 0.3
        assert len(took_s) < 20, took_s


def test_f44_one_cut_short_anywhere_plays_what_it_had(
    market: Market, again: RingWriter, stats: "FakeStats", tmp_path: Path
) -> None:
    """As a recorder that is killed leaves it."""
    books = Books()
    for name in NAMES:
        market.snapshot(name)
    go_round(books, market.writer)
    since_ns = time.monotonic_ns()
    some(market, 20)
    path = Path(recorded(tmp_path / "x", market.writer, books, since_ns))
    whole = path.read_bytes()
    found = asyncio.run(play(str(path), again, stats))
    for cut in range(len(whole) - 25, 200, -97):
        path.write_bytes(whole[:cut])
        other = RingWriter(1 << 20, 16, book_levels_max=10_000)
        reader = RingReader(other.fd)
        options = ReplayOptions(path=str(path), format="ring", venue="SIM", speed=0)
        feed = replay(options, other, stats)
        asyncio.run(feed.run())
        assert feed.statistics().state == "failed"
        for name, seen in played(reader).items():
            assert seen == found[name][: len(seen)]
        reader.close()
        other.close()


# --- record by record -----------------------------------------------------------------------------


class Taken:
    """What becomes of records of one book."""

    def __init__(self) -> None:
        self.skipped: list[str] = []
        self.books = RecordedBooks(self.skipped.append)

    def record(self, seq: int, *, reset: bool = False, gap: int = 0, empty: bool = False) -> str:
        rows: list[tuple[str, ...]] = [] if reset or empty else [("1", str(seq))]
        told = self.books.record("A", (seq, 0, gap, 0), (0, 5, reset, "", "", rows, []))
        return self._words(told)

    def state(self, part: bytes, seq: int) -> str:
        part = changed(part, 8, seq.to_bytes(8, "little"))
        return self._words(self.books.state(part, lambda _: "A"))

    def _words(self, told: Iterable[BookMessage | Doubt | Refusal]) -> str:
        return " ".join(
            one.type if isinstance(one, BookMessage) else type(one).__name__ for one in told
        )


def test_behind_a_hole_nothing_is_taken_until_a_state_of_its_place(state: bytes) -> None:
    one = Taken()
    assert [one.record(seq) for seq in (1, 2, 4, 5)] == ["snapshot", "update", "Doubt", ""]
    assert one.skipped == ["book record before its state"] * 2
    assert one.state(state, 4) == "", "older than what was left out"
    assert one.record(6) == ""
    assert one.state(state, 6) == "snapshot"
    assert [one.record(seq) for seq in (5, 6, 7)] == ["", "", "update"]
    assert one.skipped[3:] == ["book record that its state has"] * 2


def test_a_state_that_comes_before_its_place_waits_for_it(state: bytes) -> None:
    one = Taken()
    one.record(1)
    assert [one.state(state, seq) for seq in (3, 5, 7)] == ["", "", ""]
    assert [one.record(2), one.record(3, reset=True)] == ["update", "snapshot"]
    assert [one.record(4, reset=True), one.record(5)] == ["Doubt", "snapshot"]
    assert [one.record(6), one.record(7), one.record(9)] == ["update", "update", "Doubt"]


def test_a_doubt_and_its_end_are_told(state: bytes) -> None:
    one = Taken()
    assert one.record(1) == "snapshot"
    assert one.record(2, gap=GAP_FEED, empty=True) == "Doubt"
    assert one.record(3, empty=True) == "update"
    one.books.lose("A")  # the ring had no room for it
    assert one.record(4) == ""
    assert one.state(state, 4) == "snapshot"


# --- what may be in a file of anybody's -----------------------------------------------------------


def states(path: str) -> list[bytes]:
    with open(path, "rb") as file:
        return [payload for kind, payload in Reader(file) if kind == b"BOOK"]


@pytest.fixture
def state(market: Market, tmp_path: Path) -> bytes:
    books = Books()
    market.snapshot("A.SIM")
    go_round(books, market.writer)
    (part,) = states(recorded(tmp_path / "state", market.writer, books, time.monotonic_ns()))
    return part


def changed(part: bytes, at: int, value: bytes) -> bytes:
    return part[:at] + value + part[at + len(value) :]


BAD: list[Callable[[bytes], bytes]] = [
    lambda part: part[:100],
    lambda part: part[:-1],
    lambda part: changed(part, 0, b"\0\0\0\0"),  # no rows, and here they are
    lambda part: changed(part, 4, b"\1\0\0\0"),  # not the first part
    lambda part: changed(part, 4, b"\xff\xff\xff\xff"),
    lambda part: changed(part, 8 + 40, b"\1"),  # a trade's
    lambda part: changed(part, 8 + 42, b"\xff"),  # of many cells
    lambda part: changed(part, 8 + 64 + 2, b"\xff"),  # a scale that there is not
    lambda part: changed(part, 8 + 64 + 4, b"\xff"),  # a long number of the venue's
    lambda part: changed(part, 136 + 36, b"\7"),  # a side that there is not
    lambda part: part[:136] + b"\xff" * (len(part) - 136),
]


@pytest.mark.parametrize("bad", BAD)
async def test_f44_a_state_of_anybody_s_is_refused_and_the_next_one_taken(
    state: bytes,
    bad: Callable[[bytes], bytes],
    publisher: "FakePublisher",
    stats: "FakeStats",
    tmp_path: Path,
) -> None:
    path = tmp_path / "flight"
    path.write_bytes(recording((b"BOOK", bad(state)), (b"BOOK", state), topics=[("book", "A.SIM")]))
    feed = replay(
        ReplayOptions(path=str(path), format="ring", venue="SIM", speed=0), publisher, stats
    )
    await feed.run()
    status = feed.statistics()
    assert (status.state, status.decode_errors) == ("done", 1)
    (message,) = publisher.books
    assert message[1] is True
    assert len(message[2]) == len(message[3]) == 20


async def test_levels_that_no_book_has_are_refused_where_they_are_published(
    state: bytes, again: RingWriter, stats: "FakeStats", tmp_path: Path
) -> None:
    path = tmp_path / "flight"
    rows = b"".join(
        (b"\0" * 7 + b"\x80" + b"\xff" * 24 + b"\0\0\0\0" + bytes([n % 2]) + b"\0\0\0")
        for n in range(40)
    )
    path.write_bytes(recording((b"BOOK", state[:136] + rows), topics=[("book", "A.SIM")]))
    feed = replay(ReplayOptions(path=str(path), format="ring", venue="SIM", speed=0), again, stats)
    await feed.run()
    assert feed.statistics().decode_errors == 1
    assert "digits" in feed.statistics().message


def test_f44_states_beyond_all_measure_are_not_kept(state: bytes) -> None:
    """Each is of another book, and of a record that never comes."""
    skipped: list[str] = []
    books = RecordedBooks(skipped.append)

    def begin(number: int) -> None:
        list(books.record("A", (1, 0, 0, 0), (number, 0, False, "", "", [("1", "1")], [])))

    part = changed(state, 8, (9).to_bytes(8, "little"))
    rows = part[136:] * 800
    part = changed(part, 0, (len(rows) // 40).to_bytes(4, "little"))[:136] + rows
    for number in range(KEPT_BYTES_MAX // len(part) + 3):
        begin(number)
        told = list(books.state(changed(part, 8 + 36, number.to_bytes(4, "little")), lambda _: "A"))
        assert told == []
    assert skipped == ["book state beside too many others"] * 3
    for number in range(5):
        books.end(number)
    begin(10_000)
    list(books.state(changed(part, 8 + 36, (10_000).to_bytes(4, "little")), lambda _: "A"))
    assert len(skipped) == 3
