"""Instruments that end and come back, from the writer to a client's socket, books as well."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gateway._native import Plane, RingWriter, StatsPage
from gateway.codec.formats import JSON, LOCALS, programs

SYMBOL = "A.SIM"
TIMEOUT_S = 60.0
KINDS = {"trade": 1, "book": 3}


class Peer:
    """Subscribes to one name, and gives what is said about it."""

    def __init__(self, plane: Plane, channel: str) -> None:
        self.socket, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self.handle = plane.add(self._theirs.fileno(), b"", b"{}")
        depth = 10 if channel == "book" else 0
        item = (1, channel, SYMBOL, False, True, True, 1, 0, 0, None, depth)
        plane.subscribe(self.handle, b"{}", (), [item])
        self._said = self._messages()

    def take(self) -> dict[str, Any]:
        self._deadline = time.monotonic() + TIMEOUT_S
        return next(self._said)

    def _messages(self) -> Iterator[dict[str, Any]]:
        buffer = b""
        while (left := self._deadline - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                break
            buffer += self.socket.recv(1 << 20)
            while len(buffer) >= 4:
                length, header = buffer[1], 2
                if length == 126:
                    length, header = int.from_bytes(buffer[2:4], "big"), 4
                if len(buffer) < header + length:
                    break
                message = json.loads(buffer[header : header + length])
                buffer = buffer[header + length :]
                if message and message["channel"] != "heartbeat":
                    yield message
        raise AssertionError("nothing came")

    def close(self) -> None:
        self.socket.close()
        self._theirs.close()


@pytest.mark.parametrize("channel", KINDS)
def test_numbers_go_on_and_nothing_is_missing_before_the_first(
    counted: StatsPage, channel: str
) -> None:
    writer = RingWriter(1 << 20, 16, book_levels_max=10_000)
    plane = Plane(
        formats=[programs(JSON)], locals=LOCALS, stats=counted, book_levels_max=10_000, spin=True
    )
    plane.start()
    try:
        plane.attach(writer.fd)
        check(plane, writer, counted, channel)
    finally:
        plane.stop()
    writer.close()


def check(plane: Plane, writer: RingWriter, counted: StatsPage, channel: str) -> None:
    number = 0

    def publish() -> None:
        nonlocal number
        number += 1
        topic = writer.topic(channel, SYMBOL)
        if channel == "trade":
            writer.publish([(topic, 5, "1", f"{number}", "buy", "x")], 1, time.monotonic_ns())
        else:
            side = [("1", f"{number}")]
            writer.book(topic, number in (1, 4), side, [], 1, time.monotonic_ns())

    publish()
    peer = Peer(plane, channel)
    assert peer.take()["seq"] == 1
    for seq in (2, 3):
        publish()
        assert peer.take()["seq"] == seq
    routed = counted.get("routed", KINDS[channel])
    assert writer.retire(channel, SYMBOL)
    assert peer.take()["type"] == "retired"
    publish()
    first = peer.take()
    assert (first["type"], first["seq"], first.get("skipped")) == ("snapshot", 4, None)
    publish()
    assert (peer.take()["seq"], number) == (5, 5)
    assert counted.get("routed", KINDS[channel]) == routed + 2
    assert counted.get("dropped_lapped", KINDS[channel]) == 0
    plane.remove(peer.handle)
    peer.close()
