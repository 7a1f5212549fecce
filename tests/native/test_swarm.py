"""What the load test's swarm measures, against a server that does what each test wants to see."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from support.swarm import MS, PATIENCE_NS, SECOND, connect, counter, drive, swarm
from support.swarm_server import BINARY, CONT, PING, Peer, SwarmServer, frame, message, record

from gateway._native import HDR_MAX_NS
from gateway.latency.histogram import Histogram


def oracle(values: Sequence[int]) -> Any:
    histogram = HdrHistogram(1, HDR_MAX_NS, 3)
    for value in values:
        histogram.record_value(value)
    return histogram


def test_histograms_are_those_of_the_hdrhistogram_package() -> None:
    dice = random.Random(7)
    wire = [int(10 ** dice.uniform(1, 10.5)) for _ in range(500)]
    work = [int(10 ** dice.uniform(1, 10.5)) for _ in range(500)]

    async def script(peer: Peer) -> None:
        past = time.time_ns() - 1000 * SECOND
        for i in range(500):
            await peer.send(record(i + 1, event=past, wire=wire[i], server=work[i]))

    with SwarmServer(script) as server:
        client = swarm(server)
        connect(client, 1)
        drive(client, lambda: counter(client, "delivered") == 500)
        for name, values in (("wire", wire), ("server", work)):
            mine = Histogram(client.counts(name, 0), *client.totals(name, 0)[1:])
            theirs = oracle(values)
            assert (mine.count, mine.sum_ns) == (500, sum(values))
            for percentile in (0, 1, 25, 50, 90, 99, 99.9, 100):
                expected = theirs.get_value_at_percentile(percentile)
                assert mine.value_at_percentile(percentile) == expected
            assert mine.max_ns == theirs.get_max_value()
        client.close()


def test_latency_is_between_what_the_server_did_and_what_passed() -> None:
    delays = [0, 30 * MS, 200 * MS]

    async def script(peer: Peer) -> None:
        await asyncio.sleep(0.05)  # a kernel begins to stamp a moment after it is first asked to
        for i in range(300):
            await peer.send(record(i + 1, event=time.time_ns() - delays[i % 3]))

    with SwarmServer(script) as server:
        client = swarm(server)
        start = time.time_ns()
        connect(client, 1)
        drive(client, lambda: counter(client, "delivered") == 300)
        passed = time.time_ns() - start
        age = Histogram(client.counts("age", 0))
        for percentile, delay in ((33, delays[0]), (66, delays[1]), (99, delays[2])):
            # Values are kept to 0.1 %.
            assert delay * 0.999 <= age.value_at_percentile(percentile) <= (delay + passed) * 1.001
        for name in ("age", "arrival", "own", "delivery"):
            assert client.totals(name, 0)[0] == 300, name
        arrival, own = client.totals("arrival", 0)[1], client.totals("own", 0)[1]
        assert arrival + own == client.totals("age", 0)[1]
        assert client.totals("handshake", 0)[0] == 1
        client.close()


def test_what_a_server_kept_back_is_not_the_clients_own_delay() -> None:
    pause_s = 0.6

    async def script(peer: Peer) -> None:
        await peer.send(record(1))
        await asyncio.sleep(pause_s)
        old = time.time_ns() - 10 * SECOND
        await peer.send(*[record(seq, event=old) for seq in range(2, 22)])

    with SwarmServer(script) as server:
        client = swarm(server)
        connect(client, 1)
        client.run(time.time_ns() + round(pause_s * SECOND))
        drive(client, lambda: counter(client, "delivered") == 21)
        # All but the last are known to have come after the socket was last seen empty, which is
        # long after the first was read.
        assert Histogram(client.counts("own", 0)).max_ns < pause_s * SECOND / 2
        arrival = Histogram(client.counts("arrival", 0))
        assert arrival.value_at_percentile(50) > 9 * SECOND
        client.close()


def test_a_clock_offset_is_added() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(record(1))

    with SwarmServer(script) as server:
        behind = swarm(server, clock_offset_ns=-SECOND)
        ahead = swarm(server, clock_offset_ns=10 * SECOND)
        for client in (behind, ahead):
            connect(client, 1)
            drive(client, lambda client=client: counter(client, "delivered") == 1)  # type: ignore[misc]
        assert behind.totals("age", 0)[3] == 1  # a negative age is counted apart
        assert ahead.totals("age", 0)[1] >= 10 * SECOND
        assert ahead.totals("own", 0)[1] < 10 * SECOND
        behind.close()
        ahead.close()


def test_every_kind_of_message_is_counted_as_what_it_is() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(
            message(channel="system", type="hello", data=[{"version": "0.1.0"}]),
            message(method="subscribe", req_id=1, success=True, failed=1, results=[]),
            record(10, kind="snapshot"),
            record(11),
            record(12),
            record(12),  # a duplicate
            record(15),  # two are missing
            record(19, skipped=3),
            record(1, symbol="OTHER.SIM"),
            message(channel="heartbeat", n=1, ts_send=time.time_ns()),
            message(hello="world"),
            frame(b"", CONT | PING),
        )

    with SwarmServer(script) as server:
        client = swarm(server)
        connect(client, 1)
        drive(client, lambda: bool(server.peers[0].pongs))
        counts = {name: n for name, n in client.counters()[0].items() if n}
        del counts["bytes"]
        assert counts == {
            "open": 1,
            "opened": 1,
            "frames": 11,
            "window_frames": 11,
            "delivered": 5,
            "received": 5,
            "snapshots": 1,
            "unstamped": 1,
            "control": 2,
            "heartbeats": 1,
            "gaps": 2,
            "gap_events": 1,
            "duplicates": 1,
            "conflated": 3,
            "first_last_span": 10,
            "accounted": 8,
            "errors": 1,
        }
        client.close()


def test_a_window_takes_records_by_their_stamp() -> None:
    base = time.time_ns() - 60 * SECOND

    async def script(peer: Peer) -> None:
        await peer.send(*[record(i + 1, event=base + i * SECOND) for i in range(10)])

    with SwarmServer(script) as server:
        client = swarm(server)
        client.window(base + 3 * SECOND, base + 7 * SECOND)
        assert client.connect(PATIENCE_NS) == 1
        drive(client, lambda: counter(client, "frames") == 10)
        assert counter(client, "delivered") == client.totals("age", 0)[0] == 4
        assert counter(client, "window_frames") == counter(client, "received") == 0
        client.close()


def stamped_client(stamp: tuple[str, bytes | int], *frames: bytes) -> dict[str, int]:
    async def script(peer: Peer) -> None:
        await peer.send(*frames)

    with SwarmServer(script) as server:
        client = swarm(server, stamp=stamp)
        connect(client, 1)
        drive(client, lambda: counter(client, "frames") == len(frames))
        counts = client.counters()[0] | {"age": client.totals("age", 0)[1]}
        client.close()
    return counts


def test_stamps_of_other_protocols() -> None:
    then = time.time_ns() - 10 * SECOND
    texts = [
        message(e="trade", data=[{"E": then // scale}]) for scale in (1, 1000, 1000000, 1000000000)
    ]
    texts += [message(data=[{"E": str(then // 1000)}]), message(data=[{"E": then / 1e9}])]
    counts = stamped_client(("json", b"data.0.E"), *texts, message(result=None))
    assert (counts["delivered"], counts["unstamped"]) == (6, 1)
    assert 60 * SECOND <= counts["age"] < 120 * SECOND

    binary = [frame(b"head" + then.to_bytes(8, "little"), BINARY), frame(b"too short", BINARY)]
    counts = stamped_client(("offset", 4), *binary)
    assert (counts["delivered"], counts["unstamped"]) == (1, 1)
    assert 10 * SECOND <= counts["age"] < 60 * SECOND


def test_ticks_of_several_recipients_and_processes_are_the_same() -> None:
    stamp = time.time_ns()

    async def script(peer: Peer) -> None:
        await peer.send(*[record(i + 1, event=stamp) for i in range(50)])

    with SwarmServer(script) as server:
        key = bytes(range(16))
        swarms = [
            swarm(server, each=3, hash_key=key),
            swarm(server, each=2, ticks_tracked_max=8, hash_key=key),
        ]
        for one, count in zip(swarms, (3, 2), strict=True):
            connect(one, count)
            drive(one, lambda one=one, n=count * 50: counter(one, "delivered") == n)  # type: ignore[misc]
        (every, mask), (some, narrow) = [one.ticks() for one in swarms]
        assert every.shape == (50, 4)
        assert mask == 0
        assert set(every[:, 3]) == {3}
        assert (every[:, 1] <= every[:, 2]).all()
        assert narrow > 0
        assert len(some) > 0
        assert set(some[:, 3]) == {2}
        assert {int(key) for key in some[:, 0]} == {int(k) for k in every[:, 0] if not k & narrow}
        for one in swarms:
            one.close()
