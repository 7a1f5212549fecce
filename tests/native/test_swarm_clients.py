"""How clients of the swarm behave: slow, stalled, all at once, coming back."""

import asyncio
import time

from support.swarm import (
    MEASURED,
    MS,
    PATIENCE_NS,
    SECOND,
    connect,
    counter,
    drive,
    drive_for,
    swarm,
)
from support.swarm_server import Peer, SwarmServer, close, frame, record

from gateway.latency.histogram import Histogram


async def ticking(peer: Peer) -> None:
    """A record each 5 ms."""
    for seq in range(1, 100000):
        await peer.send(record(seq))
        await asyncio.sleep(0.005)


def test_a_stalled_group_reads_late_and_loses_nothing() -> None:
    stall = {"measured": 1, "stall_at_ns": 20 * MS, "stall_for_ns": 700 * MS}
    with SwarmServer(ticking) as server:
        client = swarm(server, [stall, MEASURED])
        connect(client, 2)
        client.go(time.time_ns())
        drive_for(client, 60 * MS)
        before = client.counters()
        drive_for(client, 60 * MS)
        after = client.counters()
        assert after[0]["frames"] == before[0]["frames"]
        assert after[1]["frames"] > before[1]["frames"]
        drive(client, lambda: counter(client, "frames") > after[0]["frames"])
        assert Histogram(client.counts("own", 0)).max_ns > 500 * MS
        assert counter(client, "gaps") == 0
        client.close()


def test_a_slow_reader_reads_no_faster_than_told() -> None:
    async def flood(peer: Peer) -> None:
        for _ in range(50):
            await peer.send(frame(b"x" * 1000) * 100)

    slow = {"read_bytes_per_s": 100_000, "rcvbuf_bytes": 4096}
    with SwarmServer(flood) as server:
        client = swarm(server, [slow, MEASURED])
        start = time.monotonic_ns()
        connect(client, 2)
        drive(client, lambda: counter(client, "frames", 1) == 5000)
        drive_for(client, 300 * MS)
        # One read more than the time allows, of what was in the first.
        allowed = 100_000 * (time.monotonic_ns() - start) / SECOND + 100_000
        assert 10_000 < counter(client, "bytes") < allowed
        client.close()


def test_late_acks_go_with_every_second_message() -> None:
    async def hundred(peer: Peer) -> None:
        for seq in range(1, 101):
            await peer.send(record(seq))
            await asyncio.sleep(0.002)

    def acks(late: int) -> int:
        with SwarmServer(hundred) as server:
            client = swarm(server, [{"measured": 1, "late_acks": late}])
            connect(client, 1)
            drive(client, lambda: counter(client, "frames") == 100)
            client.close()
            return server.peers[0].segments

    assert acks(1) < 0.8 * acks(0)


def test_a_storm_is_everybody_at_once() -> None:
    with SwarmServer(ticking) as server:
        client = swarm(server, [MEASURED, {"drop_at_ns": 10 * MS}], each=20)
        connect(client, 40)
        client.go(time.time_ns())
        drive(client, lambda: counter(client, "reconnects", 1) == 20)
        drive(client, lambda: sum(peer.ended for peer in server.peers) == 20)
        calm, stormy = client.counters()
        assert (calm["open"], calm["opened"], calm["reconnects"]) == (20, 20, 0)
        assert (stormy["open"], stormy["opened"], stormy["closed"]) == (20, 40, 0)
        assert len(server.peers) == 60
        assert all(not peer.closes for peer in server.peers)
        drive(client, lambda: counter(client, "delivered", 1) > 100)
        assert counter(client, "gaps", 1) == 0  # each connection is a chain of its own
        client.close()


def test_churn_is_spread_and_polite() -> None:
    leaving = {"lifetime_ns": 100 * MS, "reconnect_ns": 10 * MS}
    with SwarmServer(ticking) as server:
        client = swarm(server, [leaving], each=10)
        connect(client, 10)
        client.go(time.time_ns())
        drive(client, lambda: counter(client, "reconnects") >= 25)
        counts = client.counters()[0]
        assert counts["closed"] == counts["protocol_errors"] == counts["refused"] == 0
        left = [peer for peer in server.peers if peer.closes]
        assert len(left) >= 25
        assert {code for peer in left for code in peer.closes} == {1000}
        drive(client, lambda: counter(client, "open") >= 8)  # never all of them at once
        client.close()


def test_texts_are_sent_when_open_and_then_in_turns() -> None:
    group = {"resubscribe_every_ns": 20 * MS, "text_off": 1}
    with SwarmServer() as server:
        client = swarm(server, [group, MEASURED], each=2, texts=[b"on", b"off " + b"x" * 70000])
        connect(client, 4)
        client.go(time.time_ns())
        drive(client, lambda: sum(len(peer.texts) for peer in server.peers) >= 2 + 2 * 6)
        quiet = [peer for peer in server.peers if len(peer.texts) == 1]
        assert len(quiet) == 2
        for peer in server.peers:
            if peer not in quiet:
                assert [text[:3] for text in peer.texts[:4]] == [b"on", b"off", b"on", b"off"]
            assert {len(text) for text in peer.texts} <= {2, 70004}
        client.close()


def test_those_whom_the_server_closes_come_back_if_told() -> None:
    codes = [4008, 4008, 1012, 4008, 1012, 0]

    async def script(peer: Peer) -> None:
        code = codes[peer.index % 6]
        if code:
            await peer.send(close(code, b"for a reason"))
        else:
            peer.close()

    with SwarmServer(script) as server:
        client = swarm(server, [{}], each=6)
        client.connect(PATIENCE_NS)
        drive(client, lambda: counter(client, "closed") == 6)
        counts = client.counters()[0]
        assert (counts["closed_4008"], counts["closed_other"], counts["open"]) == (3, 2, 0)
        drive(
            client, lambda: sorted(c for p in server.peers for c in p.closes) == sorted(codes)[1:]
        )
        drive_for(client, 20 * MS)
        assert len(server.peers) == 6
        client.close()

        back = swarm(server, [{"reconnect_ns": 5 * MS}], each=2)
        back.connect(PATIENCE_NS)
        drive(back, lambda: counter(back, "reconnects") > 6)
        back.close()


def test_an_end_right_behind_the_last_record_is_seen() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(record(1))
        peer.close()

    with SwarmServer(script) as server:
        client = swarm(server, each=20)
        client.connect(PATIENCE_NS)
        drive(client, lambda: counter(client, "closed") == 20)
        assert (counter(client, "opened"), counter(client, "frames")) == (20, 20)
        client.close()
