"""Books of a real venue through the data plane: clients of several depths rebuild them."""

from __future__ import annotations

import json
import random
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.captures import binance

from gateway._native import BOOK_LEVELS_MAX, Book, Plane, RingWriter, StatsPage
from gateway.codec.formats import JSON, LOCALS, programs

Capture = Callable[[str], Path]
Tops = dict[int, Any]
WAIT_S = 0.05
SYMBOL = "BTCUSDT.BINANCE"
LEVELS = 100_000
CLIENTS = ((0,), (10,), (5,), (1,), (10, 200), (1000, 0, 100), (5, 50, 100))
"""Depth, cell of `max_hz` in ms, how many messages between two looks at the socket."""


class Client:
    """Strict: each frame has to follow the one before, and make what its checksum says."""

    def __init__(self, plane: Plane, depth: int, interval_ms: int = 0, stalls: int = 0) -> None:
        self.depth, self.interval_ms, self.stalls = depth, interval_ms, stalls
        self.seq = self.compared = self.parted = 0
        self.book = Book(depth=depth, levels_max=BOOK_LEVELS_MAX)
        self._parts: tuple[list[Any], list[Any]] = ([], [])
        self._buffer = b""
        self.socket, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        if stalls:  # its socket is soon full
            self._theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.handle = plane.add(self._theirs.fileno(), b"", b"{}")
        item = (1, "book", SYMBOL, False, True, True, 1, interval_ms, 0, None, depth)
        plane.subscribe(self.handle, b"{}", (), [item])

    def close(self) -> None:
        self.socket.close()
        self._theirs.close()

    def read(self, tops: Tops) -> None:
        while select.select([self.socket], [], [], 0)[0]:
            self._buffer += self.socket.recv(1 << 20)
        for text in self._frames():
            message = json.loads(text)
            if message.get("channel") == "book":
                self._take(message, tops)

    def _frames(self) -> Iterator[bytes]:
        while len(self._buffer) >= 4:
            length, header = self._buffer[1], 2
            if length == 126:
                length, header = int.from_bytes(self._buffer[2:4], "big"), 4
            assert length <= 16384
            if len(self._buffer) < header + length:
                return
            yield self._buffer[header : header + length]
            self._buffer = self._buffer[header + length :]

    def _take(self, message: dict[str, Any], tops: Tops) -> None:
        (data,) = message["data"]
        assert (message["symbol"], data["depth"]) == (SYMBOL, self.depth)
        number, of = message.get("part", (1, 1))
        if number == 1 and self.seq:
            assert message["seq"] == self.seq + 1 + message.get("skipped", 0)
        self._parts[0].extend(map(tuple, data["bids"]))
        self._parts[1].extend(map(tuple, data["asks"]))
        if number < of:
            assert "checksum" not in data
            return
        change = self.book.replace if message["type"] == "snapshot" else self.book.apply
        change(*self._parts, seq=message["seq"])
        self._parts = ([], [])
        self.seq = message["seq"]
        self.parted += of > 1
        assert data["checksum"] == self.book.checksum(self.depth)
        if (said := tops.get(self.seq)) is not None:
            assert said == self.book.top()
            self.compared += 1


def wait_for(client: Client, seq: int, tops: Tops) -> None:
    """Not for ever: messages that undo each other are no frame, if they go together."""
    deadline = time.monotonic() + WAIT_S
    while client.seq != seq and time.monotonic() < deadline:
        client.read(tops)
        time.sleep(0)


def settle(client: Client, tops: Tops) -> None:
    """Until nothing comes: two cells of its rate, or a moment."""
    quiet_s = max(0.1, client.interval_ms / 500)
    before, until = -1, time.monotonic() + quiet_s
    while client.seq != before or time.monotonic() < until:
        if client.seq != before:
            before, until = client.seq, time.monotonic() + quiet_s
        client.read(tops)
        time.sleep(0.001)


def check_at_rest(client: Client, full: Client, tops: Tops) -> None:
    settle(client, tops)
    for side in ("bid", "ask"):
        assert client.book.levels(side) == full.book.levels(side, client.depth)
    assert client.compared >= (1 if client.stalls or client.interval_ms else 50)


@pytest.mark.parametrize("market", ["spot", "usdm"])
def test_clients_of_each_depth_have_the_best_prices_that_the_venue_says(
    capture: Capture, counted: StatsPage, market: str
) -> None:
    writer = RingWriter(1 << 24, 16, book_levels_max=LEVELS)
    topic = writer.topic("book", SYMBOL)
    plane = Plane(
        formats=[programs(JSON)], locals=LOCALS, stats=counted, book_levels_max=LEVELS, spin=True
    )
    plane.start()
    plane.attach(writer.fd)
    clients: list[Client] = []
    tops: Tops = {}
    said, seq, chance = None, 0, random.Random(5)
    for i, message in enumerate(binance(capture(f"binance/{market}_btcusdt_20240808.jsonl.gz"))):
        if message.top is not None:
            said = message.top
            continue
        _, published, _, _ = writer.book(topic, message.snapshot, message.bids, message.asks, 1, 1)
        seq += published
        if published and not message.snapshot and said is not None:
            tops[seq] = said
        if i % 400 == 0 and len(clients) < len(CLIENTS):  # they come one after the other
            clients.append(Client(plane, *CLIENTS[len(clients)]))
        full = clients[0]
        if i % 5 < 4:  # now and then several go together
            wait_for(full, seq, tops)
        for client in clients:
            if not chance.randrange(client.stalls + 1):
                client.read(tops)
        plane.events()
    wait_for(full, seq, tops)
    for client in clients:
        check_at_rest(client, full, tops)
        plane.remove(client.handle)
    counts = counted.read()
    assert counts["pending"][3] == 0
    settled = ("delivered", "conflated", "filtered", "dropped_lapped", "dropped_unsubscribed")
    assert counts["routed"][3] == sum(counts[name][3] for name in settled)
    plane.stop()
    for client in clients:
        client.close()
    writer.close()
