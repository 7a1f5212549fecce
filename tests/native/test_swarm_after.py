"""Stamps behind a text: each is a record, as of servers that put several into one message."""

import socket
import threading
import time

import numpy as np
import pytest

from gateway._native import Swarm

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
BINARY = 0x82
NS = 1_700_000_000_000_000_000


def swarm(port: int, text: bytes = b'"ts":') -> Swarm:
    """One client, not yet connected."""
    return Swarm(
        targets=[("127.0.0.1", port, REQUEST)],
        accept=b"",
        groups=[{"measured": 1}],
        texts=[],
        clients=np.array([[0, 0, -1]], dtype=np.int32),
        stamp=("after", text),
    )


def counters(*messages: bytes) -> dict[str, int]:
    """What a client counts of these; the window holds the stamps NS to NS + 99."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                frames = (bytes((BINARY, len(one))) + one for one in messages)
                peer.sendall(ANSWER + b"".join(frames))
                peer.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        client = swarm(listener.getsockname()[1])
        client.window(NS, NS + 100)
        try:
            assert client.connect(5_000_000_000) == 1
            deadline = time.time_ns() + 5_000_000_000
            while client.counters()[0]["frames"] < len(messages) and time.time_ns() < deadline:
                client.run(time.time_ns() + 10_000_000)
            counted = client.counters()[0] | {"ages": client.totals("age", 0)[0]}
        finally:
            client.close()
            thread.join()
    return counted


def test_each_is_a_record() -> None:
    lines = [b'MSG a 1 30\r\n{"ts":%d}\r\n' % (NS + k) for k in range(3)]
    got = counters(b"".join(lines), lines[0])
    assert (got["frames"], got["delivered"], got["ages"], got["unstamped"]) == (2, 4, 4, 0)


@pytest.mark.parametrize(
    ("message", "delivered"),
    [
        (b'{"ts": "%d"}' % NS, 1),
        (b'"ts":%d' % NS, 1),
        (b'{"ts":%d,"ts":%d}' % (NS + 100, NS + 1), 1),  # the first is outside of the window
        (b'{"ts":null,"ts":%d}' % NS, 1),
        (b'{"ts":%d.5}' % (NS // 10**9), 0),  # seconds, beyond the window
    ],
)
def test_numbers(message: bytes, delivered: int) -> None:
    got = counters(message)
    assert (got["delivered"], got["unstamped"]) == (delivered, 0)


@pytest.mark.parametrize("message", [b"", b'{"ts":}', b'{"ts":', b'"ts"', b'"ts":x1', b"PING\r\n"])
def test_no_number(message: bytes) -> None:
    got = counters(message)
    assert (got["delivered"], got["unstamped"], got["open"]) == (0, 1, 1)


def test_no_text() -> None:
    with pytest.raises(ValueError, match="the text before the digits is empty"):
        swarm(1, b"")
