"""Clients that are cut at random points while records flow, and go on where each left off.

A test runs it small; `PYTHONPATH=tests python -m support.cuts --seeds 1-50` at full size. Each
client follows one instrument without loss. It is cut at a random moment, or at a random record of a
replay, sometimes with a reset, whatever of its bytes are still under way, and comes back at once or
later with the last number that it had; workers are killed among it. What it gets has to go on with
the next number, each time.
"""

import argparse
import heapq
import os
import random
import selectors
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import fleet
from support.serving import serving

SYMBOLS = 50
CONNECTED_S = 0.5
"""A client is cut after at most so long; it stays away half of it."""
LIVE = 20
"""Records that come in the end, behind the last replay."""
TIMEOUT_S = 300.0
RESET = struct.pack("ii", 1, 0)
FEED = (
    'feeds.0.type="synthetic"',
    'feeds.0.venue="SIM"',
    f"feeds.0.symbols={SYMBOLS}",
    "feeds.0.rate=5000",
    'feeds.0.channels=["trade"]',
    "slo.target_us=1000000",  # however late a busy host is, nobody is turned away
)


class _Connection(fleet.Client):
    """One whose end may tear a frame: its worker is killed."""

    def read(self) -> None:
        try:
            data = self.socket.recv(fleet.READ_BYTES)
            self._parse(data)
        except OSError:
            data = b""
        self.ended = not data


@dataclass
class Seen:
    """What a storm came to."""

    records: int = 0
    replayed: int = 0
    cuts: int = 0
    in_a_replay: int = 0
    kills: int = 0
    ends: int = 0


@dataclass
class _Client:
    number: int
    cuts: int
    last: int = 0
    epoch: str = ""
    replaying: bool = False
    live: int = 0
    """Records since its replay was over."""
    connection: _Connection | None = None
    turn: int = 0
    refused: bool = False
    cut_after: int = 0
    """Records of the replay; 0: at some moment."""
    done: bool = False

    @property
    def name(self) -> str:
        return f"SYM{self.number % SYMBOLS:03}.SIM"


@dataclass
class Storm:
    """`clients` that are cut `cuts` times each; `kill` ends a worker, `kills` times among it."""

    url: str
    kill: Callable[[], None]
    seed: int
    clients: int
    cuts: int
    kills: int
    seen: Seen = field(default_factory=Seen)

    def run(self) -> Seen:
        """Until all have had their cuts, and then all that there is."""
        self._random = random.Random(self.seed)
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, int]] = []
        self._all = [_Client(number, self.cuts) for number in range(self.clients)]
        every = self.clients * self.cuts // (self.kills + 1)
        self._kill_at = [every * (n + 1) for n in range(self.kills)]
        deadline = time.monotonic() + TIMEOUT_S
        for one in self._all:
            self._later(one, CONNECTED_S)
        while not all(one.done for one in self._all):
            assert time.monotonic() < deadline, (self.seed, self.seen)
            wait = self._due[0][0] - time.monotonic() if self._due else 0.05
            for key, _ in self._selector.select(max(0.0, min(wait, 0.05))):
                self._read(key.data)
            if self._due and self._due[0][0] <= time.monotonic():
                _, number, turn = heapq.heappop(self._due)
                if self._all[number].turn == turn:
                    self._step(self._all[number])
        self._selector.close()
        return self.seen

    def _later(self, one: _Client, at_most_s: float) -> None:
        one.turn += 1
        due = time.monotonic() + self._random.random() * at_most_s
        heapq.heappush(self._due, (due, one.number, one.turn))

    def _step(self, one: _Client) -> None:
        if one.connection is None:
            self._connect(one)
        elif one.refused:
            self._ask(one)
        elif one.cuts:
            self._cut(one)

    def _connect(self, one: _Client) -> None:
        try:
            one.connection = _Connection(self.url)
        except (OSError, AssertionError):  # no worker, or one that ends before it has answered
            self._later(one, 0.2)
            return
        self._selector.register(one.connection, selectors.EVENT_READ, one)
        self._ask(one)

    def _ask(self, one: _Client) -> None:
        since = {"epoch": one.epoch, "seq": one.last} if one.epoch else {"last": 1}
        one.live, one.replaying, one.refused = 0, True, False
        at_a_record = one.cuts and self._random.random() < 0.5
        one.cut_after = self._random.randrange(2, 60) if at_a_record else 0
        assert one.connection
        try:
            one.connection.subscribe("trade", one.name, **{"from": since})
        except OSError:
            self._gone(one)
            return
        if one.cuts:
            self._later(one, self._random.choice((0.01, 0.1, CONNECTED_S)))

    def _cut(self, one: _Client) -> None:
        assert one.connection
        one.cuts -= 1
        self.seen.cuts += 1
        self.seen.in_a_replay += one.replaying
        if self._random.random() < 0.5:
            one.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._gone(one)
        if self._kill_at and self.seen.cuts >= self._kill_at[0]:
            self._kill_at.pop(0)
            self.seen.kills += 1
            self.kill()

    def _gone(self, one: _Client) -> None:
        assert one.connection
        self._selector.unregister(one.connection)
        one.connection.socket.close()
        one.connection = None
        if not one.done:
            self._later(one, self._random.choice((0.0, CONNECTED_S)))

    def _read(self, one: _Client) -> None:
        connection = one.connection
        assert connection
        connection.read()
        for payload in connection.take():
            self._take(one, fleet.decode(payload))
            if one.connection is not connection:
                return  # cut in the middle of it
        if not one.cuts and one.live >= LIVE:
            one.done = True
        if connection.ended:
            self.seen.ends += 1
        if connection.ended or one.done:
            self._gone(one)

    def _take(self, one: _Client, message: dict[str, Any]) -> None:
        said = (self.seed, one, message)
        if message.get("method") == "subscribe":
            (result,) = message["results"]
            if not result["success"]:  # the worker does not know the feed's list yet
                assert result["error"]["code"] == "unknown_symbol", said
                one.refused = True
                self._later(one, 0.1)
                return
            assert result["recovery"] == "replaying", said
            assert result["seq"] == one.last or not one.epoch, said
            one.last = result["seq"]
            one.epoch = result["epoch"]
        elif message.get("type") == "replay_completed":
            one.replaying = False
        elif "seq" in message:
            assert message["seq"] == one.last + 1, said
            one.last += 1
            one.live += not one.replaying
            self.seen.records += 1
            self.seen.replayed += bool(message.get("replay"))
            one.cut_after -= one.replaying and one.cut_after > 0
            if one.replaying and one.cut_after == 1:
                self._cut(one)
        else:
            assert message.get("type") != "gap", said


def storm(log: Path, seed: int, *, clients: int, cuts: int, kills: int) -> Seen:
    """One against a gateway of its own."""
    with serving(log, *FEED) as gateway:

        def kill() -> None:
            with suppress(ProcessLookupError, StopIteration):  # it is not back yet
                os.kill(gateway.pid(), signal.SIGKILL)

        return Storm(gateway.url, kill, seed, clients, cuts, kills).run()


def main() -> int:
    """Storms of these seeds, a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1-50")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--kills", type=int, default=3)
    wanted = parser.parse_args()
    first, _, last = wanted.seeds.partition("-")
    with tempfile.TemporaryDirectory() as place:
        for seed in range(int(first), int(last or first) + 1):
            begun = time.monotonic()
            log = Path(place) / "log"
            seen = storm(log, seed, clients=wanted.clients, cuts=wanted.cuts, kills=wanted.kills)
            print(f"seed {seed}: {seen}, {time.monotonic() - begun:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
