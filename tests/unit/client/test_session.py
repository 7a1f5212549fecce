"""Continuity, acks, epochs and requests of the client's sans-IO session."""

import json
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
