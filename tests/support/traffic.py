"""A market that goes on by itself, and clients that read all of it, each on a thread of its own."""

import json
import os
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from gateway.loadtest.ports import free_udp_port
from support.fleet import Client

TURN_S = 0.01
DATAGRAM_LINES = 50
READ_BYTES = 32 << 10
READ_INTERVAL_S = 0.002
"""Each client takes 16 MB a second at the most, so that a backlog takes its time on any host."""


class Market:
    """Sends trades of one symbol to a `udp` feed, at a steady rate until it is stopped.

    Attributes:
        sets: settings of the feed that takes them.
    """

    def __init__(self, per_s: int) -> None:
        self._address = "127.0.0.1", free_udp_port()
        self.sets = [
            'feeds.0.type="udp"',
            f"feeds.0.port={self._address[1]}",
            'feeds.0.venue="SIM"',
        ]
        self._per_s = per_s
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stopping = False
        self._held = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def hold(self, duration_s: float) -> None:
        """Sends nothing for so long, and then what was due meanwhile, with its own times, as fast
        as it can.
        """
        self._held.set()
        time.sleep(duration_s)
        self._held.clear()

    def stop(self) -> None:
        """Ends."""
        self._stopping = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        started_ns, sent = time.time_ns(), 0
        waiting: list[bytes] = []
        while not self._stopping:
            due = (time.time_ns() - started_ns) * self._per_s // 1_000_000_000
            while sent < due:
                many = min(due - sent, DATAGRAM_LINES)
                waiting.append(self._datagram(range(sent, sent + many), started_ns))
                sent += many
            if not self._held.is_set():
                for datagram in waiting:
                    self._socket.sendto(datagram, self._address)
                waiting.clear()
            time.sleep(TURN_S)

    def _datagram(self, numbers: Sequence[int], started_ns: int) -> bytes:
        lines = (
            json.dumps(
                {
                    "channel": "trade",
                    "symbol": "SYM000",
                    "price": "100.10",
                    "qty": "1",
                    "side": "buy",
                    "id": str(number),
                    "ts": started_ns + number * 1_000_000_000 // self._per_s,
                }
            )
            for number in numbers
        )
        return "\n".join(lines).encode()


class Audience:
    """Reads from clients and forgets what came, until it is stopped; one may be left out."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self._selector = selectors.DefaultSelector()
        for client in clients:
            client.socket.setblocking(False)
            self._selector.register(client.socket, selectors.EVENT_READ)
        self._stopping = False
        self._left_out: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def leave_out(self, client: Client | None) -> None:
        """This one's bytes stay in its socket; None reads from all again."""
        self._left_out = client.socket if client is not None else None

    def stop(self) -> None:
        """Ends."""
        self._stopping = True
        self._thread.join()
        self._selector.close()

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(0.05):
                if key.fileobj is not self._left_out:
                    with suppress(OSError):
                        self._take(key.fd)
            time.sleep(READ_INTERVAL_S)

    def _take(self, descriptor: int) -> None:
        if not os.read(descriptor, READ_BYTES):
            self._selector.unregister(descriptor)
