"""What a request gets over HTTP: the switch to WebSocket, a refusal, or the schema."""

from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import NamedTuple

from websockets.http11 import Request
from websockets.server import ServerProtocol

from gateway.codec.schema import schema
from gateway.session.handshake import Refusal

SWITCHING = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")


class Answer(NamedTuple):
    """An answer after which the connection ends.

    Attributes:
        result: what the request counts as in `tickgate_handshakes_total`.
        data: head and body.
        why: it is a refusal, for the log; empty: it is none.
    """

    result: str
    data: bytes
    why: str = ""


def switching(accept: str, subprotocol: str | None) -> bytes:
    """The 101, as the library would make it, without a date that no client reads: a fifth of what a
    connection costs. Nothing in it is the client's own text."""
    lines = [*SWITCHING, f"Sec-WebSocket-Accept: {accept}"]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def refused(refusal: Refusal) -> Answer:
    """The refusal as an HTTP error, its text the body."""
    body = refusal.text.encode("ascii", "replace") + b"\n"
    headers = (*refusal.headers, ("Content-Type", "text/plain; charset=utf-8"))
    return Answer(refusal.result, _whole(refusal.status, headers, body), body.decode())


@cache
def the_schema() -> Answer:
    """The schema that a client's codecs of our binary frames are generated from."""
    return Answer("schema", _whole(200, [("Content-Type", "application/xml")], schema()))


def _whole(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Connection: close"]
    head += [f"{name}: {value}" for name, value in headers]
    head += [f"Content-Length: {len(body)}"]
    return "\r\n".join(head).encode("ascii", "replace") + b"\r\n\r\n" + body


def as_library(protocol: ServerProtocol, request: Request) -> Refusal:
    """The library's refusal of a request, as one of ours."""
    response = protocol.accept(request)
    result = "upgrade_required" if response.status_code == 426 else "bad_request"
    text = response.body.decode("ascii", "replace").strip()
    drop = {"date", "connection", "content-length", "content-type"}
    kept = tuple((k, v) for k, v in response.headers.raw_items() if k.lower() not in drop)
    return Refusal(response.status_code, result, text, kept)


def unparsed(protocol: ServerProtocol) -> Refusal:
    """The library's refusal of what is no request at all."""
    out = b"".join(protocol.data_to_send())
    status = int(out[9:12]) if out.startswith(b"HTTP/1.1 ") else 400
    result = {414: "too_large", 431: "too_large"}.get(status, "bad_request")
    return Refusal(status, result, str(protocol.handshake_exc))
