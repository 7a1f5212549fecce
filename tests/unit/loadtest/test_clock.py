"""Pings of servers that answer, and of those that do not."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from gateway.loadtest.clock import measure

AHEAD_NS = 5_000_000_000


def speaks(peer: ServerConnection) -> None:
    """As a gateway whose clock is ahead: other messages come in between."""
    import time

    peer.send('{"channel":"system","type":"hello","data":[]}')
    peer.send(b"\x00\xff")
    for text in peer:
        request = json.loads(text)
        now = time.time_ns() + AHEAD_NS
        times = {"t0": request["params"]["t0"], "t1": now, "t2": now}
        peer.send(json.dumps({"method": "ping", "req_id": request["req_id"] - 1} | times))
        peer.send(
            json.dumps({"method": "ping", "req_id": request["req_id"], "success": True} | times)
        )


def refuses(peer: ServerConnection) -> None:
    """Knows the request's envelope, and no `ping`."""
    for text in peer:
        reply = {"method": "ping", "req_id": json.loads(text)["req_id"], "success": False}
        peer.send(json.dumps(reply))


def leaves(peer: ServerConnection) -> None:
    peer.recv()


@contextmanager
def running(handler: Any) -> Iterator[str]:
    with serve(handler, "127.0.0.1", 0) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        server.shutdown()
        thread.join()


def test_the_offset_of_a_server_that_answers() -> None:
    with running(speaks) as url:
        found = measure(url, samples=5)
    assert found is not None
    assert abs(found.offset_ns - AHEAD_NS) <= found.error_ns


@pytest.mark.parametrize("handler", [refuses, leaves])
def test_a_server_that_does_not_speak_it_has_no_offset(handler: Any) -> None:
    with running(handler) as url:
        assert measure(url, samples=5) is None


def test_no_server_has_no_offset() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    assert measure(f"ws://127.0.0.1:{port}/", samples=5) is None
