"""What the ops listener answers to each kind of request and frame, against those of a file.

A change of its insides shows here as a difference. Bodies that tell figures or files are left out
with their length, and so is how often the same frame came in a row.
`TICKGATE_OPS_ANSWERS=write` writes the file anew, for a change that is meant.
"""

import asyncio
import io
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.wire import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    close,
    frame,
    read_frame,
    request,
    text,
)

from gateway.ops.http import LIMITS, OpsServer
from gateway.ops.pages import POLICY, Pages
from gateway.options import OpsOptions
from gateway.wire.response import Response

SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
SWITCHING = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Accept": ACCEPT}
KEPT = Path(__file__).with_name("answers.txt")
HOST = ("Host", "gateway.test")
ASK = text({"method": "ping", "req_id": 1})
MANY = LIMITS.control_frames_per_s
TOO_MANY = LIMITS.fragments_max


def http(line: str, *headers: tuple[str, str], host: bool = True) -> bytes:
    """A request's head."""
    lines = [f"{name}: {value}" for name, value in ((HOST, *headers) if host else headers)]
    return "\r\n".join([line, *lines, "", ""]).encode("latin-1")


def get(path: str, *headers: tuple[str, str]) -> bytes:
    return http(f"GET {path} HTTP/1.1", *headers)


class Streaming:
    """A further WebSocket, at /stream."""

    def refuse(self, request: Any) -> Response | None:
        return Response(400, b"not so\n") if request.path.endswith("?no") else None

    async def serve(self, connection: Any) -> None:
        for size in (1, 126, 65536):
            await connection.send(bytes(size))
        if connection.request.path.endswith("?fails"):
            raise ValueError("it fails")


def http_cases() -> Iterator[tuple[str, bytes]]:
    for path in ("/livez", "/readyz", "/metrics", "/statusz", "/", "/plotly.js", "/nope", "/v1"):
        yield path, get(path)
    for path in ("/livez", "/", "/metrics", "/nope", "/v1"):
        yield f"HEAD {path}", http(f"HEAD {path} HTTP/1.1")
    for path in ("/livez", "/", "*", "/v1", "/stream", "/nope"):
        yield f"OPTIONS {path}", http(f"OPTIONS {path} HTTP/1.1")
    for method in ("POST", "get", "CONNECT"):
        yield f"method {method}", http(f"{method} /livez HTTP/1.1")
    yield "gzip", get("/page.js", ("Accept-Encoding", "br, gzip"))
    yield "known already", get("/page.js", ("If-None-Match", Pages()._files["/page.js"].etag))
    yield "a query", get("/livez?x=/../")
    yield "a whole URI", get("http://gateway.test/livez")
    yield "a whole URI of another scheme", get("ftp://gateway.test/livez")
    yield "HTTP/1.0 without Host", http("GET /livez HTTP/1.0", host=False)
    yield "a load balancer's check", http("OPTIONS / HTTP/1.0", host=False)
    yield "HTTP/2.0", http("GET /livez HTTP/2.0")
    yield "no version", http("GET /livez")
    yield "TLS", b"\x16\x03\x01\x00\xee\x01\x00\r\n\r\n"
    yield "bare line feeds", b"GET /livez HTTP/1.1\nHost: x\n\n"
    yield "a space in a name", get("/livez", ("X Y", "z"))
    yield "a control character", get("/livez", ("X", "\x1b[31m\xff"))
    yield "a folded line", get("/livez", ("X", "y\r\n z"))
    yield "a long header", get("/livez", ("X", "x" * 9000))
    yield "a long path", get("/" + "x" * 9000)
    yield "many headers", get("/livez", *[("X", "y")] * 200)
    yield "long headers together", get("/livez", *[("X", "x" * 8000)] * 5)
    yield "a body", get("/livez", ("Content-Length", "5")) + b"hello"
    yield "a body of no length", get("/livez", ("Content-Length", "x"))
    yield "two lengths", get("/livez", ("Content-Length", "1"), ("content-length", "2")) + b"a"
    chunks = b"5\r\nhello\r\n0\r\n\r\n"
    yield "chunks", get("/livez", ("Transfer-Encoding", "chunked")) + chunks
    yield "pipelined", get("/livez") * 3
    yield "a form", http("POST /livez HTTP/1.1", ("Content-Length", "3")) + b"a=b"


def upgrade_cases() -> Iterator[tuple[str, bytes]]:
    yield "no key", request(without=["Sec-WebSocket-Key"])
    yield "a short key", request(without=["Sec-WebSocket-Key"], more=[("Sec-WebSocket-Key", "x")])
    yield "two keys", request(more=[("Sec-WebSocket-Key", "AAECAwQFBgcICQoLDA0ODw==")])
    yield (
        "version 8",
        request(without=["Sec-WebSocket-Version"], more=[("Sec-WebSocket-Version", "8")]),
    )
    yield "no version of WebSocket", request(without=["Sec-WebSocket-Version"])
    yield "no Connection", request(without=["Connection"])
    yield "Upgrade to h2c", request(without=["Upgrade"], more=[("Upgrade", "h2c")])
    yield "no Host", request(without=["Host"]) + close()
    yield "two Hosts", request(more=[HOST])
    yield "upgrade by HTTP/1.0", request(line="GET /v1 HTTP/1.0")
    yield "upgrade by HEAD", request(line="HEAD /v1 HTTP/1.1")
    yield "upgrade by POST", request(line="POST /v1 HTTP/1.1")
    yield "upgrade with a body", request(more=[("Content-Length", "3")]) + b"abc"
    yield "upgrade with a body of chunks", request(more=[("Transfer-Encoding", "chunked")])
    yield "upgrade with a body of nothing", request(more=[("Content-Length", "0")]) + close()
    yield "another origin", request(more=[("Origin", "https://evil.test")])
    yield "two origins", request(more=[("Origin", "null"), ("Origin", "http://gateway.test")])
    yield "its own origin", request(more=[("Origin", "http://gateway.test")]) + close()
    yield (
        "a subprotocol",
        request(more=[("Sec-WebSocket-Protocol", "x, tickgate.v1.json")]) + close(),
    )
    yield "an unknown subprotocol", request(more=[("Sec-WebSocket-Protocol", "mqtt")])
    yield (
        "compression",
        request(more=[("Sec-WebSocket-Extensions", "permessage-deflate")]) + close(),
    )
    yield "upgrade elsewhere", request("/nope") + ASK
    yield "upgrade of a page", request("/livez") + ASK
    yield "a stream without upgrade", get("/stream")
    yield "a stream", request("/stream")
    yield "a stream that is refused", request("/stream?no")
    yield "a stream that fails", request("/stream?fails")


def session_cases() -> Iterator[tuple[str, bytes]]:
    yield "a request", ASK
    yield "a ping before a request", frame(PING, b"p") + ASK
    yield "fragments", frame(TEXT, b'{"method":', fin=False) + frame(CONT, b'"ping"}')
    yield "a ping inside of them", frame(TEXT, b"[", fin=False) + frame(PING) + frame(CONT, b"]")
    yield "no JSON", text("{")


def end_cases() -> Iterator[tuple[str, bytes]]:
    yield "a ping", frame(PING, b"p") + close(1001, b"bye")
    yield "binary", frame(BINARY, b"x")
    yield "no mask", frame(TEXT, b"{}", masked=False)
    yield "reserved bits", frame(TEXT, b"{}", rsv=4)
    yield "a reserved opcode", frame(3)
    yield "a reserved control opcode", frame(11)
    yield "a continuation of nothing", frame(CONT, b"x")
    yield "a message inside another", frame(TEXT, b"x", fin=False) + frame(TEXT, b"y")
    yield "fragments without end", frame(TEXT, fin=False) + frame(CONT, fin=False) * TOO_MANY
    yield "too large", text("x" * 16385)
    yield "too large by its header", frame(TEXT, length=1 << 40, width=8)
    yield "too large in fragments", frame(TEXT, b"x" * 16384, fin=False) + frame(CONT, b"y")
    yield "a large ping", frame(PING, b"x" * 126)
    yield "a ping in fragments", frame(PING, fin=False)
    yield "no UTF-8", frame(TEXT, b"\xff")
    yield "no UTF-8 in fragments", frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"\x28")
    yield "pings without end", frame(PING) * (MANY + 1)
    yield "pongs without end", frame(PONG) * (MANY + 1)
    yield "a close without a code", close(None)
    yield "a close of one byte", frame(CLOSE, b"x")
    yield "a close with a code of nobody's", close(1005)
    yield "a close whose reason is no UTF-8", close(1000, b"\xff")
    yield "a close of an application's", close(4999, b"z" * 100)
    yield "words behind a close", close() + ASK


async def sent(server: OpsServer, data: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """All that is answered until the end; `more` is what is sent when something has come."""
    port = int(server.url.rpartition(":")[2].strip("/"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = b""
    async with asyncio.timeout(10):
        for awaited, then in more:
            answer += await reader.readuntil(awaited)
            writer.write(then)
        answer += await reader.read()
    writer.transport.abort()
    return answer


def shown(answer: bytes) -> Iterator[str]:
    """Status, headers by name, body; then frames."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    headers.pop("Date", None)
    figures = not headers.get("Content-Type", "").startswith("text/plain; charset")
    secured = SECURITY.items() <= headers.items()
    usual = SECURITY if secured else SWITCHING if SWITCHING.items() <= headers.items() else {}
    yield status.removeprefix("HTTP/1.1 ") + (", secured" if secured else "")
    for name, value in sorted(headers.items()):
        masked = name == "ETag" or (name == "Content-Length" and figures)
        if name not in usual:
            yield f"{name}: {'...' if masked else value}"
    if " 101 " in status:
        yield from (one for one, _ in itertools.groupby(frames(rest)))
    elif rest:
        yield f"({'...' if figures else rest.decode('ascii').strip()[:200]})"


def frames(data: bytes) -> Iterator[str]:
    stream = io.BytesIO(data)
    while stream.tell() < len(data):
        one = read_frame(stream.read)
        if one.opcode == CLOSE:
            code = int.from_bytes(one.payload[:2], "big") if one.payload else "none"
            yield f"close {code} {one.payload[2:].decode()}".rstrip()
        elif one.opcode == TEXT:
            told = json.loads(one.payload)
            if told.get("channel") != "heartbeat":
                keys = ("channel", "type", "method", "success")
                yield f"text {json.dumps({key: told[key] for key in keys if key in told})}"
        else:
            name = {PONG: "pong", BINARY: "binary"}[one.opcode]
            yield f"{name} {len(one.payload)} bytes {one.payload[:8]!r}"


async def test_answers_are_kept(site: Any) -> None:
    site.subject.streams = {"/stream": Streaming()}
    lines = []
    async with OpsServer(OpsOptions(port=0), site.subject) as server:
        cases = [(name, await sent(server, data)) for name, data in http_cases()]
        cases += [(name, await sent(server, data)) for name, data in upgrade_cases()]
        for name, data in session_cases():
            answer = await sent(server, request(), (b'"hello"', data), (b'"success"', close()))
            cases.append((f"session: {name}", answer))
        for name, data in end_cases():
            cases.append((f"end: {name}", await sent(server, request(), (b'"hello"', data))))
            cases.append((f"early end: {name}", await sent(server, request() + data)))
        for name, answer in cases:
            lines += [f"# {name}", *shown(answer), ""]
    answers = "\n".join(lines)
    if os.environ.get("TICKGATE_OPS_ANSWERS") == "write":
        KEPT.write_text(answers)
    assert answers == KEPT.read_text()
