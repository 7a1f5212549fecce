"""Rows 31, 33 and 34: requests that are none, that ask for too much, and too many of them."""

import json
from typing import Any

import pytest
from support.serving import Metrics, Serving, until
from support.target import MESSAGE_BYTES_MAX, REQUESTS_BURST, STRICT_PATTERNS, STRICT_TOPICS
from support.wire import Wire, connected, subscribe, text

DEEP = 3000
SUBSCRIBE = '{"method":"subscribe","req_id":8,"params":{"channel":"trade","symbol":%s}}'

MALFORMED = {
    "nothing": ("", None),
    "half an object": ("{", None),
    "an array": ("[]", None),
    "null": ("null", None),
    "a number": ("7", None),
    "no method": ("{}", None),
    "something behind it": ('{"method":"ping","req_id":8}x', 8),
    "deep": ('{"req_id":8,"method":"ping","params":' + "[" * DEEP + "]" * DEEP + "}", 8),
    "deep and cut": ('{"req_id":8,"params":' + '{"a":' * DEEP, 8),
    "huge integer": ('{"method":"ping","req_id":' + "9" * 400 + "}", None),
    "infinite": ('{"method":"ping","req_id":8,"params":{"t0":1e999}}', 8),
    "nan": ('{"method":"ping","req_id":8,"params":{"t0":NaN}}', 8),
    "a key twice": ('{"method":"ping","req_id":8,"req_id":8}', 8),
    "unknown field": ('{"method":"ping","req_id":8,"extra":1}', 8),
    "unknown parameter": ('{"method":"ping","req_id":8,"params":{"x":1}}', 8),
    "parameters in an array": ('{"method":"ping","req_id":8,"params":[]}', 8),
    "req_id of a wrong type": ('{"method":"ping","req_id":{}}', None),
    "req_id with a fraction": ('{"method":"ping","req_id":1.5}', None),
    "long req_id": ('{"method":"ping","req_id":"' + "x" * 37 + '"}', None),
    "no parameters": ('{"method":"subscribe","req_id":8}', 8),
    "no symbol": ('{"method":"subscribe","req_id":8,"params":{"channel":"trade"}}', 8),
    "no list": (SUBSCRIBE % '"*"', 8),
    "no symbols": (SUBSCRIBE % "[]", 8),
    "a symbol that is null": (SUBSCRIBE % "[null]", 8),
    "lone surrogate": ('{"method":"ping","req_id":8,"params":{"t0":"\\ud800"}}', 8),
}


@pytest.mark.parametrize(("request_text", "req_id"), MALFORMED.values(), ids=MALFORMED)
def test_f31_no_request(
    gateway: Serving, before: Metrics, request_text: str, req_id: int | None
) -> None:
    with connected(gateway.url) as wire:
        wire.send(text(request_text))
        reply = wire.reply()
        assert reply["success"] is False
        assert reply["error"]["code"] == "bad_request"
        assert reply["error"]["retryable"] is False
        assert reply["error"]["message"]
        assert reply.get("req_id") == req_id
        assert wire.ask({"method": "ping", "req_id": 1})["success"]
    rises_in_all(gateway, before, "bad_request")


def rises_in_all(gateway: Serving, before: Metrics, result: str) -> None:
    methods = [key[1] for key in before if key[0] == "tickgate_requests_total" and key[2] == result]
    gateway.rises(before, "closes_total", "1006")
    count = sum(before.of("requests_total", method, result) for method in methods)

    def counted() -> bool:
        now = gateway.metrics()
        return sum(now.of("requests_total", method, result) for method in methods) > count

    until(counted)


def test_f31_unknown_method(gateway: Serving, before: Metrics) -> None:
    with connected(gateway.url) as wire:
        reply = wire.ask({"method": "drop_tables", "req_id": "x"})
        assert reply["req_id"] == "x"
        assert reply["error"]["code"] == "unknown_method"
    gateway.rises(before, "requests_total", "unknown", "unknown_method")


@pytest.mark.parametrize("name", ["max_age_ms", "depth", "class"])
@pytest.mark.parametrize("method", ["subscribe", "update"])
def test_f31_what_is_not_built_is_refused_by_name(gateway: Serving, method: str, name: str) -> None:
    with connected(gateway.url) as wire:
        wire.send(subscribe(["SYM001.SIM"]))
        assert wire.reply()["success"]
        params = {"channel": "trade", "symbol": ["SYM001.SIM"], name: 5}
        reply = wire.ask({"method": method, "req_id": 2, "params": params})
        assert reply["req_id"] == 2
        error = reply["error"] if "error" in reply else reply["results"][0]["error"]
        assert error["code"] == "bad_request"
        assert name in error["message"]


def test_f31_ten_errors_in_a_minute_are_too_many(gateway: Serving, before: Metrics) -> None:
    with connected(gateway.url) as wire:
        for _ in range(9):
            wire.send(text("{"))
            assert wire.reply()["error"]["code"] == "bad_request"
        wire.send(text("{"), text({"method": "ping"}))
        assert wire.reply()["error"]["code"] == "bad_request"
        code, reason = wire.closed()
        assert code == 4502
        assert "10" in reason
    gateway.rises(before, "closes_total", "4502")


# --- row 33 ---------------------------------------------------------------------------------------


def result(wire: Wire, symbol: str, channel: str = "trade") -> dict[str, Any]:
    wire.send(subscribe([symbol], channel))
    reply = wire.reply()
    one: dict[str, Any] = reply["results"][0]
    assert reply["success"] is one["success"]
    assert one["symbol"] == symbol
    return one


@pytest.mark.parametrize(
    "symbol",
    [
        *("", ".", "x", "x.", ".SIM", "a b.SIM", "a,b.SIM", 'a"b.SIM', "a\\b.SIM", "x.sim"),
        *("x.y.z", "x" * 49 + ".SIM", "x." + "V" * 17, "\u20ac.SIM", "a\nb.SIM", "\x00.SIM"),
        *("(a+)+$.SIM ", "[A-Z]+.SIM\t", "../../etc/passwd", "%2e.SIM ", "SYM001.SIM\u202e"),
    ],
)
def test_f33_what_is_no_name_is_an_unknown_symbol(gateway: Serving, symbol: str) -> None:
    with connected(gateway.url) as wire:
        assert result(wire, symbol)["error"]["code"] == "unknown_symbol"


def test_f33_a_thousand_and_one_symbols(gateway: Serving) -> None:
    with connected(gateway.url) as wire:
        reply = ask_for(wire, [f"x{number}.SIM" for number in range(1001)])
        assert reply["error"]["code"] == "bad_request"


def ask_for(wire: Wire, symbols: list[str]) -> dict[str, Any]:
    wire.send(subscribe(symbols))
    return wire.reply()


def test_f33_a_symbol_of_a_megabyte(gateway: Serving, before: Metrics) -> None:
    with connected(gateway.url) as wire:
        wire.send_anyway(subscribe(["x" * 1_000_000]))
        wire.ended()
    gateway.rises(before, "closes_total", "1009")


@pytest.mark.parametrize("pattern", ["*" * 48 + "x.SIM", "*a*b*c*d*e*f*g*h*i*.SIM", "**", "*.*.*"])
def test_f33_costly_patterns_cost_little(gateway: Serving, pattern: str) -> None:
    with connected(gateway.url) as wire:
        one = result(wire, pattern)
        assert one["success"] or one["error"]["code"] == "unknown_symbol"


def test_f33_more_names_than_may_be(strict: Serving) -> None:
    before = strict.metrics()
    with connected(strict.url) as wire:
        names = [f"NAME{number}.UDP" for number in range(STRICT_TOPICS + 2)]
        reply = ask_for(wire, names)
        assert reply["failed"] == 2
        codes = [one.get("error", {}).get("code") for one in reply["results"]]
        assert codes == [None] * STRICT_TOPICS + ["limit_exceeded"] * 2
        assert result(wire, "ANOTHER.UDP")["error"]["code"] == "limit_exceeded"
        wire.send(text(unsubscribe(names[:1])))
        assert wire.reply()["success"]
        assert result(wire, "ANOTHER.UDP")["success"]
    strict.rises(before, "subscribe_rejected_total", "limit_exceeded", by=3)


def unsubscribe(names: list[str]) -> dict[str, Any]:
    return {"method": "unsubscribe", "params": {"channel": "trade", "symbol": names}}


def test_f33_more_patterns_than_may_be(strict: Serving) -> None:
    with connected(strict.url) as wire:
        for number in range(STRICT_PATTERNS):
            assert result(wire, f"P{number}*.UDP")["success"]
        assert result(wire, "P9*.UDP")["error"]["code"] == "limit_exceeded"
        assert result(wire, "P0*.UDP")["success"]  # replaces, and is no further one


def test_f33_a_pattern_is_worth_what_it_covers(strict: Serving, many_topics: int) -> None:
    assert many_topics > STRICT_TOPICS
    with connected(strict.url) as wire:
        assert result(wire, "*")["error"]["code"] == "limit_exceeded"
        assert result(wire, "MANY*")["error"]["code"] == "limit_exceeded"
        assert result(wire, "NONE*")["matched"] == 0


# --- row 34 ---------------------------------------------------------------------------------------


def test_f34_a_storm_is_slowed_then_ended(gateway: Serving, before: Metrics) -> None:
    params = {"channel": "trade", "symbol": ["SYM001.SIM"]}
    pair = [
        text({"method": "subscribe", "req_id": 1, "params": params}),
        text({"method": "unsubscribe", "req_id": 2, "params": params}),
    ]
    with connected(gateway.url) as wire:
        wire.send_anyway(b"".join(pair) * REQUESTS_BURST * 3)
        refusals = []
        while (one := wire.frame()).opcode == 1:
            message = json.loads(one.payload)
            if message.get("success") is False:
                refusals.append(message)
        assert int.from_bytes(one.payload[:2], "big") == 4029, one
        assert {each["error"]["code"] for each in refusals} == {"rate_limited"}
        assert all(each["error"]["retryable"] for each in refusals)
        assert all(each["error"]["retry_after_ms"] > 0 for each in refusals)
        assert len(refusals) >= REQUESTS_BURST
    gateway.rises(before, "closes_total", "4029")


def test_f34_a_burst_is_served(gateway: Serving) -> None:
    with connected(gateway.url) as wire:
        for number in range(REQUESTS_BURST):
            wire.send(text({"method": "ping", "req_id": number}))
        for number in range(REQUESTS_BURST):
            assert wire.reply()["req_id"] == number


def test_f34_many_requests_in_one_segment_wait_for_their_replies_to_leave(
    gateway: Serving,
) -> None:
    """Replies of many times what may wait for a client: it reads them, so it is not slow."""
    unknown = [f"x{number:04}.NOWHERE" for number in range(200)]
    with connected(gateway.url) as wire:
        requests = [subscribe(unknown, req_id=number) for number in range(20)]
        wire.send(*requests, text({"method": "ping", "req_id": 20}))
        for number in range(20):
            reply = wire.reply()
            assert (reply["req_id"], reply["failed"]) == (number, 200)
        assert wire.reply()["req_id"] == 20


def test_f34_one_that_reads_no_replies_is_not_read_further(
    gateway: Serving, before: Metrics
) -> None:
    """Replies that nobody reads end in the control queue's bound, not in our memory."""
    with connected(gateway.url, receive_bytes=2048) as wire:
        symbols = [f"x{number:04}.NOWHERE" for number in range(500)]
        wire.sock.settimeout(2.0)  # what is not read in that time is not read
        wire.send_anyway(subscribe(symbols) * 60)
        assert len(subscribe(symbols)) < MESSAGE_BYTES_MAX
        wire.reset()
    gateway.rises(before, "handshakes_total", "ok")
