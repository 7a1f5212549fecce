"""The swarm against servers that mean harm, over real connections.

`native/test/test_swarm_hostile.c` and `test_swarm_frame.c` have what needs no network.
"""

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from support.swarm_server import ACCEPT, ANSWER, BINARY, PING, REQUEST, close, frame, record

from gateway._native import Swarm

MS = 1_000_000
SECOND = 1_000_000_000
PATIENCE_S = 20
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST

Serve = Callable[[socket.socket, int], None]


class HostileServer:
    """Hands each connection, with its number, to `serve` on one thread, and closes it after."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        number = 0
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            # The swarm may leave first.
            with peer, contextlib.suppress(OSError):
                self._serve(peer, number)
            number += 1

    def __enter__(self) -> "HostileServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE_S)
        self._listener.close()
        assert not self._thread.is_alive()


def swarm(server: HostileServer, group: dict[str, int], *, clients: int = 1, **more: Any) -> Swarm:
    rows = np.array([[0, 0, 0 if more.get("texts") else -1]] * clients, dtype=np.int32)
    options: dict[str, Any] = {"texts": [], "stamp": ("tickgate", b"")} | more
    target = ("127.0.0.1", server.port, REQUEST)
    return Swarm(targets=[target], accept=ACCEPT, groups=[group], clients=rows, **options)


def drive(client: Swarm, until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < deadline, (client.counters(), client.refusals())
        client.run(time.time_ns() + 5 * MS)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def ask(peer: socket.socket) -> None:
    """Takes the whole request, so that closing is no reset."""
    asked = b""
    while not asked.endswith(b"\r\n\r\n"):
        asked += peer.recv(65536) or b"\r\n\r\n"


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() == before


LAST_WORDS = [
    b"",
    b"\x81",  # half a header
    frame(b"x" * 70_000, BINARY)[:9_000],
    b"\x82\x7f\x7f" + b"\xff" * 7 + b"more",
    b"\x82\x7f\xff" + b"\xff" * 7,
    b"\x01\x01a" + b"\x00\x01b" * 3_000,
    frame(b"compressed", 0x40 | BINARY),
    frame(b"x" * 126, PING),
    close(4008, b"slow") + record(1),
    b"\x88\x01\x03",
    frame(b"", PING) * 5_000,
    record(1)[:-1],
]


def test_a_storm_of_every_way_to_end_leaves_nothing_behind() -> None:
    rounds = 4

    def serve(peer: socket.socket, number: int) -> None:
        ask(peer)
        peer.sendall(ANSWER + record(1) + LAST_WORDS[number % len(LAST_WORDS)])
        if number // len(LAST_WORDS) % 2:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    with HostileServer(serve) as server:
        client = swarm(server, {"reconnect_ns": MS}, clients=8, frame_bytes_max=100_000)
        client.connect(PATIENCE_S * SECOND)
        drive(client, lambda: client.counters()[0]["closed"] >= rounds * len(LAST_WORDS))
        counts = client.counters()[0]
        assert counts["opened"] == counts["closed"] + counts["open"]
        assert counts["reconnects"] == counts["opened"] - 8
        assert counts["gaps"] == counts["duplicates"] == 0
        assert counts["protocol_errors"] > 0
        assert counts["oversized"] > 0
        client.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\n\r\n", "no valid answer"),
        (b"HTTP/1.1 101 OK\r\n" + b"X-Header: value\r\n" * 10_000, "no valid answer"),
        (ANSWER[:-1], "no valid answer"),
        (b"", "no valid answer"),
        (b"\x00" * 300_000, "no valid answer"),
        (None, "ECONNRESET"),
    ],
)
def test_an_answer_that_is_none_is_refused_once(answer: bytes | None, why: str) -> None:
    def serve(peer: socket.socket, _: int) -> None:
        ask(peer)
        if answer is None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        else:
            peer.sendall(answer)

    with HostileServer(serve) as server:
        client = swarm(server, {"reconnect_ns": MS}, clients=3)
        assert client.connect(PATIENCE_S * SECOND) == 0
        assert client.refusals() == {why: 3}
        client.close()


def test_a_reset_is_seen_in_the_middle_of_a_stall() -> None:
    stalled = threading.Event()

    def serve(peer: socket.socket, _: int) -> None:
        ask(peer)
        peer.sendall(ANSWER)
        stalled.wait(PATIENCE_S)
        peer.sendall(record(1) * 100)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    with HostileServer(serve) as server:
        client = swarm(server, {"stall_at_ns": 1, "stall_for_ns": 3600 * SECOND})
        assert client.connect(PATIENCE_S * SECOND) == 1
        client.go(time.time_ns())
        client.run(time.time_ns() + 5 * MS)
        stalled.set()
        drive(client, lambda: client.counters()[0]["closed"] == 1)
        client.close()


def test_a_server_that_never_reads_gets_whole_texts_or_none() -> None:
    text = b"x" * 300_000
    done = threading.Event()
    got: list[int] = []

    def serve(peer: socket.socket, _: int) -> None:
        ask(peer)
        peer.sendall(ANSWER)
        done.wait(PATIENCE_S)
        with peer.makefile("rb") as stream:
            while head := stream.read(14):  # header and mask
                assert head[:2] == b"\x81\xff"
                got.append(int.from_bytes(head[2:10]))
                stream.read(got[-1])

    with HostileServer(serve) as server:
        client = swarm(server, {"resubscribe_every_ns": MS}, texts=[text])
        assert client.connect(PATIENCE_S * SECOND) == 1
        client.go(time.time_ns())
        client.run(time.time_ns() + 50 * MS)
        assert client.counters()[0]["open"] == 1
        done.set()
        drive(client, lambda: len(got) > 10)
        client.close()
    assert set(got) == {len(text)}


def test_any_time_and_timeout_may_be_asked_for() -> None:
    with HostileServer(lambda peer, _: None) as server:
        client = swarm(server, {})
        most = (1 << 63) - 1
        assert client.connect(most) == 0
        client.run(-most)
        client.stop()
        client.run(most)
        client.close()
