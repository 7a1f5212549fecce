"""Replies: slots that nothing of a client's can move, and payloads that are JSON once filled."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from gateway.session import codes, replies
from gateway.session.actions import (
    RECOVERY_WIDTH,
    SLOT_EPOCH,
    SLOT_MATCHED,
    SLOT_RECOVERY,
    SLOT_SEQ,
    SLOT_TIME,
    Reply,
)
from gateway.session.codes import Error
from gateway.session.replies import Results
from gateway.session.subscriptions import Subscription

if TYPE_CHECKING:
    from unit.session.conftest import Client, Connect

# What a client could hope to be taken for a slot: spaces, digits, quotes, fragments of replies.
HOSTILE = st.sampled_from([" " * 20, " " * 8, '":"', '"seq":' + " " * 20, "0" * 20, '\\"', "}]}"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=36) | HOSTILE
REQ_IDS = st.just(UNSET) | st.integers(-(2**63), 2**63 - 1) | TEXTS
NAMES = st.text("ABC*:[]{}/'.", min_size=1, max_size=10)


def filled(client: "Client", reply: Reply) -> Any:
    return client.message(reply)


@given(
    req_id=REQ_IDS,
    strings=st.lists(st.tuples(st.booleans(), NAMES, TEXTS, st.booleans()), max_size=8),
    recover=st.booleans(),
    time_in=st.integers(0, 2**63 - 1),
)
def test_slots_are_where_the_numbers_belong(
    req_id: int | str | UnsetType,
    strings: list[tuple[bool, str, str, bool]],
    recover: bool,
    time_in: int,
) -> None:
    results, expected, item = Results(recover=recover), [], 0
    kinds: list[tuple[int, int]] = []
    for good, name, text, flag in strings:
        if not good:
            results.refused(text, Error(codes.UNKNOWN_SYMBOL, text))
            error = {"code": "unknown_symbol", "message": text, "retryable": False}
            expected.append({"symbol": text, "success": False, "error": error})
            continue
        pattern = "*" in name
        of_plane = (flag, not flag, 1 + flag, None, None, None)
        results.accepted(Subscription(5, "bbo", name, pattern, *of_plane, 1))
        result: dict[str, object] = {"symbol": name, "success": True, "channel": "bbo"}
        result |= {"matched": item} if pattern else {"seq": item}
        result |= {"mode": "lossless" if flag else "conflate", "snapshot": not flag}
        result["class"] = 1 + flag
        expected.append(result | {"epoch": f"{item:08}"} | _recovery(recover, item))
        kinds += [(SLOT_MATCHED if pattern else SLOT_SEQ, item), (SLOT_EPOCH, item)]
        kinds += [(SLOT_RECOVERY, item)] * recover
        item += 1
    reply = results.reply("subscribe", req_id, time_in)
    assert sorted(slot[1:] for slot in reply.slots) == sorted([(SLOT_TIME, 0), *kinds])
    payload = bytearray(reply.payload)
    for offset, kind, arg in reply.slots:
        text = f"{arg:08}" if kind == SLOT_EPOCH else str(arg).ljust(20)
        if kind == SLOT_RECOVERY:
            text = f',"recovery":"replaying","to":{arg}'.ljust(RECOVERY_WIDTH)
        assert payload[offset : offset + len(text)] == b" " * len(text)
        payload[offset : offset + len(text)] = text.encode()
    head = {"method": "subscribe", "success": item > 0, "failed": len(strings) - item}
    head |= {} if req_id is UNSET else {"req_id": req_id}
    times = {"time_in": time_in, "time_out": 0}
    assert json.loads(payload) == head | times | {"results": expected}


def _recovery(recover: bool, item: int) -> dict[str, str | int]:
    return {"recovery": "replaying", "to": item} if recover else {}


def test_results_read_as_in_the_protocol(client: "Client") -> None:
    results = Results()
    name = Subscription(0, "trade", "BTCUSDT.BINANCE", False, True, True, 0, None, None, None, 1)
    results.accepted(name)
    results.accepted(Subscription(1, "trade", "ETH*", True, False, True, 0, 0.5, 250, None, 3))
    results.accepted(Subscription(2, "book", "ETH*", True, False, True, 2, 0.5, None, 0, 3))
    results.refused("NOPE.X", Error(codes.UNKNOWN_SYMBOL, "no venue X here"))
    reply = results.reply("subscribe", 7, 5)
    assert b'"epoch":"        ","seq":                    }' in reply.payload
    text = json.dumps(filled(client, reply), separators=(",", ":"))
    assert text == (
        '{"method":"subscribe","req_id":7,"success":true,"failed":1,"time_in":5,'
        '"time_out":1700000000000000123,"results":['
        '{"symbol":"BTCUSDT.BINANCE","success":true,"channel":"trade","mode":"lossless",'
        '"class":0,"snapshot":true,"epoch":"k3f9aaaa","seq":8812},'
        '{"symbol":"ETH*","success":true,"channel":"trade","matched":3,"mode":"conflate",'
        '"class":0,"snapshot":true,"max_hz":0.5,"max_age_ms":250,"epoch":"k3f9aaaa"},'
        '{"symbol":"ETH*","success":true,"channel":"book","matched":3,"mode":"conflate",'
        '"class":2,"snapshot":true,"depth":0,"max_hz":0.5,"epoch":"k3f9aaaa"},'
        '{"symbol":"NOPE.X","success":false,"error":{"code":"unknown_symbol",'
        '"message":"no venue X here","retryable":false}}]}'
    )


def test_ended_subscriptions_have_no_parameters(client: "Client") -> None:
    results = Results(ended=True)
    results.accepted(Subscription(0, "trade", "ETH*", True, True, True, 0, None, None, None, 3))
    reply = results.reply("unsubscribe", UNSET, 5)
    assert [kind for _, kind, _ in reply.slots] == [SLOT_TIME]
    (result,) = filled(client, reply)["results"]
    assert result == {"symbol": "ETH*", "success": True, "channel": "trade"}


@given(REQ_IDS, st.just(UNSET) | st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**63 - 1))
def test_pong(req_id: int | str | UnsetType, t0: int | UnsetType, t1: int) -> None:
    reply = replies.pong(req_id, t0, t1)
    ((offset, kind, _),) = reply.slots
    assert kind == SLOT_TIME
    assert reply.payload[offset:] == b" " * 20 + b"}"
    expected = {"method": "ping", "success": True, "t1": t1, "t2": 9}
    expected |= {} if t0 is UNSET else {"t0": t0}
    expected |= {} if req_id is UNSET else {"req_id": req_id}
    assert json.loads(reply.payload[:offset] + b"9}") == expected


def test_refusals_say_whether_to_retry() -> None:
    reply = replies.refusal("x" * 1000, "a", Error(codes.RATE_LIMITED_ERROR, "y" * 1000, 20))
    message = json.loads(reply.payload)
    assert message["method"] == "x" * 240
    assert message["error"] == {
        "code": "rate_limited",
        "message": "y" * 240,
        "retryable": True,
        "retry_after_ms": 20,
    }


@pytest.mark.parametrize("following", [None, 0, 'A".B'])
def test_pages(client: "Client", following: str | int | None) -> None:
    reply = replies.page("list", 7, 5, "instruments", [b'{"a":1}', b'{"b":2}'], following)
    message = filled(client, reply)
    assert message["instruments"] == [{"a": 1}, {"b": 2}]
    assert message.get("next") == following


def test_hello(client: "Client") -> None:
    message = filled(client, client.session.hello(77))
    assert message == {
        "channel": "system",
        "type": "hello",
        "data": [
            {
                "version": "0.1.0",
                "connection_id": "c-17",
                "epoch": "k3f9aaaa",
                "now": 77,
                "heartbeat_ms": 1000,
                "slo": {"stage": "total", "percentile": 99, "target_us": 1000},
            }
        ],
    }


@pytest.mark.parametrize(
    ("name", "delay_s"),
    [("A.XNAS", None), ("A.LATE", 900), ("*.LATE", 900), ("*", None), ("*LATE", None)],
)
def test_results_say_how_late_a_venue_is(
    connect: "Connect", name: str, delay_s: int | None
) -> None:
    client = connect(delays={"LATE": 900})
    client.catalog.topics["trade"].append("A.LATE")
    client.catalog.topics["trade"].append("A.XNAS")
    (result,) = client.subscribe(name)["results"]
    assert result["success"]
    assert result.get("delay_s") == delay_s
    (result,) = client.ask("update", {"channel": "trade", "symbol": [name], "class": 1})["results"]
    assert result.get("delay_s") == delay_s
