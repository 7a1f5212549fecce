"""The inbox that conflates, against a naive count of what went in."""

import random
from collections import defaultdict
from typing import Any

import pytest

from gateway.client.conflating import ConflatingInbox
from gateway.client.continuity import Topic
from gateway.client.events import (
    Conflation,
    Disconnected,
    Event,
    Gap,
    Hello,
    Malformed,
    ReplayCompleted,
    Report,
    Retired,
    Slow,
    System,
)
from gateway.client.inbox import Inbox
from gateway.client.ticks import Bbo, Candle, RawTick, Trade

TIMES: dict[str, Any] = {"ts_event": 1, "ts_recv": 2, "ts_send": 3, "ts_client": 4}


def trade(seq: int, symbol: str = "A.SIM", skipped: int = 0) -> Trade:
    head: dict[str, Any] = {"channel": "trade", "type": "update", "symbol": symbol, "seq": seq}
    return Trade(**head, **TIMES, skipped=skipped, price_text="1", qty_text="2")


def quote(seq: int, symbol: str = "A.SIM", skipped: int = 0) -> Bbo:
    head: dict[str, Any] = {"channel": "bbo", "type": "update", "symbol": symbol, "seq": seq}
    return Bbo(**head, **TIMES, skipped=skipped, bid_text=str(seq))


def candle(seq: int, interval: str) -> Candle:
    head: dict[str, Any] = {"channel": "candle", "type": "update", "symbol": "A.SIM", "seq": seq}
    texts: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close", "volume"), "1")
    row: dict[str, Any] = {"interval": interval, "start": 0, "trades": 1, "closed": False}
    return Candle(**head, **TIMES, **row, **{f"{name}_text": one for name, one in texts.items()})


def lossless(topic: Topic) -> bool:
    return topic.channel == "trade"


def inbox(events_max: int = 100) -> ConflatingInbox:
    return ConflatingInbox(events_max, lossless)


def filled(*events: Event, events_max: int = 100) -> list[Event | None]:
    box = inbox(events_max)
    for event in events:
        box.add(event)
    return drained(box)


def drained(box: Inbox) -> list[Event | None]:
    return [box.take() for _ in range(len(box))]


def test_the_newest_of_a_topic_takes_the_turn_of_the_one_before_and_counts_it() -> None:
    events = filled(quote(1), trade(1), quote(1, "B.SIM"), quote(2, skipped=3), quote(7, skipped=4))
    assert events == [quote(7, skipped=1 + 1 + 3 + 4), trade(1), quote(1, "B.SIM")]


def test_each_interval_of_candles_is_a_topic_and_unknown_records_stay_as_they_are() -> None:
    one, other = candle(1, "1m"), candle(1, "1s")
    assert filled(one, other, candle(2, "1s"))[0] == one
    raw = [RawTick("book", "update", "A.SIM", seq, **TIMES, data=()) for seq in (1, 2)]
    assert filled(*raw) == raw


def test_a_turn_is_not_lost_to_what_changes_all_the_time() -> None:
    box = inbox()
    for number in range(10):
        box.add(quote(1, f"S{number}.SIM"))
    taken = []
    for seq in range(2, 12):
        for number in range(10):
            box.add(quote(seq, f"S{number}.SIM"))
        event = box.take()
        assert isinstance(event, Bbo)
        taken.append(event.symbol)
    assert sorted(taken) == [f"S{number}.SIM" for number in range(10)]


@pytest.mark.parametrize(
    "border",
    [
        Gap("bbo", "A.SIM", "feed", lost=2),
        Retired("bbo", "A.SIM"),
        ReplayCompleted("bbo", "A.SIM"),
        Disconnected(1006, "lost", 1.0),
        Hello("0", "c", "e", 1),
        System("epoch", ({"epoch": "e2"},)),
    ],
)
def test_no_record_moves_over_what_is_told_of_its_topic(border: Event) -> None:
    assert filled(quote(1), border, quote(2), quote(3)) == [
        quote(1),
        border,
        quote(3, skipped=1),
    ]


def test_what_is_behind_a_border_is_still_replaced_once_what_is_before_it_is_taken() -> None:
    box = inbox()
    for event in (quote(1), Retired("bbo", "A.SIM"), quote(2)):
        box.add(event)
    assert box.take() == quote(1)
    box.add(quote(3))
    assert drained(box) == [Retired("bbo", "A.SIM"), quote(3, skipped=1)]


def test_the_bound_is_what_it_was_once_all_is_taken() -> None:
    box = inbox(4)
    for number in range(20):  # a gap of each of so many topics has to stay
        box.add(Gap("trade", f"S{number}.SIM", "refused"))
    assert len(drained(box)) == 20
    for seq in range(1, 10):
        box.add(trade(seq))
    assert len(box) <= 4


def test_what_is_told_of_others_is_no_border() -> None:
    other = Gap("bbo", "B.SIM", "feed", lost=2)
    slow = Slow(1, 0)
    assert filled(quote(1), other, slow, quote(2)) == [quote(2, skipped=1), other, slow]


def test_the_oldest_records_go_and_a_gap_stands_in_their_place() -> None:
    box = inbox(10)
    for seq in range(1, 12):
        box.add(trade(seq, skipped=seq == 2))
    assert box.dropped == 6
    assert drained(box) == [
        Gap("trade", "A.SIM", "consumer", 1, 6, 7),  # one of them stood for another
        *(trade(seq) for seq in range(7, 12)),
    ]


def test_notices_of_one_kind_become_one_beyond_the_bound() -> None:
    box = inbox(8)
    told: list[Event] = [
        Conflation(2, 20, 10),
        Conflation(3, 20, 10),
        Slow(1, 0),
        Report("ops", "update", 1, ()),
        Malformed("no"),
    ]
    for turn in range(50):
        for one in told:
            box.add(one)
        box.add(Gap("trade", "A.SIM", "feed", turn, turn, 1))
        box.add(Gap("trade", "A.SIM", "refused"))
        box.add(Disconnected(1006, str(turn), 1.0))
        box.add(Hello("0", f"c{turn}", "e", 1))
    assert len(box) <= 18
    box.put(None)
    events = drained(box)
    assert events[-1] is None
    gaps = [one for one in events if isinstance(one, Gap) and one.reason == "feed"]
    assert sum(gap.lost or 0 for gap in gaps) == 50
    assert (gaps[0].from_seq, gaps[-1].to_seq) == (0, 49)
    assert [one for one in events if isinstance(one, Hello)][-1].connection_id == "c49"
    ends = [n for n, one in enumerate(events) if isinstance(one, Hello | Disconnected)]
    assert isinstance(events[ends[-1]], Hello), "a connection that is there is told last"


@pytest.mark.parametrize("seed", range(60))
def test_everything_that_went_in_comes_out_or_is_counted(seed: int) -> None:
    dice = random.Random(seed)
    events_max = dice.choice((4, 20, 100))
    box = inbox(events_max)
    seqs: defaultdict[tuple[str, str], int] = defaultdict(int)
    came: defaultdict[tuple[str, str], int] = defaultdict(int)
    out: defaultdict[tuple[str, str], int] = defaultdict(int)
    last: defaultdict[tuple[str, str], int] = defaultdict(int)
    most = 0

    def look(event: Event | None) -> None:
        if isinstance(event, Gap) and event.reason == "consumer":
            assert event.lost is not None
            assert event.from_seq is not None
            key = event.channel, event.symbol
            assert event.from_seq > last[key], "in its place"
            out[key] += event.lost
        elif isinstance(event, Bbo | Trade):
            key = event.channel, event.symbol
            assert event.seq > last[key], "never older ones after newer ones"
            last[key] = event.seq
            out[key] += 1 + event.skipped
            if isinstance(event, Bbo):
                assert event.bid_text == str(event.seq)

    for _ in range(2000):
        make = dice.choice((trade, quote, quote, None))
        symbol = dice.choice("ABCDE") + ".SIM"
        if make is None:
            border = dice.choice((Retired("bbo", symbol), Hello("0", "c", "e", 1), Malformed("x")))
            box.add(border)
        else:
            key = ("trade" if make is trade else "bbo", symbol)
            skipped = dice.choice((0, 0, 2))
            seqs[key] += 1 + skipped
            came[key] += 1 + skipped
            box.add(make(seqs[key], symbol, skipped))
        most = max(most, len(box))
        for _ in range(dice.choice((0, 0, 0, 0, 1, 3))):
            if len(box):
                look(box.take())
    for event in drained(box):
        look(event)
    assert out == came
    # Five conflated topics, and what a pass leaves: notices of each kind, a gap of each topic.
    assert most <= 2 * (events_max + 2 * 5 + 5 + 2 + 5)
    assert box.dropped > 0 or events_max == 100
    assert box.conflated > 0
