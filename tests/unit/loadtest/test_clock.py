"""The offset between two clocks, by pings."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.server import ServerConnection, serve

from gateway.loadtest.clock import Offset, Ping, estimate, measure

AHEAD_NS = 5_000_000_000


def ping(there_ns: int, back_ns: int, *, offset_ns: int, served_ns: int = 50) -> Ping:
    """As two clocks would stamp it, one `offset_ns` ahead of the other."""
    t0 = 1_000_000
    t1 = t0 + there_ns + offset_ns
    t2 = t1 + served_ns
    return Ping(t0, t1, t2, t2 + back_ns - offset_ns)


def test_the_fastest_ping_is_believed() -> None:
    slow = ping(9000, 1000, offset_ns=300)
    fast = ping(500, 500, offset_ns=300)
    assert estimate([slow, fast, slow]) == Offset(300, 500)
    assert estimate([slow]) == Offset(4300, 5000)


def test_nothing_is_known_of_no_ping() -> None:
    assert estimate([]) is None
    # A clock was set back by a second in the middle.
    assert estimate([ping(500, 500 - 10**9, offset_ns=0)]) is None


def test_the_time_at_the_server_is_no_part_of_the_way() -> None:
    assert estimate([ping(500, 500, offset_ns=-70, served_ns=10**9)]) == Offset(-70, 500)


ways = st.integers(0, 10**9)


@given(st.lists(st.tuples(ways, ways), min_size=1), st.integers(-(10**18), 10**18))
def test_the_error_bound_holds_whatever_the_ways_took(
    pairs: list[tuple[int, int]], offset_ns: int
) -> None:
    found = estimate([ping(there, back, offset_ns=offset_ns) for there, back in pairs])
    assert found is not None
    assert abs(found.offset_ns - offset_ns) <= found.error_ns
    assert found.error_ns == min((there + back + 1) // 2 for there, back in pairs)


# --- against a server -----------------------------------------------------------------------------


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
