"""Books on their way to the outlet: refused levels, connections, names, and what is counted."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest

from gateway._native import RingWriter
from gateway.feeds import books
from gateway.feeds.books import CHECKED_LEVELS, Books, Doubt
from gateway.feeds.feed import Counters
from gateway.feeds.refusals import Refusal
from gateway.feeds.venues.message import BookMessage, Level
from gateway.feeds.venues.table import VENUES

if TYPE_CHECKING:
    from unit.feeds.conftest import FakeStats

Told = list[BookMessage | Doubt | Refusal]


@pytest.fixture
def counters(stats: "FakeStats") -> Counters:
    return Counters("replay", "replay", "SIM", 1, stats)


@pytest.fixture
def new(counters: Counters) -> Callable[[str], Books]:
    writer = RingWriter(1 << 16, 16)

    def make(venue: str) -> Books:
        return Books(VENUES[venue], counters, lambda fields: writer.refusal("trade", fields))

    return make


def snapshot(symbol: str = "A", *bids: Level, last: int | None = None) -> BookMessage:
    return BookMessage(symbol, "snapshot", [*bids], [("2", "1")], last=last)


def update(symbol: str = "A", *asks: Level, last: int | None = None) -> BookMessage:
    return BookMessage(symbol, "update", [], [*asks], first=last, last=last)


def take(books: Books, message: BookMessage, connection: str = "") -> Told:
    return [*books.take(message, connection)]


USUAL: list[Level] = [("1.5", "2")] * CHECKED_LEVELS
UNUSUAL: list[Level] = [
    ("-1.5", "2"),
    ("1.9e-07", "1e3"),
    ("12345678901234567890", "0.1234567890123456789"),
    ("1", "2", "7"),
    ("9" * 38, "1"),
]


@pytest.mark.parametrize("level", UNUSUAL)
def test_levels_that_are_unusual_and_good(new: Callable[[str], Books], level: Level) -> None:
    message = snapshot("A", *USUAL, level)
    assert take(new("kraken-v1"), message) == [message]


@pytest.mark.parametrize(
    ("level", "reason", "field", "value", "why"),
    [
        (("x", "1"), "number", "bid price", "x", "not a decimal"),
        (("1", ""), "number", "bid qty", "", "not a decimal"),
        (("1,2", "3"), "number", "bid price", "1,2", "not a decimal"),
        (("1", "2,3,4"), "number", "bid qty", "2,3,4", "not a decimal"),
        (("\u0661", "1"), "number", "bid price", "\\u0661", "not a decimal"),
        (("1", "-2"), "value", "bid qty", "-2", "a negative quantity"),
        (("1" * 39, "1"), "limit", "bid price", "1" * 39, "more than 38 digits"),
        (("1", "0." + "0" * 127 + "1"), "limit", "bid qty", None, "more than 127 digits"),
        (("1e101", "1"), "limit", "bid price", "1e101", "an exponent beyond"),
    ],
)
def test_f44_a_level_that_is_refused_refuses_its_book(
    new: Callable[[str], Books],
    counters: Counters,
    level: Level,
    reason: str,
    field: str,
    value: str | None,
    why: str,
) -> None:
    books = new("kraken-v1")
    assert len(take(books, snapshot())) == 1
    doubt, refusal = take(books, snapshot("A", *USUAL, ("1", "1"), level, ("y", "1")))
    assert isinstance(refusal, Refusal)
    assert isinstance(doubt, Doubt)
    assert (refusal.reason, refusal.channel, refusal.symbol) == (reason, "book", "A")
    assert refusal.field == field
    assert value is None or refusal.value == value
    assert refusal.why.startswith(why)
    assert (doubt.symbol, doubt.why) == ("A", refusal.why)
    # Until the next snapshot no update is of use.
    assert take(books, update()) == []
    assert counters.skips == {"book update before its snapshot": 1}
    assert len(take(books, snapshot())) == 1
    assert len(take(books, update())) == 1
    refused = take(books, update("A", level))
    assert [type(one) for one in refused] == [Doubt, Refusal]
    assert [type(one) for one in take(books, update("A", level))] == [Refusal], "told once"


def test_a_hole_is_counted_and_told_and_mended(
    new: Callable[[str], Books], counters: Counters, caplog: pytest.LogCaptureFixture
) -> None:
    books = new("bybit")
    messages = [snapshot(last=5), *(update(last=n) for n in (6, 8, 9)), snapshot(last=20)]
    told = [one for message in messages for one in take(books, message)]
    assert told == [
        *messages[:2],
        Doubt("A", "the venue's numbers have a hole", "gap"),
        messages[4],
    ]
    assert counters.status().gaps == 1
    assert counters.skips == {"book update before its snapshot": 2}
    (hole,) = (vars(one)["fields"] for one in caplog.records if one.message == "feed.gap")
    assert (hole["symbol"], hole["channel"]) == ("A.SIM", "book")
    assert (hole["number"], hole["newest"]) == (8, 6)


def test_the_newest_snapshot_says_on_which_connection_a_book_goes_on(
    new: Callable[[str], Books], counters: Counters
) -> None:
    books = new("kraken-v1")
    assert take(books, update(), "b") == []
    assert len(take(books, snapshot(), "a")) == 1
    assert take(books, update(), "b") == []
    assert len(take(books, update(), "a")) == 1
    assert len(take(books, snapshot(), "b")) == 1
    assert take(books, update(), "a") == []
    assert len(take(books, update(), "b")) == 1
    assert counters.skips == {
        "book update before its snapshot": 1,
        "book update of another connection": 2,
    }


def test_of_two_streams_the_deeper_one_is_the_book(
    new: Callable[[str], Books], counters: Counters
) -> None:
    books = new("bybit")

    def told(depth: int, number: int, whole: bool) -> bool:
        message = snapshot(last=number) if whole else update(last=number)
        return bool(take(books, message._replace(depth=depth)))

    assert told(1, 70, whole=True)
    assert told(50, 5, whole=True)
    assert told(50, 6, whole=False)
    assert not told(1, 71, whole=True)
    assert not told(1, 72, whole=False)
    assert told(50, 7, whole=False)
    assert counters.skips == {"book of fewer levels": 2}
    assert told(50, 9, whole=False), "a doubt"
    assert told(1, 73, whole=True), "better than none"
    assert told(1, 74, whole=False)
    assert not told(50, 10, whole=False)
    assert told(0, 3, whole=True), "0 is as deep as can be"
    assert not told(50, 20, whole=True)
    wrong = snapshot("A", ("x", "1"))._replace(depth=1)
    assert take(books, wrong) == [], "what is not of the book is no business of its levels"


def test_books_of_a_connection_that_lost_something_are_in_doubt(
    new: Callable[[str], Books],
) -> None:
    books = new("coinbase")
    for symbol, connection in (("A", "a"), ("B", "a"), ("C", "b")):
        take(books, snapshot(symbol, last=3), connection)
    assert [*books.doubt_all("a", "why")] == [Doubt("A", "why"), Doubt("B", "why")]
    assert [*books.doubt_all("a", "why")] == [], "told once"
    assert take(books, update("A", last=4), "a") == []
    assert len(take(books, update("C", last=4), "b")) == 1


def test_binance_s_numbers_hold_over_connections(
    new: Callable[[str], Books], counters: Counters
) -> None:
    books = new("binance")
    take(books, snapshot(last=5), "")
    assert len(take(books, update(last=6), "a")) == 1
    assert [*books.doubt_all("a", "why")] == []
    assert len(take(books, update(last=7), "b")) == 1
    assert take(books, update(last=7), "a") == []
    assert counters.skips == {"old book update": 1}


def test_a_snapshot_of_no_symbol_is_that_of_the_only_book(
    new: Callable[[str], Books], counters: Counters
) -> None:
    books = new("binance")
    assert take(books, snapshot("", last=5)) == []
    assert take(books, update("A", last=6)) == []
    assert take(books, snapshot("", last=5)) == [snapshot("A", last=5), update("A", last=6)]
    take(books, update("B", last=6))
    assert take(books, snapshot("", last=9)) == []
    assert counters.skips == {"book snapshot of no symbol": 2}
    books.end()
    assert counters.skips["book update before its snapshot"] == 1


def test_books_are_bounded(new: Callable[[str], Books], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "BOOKS_MAX", 1)
    some = new("kraken-v1")
    assert len(take(some, snapshot("A"))) == 1
    (refusal,) = take(some, snapshot("B"))
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.symbol) == ("topics", "B")
    assert len(take(some, snapshot("A"))) == 1


def test_every_message_is_handed_on_or_counted(
    new: Callable[[str], Books], counters: Counters
) -> None:
    some = new("binance")
    numbers: Sequence[int] = (1, 2, 2, 4, 5, 5, 9, 10)
    messages = [update(last=n) for n in numbers]
    messages[2:2] = [snapshot(last=1)]
    messages[5:5] = [snapshot(last=3), snapshot(last=1)]
    handed = [one for message in messages for one in take(some, message)]
    some.end()
    applied = sum(isinstance(one, BookMessage) for one in handed)
    assert applied == 5
    assert applied + sum(counters.skips.values()) == len(messages)
