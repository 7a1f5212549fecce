"""Kraken's messages of version 1: golden ones, checksums, what is refused, and any bytes at all."""

import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.books import checksum, checksum_text
from support.damage import damaged, taken_or_refused
from support.venues import unnumbered

from gateway.feeds.refusals import of_input
from gateway.feeds.venues.kraken import decode, identify, instruments
from gateway.feeds.venues.message import (
    BookMessage,
    Decoded,
    Heartbeat,
    Instrument,
    Malformed,
    Subscription,
)

SNAPSHOT = (
    b'[336,{"as":[["5541.30000","2.50700000","1534614248.123678"],["5541.80000","0.33000000",'
    b'"1534614098.345543"]],"bs":[["5541.20000","1.52900000","1534614248.765567"]]},"book-10",'
    b'"XBT/USD"]'
)
UPDATE = (
    b'[336,{"a":[["5541.30000","0.00000000","1534614335.345903"],["5542.50000","0.40100000",'
    b'"1534614248.456738","r"]],"c":"974942666"},"book-10","XBT/USD"]'
)
BOTH = (
    b'[336,{"a":[["0.042990","364630.28272081","1618678145.920470"]]},'
    b'{"b":[["0.042990","0.00000000","1618678145.920708"]],"c":"4105471083"},"book-1000","SC/EUR"]'
)
TRADES = (
    b'[0,[["5541.20000","0.15850568","1534614057.321597","s","l",""],["6060.00000","0.02455000",'
    b'"1534614057.324998","b","m",""]],"trade","XBT/USD"]'
)
TICKER = (
    b'[340,{"a":["5525.40000",1,"1.000"],"b":["5525.10000",1,"1.50"],"c":["5525.10000","0.00398963"'
    b'],"t":[11493,16267],"o":["5760.70000","5763.40000"]},"ticker","XBT/USD"]'
)


@pytest.mark.parametrize(
    ("payload", "decoded"),
    [
        (
            SNAPSHOT,
            BookMessage(
                "XBT/USD",
                "snapshot",
                [("5541.20000", "1.52900000")],
                [("5541.30000", "2.50700000"), ("5541.80000", "0.33000000")],
                1534614248765567000,
                depth=10,
            ),
        ),
        (
            UPDATE,
            BookMessage(
                "XBT/USD",
                "update",
                [],
                [("5541.30000", "0.00000000"), ("5542.50000", "0.40100000")],
                1534614335345903000,
                checksum=974942666,
                depth=10,
            ),
        ),
        (
            BOTH,
            BookMessage(
                "SC/EUR",
                "update",
                [("0.042990", "0.00000000")],
                [("0.042990", "364630.28272081")],
                1618678145920708000,
                checksum=4105471083,
                depth=1000,
            ),
        ),
        (
            TRADES,
            [
                unnumbered(
                    "trade", "XBT/USD", 1534614057321597000, "5541.20000", "0.15850568", "sell", ""
                ),
                unnumbered(
                    "trade", "XBT/USD", 1534614057324998000, "6060.00000", "0.02455000", "buy", ""
                ),
            ],
        ),
        (
            TICKER,
            unnumbered("bbo", "XBT/USD", 0, "5525.10000", "1.50", "5525.40000", "1.000"),
        ),
        (
            TICKER.replace(b'"5525.10000",1,"1.50"', b'"0.00000",0,"0.000"'),
            unnumbered("bbo", "XBT/USD", 0, None, None, "5525.40000", "1.000"),
        ),
        (b'{"event":"heartbeat"}', Heartbeat()),
        (b'{"event":"pong","reqid":42}', Heartbeat()),
        (
            b'{"channelID":1664,"channelName":"book-1000","event":"subscriptionStatus",'
            b'"pair":"WAVES/EUR","status":"subscribed","subscription":{"name":"book"}}',
            Subscription("book-1000", ("WAVES/EUR",), active=True),
        ),
        (
            b'{"errorMessage":"Subscription depth not supported","event":"subscriptionStatus",'
            b'"pair":"XBT/USD","status":"error","subscription":{"depth":42,"name":"book"}}',
            Subscription("", ("XBT/USD",), active=False, why="Subscription depth not supported"),
        ),
        (b'{"event":"systemStatus","status":"online","version":"1.8.3"}', "control"),
        (b'{"event":"error","errorMessage":"Malformed request"}', "error reply"),
        (b'{"event":"addOrderStatus"}', "another kind of event"),
        (b'[42,["1542057314.748456","1542057360.435743","3.1"],"ohlc-5","XBT/USD"]', "kline"),
        (b'[0,["5698.40","5700.00","1542057299.545897","1","2"],"spread","XBT/USD"]', "spread"),
        (b'[0,[],"new","XBT/USD"]', "another kind of event"),
    ],
)
def test_golden(payload: bytes, decoded: Decoded) -> None:
    assert decode(payload) == decoded


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'[1,2,"book-10"]',
        b'[1,{},{},{},"book-10","XBT/USD"]',
        SNAPSHOT[:-9],
        SNAPSHOT.replace(b'"1534614248.765567"', b'"x"'),
        UPDATE.replace(b'"974942666"', b'"-1"'),
        UPDATE.replace(b'"974942666"', b'"4294967296"'),
        UPDATE.replace(b'"974942666"', b'"\xd9\xa3x"'),
        UPDATE.replace(b'"5541.30000","0.00000000","1534614335.345903"', b'"5541.30000"'),
        UPDATE.replace(b'"5541.30000"', b"null"),
        TRADES.replace(b'"s","l",""', b""),
        TRADES.replace(b'"s"', b'"?"'),
        TRADES.replace(b"1534614057.321597", b"yesterday"),
        TICKER.replace(b',"1.50"', b""),
        TICKER.replace(b'"1.50"', b"{}"),
        b"[" * 60_000,
        b'[0,{"a":' + b"[" * 60_000,
        b'[0,{"a":' + b"[" * 60_000 + b"]" * 60_000 + b'},"book-10","XBT/USD"]',
    ],
)
def test_f44_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(payload)


@given(st.binary())
def test_f44_any_bytes_are_taken_or_refused(payload: bytes) -> None:
    taken_or_refused(decode, [payload])


@given(damaged(SNAPSHOT, UPDATE, BOTH, TRADES, TICKER))
def test_f44_damaged_messages_are_taken_or_refused(payload: bytes) -> None:
    taken_or_refused(decode, [payload])


def test_a_level_s_place_and_value_are_told() -> None:
    with pytest.raises(Malformed, match="1 values; a level has 2 to 4") as error:
        decode(UPDATE.replace(b'"5541.30000","0.00000000","1534614335.345903"', b'"5541.30000"'))
    assert (error.value.field, error.value.value) == ("a[0]", ("5541.30000",))


@pytest.mark.parametrize("wrong", [b',["x"]]}', b",7]}", b",{]}", b'"]}'])
def test_a_long_book_that_is_refused_is_named(wrong: bytes) -> None:
    levels = [[f"{n}.00000", "1.0", "1534614248.123678"] for n in range(1, 1001)]
    sides = json.dumps({"as": levels, "bs": levels}, separators=(",", ":")).encode()
    payload = b'[336,%b%b,"book-1000","XBT/USD"]\n' % (sides[:-2], wrong)
    with pytest.raises(ValueError, match=r".") as error:
        decode(payload)
    refusal = of_input(payload, error.value, identify)
    assert (refusal.channel, refusal.symbol) == ("book", "XBT/USD")


def test_checksums_are_of_the_best_ten_levels_without_points_and_leading_zeros() -> None:
    asks = [("0.05005", "0.00000500"), ("0.05010", "0.00000500"), ("12.0", "1.5")]
    bids = [("0.05000", "0.00000500"), ("0.04995", "20")]
    assert checksum_text(bids, asks) == "5005500" + "5010500" + "12015" + "5000500" + "499520"
    assert checksum(bids, asks) == zlib.crc32(b"50055005010500120155000500499520")
    many = [(f"{n}.0", "1") for n in range(1, 30)]
    assert checksum_text([], many) == checksum_text([], many[:10])
    assert checksum([], []) == 0


def test_what_a_refused_message_was_is_told() -> None:
    kinds = {SNAPSHOT: "book", BOTH: "book", TRADES: "trade", TICKER: "bbo"}
    for payload, kind in kinds.items():
        pair = "SC/EUR" if payload is BOTH else "XBT/USD"
        assert identify(json.loads(payload))[:2] == (kind, pair)
    odds: list[Any] = [None, [], {}, [1, 2, 3, 4], [0, {}, "book-10", 5], {"event": "heartbeat"}]
    for odd in odds:
        assert identify(odd)[1] == ""


def test_reference_data() -> None:
    pairs = {
        "XXBTZUSD": {"wsname": "XBT/USD", "pair_decimals": 1, "lot_decimals": 8},
        "NEW": {"wsname": "A/B", "pair_decimals": 3, "lot_decimals": 0, "tick_size": "0.005"},
        "OFF": {"wsname": "C/D", "status": "cancel_only"},
        "XXBTZUSD.d": {"altname": "no name in the streams", "pair_decimals": 1},
    }
    assert instruments(json.dumps({"error": [], "result": pairs}).encode()) == [
        Instrument("XBT/USD", "XBT", "USD", "0.1", "0.00000001", 1, 8, "trading", "XXBTZUSD"),
        Instrument("A/B", "A", "B", "0.005", "1", 3, 0, "trading", "NEW"),
        Instrument("C/D", "C", "D", "", "", -1, -1, "halted", "OFF"),
    ]
    with pytest.raises(ValueError, match="result"):
        instruments(b'{"error":["EGeneral"]}')
