"""Continuity, acks, epochs and requests of the client's sans-IO session."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.events import (
    Conflation,
    Event,
    FeedHealth,
    Gap,
    Health,
    Hello,
    Malformed,
    Reply,
    Report,
    Retired,
    Slo,
    Slow,
    System,
)
from gateway.client.session import (
    REQUEST_BYTES_MAX,
    REQUEST_SYMBOLS_MAX,
    ClientSession,
    Request,
)
from gateway.client.ticks import Bbo, RawTick, Tick, Trade
from gateway.clock import Offset
from gateway.model.topic import escape

SECOND = 1_000_000_000


def receive(session: ClientSession, message: dict[str, Any], mono_ns: int = 0) -> list[Event]:
    return session.receive(json.dumps(message), mono_ns=mono_ns, real_ns=5)


def tick(seq: int, symbol: str = "A.SIM", **more: Any) -> dict[str, Any]:
    base = {"channel": "trade", "type": "update", "symbol": symbol, "seq": seq}
    times = {"ts_event": 1, "ts_recv": 2, "ts_send": 3}
    return base | times | {"data": [{"id": "1", "price": "1.0", "qty": "2", "side": "buy"}]} | more


def hello(epoch: str = "e1", heartbeat_ms: int = 1000) -> dict[str, Any]:
    data = {"version": "0.1.0", "connection_id": "c-1", "epoch": epoch, "now": 1}
    return {
        "channel": "system",
        "type": "hello",
        "data": [data | {"heartbeat_ms": heartbeat_ms, "slo": {}}],
    }


def ack(request: Request, *results: dict[str, Any]) -> dict[str, Any]:
    method = json.loads(request.text)["method"]
    return {"method": method, "req_id": request.req_id, "success": True, "results": list(results)}


def good(symbol: str) -> dict[str, Any]:
    return {"symbol": symbol, "success": True, "channel": "trade", "seq": 0}


Missing = tuple[int | None, int | None, int | None]
UNKNOWN: Missing = (None, None, None)


def missing(events: list[Event]) -> list[tuple[Any, ...]]:
    """Reason, first, last and count of each gap."""
    return [(e.reason, e.from_seq, e.to_seq, e.lost) for e in events if isinstance(e, Gap)]


def wanted(session: ClientSession) -> list[tuple[str, list[str]]]:
    """(channel, symbols) that a new connection would ask for."""
    params = [json.loads(request.text)["params"] for request in session.connected(0)]
    return [(param["channel"], param["symbol"]) for param in params]


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
    assert isinstance(event, RawTick)
    assert (event.channel, event.symbol, event.data) == ("health", "A.SIM", (data,))


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


# --- continuity -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "gaps"),
    [
        ([(5, 0), (6, 0), (7, 0)], []),
        ([(5, 0), (9, 3), (10, 0)], []),
        ([(5, 0), (7, 0)], [(6, 6, 1)]),
        ([(5, 0), (9, 2)], [(6, 6, 1)]),
        ([(5, 0), (9, 1)], [(6, 7, 2)]),
        ([(5, 0), (5, 0)], [UNKNOWN]),
        ([(5, 0), (7, 3)], [UNKNOWN]),
        ([(5, 0), (4, 0), (5, 0)], [UNKNOWN]),
        ([(5, 0), (7, 0), (8, 0), (10, 0)], [(6, 6, 1), (9, 9, 1)]),
    ],
)
def test_continuity(frames: list[tuple[int, int]], gaps: list[Missing]) -> None:
    session = ClientSession()
    events = [e for seq, skipped in frames for e in receive(session, tick(seq, skipped=skipped))]
    assert missing(events) == [("sequence", *gap) for gap in gaps]
    assert [e.seq for e in events if isinstance(e, Tick)] == [seq for seq, _ in frames]
    assert session.statistics().gaps == len(gaps)


def test_topics_are_counted_apart() -> None:
    session = ClientSession()
    for message in (tick(5), tick(8, "B.SIM"), tick(3, channel="bbo"), tick(6), tick(9, "B.SIM")):
        assert not any(isinstance(event, Gap) for event in receive(session, message))
    assert session.statistics().topics == 3


def test_an_epoch_restarts_the_numbering() -> None:
    session = ClientSession()
    receive(session, tick(500))
    epoch = {"channel": "system", "type": "epoch", "data": [{"epoch": "e2"}]}
    assert receive(session, epoch) == [System("epoch", ({"epoch": "e2"},))]
    assert [type(event) for event in receive(session, tick(1))] == [Trade]


@pytest.mark.parametrize("symbol", ["A.SIM", "*.SIM", "*", "A*", "A.*M"])
def test_the_first_frame_after_an_ack_sets_last(symbol: str) -> None:
    session = ClientSession()
    receive(session, tick(500))
    (request,) = session.subscribe("trade", [symbol])
    receive(session, ack(request, good(symbol)))
    assert missing(receive(session, tick(700))) == [("resubscribe", 501, 699, 199)]
    assert missing(receive(session, tick(702))) == [("sequence", 701, 701, 1)]


@pytest.mark.parametrize("symbol", ["B.SIM", "*.OTHER", "AA*", "A.SI"])
def test_an_ack_of_another_topic_changes_nothing(symbol: str) -> None:
    session = ClientSession()
    receive(session, tick(500))
    (request,) = session.subscribe("trade", [symbol])
    receive(session, ack(request, good(symbol)))
    assert missing(receive(session, tick(700))) == [("sequence", 501, 699, 199)]


@given(st.lists(st.tuples(st.sampled_from(["A.SIM", "B.SIM"]), st.integers(0, 3)), max_size=30))
def test_any_loss_that_is_announced_is_no_gap(steps: list[tuple[str, int]]) -> None:
    session = ClientSession()
    seq = {"A.SIM": 0, "B.SIM": 0}
    for symbol, skipped in steps:
        seq[symbol] += 1 + skipped
        message = tick(seq[symbol], symbol, skipped=skipped)
        assert not any(isinstance(event, Gap) for event in receive(session, message))
    assert session.statistics().skipped == sum(skipped for _, skipped in steps)


# --- across connections ---------------------------------------------------------------------------


def again(session: ClientSession, epoch: str = "e1") -> list[Request]:
    """Another connection, with its hello."""
    requests = session.connected(0)
    receive(session, hello(epoch))
    return requests


def subscribed(*symbols: str, channel: str = "trade", **params: Any) -> ClientSession:
    session = ClientSession()
    session.subscribe(channel, symbols, **params)
    again(session)
    return session


@pytest.mark.parametrize(
    ("first", "gaps"),
    [
        (tick(7, type="snapshot"), []),
        (tick(8, type="snapshot"), []),
        (tick(8), []),
        (tick(10, type="snapshot"), [("reconnect", 8, 9, 2)]),
        (tick(10), [("reconnect", 8, 9, 2)]),
        (tick(10, skipped=1), [("reconnect", 8, 8, 1)]),
        (tick(10, skipped=2), []),
        (tick(3, type="snapshot"), [("reconnect", *UNKNOWN)]),
    ],
)
def test_what_was_missed_between_two_connections_is_a_gap(
    first: dict[str, Any], gaps: list[tuple[Any, ...]]
) -> None:
    session = subscribed("*")
    receive(session, tick(7))
    again(session)
    events = receive(session, first)
    assert missing(events) == gaps
    assert isinstance(events[-1], Trade)
    statistics = session.statistics()
    assert statistics.gaps == len(gaps)
    assert statistics.lost == sum(gap[3] or 0 for gap in gaps)
    follows = receive(session, tick(first["seq"] + 1))
    assert not missing(follows), "once"


def test_of_a_conflated_topic_what_was_missed_is_skipped() -> None:
    session = subscribed("A.SIM", channel="bbo")
    receive(session, tick(7, channel="bbo"))
    again(session)
    (quote,) = receive(session, tick(12, channel="bbo", type="snapshot", skipped=1))
    assert isinstance(quote, Bbo)
    assert quote.skipped == 4
    statistics = session.statistics()
    assert (statistics.skipped, statistics.lost, statistics.gaps) == (4, 0, 0)


@pytest.mark.parametrize(
    ("names", "modes", "is_gap"),
    [
        (["A.SIM", "*"], ["conflate", "lossless"], False),
        (["A.SIM", "*"], ["lossless", "conflate"], True),
        (["*", "A*"], ["conflate", "lossless"], True),
        (["*", "A*"], ["lossless", "conflate"], False),
    ],
)
def test_the_mode_in_force_decides_whether_it_is_a_gap(
    names: list[str], modes: list[str], is_gap: bool
) -> None:
    session = subscribed(*names)
    receive(session, tick(7))
    (request,) = again(session)
    results = [good(n) | {"mode": mode} for n, mode in zip(names, modes, strict=True)]
    receive(session, ack(request, *results))
    events = receive(session, tick(9))
    assert bool(missing(events)) is is_gap
    assert session.statistics().skipped == (0 if is_gap else 1)


def test_another_epoch_can_not_be_counted() -> None:
    session = subscribed("*")
    receive(session, tick(7))
    receive(session, tick(7, channel="bbo"))
    again(session, "e2")
    assert missing(receive(session, tick(1))) == [("reconnect", *UNKNOWN)]
    assert missing(receive(session, tick(1, channel="bbo"))) == []
    # The epoch may have changed in the middle of a connection, too: then it is that one that holds.
    receive(session, {"channel": "system", "type": "epoch", "data": [{"epoch": "e3"}]})
    receive(session, tick(1))
    again(session, "e3")
    assert missing(receive(session, tick(4))) == [("reconnect", 2, 3, 2)]


def test_what_was_missed_is_told_however_many_connections_failed_meanwhile() -> None:
    session = subscribed("*")
    receive(session, tick(7))
    session.connected(0)  # which said nothing
    again(session)  # where no record of it came
    again(session)
    assert missing(receive(session, tick(10))) == [("reconnect", 8, 9, 2)]


def test_without_a_snapshot_the_reply_tells_what_was_missed() -> None:
    session = subscribed("A.SIM", snapshot=False)
    receive(session, tick(7))
    (request,) = again(session)
    result = good("A.SIM") | {"seq": 9, "epoch": "e1", "snapshot": False}
    assert missing(receive(session, ack(request, result))) == [("reconnect", 8, 9, 2)]
    assert missing(receive(session, tick(12))) == [("reconnect", 10, 11, 2)]
    assert session.statistics().lost == 4
    (request,) = again(session, "e2")
    receive(session, ack(request, result | {"epoch": "e2"}))
    assert missing(receive(session, tick(10))) == [("reconnect", *UNKNOWN)]


def test_what_is_no_longer_wanted_is_not_missed() -> None:
    session = subscribed("A.SIM", "*.B")
    receive(session, tick(7))
    receive(session, tick(7, "X.B"))
    for symbol in ("A.SIM", "*.B"):
        (request,) = session.unsubscribe("trade", symbol)
        receive(session, ack(request, {"symbol": symbol, "success": True}))
    assert missing(receive(session, tick(20))) == []
    assert missing(receive(session, tick(20, "X.B"))) == []
    session.subscribe("trade", "*")
    (request,) = session.unsubscribe("trade", "A.SIM")  # another string still covers it
    receive(session, ack(request, {"symbol": "A.SIM", "success": True}))
    assert missing(receive(session, tick(23))) == [("resubscribe", 21, 22, 2)]


class Publisher:
    """A naive gateway of one topic: what it publishes, loses and merges is counted by hand."""

    def __init__(self, session: ClientSession, channel: str) -> None:
        self.session = session
        self.channel = channel
        self.seq = 0
        self.skipped = 0  # merged, and to be told with the next frame
        self.first = 0  # the first record that the client got
        self.got: set[int] = set()
        self.told = 0
        self.fresh = True  # no frame since the subscription

    def step(self, what: str) -> None:
        match what:
            case "lose":  # whatever is not told while connected
                self.seq += 1
                self.skipped = 0 if self.fresh else self.skipped
            case "merge" if not self.fresh:
                self.seq += 1
                self.skipped += 1
            case "reconnect":
                again(self.session)
                self.fresh, self.skipped = True, 0
            case "resubscribe":
                (request,) = self.session.subscribe(self.channel, "*")
                receive(self.session, ack(request, good("*")))
                self.fresh, self.skipped = True, 0
            case "snapshot" if self.fresh and self.seq:
                self.send("snapshot")
            case "update":
                self.seq += 1
                self.send("update")

    def send(self, kind: str) -> None:
        frame = tick(self.seq, channel=self.channel, type=kind, skipped=self.skipped)
        events = receive(self.session, frame)
        self.first = self.first or self.seq
        self.got.add(self.seq)
        record = events[-1]
        assert isinstance(record, Tick)
        self.told += record.skipped
        self.told += sum(gap.lost or 0 for gap in events[:-1] if isinstance(gap, Gap))
        self.fresh, self.skipped = False, 0
        assert self.told == self.seq - self.first + 1 - len(self.got)


@pytest.mark.parametrize("channel", ["trade", "bbo"])
@given(
    st.lists(
        st.sampled_from(["lose", "merge", "reconnect", "resubscribe", "snapshot", "update"]),
        max_size=40,
    )
)
def test_every_record_came_or_was_told_to_be_missing(channel: str, steps: list[str]) -> None:
    publisher = Publisher(subscribed("*", channel=channel), channel)
    for step in steps:
        publisher.step(step)
    statistics = publisher.session.statistics()
    assert statistics.skipped + statistics.lost == publisher.told


# --- what the gateway tells of gaps ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "gap"),
    [
        ({"from": 8, "to": 10, "reason": "lapped"}, Gap("trade", "A.SIM", "lapped", 8, 10, 3)),
        ({"from": 8, "to": 8, "reason": "failover"}, Gap("trade", "A.SIM", "failover", 8, 8, 1)),
        ({"reason": "feed", "lost": 5}, Gap("trade", "A.SIM", "feed", lost=5)),
        ({"reason": "refused"}, Gap("trade", "A.SIM", "refused")),
        ({"reason": "reset", "why": "new"}, Gap("trade", "A.SIM", "reset")),
        ({"reason": "unheard of"}, Gap("trade", "A.SIM", "unheard of")),
        ({"from": 8, "to": 7}, Gap("trade", "A.SIM", "", 8, 7)),
    ],
)
def test_a_gap_that_the_gateway_tells(row: dict[str, Any], gap: Gap) -> None:
    session = subscribed("A.SIM")
    data = [{"channel": "trade", "symbol": "A.SIM"} | row]
    assert receive(session, {"channel": "system", "type": "gap", "data": data}) == [gap]
    assert session.resync(gap) == [], "the gateway goes on by itself"
    assert session.statistics().gaps == 1
    assert session.statistics().lost == 0, "its next frame says what it skipped"


def test_a_retired_instrument_is_forgotten() -> None:
    session = subscribed("*")
    receive(session, tick(7))
    data = [{"channel": "trade", "symbol": "A.SIM"}, {"channel": "bbo", "symbol": "A.SIM"}]
    assert receive(session, {"channel": "system", "type": "retired", "data": data}) == [
        Retired("trade", "A.SIM"),
        Retired("bbo", "A.SIM"),
    ]
    assert missing(receive(session, tick(1))) == []


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
    (book,) = receive(ClientSession(), tick(1, channel="book", data=[{"bids": []}, {"x": 1}]))
    assert isinstance(book, RawTick)
    assert (book.channel, book.data, book.problem) == ("book", ({"bids": []}, {"x": 1}), "")


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


# --- what is wanted -------------------------------------------------------------------------------


def test_requests_have_the_protocol_s_form() -> None:
    (request,) = ClientSession().subscribe("bbo", ["A.SIM", "B*"], mode="conflate")
    assert json.loads(request.text) == {
        "method": "subscribe",
        "req_id": 1,
        "params": {"channel": "bbo", "symbol": ["A.SIM", "B*"], "mode": "conflate"},
    }


def test_a_new_connection_asks_again_for_what_is_wanted_in_order() -> None:
    session = ClientSession()
    session.subscribe("trade", ["A.SIM", "B.SIM"])
    session.subscribe("trade", ["*"], mode="conflate")
    session.subscribe("bbo", ["A.SIM"])
    session.unsubscribe("trade", ["B.SIM"])
    session.subscribe("trade", ["A.SIM"])  # again: now its parameters are the latest
    assert wanted(session) == [("trade", ["*"]), ("bbo", ["A.SIM"]), ("trade", ["A.SIM"])]
    assert receive(session, tick(9))
    session.connected(0)
    assert [type(event) for event in receive(session, tick(1))] == [Trade]


@pytest.mark.parametrize(("retryable", "left"), [(False, []), (True, [("trade", ["NO.X"])])])
def test_what_was_refused_for_good_is_not_asked_for_again(
    retryable: bool, left: list[tuple[str, list[str]]]
) -> None:
    session = ClientSession()
    (request,) = session.subscribe("trade", ["NO.X"])
    error = {"code": "unknown_symbol", "message": "no", "retryable": retryable}
    receive(session, ack(request, {"symbol": "NO.X", "success": False, "error": error}))
    assert wanted(session) == left
    (request,) = session.subscribe("trade", ["NO.X"])
    receive(session, ack(request) | {"success": False, "error": error})
    assert wanted(session) == left


def test_a_string_is_one_symbol() -> None:
    session = ClientSession()
    for ask in (session.subscribe, session.update, session.unsubscribe):
        (request,) = ask("trade", "A.SIM")
        assert json.loads(request.text)["params"]["symbol"] == ["A.SIM"]


def test_what_was_missed_is_asked_for_once_and_the_answer_is_told() -> None:
    session = ClientSession()
    (request,) = session.subscribe("trade", "A.SIM", from_={"epoch": "e1", "seq": 7}, mode=None)
    params = {"channel": "trade", "symbol": ["A.SIM"], "from": {"epoch": "e1", "seq": 7}}
    assert json.loads(request.text)["params"] == params
    result = good("A.SIM") | {"recovery": "insufficient_state"}
    reply, gap = receive(session, ack(request, result))
    assert isinstance(reply, Reply)
    assert reply.results[0].recovery == "insufficient_state"
    assert gap == Gap("trade", "A.SIM", "insufficient_state")
    (request,) = session.connected(0)
    assert "from" not in json.loads(request.text)["params"]


def test_an_update_is_wanted_once_it_is_accepted_and_breaks_nothing() -> None:
    session = ClientSession()
    session.subscribe("bbo", ["A.SIM", "B.SIM"], class_=1)
    receive(session, tick(7, channel="bbo"))
    (request,) = session.update("bbo", ["A.SIM", "B.SIM"], class_=2, snapshot=False)
    refused = {"symbol": "B.SIM", "success": False, "error": {"code": "bad_request"}}
    receive(session, ack(request, good("A.SIM"), refused))
    assert missing(receive(session, tick(9, channel="bbo"))) == [("sequence", 8, 8, 1)]
    params = [json.loads(request.text)["params"] for request in session.connected(0)]
    assert [(one["symbol"], one["class"]) for one in params] == [(["A.SIM"], 2), (["B.SIM"], 1)]
    (request,) = session.update("bbo", "C.SIM", class_=2)  # which is not subscribed to
    receive(session, ack(request, good("C.SIM")))
    assert len(wanted(session)) == 2


def test_a_class_is_asked_for_by_its_name_on_the_wire() -> None:
    session = ClientSession()
    (request,) = session.subscribe("bbo", ["A.SIM"], class_=2)
    params = {"channel": "bbo", "symbol": ["A.SIM"], "class": 2}
    assert json.loads(request.text)["params"] == params
    (again,) = session.connected(0)
    assert json.loads(again.text)["params"] == params
    result = good("A.SIM") | {"class": 2}
    (reply,) = receive(session, ack(again, result))
    assert isinstance(reply, Reply)
    assert reply.results[0].class_ == 2


def busy(symbol: str, retry_after_ms: int) -> dict[str, Any]:
    error = {"code": "capacity", "retryable": True, "retry_after_ms": retry_after_ms}
    return {"symbol": symbol, "success": False, "error": error}


def due(session: ClientSession, now_s: float) -> list[dict[str, Any]]:
    return [json.loads(request.text)["params"] for request in session.due(int(now_s * SECOND))]


def test_what_a_busy_gateway_refused_is_asked_for_when_it_said() -> None:
    session = ClientSession()
    (request,) = session.subscribe("trade", ["A.SIM", "B.SIM", "C.SIM"], mode="conflate")
    reply = ack(request, busy("A.SIM", 2000), good("B.SIM"), busy("C.SIM", 2000))
    receive(session, reply, 10 * SECOND)
    assert due(session, 11.9) == []
    params = {"channel": "trade", "symbol": ["A.SIM", "C.SIM"], "mode": "conflate"}
    assert due(session, 12) == [params]
    assert due(session, 60) == [], "once, until it is refused again"
    assert len(wanted(session)[0][1]) == 3


def test_what_is_not_wanted_any_more_is_never_asked_for() -> None:
    session = ClientSession()
    (request,) = session.subscribe("trade", ["A.SIM", "B.SIM", "C.SIM"])
    receive(session, ack(request, *(busy(f"{name}.SIM", 1000) for name in "ABC")))
    session.unsubscribe("trade", ["A.SIM"])
    session.subscribe("trade", ["B.SIM"])  # asked for by hand: its reply will say more
    assert [params["symbol"] for params in due(session, 1)] == [["C.SIM"]]
    (request,) = session.subscribe("trade", ["C.SIM"])
    receive(session, ack(request, busy("C.SIM", 1000)))
    session.connected(0)  # asks for everything
    assert due(session, 60) == []


def test_long_lists_go_in_several_requests() -> None:
    symbols = [f"{'S' * 40}{n}.SIM" for n in range(2000)]
    requests = ClientSession().subscribe("trade", symbols)
    asked = [json.loads(request.text)["params"]["symbol"] for request in requests]
    assert [symbol for chunk in asked for symbol in chunk] == symbols
    assert max(map(len, asked)) <= REQUEST_SYMBOLS_MAX
    assert max(len(request.text) for request in requests) <= REQUEST_BYTES_MAX + 200
    assert len({request.req_id for request in requests}) == len(requests)
    short = ClientSession().subscribe("trade", [f"{n}.S" for n in range(251)])
    assert [len(json.loads(r.text)["params"]["symbol"]) for r in short] == [250, 1]


def test_a_gap_is_healed_by_the_string_that_covers_the_topic() -> None:
    session = ClientSession()
    gap = Gap("trade", "A.SIM", "sequence", 1, 4, 4)
    assert session.resync(gap) == []
    session.subscribe("trade", ["*.SIM", "A*", "B*"])
    session.subscribe("bbo", ["A.SIM"])
    (request,) = session.resync(gap)
    assert json.loads(request.text)["params"]["symbol"] == ["A*"]
    session.subscribe("trade", ["A.SIM"], snapshot=False)
    (request,) = session.resync(gap)
    params = json.loads(request.text)["params"]
    assert params == {"channel": "trade", "symbol": ["A.SIM"], "snapshot": False}


def test_names_with_a_star_are_wanted_as_they_are_asked_for() -> None:
    """Data frames have the plain name; the string that covers it is the escaped one."""
    session = ClientSession()
    (request,) = session.subscribe("trade", [escape("BAC-I*.SIM")])
    (again,) = session.resync(Gap("trade", "BAC-I*.SIM", "sequence", 1, 4, 4))
    assert json.loads(again.text)["params"]["symbol"] == ["BAC-I~*.SIM"]
    assert session.resync(Gap("trade", "BAC-IX.SIM", "sequence", 1, 4, 4)) == []
    session.subscribe("trade", ["~~*"])
    (again,) = session.resync(Gap("trade", "~a.SIM", "sequence", 1, 4, 4))
    assert json.loads(again.text)["params"]["symbol"] == ["~~*"]
    receive(session, tick(5, "BAC-I*.SIM"))
    # Accepted again by its escaped name, the topic begins anew: no break in its numbers.
    result = {"symbol": "BAC-I~*.SIM", "success": True, "mode": "conflate"}
    reply = {"method": "subscribe", "req_id": request.req_id, "success": True, "results": [result]}
    receive(session, reply)
    assert not any(isinstance(e, Gap) for e in receive(session, tick(9, "BAC-I*.SIM")))
    receive(session, {"channel": "system", "type": "retired", "data": [RETIRED_STAR]})
    assert not any(isinstance(e, Gap) for e in receive(session, tick(1, "BAC-I*.SIM")))


RETIRED_STAR = {"channel": "trade", "symbol": "BAC-I*.SIM"}


# --- time -----------------------------------------------------------------------------------------


def test_silence_of_five_heartbeats_is_stale() -> None:
    session = ClientSession()
    session.connected(10 * SECOND)
    assert not session.stale(15 * SECOND)
    assert session.stale(15 * SECOND + 1)
    receive(session, hello(heartbeat_ms=200), mono_ns=20 * SECOND)
    assert not session.stale(21 * SECOND)
    assert session.stale(21 * SECOND + 1)
    session.touch(30 * SECOND)
    assert not session.stale(31 * SECOND)
