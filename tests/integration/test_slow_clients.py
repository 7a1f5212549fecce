"""Clients that stop reading: what they miss, what they cost, and that nobody else notices.

No test here asserts a time; what a pause leads to follows from the limits that it sets.
"""

import gzip
import json
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.fleet import Client, Json, decode, pump
from support.serving import Metrics, resident_bytes, until
from support.stage import Stage
from support.udp import Venue

SYMBOLS = tuple(f"SYM{number}" for number in range(4))
BATCH = 50
Join = Callable[..., "Reader"]
NAME, TRADES = "BTCUSDT.BINANCE", 20_000
RECEIVE_BYTES = 4096
"""Of a slow client's receive buffer: the smaller, the sooner the gateway sees that it is slow."""


@dataclass
class Stream:
    """One topic as a client saw it: where it began, where it stands, and how it got there."""

    seq: int = 0
    frames: int = 0
    skipped: int = 0
    snapshots: int = 0
    row: Json = field(default_factory=dict)

    def take(self, message: Json) -> None:
        skipped = message.get("skipped", 0)
        assert message["seq"] == self.seq + 1 + skipped, (message, self)
        self.seq = message["seq"]
        self.frames += 1
        self.skipped += skipped
        self.snapshots += message["type"] == "snapshot"
        (self.row,) = message["data"]


class Reader:
    """A client with its streams; each distinct message is decoded once for all readers."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.streams: dict[str, Stream] = defaultdict(Stream)

    def look(self) -> None:
        for payload in self.client.take():
            message = decode(payload)
            if "symbol" in message:
                self.streams[message["symbol"]].take(message)


@pytest.fixture
def capture_of_trades(tmp_path: Path) -> Path:
    path = tmp_path / "trades.jsonl.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        for number in range(1, TRADES + 1):
            trade = {"e": "trade", "s": "BTCUSDT", "t": number, "p": "1.50", "q": "2", "T": number}
            message = {"stream": "btcusdt@trade", "data": trade | {"m": False}}
            file.write(f"{number} {json.dumps(message)}\n")
    return path


@pytest.fixture
def join(stage: Stage) -> Join:
    def joined(*, slow: bool = False, **params: object) -> Reader:
        client = stage.connect(receive_buffer_bytes=RECEIVE_BYTES if slow else 0)
        client.subscribe("bbo", "*", **params)
        client.next(method="subscribe")
        return Reader(client)

    return joined


def resume(readers: Iterable[Reader]) -> None:
    """They read on, as fast as anybody."""
    for reader in readers:
        reader.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)


def read_to(readers: list[Reader], seq: int) -> None:
    """Everybody's streams advance to this record, all of them."""
    by_client = {reader.client: reader for reader in readers}

    def done(client: Client) -> bool:
        reader = by_client[client]
        reader.look()
        streams = reader.streams
        return len(streams) == len(SYMBOLS) and all(s.seq == seq for s in streams.values())

    pump(list(by_client), done)
    assert not [reader for reader in readers if reader.client.closed]


def tick(venue: Venue, readers: list[Reader], first: int, last: int) -> None:
    """Quotes `first` to `last` on every symbol, as fast as these readers follow."""
    for start in range(first, last + 1, BATCH):
        numbers = range(start, min(start + BATCH, last + 1))
        for symbol in SYMBOLS:
            venue.quotes(symbol, *numbers)
        read_to(readers, numbers[-1])


def test_f36_f38_conflated_clients_that_stop_reading(
    stage: Stage, venue: Venue, join: Join
) -> None:
    ticks, warm = 3000, 500
    # A small log, so that what it would cost to keep frames for the slow would show; all of its
    # memory is taken at the start, so that what grows is the clients'.
    sets = (*venue.sets, "plane.log_bytes=8388608", "limits.lossless_max_age_ms=60000")
    sets += ("memory.populate=start",)
    # What the sockets alone do: what the controller makes of slow clients is tested elsewhere.
    gateway = stage.serve(*sets, "slo.enforce=false")
    others = [join() for _ in range(12)]
    slow = [join(slow=True) for _ in range(8)]
    tick(venue, others, 1, warm)
    read_to(slow, warm)
    worker = gateway.pid("worker-0")
    before = resident_bytes(worker)
    tick(venue, others, warm + 1, ticks)
    # The slow ones stood still meanwhile; the others got every single record.
    until(lambda: gateway.metrics().total("clients_blocked") == len(slow))
    assert resident_bytes(worker) - before < 2 << 20
    for reader in others:
        assert {(s.frames, s.skipped) for s in reader.streams.values()} == {(ticks, 0)}
    # Resuming, each gets the current value, and is told what it missed.
    resume(slow)
    read_to(slow, ticks)
    for reader in (*slow, *others):
        assert {s.row["bid_qty"] for s in reader.streams.values()} == {str(ticks)}
        assert {s.frames + s.skipped for s in reader.streams.values()} == {ticks}
        check_stats(reader)
    assert all(s.skipped for reader in slow for s in reader.streams.values())
    routed = ticks * len(SYMBOLS) * (len(slow) + len(others))
    until(lambda: gateway.metrics().total("routed_total") == routed)

    def ends(metrics: Metrics) -> float:
        return metrics.total("deliveries_total") + metrics.total("conflated_total")

    until(lambda: ends(gateway.metrics()) == routed)
    until(lambda: gateway.metrics().total("pending") == 0)
    assert gateway.metrics().total("closes_total") == 0
    until(lambda: gateway.metrics().total("clients_blocked") == 0)
    # From here on they are as good as anybody.
    tick(venue, [*slow, *others], ticks + 1, ticks + 2 * BATCH)
    for reader in slow:
        assert all(s.seq == ticks + 2 * BATCH for s in reader.streams.values())


def check_stats(reader: Reader) -> None:
    (row,) = reader.client.ask("stats")["subscriptions"]
    streams = reader.streams.values()
    assert row["routed"] == sum(s.seq for s in streams)
    assert row["delivered"] == sum(s.frames - s.snapshots for s in streams)
    assert row["conflated"] == sum(s.skipped for s in streams)
    assert (row["filtered"], row["dropped"], row["pending"]) == (0, 0, 0)


def test_a_lossless_reader_may_pause_while_its_queue_is_within_bounds(
    stage: Stage, venue: Venue, join: Join
) -> None:
    gateway = stage.serve(*venue.sets, "limits.lossless_max_age_ms=60000")
    other = join()
    pausing = join(slow=True, mode="lossless")
    done = 0
    for last in (1000, 2000, 3000):
        tick(venue, [other], done + 1, last)
        until(lambda: gateway.metrics().total("clients_blocked") == 1)
        time.sleep(0.1)
        read_to([pausing], last)
        done = last
    for stream in pausing.streams.values():
        assert (stream.frames, stream.skipped) == (done, 0)
    check_stats(pausing)


def test_f37_a_lossless_reader_that_pauses_too_long_is_closed(
    stage: Stage, venue: Venue, join: Join
) -> None:
    sets = ("limits.lossless_max_age_ms=300", "limits.lossless_replay=false")
    gateway = stage.serve(*venue.sets, *sets)
    other = join()
    pausing = join(slow=True, mode="lossless")
    tick(venue, [other], 1, 1000)
    until(lambda: gateway.metrics().of("dropped_total", "bbo", "slow") > 0)
    # What was on its way comes whole and in order; then the close frame says why.
    for _ in pausing.client.each():
        continue
    assert pausing.client.closed is not None
    code, reason = pausing.client.closed
    assert code == 4008
    assert "bytes pending, age " in reason
    assert reason.endswith("use mode=conflate")
    tick(venue, [other], 1001, 1200)
    until(lambda: gateway.metrics().of("closes_total", "4008") == 1)

    def balanced() -> bool:
        metrics = gateway.metrics()
        return metrics.of("routed_total", "bbo") == sum(
            metrics.total(name)
            for name in ("deliveries_total", "conflated_total", "dropped_total", "pending")
        )

    until(balanced)


def test_a_slow_reader_of_a_replay_at_full_speed_is_waited_for(
    stage: Stage, capture_of_trades: Path
) -> None:
    """Such a feed waits for lossless queues: only a standstill of seconds closes a client."""
    options = {"type": '"replay"', "path": f'"{capture_of_trades}"', "venue": '"BINANCE"'}
    options |= {"speed": "0", "start_after_clients": "2"}
    sets = [f"feeds.0.{key}={value}" for key, value in options.items()]
    stage.serve(*sets, "limits.lossless_max_age_ms=20")
    clients = [stage.connect(receive_buffer_bytes=size) for size in (0, RECEIVE_BYTES)]
    readers = {client: Reader(client) for client in clients}
    for client in clients:
        client.subscribe("trade", NAME)
    slow = clients[1]
    for _ in range(10):
        time.sleep(0.1)  # five times the age at which a live feed's reader is closed
        slow.read()
        readers[slow].look()

    resume([readers[slow]])

    def done(client: Client) -> bool:
        readers[client].look()
        return readers[client].streams[NAME].seq == TRADES

    pump(clients, done)
    for reader in readers.values():
        assert reader.client.closed is None
        stream = reader.streams[NAME]
        assert (stream.frames, stream.skipped, stream.row["id"]) == (TRADES, 0, str(TRADES))
        check_stats(reader)
