"""Workers that end under their clients: what was missed comes, and they come back spread."""

import asyncio
import os
import signal
from collections import defaultdict
from pathlib import Path

import pytest
from support.serving import serving
from support.stage import Stage

from gateway.client import Backoff, Client, Disconnected, Gap, Hello, Trade

TIMEOUT_S = 60.0
BETWEEN = 500
"""Trades after one worker's end and before the next one's."""
FEED = (
    'feeds.0.type="synthetic"',
    'feeds.0.venue="SIM"',
    "feeds.0.symbols=10",
    "feeds.0.rate=1000",
    'feeds.0.channels=["trade"]',
    "slo.target_us=1000000",  # however late a busy host is, nobody is turned away
    "limits.lossless_max_age_ms=60000",
)


class Seen:
    """What one client got of each instrument, and what it was told that it missed."""

    def __init__(self) -> None:
        self.ids: defaultdict[str, set[int]] = defaultdict(set)
        self.seqs: defaultdict[str, set[int]] = defaultdict(set)
        self.told: defaultdict[str, set[int]] = defaultdict(set)
        self.lost: defaultdict[str, int] = defaultdict(int)
        self.ends: list[int] = []
        self.epochs: set[str] = set()
        self.since = 0

    def take(self, event: object) -> None:
        match event:
            case Trade():
                self.ids[event.symbol].add(int(event.id))
                self.seqs[event.symbol].add(event.seq)
                self.since += 1
            case Gap(reason="reconnect"):
                assert event.from_seq is not None
                assert event.to_seq is not None
                self.told[event.symbol] |= set(range(event.from_seq, event.to_seq + 1))
                self.lost[event.symbol] += event.lost or 0
            case Hello():
                self.epochs.add(event.epoch)
                self.since = 0
            case Disconnected():
                self.ends.append(event.code)

    def missing(self, name: str) -> int:
        """By the venue's own numbers: the feed's trades of an instrument are numbered 1, 2, ..."""
        ids = self.ids[name]
        return max(ids) - min(ids) + 1 - len(ids)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_f79_nothing_is_missed_over_the_ends_of_workers(
    how: signal.Signals, tmp_path: Path
) -> None:
    seen = Seen()
    with serving(tmp_path / "log", *FEED) as gateway:
        async with (
            asyncio.timeout(TIMEOUT_S),
            Client(gateway.url, backoff=Backoff(0.5, 0.5)) as client,
        ):
            await client.subscribe("trade", "*.SIM")
            ends = 0
            async for event in client:
                seen.take(event)
                if seen.since >= BETWEEN:
                    if ends == 2:
                        break
                    ends += 1
                    seen.since = -(1 << 60)  # until the next hello
                    os.kill(await asyncio.to_thread(gateway.pid), how)
            statistics = client.statistics()
    assert len(seen.epochs) == 1
    assert seen.ends.count(1006 if how is signal.SIGKILL else 1012) >= 2
    for name, seqs in seen.seqs.items():
        assert seen.lost[name] == len(seen.told[name]) == seen.missing(name)
        assert seqs | seen.told[name] == set(range(min(seqs), max(seqs) + 1))
        assert not seqs & seen.told[name]
    assert statistics.lost == sum(seen.lost.values()) == 0
    assert statistics.skipped == 0


def test_f80_each_client_is_told_a_time_of_its_own_to_come_back(stage: Stage) -> None:
    gateway = stage.serve()
    clients = [stage.connect() for _ in range(40)]
    os.kill(gateway.pid(), signal.SIGTERM)
    told = [one.next(type="shutdown")["data"][0]["reconnect_after_ms"] for one in clients]
    assert all(500 <= ms <= 3000 for ms in told)
    assert len(set(told)) > 30
