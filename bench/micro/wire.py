"""Prints what a client's bytes cost before its session sees them, without a socket: `wire.py`.

The lowest of several rounds, each with the client's own limits; and what an idle client takes.
"""

import gc
import struct
import tracemalloc
from collections.abc import Iterator

from best import best_ns
from websockets.http11 import Request

from gateway.dialects.tickgate import PATH
from gateway.options import LOOPBACK_ORIGINS, LimitsOptions
from gateway.wire.server_side import Endpoint, ServerSide

ROUNDS = 30
FRAMES = 5_000
CLIENTS = 200
SECOND = 1_000_000_000
REQUEST = (
    f"GET {PATH} HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: tickgate.v1.json\r\nOrigin: http://localhost:3000\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36\r\n"
    "\r\n"
).encode()
WRONG = REQUEST.replace(PATH.encode(), b"/v2", 1)

_endpoint = Endpoint({PATH: ["tickgate.v1.json"]}, LOOPBACK_ORIGINS, LimitsOptions())


def frame(first: int, payload: bytes) -> bytes:
    """A client's frame, masked with zeros, of at most 125 bytes."""
    return struct.pack("!BBI", first, 0x80 | len(payload), 0) + payload


def tell(side: ServerSide, data: bytes, now_ns: int = 0) -> None:
    """One read."""
    side.receive(data)
    while (event := side.next_event(now_ns)) is not None:
        if isinstance(event, Request):
            side.answer(_endpoint.check(event))


def opened() -> ServerSide:
    """A client that is through its handshake."""
    side = ServerSide(_endpoint)
    tell(side, REQUEST)
    assert side.at_rest
    return side


def reads(data: bytes) -> float:
    """Nanoseconds of one read of an open client, a second after the one before."""
    side = opened()

    def run() -> None:
        for number in range(FRAMES):
            tell(side, data, number * SECOND)

    cost = best_ns(run, FRAMES, ROUNDS)
    assert side.at_rest
    return cost


def handshakes(data: bytes) -> float:
    """Nanoseconds of one client's, its `ServerSide` made and dropped."""

    def run() -> None:
        for _ in range(CLIENTS):
            tell(ServerSide(_endpoint), data)

    return best_ns(run, CLIENTS, ROUNDS)


def idle_bytes() -> float:
    """What one keeps that has been pinged and is silent."""

    def some() -> list[ServerSide]:
        sides = [opened() for _ in range(CLIENTS)]
        for side in sides:
            tell(side, frame(0x89, b""), 1_000_000 * SECOND)
        gc.collect()
        return sides

    tracemalloc.start()
    first = some()  # what all share is there then
    before = tracemalloc.get_traced_memory()[0]
    second = some()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(first) == len(second)
    return taken / CLIENTS


def figures() -> Iterator[tuple[str, float, str]]:
    """Name, value and unit of each row."""
    ask = b'{"method":"ping","req_id":1}'
    text, halves = frame(0x81, ask), frame(0x01, ask[:14]) + frame(0x80, ask[14:])
    yield "a message", reads(text), "ns"
    yield "one of ten in a read", reads(text * 10) / 10, "ns"
    yield "a message of two frames", reads(halves), "ns"
    yield "a ping", reads(frame(0x89, b"x")), "ns"
    yield "a handshake", handshakes(REQUEST), "ns"
    yield "a refused request", handshakes(WRONG), "ns"
    yield "an idle client", idle_bytes(), "B"


def main() -> None:
    """Measures and prints."""
    gc.disable()
    for name, value, unit in figures():
        print(f"{name:24} {value:>10,.0f} {unit}", flush=True)


if __name__ == "__main__":
    main()
