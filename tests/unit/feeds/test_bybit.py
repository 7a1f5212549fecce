"""Bybit's messages: golden ones, tickers that go on from each other, what is refused, any bytes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.damage import damaged, taken_or_refused
from support.venues import unnumbered

from gateway.feeds.venues import bybit
from gateway.feeds.venues.bybit import connect, identify, instruments
from gateway.feeds.venues.message import (
    BookMessage,
    Decoded,
    Heartbeat,
    Instrument,
    Message,
    Subscription,
)

SNAPSHOT = (
    b'{"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":1672304484978,"data":{"s":"BTCUSDT",'
    b'"b":[["16493.50","0.006"],["16493.00","0.100"]],"a":[["16611.00","0.029"]],"u":18521288,'
    b'"seq":7961638724},"cts":1672304484976}'
)
DELTA = (
    b'{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1687940967466,"data":{"s":"BTCUSDT",'
    b'"b":[["30247.20","30.028"],["30245.40","0"]],"a":[],"u":177400507,"seq":66544703342},'
    b'"cts":1687940967464}'
)
TRADES = (
    b'{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1672304486868,"data":[{"T":1672304486865'
    b',"s":"BTCUSDT","S":"Buy","v":"0.001","p":"16578.50","L":"PlusTick","i":"20f43950-d8dd-5b31",'
    b'"BT":false,"seq":1783284617},{"T":1672304486866,"s":"BTCUSDT","S":"Sell","v":"2","p":"16578",'
    b'"i":"x","BT":true}]}'
)
TICKER = (
    b'{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","lastPrice":"17216.00",'
    b'"bid1Price":"17215.50","bid1Size":"84.489","ask1Price":"17216.00","ask1Size":"83.020"},'
    b'"cs":24987956059,"ts":1673272861686}'
)


def delta(number: int | None, **changed: str) -> bytes:
    data = {"symbol": "BTCUSDT", **changed}
    more = {} if number is None else {"cs": number}
    message = {"topic": "tickers.BTCUSDT", "type": "delta", "data": data, "ts": 1673272861700}
    return json.dumps(message | more).encode()


def quote(number: int, *sides: str | None, ms: int = 1673272861686) -> Message:
    fields: Any = (ms * 1_000_000, *sides)
    return Message("bbo", "BTCUSDT", number, number, "rising", fields)


@pytest.mark.parametrize(
    ("payload", "decoded"),
    [
        (
            SNAPSHOT,
            BookMessage(
                "BTCUSDT",
                "snapshot",
                [("16493.50", "0.006"), ("16493.00", "0.100")],
                [("16611.00", "0.029")],
                1672304484976000000,
                18521288,
                18521288,
                depth=50,
            ),
        ),
        (
            DELTA,
            BookMessage(
                "BTCUSDT",
                "update",
                [("30247.20", "30.028"), ("30245.40", "0")],
                [],
                1687940967464000000,
                177400507,
                177400507,
                depth=50,
            ),
        ),
        (  # the venue's service began anew
            DELTA.replace(b'"u":177400507', b'"u":1').replace(b',"cts":1687940967464', b""),
            BookMessage(
                "BTCUSDT",
                "snapshot",
                [("30247.20", "30.028"), ("30245.40", "0")],
                [],
                1687940967466000000,
                1,
                1,
                depth=50,
            ),
        ),
        (
            TRADES,
            [
                unnumbered(
                    "trade",
                    "BTCUSDT",
                    1672304486865000000,
                    "16578.50",
                    "0.001",
                    "buy",
                    "20f43950-d8dd-5b31",
                ),
                unnumbered("trade", "BTCUSDT", 1672304486866000000, "16578", "2", "sell", "x"),
            ],
        ),
        (TICKER, quote(24987956059, "17215.50", "84.489", "17216.00", "83.020")),
        (
            TICKER.replace(b'"17215.50"', b'""').replace(b'"84.489"', b'""'),
            quote(24987956059, None, None, "17216.00", "83.020"),
        ),
        (
            TICKER.replace(b'"17215.50"', b'"0"').replace(b'"84.489"', b'"0.0"'),
            quote(24987956059, None, None, "17216.00", "83.020"),
        ),
        (
            TICKER.replace(b'"17215.50"', b"17215.50"),
            quote(24987956059, "17215.50", "84.489", "17216.00", "83.020"),
        ),
        (b'{"topic":"tickers.A","data":{"symbol":"A","lastPrice":"1"}}', "ticker without quotes"),
        (delta(7, bid1Price="1", bid1Size="2"), "ticker without quotes"),
        (b'{"topic":"kline.5.BTCUSDT","data":[],"ts":1}', "kline"),
        (b'{"topic":"allLiquidation.ROSEUSDT","data":[]}', "liquidation"),
        (b'{"topic":"new.ROSEUSDT","data":[]}', "another kind of event"),
        (
            b'{"success":true,"ret_msg":"subscribe","conn_id":"2324d924","op":"subscribe"}',
            Subscription("", (), active=True),
        ),
        (
            b'{"success":false,"ret_msg":"error:handler not found","op":"subscribe"}',
            Subscription("", (), active=False, why="error:handler not found"),
        ),
        (b'{"success":true,"ret_msg":"pong","conn_id":"0970e817","op":"ping"}', Heartbeat()),
        (b'{"req_id":"1","op":"pong","args":["1675418560633"]}', Heartbeat()),
    ],
)
def test_golden(payload: bytes, decoded: Decoded) -> None:
    assert connect("")(payload) == decoded


def test_a_ticker_s_delta_has_what_changed() -> None:
    decode = connect("wss://stream.bybit.com/v5/public/linear")
    assert decode(TICKER) == quote(24987956059, "17215.50", "84.489", "17216.00", "83.020")
    later = delta(24987956060, ask1Price="17217.00", ask1Size="1")
    expected = quote(24987956060, "17215.50", "84.489", "17217.00", "1", ms=1673272861700)
    assert decode(later) == expected
    assert decode(delta(24987956061, lastPrice="1")) == "ticker without quotes"
    assert decode(delta(24987956059, bid1Price="1")) == "late ticker"
    assert decode(delta(24987956062, ask1Size="2")) == quote(
        24987956062, "17215.50", "84.489", "17217.00", "2", ms=1673272861700
    )
    # A snapshot has all, whatever its number.
    assert decode(TICKER) == quote(24987956059, "17215.50", "84.489", "17216.00", "83.020")
    fields = (1673272861700_000_000, None, None, "17216.00", "83.020")
    assert decode(delta(None, bid1Price="", bid1Size="")) == unnumbered("bbo", "BTCUSDT", *fields)
    assert connect("")(later) == "ticker without quotes", "each connection has its own"


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (delta(24987956060, bid1Price="17000.00").replace(b'"17000.00"', b"true"), "bid1Price"),
        (delta(24987956060).replace(b'{"symbol": "BTCUSDT"}', b"[]"), "object"),
    ],
)
def test_behind_a_refused_ticker_no_price_is_quoted_that_it_may_have_changed(
    refused: bytes, error: str
) -> None:
    decode = connect("")
    decode(TICKER)
    with pytest.raises(ValueError, match=error):
        decode(refused)
    assert decode(delta(24987956061, ask1Price="17217.00", ask1Size="1")) == "ticker without quotes"
    assert decode(delta(24987956062, bid1Price="17216.50", bid1Size="2")) == quote(
        24987956062, "17216.50", "2", "17217.00", "1", ms=1673272861700
    )


def test_a_ticker_s_snapshot_without_quotes_ends_those_before() -> None:
    decode = connect("")
    decode(TICKER)
    bare = b'{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT"}}'
    assert decode(bare) == "ticker without quotes"
    assert decode(delta(24987956061, ask1Price="17217.00", ask1Size="1")) == "ticker without quotes"


def test_what_is_kept_of_tickers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bybit, "TICKERS_MAX", 1)
    decode = connect("")
    assert isinstance(decode(TICKER), Message)
    assert decode(TICKER.replace(b"BTCUSDT", b"ETHUSDT")) == "ticker without quotes"
    assert isinstance(decode(TICKER), Message)


@pytest.mark.parametrize("address", ["", "wss://stream.bybit.com/v5/public/linear", "spot"])
def test_symbols_of_spot_are_told_apart_where_the_address_says_so(address: str) -> None:
    for payload in (SNAPSHOT, TICKER):
        one = connect(address)(payload)
        assert isinstance(one, BookMessage | Message)
        assert one.symbol == "BTCUSDT"
        other = connect("wss://stream.bybit.com/v5/public/spot")(payload)
        assert other == one._replace(symbol="BTCUSDT-SPOT")
    trades = connect("wss://stream.bybit.com/v5/public/spot/")(TRADES)
    assert isinstance(trades, list)
    assert {one.symbol for one in trades if isinstance(one, Message)} == {"BTCUSDT-SPOT"}


def test_trades_whose_decimals_are_numbers() -> None:
    trades = connect("")(TRADES.replace(b'"16578.50"', b"16578.50"))
    assert isinstance(trades, list)
    assert trades == connect("")(TRADES)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b'{"topic":""}',
        SNAPSHOT[:-9],
        SNAPSHOT.replace(b'"u":18521288', b'"u":-1'),
        SNAPSHOT.replace(b'"u":18521288,', b""),
        SNAPSHOT.replace(b"1672304484976", b"16723044849767"),
        SNAPSHOT.replace(b'["16611.00","0.029"]', b'["16611.00"]'),
        SNAPSHOT.replace(b'"16611.00"', b"{}"),
        TRADES.replace(b'"Buy"', b'"buy"'),
        TRADES.replace(b'"16578.50"', b"true"),
        TRADES.replace(b"[{", b"{").replace(b"}]", b"}"),
        TICKER.replace(b'"symbol":"BTCUSDT",', b""),
        TICKER.replace(b'"17215.50"', b"[]"),
        TICKER.replace(b"1673272861686", b"-5"),
        b"[" * 60_000,
        b'{"topic":"orderbook.1.A","data":{"x":' + b"[" * 60_000,
    ],
)
def test_f44_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        connect("")(payload)


@given(st.binary())
def test_f44_any_bytes_are_taken_or_refused(payload: bytes) -> None:
    taken_or_refused(connect(""), [payload])


@given(st.lists(damaged(SNAPSHOT, DELTA, TRADES, TICKER, delta(7, ask1Price="1")), max_size=4))
def test_f44_damaged_messages_are_taken_or_refused(payloads: list[bytes]) -> None:
    taken_or_refused(connect(""), payloads)


def test_what_a_refused_message_was_is_told() -> None:
    for payload, kind in {SNAPSHOT: "book", TRADES: "trade", TICKER: "bbo"}.items():
        channel, symbol, members = identify(json.loads(payload))
        assert (channel, symbol) == (kind, "BTCUSDT")
        assert members["data"]
    assert identify(json.loads(TRADES))[2]["S"] == "Buy"
    odds: list[Any] = [None, [], {}, {"topic": 5}, {"topic": "orderbook"}, {"data": []}]
    for odd in odds:
        assert identify(odd)[1] == ""


def test_reference_data() -> None:
    linear = {
        **{"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "Trading"},
        "priceFilter": {"minPrice": "0.10", "tickSize": "0.10"},
        "lotSizeFilter": {"qtyStep": "0.001"},
    }
    body = {"retCode": 0, "result": {"category": "linear", "list": [linear]}}
    assert instruments(json.dumps(body).encode()) == [
        Instrument("BTCUSDT", "BTC", "USDT", "0.10", "0.001", 1, 3, "trading")
    ]
    spot = linear | {"lotSizeFilter": {"basePrecision": "0.000001"}, "status": "PreLaunch"}
    body = {"retCode": 0, "result": {"category": "spot", "list": [spot]}}
    assert instruments(json.dumps(body).encode()) == [
        Instrument("BTCUSDT-SPOT", "BTC", "USDT", "0.10", "0.000001", 1, 6, "closed", "BTCUSDT")
    ]
    with pytest.raises(ValueError, match="result"):
        instruments(b"{}")
