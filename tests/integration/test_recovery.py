"""What clients missed comes from the ring, nothing lost and nothing twice: clients cut at any time
while records flow, workers killed, readers that are too slow."""

import asyncio
import os
import signal
import socket
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.fleet import Client, Json, decode, pump
from support.serving import serving, until
from support.stage import Stage
from support.udp import Venue

from gateway.client import Backoff, Gap, ReplayCompleted, Trade
from gateway.client import Client as Reconnecting

TIMEOUT_S = 60.0
FEED = (
    'feeds.0.type="synthetic"',
    'feeds.0.venue="SIM"',
    "feeds.0.symbols=10",
    "feeds.0.rate=2000",
    'feeds.0.channels=["trade"]',
    "slo.target_us=1000000",  # however late a busy host is, nobody is turned away
)


def ask(client: Client, symbol: str, since: Json | None = None, **params: Any) -> Json:
    """Subscribes to trades, with what was missed; the result."""
    more: dict[str, Any] = params | ({} if since is None else {"from": since})
    client.subscribe("trade", symbol, **more)
    result: Json
    (result,) = client.next(method="subscribe")["results"]
    return result


def reached(seq: int, client: Client) -> bool:
    """Whether the client has had this record."""
    return any(decode(one).get("seq") == seq for one in client.take())


def read(client: Client, until_type: str = "replay_completed") -> tuple[list[Json], Json]:
    """The records up to a system message, and that."""
    records: list[Json] = []
    for message in client.each():
        if message["channel"] == "system" and message["type"] == until_type:
            return records, message["data"][0]
        if "seq" in message:
            records.append(message)
    raise AssertionError(f"no {until_type}")


@pytest.fixture
def gateway_of_100(stage: Stage, venue: Venue) -> Any:
    gateway = stage.serve(*venue.sets)
    witness = stage.connect()
    witness.subscribe("trade", "A.SIM")
    venue.trades("A", *range(1, 101))
    pump([witness], partial(reached, 100))
    return gateway


def test_a_name_by_seq_by_count_and_by_moment(
    stage: Stage, venue: Venue, gateway_of_100: Any
) -> None:
    first = stage.connect()
    result = ask(first, "A.SIM", {"last": 1000})
    assert (result["recovery"], result["to"], result["seq"]) == ("replaying", 100, 0)
    everything, end = read(first)
    assert [one["seq"] for one in everything] == list(range(1, 101))
    assert all(one["type"] == "update" and one["replay"] for one in everything)
    assert end == {"channel": "trade", "symbol": "A.SIM", "from": 1, "to": 100}
    for since, seq in (
        ({"epoch": result["epoch"], "seq": 60}, 60),
        ({"last": 40}, 60),
        ({"ts": everything[60]["ts_recv"]}, None),
        ({"epoch": result["epoch"], "seq": 100}, 100),
        ({"epoch": result["epoch"], "seq": 0}, 0),
    ):
        client = stage.connect()
        told = ask(client, "A.SIM", since)
        assert (told["recovery"], told["to"]) == ("replaying", 100)
        if seq is None:
            assert told["seq"] <= 60
        else:
            assert told["seq"] == seq
        records, end = read(client)
        assert [one["seq"] for one in records] == list(range(told["seq"] + 1, 101))
        assert (end["from"], end["to"]) == (told["seq"] + 1, 100)
        for mine, theirs in zip(records, everything[told["seq"] :], strict=True):
            assert mine | {"ts_send": 0} == theirs | {"ts_send": 0}
    until(lambda: gateway_of_100.metrics().of("replays_total", "completed") >= 5)
    until(lambda: gateway_of_100.metrics().of("replayed_total", "trade") >= 280)
    venue.trades("A", 101)
    assert first.next(symbol="A.SIM")["seq"] == 101


@pytest.mark.parametrize(
    "since", [{"epoch": "00000000", "seq": 7}, {"epoch": "x", "seq": 7}, {"ts": 5}, {"seq": 101}]
)
def test_what_cannot_be_had(
    stage: Stage, venue: Venue, gateway_of_100: Any, since: dict[str, Any]
) -> None:
    client = stage.connect()
    if "seq" in since and "epoch" not in since:
        since = since | {"epoch": ask(stage.connect(), "A.SIM")["epoch"]}
    result = ask(client, "A.SIM", since, snapshot=False)
    assert (result["recovery"], result["seq"]) == ("insufficient_state", 100)
    assert result["oldest"] >= 1
    state = client.next(symbol="A.SIM")
    assert (state["type"], state["seq"]) == ("snapshot", 100)
    until(lambda: gateway_of_100.metrics().of("replays_total", "insufficient_state") == 1)


def test_a_pattern_by_moment_and_the_state_of_a_conflated_topic(
    stage: Stage, venue: Venue, gateway_of_100: Any
) -> None:
    client = stage.connect()
    result = ask(client, "*.SIM", {"ts": time.time_ns() - 3_600_000_000_000})
    assert result["recovery"] == "insufficient_state"
    assert 0 < result["oldest"] <= time.time_ns()
    result = ask(stage.connect(), "A*", {"last": 3})
    assert "`ts` alone" in result["error"]["message"]
    client = stage.connect()
    result = ask(client, "*.SIM", {"ts": time.time_ns()})
    assert (result["recovery"], "to" in result, "seq" in result) == ("replaying", False, False)
    assert read(client) == ([], {"channel": "trade", "symbol": "*.SIM"})
    client = stage.connect()
    result = ask(client, "A.SIM", {"last": 30}, mode="conflate")
    assert (result["recovery"], result["seq"], result["to"]) == ("replaying", 70, 100)
    (state,), end = read(client)
    assert (state["seq"], state["skipped"], state["type"]) == (100, 29, "update")
    assert (end["from"], end["to"]) == (71, 100)
    (row,) = client.ask("stats")["subscriptions"]
    assert (row["routed"], row["delivered"], row["conflated"], row["pending"]) == (30, 1, 29, 0)


@pytest.mark.parametrize("encoding", ["json", "sbe"])
@pytest.mark.parametrize("symbols", [["SYM000.SIM"], ["SYM000.SIM", "SYM001.SIM"], ["*.SIM"]])
async def test_workers_killed_and_nothing_lost_or_doubled(
    tmp_path: Path, symbols: list[str], encoding: Any
) -> None:
    seqs: dict[str, list[int]] = {}
    replays = since = 0
    wanted = 2 * (1 if symbols == ["*.SIM"] else len(symbols))
    with serving(tmp_path / "log", *FEED) as gateway:
        until(lambda: known(gateway.url, "SYM001.SIM") or None)
        async with (
            asyncio.timeout(TIMEOUT_S),
            Reconnecting(gateway.url, backoff=Backoff(0.3, 0.3), encoding=encoding) as client,
        ):
            await client.subscribe("trade", symbols)
            async for event in client:
                assert not isinstance(event, Gap), event
                if isinstance(event, Trade):
                    seqs.setdefault(event.symbol, []).append(event.seq)
                    since += 1
                if isinstance(event, ReplayCompleted):
                    replays += 1
                    since = 0
                if since < 150:
                    continue
                if replays >= wanted:
                    break
                since = -(1 << 60)  # until the replay of the next connection is over
                os.kill(await asyncio.to_thread(gateway.pid), signal.SIGKILL)
    assert len(seqs) == (10 if symbols == ["*.SIM"] else len(symbols))
    for got in seqs.values():
        assert got == list(range(got[0], got[0] + len(got)))


def known(url: str, name: str) -> bool:
    """Whether a worker knows the feed's list already."""
    with Client(url) as client:
        return bool(ask(client, name)["success"])


async def test_clients_cut_at_any_moment_while_records_flow(tmp_path: Path) -> None:
    """Each says itself where it left off, again and again, sometimes in the middle of a replay."""
    with serving(tmp_path / "log", *FEED) as gateway:

        def cuts(number: int) -> None:
            last, epoch = 0, ""
            name = f"SYM00{number}.SIM"
            for turn in range(8):
                with Client(gateway.url) as client:
                    since = {"epoch": epoch, "seq": last} if epoch else {"last": 1}
                    while not (result := ask(client, name, since))["success"]:
                        time.sleep(0.05)  # the worker does not know the feed's list yet
                    assert result["recovery"] == "replaying"
                    epoch = result["epoch"]
                    last = last or result["seq"]
                    assert result["seq"] == last
                    wanted = last + 1 + 17 * turn * (number % 3 + 1)
                    for message in client.each():
                        assert message.get("type") != "gap"
                        if "seq" not in message:
                            continue
                        assert message["seq"] == last + 1, message
                        last += 1
                        if last >= wanted:
                            break
                time.sleep(0.02 * (turn % 4))

        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(*(asyncio.to_thread(cuts, number) for number in range(6)))
        until(lambda: gateway.metrics().total("pending") == 0 or None)


def test_a_lossless_reader_that_pauses_too_long_replays(stage: Stage, venue: Venue) -> None:
    gateway = stage.serve(*venue.sets, "limits.lossless_max_age_ms=300")
    witness, pausing = stage.connect(), stage.connect(receive_buffer_bytes=4096)
    for client in (witness, pausing):
        ask(client, "A.SIM", snapshot=False)
    for first in range(1, 3000, 50):
        venue.trades("A", *range(first, first + 50))
        last = first + 49
        pump([witness], partial(reached, last))
    time.sleep(1.0)
    assert gateway.metrics().total("closes_total") == 0
    pausing.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    seqs: list[int] = []

    def done(client: Client) -> bool:
        seqs.extend(one["seq"] for one in map(decode, client.take()) if "seq" in one)
        return seqs[-1:] == [3000]

    pump([pausing], done)
    assert seqs == list(range(1, 3001))
    until(lambda: gateway.metrics().of("replays_total", "caught_up") >= 1)
    until(lambda: gateway.metrics().total("pending") == 0)
    assert gateway.metrics().total("dropped_total") == 0


def test_it_is_closed_once_the_ring_has_lapped_it(stage: Stage, venue: Venue) -> None:
    sets = ("limits.lossless_max_age_ms=100", "ring.capacity_bytes=1048576")
    gateway = stage.serve(*venue.sets, *sets)
    witness, pausing = stage.connect(), stage.connect(receive_buffer_bytes=4096)
    for client in (witness, pausing):
        ask(client, "A.SIM", snapshot=False)
    for first in range(1, 12_000, 50):
        venue.trades("A", *range(first, first + 50))
        last = first + 49
        pump([witness], partial(reached, last))
    until(lambda: gateway.metrics().of("closes_total", "4008") == 1)
