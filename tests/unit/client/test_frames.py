"""Frames as arrays: the same records, gaps and counts as ticks have, however they are cut."""

import json
import random
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from support.binary import CANDLE, STATUS, TOPICS
from support.said import good, hello

from gateway.client.events import Event, Gap, Hello, Malformed, ReplayCompleted, Reply
from gateway.client.frames import FrameReader, Frames
from gateway.client.latency import LatencyRecorder
from gateway.client.session import ClientSession
from gateway.client.ticks import Bbo, Candle, Status, Tick, Trade
from gateway.codec import sbe

NOW = 1_790_000_000_000_000_000
CHANNELS: dict[int, str] = {1: "trade", 2: "trade", 3: "bbo", 4: "trade", 5: "bbo"}
NAMES = {1: "A.SIM", 2: "B.SIM", 3: "A.SIM", 4: "C.SIM", 5: "C.SIM"}
Message = str | bytes


def record(number: int, seq: int, skipped: int = 0, kind: Any = "update") -> bytes:
    texts = (f"{seq}.25", "2", "buy", "id") if CHANNELS[number] == "trade" else (
        f"{seq}.25", "1", None, None,
    )  # fmt: skip
    row: Any = (0, NOW + seq, *texts)
    return sbe.encode_record(
        CHANNELS[number], kind, number, row,
        seq=seq, ts_recv=NOW + seq + 5, ts_send=NOW + seq + 7, skipped=skipped,
    )  # fmt: skip


def announced(number: int, symbol: str | None = None) -> bytes:
    return sbe.encode_topic(number, CHANNELS[number], symbol or NAMES[number])


def text(message: dict[str, Any]) -> str:
    return json.dumps(message)


def connected() -> ClientSession:
    session = ClientSession("sbe")
    session.connected(0)
    session.receive(text(hello("e1")), mono_ns=0, real_ns=0)
    return session


def reader(session: ClientSession | None = None) -> FrameReader:
    return FrameReader(session or connected())


def read(one: FrameReader, *messages: Message) -> list[Frames | Event]:
    return [*one.read(messages, mono_ns=9, real_ns=NOW + 100)]


def test_an_array_has_its_channel_its_topics_and_when_it_was_read() -> None:
    one = reader()
    frames = [announced(1) + record(1, 1), announced(2) + record(2, 1), record(1, 2)]
    (got,) = read(one, *frames)
    assert isinstance(got, Frames)
    assert (got.channel, got.ts_client) == ("trade", NOW + 100)
    assert got.rows["price"].tolist() == [1.25, 1.25, 2.25]
    assert [got.topics[place].symbol for place in got.rows["topic"]] == ["A.SIM", "B.SIM", "A.SIM"]
    assert got.rows["ts_recv"].tolist() == [NOW + 6, NOW + 6, NOW + 7]
    trades, quotes = read(one, announced(3) + record(3, 4), record(2, 2))
    assert isinstance(trades, Frames)
    assert isinstance(quotes, Frames)
    assert (trades.channel, quotes.channel) == ("trade", "bbo")
    assert np.isnan(quotes.rows["ask"][0])
    assert quotes.topics[quotes.rows["topic"][0]].channel == "bbo"


def test_places_of_topics_stay_over_connections_and_new_numbers() -> None:
    session = connected()
    one = reader(session)
    (got,) = read(one, announced(1) + record(1, 1), announced(2) + record(2, 1))
    session.connected(0)
    read(one, text(hello("e1")))
    (again,) = read(one, announced(4, "A.SIM") + record(4, 2), announced(1) + record(1, 3))
    assert isinstance(got, Frames)
    assert isinstance(again, Frames)
    assert got.rows["topic"].tolist() == [0, 1]
    assert again.rows["topic"].tolist() == [0, 0]


def test_candles_have_their_interval_and_others_come_as_events() -> None:
    frames = [sbe.encode_topic(number, *TOPICS[number]) + frame
              for number, frame in ((9, CANDLE), (10, STATUS), (9, CANDLE))]  # fmt: skip
    first, status, gap, again = read(reader(), *frames)
    assert isinstance(gap, Gap), "the same number again"
    assert isinstance(first, Frames)
    assert first.channel == "candle"
    assert first.topics[0].interval
    assert isinstance(status, Status)
    assert isinstance(again, Frames)


def test_a_number_that_is_given_to_another_topic_in_the_middle() -> None:
    one = reader()
    read(one, announced(1) + record(1, 1))
    got = read(one, record(1, 2), record(1, 3), announced(1, "Z.SIM") + record(1, 7), record(1, 8))
    symbols = [
        frames.topics[place].symbol
        for frames in got
        if isinstance(frames, Frames)
        for place in frames.rows["topic"]
    ]
    assert symbols == ["A.SIM", "A.SIM", "Z.SIM", "Z.SIM"]
    assert not [one for one in got if isinstance(one, Gap)]


def test_what_is_none_of_ours_costs_nothing_but_itself() -> None:
    session = connected()
    one = reader(session)
    frames = [announced(1) + record(1, 1), b"\x01\x02", record(1, 2), record(2, 5), record(1, 3)]
    got = read(one, *frames)
    assert sum(isinstance(event, Malformed) for event in got) == 2
    seqs = [seq for each in got if isinstance(each, Frames) for seq in each.rows["seq"].tolist()]
    assert seqs == [1, 2, 3]
    statistics = session.statistics()
    assert (statistics.malformed, statistics.ticks, statistics.messages) == (2, 3, 1 + 5)


def test_a_notice_stands_between_the_records_before_and_behind_it() -> None:
    notice = sbe.encode(
        {"channel": "system", "type": "gap",
         "data": [{"channel": "trade", "symbol": "A.SIM", "lost": 2, "reason": "feed"}]}
    )  # fmt: skip
    got = read(reader(), announced(1) + record(1, 1), notice, record(1, 2))
    assert [type(one) for one in got] == [Frames, Gap, Frames]


def test_latencies_of_rows_are_counted_as_those_of_ticks() -> None:
    session, recorder = connected(), LatencyRecorder()
    one = FrameReader(session, recorder)
    read(one, announced(1) + record(1, 1, kind="snapshot"), record(1, 2), record(1, 3))
    (latency,) = recorder.channels().values()
    assert latency.wire.count == 2
    assert latency.wire.max_ns == 5
    assert latency.gateway.max_ns == 2
    assert latency.age.values_at_percentiles((0, 100)) == [100 - 5 - 3, 100 - 5 - 2]


# --- the same as ticks ----------------------------------------------------------------------------


class Stream:
    """What a gateway sends over some connections: loses, skips, replays, restarts."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._seqs: defaultdict[int, int] = defaultdict(int)
        self._req_id = 0

    def connection(self, session_ids: list[int], *, first: bool) -> list[Message]:
        """All of one; `session_ids` are the requests that are still to be answered."""
        dice = self._dice
        out: list[Message] = []
        for req_id, mode in zip(session_ids, ("lossless", "conflate"), strict=True):
            result = good("*") | {"mode": mode, "recovery": None if first else "replaying"}
            out.append(text({"method": "subscribe", "req_id": req_id, "success": True,
                             "results": [result]}))  # fmt: skip
        told: set[int] = set()
        if not first:
            for number in CHANNELS:  # the replay: what it had, too
                start = max(1, self._seqs[number] - dice.randrange(4))
                self._seqs[number] += dice.randrange(4)
                if dice.random() < 0.4:  # or the state, which it may have had
                    out.append(self._frame(number, max(1, self._seqs[number]), 0, told, "snapshot"))
                    continue
                seqs = range(start, self._seqs[number] + 1)
                out += [self._frame(number, seq, 0, told) for seq in seqs]
        for _ in range(dice.randrange(5, 120)):
            number = dice.choice([*CHANNELS])
            skipped = dice.choice((0, 0, 0, 0, 2))
            lost = dice.choice((0, 0, 0, 0, 0, 0, 0, 0, 3, -1))
            self._seqs[number] = max(1, self._seqs[number] + 1 + skipped + lost)
            kind = dice.choice(("update", "update", "update", "snapshot"))
            out.append(self._frame(number, self._seqs[number], skipped, told, kind))
            if dice.random() < 0.05:
                out.append(sbe.encode({"channel": "heartbeat", "n": 1, "ts_send": 5}))
            if dice.random() < 0.02:
                out.append(b"\xff" * 12)
        return out

    def _frame(
        self, number: int, seq: int, skipped: int, told: set[int], kind: str = "update"
    ) -> bytes:
        frame = record(number, seq, skipped, kind)
        if number not in told:
            told.add(number)
            frame = announced(number) + frame
        return frame


def pieces(messages: list[Message], dice: random.Random) -> list[list[Message]]:
    cut: list[list[Message]] = []
    while messages:
        size = dice.choice((1, 2, 7, 40, 200))
        cut.append(messages[:size])
        messages = messages[size:]
    return cut


def seen(events: list[Frames | Event]) -> tuple[dict[Any, list[Any]], list[Any], int]:
    """Of each topic what came, in order; the gaps; what was malformed."""
    records: defaultdict[Any, list[Any]] = defaultdict(list)
    gaps: list[Any] = []
    malformed = 0
    for one in events:
        if isinstance(one, Frames):
            prices = one.rows["price" if one.channel == "trade" else "bid"]
            for row, price in zip(one.rows, prices.tolist(), strict=True):
                topic = one.topics[int(row["topic"])]
                kind = "snapshot" if int(row["flags"]) & 1 else "update"
                records[topic.channel, topic.symbol].append(
                    (int(row["seq"]), int(row["skipped"]), kind, price, int(row["ts_recv"]))
                )
        elif isinstance(one, Trade | Bbo):
            price = one.price_float if isinstance(one, Trade) else one.bid_float
            records[one.channel, one.symbol].append(
                (one.seq, one.skipped, one.type, price, one.ts_recv)
            )
        elif isinstance(one, Gap):
            gaps.append(one)
        malformed += isinstance(one, Malformed)
    return dict(records), sorted(gaps, key=str), malformed


@pytest.mark.parametrize("seed", range(40))
def test_arrays_are_what_ticks_are(seed: int) -> None:
    dice = random.Random(1000 + seed)
    stream = Stream(seed)
    ticks, rows = ClientSession("sbe"), ClientSession("sbe")
    one = reader(rows)
    got: list[Frames | Event] = []
    expected: list[Frames | Event] = []
    for connection in range(4):
        ids: list[int] = []
        for session in (ticks, rows):
            requests = session.connected(0)
            if connection == 0:
                requests = session.subscribe("trade", "*")
                requests += session.subscribe("bbo", "*")
            ids = [request.req_id for request in requests]
        greeting = text(hello("e1" if dice.random() < 0.8 else f"e{connection}"))
        messages = [greeting, *stream.connection(ids, first=connection == 0)]
        for piece in pieces(messages, dice):
            got += read(one, *piece)
            for message in piece:
                expected += ticks.receive(message, mono_ns=9, real_ns=NOW + 100)
    assert seen(got) == seen(expected)
    assert rows.statistics() == ticks.statistics()
    assert not [event for event in got if isinstance(event, Tick) and not isinstance(event, Candle)]
    assert sum(isinstance(event, Hello) for event in got) == 4
    assert [event for event in got if isinstance(event, Reply | ReplayCompleted)]
