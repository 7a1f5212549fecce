"""Kraken's messages of version 2: golden ones, what is refused, any bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.damage import damaged, taken_or_refused

from gateway.feeds.refusals import of_input
from gateway.feeds.venues.kraken_v2 import Connection, identify, instruments
from gateway.feeds.venues.message import (
    BookMessage,
    Decoded,
    Heartbeat,
    Instrument,
    Level,
    Malformed,
    Message,
    Subscription,
)

PAIR = (
    b'{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":[{"symbol":"BTC/USD",'
    b'"base":"BTC","quote":"USD","status":"online","qty_precision":8,"qty_increment":1e-8,'
    b'"price_precision":1,"price_increment":0.1,"marginable":true}]}}'
)
BOOK = (
    b'{"channel":"book","type":"%b","data":[{"symbol":"BTC/USD","bids":[{"price":45283.5,"qty":0.1},'
    b'{"price":45283,"qty":1.54582015}],"asks":[{"price":45285.2,"qty":0.001}],'
    b'"checksum":3310070434,"timestamp":"2023-10-06T17:35:55.440295Z"}]}'
)
TRADE = (
    b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":45117,'
    b'"qty":40,"ord_type":"market","trade_id":4665906,"timestamp":"2023-09-25T07:49:37.708706Z"}]}'
)
TICKER = (
    b'{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":45000.1,"bid_qty":7.5,'
    b'"ask":0,"ask_qty":0,"last":45000.1,"volume":1.5}]}'
)
REPLY = (
    b'{"method":"subscribe","req_id":3,"result":{"channel":"book","symbol":"BTC/USD","depth":25,'
    b'"snapshot":true},"success":true,"time_in":"x","time_out":"y"}'
)
TIME = 1696613755440295000
BIDS: list[Level] = [("45283.5", "0.10000000"), ("45283.0", "1.54582015")]
ASKS: list[Level] = [("45285.2", "0.00100000")]


def decode(*payloads: bytes) -> Decoded:
    """What the last one is, on one connection."""
    connection = Connection()
    return [connection.decode(payload) for payload in payloads][-1]


def test_a_book_is_written_with_the_digits_of_its_pair() -> None:
    book = BookMessage("BTC/USD", "snapshot", BIDS, ASKS, TIME, checksum=3310070434, depth=25)
    assert decode(PAIR, REPLY, BOOK % b"snapshot") == [book]
    assert decode(PAIR, REPLY, BOOK % b"update") == [book._replace(type="update")]
    assert decode(PAIR, BOOK % b"snapshot") == [book._replace(depth=10)], "by its size"


def test_without_them_numbers_stay_and_no_checksum_is_compared() -> None:
    bids: list[Level] = [("45283.5", "0.1"), ("45283", "1.54582015")]
    asks: list[Level] = [("45285.2", "0.001")]
    book = BookMessage("BTC/USD", "update", bids, asks, TIME)
    assert decode(BOOK % b"update") == [book]


@pytest.mark.parametrize(
    ("payload", "decoded"),
    [
        (
            TRADE,
            [
                Message(
                    *("trade", "BTC/USD", 4665906, 4665906, "exact"),
                    (1695628177708706000, "45117.0", "40.00000000", "sell", "4665906"),
                )
            ],
        ),
        (
            TICKER,
            [
                Message(
                    *("bbo", "BTC/USD", -1, -1, "none"),
                    (0, "45000.1", "7.50000000", None, None),
                )
            ],
        ),
        (REPLY, Subscription("book", ("BTC/USD",), True)),
        (b'{"method":"subscribe","success":false,"error":"no","req_id":1}', "error reply"),
        (b'{"method":"pong","req_id":1}', Heartbeat()),
        (b'{"channel":"heartbeat"}', Heartbeat()),
        (b'{"channel":"status","type":"update","data":[{"system":"online"}]}', "control"),
        (b'{"channel":"ohlc","type":"update","data":[]}', "kline"),
        (b'{"channel":"level3","type":"update","data":[]}', "another kind of event"),
    ],
)
def test_messages(payload: bytes, decoded: Decoded) -> None:
    assert decode(PAIR, payload) == decoded


def test_pairs_by_stream_and_by_rest() -> None:
    pair = Instrument("BTC/USD", "BTC", "USD", "0.1", "0.00000001", 1, 8, "trading")
    assert decode(PAIR) == [pair]
    listed = {"wsname": "XBT/USD", "pair_decimals": 1, "lot_decimals": 8, "status": "online"}
    payload = json.dumps({"error": [], "result": {"XXBTZUSD": listed}}).encode()
    rest = Instrument("BTC/USD", "BTC", "USD", "0.1", "0.00000001", 1, 8, "trading", "XXBTZUSD")
    assert instruments(payload) == [rest]


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"{}", "neither a channel's message nor a reply"),
        (BOOK % b"nothing", "neither a snapshot nor an update"),
        (TRADE.replace(b'"sell"', b'"up"'), 'neither "buy" nor "sell"'),
        (BOOK.replace(b"0.001", b"{}") % b"update", "neither a text nor a number"),
        (BOOK.replace(b"3310070434", b"-1") % b"update", "checksum"),
    ],
)
def test_what_is_refused_and_of_what(payload: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        decode(PAIR, payload)
    if isinstance(caught.value, Malformed) or b"book" in payload:
        refusal = of_input(payload, caught.value, identify)
        assert refusal.symbol == "BTC/USD"
        assert refusal.channel in ("book", "trade")


@given(st.lists(damaged(PAIR, BOOK % b"update", TRADE, TICKER, REPLY)))
def test_damaged_ones_are_taken_or_refused(payloads: list[bytes]) -> None:
    taken_or_refused(Connection().decode, payloads)


@given(st.binary())
def test_any_bytes_are_taken_or_refused(payload: bytes) -> None:
    taken_or_refused(Connection().decode, [payload])
