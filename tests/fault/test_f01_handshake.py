"""Rows 1 to 7 and 58: before a connection is one."""

import time

import pytest
from support.serving import Metrics, Serving, descriptors, processor_s, until
from support.target import HANDSHAKE_TIMEOUT_S
from support.wire import KEY, PING, PONG, TEXT, Wire, connected, frame, request, subscribe, text

from gateway.codec.sbe import schema

HEADER_LINE_MAX = 8192
HEADERS_MAX = 128
HEADERS_OURS = 5


def refused(gateway: Serving, data: bytes, status: int) -> str:
    """Sends a request; it is answered with this status, and the connection ends. The body."""
    with Wire(gateway.url) as wire:
        wire.send_anyway(data)
        response = wire.response()
        assert response.status == status, response
        assert response.headers["connection"] == "close"
        assert wire.ended() == b""
        return response.body.decode()


def test_the_schema_is_to_be_had(gateway: Serving, before: Metrics) -> None:
    with Wire(gateway.url) as wire:
        wire.send(b"GET /v1/schema.xml HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        response = wire.response()
        assert (response.status, response.headers["content-type"]) == (200, "application/xml")
        assert response.headers["connection"] == "close"
        assert response.body == schema()
        assert wire.ended() == b""
    gateway.rises(before, "handshakes_total", "schema")
    body = refused(gateway, b"POST /v1/schema.xml HTTP/1.1\r\nHost: a\r\n\r\n", 405)
    assert body == "method POST: only GET\n"


@pytest.mark.threat("D1")
def test_f01_dribbled_headers_meet_a_total_deadline(gateway: Serving, before: Metrics) -> None:
    with Wire(gateway.url) as wire:
        start_s = time.monotonic()
        while time.monotonic() < start_s + HANDSHAKE_TIMEOUT_S * 1.5:
            wire.send_anyway(b"GET /v1 HTTP/1.1\r\nX"[:1])
            time.sleep(0.05)
        assert wire.response().status == 408
        assert wire.ended() == b""
    gateway.rises(before, "handshakes_total", "timeout")


def test_f01_one_who_never_hangs_up_is_hung_up_on(gateway: Serving, before: Metrics) -> None:
    worker = gateway.pid()
    held = descriptors(worker)
    wires = [Wire(gateway.url) for _ in range(10)]
    try:
        for wire in wires:
            wire.send(b"GET /v1")
            assert wire.response().status == 408
        # The clients read the refusal, and keep their sockets.
        until(lambda: descriptors(worker) <= held)
    finally:
        for wire in wires:
            wire.sock.close()
    gateway.rises(before, "handshakes_total", "timeout", by=10)


@pytest.mark.threat("D1")
def test_f02_a_silent_connection_meets_the_same_deadline(gateway: Serving, before: Metrics) -> None:
    with Wire(gateway.url) as wire:
        assert wire.response().status == 408
        assert wire.ended() == b""
    gateway.rises(before, "handshakes_total", "timeout")


def test_f02_one_that_comes_and_goes_is_counted(gateway: Serving, before: Metrics) -> None:
    with Wire(gateway.url) as wire:
        wire.send(b"GET /v1 HT")
    with Wire(gateway.url) as wire:
        wire.send(b"GET /v1 HT")
        gateway.rises(before, "accepted_total", by=2)
        wire.reset()
    gateway.rises(before, "handshakes_total", "closed", by=2)
    with Wire(gateway.url) as wire:
        wire.reset()  # before it is accepted, or after: the books balance either way


def test_f02_half_closed_sockets_burn_no_processor(gateway: Serving) -> None:
    worker = gateway.pid()
    wires = [Wire(gateway.url) for _ in range(5)] + [connected(gateway.url) for _ in range(5)]
    try:
        for wire in wires:
            wire.end()
        used_s = processor_s(worker)
        time.sleep(1.0)
        assert processor_s(worker) - used_s < 0.5
        for wire in wires:
            wire.ended()
    finally:
        for wire in wires:
            wire.sock.close()


TLS_HELLO = bytes.fromhex("16030100a5010000a10303") + bytes(range(7, 169))


@pytest.mark.parametrize(
    ("data", "result"),
    [
        pytest.param(TLS_HELLO.replace(b"\n", b""), "timeout", id="tls hello"),
        pytest.param(TLS_HELLO, "bad_request", id="tls hello with a line feed"),
        pytest.param(bytes(range(11, 256)) * 8, "timeout", id="binary"),
        pytest.param(b"\x00" * 4096 + b"\r\n", "bad_request", id="zeros"),
        pytest.param(b"\r\n" * 100, "bad_request", id="empty lines"),
        pytest.param(b"SSH-2.0-client\r\n", "bad_request", id="ssh"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "bad_request", id="http2"),
        pytest.param(frame(PING, b"\r\n", masked=False), "bad_request", id="a frame at once"),
    ],
)
@pytest.mark.threat("I8")
def test_f03_garbage(gateway: Serving, before: Metrics, data: bytes, result: str) -> None:
    refused(gateway, data, {"timeout": 408, "bad_request": 400}[result])
    gateway.rises(before, "handshakes_total", result)


def filled(count: int) -> list[tuple[str, str]]:
    return [(f"X-{number}", "x") for number in range(count)]


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(filled(HEADERS_MAX - HEADERS_OURS), id="as many headers as may be"),
        pytest.param([("X", "x" * (HEADER_LINE_MAX - 5))], id="as long a header as may be"),
    ],
)
def test_f04_at_the_limit(gateway: Serving, before: Metrics, more: list[tuple[str, str]]) -> None:
    """CVE-2024-37890: exactly at and over the header limit."""
    with Wire(gateway.url) as wire:
        wire.open(more=more)
        wire.ask({"method": "ping"})
    gateway.rises(before, "handshakes_total", "ok")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(
            request(more=filled(HEADERS_MAX - HEADERS_OURS + 1)), 431, id="one header too many"
        ),
        pytest.param(
            request(more=[("X", "x" * (HEADER_LINE_MAX - 4))]), 431, id="one character too many"
        ),
        pytest.param(request(more=[("X", "x" * 65536)]), 431, id="64 KiB header"),
        pytest.param(request(more=filled(2000)), 431, id="2000 headers"),
        pytest.param(request("/v1?" + "x" * HEADER_LINE_MAX), 414, id="one line too long"),
        pytest.param(request("/" + "x" * 65536), 414, id="64 KiB path"),
        pytest.param(
            request(more=[(f"X-{n}", "x" * 8000) for n in range(100)]), 431, id="800 KB in all"
        ),
    ],
)
def test_f04_beyond_the_limit(gateway: Serving, before: Metrics, data: bytes, status: int) -> None:
    refused(gateway, data, status)
    gateway.rises(before, "handshakes_total", "too_large")


def test_f04_ten_megabytes_of_header_are_cut_off(gateway: Serving, before: Metrics) -> None:
    """GHSA-8r68-gvr4-jh7j: memory before anyone is let in."""
    with Wire(gateway.url) as wire:
        wire.send_anyway(request(more=[("X", "x" * 10_000_000)]))
        wire.ended()
    gateway.rises(before, "handshakes_total", "too_large")


def key(value: str) -> bytes:
    return request(without=["sec-websocket-key"], more=[("Sec-WebSocket-Key", value)])


@pytest.mark.parametrize(
    ("data", "status", "result"),
    [
        pytest.param(request(line="GET /v1 HTTP/1.0"), 505, "version", id="http 1.0"),
        pytest.param(request(line="GET /v1 HTTP/2.0"), 400, "bad_request", id="http 2.0"),
        pytest.param(request(line="GET /v1"), 400, "bad_request", id="http 0.9"),
        pytest.param(request(line="POST /v1 HTTP/1.1"), 405, "method", id="post"),
        pytest.param(request(line="get /v1 HTTP/1.1"), 405, "method", id="lower case"),
        pytest.param(request(line="GET  /v1 HTTP/1.1"), 400, "bad_request", id="two spaces"),
        pytest.param(request(line="GET /v1\xff HTTP/1.1"), 400, "bad_request", id="path of bytes"),
        pytest.param(request(without=["sec-websocket-key"]), 400, "bad_request", id="no key"),
        pytest.param(key("x"), 400, "bad_request", id="no base64"),
        pytest.param(key("AAAA"), 400, "bad_request", id="short key"),
        pytest.param(key("\xfcAAAAAAAAAAAAAAAAAAAA=="), 400, "bad_request", id="key of bytes"),
        pytest.param(key(""), 400, "bad_request", id="empty key"),
        pytest.param(request(more=[("Sec-WebSocket-Key", KEY)]), 400, "bad_request", id="two keys"),
        pytest.param(request(without=["host"]), 400, "bad_request", id="no host"),
        pytest.param(request(more=[("Host", "b")]), 400, "bad_request", id="two hosts"),
        pytest.param(
            request(more=[("Origin", "http://localhost"), ("Origin", "http://localhost")]),
            *(400, "bad_request"),
            id="two origins",
        ),
        pytest.param(
            request(without=["sec-websocket-version"], more=[("Sec-WebSocket-Version", "8")]),
            *(426, "upgrade_required"),
            id="version 8",
        ),
        pytest.param(
            request(without=["sec-websocket-version"]), 400, "bad_request", id="no version"
        ),
        pytest.param(request(without=["upgrade"]), 426, "upgrade_required", id="no upgrade"),
        pytest.param(request(without=["connection"]), 426, "upgrade_required", id="no connection"),
        pytest.param(
            request(without=["upgrade"], more=[("Upgrade", "h2c")]),
            *(426, "upgrade_required"),
            id="another upgrade",
        ),
        pytest.param(request(more=[("Content-Length", "5")]), 400, "bad_request", id="a body"),
        pytest.param(
            request(more=[("Transfer-Encoding", "chunked")]), 400, "bad_request", id="chunks"
        ),
        pytest.param(request().replace(b"\r\n", b"\n", 1), 400, "bad_request", id="bare line feed"),
        pytest.param(request(more=[("X", "a\0b")]), 400, "bad_request", id="nul"),
        pytest.param(request(more=[("X", "a\rb")]), 400, "bad_request", id="bare return"),
        pytest.param(request(more=[("X Y", "z")]), 400, "bad_request", id="space in a name"),
        pytest.param(request(more=[(" folded", "z")]), 400, "bad_request", id="folded"),
        pytest.param(
            request(without=["connection"], more=[("Connection", ',;"')]),
            *(400, "bad_request"),
            id="connection of marks",
        ),
    ],
)
def test_f05_not_quite_a_request(
    gateway: Serving, before: Metrics, data: bytes, status: int, result: str
) -> None:
    refused(gateway, data, status)
    gateway.rises(before, "handshakes_total", result)


def test_f05_refusals_say_how_it_is_done(gateway: Serving) -> None:
    for data, name, value in (
        (request(line="PUT /v1 HTTP/1.1"), "allow", "GET"),
        (request(without=["upgrade"]), "upgrade", "websocket"),
        (
            request(without=["sec-websocket-version"], more=[("Sec-WebSocket-Version", "7")]),
            *("sec-websocket-version", "13"),
        ),
    ):
        with Wire(gateway.url) as wire:
            wire.send(data)
            assert wire.response().headers[name] == value


def test_f05_the_request_may_come_in_any_pieces(gateway: Serving) -> None:
    whole = request() + text({"method": "ping", "req_id": 7})
    for size in (1, 2, 3, 16, 50, len(whole)):
        with Wire(gateway.url) as wire:
            for at in range(0, len(whole), size):
                wire.send(whole[at : at + size])
            assert wire.response().status == 101
            assert wire.message()["type"] == "hello"
            assert wire.reply()["req_id"] == 7


def test_f05_a_subscribe_in_the_same_segment_is_answered_after_hello(gateway: Serving) -> None:
    with Wire(gateway.url) as wire:
        wire.send(
            request(), subscribe(["SYM001.SIM"]), text({"method": "ping"}), frame(PING, b"now")
        )
        assert wire.response().status == 101
        assert wire.message()["type"] == "hello"
        assert wire.message()["results"][0]["symbol"] == "SYM001.SIM"
        pong = False
        while (one := wire.frame()).opcode == PONG or b'"method":"ping"' not in one.payload:
            pong = pong or one.opcode == PONG
        while not pong:
            pong = wire.frame().opcode == PONG


def test_f05_what_follows_a_refused_request_is_not_obeyed(
    gateway: Serving, before: Metrics
) -> None:
    with Wire(gateway.url) as wire:
        wire.send(request("/nowhere"), request(), subscribe(["*"]))
        assert wire.response().status == 404
        assert wire.ended() == b""
    gateway.rises(before, "handshakes_total", "not_found")
    assert gateway.metrics().of("handshakes_total", "ok") == before.of("handshakes_total", "ok")


@pytest.mark.parametrize(
    "target",
    [
        *("/", "//v1", "/v1/", "/V1", "/%76%31", "/v1/../v1", "/.", "/v1%00", "/v1;x", "*", "v1"),
        *("http://gateway.test/v2", "/v1#x", "\\v1", "/%2e%2e/v1", "/%c0%af", "/etc/passwd"),
    ],
)
def test_f06_other_paths(gateway: Serving, before: Metrics, target: str) -> None:
    refused(gateway, request(target), 404)
    gateway.rises(before, "handshakes_total", "not_found")


def test_a_whole_uri_is_a_target_too(gateway: Serving) -> None:
    with Wire(gateway.url) as wire:
        wire.open(target="http://gateway.test/v1")


def test_f06_a_query_is_allowed(gateway: Serving) -> None:
    with Wire(gateway.url) as wire:
        wire.open(target="/v1?token=x&y=%00")


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.test", "null", "", "http://localhost.evil.test", "http://127.0.0.1.evil"),
        *("https://localhost.evil", "http://localhost:80x", "http://localhost:8080/", "localhost"),
        *("http://localhost:80@evil.test", "http://[::1].evil", "http://localhost:", "file://"),
        *("http://localhost http://evil.test", "http://localhost:123456", "*", "http://127x0x0x1"),
    ],
)
@pytest.mark.threat("S2")
def test_f07_strange_origins(gateway: Serving, before: Metrics, origin: str) -> None:
    """CVE-2018-1270, GHSA-f53g-frr2-jhpf: cross-site WebSocket hijacking."""
    refused(gateway, request(more=[("Origin", origin)]), 403)
    gateway.rises(before, "handshakes_total", "origin")


@pytest.mark.threat("R3")
def test_f07_a_refused_origin_is_told_to_both_sides(gateway: Serving) -> None:
    for number in range(20):
        body = refused(gateway, request(more=[("Origin", "https://dash.example")]), 403)
        assert '"https://dash.example" is not in listen.origins' in body, number
    assert gateway.says("origin.refused")
    lines = [line for line in gateway.lines().splitlines() if "origin.refused" in line]
    assert all("listen.origins" in line for line in lines)
    assert len(lines) < 10  # of all origins that were refused here


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost", "http://localhost:3000", "http://127.0.0.1:80", "http://[::1]:65535"),
        *("https://localhost", "https://127.0.0.1:8443"),
    ],
)
def test_f07_our_own_pages(gateway: Serving, origin: str) -> None:
    with Wire(gateway.url) as wire:
        wire.open(more=[("Origin", origin)])


@pytest.mark.parametrize(
    "offer",
    [
        *("permessage-deflate", "permessage-deflate; client_max_window_bits"),
        *("permessage-deflate; server_max_window_bits=99", "permessage-deflate; x=7, y"),
        *("x-webkit-deflate-frame", "a, b, c;d=e"),
    ],
)
@pytest.mark.threat("D6")
def test_f28_extensions_are_declined(gateway: Serving, offer: str) -> None:
    """GHSA-qrvq-68c2-7grw: what is never inflated is no bomb."""
    with Wire(gateway.url) as wire:
        wire.send(request(more=[("Sec-WebSocket-Extensions", offer)]))
        response = wire.response()
        assert response.status == 101
        assert "sec-websocket-extensions" not in response.headers
        assert wire.message()["type"] == "hello"


@pytest.mark.parametrize("payload", [b"\xaa\x56\x2a\x48\xcc\x4b\x07\x00", b"\xff" * 64])
def test_f30_a_compressed_frame_is_never_inflated(
    gateway: Serving, before: Metrics, payload: bytes
) -> None:
    with Wire(gateway.url) as wire:
        wire.send(request(more=[("Sec-WebSocket-Extensions", "permessage-deflate")]))
        assert wire.response().status == 101
        assert wire.message()["type"] == "hello"
        wire.send_anyway(frame(TEXT, payload, rsv=4))
        assert wire.closed()[0] == 1002
    gateway.rises(before, "closes_total", "1002")


@pytest.mark.parametrize("offer", [";;;", 'permessage-deflate; x="', "\xff", "=", ""])
def test_f29_malformed_offers_are_declined_or_refused(
    gateway: Serving, before: Metrics, offer: str
) -> None:
    with Wire(gateway.url) as wire:
        wire.send(request(more=[("Sec-WebSocket-Extensions", offer)]))
        response = wire.response()
        assert response.status in (101, 400)
        assert "sec-websocket-extensions" not in response.headers
    until(
        lambda: gateway.metrics().total("handshakes_total") == before.total("handshakes_total") + 1
    )


@pytest.mark.parametrize(
    ("offers", "echoed"),
    [
        ([], None),
        (["tickgate.v1.json"], "tickgate.v1.json"),
        (["chat, tickgate.v1.json"], "tickgate.v1.json"),
        (["chat", "tickgate.v1.json", "other"], "tickgate.v1.json"),
    ],
)
def test_f58_the_subprotocol_that_we_know_is_echoed(
    gateway: Serving, offers: list[str], echoed: str | None
) -> None:
    with Wire(gateway.url) as wire:
        wire.send(request(more=[("Sec-WebSocket-Protocol", offer) for offer in offers]))
        response = wire.response()
        assert response.status == 101
        assert response.headers.get("sec-websocket-protocol") == echoed


@pytest.mark.parametrize(
    "offer",
    [
        *("chat", "TICKGATE.V1.JSON", "tickgate.v1.jsonx", "tickgate.v2.json, chat", ""),
        *("tickgate.v1.json\x0b", "tickgate.v1.json\x85x: y", '"tickgate.v1.json"'),
    ],
)
def test_f58_unknown_subprotocols_are_refused(
    gateway: Serving, before: Metrics, offer: str
) -> None:
    data = request(more=[("Sec-WebSocket-Protocol", offer)])
    with Wire(gateway.url) as wire:
        wire.send(data)
        response = wire.response()
        assert response.status == 400
        assert "sec-websocket-protocol" not in response.headers
    gateway.rises(before, "handshakes_total", "bad_request")


@pytest.mark.parametrize("name", ["Host", "Sec-WebSocket-Protocol", "Origin", "User-Agent", "X"])
@pytest.mark.threat("T6")
def test_f58_no_value_of_the_clients_splits_the_response(gateway: Serving, name: str) -> None:
    """CVE-2026-34519: control characters never reach a header."""
    for value in ("a\rSet-Cookie: b", "a\x0bSet-Cookie: b", "a\x85Set-Cookie: b", "a\u0080b"):
        with Wire(gateway.url) as wire:
            without = [name] if name == "Host" else []
            wire.send(request(without=without, more=[(name, value)]))
            head = wire.response().head
            assert b"Set-Cookie" not in head
            assert all(32 <= byte < 127 or byte in b"\r\n" for byte in head)
