"""Order books as arrays: the frames that events have, whole, checked, however they are cut."""

import binascii
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from support.binary import TRADE_ROW
from support.said import ack, hello

from gateway.client.book import Book
from gateway.client.events import Event, Gap, Malformed
from gateway.client.frames import FrameReader, Frames
from gateway.client.latency import LatencyRecorder
from gateway.client.session import ClientSession
from gateway.client.ticks import Tick
from gateway.codec import sbe
from gateway.codec.sbe_book import encode_book

NOW = 1_790_000_000_000_000_000
BOOKS = {7: "A.SIM", 8: "B.SIM"}
Pairs = list[tuple[str, str]]
BIDS: Pairs = [("10.0", "1"), ("9.5", "2.50"), ("9.0", "3")]
ASKS: Pairs = [("10.5", "1"), ("11.0", "123456789012345678901234567890.5")]
Message = str | bytes
BID, ASK = 1, 2
SNAPSHOT, MAYBE_BAD, SUMMED, WAITS = 1, 2, 4, 8


def connected() -> ClientSession:
    session = ClientSession("sbe")
    session.connected(0)
    session.receive(json.dumps(hello("e1")), mono_ns=0, real_ns=0)
    (request,) = session.subscribe("book", [*BOOKS.values()], depth=3)
    results = [
        {"symbol": symbol, "success": True, "channel": "book", "mode": "conflate", "depth": 3}
        for symbol in BOOKS.values()
    ]
    session.receive(json.dumps(ack(request, *results)), mono_ns=0, real_ns=0)
    return session


def announced(number: int = 7) -> bytes:
    return sbe.encode_topic(number, "book", BOOKS[number])


def frame(kind: Any, seq: int, bids: Pairs, asks: Pairs, *, number: int = 7, **said: Any) -> bytes:
    times: dict[str, Any] = {
        "ts_event": NOW + seq,
        "ts_recv": NOW + seq + 5,
        "ts_send": NOW + seq + 7,
    }
    return encode_book(kind, number, bids, asks, seq=seq, **times, **({"depth": 3} | said))


def trade(seq: int) -> bytes:
    row: Any = TRADE_ROW
    return sbe.encode_record("trade", "update", 1, row, seq=seq, ts_recv=NOW, ts_send=NOW)


def read(one: FrameReader, *messages: Message) -> list[Frames | Event]:
    return [*one.read(messages, mono_ns=9, real_ns=NOW + 100)]


def arrays(got: list[Frames | Event]) -> Frames:
    (one,) = got
    assert isinstance(one, Frames)
    assert one.channel == "book"
    return one


def of_row(one: Frames, place: int) -> Any:
    """(side, price, quantity) of a row's levels, the numbers exact."""
    row, levels = one.rows[place], one.levels
    assert levels is not None
    first, bids, asks = (int(row[name]) for name in ("first", "bids", "asks"))
    mine = levels[first : first + bids + asks]
    assert mine["book"].tolist() == [place] * (bids + asks)
    assert mine["side"].tolist() == [BID] * bids + [ASK] * asks
    return [(int(level["side"]), exact(level, "price"), exact(level, "qty")) for level in mine]


def exact(row: Any, name: str) -> Decimal:
    mantissa = (int(row[f"{name}_high"]) << 64) + int(row[f"{name}_low"])
    digits = tuple(map(int, str(abs(mantissa))))
    return Decimal((int(mantissa < 0), digits, int(row[f"{name}_exponent"])))


def pairs(*sides: Pairs) -> list[tuple[int, Decimal, Decimal]]:
    return [
        (side, Decimal(price), Decimal(qty))
        for side, levels in zip((BID, ASK), sides, strict=True)
        for price, qty in levels
    ]


def test_frames_of_books_have_their_levels_in_rows_of_their_own() -> None:
    session = connected()
    one = FrameReader(session)
    got = arrays(
        read(
            one,
            announced() + frame("snapshot", 4, BIDS, ASKS, last_id="9"),
            announced(8) + frame("snapshot", 2, BIDS[:1], [], number=8, maybe_bad=True),
            frame("update", 7, [("9.0", "0"), ("10.1", "4")], [], skipped=2),
        )
    )
    rows, levels = got.rows, got.levels
    assert levels is not None
    assert rows["seq"].tolist() == [4, 2, 7]
    assert rows["skipped"].tolist() == [0, 0, 2]
    assert [got.topics[place].symbol for place in rows["topic"]] == ["A.SIM", "B.SIM", "A.SIM"]
    assert rows["flags"].tolist() == [SNAPSHOT, SNAPSHOT | MAYBE_BAD, 0]
    assert rows["ts_event"].tolist() == [NOW + 4, NOW + 2, NOW + 7]
    assert (rows["ts_recv"] - rows["ts_event"]).tolist() == [5] * 3
    assert (rows["ts_send"] - rows["ts_event"]).tolist() == [7] * 3
    assert rows["depth"].tolist() == [3] * 3
    assert of_row(got, 0) == pairs(BIDS, ASKS)
    assert of_row(got, 1) == pairs(BIDS[:1], [])
    assert of_row(got, 2) == pairs([("9.0", "0"), ("10.1", "4")], [])
    assert levels["price"].tolist()[:2] == [10.0, 9.5]
    assert levels["qty"].tolist()[4] == 123456789012345678901234567890.5
    assert (levels["qty"] == 0).sum() == 1, "a level that is gone"
    book = session.book("A.SIM")
    assert book is not None
    assert [level.price_text for level in book.bids] == ["10.1", "10.0", "9.5"]
    assert session.statistics().ticks == 3


def test_parts_are_one_row_wherever_they_are_cut() -> None:
    parts = [
        announced() + frame("snapshot", 5, BIDS[:2], [], part=(1, 3)),
        frame("snapshot", 5, BIDS[2:], ASKS[:1], part=(2, 3)),
        frame("snapshot", 5, [], ASKS[1:], part=(3, 3)),
    ]
    for cut in range(4):
        one = FrameReader(connected())
        got = [*read(one, *parts[:cut]), *read(one, *parts[cut:])]
        whole = arrays(got)
        assert of_row(whole, 0) == pairs(BIDS, ASKS)
        assert whole.rows["flags"].tolist() == [SNAPSHOT]


def test_a_wrong_sum_is_told_and_what_follows_says_that_it_waits() -> None:
    session = connected()
    one = FrameReader(session)
    read(one, announced() + frame("snapshot", 1, BIDS, ASKS))
    gap, got = read(
        one,
        frame("update", 2, [("10.0", "2")], [], checksum=1),
        frame("update", 3, [("10.0", "3")], [], checksum=1),
    )
    assert gap == Gap("book", "A.SIM", "checksum")
    assert isinstance(gap, Gap)
    assert isinstance(got, Frames)
    assert got.rows["seq"].tolist() == [3], "what is wrong is in no array"
    assert got.rows["flags"].tolist() == [SUMMED | WAITS]
    assert got.rows["checksum"].tolist() == [1]
    assert len(session.resync(gap)) == 1


def test_two_gaps_of_one_read_are_mended_by_one_request() -> None:
    session = connected()
    one = FrameReader(session)
    read(one, announced() + frame("snapshot", 1, BIDS, ASKS))
    events = read(
        one,
        frame("snapshot", 5, BIDS, ASKS, checksum=1),
        frame("snapshot", 9, BIDS, ASKS, checksum=1),
    )
    gaps = [event for event in events if isinstance(event, Gap)]
    assert len(gaps) == 4
    assert sum(len(session.resync(gap)) for gap in gaps) == 1


def test_records_of_other_channels_are_not_cut_by_books() -> None:
    told = sbe.encode_topic(1, "trade", "A.SIM")
    got = read(
        FrameReader(connected()),
        *(told + trade(1), announced() + frame("snapshot", 1, BIDS, []), trade(2)),
        *(frame("update", 2, [("10.0", "2")], []), trade(3)),
    )
    trades, books = got
    assert isinstance(trades, Frames)
    assert isinstance(books, Frames)
    assert trades.rows["seq"].tolist() == [1, 2, 3]
    assert trades.levels is None
    assert books.rows["seq"].tolist() == [1, 2]


def test_a_frame_of_several_records_is_each_of_them_once() -> None:
    session = connected()
    one = FrameReader(session)
    told = sbe.encode_topic(1, "trade", "A.SIM") + announced()
    read(one, told + trade(1), frame("snapshot", 1, BIDS, []))
    got = read(
        one, trade(2) + frame("update", 2, BIDS, []), frame("update", 3, [], []) * 2, trade(3)
    )
    assert not [event for event in got if isinstance(event, Malformed | Book)]
    seqs = [(event.channel, event.seq) for event in got if isinstance(event, Tick)]
    seqs += [
        (each.channel, seq)
        for each in got
        if isinstance(each, Frames)
        for seq in each.rows["seq"].tolist()
    ]
    assert sorted(seqs) == [("book", 2), ("book", 3), ("book", 3), ("trade", 2), ("trade", 3)]
    assert [event.reason for event in got if isinstance(event, Gap)] == ["sequence"]


def test_a_book_of_a_topic_that_is_none() -> None:
    session = connected()
    (event,) = read(FrameReader(session), frame("snapshot", 1, BIDS, []))
    assert isinstance(event, Malformed)
    assert session.statistics().malformed == 1


def test_latencies_of_books() -> None:
    recorder = LatencyRecorder()
    one = FrameReader(connected(), recorder)
    read(one, announced() + frame("snapshot", 1, BIDS, []), frame("update", 2, BIDS[:1], []))
    assert recorder.channels()["book"].wire.count == 1
    assert recorder.channels()["book"].wire.max_ns == 5


# --- the same as events ---------------------------------------------------------------------------


def crc(bids: Pairs, asks: Pairs) -> int:
    texts = (text for side in (asks, bids) for level in side for text in level)
    return binascii.crc32("".join(text.replace(".", "").lstrip("0") for text in texts).encode())


def stream(dice: random.Random) -> Iterator[bytes]:
    """Frames of two books: in parts, lost, wrong, doubled, with states between."""
    seqs = dict.fromkeys(BOOKS, 0)
    for number in BOOKS:
        yield announced(number)
    for _ in range(dice.randrange(20, 200)):
        number = dice.choice([*BOOKS])
        skipped, lost = dice.choice((0, 0, 0, 3)), dice.choice((0,) * 12 + (2,))
        seqs[number] += 1 + skipped + lost
        if dice.random() < 0.3 or seqs[number] == 1 + skipped + lost:
            price = dice.randrange(100, 200)
            bids = [(f"{price - n}.5", f"{dice.randrange(1, 9)}") for n in range(3)]
            asks = [(f"{price + 1 + n}.25", "2.50") for n in range(3)]
            said: dict[str, Any] = {
                "checksum": crc(bids, asks) + (dice.random() < 0.1),
                "skipped": skipped,
            }
            if dice.random() < 0.5:
                yield frame("snapshot", seqs[number], bids, asks, number=number, **said)
                continue
            del said["checksum"]
            halves = [(bids, []), ([], asks)]
            for part in dice.choice(([1, 2], [1, 2], [1, 2], [2], [1])):
                sides = halves[part - 1]
                yield frame("snapshot", seqs[number], *sides, number=number, part=(part, 2), **said)
        else:
            changed: Pairs = [(f"{dice.randrange(90, 99)}.5", dice.choice(("0", "1", "7")))]
            yield frame("update", seqs[number], changed, [], number=number, skipped=skipped)


def seen(events: list[Frames | Event]) -> tuple[list[Any], list[str]]:
    """Each book's frame, in order, and the gaps."""
    frames: list[Any] = []
    gaps: list[str] = []
    for one in events:
        if isinstance(one, Frames):
            for place, row in enumerate(one.rows):
                flags = int(row["flags"])
                frames.append(
                    (
                        one.topics[int(row["topic"])].symbol,
                        *(int(row[name]) for name in ("seq", "skipped", "ts_recv", "ts_send")),
                        bool(flags & SNAPSHOT),
                        int(row["checksum"]) if flags & SUMMED else None,
                        bool(flags & WAITS),
                        of_row(one, place),
                    )
                )
        elif isinstance(one, Book):
            sides: list[Pairs] = [
                [(x.price_text, x.qty_text) for x in s] for s in (one.bids, one.asks)
            ]
            frames.append(
                (
                    *(one.symbol, one.seq, one.skipped, one.ts_recv, one.ts_send),
                    *(one.type == "snapshot", one.checksum, one.book is None, pairs(*sides)),
                )
            )
        elif isinstance(one, Gap):
            gaps.append(str(one))
    return frames, gaps


@pytest.mark.parametrize("seed", range(40))
def test_arrays_are_what_events_are(seed: int) -> None:
    dice = random.Random(seed)
    messages = [*stream(dice)]
    events, rows = connected(), connected()
    one = FrameReader(rows)
    expected: list[Frames | Event] = []
    for message in messages:
        expected += events.receive(message, mono_ns=9, real_ns=NOW + 100)
    got: list[Frames | Event] = []
    while messages:
        size = dice.choice((1, 2, 7, 40))
        got += read(one, *messages[:size])
        messages = messages[size:]
    assert seen(got) == seen(expected)
    assert rows.statistics() == events.statistics()
    assert not [event for event in got if isinstance(event, Tick)]
    assert all(isinstance(event.rows, np.ndarray) for event in got if isinstance(event, Frames))
