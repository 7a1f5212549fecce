"""Requests are no longer than a gateway takes, whatever letters names have."""

import json

import pytest

from gateway.client.requests import REQUEST_BYTES_MAX
from gateway.client.session import ClientSession


@pytest.mark.parametrize("letter", ["S", "\u00e9", "\u5e01", "\U0001f4b0"])
def test_a_request_is_measured_in_bytes(letter: str) -> None:
    symbols = [f"{letter * 20}{n}.SIM" for n in range(1000)]
    requests = ClientSession().subscribe("trade", symbols)
    assert max(len(request.text.encode()) for request in requests) <= REQUEST_BYTES_MAX + 200
    asked = [json.loads(request.text)["params"]["symbol"] for request in requests]
    assert [symbol for chunk in asked for symbol in chunk] == symbols
