"""Binance messages: golden captures' lines, what is skipped, what is refused, and any bytes at
all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.damage import damaged, taken_or_refused

from gateway.feeds.venues.binance import decode, identify, instruments, respond
from gateway.feeds.venues.message import BookMessage, Instrument, Level, Malformed, Message

SPOT_TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
    b'"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}\n'
)
USDM_TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256344,"T":1723161256322,'
    b'"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}'
)
SPOT_TICKER = (
    b'{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000",'
    b'"B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}'
)
USDM_TICKER = (
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT",'
    b'"b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256399}}'
)
DEPTH = (
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT",'
    b'"U":50093239189,"u":50093239202,"b":[["61737.63000000","0.00000000"]],"a":[]}}'
)
USDM_DEPTH = (
    b'{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,'
    b'"s":"BTCUSDT","U":5123107832006,"u":5123107837557,"pu":5123107831937,"b":[],'
    b'"a":[["61800.30","2.510"],["61800.40","0.000"]]}}'
)
SNAPSHOT = b'{"lastUpdateId":50093239218,"bids":[["61837.63000000","3.78826000"]],"asks":[]}'


def with_bid(price: str | None, qty: str | None) -> Message:
    """What becomes of SPOT_TICKER where it has this bid."""
    fields = (0, price, qty, "61837.64000000", "1.54698000")
    return Message("bbo", "BTCUSDT", 50093239212, 50093239212, "rising", fields)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (
            SPOT_TRADE,
            Message(
                "trade",
                "BTCUSDT",
                3735683259,
                3735683259,
                "exact",
                (1723161255342000000, "61837.63000000", "0.02000000", "sell", "3735683259"),
            ),
        ),
        (
            USDM_TRADE,
            Message(
                "trade",
                "BTCUSDT",
                5266583935,
                5266583935,
                "sparse",
                (1723161256322000000, "61800.30", "0.006", "buy", "5266583935"),
            ),
        ),
        (SPOT_TICKER, with_bid("61837.63000000", "3.78826000")),
        (
            USDM_TICKER,
            Message(
                "bbo",
                "BTCUSDT",
                5123107839020,
                5123107839020,
                "rising",
                (1723161256313000000, "61800.20", "2.507", "61800.30", "2.510"),
            ),
        ),
        (
            DEPTH,
            BookMessage(
                "BTCUSDT",
                "update",
                [("61737.63000000", "0.00000000")],
                [],
                1723161255208000000,
                50093239189,
                50093239202,
            ),
        ),
        (
            USDM_DEPTH,
            BookMessage(
                "BTCUSDT",
                "update",
                [],
                [("61800.30", "2.510"), ("61800.40", "0.000")],
                1723161256298000000,
                5123107832006,
                5123107837557,
                5123107831937,
            ),
        ),
        (
            SNAPSHOT,
            BookMessage("", "snapshot", [("61837.63000000", "3.78826000")], [], last=50093239218),
        ),
        (  # a price of 0 with a quantity of 0: there is none
            SPOT_TICKER.replace(b'"61837.63000000"', b'"0.00000000"').replace(
                b'"3.78826000"', b'"0.00000000"'
            ),
            with_bid(None, None),
        ),
        (  # numbers, by their digits
            SPOT_TICKER.replace(b'"61837.63000000"', b"61837.630000000000000001").replace(
                b'"3.78826000"', b"1.9e-07"
            ),
            with_bid("61837.630000000000000001", "1.9e-07"),
        ),
        (  # either alone is what it says
            SPOT_TICKER.replace(b'"3.78826000"', b'"0.00000000"'),
            with_bid("61837.63000000", "0.00000000"),
        ),
        (
            SPOT_TICKER.replace(b'"61837.63000000"', b"null").replace(b'"3.78826000"', b"null"),
            with_bid(None, None),
        ),
    ],
)
def test_golden(payload: bytes, message: Message | BookMessage | str) -> None:
    assert decode(payload) == message


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b'{"data":{}}',
        b'{"stream":"btcusdt@trade"}',
        b'{"stream":"btcusdt@trade","data":null}',
        SPOT_TRADE[:-9],
        SPOT_TRADE.replace(b'"61837.63000000"', b"true"),
        SPOT_TRADE.replace(b'"61837.63000000"', b"null"),
        SPOT_TRADE.replace(b'"m":true', b'"m":1'),
        SPOT_TRADE.replace(b'"s":"BTCUSDT",', b""),
        SPOT_TRADE.replace(b"3735683259", b"-1"),
        SPOT_TRADE.replace(b"3735683259", b"9223372036854775808"),
        SPOT_TRADE.replace(b"1723161255342", b"9223372036855"),
        SPOT_TICKER.replace(b'"u":50093239212,', b""),
        SPOT_TICKER.replace(b"BTCUSDT", b"\xff"),
        DEPTH.replace(b'"U":50093239189', b'"U":-1'),
        DEPTH.replace(b'"s":"BTCUSDT",', b""),
        DEPTH.replace(b'"U":50093239189,', b""),
        DEPTH.replace(b"1723161255208", b"17231612552081"),
        DEPTH.replace(b'["61737.63000000","0.00000000"]', b"7"),
        DEPTH.replace(b'["61737.63000000","0.00000000"]', b'["1"]'),
        DEPTH.replace(b'"61737.63000000"', b"true"),
        DEPTH.replace(b'"61737.63000000"', b"[" * 60_000),
        SNAPSHOT.replace(b"50093239218", b"null"),
        SNAPSHOT.replace(b'"asks":[]', b'"asks":{}'),
        b'{"stream":' + b"[" * 60_000,
        b'{"stream":"btcusdt@trade","data":{"x":' + b"[" * 60_000,
    ],
)
def test_f44_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(payload)


@given(st.binary())
def test_f44_any_bytes_are_taken_or_refused(payload: bytes) -> None:
    taken_or_refused(decode, [payload])


@given(damaged(SPOT_TRADE, USDM_TRADE, SPOT_TICKER, USDM_TICKER, DEPTH, USDM_DEPTH, SNAPSHOT))
def test_f44_damaged_messages_are_taken_or_refused(payload: bytes) -> None:
    taken_or_refused(decode, [payload])


def wrapped(stream: str, **data: object) -> bytes:
    return json.dumps({"stream": stream, "data": data}).encode()


def data_of(payload: bytes) -> bytes:
    return json.dumps(json.loads(payload)["data"]).encode()


AGG_TRADE = wrapped(
    "btcusdt@aggTrade",
    **{"e": "aggTrade", "E": 1723161255000, "s": "BTCUSDT", "a": 9, "p": "60000.1", "q": "1.50"},
    **{"f": 11, "l": 13, "T": 1723161255342, "m": True, "M": True},
)


@pytest.mark.parametrize(
    "payload", [SPOT_TRADE, USDM_TRADE, SPOT_TICKER, USDM_TICKER, AGG_TRADE, DEPTH, USDM_DEPTH]
)
def test_a_message_without_its_wrapper_is_the_same(payload: bytes) -> None:
    message = decode(payload)
    assert isinstance(message, Message | BookMessage)
    assert decode(data_of(payload)) == message


def test_all_tickers_in_one_stream() -> None:
    expected = decode(USDM_TICKER)
    assert decode(USDM_TICKER.replace(b"btcusdt@bookTicker", b"!bookTicker")) == expected


def test_an_aggregate_trade_bears_its_trades_numbers() -> None:
    fields = (1723161255342000000, "60000.1", "1.50", "sell", "9")
    assert decode(AGG_TRADE) == Message("trade", "BTCUSDT", 11, 13, "exact", fields)
    futures = decode(AGG_TRADE.replace(b', "M": true', b""))
    assert futures == Message("trade", "BTCUSDT", 11, 13, "sparse", fields)
    with pytest.raises(ValueError, match=r"\$\.l"):
        decode(AGG_TRADE.replace(b'"f": 11', b'"f": 14'))


@pytest.mark.parametrize(
    ("x", "skip"),
    [
        ("MARKET", ""),
        ("INSURANCE_FUND", "insurance fund"),
        ("ADL", "auto-deleveraging"),
        ("NA", "no trade (X is NA)"),
        ("", "not of the market (X)"),
        ("SOMETHING_NEW", "not of the market (X)"),
    ],
)
def test_what_is_not_of_the_market_has_a_number_and_no_record(x: str, skip: str) -> None:
    message = decode(USDM_TRADE.replace(b"MARKET", x.encode()))
    assert isinstance(message, Message)
    assert (message.first, message.last, message.numbering) == (5266583935, 5266583935, "sparse")
    assert message.skip == skip


@pytest.mark.parametrize("zero", ["0", "0.0", "0.00000000"])
def test_a_trade_of_nothing_is_none(zero: str) -> None:
    nothing = USDM_TRADE.replace(b"61800.30", zero.encode()).replace(b"0.006", zero.encode())
    message = decode(nothing)
    assert isinstance(message, Message)
    assert message.skip == "trade of nothing"
    free = decode(USDM_TRADE.replace(b"61800.30", zero.encode()))
    assert isinstance(free, Message)
    assert not free.skip


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        (8, 8_000_000),
        (1723161255342, 1723161255342_000_000),
        (1723161255342123, 1723161255342_123_000),
        (1723161255342123456, 1723161255342_123_456),
    ],
)
def test_times_in_other_units(written: int, ns: int) -> None:
    for payload in (SPOT_TRADE, AGG_TRADE):
        message = decode(payload.replace(b"1723161255342", b"%d" % written))
        assert isinstance(message, Message)
        assert message.fields[0] == ns
    with pytest.raises(ValueError, match=r"\$\.T"):
        decode(SPOT_TRADE.replace(b"1723161255342", b"17231612553421"))


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (b'{"result":null,"id":1}', "reply"),
        (b'{"id":"a","status":200,"result":{"x":1},"rateLimits":[]}', "reply"),
        (b'{"result":["btcusdt@trade"],"id":3}', "reply"),
        (b'{"error":{"code":2,"msg":"x"}}', "error reply"),
        (b'{"code":-1121,"msg":"Invalid symbol."}', "error reply"),
        (b'{"e":"serverShutdown","E":1700000000123}', "control"),
        (wrapped("!serverShutdown", e="serverShutdown", E=1), "control"),
        (wrapped("btcusdt@depth20@100ms", bids=[], asks=[]), "depth"),
        (USDM_DEPTH.replace(b"@depth@0ms", b"@depth5@0ms"), "depth"),
        (wrapped("btcusdt@depth", b=[]), "depth"),
        (wrapped("btcusdt@kline_1m", e="kline"), "kline"),
        (wrapped("btcusdt_perpetual@continuousKline_1m", e="continuous_kline"), "kline"),
        (b'{"e":"continuous_kline","ps":"A"}', "kline"),
        (b'{"stream":"!ticker@arr","data":[{"e":"24hrTicker"}]}', "ticker"),
        (b'[{"e":"24hrMiniTicker","s":"A"},{"e":"24hrMiniTicker","s":"B"}]', "mini ticker"),
        (b'{"stream":"!markPrice@arr@1s","data":[]}', "mark price"),
        (wrapped("!forceOrder@arr", e="forceOrder", o={}), "liquidation"),
        (wrapped("aListenKey", e="ORDER_TRADE_UPDATE"), "another kind of event"),
        (b'{"e":"executionReport","s":"A","t":-1}', "another kind of event"),
        (b'{"lastUpdateId":5}', "depth snapshot"),
    ],
)
def test_what_is_no_record_is_skipped_by_name(payload: bytes, name: str) -> None:
    assert decode(payload) == name


@pytest.mark.parametrize(
    "payload", [b"[1]", b"[[]]", b'[{"e":"trade"}]', b"[" * 60_000, b'{"e":7}', b'{"u":1,"s":"A"}']
)
def test_f44_shapes_of_nothing_known_are_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(payload)


def test_what_a_refused_message_was_is_told_with_a_wrapper_and_without() -> None:
    kinds = {SPOT_TICKER: "bbo", DEPTH: "book"}
    for payload in (SPOT_TRADE, SPOT_TICKER, AGG_TRADE, DEPTH):
        message = json.loads(payload)
        expected = identify(message)
        assert expected[:2] == (kinds.get(payload, "trade"), "BTCUSDT")
        assert identify(message["data"]) == expected
    odds: list[Any] = [None, [], {}, {"e": 5}, {"e": []}, {"data": [], "stream": 7}, {"s": 1}]
    for odd in odds:
        assert identify(odd)[:2] == ("", "")


def test_levels_that_are_numbers_are_taken_by_their_digits() -> None:
    message = decode(DEPTH.replace(b'"61737.63000000"', b"61737.630"))
    assert isinstance(message, BookMessage)
    assert message.bids == [("61737.630", "0.00000000")]


def test_a_level_of_another_shape_is_named_with_its_place() -> None:
    with pytest.raises(Malformed, match="3 values; a level has 2") as error:
        decode(USDM_DEPTH.replace(b'"0.000"]', b'"0.000","1"]'))
    assert error.value.field == "a[1]"
    assert error.value.value == ("61800.40", "0.000", "1")
    with pytest.raises(Malformed, match="neither a text nor a number") as error:
        decode(USDM_DEPTH.replace(b'"0.000"', b"null"))
    assert (error.value.field, error.value.value) == ("a[1][1]", b"null")


URL = "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=1000"


def test_a_snapshot_over_rest_has_its_symbol_from_the_url() -> None:
    levels: list[Level] = [("61837.63000000", "3.78826000")]
    expected = BookMessage("BTCUSDT", "snapshot", levels, [], last=50093239218)
    assert respond(URL, SNAPSHOT) == expected
    futures = b'{"lastUpdateId":7,"E":1723161256501,"T":1723161256493,"bids":[],"asks":[]}'
    expected = BookMessage("BTCUSDT", "snapshot", [], [], 1723161256493000000, last=7)
    assert respond(URL, futures) == expected
    assert respond(URL, b'{"code":-1121,"msg":"Invalid symbol."}') == "error reply"
    assert respond("https://api.binance.com/api/v3/trades?symbol=BTCUSDT", b"[]") is None
    for url, body in ((URL, b"<html>"), (URL, b"[" * 60_000), ("http://[/depth", SNAPSHOT)):
        with pytest.raises(ValueError, match=r"."):
            respond(url, body)


def test_reference_data() -> None:
    listed = {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "stepSize": "1.00000000"},
            {"filterType": "ICEBERG_PARTS", "limit": 10},
        ],
    }
    gone = {"symbol": "OLDUSD_PERP", "contractStatus": "DELIVERED"}
    odd = {"symbol": "X", "status": "?"}
    body = json.dumps({"timezone": "UTC", "symbols": [listed, gone, odd]}).encode()
    assert instruments(body) == [
        Instrument("BTCUSDT", "BTC", "USDT", "0.01000000", "1.00000000", 2, 0, "trading"),
        Instrument("OLDUSD_PERP", "", "", "", "", -1, -1, "delisted"),
        Instrument("X", "", "", "", "", -1, -1, "halted"),
    ]
    with pytest.raises(ValueError, match="symbols"):
        instruments(b"{}")
