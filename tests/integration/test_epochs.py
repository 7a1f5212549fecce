"""Processes that die: what their clients see, what goes on, and what is left behind (nothing)."""

import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.fleet import Client, Json
from support.serving import Serving, descriptors, until
from support.stage import Stage
from support.udp import Venue

from gateway.recorder.threads import LIST_INTERVAL_NS

NAMES = ("A.SIM", "B.SIM", "C.SIM")
CLIENTS = 24
"""Where there are two workers: that all are of one happens once in eight million times."""


def kill(gateway: Serving, name: str) -> int:
    """Kills a child with -9; the id of its successor, once everything is ready again."""
    before = gateway.pid(name)
    os.kill(before, signal.SIGKILL)

    def back() -> int | None:
        now = gateway.pid(name)
        return now if now != before and gateway.get("/readyz")[0] == 200 else None

    after: int = until(back)
    assert not Path(f"/proc/{before}").exists()
    return after


def balanced(gateway: Serving) -> bool:
    metrics = gateway.metrics()
    parts = ("deliveries_total", "conflated_total", "filtered_total", "dropped_total", "pending")
    return metrics.total("routed_total") == sum(metrics.total(name) for name in parts)


@pytest.fixture
def gateway(stage: Stage, venue: Venue) -> Serving:
    return stage.serve(*venue.sets)


def test_f50_a_killed_feed_process_begins_a_new_epoch(
    stage: Stage, gateway: Serving, venue: Venue
) -> None:
    by_name, by_pattern, lossless = (stage.connect() for _ in range(3))
    epoch = by_name.next(type="hello")["data"][0]["epoch"]
    by_name.subscribe("bbo", *NAMES)
    by_pattern.subscribe("bbo", "*.SIM")
    lossless.subscribe("trade", "*")
    for client in (by_name, by_pattern, lossless):
        client.next(method="subscribe")
    # C is known to nobody yet: a name waits, a pattern will cover it.
    for name in ("A", "B"):
        venue.quotes(name, *range(1, 6))
        venue.trades(name, *range(1, 6))
    for client in (by_name, by_pattern, lossless):
        assert client.follow("B.SIM", 5)[0]["seq"] == 1
    worker = gateway.pid("worker-0")
    kill(gateway, "feed")
    told = {c.next(type="epoch")["data"][0]["epoch"] for c in (by_name, by_pattern, lossless)}
    assert len(told) == 1
    assert epoch not in told
    assert gateway.status()["epoch"] in told
    for name in ("C", "B", "A"):
        venue.quotes(name, *range(1, 4))
        venue.trades(name, *range(1, 4))
    for client in (by_name, by_pattern, lossless):
        frames = client.follow("A.SIM", 3)
        assert frames[0]["seq"] == 1
        assert frames[0]["ts_event"] > 0
        (row,) = client.ask("stats")["subscriptions"][-1:]
        assert row["pending"] == 0
    for name, bbo, trade in (("published_total", 19, 19), ("routed_total", 2 * 19, 19)):
        until(lambda n=name, b=bbo: gateway.metrics().of(n, "bbo") == b)  # type: ignore[misc]
        until(lambda n=name, t=trade: gateway.metrics().of(n, "trade") == t)  # type: ignore[misc]
    assert gateway.metrics().total("dropped_total") == 0
    until(lambda: balanced(gateway))
    assert gateway.pid("worker-0") == worker
    # A client that comes now begins in the new epoch.
    late = stage.connect()
    assert late.next(type="hello")["data"][0]["epoch"] in told
    late.subscribe("bbo", "C.SIM")
    (result,) = late.next(method="subscribe")["results"]
    assert (result["epoch"], result["seq"]) == (*told, 3)
    assert late.next(type="snapshot")["seq"] == 3


def test_each_epoch_is_a_new_one_and_leaves_no_descriptor(
    stage: Stage, gateway: Serving, venue: Venue
) -> None:
    client = stage.connect()
    client.subscribe("trade", "A.SIM")
    client.next(method="subscribe")
    worker = gateway.pid("worker-0")
    kill(gateway, "feed")
    seen = {client.next(type="epoch")["data"][0]["epoch"]}
    before = at_rest(gateway.process.pid), at_rest(worker)
    segments_before = segments(gateway.process.pid), segments(worker)
    for _ in range(3):
        kill(gateway, "feed")
        seen.add(client.next(type="epoch")["data"][0]["epoch"])
        venue.trades("A", 1)
        # Told as a snapshot where the epoch before had the topic.
        assert client.next(symbol="A.SIM")["seq"] == 1
    assert len(seen) == 4
    # The old segments are unmapped and closed everywhere.
    until(lambda: descriptors(gateway.process.pid) <= before[0])
    until(lambda: descriptors(worker) <= before[1])
    until(lambda: segments(gateway.process.pid) <= segments_before[0])
    until(lambda: segments(worker) <= segments_before[1])  # in pieces
    until(lambda: balanced(gateway))


def at_rest(pid: int) -> int:
    """Open descriptors of a process, without those of requests that are just ending.

    The flight recorder has one for each thread of a child, and looks for new ones once a second.
    """
    time.sleep(2 * LIST_INTERVAL_NS / 1e9)
    counts = []
    for _ in range(20):
        counts.append(descriptors(pid))
        time.sleep(0.01)
    return min(counts)


def segments(pid: int) -> int:
    """How many mappings of shared memory a process holds."""
    return Path(f"/proc/{pid}/maps").read_text().count("/memfd:")


def test_f50_a_killed_worker_takes_only_its_own_clients_along(stage: Stage, venue: Venue) -> None:
    gateway = stage.serve(*venue.sets, "cluster.workers=2")
    clients = [stage.connect() for _ in range(CLIENTS)]
    for client in clients:
        client.subscribe("trade", "*")
        client.next(method="subscribe")
    venue.trades("A", *range(1, 11))
    for client in clients:
        client.follow("A.SIM", 10)
    feed, other = gateway.pid("feed"), gateway.pid("worker-1")
    supervisor = at_rest(gateway.process.pid)
    kill(gateway, "worker-0")
    venue.trades("A", *range(11, 21))
    lost: list[Client] = []
    left: list[Client] = []
    for client in clients:
        frames = list(until_record(client, 20))
        (left if frames and frames[-1]["seq"] == 20 else lost).append(client)
    # The kernel spreads connections by their ports: of so many, each worker has some.
    assert lost
    assert left
    assert all(client.closed is None for client in left)
    assert (gateway.pid("feed"), gateway.pid("worker-1")) == (feed, other)
    for client in left:
        (row,) = client.ask("stats")["subscriptions"]
        assert (row["routed"], row["delivered"], row["pending"]) == (20, 20, 0)
    until(lambda: gateway.metrics().total("connections") == len(left))
    # Both workers take new clients, the new one too.
    fresh = [stage.connect() for _ in range(CLIENTS)]
    for client in fresh:
        client.subscribe("trade", "A.SIM")
        (result,) = client.next(method="subscribe")["results"]
        assert result["seq"] == 20
        assert client.next(type="snapshot")["data"][0]["qty"] == "20"
    until(lambda: all(w["connections"] for w in gateway.status()["workers"]))
    venue.trades("A", 21)
    for client in (*left, *fresh):
        assert client.next(type="update")["seq"] == 21
    routed = (10 + 1) * CLIENTS + (10 + 1) * len(left)
    until(lambda: gateway.metrics().of("routed_total", "trade") == routed)
    until(lambda: gateway.metrics().total("pending") == 0)
    until(lambda: balanced(gateway))
    until(lambda: descriptors(gateway.process.pid) <= supervisor)


def until_record(client: Client, seq: int) -> Iterator[Json]:
    """Data frames up to this one, or to the end of the connection."""
    for message in client.each():
        if "seq" in message:
            yield message
            if message["seq"] == seq:
                return


def test_no_process_and_no_descriptor_outlives_the_supervisor(
    stage: Stage, gateway: Serving, venue: Venue, shared_memory: Callable[[], int]
) -> None:
    pids = [int(one["pid"]) for one in gateway.status()["processes"]]
    client = stage.connect()
    client.subscribe("trade", "*")
    client.next(method="subscribe")
    assert shared_memory() > 0
    gateway.terminate()
    messages = list(client.each())
    assert messages[-1]["type"] == "shutdown"
    assert client.closed is not None
    assert client.closed[0] == 1012
    assert gateway.process.wait(60) == 0
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert shared_memory() == 0


@pytest.fixture
def shared_memory(gateway: Serving) -> Callable[[], int]:
    """How many mappings of its shared memory are left, in any process."""
    inodes = {
        line.split()[4]
        for line in Path(f"/proc/{gateway.process.pid}/maps").read_text().splitlines()
        if "/memfd:tickgate" in line
    }

    def count() -> int:
        found: dict[str, int] = defaultdict(int)
        for maps in Path("/proc").glob("[0-9]*/maps"):
            try:
                lines = maps.read_text().splitlines()
            except OSError:
                continue
            for line in lines:
                if "/memfd:tickgate" in line and line.split()[4] in inodes:
                    found[line.split()[4]] += 1
        return sum(found.values())

    return count
