"""What follows from a book's message: records, doubts, refusals, checks that are given up."""

from typing import TYPE_CHECKING, Any

import pytest

from gateway.feeds.book_outlet import (
    CHECKSUMS_WRONG_NS,
    CROSSED_NS,
    DIFFERS_NS,
    BookOutlet,
    Fate,
)
from gateway.feeds.books import Doubt
from gateway.feeds.feed import Counters, Topics
from gateway.feeds.refusals import Refusal
from gateway.feeds.venues.message import BookMessage, Level

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeStats

WAITS = "book update before its snapshot"


class Rig:
    def __init__(self, publisher: "FakePublisher", stats: "FakeStats") -> None:
        self.publisher = publisher
        self.counters = Counters("f", "replay", "X", 3, stats)
        self.refused: list[Refusal] = []
        owners: dict[str, int] = {}
        self.topics = Topics("book", "X", 3, publisher, owners)
        self.outlet = BookOutlet(
            self.counters,
            publisher,
            3,
            self.topics,
            lambda refusal, *_: self.refused.append(refusal),
            Topics("bbo", "X", 3, publisher, owners),
            lambda symbol: symbol.startswith("D"),
        )

    def take(self, kind: Any, at_ns: int = 1, symbol: str = "A", **more: Any) -> Fate:
        message = BookMessage(symbol, kind, [("1", "1")], [], **more)
        return self.outlet.take(message, at_ns, at_ns)

    def answer(self, *answer: Any) -> None:
        self.publisher.book_answer = lambda message: answer[0] if len(answer) == 1 else answer

    @property
    def doubts(self) -> int:
        return len(self.doubted)

    @property
    def doubted(self) -> list[tuple[str, str]]:
        """State and reason of each."""
        found = [one[1] for one in self.publisher.books if len(one) == 2]
        return [(one["state"], one["reason"]) for one in found]


@pytest.fixture
def rig(publisher: "FakePublisher", stats: "FakeStats") -> Rig:
    return Rig(publisher, stats)


def test_a_message_is_one_call_with_all_that_it_says(rig: Rig) -> None:
    more: dict[str, Any] = {"ts_event": 7, "first": 3, "last": 4, "checksum": 5, "depth": 10}
    assert rig.take("snapshot", **more) == Fate(published=True)
    (topic, snapshot, bids, asks, said) = rig.publisher.books[0]
    assert (topic, snapshot, bids, asks) == (0, True, [("1", "1")], [])
    assert said == more | {"doubted": None, "flags": 0, "feed": 3, "record_wire": True}
    assert rig.publisher.topics == {("book", "A.X"): 0}
    rig.answer(0, False, True, False)
    assert rig.take("update") == Fate(published=False)


def test_a_message_is_freed_in_pieces(rig: Rig) -> None:
    levels: list[Level] = [(str(n), "1") for n in range(5000)]
    message = BookMessage("A", "snapshot", levels, [("1", "1")])
    assert rig.outlet.take(message, 1, 1).published
    assert message.bids == message.asks == []
    assert len(rig.publisher.books[0][2]) == 5000


def test_a_refused_message_leaves_its_book_in_doubt_until_a_snapshot(rig: Rig) -> None:
    rig.take("snapshot")
    rig.answer("the message may need more levels than are free")
    fate = rig.take("update")
    assert fate == Fate(False, "the message may need more levels than are free")
    assert rig.refused == [Refusal("limit", fate.why, "book", "A")]
    assert rig.doubts == 1
    rig.answer(1, True, True, False)
    assert rig.take("update") == Fate()
    assert rig.counters.skips == {WAITS: 1}
    assert rig.take("snapshot").published
    assert rig.take("update").published


def test_where_no_books_are_kept_they_are_counted(rig: Rig) -> None:
    rig.publisher.books_max = 0
    assert rig.take("snapshot") == Fate()
    assert rig.counters.skips == {"book message: ring.book_levels_max is 0": 1}
    assert rig.publisher.topics == {}
    assert rig.publisher.books == []


def test_a_symbol_without_a_topic_is_refused(rig: Rig) -> None:
    rig.publisher.topics_max = 0
    assert rig.take("snapshot").why
    assert [one.reason for one in rig.refused] == ["topics"]
    assert rig.publisher.books == []


def test_a_doubt_is_told_where_there_is_a_topic(rig: Rig) -> None:
    rig.outlet.take(Doubt("A", "why"), 1, 1)
    assert rig.publisher.books == []
    rig.take("snapshot")
    rig.outlet.take(Doubt("A", "why"), 1, 1)
    assert rig.doubts == 1


def test_checksums_that_are_wrong_again_and_again_are_let_be(rig: Rig) -> None:
    rig.answer(1, True, False, False)
    for number in range(3):
        assert rig.publisher.suspects == {}
        fate = rig.take("snapshot", 1 + number, checksum=9)
        assert fate == Fate(True, "its checksum is another")
    assert rig.publisher.suspects == {0: "checksums are wrong again and again: no longer checked"}
    rig.answer(1, True, True, False)
    rig.take("snapshot", 9, checksum=9)
    assert [one[-1].get("checksum") for one in rig.publisher.books if len(one) == 5] == [9] * 3 + [
        None
    ]


def test_three_wrong_ones_in_a_longer_time_are_three_doubts(rig: Rig) -> None:
    rig.answer(1, True, False, False)
    for number in range(6):
        assert rig.take("snapshot", 1 + number * (CHECKSUMS_WRONG_NS // 2 + 1), checksum=9).why
    assert rig.publisher.suspects == {}


def test_what_is_played_again_is_not_judged_anew(rig: Rig) -> None:
    rig.answer(1, True, False, True)
    for at in range(5):
        fate = rig.take("update", ts_event=at * CROSSED_NS, checksum=5, doubted=at == 2)
        assert fate == Fate(published=True)
        assert rig.publisher.books[-1][4]["doubted"] == (at == 2)
    assert rig.doubts == 0


def test_a_book_is_in_doubt_that_stays_crossed(rig: Rig) -> None:
    rig.answer(1, True, True, True)
    assert not rig.take("snapshot", ts_event=10).why
    assert not rig.take("update", ts_event=10 + CROSSED_NS).why
    rig.answer(1, True, True, False)
    assert not rig.take("update", ts_event=11 + CROSSED_NS).why
    rig.answer(1, True, True, True)
    assert not rig.take("update", ts_event=5 * CROSSED_NS).why
    fate = rig.take("update", ts_event=6 * CROSSED_NS + 1)
    assert fate == Fate(True, "its best bid is not below its best ask")
    assert rig.doubts == 1
    assert rig.take("update") == Fate()
    assert rig.counters.skips == {WAITS: 1}


def test_a_doubt_says_what_it_is_to_the_health_of_its_instrument(rig: Rig) -> None:
    rig.take("snapshot")
    rig.outlet.take(Doubt("A", "a hole", "gap"), 1, 1)
    rig.answer(1, True, False, False)
    rig.take("snapshot", checksum=9)
    rig.answer(1, True, True, True)
    rig.take("snapshot", ts_event=1)
    rig.take("update", ts_event=1 + CROSSED_NS)
    rig.take("update", ts_event=2 + CROSSED_NS)
    rig.answer("no room")
    rig.take("snapshot")
    assert rig.doubted == [
        ("gap", "a hole"),
        ("resync", "its checksum is another"),
        ("crossed", "its best bid is not below its best ask"),
        ("resync", "no room"),
    ]


def test_quotes_are_made_of_books_whose_venue_sends_none(rig: Rig) -> None:
    rig.take("snapshot")
    assert rig.publisher.derived == []
    for _ in range(2):
        rig.take("snapshot", symbol="D")
    book, quotes = (rig.publisher.topics[one, "D.X"] for one in ("book", "bbo"))
    assert rig.publisher.derived == [(book, quotes)]
    rig.topics.retire("D")
    rig.take("snapshot", symbol="D")
    assert rig.publisher.derived[1:] == [(rig.publisher.topics["book", "D.X"], quotes)]
    rig.publisher.topics_max = len(rig.publisher.topics) + 1
    assert rig.take("snapshot", symbol="D2").published, "a book without quotes is one"
    assert [(one.channel, one.symbol, one.reason) for one in rig.refused] == [
        ("bbo", "D2", "topics")
    ]


def test_quotes_that_contradict_the_book_for_a_second_are_told(rig: Rig) -> None:
    top = ("1.0", "5", "2", "1")
    rig.publisher.tops[0] = ("1.00", "5", "2", "1")  # the same in other digits

    def take(at_ns: int, said: Any = top) -> list[Any]:
        rig.publisher.events.clear()
        rig.take("update", ts_event=at_ns, top=said)
        return rig.publisher.events

    rig.take("snapshot")
    assert take(1) == []
    other, one_sided = ("1.0", "6", "2", "1"), (None, None, "2", "1")
    assert take(10, other) == take(10 + DIFFERS_NS, one_sided) == []
    assert take(11 + DIFFERS_NS, other) == [(0, "differs True")]
    assert take(12 + DIFFERS_NS, other) == []
    assert take(13 + DIFFERS_NS) == [(0, "differs False")]
    assert take(20 + DIFFERS_NS, other) == take(19 + 2 * DIFFERS_NS, None) == []
    assert take(20 + 2 * DIFFERS_NS) == take(22 + 2 * DIFFERS_NS, other) == []
    assert take(23 + 3 * DIFFERS_NS, other) == [(0, "differs True")]
    del rig.publisher.tops[0]  # in doubt: it contradicts nothing
    assert take(24 + 3 * DIFFERS_NS, other) == [(0, "differs False")]
