"""Books' sequences: the venues' rules, gaps, duplicates and reorders, against a naive model."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds.sequencing import RUN_FAR, RUN_NEAR
from gateway.feeds.venues import book
from gateway.feeds.venues.book import HELD_MAX, BookSequence, Offer, Room
from gateway.feeds.venues.message import BookMessage, Level


def snapshot(last: int | None = None) -> BookMessage:
    return BookMessage("A", "snapshot", [("1", "1")], [], last=last)


def spot(first: int, last: int) -> BookMessage:
    return BookMessage("A", "update", [("1", str(last))], [], first=first, last=last)


def futures(previous: int, last: int) -> BookMessage:
    levels: list[Level] = [("1", str(last))]
    return BookMessage("A", "update", levels, [], first=last - 1, last=last, previous=previous)


def bybit(number: int) -> BookMessage:
    return spot(number, number)


def coinbase(number: int) -> BookMessage:
    return BookMessage("A", "update", [("1", str(number))], [], last=number)


def kraken(price: str = "1") -> BookMessage:
    return BookMessage("A", "update", [(price, "1")], [])


Case = tuple[BookMessage, str, int]
"""What is offered, what comes of it, and how many messages are applied then."""

STREAMS: dict[str, list[Case]] = {
    "bybit": [
        (bybit(8), "waits", 0),
        (snapshot(10), "snapshot", 1),
        (bybit(11), "apply", 1),
        (bybit(11), "old", 0),
        (bybit(13), "gap", 0),
        (bybit(12), "waits", 0),
        (bybit(14), "waits", 0),
        (snapshot(20), "snapshot", 1),
        (bybit(20), "old", 0),
        (bybit(21), "apply", 1),
        (snapshot(1), "snapshot", 1),  # its service began anew
        (bybit(2), "apply", 1),
    ],
    "coinbase": [
        (snapshot(13), "snapshot", 1),
        (coinbase(14), "apply", 1),
        (coinbase(40), "apply", 1),  # between them are messages of other kinds
        (coinbase(39), "old", 0),
        (snapshot(41), "snapshot", 1),
        (coinbase(42), "apply", 1),
    ],
    "kraken": [
        (kraken(), "waits", 0),
        (snapshot(), "snapshot", 1),
        (kraken(), "apply", 1),
        (kraken(), "apply", 1),
        (snapshot(), "snapshot", 1),
    ],
}
BESIDE: dict[str, list[Case]] = {
    "spot": [
        (spot(1, 5), "waits", 0),
        (spot(6, 8), "waits", 0),
        (spot(9, 12), "waits", 0),
        (spot(13, 13), "waits", 0),
        (snapshot(8), "snapshot", 3),
        (spot(14, 15), "apply", 1),
        (spot(14, 15), "old", 0),
        (snapshot(11), "old", 0),  # a book that stands needs none
        (snapshot(99), "old", 0),
        (spot(17, 18), "gap", 0),
        (spot(16, 16), "waits", 0),  # it came too late
        (spot(20, 20), "waits", 0),  # and 19 is missing
        (snapshot(17), "old", 0),
        (spot(21, 22), "waits", 0),
        (spot(20, 20), "waits", 0),
        (snapshot(19), "snapshot", 3),
        (spot(23, 23), "apply", 1),
    ],
    "spot, the snapshot within an update": [
        (spot(1, 5), "waits", 0),
        (spot(6, 8), "waits", 0),
        (snapshot(7), "snapshot", 2),
        (spot(9, 9), "apply", 1),
    ],
    "spot, the snapshot is newer than all": [
        (spot(1, 5), "waits", 0),
        (snapshot(7), "snapshot", 1),
        (spot(6, 7), "old", 0),
        (spot(8, 8), "apply", 1),
    ],
    "spot, the snapshot is too old": [
        (spot(10, 12), "waits", 0),
        (snapshot(8), "old", 0),
        (snapshot(9), "snapshot", 2),
    ],
    "futures": [
        (futures(1, 5), "waits", 0),
        (futures(5, 9), "waits", 0),
        (snapshot(7), "snapshot", 2),
        (futures(9, 30), "apply", 1),
        (futures(9, 30), "old", 0),
        (futures(31, 40), "gap", 0),
        (futures(40, 45), "waits", 0),
        (snapshot(33), "snapshot", 3),
    ],
    "futures, the snapshot between two updates": [
        (futures(5, 9), "waits", 0),
        (futures(9, 20), "waits", 0),
        (snapshot(9), "snapshot", 2),
        (futures(20, 21), "apply", 1),
    ],
}


def run(sequence: BookSequence, cases: list[Case]) -> None:
    for message, outcome, applied in cases:
        offer = sequence.offer(message)
        assert (offer.outcome, len(offer.messages)) == (outcome, applied), message
        if outcome != "old":
            assert sequence.stands == (outcome in ("snapshot", "apply"))


@pytest.mark.parametrize("name", STREAMS)
def test_snapshots_in_the_stream(name: str) -> None:
    run(BookSequence(), STREAMS[name])


@pytest.mark.parametrize("name", BESIDE)
def test_snapshots_beside_the_stream(name: str) -> None:
    run(BookSequence(beside=True), BESIDE[name])


def test_what_is_lost_waits_for_a_snapshot() -> None:
    sequence = BookSequence()
    sequence.offer(snapshot())
    sequence.lose()
    assert not sequence.stands
    run(sequence, [(kraken(), "waits", 0), (snapshot(), "snapshot", 1), (kraken(), "apply", 1)])


def test_updates_are_applied_behind_the_snapshot_in_their_order() -> None:
    sequence = BookSequence(beside=True)
    for update in (spot(1, 5), spot(6, 8), spot(9, 9)):
        sequence.offer(update)
    assert sequence.held == 3
    assert sequence.offer(snapshot(5)) == Offer(
        "snapshot", (snapshot(5), spot(6, 8), spot(9, 9)), dropped=1
    )
    assert (sequence.held, sequence.last) == (0, 9)


@pytest.mark.parametrize(("number", "run"), [(40, RUN_FAR), (900, RUN_NEAR)])
def test_numbers_that_begin_again_are_a_hole_and_not_old_for_ever(number: int, run: int) -> None:
    sequence = BookSequence(beside=True)
    sequence.offer(snapshot(1000))
    outcomes = [sequence.offer(spot(number, number)).outcome for _ in range(run)]
    assert outcomes == ["old"] * (run - 1) + ["gap"]
    assert sequence.offer(snapshot(number)).outcome == "snapshot"
    # The same while updates wait for a snapshot.
    sequence = BookSequence(beside=True)
    sequence.offer(spot(1000, 1000))
    assert [sequence.offer(spot(number, number)).dropped for _ in range(run)] == [1] * run
    assert sequence.offer(snapshot(number)).outcome == "snapshot"


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    sequence = BookSequence(beside=True)
    dropped = sum(sequence.offer(spot(n, n)).dropped for n in range(HELD_MAX + 5))
    assert (sequence.held, dropped) == (HELD_MAX, 5)
    assert sequence.offer(snapshot(3)).outcome == "old", "those that reached it had to go"
    assert not sequence.stands
    assert sequence.offer(snapshot(4)).outcome == "snapshot"
    monkeypatch.setattr(book, "HELD_LEVELS_MAX", 2)
    sequence = BookSequence(beside=True)
    assert [sequence.offer(spot(n, n)).dropped for n in range(4)] == [0, 0, 1, 1]


def test_many_books_hold_no_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "HELD_LEVELS_MAX", 12)
    room = Room()
    first, *others = [BookSequence(beside=True, room=room) for _ in range(4)]
    for n in range(12):
        assert first.offer(spot(n, n)).dropped == 0, "there is room for all"
    for n in range(9):
        for one in others:
            one.offer(spot(n, n))
    assert [one.held for one in others] == [3, 3, 3]
    assert first.offer(spot(12, 12)).dropped == 10, "it goes down to its share as well"
    assert first.held == 3
    # What is held is let go with the snapshot.
    assert len(first.offer(snapshot(10)).messages) == 3
    for n in range(9, 12):
        assert others[0].offer(spot(n, n)).dropped == 0


@st.composite
def disturbed(draw: st.DrawFn) -> list[BookMessage]:
    """A stream of updates with snapshots, some of it lost, doubled, or out of order."""
    count = draw(st.integers(1, 40))
    bounds = sorted(draw(st.sets(st.integers(1, 100), min_size=count + 1, max_size=count + 1)))
    chained = draw(st.booleans())
    found: list[tuple[float, BookMessage]] = []
    for n in range(count):
        begin, last = bounds[n], bounds[n + 1]
        update = futures(begin, last) if chained else spot(begin + 1, last)
        found += [
            (n + draw(st.sampled_from([0, 0, 0, 0, -1.5, 1.5])), update)
            for _ in range(draw(st.sampled_from([0, 1, 1, 1, 1, 2])))
        ]
        if draw(st.booleans()):
            at = draw(st.integers(bounds[0], last))
            found.append((n + draw(st.floats(-3, 3)), snapshot(at)))
    return [message for _, message in sorted(found, key=lambda one: one[0])]


@given(disturbed(), st.booleans())
def test_f42_what_is_applied_has_no_hole_and_every_message_is_accounted_for(
    messages: list[BookMessage], beside: bool
) -> None:
    """The model knows the venue's truth: behind update `last` a book contains all up to it."""
    sequence = BookSequence(beside=beside)
    contains: int | None = None
    applied = dropped = 0
    for message in messages:
        offer = sequence.offer(message)
        for one in offer.messages:
            assert one.last is not None
            if one.type == "update":
                begin: Any = one.previous if one.previous is not None else one.first
                begin -= one.previous is None
                assert contains is not None
                assert begin <= contains < one.last
            contains = one.last
        applied += len(offer.messages)
        dropped += offer.dropped
        if sequence.stands:
            assert contains == sequence.last
    assert applied + dropped + sequence.held == len(messages)
