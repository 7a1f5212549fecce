"""Requests are no longer than a gateway takes, whatever letters names have. Which are answered."""

import json

import pytest

from gateway.client.requests import REQUEST_BYTES_MAX, Asked, Key, Outstanding
from gateway.client.session import ClientSession


@pytest.mark.parametrize("letter", ["S", "\u00e9", "\u5e01", "\U0001f4b0"])
def test_a_request_is_measured_in_bytes(letter: str) -> None:
    symbols = [f"{letter * 20}{n}.SIM" for n in range(1000)]
    requests = ClientSession().subscribe("trade", symbols)
    assert max(len(request.text.encode()) for request in requests) <= REQUEST_BYTES_MAX + 200
    asked = [json.loads(request.text)["params"]["symbol"] for request in requests]
    assert [symbol for chunk in asked for symbol in chunk] == symbols


def test_what_is_asked_for_is_known_until_its_newest_reply() -> None:
    outstanding = Outstanding()
    a, b = Key("trade", "A.SIM"), Key("trade", "B.SIM")
    first = Asked("subscribe", "trade", ("A.SIM", "B.SIM"), {})
    outstanding.add(1, first)
    outstanding.add(2, Asked("subscribe", "trade", ("A.SIM",), {}))
    outstanding.add(3, Asked("update", "trade", ("B.SIM",), {}))
    assert outstanding.take(1) == first
    assert (outstanding.subscribes(a), outstanding.subscribes(b)) == (True, False)
    assert outstanding.take(1) == outstanding.take("x") == Asked("", "", (), {})
    assert len(outstanding.clear()) == 2
    assert outstanding.clear() == []
    assert not outstanding.subscribes(a), "the connection that had it is over"
