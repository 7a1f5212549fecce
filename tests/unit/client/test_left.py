"""Subscriptions that end: what of their topics goes on, and what is not missed afterwards."""

import json
from typing import Any

from gateway.client.events import Event, Gap
from gateway.client.requests import Request
from gateway.client.session import ClientSession


def receive(session: ClientSession, message: dict[str, Any]) -> list[Event]:
    return session.receive(json.dumps(message), mono_ns=0, real_ns=5)


def connect(session: ClientSession) -> None:
    requests = session.connected(0)
    data = {"version": "0.1.0", "connection_id": "c-1", "epoch": "e1", "now": 1}
    receive(session, {"channel": "system", "type": "hello", "data": [data]})
    answer(session, requests)


def answer(session: ClientSession, requests: list[Request]) -> None:
    for request in requests:
        asked = json.loads(request.text)
        results = [{"symbol": name, "success": True} for name in asked["params"]["symbol"]]
        reply = {"method": asked["method"], "req_id": request.req_id, "success": True}
        receive(session, reply | {"results": results})


def gaps(session: ClientSession, seq: int) -> list[tuple[Any, ...]]:
    """Reason, first and last of what is missing before this trade of A.SIM."""
    data = [{"id": "1", "price": "1", "qty": "2", "side": None}]
    frame = {"channel": "trade", "type": "update", "symbol": "A.SIM", "seq": seq, "data": data}
    events = receive(session, frame)
    return [(e.reason, e.from_seq, e.to_seq) for e in events if isinstance(e, Gap)]


def test_a_name_goes_on_when_a_pattern_that_covers_it_too_has_ended() -> None:
    session = ClientSession()
    connect(session)
    answer(session, session.subscribe("trade", ["A.SIM", "*.SIM"]))
    assert gaps(session, 7) == []
    answer(session, session.unsubscribe("trade", "*.SIM"))
    assert gaps(session, 10) == [("resubscribe", 8, 9)]


def test_of_what_was_left_nothing_is_missed_though_the_reply_was_lost() -> None:
    session = ClientSession()
    connect(session)
    answer(session, session.subscribe("trade", ["A.SIM"]))
    assert gaps(session, 7) == []
    session.unsubscribe("trade", "A.SIM")  # and the connection ends
    connect(session)
    answer(session, session.subscribe("trade", "A.SIM"))
    assert gaps(session, 20) == []
