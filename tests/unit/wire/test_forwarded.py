"""Where a client is, as proxies tell it: the right-most address that is no trusted proxy's."""

import time

import pytest
from websockets.datastructures import Headers

from gateway.networks import Networks
from gateway.wire.forwarded import client_of

TRUSTED = Networks(["10.0.0.0/8", "2001:db8:f::/48"])
PROXY = "10.0.0.1"


def client(*lines: tuple[str, str]) -> str:
    headers = Headers()
    for name, value in lines:
        headers[name] = value
    return client_of(headers, TRUSTED, PROXY)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("1.1.1.1,203.0.113.7,10.0.0.2,10.0.0.3", "203.0.113.7"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711, 2001:db8:f::1", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
def test_the_right_most_untrusted_address_counts(value: str, address: str) -> None:
    assert client(("X-Forwarded-For", value)) == address


@pytest.mark.parametrize(
    "value",
    ["", ",", "unknown", "203.0.113.7, unknown", "evil.example", "203.0.113.7, ", "[203.0.113.7]",
     "203.0.113.7:x", "203.0.113.7:999999", "[2001:db8::7", "203.0.113.7\t;", "1.2.3"],
)  # fmt: skip
def test_f60_what_is_no_address_leaves_the_proxy_for_its_client(value: str) -> None:
    assert client(("X-Forwarded-For", value)) == PROXY


def test_without_a_word_the_proxy_is_the_client() -> None:
    assert client() == PROXY


def test_behind_garbage_the_last_proxy_stands_for_its_client() -> None:
    assert client(("X-Forwarded-For", "203.0.113.7, ?, 10.0.0.9")) == "10.0.0.9"


def test_lines_are_one_list_in_their_order() -> None:
    lines = (("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "203.0.113.7, 10.0.0.2"))
    assert client(*lines) == "203.0.113.7"


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ('For="203.0.113.7:80";proto=https', "203.0.113.7"),
        ('proto=http;by=10.0.0.1;for="[2001:db8::7]:80"', "2001:db8::7"),
        ('for=1.1.1.1, for="203.0.113.7"; host="a,b", for=10.0.0.2', "203.0.113.7"),
        ("for=_hidden", PROXY),
        ("for=unknown", PROXY),
        ("by=203.0.113.7", PROXY),
        ("for=203.0.113.7;for=1.1.1.1", PROXY),
        ('for="203.0.113.7', PROXY),
        ('for=1.1.1.1, host="for=203.0.113.9,', PROXY),
        ('host="\\", for=203.0.113.9", for=203.0.113.7', "203.0.113.7"),
    ],
)
def test_the_other_header_says_the_same(value: str, address: str) -> None:
    assert client(("Forwarded", value)) == address


def test_f60_two_headers_that_differ_are_not_believed() -> None:
    told = ("X-Forwarded-For", "203.0.113.7")
    assert client(told, ("Forwarded", "for=203.0.113.7")) == "203.0.113.7"
    assert client(told, ("Forwarded", "for=203.0.113.8")) == PROXY


def test_a_list_without_end_costs_little() -> None:
    begun = time.process_time()
    for text in (
        "," * 8000,
        '"' * 8000,
        ',"' * 4000,
        '\\"' * 4000,
        "for=;" * 1600,
        "10.0.0.1," * 900,
    ):
        client(("X-Forwarded-For", text), ("Forwarded", text))
    assert time.process_time() - begun < 1
