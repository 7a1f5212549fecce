"""What follows from a book's message: records, doubts, refusals, checks that are given up."""

from typing import TYPE_CHECKING, Any

import pytest

from gateway.feeds.book_outlet import CHECKSUMS_WRONG_NS, CROSSED_NS, BookOutlet, Fate
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
        topics = Topics("book", "X", 3, publisher, {})
        self.outlet = BookOutlet(
            self.counters, publisher, 3, topics, lambda refusal, *_: self.refused.append(refusal)
        )

    def take(self, kind: Any, at_ns: int = 1, **more: Any) -> Fate:
        message = BookMessage("A", kind, [("1", "1")], [], **more)
        return self.outlet.take(message, at_ns, at_ns)

    def answer(self, *answer: Any) -> None:
        self.publisher.book_answer = lambda message: answer[0] if len(answer) == 1 else answer

    @property
    def doubts(self) -> int:
        return sum(len(one) == 2 for one in self.publisher.books)


@pytest.fixture
def rig(publisher: "FakePublisher", stats: "FakeStats") -> Rig:
    return Rig(publisher, stats)


def test_a_message_is_one_call_with_all_that_it_says(rig: Rig) -> None:
    more = {"ts_event": 7, "first": 3, "last": 4, "checksum": 5, "depth": 10}
    assert rig.take("snapshot", **more) == Fate(published=True)
    (topic, snapshot, bids, asks, said) = rig.publisher.books[0]
    assert (topic, snapshot, bids, asks) == (0, True, [("1", "1")], [])
    assert said == more | {"flags": 0, "feed": 3, "record_wire": True}
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
