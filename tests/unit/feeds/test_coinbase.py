"""Coinbase's messages: golden ones, the connection's numbers, long snapshots, any bytes at all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.damage import damaged, taken_or_refused
from support.venues import unnumbered

from gateway.feeds.refusals import LOOKED_AT_BYTES, _head, of_input
from gateway.feeds.venues.arrays import SLICE_BYTES
from gateway.feeds.venues.coinbase import connect, identify, instruments
from gateway.feeds.venues.message import (
    BookMessage,
    Decoded,
    Heartbeat,
    Instrument,
    Lost,
    Malformed,
    Message,
    Subscription,
)

AT = "2026-08-09T21:05:48.228568804Z"
NS = 1786309548_228568804


def message(channel: str, number: int | None, *events: dict[str, Any], at: str = AT) -> bytes:
    whole = {"channel": channel, "timestamp": at, "sequence_num": number, "events": events}
    if number is None:
        del whole["sequence_num"]
    return json.dumps(whole, separators=(",", ":")).encode()


def trade(number: int, side: str = "SELL", **more: object) -> dict[str, Any]:
    return {
        **{"product_id": "BTC-USD", "trade_id": str(number), "price": "65083.67"},
        **{"size": "0.002186", "time": "2026-08-09T21:05:42.514318Z", "side": side},
        **more,
    }


def level(side: str, price: str, qty: str) -> dict[str, str]:
    time = "2026-08-09T21:05:48.170326Z" if side == "bid" else "2026-08-09T21:05:48.1Z"
    return {"side": side, "event_time": time, "price_level": price, "new_quantity": qty}


def book(kind: str, number: int, *levels: dict[str, str], at: str = AT) -> bytes:
    event = {"type": kind, "product_id": "BTC-USD", "updates": levels}
    return message("l2_data", number, event, at=at)


def ticker(number: int, at: str = AT, **more: str) -> bytes:
    quote = {
        **{"type": "ticker", "product_id": "BTC-USD", "price": "65086.18"},
        **{"best_bid": "65083.66", "best_ask": "65083.67"},
        **{"best_bid_quantity": "0.20371215", "best_ask_quantity": "0.24290402"},
        **more,
    }
    return message("ticker", number, {"type": "update", "tickers": [quote]}, at=at)


def traded(number: int, side: str) -> Message:
    ns = 1786309542_514318000
    fields = (ns, "65083.67", "0.002186", side, str(number))
    return Message("trade", "BTC-USD", number, number, "exact", fields)


TRADES = message("market_trades", 0, {"type": "update", "trades": [trade(9, "BUY"), trade(8)]})
BOOK = book("snapshot", 13, level("bid", "65083.66", "0.2"), level("offer", "65083.67", "0.15"))
QUOTE = unnumbered("bbo", "BTC-USD", NS, "65083.66", "0.20371215", "65083.67", "0.24290402")


@pytest.mark.parametrize(
    ("payload", "decoded"),
    [
        (TRADES, [traded(8, "buy"), traded(9, "sell")]),  # the oldest first, by the taker's side
        (
            BOOK,
            [
                BookMessage(
                    "BTC-USD",
                    "snapshot",
                    [("65083.66", "0.2")],
                    [("65083.67", "0.15")],
                    1786309548_170326000,
                    last=13,
                )
            ],
        ),
        (
            book("update", 14, level("bid", "65083.66", "0")),
            [
                BookMessage(
                    "BTC-USD", "update", [("65083.66", "0")], [], 1786309548_170326000, last=14
                )
            ],
        ),
        (ticker(7), [QUOTE]),
        (
            ticker(7, best_bid="", best_bid_quantity="0", best_ask="0", best_ask_quantity=""),
            [QUOTE._replace(fields=(NS, None, None, None, None))],
        ),
        (
            message("ticker", 7, {"tickers": [{"product_id": "BTC-USD", "price": "65086.18"}]}),
            ["ticker without quotes"],  # and not a quote whose sides are empty
        ),
        (
            message("heartbeats", 35, {"current_time": "x", "heartbeat_counter": 41691}),
            [Heartbeat(41691)],
        ),
        (
            message("subscriptions", 2, {"subscriptions": {"level2": ["BTC-USD", "ETH-USD"]}}),
            [Subscription("level2", ("BTC-USD", "ETH-USD"), active=True)],
        ),
        (message("candles", 3, {"type": "snapshot", "candles": []}), "kline"),
        (message("new", 3), "another kind of event"),
        (b'{"type":"error","message":"rate limit exceeded"}', "error reply"),
        (message("l2_data", None, {"type": "update", "product_id": "A", "updates": []}),
         [BookMessage("A", "update", [], [])]),
    ],
)  # fmt: skip
def test_golden(payload: bytes, decoded: Decoded) -> None:
    assert connect("")(payload) == decoded


def test_decimals_that_are_numbers_are_taken_by_their_digits() -> None:
    decode = connect("")
    payload = TRADES.replace(b'"65083.67"', b"65083.67")
    assert decode(payload) == [traded(8, "buy"), traded(9, "sell")]
    assert decode(ticker(1).replace(b'"65083.66"', b"65083.66")) == [QUOTE]
    assert connect("")(BOOK.replace(b'"0.2"', b"0.2")) == connect("")(BOOK)


def test_f42_the_connection_s_numbers_show_what_is_missing() -> None:
    decode = connect("")
    assert decode(ticker(5)) == [QUOTE], "it may have begun before"
    assert decode(ticker(6)) == [QUOTE]
    assert decode(ticker(6)) == "duplicate message"
    assert decode(ticker(9)) == [Lost(2, 9), QUOTE]
    assert decode(ticker(8)) == "late message"
    late = decode(message("market_trades", 7, {"type": "update", "trades": [trade(8)]}))
    assert late == [traded(8, "buy")], "trades have numbers of their own"
    assert decode(message("candles", 13)) == [Lost(3, 13), "kline"]
    later = "2026-08-09T22:00:00Z"
    assert decode(ticker(0, at=later)) == [Lost(None, 0), *connect("")(ticker(0, at=later))]


def test_what_is_missing_before_a_refused_message_is_told_with_the_next() -> None:
    decode = connect("")
    decode(ticker(1))
    with pytest.raises(ValueError, match="neither bid"):
        decode(book("update", 4, level("?", "1", "1")))
    assert decode(ticker(5)) == [Lost(2, 4), QUOTE]
    assert decode(ticker(6)) == [QUOTE], "the refused one is not missing"


def test_a_refused_message_of_several_books_is_missing_in_each() -> None:
    decode = connect("")
    decode(ticker(1))
    events = [
        {"type": "update", "product_id": product, "updates": [level(side, "1", "1")]}
        for product, side in (("BTC-USD", "?"), ("ETH-USD", "bid"))
    ]
    for number in (3, 4):
        with pytest.raises(ValueError, match="neither bid"):
            decode(message("l2_data", number, *events))
    assert decode(ticker(5)) == [Lost(3, 5), QUOTE]
    assert decode(ticker(6)) == [QUOTE]


@pytest.mark.parametrize("count", [3, 4000])
def test_long_snapshots_are_read_in_slices(count: int) -> None:
    levels = [level("bid", str(n), f"0.{n}") for n in range(1, count + 1)]
    payload = book("snapshot", 1, *levels)
    assert (len(payload) > 8 * SLICE_BYTES) == (count > 3)
    books = connect("")(payload)
    assert isinstance(books, list)
    (found,) = books
    assert isinstance(found, BookMessage)
    assert found.bids == [(str(n), f"0.{n}") for n in range(1, count + 1)]
    # Two events in one message, members behind the levels, and blanks: no place for the cut.
    event = {"type": "snapshot", "product_id": "A", "updates": levels}
    behind = {"updates": levels, "type": "snapshot", "product_id": "A"}
    for events in ([event, event], [behind], [behind, event]):
        expected = [found._replace(symbol="A")] * len(events)
        assert connect("")(message("l2_data", 1, *events)) == expected
        spaced = json.dumps(json.loads(message("l2_data", 1, *events))).encode()
        assert connect("")(spaced) == expected
    for wrong in (payload[:-1], payload[:-3], payload.replace(b'"2"', b"{}")):
        with pytest.raises(ValueError, match=r"."):
            connect("")(wrong)
    nested = payload[:-4] + b"," + b"[" * 60_000
    with pytest.raises(ValueError, match=r"."):
        connect("")(nested)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b'{"type":"update"}',
        BOOK[:-9],
        BOOK.replace(b'"snapshot"', b'"?"'),
        BOOK.replace(b'"offer"', b'"other"'),
        BOOK.replace(b'"65083.67"', b"null"),
        BOOK.replace(b":13,", b":-1,"),
        BOOK.replace(b"2026-08-09T21:05:48.170326Z", b"9"),
        TRADES.replace(b'"BUY"', b'"buy"'),
        TRADES.replace(b'"8"', b'"x8"'),
        TRADES.replace(b'"8"', b'"1234567890123456789"'),
        TRADES.replace(b'"time":"2026', b'"time":"x'),
        ticker(1).replace(b'"product_id":"BTC-USD",', b""),
        ticker(1).replace(AT.encode(), b"now"),
        message("heartbeats", 1).replace(b"[]", b"7"),
        b"[" * 60_000,
        b'{"channel":"ticker","events":' + b"[" * 60_000,
    ],
)
def test_f44_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        connect("")(payload)


def test_a_level_of_another_shape_is_named_with_its_place() -> None:
    with pytest.raises(Malformed) as error:
        connect("")(BOOK.replace(b'"0.15"', b"null"))
    assert error.value.field == "updates[1]"
    with pytest.raises(Malformed, match="neither bid nor offer") as error:
        connect("")(BOOK.replace(b'"offer"', b'"other"'))
    assert (error.value.field, error.value.value) == ("updates.side", "other")


@pytest.mark.parametrize(
    ("trades", "field", "value"),
    [
        ([trade(7, price=[]), trade(8)], "price", "[]"),
        ([trade(8), trade(7, price=[])], "price", ""),  # of the second one the value is not told
        ([trade(7, size=True)], "size", "True"),
        ([{"product_id": "BTC-USD"}], "trade_id", ""),
    ],
)
def test_a_refused_trade_is_named_by_its_field(
    trades: list[dict[str, Any]], field: str, value: str
) -> None:
    payload = message("market_trades", 1, {"type": "update", "trades": trades})
    with pytest.raises(ValueError, match=r"\$\[0\]") as error:
        connect("")(payload)
    refusal = of_input(payload, error.value, identify)
    assert (refusal.reason, refusal.channel, refusal.symbol) == ("shape", "trade", "BTC-USD")
    assert (refusal.field, refusal.value) == (field, value)


@pytest.mark.parametrize("wrong", ['{"side":"?","price_level":"1","new_quantity":"1"}', "7", "{"])
def test_a_long_message_that_is_refused_is_named_by_its_beginning(wrong: str) -> None:
    levels = [level("bid", str(n), 'a "quoted\\" {') for n in range(5000)]
    payload = book("snapshot", 1, *levels)[:-4] + b"," + wrong.encode() + b"]}]}"
    with pytest.raises(ValueError, match=r".") as error:
        connect("")(payload)
    refusal = of_input(payload, error.value, identify)
    assert (refusal.channel, refusal.symbol) == ("book", "BTC-USD")
    assert refusal.reason == ("line" if wrong == "{" else "shape")
    beginning = json.loads(_head(payload))
    assert beginning["events"][0]["updates"] == levels[: len(beginning["events"][0]["updates"])]
    assert len(_head(payload)) < LOOKED_AT_BYTES + 10
    assert _head(b"x" * 100_000) == b""


@given(st.binary())
def test_f44_any_bytes_are_taken_or_refused(payload: bytes) -> None:
    taken_or_refused(connect(""), [payload])


@given(st.lists(damaged(TRADES, BOOK, ticker(1), ticker(7), book("snapshot", 3)), max_size=4))
def test_f44_damaged_messages_are_taken_or_refused(payloads: list[bytes]) -> None:
    taken_or_refused(connect(""), payloads)


def test_what_a_refused_message_was_is_told() -> None:
    for payload, kind in {BOOK: "book", TRADES: "trade", ticker(1): "bbo"}.items():
        assert identify(json.loads(payload))[:2] == (kind, "BTC-USD")
    assert identify(json.loads(TRADES))[2]["side"] == "BUY"
    odds: list[Any] = [None, [], {}, {"channel": 5}, {"channel": "ticker", "events": [5]}]
    for odd in odds:
        assert identify(odd)[1] == ""


def test_reference_data() -> None:
    product = {
        **{"product_id": "BTC-USD", "base_increment": "0.00000001", "quote_increment": "0.01"},
        **{"base_currency_id": "BTC", "quote_currency_id": "USD", "status": "online"},
    }
    halted = product | {"trading_disabled": True, "price_increment": "0.5"}
    auction = product | {"auction_mode": True}
    gone = product | {"status": "delisted"}
    body = json.dumps({"products": [product, halted, auction, gone]}).encode()
    expected = Instrument("BTC-USD", "BTC", "USD", "0.01", "0.00000001", 2, 8, "trading")
    assert instruments(body) == [
        expected,
        expected._replace(tick="0.5", price_digits=1, status="halted"),
        expected._replace(status="auction"),
        expected._replace(status="delisted"),
    ]
    with pytest.raises(ValueError, match="products"):
        instruments(b"{}")
