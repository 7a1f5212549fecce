"""Runs of the swarm: their ends, signals, arguments, and closing."""

import signal
import threading
import time
from typing import Any

import numpy as np
import pytest
from support.swarm import MS, PATIENCE_NS, SECOND, connect, swarm
from support.swarm_server import ACCEPT, REQUEST, SwarmServer

from gateway._native import SWARM_COUNTERS, SWARM_GROUP_KEYS, SWARM_HISTOGRAMS, Swarm


def test_stop_ends_a_run_of_another_thread(opened: list[Swarm]) -> None:
    with SwarmServer() as server:
        client = swarm(server)
        opened.append(client)
        connect(client, 1)
        thread = threading.Thread(target=lambda: client.run(time.time_ns() + 3600 * SECOND))
        thread.start()
        while True:  # until it is inside: only then is closing refused
            try:
                client.ticks()
            except RuntimeError:
                break
        with pytest.raises(RuntimeError, match="another thread"):
            client.run(time.time_ns())
        with pytest.raises(RuntimeError, match="nobody drives"):
            client.refused()
        with pytest.raises(RuntimeError, match="stop"):
            client.close()
        client.stop()
        thread.join(PATIENCE_NS / SECOND)
        assert not thread.is_alive()
        client.run(time.time_ns() + 3600 * SECOND)  # stopped for ever
        load = client.load()
        assert load["turns"] > 0
        assert load["reads"] > 0
        assert 0 < load["cpu_ns"] <= load["wall_ns"]


def test_a_run_ends_when_it_is_time(opened: list[Swarm]) -> None:
    with SwarmServer() as server:
        client = swarm(server)
        opened.append(client)
        connect(client, 1)
        for ns in (-SECOND, 0, 30 * MS):
            until = time.time_ns() + ns
            client.run(until)
            assert time.time_ns() >= until - MS


class Interrupted(Exception):
    """What the test's signal handler raises."""


def test_a_signals_handler_runs_within_and_may_end_it(opened: list[Swarm]) -> None:
    seen: list[int] = []

    def handle(number: int, _: object) -> None:
        seen.append(number)
        if len(seen) == 3:
            raise Interrupted

    with SwarmServer() as server:
        client = swarm(server)
        opened.append(client)
        connect(client, 1)
        before = signal.signal(signal.SIGALRM, handle)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
            with pytest.raises(Interrupted):
                client.run(time.time_ns() + PATIENCE_NS)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert seen == [signal.SIGALRM] * 3
        client.run(time.time_ns())


# --- arguments ------------------------------------------------------------------------------------


GOOD: dict[str, Any] = {
    "targets": [("127.0.0.1", 1, REQUEST)],
    "accept": ACCEPT,
    "groups": [{}],
    "texts": [b"text"],
    "clients": np.zeros((1, 3), dtype=np.int32),
    "stamp": ("tickgate", b""),
}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"targets": []}, "targets: 0"),
        ({"targets": [("localhost.invalid", 1, b"")]}, r"targets\[0\]: 'localhost.invalid'"),
        ({"targets": [("127.0.0.1", 0, b"")]}, r"targets\[0\] port: 0"),
        ({"sources": ["127.0.0.2", "nowhere"]}, r"sources\[1\]: 'nowhere'"),
        ({"groups": []}, "groups: 0"),
        ({"groups": [{}] * 65}, "groups: 65 is not within 1 to 64"),
        ({"groups": [{"speed": 1}]}, r"groups\[0\]: no such key: speed"),
        ({"groups": [{}, {"drop_at_ns": -1}]}, r"groups\[1\] drop_at_ns: -1"),
        ({"groups": [{"text_off": 1}]}, r"groups\[0\] text_off: 1 is not within -1 to 0"),
        ({"groups": [{"rcvbuf_bytes": 1 << 31}]}, r"groups\[0\] rcvbuf_bytes"),
        ({"clients": np.zeros((2, 2), dtype=np.int32)}, r"clients: shape \(2, 2\)"),
        ({"clients": np.zeros((0, 3), dtype=np.int32)}, "clients: 0"),
        ({"clients": np.array([[1, 0, 0]], dtype=np.int32)}, "clients' group: 1 is not within 0"),
        ({"clients": np.array([[0, 1, 0]], dtype=np.int32)}, "clients' target: 1"),
        ({"clients": np.array([[0, 0, -2]], dtype=np.int32)}, "clients' text: -2"),
        ({"stamp": ("xml", b"")}, "stamp: 'xml'"),
        ({"stamp": ("json", b"a..b")}, "stamp: a path"),
        ({"stamp": ("offset", -1)}, "stamp: -1"),
        ({"frame_bytes_max": 0}, "frame_bytes_max: 0"),
        ({"connecting_max": 0}, "connecting_max: 0"),
        ({"connect_rate": -1}, "connect_rate: -1"),
        ({"ticks_tracked_max": 0}, "ticks_tracked_max: 0"),
        ({"clock_offset_ns": 1 << 61}, "clock_offset_ns: 2305843009213693952"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Swarm(**GOOD | change)


def test_texts_have_to_be_bytes() -> None:
    with pytest.raises(TypeError, match=r"texts\[1\]: bytes expected, not str"):
        Swarm(**GOOD | {"texts": [b"good", "bad"]})


def test_names_are_checked_and_a_closed_swarm_says_so() -> None:
    client = Swarm(**GOOD)
    assert len(client.counters()) == 1
    assert tuple(client.counters()[0]) == SWARM_COUNTERS
    assert {"measured", "text_off"} < set(SWARM_GROUP_KEYS)
    for name in SWARM_HISTOGRAMS:
        assert not client.counts(name, 0).any()
    with pytest.raises(ValueError, match="none of age"):
        client.counts("nonsense", 0)
    with pytest.raises(IndexError, match="group 1 of 1"):
        client.counts("age", 1)
    client.close()
    client.close()
    for call in (
        client.counters,
        client.load,
        client.ticks,
        client.stop,
        client.refusals,
        client.refused,
    ):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_a_swarm_that_is_forgotten_closes_its_connections() -> None:
    with SwarmServer() as server:
        client = swarm(server, each=3)
        connect(client, 3)
        del client
        deadline = time.monotonic() + 20
        while not all(peer.ended for peer in server.peers):
            assert time.monotonic() < deadline
            time.sleep(0.005)
