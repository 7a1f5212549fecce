"""Rows of the fault table that a session answers for: malformed texts, bombs, storms."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.session import (
    Capacity,
    Close,
    Load,
    Options,
    Reply,
    Shared,
    Subscribe,
    Unsubscribe,
)
from gateway.session.waiting import SIFT_MAX

if TYPE_CHECKING:
    from unit.session.conftest import Client, Connect

MALFORMED = {
    "empty": "",
    "no JSON": '{"req_id":7,',
    "no object": "[7]",
    "depth bomb": '{"method":"subscribe","req_id":7,"params":' + "[" * 100_000,
    "closed depth bomb": '{"req_id":7,"method":"subscribe","params":{"channel":"trade",'
    '"symbol":["A.B"],"class":' + "[" * 8000 + "]" * 8000 + "}}",
    "objects in objects": '{"method":"ping","req_id":7,"params":' + '{"t0":' * 5000,
    "huge integer": '{"method":"ping","req_id":7,"params":{"t0":' + "9" * 10_000 + "}}",
    "huge id": '{"method":"ping","req_id":' + "9" * 10_000 + "}",
    "beyond 64 bits": '{"method":"ping","req_id":7,"params":{"t0":9223372036854775808}}',
    "huge exponent": '{"method":"ping","req_id":7,"params":{"t0":1e999}}',
    "NaN": '{"method":"ping","req_id":7,"params":{"t0":NaN}}',
    "infinity": '{"method":"ping","req_id":7,"params":{"t0":-Infinity}}',
    "duplicate keys": '{"method":"ping","req_id":7,"req_id":7}',
    "unknown field": '{"method":"ping","req_id":7,"constructor":1}',
    "unknown parameter": '{"method":"stats","req_id":7,"params":{"__proto__":1}}',
    "NUL behind": '{"method":"ping","req_id":7}\x00',
    "two requests": '{"method":"ping","req_id":7}{"method":"ping","req_id":8}',
    "lone surrogate": '{"method":"ping","req_id":7,"params":{"t0":"\\ud800"}}',
    "text that UTF-8 can't hold": '{"req_id":7,"method":"\ud800"}',
    "a list for a string": '{"method":["subscribe"],"req_id":7}',
}
UNREADABLE_IDS = ("empty", "no object", "huge id")


@pytest.mark.parametrize("name", MALFORMED)
def test_f31_malformed_text_is_a_bad_request_with_its_id(client: "Client", name: str) -> None:
    (action,) = client.send(MALFORMED[name])
    assert isinstance(action, Reply)
    assert len(action.payload) < 1024
    message = client.message(action)
    assert message["success"] is False
    assert message["error"]["code"] == "bad_request"
    assert message["error"]["message"]
    assert message.get("req_id") == (None if name in UNREADABLE_IDS else 7)


def test_f31_unknown_method_is_named_so(client: "Client") -> None:
    reply = client.ask("eval", {"x": 1}, req_id="a")
    assert reply["error"]["code"] == "unknown_method"
    assert (reply["method"], reply["req_id"]) == ("eval", "a")


def test_f31_the_tenth_error_in_a_minute_is_answered_and_closes(client: "Client") -> None:
    for _ in range(9):
        (action,) = client.send("{", after_s=5)
        assert isinstance(action, Reply)
    reply, close = client.send("{", after_s=5)
    assert isinstance(reply, Reply)
    assert isinstance(close, Close)
    assert (close.code, close.reason) == (4502, "too many errors: 10 in a minute")
    assert client.send({"method": "ping"}) == []
    assert client.session.statistics().closed


def test_f31_errors_are_forgotten_after_a_minute(client: "Client") -> None:
    for _ in range(50):
        (action,) = client.send("{", after_s=7)
        assert isinstance(action, Reply)


def test_f31_symbols_that_fail_are_no_errors_of_the_client(client: "Client") -> None:
    for _ in range(50):
        assert not client.subscribe("NOPE.X", "bad")["success"]
    assert not client.session.statistics().closed


@pytest.mark.threat("D7")
def test_f33_a_hundred_thousand_topics(client: "Client") -> None:
    limit = client.shared.options.topics_max
    accepted = refused = 0
    for start in range(0, 100_000, 200):
        reply = client.subscribe(*(f"S{i}.SIM" for i in range(start, start + 200)))
        accepted += 200 - reply["failed"]
        refused += reply["failed"]
        codes = {r["error"]["code"] for r in reply["results"] if not r["success"]}
        assert codes <= {"limit_exceeded"}
    assert (accepted, refused) == (limit, 100_000 - limit)
    assert client.session.subscriptions == client.session.statistics().topics == limit


@pytest.mark.threat("D7")
def test_f33_a_wildcard_counts_what_it_covers_before_any_work(connect: "Connect") -> None:
    client = connect(topics_max=5)
    client.subscribe("A.SIM", "B.SIM")
    reply = client.subscribe("*", "ETH*")
    refused, accepted = reply["results"]
    assert refused["error"]["code"] == "limit_exceeded"
    assert refused["error"]["message"] == "topics: 2 in use and 4 more, of 5"
    assert accepted["success"]
    assert [item[2] for item in client.last.items] == ["ETH*"]


def test_a_name_that_no_room_is_left_for_is_refused(client: "Client") -> None:
    client.catalog.full = 16
    results = client.subscribe("NEW.SIM", "BTCUSDT.BINANCE", "NEW*")["results"]
    assert [result["success"] for result in results] == [False, True, True]
    error = results[0]["error"]
    assert error["code"] == "limit_exceeded"
    assert "ring.topics_max is 16" in error["message"]
    client.catalog.full = 0
    assert client.subscribe("NEW.SIM")["failed"] == 0


def test_f33_a_pattern_that_grew_beyond_the_limit_stays_as_it_was(connect: "Connect") -> None:
    client = connect(topics_max=5)
    client.subscribe("*", mode="conflate")
    client.catalog.topics = {"trade": [f"{i}.SIM" for i in range(6)]}
    (result,) = client.subscribe("*")["results"]
    assert result["error"]["code"] == "limit_exceeded"
    assert client.session.statistics().topics == 4


def test_f33_patterns_have_a_limit_of_their_own(client: "Client") -> None:
    limit = client.shared.options.patterns_max
    for start in range(0, limit, 64):
        client.subscribe(*(f"P{i}*" for i in range(start, start + 64)))
    matches = client.catalog.matches
    (result,) = client.subscribe("one*more")["results"]
    assert result["error"]["code"] == "limit_exceeded"
    assert result["error"]["message"] == f"patterns: {limit} in use and 1 more, of {limit}"
    assert client.catalog.matches == matches  # refused before any work
    assert client.subscribe("P0*")["success"]


def test_f33_patterns_cost_what_they_are_held_against(connect: "Connect") -> None:
    client = connect(pattern_scan_max=1000, pattern_steps_cost=40, requests_per_s=10)
    client.catalog.topics = {"trade": [f"{i}.SIM" for i in range(100)], "bbo": []}
    reply = client.subscribe(*(f"P{i}*" for i in range(11)))
    assert reply["error"]["code"] == "bad_request"
    assert "patterns times topics is 1100, limit 1000" in reply["error"]["message"]
    assert client.catalog.matches == 0
    assert client.shared.options.requests_burst == 200
    for turn in range(2):  # each costs 1 + 100
        params = {"channel": "trade", "symbol": [f"{turn}P{i}*" for i in range(10)]}
        assert client.ask("subscribe", params, after_s=0)["success"]
    refused = client.ask("ping", after_s=0)
    assert refused["error"]["code"] == "rate_limited"
    assert client.ask("ping", after_s=refused["error"]["retry_after_ms"] / 1000)["success"]


def test_f33_costly_patterns_of_one_request_are_left_for_the_next(connect: "Connect") -> None:
    client = connect(pattern_steps_max=20)
    client.catalog.steps_each = 4  # of 6 topics
    results = client.subscribe("A*", "B*", "C*", "BTCUSDT.BINANCE")["results"]
    assert [one["success"] for one in results] == [True, False, False, True]
    error = results[1]["error"]
    assert (error["code"], error["retryable"]) == ("rate_limited", True)
    assert error["retry_after_ms"] > 0
    assert client.catalog.matches == 1  # nothing was done for those refused
    assert client.subscribe("B*")["success"]


PATTERN_STEPS = 60_000
SCAN_PER_S = 1_000_000
SCAN_BURST = SCAN_PER_S // 5


def scanning(connect: "Connect", clients: int, **limits: Any) -> "list[Client]":
    """Clients of one worker with a small share; each pattern takes PATTERN_STEPS."""
    first = connect(worker_pattern_steps_per_s=SCAN_PER_S, patterns_max=10_000, **limits)
    first.catalog.steps_each = PATTERN_STEPS // len(first.catalog)
    return [first, *(connect(first.catalog, first.shared) for _ in range(clients - 1))]


def scan(client: "Client", symbol: str, after_s: float = 0) -> Any:
    params = {"channel": "trade", "symbol": [symbol]}
    return client.ask("subscribe", params, after_s=after_s)


@pytest.mark.threat("D9")
def test_f67_clients_together_scan_no_more_than_the_share(connect: "Connect") -> None:
    clients = scanning(connect, 20, pattern_steps_cost=6_000)
    for turn in range(100):  # ten seconds
        for number, client in enumerate(clients):
            scan(client, f"{number}.{turn}*", after_s=0.1)
    scanned = PATTERN_STEPS * clients[0].catalog.matches
    most = 10 * SCAN_PER_S + 2 * (SCAN_BURST + PATTERN_STEPS)
    assert 10 * SCAN_PER_S < scanned <= most


def test_f67_who_asks_for_little_need_not_wait_for_the_greedy(connect: "Connect") -> None:
    limits = {"pattern_steps_cost": 600, "requests_burst": 600, "pattern_scan_little": 11}
    greedy, modest, other = scanning(connect, 3, **limits)
    asked = 0
    while (reply := scan(greedy, f"{asked}*"))["success"]:
        asked += 1
    assert PATTERN_STEPS * asked >= SCAN_BURST
    assert reply["error"]["code"] == "rate_limited"
    assert "of patterns a second, all clients together" in reply["error"]["message"]
    assert greedy.catalog.matches == asked  # what is refused costs nothing
    params = {"channel": "trade", "symbol": ["X*", "Y*"]}  # 12 times a name: not little
    assert modest.ask("subscribe", params, after_s=0)["error"]["code"] == "rate_limited"
    assert scan(modest, "Z*")["success"]
    assert scan(greedy, "BTCUSDT.BINANCE")["success"]  # names need no scan
    assert scan(other, "BTCUSDT.BINANCE")["success"]


def test_f67_the_wait_that_is_told_is_enough(connect: "Connect") -> None:
    (client,) = scanning(connect, 1, requests_burst=10_000)
    refused = 0
    for number in range(100):
        if not (reply := scan(client, f"{number}*"))["success"]:
            refused += 1
            wait_s = reply["error"]["retry_after_ms"] / 1000
            assert scan(client, f"{number}*", after_s=wait_s)["success"]
    assert refused > 50


def test_f67_ending_a_pattern_is_charged_for_the_patterns_beside_it(connect: "Connect") -> None:
    client = connect(pattern_steps_cost=200, requests_per_s=1, requests_burst=100)
    client.catalog.topics = {"trade": [f"{i}.SIM" for i in range(100)], "bbo": []}
    client.catalog.steps_each = 20
    for number in range(10):  # 2,000 steps each: 10 requests
        assert scan(client, f"{number}*", after_s=60)["success"]
    assert scan(client, "*", after_s=600)["success"]
    params = {"channel": "trade", "symbol": ["*"]}
    # One topic after the other is held against the ten that stay: 20,000 steps, and links end.
    assert client.ask("unsubscribe", params, after_s=600)["success"]
    refused = client.ask("ping", after_s=0)
    assert refused["error"]["code"] == "rate_limited"
    assert refused["error"]["retry_after_ms"] >= 1000
    params = {"channel": "trade", "symbol": [f"{number}*" for number in range(10)]}
    assert client.ask("unsubscribe", params, after_s=600)["success"]
    assert client.ask("ping", after_s=0)["success"]  # nothing was left to hold them against


def test_f67_a_pattern_again_is_charged_for_its_topics(connect: "Connect") -> None:
    client = connect(pattern_steps_cost=100, requests_per_s=1, requests_burst=100)
    client.catalog.topics = {"trade": [f"{i}.SIM" for i in range(100)], "bbo": []}
    assert scan(client, "*", after_s=60)["success"]  # 400 steps
    assert client.ask("ping", after_s=0)["success"]
    assert scan(client, "*", after_s=60)["success"]  # and 10,000 for 100 links that begin anew
    assert client.ask("ping", after_s=0)["error"]["code"] == "rate_limited"


def test_f70_a_client_waits_for_a_quarter_of_what_is_free(connect: "Connect") -> None:
    first = connect(waiting_names_max=100)
    clients = [first, *(connect(first.catalog, first.shared) for _ in range(7))]
    took = []
    for number, client in enumerate(clients):
        reply = client.subscribe(*(f"{number}.{i}.SIM" for i in range(100)))
        refused = [one["error"] for one in reply["results"] if not one["success"]]
        assert {error["code"] for error in refused} == {"limit_exceeded"}
        took.append(100 - len(refused))
    assert took == [20, 16, 13, 11, 8, 7, 5, 4]
    assert "20 wait here, 16 of 100 are free" in str(clients[0].subscribe("N.SIM"))
    assert clients[7].subscribe("0.0.SIM")["success"]  # others wait for it: it takes no place
    clients[1].session.end()
    assert clients[7].subscribe("0.1.SIM", "N.SIM")["success"]


def test_f70_what_only_the_plane_knows_takes_places_too(connect: "Connect") -> None:
    waiting = 97  # of a directory that a new epoch has not got yet
    client = connect(waiting_names_max=100, names_waiting=lambda: waiting)
    assert client.subscribe("A.SIM", "B.SIM", "C.SIM")["failed"] == 2
    waiting = 0
    assert client.subscribe("C.SIM")["success"]


def test_f70_names_that_have_come_wait_no_more(connect: "Connect") -> None:
    client = connect(waiting_names_max=10)
    assert client.subscribe("A.SIM", "B.SIM", "C.SIM")["failed"] == 1
    assert not client.subscribe("C.SIM")["success"]
    client.catalog.topics["trade"] += ["A.SIM", "B.SIM"]
    assert client.subscribe("C.SIM", "D.SIM")["success"]
    assert not client.subscribe("E.SIM")["success"]
    assert client.subscribe("D.SIM")["success"]  # replaces, and is no further one
    params = {"channel": "trade", "symbol": ["C.SIM", "D.SIM", "A.SIM"]}
    assert client.ask("unsubscribe", params)["success"]
    assert len(client.shared.waiting) == 0
    assert client.subscribe("E.SIM")["success"]


def test_f70_looking_for_names_that_have_come_is_bounded(connect: "Connect") -> None:
    client = connect(waiting_names_max=30_000, symbols_per_request=6000, reply_bytes_max=1 << 22)
    assert client.subscribe(*(f"{i}.SIM" for i in range(6000)))["success"]
    looked = client.catalog.finds
    assert not client.subscribe("N.SIM")["success"]
    assert client.catalog.finds - looked <= 1 + 2 * SIFT_MAX
    looked = client.catalog.finds
    for _ in range(10):  # and soon ends: nothing has come meanwhile
        assert not client.subscribe("N.SIM")["success"]
    assert client.catalog.finds - looked <= 10 + 2 * 6000
    looked = client.catalog.finds
    assert not client.subscribe(*(f"N{i}.SIM" for i in range(100)))["success"]
    assert client.catalog.finds - looked == 100


@pytest.mark.parametrize("name", ["x" * 1_000_000 + ".SIM", "*" * 1_000_000, "\x00" * 1_000_000])
def test_f33_a_topic_of_a_megabyte(client: "Client", name: str) -> None:
    reply = client.subscribe(name)
    assert reply["error"]["code"] == "bad_request"
    assert len(client.last.payload) < 1024
    assert client.session.subscriptions == 0


@pytest.mark.parametrize("name", ["(a+)+$.SIM", "^.*$.SIM", "*" + "a*" * 32, "[*].SIM", "?.SIM"])
@pytest.mark.threat("E4")
def test_f33_regular_expressions_are_plain_characters(client: "Client", name: str) -> None:
    (result,) = client.subscribe(name)["results"]
    assert result["success"]
    assert client.session.statistics().topics == ("*" not in name)


@pytest.mark.parametrize("count", [0, 1001, 100_000])
def test_f33_symbols_per_request(client: "Client", count: int) -> None:
    reply = client.subscribe(*(f"S{i}.SIM" for i in range(count)))
    assert reply["error"]["code"] == "bad_request"
    assert reply["error"]["message"] == f"params.symbol: 1 to 1000 strings, not {count}"


@pytest.mark.threat("D8")
def test_f34_a_storm_is_refused_and_then_closed(client: "Client") -> None:
    on = {"method": "subscribe", "req_id": 1, "params": {"channel": "trade", "symbol": ["A.SIM"]}}
    off = {**on, "method": "unsubscribe", "req_id": 2}
    actions = [action for _ in range(300) for action in client.send(on, after_s=0)]
    actions += [action for _ in range(300) for action in client.send(off, after_s=0)]
    assert [type(action) for action in actions[:200]] == [Subscribe] * 200
    for action in actions[200:400]:
        assert isinstance(action, Reply)
        message = client.message(action)
        assert message["error"]["code"] == "rate_limited"
        assert message["error"]["retryable"] is True
        assert message["error"]["retry_after_ms"] == 20
        assert message["req_id"] in (1, 2)
    (close,) = actions[400:]
    assert isinstance(close, Close)
    assert (close.code, close.reason) == (4029, "rate limited: 50 requests a second, 200 at once")
    assert client.session.statistics().refused == 200


def test_f34_waiting_as_told_is_enough(client: "Client") -> None:
    ping = {"method": "ping", "req_id": 1}
    for _ in range(200):
        client.send(ping, after_s=0)
    for _ in range(500):
        (refused,) = client.send(ping, after_s=0)
        assert isinstance(refused, Reply)
        wait_ms = client.message(refused)["error"]["retry_after_ms"]
        (answered,) = client.send(ping, after_s=wait_ms / 1000)
        assert client.message(answered)["success"]


def test_f34_within_the_rate_nothing_is_refused(client: "Client") -> None:
    on = {"method": "subscribe", "params": {"channel": "trade", "symbol": ["A.SIM"]}}
    for _ in range(500):
        assert isinstance(client.send(on, after_s=0.02)[0], Subscribe)
        on["method"] = "unsubscribe"
        assert isinstance(client.send(on, after_s=0.02)[0], Unsubscribe)
        on["method"] = "subscribe"


@pytest.mark.threat("D8")
def test_f34_all_clients_of_a_worker_share_a_bucket(connect: "Connect") -> None:
    options = Options(version="0.1.0", worker_requests_per_s=100)
    shared = Shared(options, Capacity(Load, target_ns=1, enforce=False))
    clients = [connect(shared=shared) for _ in range(20)]
    replies = [client.ask("ping", after_s=0) for client in clients]
    assert [reply["success"] for reply in replies] == [True] * 10 + [False] * 10
    assert replies[-1]["error"]["code"] == "rate_limited"
    assert "all clients" in replies[-1]["error"]["message"]
    # Others' haste never closes a client.
    for _ in range(150):
        assert not clients[-1].ask("ping", after_s=0)["success"]
    assert not clients[-1].session.statistics().closed


def test_f34_refused_texts_need_not_be_requests(connect: "Connect") -> None:
    client = connect(requests_per_s=1, requests_burst=1)
    client.send("{}", after_s=0)
    (action,) = client.send('{"req_id":"a", oops', after_s=0)
    message = client.message(action)
    assert (message["req_id"], message["error"]["code"]) == ("a", "rate_limited")
    assert json.loads(action.payload)["error"]["retry_after_ms"] == 1000  # type: ignore[union-attr]
