"""Requests as structs: what decodes, what is refused and why, whose id can still be read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from gateway.session import messages
from gateway.session.messages import Malformed, decode, identify


def refused(text: str) -> Malformed:
    with pytest.raises(Malformed) as caught:
        decode(text)
    return caught.value


def subscribe(**params: Any) -> str:
    everything = {"channel": "trade", "symbol": ["A.B"], **params}
    return json.dumps({"method": "subscribe", "req_id": 7, "params": everything})


def test_the_protocols_own_examples_decode() -> None:
    text = """{"method":"subscribe","req_id":7,"params":{"channel":"trade",
    "symbol":["BTCUSDT.BINANCE","ETH*"],"snapshot":true,"mode":"conflate","class":2,"max_hz":20,"max_age_ms":250,"depth":10,
    "from":{"epoch":"k3f9","seq":8812}}}"""
    request = decode(text)
    assert isinstance(request, messages.Subscribe)
    assert request.req_id == 7
    assert request.params.symbol == ["BTCUSDT.BINANCE", "ETH*"]
    assert request.params.from_ == messages.From("k3f9", 8812)
    assert isinstance(decode('{"method":"list","req_id":10}'), messages.List)
    assert isinstance(decode('{"method":"stats"}'), messages.Stats)
    ping = decode('{"method":"ping","req_id":"x","params":{"t0":-5}}')
    assert isinstance(ping, messages.Ping)
    assert ping.params == messages.PingParams(-5)
    auth = decode('{"method":"auth","req_id":1,"params":{"token":"<JWT>"}}')
    assert isinstance(auth, messages.Auth)


@pytest.mark.parametrize("req_id", [0, -1, 2**63 - 1, -(2**63), "", "x" * 36, "é" * 36, '":,'])
def test_ids_come_back_as_they_came(req_id: object) -> None:
    request = decode(json.dumps({"req_id": req_id, "method": "ping"}))
    assert request.req_id == req_id
    assert type(request.req_id) is type(req_id)


@pytest.mark.parametrize(
    "req_id", ["null", "true", "7.5", "7.0", "[]", "{}", '"' + "x" * 37 + '"', str(2**63), "1e3"]
)
def test_bad_ids_are_named_and_not_echoed(req_id: str) -> None:
    bad = refused(f'{{"method":"ping","req_id":{req_id}}}')
    assert "req_id" in str(bad)
    assert bad.method == "ping"
    assert bad.req_id is UNSET


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"method":"subscribe","req_id":7}', "`params`"),
        ('{"method":"subscribe","req_id":7,"params":{"symbol":["A.B"]}}', "`channel`"),
        ('{"method":"subscribe","req_id":7,"params":{"channel":"trade"}}', "`symbol`"),
        (subscribe(symbol="A.B"), "$.params.symbol"),
        (subscribe(symbol=["A.B", 5]), "$.params.symbol[1]"),
        (subscribe(snapshot=1), "$.params.snapshot"),
        (subscribe(mode="fast"), "$.params.mode"),
        (subscribe(max_hertz=1), "`max_hertz`"),
        (subscribe(**{"from": {"epoch": "k3f9"}}), "`seq`"),
        (subscribe(**{"from": {"last": 0}}), "$.params.from.last"),
        (subscribe(**{"from": {"last": 1, "ts": 1}}), "`last`, or `ts`"),
        (subscribe(**{"from": {}}), "$.params.from"),
        (subscribe(**{"from": {"epoch": "k3f9", "seq": -1}}), "$.params.from.seq"),
        (subscribe(**{"from": {"epoch": "k3f9", "seq": 1, "x": 1}}), "`x`"),
        ('{"method":"ping","req_id":7,"params":{"t0":"now"}}', "$.params.t0"),
        ('{"method":"ping","req_id":7,"params":{"t0":18446744073709551616}}', "$.params.t0"),
        ('{"method":"stats","req_id":7,"params":{"after":-1}}', "$.params.after"),
        ('{"method":"ping","req_id":7,"extra":1}', "`extra`"),
        ('{"method":"ping","req_id":7,"params":[]}', "$.params"),
        ('{"req_id":7}', "`method`"),
        ('{"method":5,"req_id":7}', "$.method"),
    ],
)
def test_a_refusal_names_the_field(text: str, why: str) -> None:
    bad = refused(text)
    assert why in str(bad)
    assert bad.req_id == 7


@pytest.mark.parametrize(
    "text",
    [
        '{"method":"ping","req_id":7,"req_id":7}',
        '{"method":"ping","method":"ping","req_id":7}',
        '{"method":"ping","req_id":7,"params":{"t0":1,"t0":1}}',
        '{"method":"ping","req_id":7,"params":{"t0":1,"t\\u0030":1}}',
        '{"method":"ping","req_id":7,"params":{},"params":{}}',
        subscribe()[:-2] + ',"from":{"epoch":"a","seq":1,"seq":2}}}',
        subscribe()[:-2] + ',"class":{"a":1,"a":2}}}',
        subscribe(symbol=["A:B.SIM"])[:-2] + ',"mode":"lossless","mode":"conflate"}}',
    ],
)
def test_a_key_that_comes_twice_is_refused(text: str) -> None:
    bad = refused(text)
    assert "twice" in str(bad)
    assert bad.req_id == 7


@pytest.mark.parametrize(
    "name",
    ["snapshot", "mode", "class", "max_hz", "max_age_ms", "depth", "from"],
)
def test_a_parameter_that_is_null_is_left_out(name: str) -> None:
    assert decode(subscribe(**{name: None})) == decode(subscribe())


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('{"method":"list","params":null}', '{"method":"list"}'),
        (
            '{"method":"ping","req_id":1,"params":{"t0":null}}',
            '{"method":"ping","req_id":1,"params":{}}',
        ),
        (
            '{"method":"list","params":{"channel":null,"symbol":["null"],"after":null}}',
            '{"method":"list","params":{"symbol":["null"]}}',
        ),
        ('{"method":"stats","params":{"after":null}}', '{"method":"stats","params":{}}'),
    ],
)
def test_of_every_request_a_null_is_left_out(text: str, same: str) -> None:
    assert decode(text) == decode(same)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (subscribe(symbol=None), "`symbol`"),
        (subscribe(channel=None), "`channel`"),
        (subscribe(symbol=[None]), "$.params.symbol[0]"),
        (subscribe(max_hertz=1, mode=None), "`max_hertz`"),
        (subscribe(**{"from": {"epoch": None, "seq": 1}}), "$.params.from.epoch"),
        ('{"method":"subscribe","req_id":7,"params":null}', "`params`"),
        (subscribe(mode=None)[:-2] + ',"mode":null}}', "twice"),
        (subscribe(mode=None)[:-2] + ',"mode":"conflate"}}', "twice"),
    ],
)
def test_what_is_required_cannot_be_null(text: str, why: str) -> None:
    bad = refused(text)
    assert why in str(bad)
    assert bad.req_id == 7


def test_colons_in_strings_are_no_keys() -> None:
    request = decode(subscribe(symbol=["A:B.SIM", ':":'], **{"class": {"a": 1}}))
    assert isinstance(request, messages.Subscribe)
    assert request.params.symbol == ["A:B.SIM", ':":']


@pytest.mark.parametrize(
    ("text", "method", "req_id"),
    [
        ("", UNSET, UNSET),
        ("[]", UNSET, UNSET),
        ('"req_id"', UNSET, UNSET),
        ('{"method":"x","req_id":"a"}', "x", "a"),
        ('{"method":[],"req_id":5}', UNSET, 5),
        ('{"method":"x","req_id":[5]}', "x", UNSET),
        ('{"req_id": 12, "method":', UNSET, 12),
        ('{"req_id":"a:b","params":{"t0":NaN}}', UNSET, "a:b"),
        ('{"req_id":"a\\"', UNSET, UNSET),
        ('{"req_id":9223372036854775808,"x":}', UNSET, UNSET),
        ('{"req_id":012,"x":}', UNSET, UNSET),
        ('{"req_id":"\ud800",', UNSET, UNSET),
    ],
)
def test_what_can_be_read_of_a_text_that_is_no_request(
    text: str, method: object, req_id: object
) -> None:
    assert identify(text) == (method, req_id)


KEYS = st.sampled_from(
    ["method", "req_id", "params", "channel", "symbol", "mode", "from", "epoch", "t0", "x"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@given(VALUES | st.text())
def test_any_text_decodes_or_is_malformed(value: object) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    reason = "none"
    try:
        decode(text)
    except Malformed as bad:
        reason = str(bad)
    assert reason
