import json
from typing import Any

import pytest

from gateway.ops import session
from gateway.ops.session import Ask, Follow, OpsSession
from gateway.session.actions import Close, Reply

SECOND_NS = 10**9


class Client:
    """A session, asked in dicts."""

    def __init__(self) -> None:
        self.session = OpsSession()
        self.now_ns = 0

    def send(self, message: Any) -> list[Any]:
        text = message if isinstance(message, str) else json.dumps(message)
        return list(self.session.receive(text, mono_ns=self.now_ns, real_ns=77))

    def ask(self, method: str, /, **params: Any) -> list[Any]:
        self.now_ns += SECOND_NS
        return self.send({"method": method, "req_id": 5, "params": params})


def body(action: Any) -> Any:
    assert isinstance(action, Reply)
    return json.loads(action.payload)


def error(actions: list[Any]) -> tuple[str, str]:
    (reply,) = map(body, actions)
    assert reply["success"] is False
    return reply["error"]["code"], reply["error"]["message"]


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.mark.parametrize(("channel", "snapshot"), [("ops", True), ("slo", False)])
def test_follow_and_leave(client: Client, channel: str, snapshot: bool) -> None:
    reply, follow = client.ask("subscribe", channel=channel, symbol=["*"])
    assert body(reply) == {
        "method": "subscribe",
        "req_id": 5,
        "success": True,
        "failed": 0,
        "time_in": 77,
        "time_out": 77,
        "results": [
            {
                "symbol": "*",
                "success": True,
                "channel": channel,
                "mode": "conflate",
                "class": 0,
                "snapshot": snapshot,
            }
        ],
    }
    assert follow == Follow(channel, on=True, snapshot=snapshot)
    follow, reply = client.ask("unsubscribe", channel=channel, symbol=["*"])
    assert follow == Follow(channel, on=False)
    assert body(reply)["results"] == [{"symbol": "*", "success": True, "channel": channel}]
    (reply,) = client.ask("unsubscribe", channel=channel, symbol=["*"])
    assert body(reply)["results"][0]["error"]["code"] == "not_subscribed"


def test_no_snapshot_where_none_is_wanted(client: Client) -> None:
    _, follow = client.ask("subscribe", channel="ops", symbol=["*"], snapshot=False)
    assert follow == Follow("ops", on=True)


def test_one_bad_name_fails_alone(client: Client) -> None:
    reply, follow = client.ask("subscribe", channel="ops", symbol=["x", "*", "*"])
    answer = body(reply)
    assert (answer["success"], answer["failed"], len(answer["results"])) == (True, 1, 2)
    assert answer["results"][0]["error"]["code"] == "unknown_symbol"
    assert follow.on
    (reply,) = client.ask("subscribe", channel="slo", symbol=["x"])
    assert body(reply)["success"] is False


@pytest.mark.parametrize(
    ("params", "code", "named"),
    [
        ({"channel": "trade", "symbol": ["*"]}, "unknown_channel", "ops, slo"),
        ({"channel": "ops", "symbol": []}, "bad_request", "params.symbol"),
        ({"channel": "ops", "symbol": ["*"] * 17}, "bad_request", "params.symbol"),
        ({"channel": "ops", "symbol": "*"}, "bad_request", "params.symbol"),
        ({"channel": "ops"}, "bad_request", "symbol"),
        ({"channel": "ops", "symbol": ["*"], "colour": 1}, "bad_request", "colour"),
        ({"channel": "ops", "symbol": ["*"], "mode": "lossless"}, "bad_request", "params.mode"),
        ({"channel": "ops", "symbol": ["*"], "max_hz": 2}, "bad_request", "params.max_hz"),
        ({"channel": "ops", "symbol": ["*"], "class": 2}, "bad_request", "params.class"),
        (
            {"channel": "ops", "symbol": ["*"], "from": {"epoch": "a", "seq": 1}},
            "bad_request",
            "params.from",
        ),
    ],
)
def test_a_refusal_names_what_is_wrong(
    client: Client, params: dict[str, Any], code: str, named: str
) -> None:
    told, why = error(client.ask("subscribe", **params))
    assert told == code
    assert named in why


def test_ping(client: Client) -> None:
    (reply,) = client.ask("ping", t0=4)
    assert body(reply) == {
        "method": "ping",
        "req_id": 5,
        "success": True,
        "t0": 4,
        "t1": 77,
        "t2": 77,
    }
    (reply,) = client.send({"method": "ping"})
    assert body(reply) == {"method": "ping", "success": True, "t1": 77, "t2": 77}


def test_history(client: Client) -> None:
    (ask,) = client.ask("history", **{"from": 3, "to": 9, "points": 7})
    assert isinstance(ask, Ask)
    assert (ask.req_id, ask.params.from_, ask.params.to, ask.params.points) == (5, 3, 9, 7)
    (ask,) = client.send({"method": "history"})
    assert isinstance(ask, Ask)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"from": 9, "to": 9}, "params.from"),
        ({"from": -1}, "params.from"),
        ({"points": 0}, "params.points"),
        ({"points": 1001}, "params.points"),
        ({"to": "now"}, "params.to"),
    ],
)
def test_history_of_nothing(client: Client, params: dict[str, Any], named: str) -> None:
    code, why = error(client.ask("history", **params))
    assert code == "bad_request"
    assert named in why


@pytest.mark.parametrize("method", ["list", "stats", "update", "auth", "x"])
def test_methods_of_the_clients_listener_are_unknown_here(client: Client, method: str) -> None:
    code, why = error(client.ask(method))
    assert code == "unknown_method"
    assert "history" in why


def test_too_many_errors_end_it(client: Client) -> None:
    for _ in range(session.ERRORS_PER_MINUTE - 1):
        assert len(client.send("{")) == 1
    _, close = client.send("{")
    assert isinstance(close, Close)
    assert close.code == 4502
    assert client.send({"method": "ping"}) == []


def test_too_many_requests_are_refused_then_end_it(client: Client) -> None:
    answers = [each for n in range(200) for each in client.send({"method": "ping", "req_id": n})]
    refused = [body(each) for each in answers if isinstance(each, Reply)]
    ok = sum(each["success"] for each in refused)
    assert ok == session.REQUESTS_BURST
    assert refused[-1]["error"]["code"] == "rate_limited"
    assert refused[-1]["error"]["retry_after_ms"] > 0
    (close,) = (each for each in answers if isinstance(each, Close))
    assert close.code == 4029


def test_a_look_into_the_history_costs_several_requests(client: Client) -> None:
    taken = sum(isinstance(client.send({"method": "history"})[0], Ask) for _ in range(20))
    assert taken == session.REQUESTS_BURST // session.HISTORY_COST
