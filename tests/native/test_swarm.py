"""The load test's swarm, against a server that does what each test wants to see measured."""

import asyncio
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from support.swarm_server import (
    ACCEPT,
    BINARY,
    CONT,
    PING,
    REQUEST,
    TEXT,
    Peer,
    SwarmServer,
    close,
    frame,
    message,
    record,
)

from gateway._native import (
    HDR_MAX_NS,
    SWARM_COUNTERS,
    SWARM_GROUP_KEYS,
    SWARM_HISTOGRAMS,
    Swarm,
)
from gateway.latency.histogram import Histogram

MS = 1_000_000
SECOND = 1_000_000_000
PATIENCE_NS = 20 * SECOND
"""Far beyond what anything here takes."""
MEASURED = {"measured": 1}
CONTINUED = 0x80  # makes a final fragment's opcode that of one that is not final


def swarm(
    server: SwarmServer,
    groups: Sequence[dict[str, int]] = (MEASURED,),
    *,
    each: int = 1,
    texts: Sequence[bytes] = (),
    **options: Any,
) -> Swarm:
    """`each` clients for every group; with texts, all send the first."""
    text = 0 if texts else -1
    clients = [[group, 0, text] for group in range(len(groups)) for _ in range(each)]
    settings: dict[str, Any] = {
        "targets": [server.target],
        "accept": ACCEPT,
        "groups": groups,
        "texts": texts,
        "clients": np.array(clients, dtype=np.int32),
        "stamp": ("tickgate", b""),
    } | options
    return Swarm(**settings)


def connect(client: Swarm, count: int) -> None:
    """Opens all, with a window that nothing falls out of."""
    now = time.time_ns()
    client.window(now - 3600 * SECOND, now + 3600 * SECOND)
    assert client.connect(PATIENCE_NS) == count, client.refusals()


def drive(client: Swarm, until: Callable[[], bool]) -> None:
    """Runs it until this is so."""
    deadline = time.monotonic_ns() + PATIENCE_NS
    while not until():
        assert time.monotonic_ns() < deadline, client.counters()
        client.run(time.time_ns() + 5 * MS)


def drive_for(client: Swarm, ns: int) -> None:
    client.run(time.time_ns() + ns)


def counter(client: Swarm, name: str, group: int = 0) -> int:
    return client.counters()[group][name]


@pytest.fixture
def opened() -> Iterator[list[Swarm]]:
    """Swarms put here are closed whatever happens."""
    swarms: list[Swarm] = []
    yield swarms
    for one in swarms:
        one.stop()
        one.close()


# --- what is measured -----------------------------------------------------------------------------


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


# --- how clients behave ---------------------------------------------------------------------------


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


def test_broken_rules_are_counted_and_answered() -> None:
    async def script(peer: Peer) -> None:
        broken = [b"\xc1\x00", frame(b"masked", 1)[:1] + b"\x84abcdefgh", frame(b"x" * 2000)]
        await peer.send(broken[peer.index])

    with SwarmServer(script) as server:
        client = swarm(server, [{}, {}, {}], frame_bytes_max=1500)
        client.connect(PATIENCE_NS)
        drive(client, lambda: len([code for p in server.peers for code in p.closes]) == 3)
        assert [peer.closes[0] for peer in server.peers] == [1002, 1002, 1009]
        total = {name: sum(group[name] for group in client.counters()) for name in SWARM_COUNTERS}
        assert (total["protocol_errors"], total["oversized"], total["closed"]) == (2, 1, 3)
        client.close()


def test_long_messages_and_fragments_come_whole() -> None:
    long = message(data=[{"E": time.time_ns()}], pad="x" * 3_000_000)
    payload = long[10:]
    pieces = [payload[at : at + 300_000] for at in range(0, len(payload), 300_000)]

    async def script(peer: Peer) -> None:
        parts = [frame(piece, TEXT if i == 0 else CONT) for i, piece in enumerate(pieces)]
        parts = [bytes((p[0] & 0x7F,)) + p[1:] for p in parts[:-1]] + parts[-1:]
        parts.insert(3, frame(b"in between", PING))
        await peer.send(long, *parts)

    with SwarmServer(script) as server:
        client = swarm(server, stamp=("json", b"data.0.E"))
        connect(client, 1)
        drive(client, lambda: counter(client, "delivered") == 2)
        assert counter(client, "bytes") == 2 * len(payload)
        drive(client, lambda: server.peers[0].pongs == [b"in between"])
        client.close()


# --- connecting -----------------------------------------------------------------------------------


def test_clients_come_from_the_sources_in_turn() -> None:
    with SwarmServer() as server:
        sources = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
        client = swarm(server, each=9, sources=sources)
        connect(client, 9)
        seen = sorted(peer.address for peer in server.peers)
        assert seen == sorted(sources * 3)
        client.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n", "HTTP 503"),
        (b"HTTP/1.1 101 OK\r\nSec-WebSocket-Accept: wrong\r\n\r\n", "no valid answer"),
        (b"SSH-2.0\r\n\r\n", "no valid answer"),
    ],
)
def test_refusals_say_why(answer: bytes, why: str) -> None:
    with SwarmServer(answer=answer) as server:
        client = swarm(server, each=3)
        assert client.connect(PATIENCE_NS) == 0
        assert client.refusals() == {why: 3}
        assert counter(client, "refused") == 3
        client.close()


def test_a_refused_handshake_is_named_with_what_the_server_said() -> None:
    answer = b"HTTP/1.1 503 Full\r\nContent-Length: 20\r\n\r\nthe room is \xe2\x82\xac full\n"
    with SwarmServer(answer=answer) as server:
        client = swarm(server, each=3)
        assert client.connect(PATIENCE_NS) == 0
        assert client.refused() == [("handshake", "HTTP 503", "the room is \u20ac full", 3)]
        client.close()


def test_refused_requests_and_closes_are_named() -> None:
    async def refuse(peer: Peer) -> None:
        error = {"code": "capacity", "message": f'no "{peer.index}" \u20ac', "retryable": True}
        await peer.send(message(method="subscribe", req_id=1, success=False, error=error))
        await peer.send(close(4008, b"too slow"))

    with SwarmServer(refuse) as server:
        client = swarm(server, each=5)
        client.connect(PATIENCE_NS)  # some are closed again before the last one is open
        drive(client, lambda: counter(client, "closed") == 5)
        (kind, code, words, count), last = client.refused()
        assert (kind, code, count) == ("reply", "capacity", 5)
        assert words is not None
        assert words.startswith('no "')
        assert words.endswith('" \u20ac')
        assert last == ("close", "4008", "too slow", 5)
        client.close()


def test_nobody_listening_is_a_refusal(opened: list[Swarm]) -> None:
    with SwarmServer() as server:
        pass
    client = swarm(server, each=3)
    opened.append(client)
    assert client.connect(PATIENCE_NS) == 0
    assert client.refusals() == {"ECONNREFUSED": 3}


def test_an_answer_is_not_checked_without_a_key() -> None:
    with SwarmServer(answer=b"HTTP/1.1 101 OK\r\n\r\n") as server:
        client = swarm(server, accept=b"")
        assert client.connect(PATIENCE_NS) == 1
        client.close()


def test_connecting_ends_at_its_timeout() -> None:
    with SwarmServer(answer=b"") as server:
        client = swarm(server, each=3)
        start = time.monotonic_ns()
        assert client.connect(50 * MS) == 0
        assert time.monotonic_ns() - start >= 50 * MS
        assert client.refusals() == {}
        client.close()


def test_a_rate_of_connecting_is_kept() -> None:
    with SwarmServer() as server:
        client = swarm(server, each=10, connect_rate=100)
        start = time.monotonic_ns()
        connect(client, 10)
        assert time.monotonic_ns() - start >= 80 * MS
        client.close()


# --- driving --------------------------------------------------------------------------------------


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
