import asyncio
import json
import re
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from support.reports import slow, step, worker
from support.soon import until
from support.wire import PING, PONG, frame, request, text

from gateway.errors import ResourceError
from gateway.model.outcomes import HANDSHAKES, STEPS
from gateway.ops import http
from gateway.ops.exchange import CONNECTIONS_MAX
from gateway.ops.http import OpsServer
from gateway.ops.hub import Hub
from gateway.options import OpsOptions
from gateway.session.codes import CLOSE_CODES
from gateway.session.options import REQUESTS

Answer = tuple[int, dict[str, str], bytes]
CUT = 0
"""In place of a code: the connection was closed without an answer."""


@pytest.fixture
async def server(site: Any) -> AsyncIterator[OpsServer]:
    async with OpsServer(OpsOptions(port=0), site.subject) as server:
        yield server


def port_of(server: OpsServer) -> int:
    return int(server.url.rpartition(":")[2].strip("/"))


async def ask(server: OpsServer, target: str, method: str = "GET") -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("latin-1"))
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    if not answer:
        return CUT, {}, b""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body


async def exchange(server: OpsServer, data: bytes, size: int = 1 << 24) -> bytes:
    """Sends these bytes, so many at a time; all that comes until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    answered = asyncio.create_task(reader.read())
    for at in range(0, len(data), size):
        writer.write(data[at : at + size])
        await asyncio.sleep(0)
    answer = await asyncio.wait_for(answered, 10)
    writer.transport.abort()
    await until(lambda: server.connections == 0)  # the server saw the end: nothing is left open
    return answer


async def test_alive_and_ready(server: OpsServer) -> None:
    assert (await ask(server, "/livez"))[::2] == (200, b"ok\n")
    assert (await ask(server, "/readyz"))[::2] == (200, b"ready\n")


async def test_not_ready_says_why_and_is_still_alive(server: OpsServer, site: Any) -> None:
    site.supervision.problems = ["draining"]
    assert (await ask(server, "/readyz"))[::2] == (503, b"draining\n")
    assert (await ask(server, "/livez"))[0] == 200


async def test_an_answer_that_fails_is_logged(
    server: OpsServer, site: Any, caplog: pytest.LogCaptureFixture
) -> None:
    site.supervision.epoch = object()  # no JSON
    assert (await ask(server, "/statusz"))[0] == 500
    ours = [record.message for record in caplog.records if record.name.startswith("gateway.")]
    assert ours == ["ops.failed"]


async def test_status_is_one_document(server: OpsServer, site: Any) -> None:
    site.pages["worker-0"].record("total", 1_000_000, 10)
    code, headers, body = await ask(server, "/statusz")
    document = json.loads(body)
    assert (code, headers["content-type"]) == (200, "application/json")
    assert document["ready"] is True
    assert document["version"] == "1.2.3"
    assert document["epoch"] == "abcd1234"
    assert document["listen"] == "ws://127.0.0.1:8765/v1"
    assert document["ops"] == server.url
    assert document["stages"]["total"]["count"] == 10
    assert document["stages"]["total"]["p99_us"] == pytest.approx(1000, rel=0.002)
    assert document["slo"]["target_us"] == 1500
    assert document["channels"]["trade"]["published"] == 0
    assert document["processes"][0]["name"] == "worker-0"
    assert document["config"]["listen"]["port"] == 8765


async def test_status_tells_outcomes_apart_as_the_metrics_do(server: OpsServer, site: Any) -> None:
    site.pages["worker-0"].add("handshakes", HANDSHAKES.index("origin"), 2)
    site.pages["worker-1"].add("closes", CLOSE_CODES.index(4008), 3)
    site.pages["worker-1"].add("requests", REQUESTS.index(("ping", "ok")), 4)
    site.pages["worker-1"].add("steps_resumed", STEPS.index("visits"), 2)
    site.pages["worker-1"].set("connections", 0, 5)
    site.supervision.children[0].status = worker(
        connections=3, subscribers={"slo": 1}, ladder=(step(5),), slowest=(slow("c-1"),)
    )
    document = json.loads((await ask(server, "/statusz"))[2])
    counters = document["counters"]
    assert counters["handshakes"] == {name: 2 * (name == "origin") for name in HANDSHAKES}
    assert counters["closes"]["4008"] == 3
    assert counters["requests"]["ping"]["ok"] == 4
    assert counters["steps_resumed"] == dict.fromkeys(STEPS, 0) | {"visits": 2}
    assert counters["connections"] == 5
    assert document["workers"] == [
        {
            "name": "worker-0",
            "connections": 3,
            "accepting": True,
            "slo_subscribers": 1,
            "ladder": [{"ts": 5, "step": 1, "was": 0, "reason": "load"}],
            "slowest": [
                {
                    "connection_id": "c-1",
                    "address": "10.0.0.1",
                    "level": 1,
                    "age_ms": 7,
                    "pending_bytes": None,
                    "why": "slow",
                }
            ],
        }
    ]


async def test_every_answer_has_the_security_headers(server: OpsServer) -> None:
    for path in ("/", "/plotly.js", "/metrics", "/statusz", "/nope"):
        _, headers, _ = await ask(server, path)
        assert headers["content-security-policy"] == (
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
            " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "target",
    [
        "/nope",
        "//",
        "//page.js",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/static/page.js",
        "/page.js/",
        "/page.js%00",
        "/..\\page.js",
        "/\xc0\xaf",
        "http://localhost/nope",
        "http://localhost@/livez",
        "ftp://localhost/livez",
        "/v1",
    ],
)
async def test_f06_no_path_but_the_known_ones(server: OpsServer, target: str) -> None:
    assert (await ask(server, target))[0] in (400, 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "CONNECT", "get", "PATCH"])
async def test_methods_that_change_things_are_refused(server: OpsServer, method: str) -> None:
    code, headers, _ = await ask(server, "/metrics", method)
    assert (code, headers["allow"]) == (405, "get, head, options")


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/metrics", "/statusz", "/", "/page.js"])
async def test_f74_head_is_get_without_the_body(server: OpsServer, path: str) -> None:
    code, headers, body = await ask(server, path, "HEAD")
    assert (code, body) == (200, b"")
    assert int(headers["content-length"]) > 0
    assert headers.keys() == (await ask(server, path))[1].keys()


async def test_head_of_what_is_not_ready_or_not_there(server: OpsServer, site: Any) -> None:
    site.supervision.problems = ["draining"]
    assert (await ask(server, "/readyz", "HEAD"))[::2] == (503, b"")
    assert (await ask(server, "/nope", "HEAD"))[::2] == (404, b"")


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/metrics", "/", "/plotly.js", "/v1", "*"])
async def test_f74_options_says_what_may_be_asked(server: OpsServer, path: str) -> None:
    code, headers, body = await ask(server, path, "OPTIONS")
    assert (code, headers["allow"], body) == (204, "get, head, options", b"")
    assert "content-length" not in headers
    assert (await ask(server, "/nope", "OPTIONS"))[0] == 404


async def test_the_check_of_a_load_balancer(server: OpsServer) -> None:
    """HAProxy's `option httpchk` without more: HTTP/1.0, no Host."""
    answer = await exchange(server, b"OPTIONS / HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 204 ")


@pytest.mark.parametrize(
    "target",
    [
        *("http://gateway.test/livez", "HTTPS://gateway.test:9464/livez", "http://[::1]/livez?x"),
        *("http://gateway.test/livez?http://x/", "ws://gateway.test/livez"),
    ],
)
async def test_f74_a_whole_uri_is_a_target_too(server: OpsServer, target: str) -> None:
    assert (await ask(server, target))[::2] == (200, b"ok\n")


GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
UPGRADE = b"GET /v1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(GET + b"Content-Length: 5\r\n\r\nhello", id="body"),
        pytest.param(GET + b"Content-Length: 500\r\n\r\nhello", id="body that never ends"),
        pytest.param(GET + b"content-length:5\r\n\r\n", id="body that never comes"),
        pytest.param(GET + b"Content-Length: x\r\n\r\n", id="body of no length"),
        pytest.param(
            GET + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", id="chunks"
        ),
        pytest.param(
            GET + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", id="asks before the body"
        ),
        pytest.param(GET + b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000, id="long body"),
        pytest.param((GET + b"\r\n") * 2, id="pipelined"),
        pytest.param((GET + b"\r\n") * 1000, id="pipelined, much"),
        pytest.param(GET + b"\r\n" + bytes(range(256)), id="and then noise"),
    ],
)
async def test_f74_a_body_costs_nobody_the_answer(server: OpsServer, request_bytes: bytes) -> None:
    answer = await exchange(server, request_bytes)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\nok\n")
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        pytest.param(GET.replace(b" HTTP/1.1", b"") + b"\r\n", 400, id="no version"),
        pytest.param(b"\x16\x03\x01\r\n\r\n", 400, id="TLS"),
        pytest.param(GET.replace(b"\r\n", b"\n") + b"\n", 400, id="bare line feeds"),
        pytest.param(GET + b"X Y: z\r\n\r\n", 400, id="space in a name"),
        pytest.param(GET + b"X: " + b"x" * 9000 + b"\r\n\r\n", 431, id="long header"),
        pytest.param(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414, id="long path"),
        pytest.param(GET + b"X: y\r\n" * 200 + b"\r\n", 431, id="many headers"),
        pytest.param(GET + b"X: y\r\n" * 20_000, 431, id="headers without end"),
        pytest.param(
            GET + (b"X: " + b"x" * 8000 + b"\r\n") * 5 + b"\r\n", 431, id="long headers at once"
        ),
        pytest.param(b"POST /livez HTTP/1.1\r\nContent-Length: 3\r\n\r\na=b", 405, id="a form"),
        pytest.param(
            GET.replace(b"/livez", b"/v1") + b"Upgrade: websocket\r\nContent-Length: 3\r\n\r\nabc",
            *(400,),
            id="an upgrade with a body",
        ),
        pytest.param(
            b"HEAD /v1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n", 405, id="head"
        ),
    ],
)
async def test_f74_every_request_gets_an_answer(
    server: OpsServer, request_bytes: bytes, code: int
) -> None:
    answer = await exchange(server, request_bytes)
    assert answer.startswith(b"HTTP/1.1 %d " % code)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert +server.answers == {str(code): 1}


async def test_answers_are_counted_by_code(server: OpsServer) -> None:
    for target in ("/livez", "/nowhere", "/nowhere", "/livez"):
        await ask(server, target)
    await ask(server, "/", "DELETE")
    await exchange(server, UPGRADE)
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.write(b"GET /livez HTTP/1.1\r\nHo")  # and never the rest
    writer.close()
    await until(lambda: server.answers["none"] == 1)
    _, _, body = await ask(server, "/metrics")
    counted = re.findall(rb'tickgate_http_requests_total{code="(\w+)"} (\d)', body)
    assert dict(counted) == {b"200": b"2", b"404": b"2", b"405": b"1", b"426": b"1", b"none": b"1"}


async def test_what_is_told_of_a_request_obeys_no_terminal(server: OpsServer) -> None:
    answer = await exchange(server, GET + b"X: \x1b[31m\xff\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\x1b" not in answer


async def test_a_request_may_come_in_any_pieces(server: OpsServer) -> None:
    for size in (1, 2, 3, 16):
        answer = await exchange(server, GET + b"Content-Length: 5\r\n\r\nhello", size=size)
        assert answer.endswith(b"ok\n")


async def test_f74_a_body_without_end_is_cut(server: OpsServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.write(GET + b"Content-Length: 99999999999\r\n\r\n")
    assert (await reader.read()).endswith(b"ok\n")
    sent = 0
    with suppress(ConnectionError):
        while sent < 1 << 30:
            writer.write(b"x" * (1 << 20))
            await asyncio.wait_for(writer.drain(), 10)
            sent += 1 << 20
    assert sent < 64 << 20  # what the two kernels hold is some MiB
    writer.transport.abort()


async def test_a_client_that_sends_no_more_is_answered(server: OpsServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.write(GET.replace(b"/livez", b"/statusz") + b"\r\n")
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_frames_may_come_with_their_upgrade(server: OpsServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    ask = text({"method": "ping", "req_id": 7})
    writer.write(request() + frame(PING, b"early") + ask)
    got = b""
    async with asyncio.timeout(10):
        while b'"req_id":7' not in got:
            got += await reader.read(65536)
    assert got.startswith(b"HTTP/1.1 101 ")  # and no pong before it
    assert b"early" in got
    assert got.index(b'"hello"') < got.index(b'"req_id":7')
    writer.close()


async def test_what_comes_before_an_answer_is_not_read(
    server: OpsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = asyncio.Event()

    async def respond(*_: object) -> None:
        await release.wait()

    monkeypatch.setattr(OpsServer, "respond", respond)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.write(request())
    sent = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            while sent < 64 << 20:
                writer.write(frame(PONG, b"x" * 100) * 1000)
                sent += 106_000
                await writer.drain()
    assert sent < 32 << 20  # what the two kernels hold is some MiB
    release.set()
    assert b"HTTP/1.1 101 " in await asyncio.wait_for(reader.readline(), 10)
    with suppress(ConnectionError):  # it was cut with bytes of ours unread
        assert b"\x0f\xbdcontrol frames" in await asyncio.wait_for(reader.read(), 10)
    writer.transport.abort()


@pytest.mark.threat("I6")
async def test_a_refused_origin_is_told(server: OpsServer) -> None:
    answer = await exchange(server, request(more=[("Origin", "https://dash.example")]))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b'"https://dash.example" is not in listen.origins' in answer


async def test_of_a_whole_uri_its_own_authority_is_the_page_s(server: OpsServer) -> None:
    """RFC 9112 section 3.2.2: it stands for Host."""
    for host, status in (("dash.example", b"101"), ("gateway.test", b"403")):
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        origin = ("Origin", "http://dash.example")
        writer.write(request(f"http://{host}/v1", more=[origin]))
        line = await asyncio.wait_for(reader.readline(), 10)
        assert line.split()[1] == status
        writer.close()


async def test_a_query_is_no_part_of_the_path(server: OpsServer) -> None:
    assert (await ask(server, "/livez?x=/../"))[0] == 200


@pytest.mark.threat("D13")
async def test_f57_a_flood_of_scrapes_is_bounded(
    server: OpsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    at_once = most = 0

    def render(_: object) -> bytes:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        release.wait(10)
        at_once -= 1
        return b"done\n"

    monkeypatch.setattr("gateway.ops.metrics.Metrics.render", render)
    scrapes = [asyncio.create_task(ask(server, "/metrics")) for _ in range(20)]
    await until(lambda: sum(task.done() for task in scrapes) == 20 - http.SCRAPES_MAX)
    assert (await ask(server, "/livez"))[0] == 200  # the rest is served meanwhile
    release.set()
    codes = [code for code, _, _ in await asyncio.gather(*scrapes)]
    assert "ops.full" in [record.message for record in caplog.records]
    assert sorted(codes) == [200] * http.SCRAPES_MAX + [503] * (20 - http.SCRAPES_MAX)
    assert most <= http.SCRAPES_MAX


async def test_f57_slow_requests_and_scrapers_are_cut(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for a busy machine to show both connections before the first is cut.
    monkeypatch.setattr("gateway.ops.exchange.EXCHANGE_TIMEOUT_S", 1.5)
    monkeypatch.setattr("gateway.ops.metrics.Metrics.render", lambda _: b"x" * (32 << 20))
    async with OpsServer(OpsOptions(port=0), site.subject) as server:
        address = ("127.0.0.1", port_of(server))
        with socket.create_connection(address) as silent, socket.create_connection(address) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: server.connections == 2)
            await until(lambda: server.connections == 0)
            silent.settimeout(5)
            # Elsewhere: the socket itself is closed by this loop, a turn after it was counted out.
            assert await asyncio.to_thread(silent.recv, 1) == b""


@pytest.mark.threat("D13")
async def test_f57_connections_are_bounded(
    server: OpsServer, caplog: pytest.LogCaptureFixture
) -> None:
    address = ("127.0.0.1", port_of(server))
    idle = [socket.create_connection(address) for _ in range(CONNECTIONS_MAX)]
    await until(lambda: server.connections == CONNECTIONS_MAX)
    with suppress(ConnectionResetError):
        assert (await ask(server, "/livez"))[0] == CUT
    await until(lambda: server.answers["none"] == 1)
    assert [record.message for record in caplog.records] == ["ops.full"]
    for each in idle:
        each.close()
    await until(lambda: server.connections == 0)
    assert (await ask(server, "/livez"))[0] == 200


async def test_f61_a_busy_port_is_named(site: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ResourceError, match=rf"127.0.0.1:{port} .*ops.port.*in use"):
            async with OpsServer(OpsOptions(port=port), site.subject):
                pass


async def test_what_is_read_for_people_holds_nothing_else_up(server: OpsServer) -> None:
    held = server._reader._lock
    held.acquire()
    status = asyncio.create_task(ask(server, "/statusz"))
    try:
        assert (await ask(server, "/livez"))[0] == 200
        assert not status.done()
    finally:
        held.release()
    assert (await status)[0] == 200


async def test_the_objective_is_looked_at_whoever_is_still_being_told(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "SAMPLE_INTERVAL_S", 0.05)
    monkeypatch.setattr(Hub, "tell", lambda _: asyncio.Event().wait())
    async with OpsServer(OpsOptions(port=0), site.subject) as server:
        await until(lambda: server._sampling.history.last is not None)
