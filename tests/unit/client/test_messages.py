"""The client's session: each message becomes an event, each record a typed tick."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.said import hello, receive, tick

from gateway.client.events import (
    Conflation,
    FeedHealth,
    Health,
    Hello,
    Malformed,
    Reply,
    Report,
    Slo,
    Slow,
)
from gateway.client.session import ClientSession
from gateway.client.ticks import Bbo, InstrumentHealth, RawTick, Trade
from gateway.clock import Offset

# --- messages -------------------------------------------------------------------------------------


def test_hello_and_tick() -> None:
    session = ClientSession()
    (greeting,) = receive(session, hello())
    assert isinstance(greeting, Hello)
    assert session.hello == greeting
    (one,) = receive(session, tick(7, skipped=2))
    assert one == Trade(
        channel="trade",
        type="update",
        symbol="A.SIM",
        seq=7,
        ts_event=1,
        ts_recv=2,
        ts_send=3,
        ts_client=5,
        id="1",
        price_text="1.0",
        qty_text="2",
        side="buy",
        skipped=2,
    )


@pytest.mark.parametrize(
    "message",
    [
        {"channel": "heartbeat", "n": 42, "ts_send": 1},
        {"channel": "slo", "type": "update", "data": []},
        {"channel": "new", "type": "unheard", "symbol": "X", "more": [1]},
        {},
    ],
)
def test_unknown_messages_and_heartbeats_are_no_events(message: dict[str, Any]) -> None:
    assert receive(ClientSession(), message) == []


def test_what_the_gateway_says_of_itself_is_a_report() -> None:
    message = {"channel": "ops", "type": "snapshot", "ts_send": 7, "data": [{"version": "1"}]}
    found = receive(ClientSession(), message)
    assert found == [Report("ops", "snapshot", 7, ({"version": "1"},))]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "\x00",
        "[" * 100_000,
        '{"seq":"x"}',
        '{"channel":1}',
        '{"method":"ping","t0":1.5}',
        '{"channel":"system","type":"hello","data":[]}',
        '{"channel":"system","type":"slow","data":[{}]}',
        '{"channel":"system","type":"gap","data":[{"symbol":"A.SIM"}]}',
        '{"channel":"system","type":"gap","data":[{"channel":"a","symbol":"b","from":"x"}]}',
        '{"channel":"system","type":"retired","data":[{}]}',
        '{"channel":"system","type":"epoch","data":[]}',
        '{"channel":"slo","type":"update","data":[{}]}',
        '{"channel":"health","type":"update","data":[{"state":"ok","ready":1,"slo":"ok"}]}',
    ],
)
def test_malformed_messages_are_events(text: str) -> None:
    session = ClientSession()
    (event,) = session.receive(text, mono_ns=0, real_ns=0)
    assert isinstance(event, Malformed)
    assert session.statistics().malformed == 1


def test_what_the_gateway_says_of_itself() -> None:
    session = ClientSession()
    report = {"stage": "total", "percentile": 99, "target_us": 1000, "p50_us": 31.2, "p99_us": 410}
    report |= {"p999_us": None, "count": 500, "state": "at_risk", "action": "conflate", "new": 1}
    (slo,) = receive(session, {"channel": "slo", "type": "update", "ts_send": 7, "data": [report]})
    assert isinstance(slo, Slo)
    assert (slo.ts_send, slo.state, slo.action, slo.p99_us) == (7, "at_risk", "conflate", 410)
    assert (slo.p999_us, slo.count, slo.dropped) == (None, 500, 0)
    feed = {"name": "udp:9700", "venue": "SIM", "up": False, "stale": False}
    health = {"state": "down", "ready": True, "slo": "ok", "feeds": [feed]}
    message = {"channel": "health", "type": "snapshot", "ts_send": 8, "data": [health]}
    assert receive(session, message) == [
        Health("snapshot", 8, "down", True, "ok", (FeedHealth("udp:9700", "SIM", False, False),))
    ]
    message = {"channel": "ops", "type": "update", "ts_send": 9, "data": [{"ts": 1}]}
    assert receive(session, message) == [Report("ops", "update", 9, ({"ts": 1},))]


def test_the_health_of_an_instrument_is_a_topic_s() -> None:
    data = {"state": "suspect", "reason": "bbo bid: not a decimal", "age_ms": 0}
    (event,) = receive(ClientSession(), tick(1, channel="health", data=[data]))
    assert isinstance(event, InstrumentHealth)
    assert (event.channel, event.symbol, event.state) == ("health", "A.SIM", "suspect")
    assert (event.reason, event.input_age_ms) == ("bbo bid: not a decimal", 0)


def test_what_the_gateway_does_about_load_and_slow_clients() -> None:
    session = ClientSession()
    rows = [
        {"class": 2, "interval_ms": 20, "was_ms": 10, "step": 4},
        {"class": 3, "interval_ms": None, "was_ms": 0, "step": 4},
    ]
    assert receive(session, {"channel": "system", "type": "conflation", "data": rows}) == [
        Conflation(2, 20, 10, 4),
        Conflation(3, None, 0, 4),
    ]
    row = {"level": 1, "was": 0, "action": "conflate", "interval_ms": 20, "age_ms": 153}
    message = {"channel": "system", "type": "slow", "data": [row]}
    assert receive(session, message) == [Slow(1, 0, "conflate", 20, 153)]


@given(st.binary(max_size=60))
def test_receive_never_raises(data: bytes) -> None:
    ClientSession().receive(data, mono_ns=0, real_ns=0)


def test_padded_numbers_of_an_ack_are_read() -> None:
    text = '{"method":"subscribe","req_id":1,"success":true,"time_out":17                  ,'
    text += '"results":[{"symbol":"A.SIM","success":true,"seq":8812                }]}'
    (reply,) = ClientSession().receive(text, mono_ns=0, real_ns=0)
    assert isinstance(reply, Reply)
    assert reply.results[0].seq == 8812


# --- records --------------------------------------------------------------------------------------


def test_a_trade_has_its_numbers_exactly_and_as_floats() -> None:
    row = {"id": "9", "price": "0.00000000000012345600", "qty": "12345678901234567.10"}
    (trade,) = receive(ClientSession(), tick(1, data=[row]))
    assert isinstance(trade, Trade)
    assert (trade.price_text, trade.qty_text) == (row["price"], row["qty"])
    assert trade.price == Decimal("123456e-18")
    assert trade.qty + 1 == Decimal("12345678901234568.10")
    assert (trade.price_float, trade.qty_float) == (1.23456e-13, 12345678901234567.1)
    assert (trade.id, trade.side) == ("9", None)
    assert trade.age_ms == pytest.approx(3e-6)
    assert trade.age_ns(Offset(100, 5)) == 103


def test_a_quote_may_have_one_side() -> None:
    row = {"bid": None, "bid_qty": None, "ask": "0.10", "ask_qty": "3"}
    for data in (row, {"ask": "0.10", "ask_qty": "3"}):
        (quote,) = receive(ClientSession(), tick(1, channel="bbo", data=[data]))
        assert isinstance(quote, Bbo)
        assert (quote.bid, quote.bid_qty, quote.bid_float, quote.bid_qty_float) == (None,) * 4
        assert (quote.ask, quote.ask_qty) == (Decimal("0.1"), Decimal(3))
        assert (quote.ask_float, quote.ask_qty_float, quote.ask_text) == (0.1, 3, "0.10")


def test_a_record_of_a_channel_without_a_type_is_raw() -> None:
    (other,) = receive(ClientSession(), tick(1, channel="new", data=[{"bids": []}, {"x": 1}]))
    assert isinstance(other, RawTick)
    assert (other.channel, other.data, other.problem) == ("new", ({"bids": []}, {"x": 1}), "")


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"price": "1", "qty": "2"}] * 2,
        [{"price": "1"}],
        [{"price": 1.5, "qty": "2"}],
        [{"price": "1e5", "qty": "2"}],
        [{"price": "NaN", "qty": "2"}],
        [{"price": "1\n", "qty": "2"}],
        [{"price": "9" * 300, "qty": "2"}],
    ],
)
def test_a_record_that_does_not_fit_is_raw_and_says_why(data: list[Any]) -> None:
    session = ClientSession()
    (raw,) = receive(session, tick(1, data=data))
    assert isinstance(raw, RawTick)
    assert raw.data == tuple(data)
    assert raw.problem
    assert session.statistics().malformed == 1
    assert [type(event) for event in receive(session, tick(2))] == [Trade], "it counts as come"


def test_a_record_can_not_say_what_its_frame_does() -> None:
    row = {"price": "1", "qty": "2", "seq": 9, "symbol": "B.SIM", "ts_client": 0}
    (trade,) = receive(ClientSession(), tick(1, data=[row]))
    assert isinstance(trade, Trade)
    assert (trade.seq, trade.symbol, trade.ts_client) == (1, "A.SIM", 5)
