"""Prints what an event costs the Python client from its socket on, on each loop: `client.py`.

A process of its own sends trades over loopback as fast as they are taken. CPU time of the client's
process, system calls included, for each event that its consumer gets; the lowest of several
connections.
"""

import asyncio
import gc
import json
import multiprocessing
import socket
import struct
import time
from collections.abc import Callable, Iterator

import uvloop
from decode import NOW, SYMBOL, TRADE
from websockets.utils import accept_key

from gateway._native import Template
from gateway.client import Client, Trade
from gateway.client.frames import Frames
from gateway.codec import sbe
from gateway.codec.formats import JSON, programs
from gateway.model.encoding import Encoding

ROUNDS = 7
FRAMES = 50_000
TEXT, BINARY = 0x81, 0x82
HELLO = {"version": "0", "connection_id": "c", "epoch": "e", "now": 1, "heartbeat_ms": 60_000}
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def frame(first: int, payload: bytes) -> bytes:
    """A server's frame of less than 64 KiB."""
    size = len(payload)
    head = struct.pack("!BB", first, size) if size < 126 else struct.pack("!BBH", first, 126, size)
    return head + payload


def stream(encoding: Encoding) -> bytes:
    """All that follows the answer to the request."""
    hello = {"channel": "system", "type": "hello", "data": [HELLO]}
    start = frame(TEXT, json.dumps(hello).encode())
    times = {"ts_recv": NOW + 1, "ts_send": NOW + 2}
    if encoding == "sbe":
        start += frame(BINARY, sbe.encode_topic(1, "trade", SYMBOL))
        trades = (
            frame(BINARY, sbe.encode_record("trade", "update", 1, TRADE, seq=seq, **times))
            for seq in range(1, FRAMES + 1)
        )
    else:
        template = Template(programs(JSON)[0]["trade", "update"])
        trades = (
            frame(TEXT, template.encode("trade", SYMBOL, TRADE, seq=seq, **times))
            for seq in range(1, FRAMES + 1)
        )
    return start + b"".join(trades)


def serve(listener: socket.socket, encoding: Encoding) -> None:
    """Sends all of it to each client, one after the other, until it is terminated."""
    rest = stream(encoding)
    while True:
        peer, _ = listener.accept()
        with peer:
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                asked += peer.recv(65536)
            key = asked.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0].decode()
            lines = ["HTTP/1.1 101 X", "Upgrade: websocket", "Connection: Upgrade"]
            lines += [f"Sec-WebSocket-Accept: {accept_key(key)}", "", ""]
            peer.sendall("\r\n".join(lines).encode() + rest)
            peer.recv(65536)  # the client's close frame


async def read_arrays(url: str) -> float:
    """The same of a record, where they come as arrays."""
    count = 0
    async with Client(url, encoding="sbe") as client:
        start_ns = time.process_time_ns()
        async for event in client.frames():
            count += len(event.rows) if isinstance(event, Frames) else isinstance(event, Trade)
            if count == FRAMES:
                break
        taken_ns = time.process_time_ns() - start_ns
    return taken_ns / FRAMES


async def read(url: str, encoding: Encoding) -> float:
    """CPU nanoseconds of an event, over one connection."""
    count = 0
    async with Client(url, encoding=encoding) as client:
        start_ns = time.process_time_ns()
        async for event in client:
            count += isinstance(event, Trade)
            if count == FRAMES:
                break
        taken_ns = time.process_time_ns() - start_ns
    return taken_ns / FRAMES


def figures() -> Iterator[tuple[str, float]]:
    """Name and nanoseconds of each row."""
    encodings: tuple[Encoding, ...] = ("json", "sbe")
    for encoding in encodings:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"ws://127.0.0.1:{listener.getsockname()[1]}/v1"
            server = multiprocessing.Process(target=serve, args=(listener, encoding), daemon=True)
            server.start()
            best = dict.fromkeys(LOOPS, float("inf"))
            arrays = dict.fromkeys(LOOPS, float("inf")) if encoding == "sbe" else {}
            for _ in range(ROUNDS):
                for name, factory in LOOPS.items():
                    with asyncio.Runner(loop_factory=factory) as runner:
                        best[name] = min(best[name], runner.run(read(url, encoding)))
                        if encoding == "sbe":
                            arrays[name] = min(arrays[name], runner.run(read_arrays(url)))
            server.terminate()
            server.join()
        for name, value in best.items():
            yield f"{encoding} {name}", value
        for name, value in arrays.items():
            yield f"arrays {name}", value


def main() -> None:
    """Measures and prints."""
    gc.disable()
    for name, value in figures():
        print(f"{name:24} {value:>10,.0f} ns", flush=True)


if __name__ == "__main__":
    main()
