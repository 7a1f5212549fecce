"""The decoder: data as structs, all else as objects, and nothing but its documented error."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codec.decode import BboMessage, Quote, Trade, TradeMessage, decode

HEAD: dict[str, Any] = {
    "type": "update",
    "symbol": "A.B",
    "seq": 2,
    "ts_event": 1,
    "ts_recv": 2,
    "ts_send": 3,
}
TRADE = {"id": "1", "price": "1.0", "qty": "2", "side": None}
QUOTE = {"bid": "1", "bid_qty": "2", "ask": "3", "ask_qty": "4"}


def test_trade() -> None:
    message = decode(json.dumps({"channel": "trade", **HEAD, "data": [TRADE]}))
    assert message == TradeMessage(**HEAD, data=(Trade("1", "1.0", "2", None),))
    assert isinstance(message, TradeMessage)
    assert message.skipped == 0


def test_bbo_with_skipped() -> None:
    text = json.dumps({"channel": "bbo", **HEAD, "data": [QUOTE], "skipped": 4})
    assert decode(text) == BboMessage(**HEAD, data=(Quote("1", "2", "3", "4"),), skipped=4)


def test_unknown_fields_are_ignored() -> None:
    trade = {**TRADE, "venue_flag": 1}
    message = decode(json.dumps({"channel": "trade", **HEAD, "data": [trade], "more": {}}).encode())
    assert isinstance(message, TradeMessage)


@pytest.mark.parametrize(
    "message",
    [
        {"channel": "heartbeat", "n": 42, "ts_send": 1},
        {"channel": "system", "type": "hello", "data": [{"version": "0.1.0"}]},
        {"channel": "tomorrow's", "data": [1]},
        {"method": "ping", "req_id": 1, "success": True},
        {},
    ],
)
def test_everything_else_is_an_object(message: dict[str, Any]) -> None:
    assert decode(json.dumps(message)) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        "null",
        '{"channel":1}',
        '{"channel":"trade"}',
        b"\xff",
        '{"channel":"bbo",',
    ],
)
def test_refused(text: str | bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(text)


@given(st.binary() | st.text())
def test_anything_is_decoded_or_refused(text: str | bytes) -> None:
    try:
        decode(text)
    except msgspec.DecodeError:
        return
