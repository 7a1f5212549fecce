"""Inputs of the field, feed to client: wide numbers, long ids, names, one-sided quotes."""

import gzip
import json
from itertools import islice
from pathlib import Path

import pytest
from support.fleet import Client, Json
from support.stage import Stage
from support.udp import Venue

LONG_ID = "0x" + "9f" * 32  # a hash: 66 characters
NAMES = [
    "币安人生USDT",
    "SPXW  260120P06835000",
    "BRK B",
    "SP a2507&a2509",
    "BAC-I*",
    "7203.T",
    "7" * 77,
    "삼성전자",
    "🚀MOON/USDT",
    "~weird~*",
    "S" * 96,
]
NUMBERS = {
    "1234.567890123456789012": "1234.567890123456789012",
    "0.000000000000123456": "0.000000000000123456",
    "12345678901.00000000": "12345678901.00000000",
    "912345678901.00000000": "912345678901.00000000",
    "1.9e-07": "0.00000019",
    "-99999999999999999999999999999999999999": "-99999999999999999999999999999999999999",
    "1E+21": "1000000000000000000000",
    "1e-100": "0." + "0" * 99 + "1",
    "64250.10": "64250.10",
}
TRADE = {"channel": "trade", "symbol": "A", "price": "1", "qty": "2", "side": "buy", "id": "7"}


def escape(name: str) -> str:
    return name.replace("~", "~~").replace("*", "~*")


def subscribe(client: Client, channel: str, *symbols: str) -> list[Json]:
    reply = client.ask("subscribe", channel=channel, symbol=list(symbols))
    results: list[Json] = reply["results"]
    return results


def frames(client: Client, count: int) -> list[Json]:
    return list(islice((message for message in client.each() if "seq" in message), count))


def sides(message: Json) -> tuple[str | None, ...]:
    (row,) = message["data"]
    return row["bid"], row["bid_qty"], row["ask"], row["ask_qty"]


def test_numbers_and_ids_come_out_as_they_went_in(stage: Stage, venue: Venue) -> None:
    stage.serve(*venue.sets)
    client, late = stage.connect(), stage.connect()
    subscribe(client, "trade", "*")
    for sent, expected in NUMBERS.items():
        venue.send(TRADE | {"qty": sent, "id": LONG_ID})
        row = {"id": LONG_ID, "price": "1", "qty": expected, "side": "buy"}
        assert client.next(channel="trade")["data"] == [row]
        venue.send(TRADE | {"price": float("1.9e-07"), "qty": 5})  # as programs print them
        row = {"id": "7", "price": "0.00000019", "qty": "5", "side": "buy"}
        assert client.next(channel="trade")["data"] == [row]
    venue.send(TRADE | {"qty": "1" * 39}, TRADE | {"price": "0." + "1" * 38, "id": "x" * 80})
    row = {"id": "x" * 80, "price": "0." + "1" * 38, "qty": "2", "side": "buy"}
    assert client.next(channel="trade")["data"] == [row]
    subscribe(late, "trade", "A.SIM")
    (snapshot,) = frames(late, 1)
    assert (snapshot["type"], snapshot["data"]) == ("snapshot", [row])


@pytest.mark.parametrize("fast", [True, False])
def test_every_name_is_carried_and_can_be_asked_for(stage: Stage, venue: Venue, fast: bool) -> None:
    """In lines that the feed's fast path takes, and in lines whose names are escaped."""
    stage.serve(*venue.sets)
    client, late = stage.connect(), stage.connect()
    asked = [f"{escape(name)}.SIM" for name in NAMES]
    results = subscribe(client, "trade", *asked)
    assert [(one["symbol"], one["success"]) for one in results] == [(one, True) for one in asked]
    for name in NAMES:
        for _ in range(2):
            venue.send_raw(json.dumps(TRADE | {"symbol": name}, ensure_ascii=not fast))
            assert client.next(channel="trade")["symbol"] == f"{name}.SIM"
    listed = {one["symbol"] for one in late.ask("list")["instruments"]}
    assert listed == {f"{name}.SIM" for name in NAMES}
    for pattern, matched in {
        "*": 11,
        "*~*.SIM": 2,
        "~~*": 1,
        "币*": 1,
        "*  *": 1,
        "BAC-I~**": 1,
    }.items():
        (result,) = subscribe(late, "trade", pattern)
        assert (result["symbol"], result["matched"]) == (pattern, matched)
        late.ask("unsubscribe", channel="trade", symbol=[pattern])
    assert {one["symbol"] for one in client.ask("stats")["subscriptions"]} == set(asked)


def test_what_the_grammar_cannot_hold_is_refused_by_name(stage: Stage, venue: Venue) -> None:
    stage.serve(*venue.sets)
    client = stage.connect()
    bad = {
        "A~B.SIM": ("bad_request", "'~B'"),
        "A~": ("bad_request", "'~'"),
        "~x*": ("bad_request", "'~x'"),
        " A.SIM": ("unknown_symbol", "begin or end with a space"),
        "A\u00a0B.SIM": ("unknown_symbol", r"'\xa0'"),
        "A\u200b*": ("unknown_symbol", r"'\u200b'"),
        "币" * 33 + ".SIM": ("unknown_symbol", "1 to 96 bytes, not 99"),
        "*" * 114: ("unknown_symbol", "1 to 113 bytes, not 114"),
        "A,B.SIM": ("unknown_symbol", "','"),
    }
    for result in subscribe(client, "trade", *bad, "A.SIM")[: len(bad)]:
        code, why = bad[result["symbol"]]
        assert result["error"]["code"] == code
        assert why in result["error"]["message"]
    (error,) = client.ask("unsubscribe", channel="trade", symbol=["~A"])["results"]
    assert error["error"]["code"] == "bad_request"
    assert client.ask("list", symbol=["~A"])["error"]["code"] == "bad_request"


def test_a_limit_is_told_by_the_string_that_was_asked_for(stage: Stage, venue: Venue) -> None:
    stage.serve(*venue.sets, "limits.topics_per_connection=1")
    client = stage.connect()
    subscribe(client, "trade", "~~*~**")
    for name in ("~a*", "~b*"):
        venue.send(TRADE | {"symbol": name})
    (told,) = client.next(type="limit_exceeded")["data"]
    assert told["subscription"] == "~~*~**"


def test_quotes_with_one_side_or_none(stage: Stage, venue: Venue) -> None:
    stage.serve(*venue.sets)
    client, late = stage.connect(), stage.connect()
    client.ask("subscribe", channel="bbo", symbol=["*"], mode="lossless")
    bid, ask = {"bid": "1.0", "bid_qty": "2"}, {"ask": "0", "ask_qty": "0.00000000000000000001"}
    no_bid: Json = {"bid": None, "bid_qty": None}
    no_ask: Json = {"ask": None, "ask_qty": None}
    both = ("1.0", "2", "0", "0.00000000000000000001")
    for sent, expected in (
        (bid | ask, both),
        (no_bid | ask, (None, None, *both[2:])),
        (ask, (None, None, *both[2:])),
        (bid | no_ask, (*both[:2], None, None)),
        (no_bid | no_ask, (None,) * 4),
        (bid | ask, both),
        (bid, (*both[:2], None, None)),
    ):
        venue.send({"channel": "bbo", "symbol": "A"} | sent)
        assert sides(client.next(channel="bbo")) == expected
        # A half of a side is refused: the next that comes is the next good one.
        venue.send({"channel": "bbo", "symbol": "A"} | sent | {"bid": "1", "bid_qty": None})
    subscribe(late, "bbo", "A.SIM")
    (snapshot,) = frames(late, 1)
    assert (snapshot["type"], sides(snapshot)) == ("snapshot", ("1.0", "2", None, None))


CAPTURE = """\
1723161255000000000 {"stream":"bttcusdt@bookTicker","data":{"u":1,"s":"BTTCUSDT","b":"0.00000041",\
"B":"12345678901.00000000","a":"0.00000042","A":"912345678901.00000000"}}
1723161255050000000 {"stream":"币安人生usdt@trade","data":{"e":"trade","E":1,"s":"币安人生USDT",\
"t":1,"p":"0.10","q":"12345678901234567890.12345678","T":1723161255342,"m":true}}
1723161255100000000 {"stream":"bttcusdt@bookTicker","data":{"u":2,"s":"BTTCUSDT","b":"0.00000000",\
"B":"0.00000000","a":"0.00000042","A":"5"}}
"""


def test_a_capture_of_binance(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "capture.jsonl.gz"
    path.write_bytes(gzip.compress(CAPTURE.encode()))
    replay = {"type": "replay", "path": str(path), "venue": "BINANCE", "start_after_clients": 1}
    stage.serve(*(f"feeds.0.{key}={json.dumps(value)}" for key, value in replay.items()))
    client = stage.connect()
    client.send(
        {"method": "subscribe", "params": {"channel": "trade", "symbol": ["币安人生USDT.BINANCE"]}},
        {"method": "subscribe", "params": {"channel": "bbo", "symbol": ["*"], "mode": "lossless"}},
    )
    first, trade, last = frames(client, 3)
    assert sides(first) == (
        *("0.00000041", "12345678901.00000000"),
        *("0.00000042", "912345678901.00000000"),
    )
    assert trade["symbol"] == "币安人生USDT.BINANCE"
    assert trade["data"][0]["qty"] == "12345678901234567890.12345678"
    assert sides(last) == (None, None, "0.00000042", "5")
