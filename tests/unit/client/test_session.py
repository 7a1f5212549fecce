"""The client's session: what is wanted and asked for, and when a gateway is silent."""

import json
from typing import Any

import pytest
from support.said import ack, good, hello, missing, receive, tick

from gateway.client.events import Gap, Reply
from gateway.client.requests import REQUEST_BYTES_MAX, REQUEST_SYMBOLS_MAX, Request
from gateway.client.session import ClientSession
from gateway.client.ticks import Trade
from gateway.model.topic import escape

SECOND = 1_000_000_000


def wanted(session: ClientSession) -> list[tuple[str, list[str]]]:
    """(channel, symbols) that a new connection would ask for."""
    params = [json.loads(request.text)["params"] for request in session.connected(0)]
    return [(param["channel"], param["symbol"]) for param in params]


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


def test_what_can_not_be_sent_is_not_wanted() -> None:
    session = ClientSession()
    with pytest.raises(UnicodeEncodeError):
        session.subscribe("trade", ["A.SIM", "\ud800.SIM"])
    assert wanted(session) == []


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


def accept(session: ClientSession, requests: list[Request]) -> None:
    for request in requests:
        symbols = json.loads(request.text)["params"]["symbol"]
        receive(session, ack(request, *map(good, symbols)))


def test_a_gap_is_healed_by_the_string_that_covers_the_topic() -> None:
    session = ClientSession()
    gap = Gap("trade", "A.SIM", "sequence", 1, 4, 4)
    assert session.resync(gap) == []
    accept(session, session.subscribe("trade", ["*.SIM", "A*", "B*"]))
    accept(session, session.subscribe("bbo", ["A.SIM"]))
    (request,) = session.resync(gap)
    assert json.loads(request.text)["params"]["symbol"] == ["A*"]
    accept(session, session.subscribe("trade", ["A.SIM"], snapshot=False))
    (request,) = session.resync(gap)
    params = json.loads(request.text)["params"]
    assert params == {"channel": "trade", "symbol": ["A.SIM"], "snapshot": False}


def test_gaps_before_the_reply_are_mended_by_one_request() -> None:
    session = ClientSession()
    accept(session, session.subscribe("trade", ["*.SIM", "B.SIM"]))
    gaps = [Gap("trade", symbol, "sequence", 1, 4, 4) for symbol in ("A.SIM", "C.SIM", "B.SIM")]
    requests = [session.resync(gap) for gap in gaps]
    assert [len(each) for each in requests] == [1, 0, 1], "B.SIM has a string of its own"
    accept(session, requests[0])
    assert [len(session.resync(gap)) for gap in gaps] == [1, 0, 0]
    # An older reply is not the one that is waited for, nor does a lost one keep others from it.
    (request,) = session.subscribe("trade", "B.SIM")
    accept(session, requests[2])
    assert session.resync(gaps[2]) == []
    accept(session, [request])
    assert len(session.resync(gaps[2])) == 1
    session.connected(0)
    session.connected(0)
    assert session.resync(gaps[2]) == [], "it was asked for again with all others"


def test_a_refused_attempt_is_made_again_when_it_may_be() -> None:
    session = ClientSession()
    accept(session, session.subscribe("trade", "A.SIM"))
    gap = Gap("trade", "A.SIM", "sequence", 1, 4, 4)
    (request,) = session.resync(gap)
    error = {"code": "rate_limited", "message": "", "retryable": True, "retry_after_ms": 500}
    refusal = {"method": "subscribe", "req_id": request.req_id, "success": False, "error": error}
    receive(session, refusal)
    assert session.due(0) == []
    assert len(session.due(SECOND)) == 1


def test_names_with_a_star_are_wanted_as_they_are_asked_for() -> None:
    """Data frames have the plain name; the string that covers it is the escaped one."""
    session = ClientSession()
    accept(session, session.subscribe("trade", [escape("BAC-I*.SIM")]))
    (request,) = session.resync(Gap("trade", "BAC-I*.SIM", "sequence", 1, 4, 4))
    assert json.loads(request.text)["params"]["symbol"] == ["BAC-I~*.SIM"]
    assert session.resync(Gap("trade", "BAC-IX.SIM", "sequence", 1, 4, 4)) == []
    accept(session, session.subscribe("trade", ["~~*"]))
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
