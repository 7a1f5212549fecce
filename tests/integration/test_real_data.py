"""Two captures replayed at full speed to fifty clients: every trade, every digit, every count.

What is expected is read from the captures here, by other means than the gateway's.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.fleet import Client, Json, pump
from support.serving import Serving, until
from support.stage import Stage

CLIENTS = 50
FILES = {
    "BTCUSDT.BINANCE": "binance/spot_btcusdt_20240808.jsonl.gz",
    "BTCUSDT.BINANCE_USDM": "binance/usdm_btcusdt_20240808.jsonl.gz",
}
TRADES = {"BTCUSDT.BINANCE": 9_757, "BTCUSDT.BINANCE_USDM": 21_313}
QUOTES = {"BTCUSDT.BINANCE": 28_040, "BTCUSDT.BINANCE_USDM": 66_089}

Row = dict[str, str]
Topic = tuple[str, str]


class Frame(NamedTuple):
    """What the test looks at of a frame."""

    topic: Topic
    type: str
    seq: int
    skipped: int
    ts_event: int
    row: Row


def captured(path: Path) -> Iterator[tuple[str, int, Row]]:
    """(channel, event time in ns or 0, the element of `data`) of every record, in order."""
    with gzip.open(path) as file:
        for line in file:
            message = json.loads(line.split(b" ", 1)[1])
            data = message.get("data", {})
            event_ns = data.get("T", 0) * 1_000_000
            if message.get("stream", "").endswith("@trade"):
                side = "sell" if data["m"] else "buy"
                row = {"id": str(data["t"]), "price": data["p"], "qty": data["q"], "side": side}
                yield "trade", event_ns, row
            elif message.get("stream", "").endswith("@bookTicker"):
                bid, ask = {"bid": data["b"], "bid_qty": data["B"]}, {"ask": data["a"]}
                yield "bbo", event_ns, bid | ask | {"ask_qty": data["A"]}


class Subscriber:
    """A client that keeps every data frame, and is done once it has the last of each topic.

    All clients get the same bytes of a record: `known` parses each only once.
    """

    def __init__(
        self, client: Client, last: dict[Topic, int], known: dict[bytes, Frame | Json]
    ) -> None:
        self.client = client
        self._known = known
        self.frames: dict[Topic, list[Frame]] = defaultdict(list)
        self.replies: list[Json] = []
        self._left = set(last.items())

    def subscribe(self) -> None:
        # In one write: no record comes in between.
        params = {"symbol": list(FILES)}
        self.client.send(
            {"method": "subscribe", "req_id": 1, "params": params | {"channel": "bbo"}},
            {"method": "subscribe", "req_id": 2, "params": params | {"channel": "trade"}},
        )

    def look(self) -> bool:
        known, frames = self._known, self.frames
        for payload in self.client.take():
            frame = known.get(payload)
            if frame is None:
                frame = known[payload] = parse(payload)
            if isinstance(frame, Frame):
                frames[frame.topic].append(frame)
            else:
                self.replies.append(frame)
        return all(topic in frames and frames[topic][-1].seq == seq for topic, seq in self._left)


def parse(payload: bytes) -> Frame | Json:
    message: Json = json.loads(payload)
    if message.get("type") not in ("update", "snapshot"):
        return message
    topic = message["channel"], message["symbol"]
    (row,) = message["data"]
    skipped = message.get("skipped", 0)
    return Frame(topic, message["type"], message["seq"], skipped, message["ts_event"], row)


@pytest.fixture
def records(capture: Callable[[str], Path]) -> dict[Topic, list[tuple[int, Row]]]:
    found: dict[Topic, list[tuple[int, Row]]] = defaultdict(list)
    for symbol, name in FILES.items():
        for channel, event_ns, row in captured(capture(name)):
            found[channel, symbol].append((event_ns, row))
    return found


def feeds(capture: Callable[[str], Path]) -> list[str]:
    sets = []
    for index, (symbol, name) in enumerate(FILES.items()):
        options: dict[str, Any] = {
            "type": "replay",
            "path": str(capture(name)),
            "format": "binance",
            "venue": symbol.rpartition(".")[2],
            "speed": 0,
            "start_after_clients": CLIENTS,
        }
        sets += [f"feeds.{index}.{key}={json.dumps(value)}" for key, value in options.items()]
    return sets


def test_every_client_gets_every_trade_and_the_last_quote_and_all_is_accounted_for(
    records: dict[Topic, list[tuple[int, Row]]],
    capture: Callable[[str], Path],
    stage: Stage,
) -> None:
    known: dict[bytes, Frame | Json] = {}
    last = {topic: len(rows) for topic, rows in records.items()}
    assert {s: last["trade", s] for s in FILES} == TRADES
    assert {s: last["bbo", s] for s in FILES} == QUOTES
    gateway = stage.serve(*feeds(capture))
    subscribers = [Subscriber(stage.connect(), last, known) for _ in range(CLIENTS)]
    for one in subscribers:
        one.subscribe()
    by_client = {one.client: one for one in subscribers}
    pump(list(by_client), lambda client: by_client[client].look())
    for one in subscribers:
        assert one.client.closed is None
        check_stream(one, records)
    check_accounts(gateway, subscribers, last)
    check_latecomer(gateway, stage.connect(), records)


def check_stream(one: Subscriber, records: dict[Topic, list[tuple[int, Row]]]) -> None:
    acks = [reply for reply in one.replies if reply.get("method") == "subscribe"]
    assert [result["seq"] for ack in acks for result in ack["results"]] == [0] * 4
    for topic, rows in records.items():
        frames = one.frames[topic]
        if topic[0] == "trade" or 3 not in levels(one):
            assert {frame.type for frame in frames} == {"update"}
        if topic[0] == "trade":
            assert [frame.seq for frame in frames] == list(range(1, len(rows) + 1))
            assert not any(frame.skipped for frame in frames)
        seq = 0
        for frame in frames:
            assert frame.seq == seq + 1 + frame.skipped
            seq = frame.seq
            event_ns, row = rows[seq - 1]
            assert frame.row == row
            assert not event_ns or frame.ts_event == event_ns
        assert sum(1 + frame.skipped for frame in frames) == len(rows)


def levels(one: Subscriber) -> set[int]:
    """Those that the client was told it is served at: on a busy host it may read so slowly that it
    gets the newest quotes as snapshots, which are deliveries (level 3).
    """
    told = (reply["data"] for reply in one.replies if reply.get("type") == "slow")
    return {row["level"] for data in told for row in data}


def check_accounts(gateway: Serving, subscribers: list[Subscriber], last: dict[Topic, int]) -> None:
    for one in subscribers:
        rows = one.client.ask("stats")["subscriptions"]
        assert {(row["channel"], row["symbol"]) for row in rows} == set(last)
        for row in rows:
            frames = one.frames[row["channel"], row["symbol"]]
            assert (
                row
                | {
                    "routed": last[row["channel"], row["symbol"]],
                    "delivered": len(frames),
                    "conflated": sum(frame.skipped for frame in frames),
                    "filtered": 0,
                    "dropped": 0,
                    "pending": 0,
                }
                == row
            )
    until(lambda: gateway.metrics().total("pending") == 0)
    for channel in ("trade", "bbo"):
        topics = [topic for topic in last if topic[0] == channel]
        published = sum(last[topic] for topic in topics)
        frames = [f for one in subscribers for topic in topics for f in one.frames[topic]]
        expected = {
            "published_total": published,
            "routed_total": published * CLIENTS,
            "deliveries_total": len(frames),
            "conflated_total": sum(frame.skipped for frame in frames),
            "filtered_total": 0,
            "snapshots_total": 0,
        }
        shown = until(lambda e=expected, c=channel: shows(gateway, c, e))  # type: ignore[misc]
        assert shown == expected
        assert expected["deliveries_total"] + expected["conflated_total"] == published * CLIENTS
    assert gateway.metrics().total("dropped_total") == 0
    until(lambda: all(feed["state"] == "done" for feed in gateway.status()["feeds"]))
    for feed in gateway.status()["feeds"]:
        assert (feed["gaps"], feed["decode_errors"]) == (0, 0)


def shows(gateway: Serving, channel: str, expected: dict[str, int]) -> dict[str, float] | None:
    """What /metrics has of these names, once they are as many in all: a client may have a record
    before it is counted."""
    metrics = gateway.metrics()
    found = {name: metrics.of(name, channel) for name in expected}
    return found if sum(found.values()) >= sum(expected.values()) else None


def check_latecomer(
    gateway: Serving, client: Client, records: dict[Topic, list[tuple[int, Row]]]
) -> None:
    """Who comes after the end gets the last state as snapshots, which are counted apart."""
    before = gateway.metrics()
    late = Subscriber(client, {topic: len(rows) for topic, rows in records.items()}, {})
    late.subscribe()
    pump([client], lambda _: late.look())
    for topic, rows in records.items():
        (frame,) = late.frames[topic]
        assert (frame.type, frame.seq, frame.row) == ("snapshot", len(rows), rows[-1][1])
    for row in client.ask("stats")["subscriptions"]:
        assert (row["routed"], row["delivered"], row["pending"]) == (0, 0, 0)
    until(lambda: gateway.metrics().total("snapshots_total") == 4)
    after = gateway.metrics()
    for name in ("routed_total", "deliveries_total", "conflated_total", "dropped_total"):
        assert after.total(name) == before.total(name)
