"""Rates and limits of age over real sockets: cells, accounts, changes while connected."""

import asyncio
import subprocess
import sys
import time
from itertools import pairwise

import pytest
from support.fleet import Client, Json
from support.serving import Serving
from support.stage import Stage
from support.udp import Venue

from gateway.client import Client as PythonClient
from gateway.client import Tick

CELL_S = 0.1
TICKS = 400
EVERY_S = 0.003


@pytest.fixture
def gateway(stage: Stage, venue: Venue) -> Serving:
    return stage.serve(*venue.sets)


def tick(venue: Venue, first: int, count: int, *, every_s: float = EVERY_S) -> None:
    """Quotes of one symbol at even distances; how long it took is the caller's to measure."""
    due = time.monotonic()
    for number in range(first, first + count):
        venue.quotes("A", number)
        due += every_s
        time.sleep(max(0.0, due - time.monotonic()))


def row(client: Client) -> Json:
    """The account of the one subscription, which balances at any moment."""
    (one,) = client.ask("stats")["subscriptions"]
    ends = ("delivered", "conflated", "filtered", "dropped", "pending")
    assert one["routed"] == sum(one[name] for name in ends)
    result: Json = one
    return result


def test_a_rate_is_kept_and_nobody_else_notices(
    stage: Stage, gateway: Serving, venue: Venue
) -> None:
    all_of_it, slow = stage.connect(), stage.connect()
    all_of_it.ask("subscribe", channel="bbo", symbol=["A.SIM"])
    result = slow.ask("subscribe", channel="bbo", symbol=["*.SIM"], max_hz=1 / CELL_S)
    assert (result["results"][0]["max_hz"], result["results"][0]["class"]) == (10, 1)
    begun = time.monotonic()
    tick(venue, 1, TICKS)
    cells = (time.monotonic() - begun) / CELL_S
    assert len(all_of_it.follow("A.SIM", TICKS)) == TICKS
    frames = slow.follow("A.SIM", TICKS)
    assert cells / 2 < len(frames) <= cells + 3
    assert row(slow)["pending"] == 0
    assert row(slow)["conflated"] == TICKS - len(frames)
    assert row(slow)["max_hz"] == 10
    metrics = gateway.metrics()
    assert metrics.of("conflated_total", "bbo") == TICKS - len(frames)


def test_it_changes_while_connected(stage: Stage, gateway: Serving, venue: Venue) -> None:
    client = stage.connect()
    client.ask("subscribe", channel="bbo", symbol=["A.SIM"], max_hz=100)
    tick(venue, 1, 100)
    quick = len(client.follow("A.SIM", 100))
    changed = client.ask("update", channel="bbo", symbol=["A.SIM"], max_hz=5)
    assert changed["results"][0]["max_hz"] == 5
    tick(venue, 101, 100)
    slow = len(client.follow("A.SIM", 200))
    assert slow <= 5 < quick
    client.ask("subscribe", channel="bbo", symbol=["A.SIM"], snapshot=False)
    tick(venue, 201, 20)
    assert len(client.follow("A.SIM", 220)) == 20


def test_what_is_too_old_is_filtered_and_told(stage: Stage, gateway: Serving, venue: Venue) -> None:
    client = stage.connect()
    client.ask("subscribe", channel="bbo", symbol=["A.SIM"], max_hz=2, max_age_ms=20)
    venue.quotes("A", 1, 2, 3)  # the first goes at once, the last waits for half a second
    frames = [client.next(channel="bbo")]
    time.sleep(0.7)
    one = row(client)  # what came before the reply is among the frames that wait
    assert one["pending"] == 0
    assert one["delivered"] + one["conflated"] + one["filtered"] == 3
    assert gateway.metrics().of("filtered_total", "bbo") == one["filtered"]
    venue.quotes("A", 4)  # nothing was sent in this cell
    while frames[-1]["seq"] != 4:
        frames.append(client.next(channel="bbo"))
    for before, after in pairwise(frames):
        assert after["seq"] == before["seq"] + 1 + after.get("skipped", 0)
    skipped = sum(frame.get("skipped", 0) for frame in frames)
    assert skipped == one["conflated"] + one["filtered"]


def test_the_python_client_passes_them(gateway: Serving, venue: Venue) -> None:
    async def main() -> tuple[int, float | None, int | None]:
        async with PythonClient(gateway.url) as client:
            (result,) = await client.subscribe("bbo", "A.SIM", max_hz=10, max_age_ms=5000)
            sender = asyncio.create_task(asyncio.to_thread(tick, venue, 1, TICKS))
            seen = 0
            async for event in client:
                if isinstance(event, Tick):
                    seen += 1
                    if event.seq == TICKS:
                        break
            await sender
            return seen, result.max_hz, result.max_age_ms

    seen, max_hz, max_age_ms = asyncio.run(main())
    assert (max_hz, max_age_ms) == (10, 5000)
    assert seen < TICKS / 4


def test_tail_shows_the_newest_at_a_rate(gateway: Serving, venue: Venue) -> None:
    command = [sys.executable, "-P", "-m", "gateway.cli", "tail", "A.SIM", "--url", gateway.url]
    command += ["--channel", "bbo", "--max-hz", "5", "--count", "4"]
    with venue.ticking("A", every_s=0.005):
        begun = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        took = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
    assert took >= 2 * 0.2  # four cells have two whole ones between them, at least
