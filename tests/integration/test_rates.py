"""Rates and limits of age over real sockets: cells, accounts, changes while connected."""

import asyncio
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise

import pytest
from support.fleet import Client, Json, decode
from support.serving import Serving, until
from support.stage import Stage
from support.udp import Venue

from gateway.client import Client as PythonClient
from gateway.client import Tick

CELL_S = 0.1
TICKS = 400
EVERY_S = 0.003
ROUNDS_MAX = 20


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


def told_of(client: Client, count: int) -> Json | None:
    """The account, once so many were routed and none of them waits; its frames wait to be read."""
    one = row(client)
    return one if one["routed"] == count and not one["pending"] else None


def test_a_rate_is_kept_and_nobody_else_notices(
    stage: Stage, gateway: Serving, venue: Venue
) -> None:
    all_of_it, slow = stage.connect(), stage.connect()
    all_of_it.ask("subscribe", channel="bbo", symbol=["A.SIM"])
    result = slow.ask("subscribe", channel="bbo", symbol=["*.SIM"], max_hz=1 / CELL_S)
    assert (result["results"][0]["max_hz"], result["results"][0]["class"]) == (10, 1)
    sent, got = 0, 0
    for _ in range(ROUNDS_MAX):
        begun = time.monotonic()
        tick(venue, sent + 1, TICKS)
        cells = (time.monotonic() - begun) / CELL_S
        sent += TICKS
        assert len(all_of_it.follow("A.SIM", sent)) == TICKS
        frames = slow.follow("A.SIM", sent)
        got += len(frames)
        assert len(frames) <= cells + 3
        if len(frames) > cells / 2:  # else the host stood still for many cells
            break
    else:
        raise AssertionError("it is never as often as it may be")
    assert row(slow)["pending"] == 0
    assert row(slow)["conflated"] == sent - got
    assert row(slow)["max_hz"] == 10
    until(lambda: gateway.metrics().of("conflated_total", "bbo") == sent - got)


def test_it_changes_while_connected(stage: Stage, gateway: Serving, venue: Venue) -> None:
    client = stage.connect()
    client.ask("subscribe", channel="bbo", symbol=["A.SIM"], max_hz=100)
    sent = quick = 0
    while quick <= 5:  # a host that stands still makes one cell of them all
        tick(venue, sent + 1, 100)
        sent += 100
        quick = len(client.follow("A.SIM", sent))
        assert sent < 100 * ROUNDS_MAX
    changed = client.ask("update", channel="bbo", symbol=["A.SIM"], max_hz=5)
    assert changed["results"][0]["max_hz"] == 5
    begun = time.monotonic()
    tick(venue, sent + 1, 100)
    cells = (time.monotonic() - begun) * 5
    assert len(client.follow("A.SIM", sent + 100)) <= cells + 3
    client.ask("subscribe", channel="bbo", symbol=["A.SIM"], snapshot=False)
    tick(venue, sent + 101, 20)
    assert len(client.follow("A.SIM", sent + 120)) == 20


def test_what_is_too_old_is_filtered_and_told(stage: Stage, gateway: Serving, venue: Venue) -> None:
    client = stage.connect()
    client.ask("subscribe", channel="bbo", symbol=["A.SIM"], max_hz=2, max_age_ms=20)
    sent, one = 0, row(client)
    while not one["filtered"]:
        # The first goes at once where no cell is under way, the last waits for half a second; a
        # host that stands still may make each of them too old.
        venue.quotes("A", sent + 1, sent + 2, sent + 3)
        sent += 3
        one = until(partial(told_of, client, sent))
        assert sent < 3 * ROUNDS_MAX
    until(lambda: gateway.metrics().of("filtered_total", "bbo") == one["filtered"])
    frames: list[Json] = []
    before_last = sent
    while not frames or frames[-1]["seq"] <= before_last:  # one that is sent in a cell of its own
        sent += 1
        venue.quotes("A", sent)
        one = until(partial(told_of, client, sent))
        frames += [m for m in map(decode, client.take()) if m.get("channel") == "bbo"]
        assert sent < before_last + ROUNDS_MAX
    assert frames[0]["seq"] == 1 + frames[0].get("skipped", 0)
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
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        took = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
    assert took >= 2 * 0.2  # four cells have two whole ones between them, at least
