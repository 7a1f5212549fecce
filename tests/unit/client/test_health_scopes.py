"""`health` of the gateway and of instruments beside each other: `*` may mean either."""

import json
from typing import Any

from gateway.client.events import Event, Gap, Health
from gateway.client.requests import Request
from gateway.client.session import ClientSession


def receive(session: ClientSession, message: dict[str, Any]) -> list[Event]:
    return session.receive(json.dumps(message), mono_ns=0, real_ns=5)


def answer(session: ClientSession, requests: list[Request]) -> None:
    for request in requests:
        asked = json.loads(request.text)
        results = [{"symbol": name, "success": True} for name in asked["params"]["symbol"]]
        reply = {"method": asked["method"], "req_id": request.req_id, "success": True}
        receive(session, reply | {"results": results})


def asked(requests: list[Request]) -> list[tuple[list[str], str]]:
    params = [json.loads(request.text)["params"] for request in requests]
    return [(one["symbol"], one["scope"]) for one in params]


def gaps(session: ClientSession, seq: int) -> list[str]:
    data = [{"state": "ok", "reason": "", "age_ms": 0}]
    frame = {"channel": "health", "type": "update", "symbol": "A.SIM", "seq": seq, "data": data}
    return [event.reason for event in receive(session, frame) if isinstance(event, Gap)]


def test_both_are_asked_for_again_and_told_apart() -> None:
    session = ClientSession()
    session.subscribe("health", "*")
    session.subscribe("health", "A.SIM")
    session.subscribe("health", "*", scope="instruments")
    assert asked(session.connected(0)) == [
        (["*"], "gateway"),
        (["A.SIM", "*"], "instruments"),
    ]
    assert asked(session.unsubscribe("health", "*")) == [(["*"], "gateway")]
    assert asked(session.connected(0)) == [(["A.SIM", "*"], "instruments")]
    assert asked(session.unsubscribe("health", "*", scope="instruments")) == [
        (["*"], "instruments")
    ]
    assert asked(session.connected(0)) == [(["A.SIM"], "instruments")]


def test_the_gateway_s_own_begins_and_ends_no_instrument_s() -> None:
    session = ClientSession()
    answer(session, session.subscribe("health", "*", scope="instruments"))
    assert gaps(session, 1) == []
    answer(session, session.subscribe("health", "*"))
    assert gaps(session, 4) == ["sequence"]
    answer(session, session.unsubscribe("health", "*"))
    assert gaps(session, 7) == ["sequence"]


def test_the_gateway_s_own_has_reasons() -> None:
    data = {"state": "degraded", "ready": True, "slo": "ok", "reasons": ["all topics are taken"]}
    (event,) = receive(ClientSession(), {"channel": "health", "type": "update", "data": [data]})
    assert isinstance(event, Health)
    assert event.reasons == ("all topics are taken",)
