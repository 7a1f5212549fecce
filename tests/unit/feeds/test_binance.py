"""Binance messages: golden captures' lines, what is skipped, what is refused, and any bytes at
all."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds.venues.binance import decode
from gateway.feeds.venues.message import Message

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
SNAPSHOT = b'{"lastUpdateId":50093239218,"bids":[["61837.63000000","3.78826000"]],"asks":[]}'


SPOT_ASK = ("61837.64000000", "1.54698000")


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (
            SPOT_TRADE,
            Message(
                "trade",
                "BTCUSDT",
                3735683259,
                True,
                (1723161255342000000, "61837.63000000", "0.02000000", "sell", "3735683259"),
            ),
        ),
        (
            USDM_TRADE,
            Message(
                "trade",
                "BTCUSDT",
                5266583935,
                True,
                (1723161256322000000, "61800.30", "0.006", "buy", "5266583935"),
            ),
        ),
        (
            SPOT_TICKER,
            Message(
                "bbo",
                "BTCUSDT",
                50093239212,
                False,
                (0, "61837.63000000", "3.78826000", "61837.64000000", "1.54698000"),
            ),
        ),
        (
            USDM_TICKER,
            Message(
                "bbo",
                "BTCUSDT",
                5123107839020,
                False,
                (1723161256313000000, "61800.20", "2.507", "61800.30", "2.510"),
            ),
        ),
        (DEPTH, None),
        (SNAPSHOT, None),
        (  # a price of 0 with a quantity of 0: there is none
            SPOT_TICKER.replace(b'"61837.63000000"', b'"0.00000000"').replace(
                b'"3.78826000"', b'"0.00000000"'
            ),
            Message("bbo", "BTCUSDT", 50093239212, False, (0, None, None, *SPOT_ASK)),
        ),
        (  # numbers, by their digits
            SPOT_TICKER.replace(b'"61837.63000000"', b"61837.630000000000000001").replace(
                b'"3.78826000"', b"1.9e-07"
            ),
            Message(
                "bbo",
                "BTCUSDT",
                50093239212,
                False,
                (0, "61837.630000000000000001", "1.9e-07", *SPOT_ASK),
            ),
        ),
        (  # either alone is what it says
            SPOT_TICKER.replace(b'"3.78826000"', b'"0.00000000"'),
            Message(
                "bbo",
                "BTCUSDT",
                50093239212,
                False,
                (0, "61837.63000000", "0.00000000", *SPOT_ASK),
            ),
        ),
        (
            SPOT_TICKER.replace(b'"61837.63000000"', b"null").replace(b'"3.78826000"', b"null"),
            Message("bbo", "BTCUSDT", 50093239212, False, (0, None, None, *SPOT_ASK)),
        ),
    ],
)
def test_golden(payload: bytes, message: Message | None) -> None:
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
        b'{"stream":' + b"[" * 60_000,
        b'{"stream":"btcusdt@trade","data":{"x":' + b"[" * 60_000,
    ],
)
def test_f44_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(payload)


@given(st.binary())
def test_f44_any_bytes_are_taken_or_refused(payload: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode(payload)


@given(
    st.sampled_from([SPOT_TRADE, USDM_TRADE, SPOT_TICKER, USDM_TICKER, DEPTH, SNAPSHOT]),
    st.integers(0, 400),
    st.binary(max_size=3),
    st.integers(0, 4),
)
def test_f44_damaged_messages_are_taken_or_refused(
    payload: bytes, at: int, bytes_put: bytes, bytes_cut: int
) -> None:
    with contextlib.suppress(ValueError):
        decode(payload[:at] + bytes_put + payload[at + bytes_cut :])
