"""URLs, headers and the upgrade request."""

import socket
import threading
from contextlib import nullcontext
from typing import Any

import pytest

from gateway.errors import TickgateError
from gateway.loadtest import endpoint
from gateway.loadtest.endpoint import BadUrl, parse, probe, upgrade


def test_a_url_in_its_parts() -> None:
    found = parse("ws://127.0.0.1:8765/v1?a=b")
    assert (found.address, found.port, found.path) == ("127.0.0.1", 8765, "/v1?a=b")
    assert found.authority == "127.0.0.1:8765"
    assert found.local


def test_an_ipv6_address_in_brackets() -> None:
    found = parse("ws://[::1]:8765/v1")
    assert (found.address, found.port, found.authority) == ("::1", 8765, "[::1]:8765")
    assert b"\r\nHost: [::1]:8765\r\n" in upgrade(found, b"KEY")
    assert parse("ws://localhost/").address == "127.0.0.1"


def test_what_a_url_may_leave_out() -> None:
    found = parse("ws://127.0.0.1")
    assert (found.port, found.path, found.authority) == (80, "/", "127.0.0.1")
    assert not found.tls_host
    found = parse("wss://localhost")
    assert (found.port, found.address, found.tls_host) == (443, "127.0.0.1", "localhost")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1/", "expected ws://HOST"),
        ("127.0.0.1:8765", "expected ws://HOST"),
        ("ws:///v1", "expected ws://HOST"),
        ("ws://127.0.0.1:99999/", "--url: "),
        ("ws://[::1/", "Invalid IPv6 URL"),
        ("ws://127.0.0.1/a b", "printable ASCII"),
        ("ws://127.0.0.1/\u00e4", "printable ASCII"),
        ("ws://127.0.0.1/a\r\nX: y", "--url"),
    ],
)
def test_a_wrong_url_says_why(url: str, why: str) -> None:
    with pytest.raises(BadUrl, match="--url") as caught:
        parse(url)
    assert why in str(caught.value)
    assert caught.value.exit_code == 2


def test_an_unknown_host_is_no_mistake_in_usage() -> None:
    with pytest.raises(TickgateError, match=r"no\.such\.invalid: no address") as caught:
        parse("ws://no.such.invalid/")
    assert caught.value.exit_code == 1


def test_the_accept_of_the_rfc() -> None:
    # RFC 6455 section 1.3 has the example.
    assert endpoint.accept(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_keys_are_fresh() -> None:
    assert endpoint.key() != endpoint.key()
    assert len(endpoint.key()) == 24


def test_the_upgrade_request() -> None:
    request = upgrade(parse("ws://127.0.0.1:9/v1"), b"KEY", headers=[("X-A", "1"), ("X-B", "")])
    assert request == (
        b"GET /v1 HTTP/1.1\r\nHost: 127.0.0.1:9\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: KEY\r\nSec-WebSocket-Version: 13\r\nX-A: 1\r\nX-B: \r\n\r\n"
    )


def test_the_upgrade_request_with_a_subprotocol() -> None:
    request = upgrade(parse("ws://127.0.0.1/"), b"KEY", subprotocol="tickgate.v1.json")
    assert b"\r\nSec-WebSocket-Protocol: tickgate.v1.json\r\n" in request


@pytest.mark.parametrize(
    ("more", "wanted", "well"),
    [
        ("", "", True),
        ("Sec-WebSocket-Protocol: tickgate.v1.sbe\r\n", "tickgate.v1.sbe", True),
        ("X: 1\r\nsec-websocket-protocol:tickgate.v1.sbe \r\n", "tickgate.v1.sbe", True),
        ("", "tickgate.v1.sbe", False),
        ("Sec-WebSocket-Protocol: tickgate.v1.json\r\n", "tickgate.v1.sbe", False),
        ("Sec-WebSocket-Protocol: tickgate.v1.sbe2\r\n", "tickgate.v1.sbe", False),
    ],
)
def test_a_probe_wants_the_subprotocol_that_is_needed(more: str, wanted: str, well: bool) -> None:
    answer = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n{more}\r\n"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answered() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(answer.encode())

        thread = threading.Thread(target=answered)
        thread.start()
        expected: Any = (
            nullcontext() if well else pytest.raises(TickgateError, match="did not choose")
        )
        with expected:
            probe(parse(f"ws://127.0.0.1:{server.getsockname()[1]}/"), b"GET", subprotocol=wanted)
        thread.join()


@pytest.mark.parametrize(
    ("text", "parts"),
    [("A: b", ("A", "b")), ("A:b: c", ("A", "b: c")), ("X-Empty:", ("X-Empty", ""))],
)
def test_headers(text: str, parts: tuple[str, str]) -> None:
    assert endpoint.header(text) == parts


@pytest.mark.parametrize("text", ["", "A", ": b", "A B: c", "A: b\r\nC: d", "A: \u00e4"])
def test_wrong_headers(text: str) -> None:
    with pytest.raises(BadUrl, match="--header"):
        endpoint.header(text)
