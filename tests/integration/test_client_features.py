"""What the Python client does beside reading, at a running gateway."""

import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.serving import Serving, serving
from support.stage import Stage
from support.udp import Venue

from gateway.client import (
    Backoff,
    Bbo,
    Client,
    Disconnected,
    Gap,
    Health,
    Hello,
    InstrumentHealth,
    ReplayCompleted,
    Reply,
    Result,
    Tick,
    Trade,
)
from gateway.client.frames import Frames

TIMEOUT_S = 60.0
SYMBOLS = 10
FEED = (
    'feeds.0.type="synthetic"',
    'feeds.0.venue="SIM"',
    f"feeds.0.symbols={SYMBOLS}",
    "feeds.0.rate=2000",
    "slo.target_us=1000000",  # however late a busy host is, nobody is turned away
    "limits.lossless_max_age_ms=60000",
)


async def known(gateway: Serving, symbols: int = SYMBOLS) -> None:
    """Waits until every instrument has had a trade and a quote."""
    async with asyncio.timeout(TIMEOUT_S), Client(gateway.url) as client:
        while True:
            found = await client.instruments()
            if sum({"trade", "bbo"} <= {*one.channels} for one in found) == symbols:
                return
            await asyncio.sleep(0.05)


async def kill(gateway: Serving) -> None:
    os.kill(await asyncio.to_thread(gateway.pid), signal.SIGKILL)


def seqs_of(seen: dict[str, list[int]], event: Frames | Any) -> int:
    """Adds the records of an array; how many."""
    assert isinstance(event, Frames)
    for place, seq in zip(event.rows["topic"].tolist(), event.rows["seq"].tolist(), strict=True):
        assert event.topics[place].channel == event.channel
        seen[event.topics[place].symbol].append(seq)
    return len(event.rows)


async def test_arrays_over_the_ends_of_workers_lack_nothing(tmp_path: Path) -> None:
    trades: defaultdict[str, list[int]] = defaultdict(list)
    quotes: defaultdict[str, list[int]] = defaultdict(list)
    ends = replays = since = 0
    with serving(tmp_path / "log", *FEED) as gateway:
        await known(gateway)
        async with (
            asyncio.timeout(TIMEOUT_S),
            Client(
                gateway.url, encoding="sbe", latency=True, backoff=Backoff(0.3, 0.3)
            ) as client,
        ):  # fmt: skip
            frames = client.frames()
            await client.subscribe("trade", "*.SIM")
            await client.subscribe("bbo", "*.SIM")
            async for event in frames:
                assert not isinstance(event, Gap | Tick), event
                if isinstance(event, Frames):
                    since += seqs_of(trades if event.channel == "trade" else quotes, event)
                    assert abs(event.ts_client - event.rows["ts_recv"][-1]) < TIMEOUT_S * 1e9
                ends += isinstance(event, Disconnected)
                if isinstance(event, ReplayCompleted):
                    replays += 1
                    since = 0
                if since > 500 and replays == 2:
                    break
                if since > 500:
                    since = -(1 << 60)  # until the replay of the next connection is over
                    await kill(gateway)
            latency = client.latency()
            statistics = client.statistics()
    assert ends >= 2
    for got in trades.values():
        assert got == list(range(got[0], got[0] + len(got)))
    assert len(trades) == len(quotes) == SYMBOLS
    assert all(sorted({*got}) == got for got in quotes.values())
    rows = sum(len(got) for each in (trades, quotes) for got in each.values())
    assert statistics.ticks >= rows
    assert {*latency} == {"trade", "bbo"}
    assert 0 < latency["trade"].age.value_at_percentile(50) < 5e9
    assert latency["trade"].wire.count >= latency["trade"].age.count


@asynccontextmanager
async def cutting(url: str, *limits: int) -> AsyncIterator[str]:
    """The gateway behind connections that each end after so many bytes; the last one does not."""
    left = [*limits]
    _, host, port = url.split(":")
    tasks: set[asyncio.Task[None]] = set()

    async def pass_on(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: float
    ) -> None:
        while limit > 0 and (data := await reader.read(4096)):
            limit -= len(data)
            writer.write(data)
            await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limit = left.pop(0) if left else float("inf")
        from_gateway, to_gateway = await asyncio.open_connection(host[2:], int(port.split("/")[0]))
        ways = (
            asyncio.create_task(pass_on(from_gateway, writer, limit)),
            asyncio.create_task(pass_on(reader, to_gateway, float("inf"))),
        )
        tasks.update(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for end in (writer, to_gateway):
            end.transport.abort()
        await asyncio.gather(*ways, return_exceptions=True)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        for task in tasks:
            task.cancel()


@pytest.mark.parametrize("encoding", ["json", "sbe"])
async def test_connections_that_end_in_the_middle_of_replays_take_nothing(
    tmp_path: Path, encoding: Any
) -> None:
    """Quotes are live meanwhile: what they make newest is no place to go on from."""
    seqs: defaultdict[str, list[int]] = defaultdict(list)
    connections = completed = 0
    with serving(tmp_path / "log", *FEED) as gateway:
        await known(gateway)
        limits = (200_000, 50_000, 110_000, 80_000, 40_000)
        async with (
            asyncio.timeout(TIMEOUT_S),
            cutting(gateway.url, *limits) as url,
            Client(url, encoding=encoding, backoff=Backoff(2.5, 2.5)) as client,
        ):
            await client.subscribe("bbo", "*.SIM")
            await client.subscribe("trade", "*.SIM")
            async for event in client:
                assert not isinstance(event, Gap), event
                connections += isinstance(event, Hello)
                completed += isinstance(event, ReplayCompleted)
                if isinstance(event, Trade):
                    seqs[event.symbol].append(event.seq)
                if completed and connections == len(limits) + 1:
                    break
    assert completed < len(limits), "some were cut before"
    for got in seqs.values():
        assert got == list(range(got[0], got[0] + len(got)))


FIRST_DATA_S = 4.0
"""The candles' is a second away, and a busy host may stand still for another."""


async def test_everything_subscribed_to_comes_in_time_and_is_measured(tmp_path: Path) -> None:
    """No wait for a first frame is in vain where a gateway serves it, however strings overlap."""
    with serving(tmp_path / "log", *FEED, 'candles.intervals=["1s", "1m"]') as gateway:
        await known(gateway)
        async with (
            asyncio.timeout(TIMEOUT_S),
            Client(gateway.url, latency=True, first_data_s=FIRST_DATA_S) as client,
        ):
            names = [f"SYM{number:03}.SIM" for number in range(SYMBOLS)]
            for channel in ("trade", "bbo"):
                await client.subscribe(channel, names[:3])
                await client.subscribe(channel, ["*.SIM", "SYM00*", "SYM001*"])
                await client.subscribe(channel, names)
                await client.subscribe(channel, "SYM002*")
            await client.subscribe("candle", "*.SIM", interval="1s")
            await client.subscribe("candle", names[0], interval="1m")
            await client.subscribe("health", "*", scope="instruments")
            await client.subscribe("status", "*")
            await client.subscribe("slo", "*")
            until = time.monotonic() + 1.5 * FIRST_DATA_S
            channels = set()
            async for event in client:
                assert not isinstance(event, Gap | Reply), event
                if isinstance(event, Tick):
                    channels.add(event.channel)
                if time.monotonic() > until:
                    break
            await client.offset()
            latency = client.latency()
    assert channels == {"trade", "bbo", "candle"}
    for channel in ("trade", "bbo"):
        parts = latency[channel]
        assert parts.wire.count > 500
        assert parts.age.negative == 0
        assert parts.gateway.value_at_percentile(50) <= parts.age.value_at_percentile(50)


async def test_a_worker_that_stands_still_is_left_and_nothing_is_lost(tmp_path: Path) -> None:
    seqs: defaultdict[str, list[int]] = defaultdict(list)
    with serving(tmp_path / "log", *FEED) as gateway:
        await known(gateway)
        pid = await asyncio.to_thread(gateway.pid)
        async with (
            asyncio.timeout(TIMEOUT_S),
            Client(
                gateway.url, stall_s=0.6, timeout_s=1, backoff=Backoff(0.1, 0.1)
            ) as client,
        ):  # fmt: skip
            await client.subscribe("trade", "*.SIM")
            stopped = came = 0.0
            async for event in client:
                assert not isinstance(event, Gap), event
                match event:
                    case Trade():
                        seqs[event.symbol].append(event.seq)
                        if not stopped and client.statistics().ticks > 300:
                            stopped = time.monotonic()
                            os.kill(pid, signal.SIGSTOP)
                    case Disconnected() if stopped and not came:
                        came = time.monotonic() - stopped
                        os.kill(pid, signal.SIGCONT)
                    case ReplayCompleted() if came:
                        break
    # Where the client comes to it late, the gateway ends the worker meanwhile, as one that hangs.
    assert came >= 0.6
    for got in seqs.values():
        assert got == list(range(got[0], got[0] + len(got)))


async def test_many_requests_again_stay_within_what_the_gateway_takes(tmp_path: Path) -> None:
    sets = ("limits.requests_per_s=30", "limits.requests_burst=70", "feeds.0.symbols=120")
    with serving(tmp_path / "log", *FEED, *sets) as gateway:
        await known(gateway, 120)
        async with (
            asyncio.timeout(TIMEOUT_S),
            Client(gateway.url, backoff=Backoff(0.1, 0.1)) as client,
        ):
            results: list[Result] = []
            for number in range(120):  # each a request: names beside each other differ
                results += await client.subscribe(
                    "bbo", f"SYM{number:03}.SIM", class_=1 + number % 2
                )
                await asyncio.sleep(0.04)
            assert all(result.success for result in results)
            await kill(gateway)
            hello = 0
            async for event in client:
                assert not isinstance(event, Reply), event
                hello += isinstance(event, Hello)
                if hello == 2:
                    break
            at_once = len(await client.stats())
            while len(await client.stats()) < 120:  # noqa: ASYNC110
                await asyncio.sleep(0.3)
            assert at_once >= 50  # how many more is a matter of how busy the host is
            assert client.statistics().wanted == 120


async def take_waiting(client: Client) -> AsyncIterator[Any]:
    for _ in range(client.statistics().waiting):
        yield await anext(client)


async def test_a_program_that_is_slow_gets_the_newest_and_the_account(tmp_path: Path) -> None:
    with serving(tmp_path / "log", *FEED) as gateway:
        await known(gateway)
        async with (
            asyncio.timeout(TIMEOUT_S),
            Client(gateway.url, events_max=200, overflow="conflate") as client,
        ):
            await client.subscribe("trade", "*.SIM")
            await client.subscribe("bbo", "*.SIM")
            while min(client.statistics().dropped, client.statistics().conflated) <= 100:  # noqa: ASYNC110
                await asyncio.sleep(0.1)  # it reads nothing, and the loop goes on
            expected = dict.fromkeys(("trade", "bbo"), 0)
            last: dict[tuple[str, str], int] = {}
            quotes = 0
            async for event in take_waiting(client):
                if isinstance(event, Gap):
                    assert event.reason == "consumer"
                    assert event.to_seq is not None
                    last[event.channel, event.symbol] = event.to_seq
                elif isinstance(event, Trade | Bbo):
                    key = event.channel, event.symbol
                    assert event.seq == last.get(key, event.seq - 1 - event.skipped) + 1 + (
                        event.skipped
                    )
                    last[key] = event.seq
                    expected[event.channel] += 1
                    quotes += isinstance(event, Bbo)
            statistics = client.statistics()
    assert quotes == SYMBOLS, "of each the newest"
    assert expected["trade"] <= 200
    assert statistics.dropped > 100
    assert statistics.conflated > 100


@pytest.mark.parametrize("encoding", ["json", "sbe"])
async def test_health_is_called_back_with_types(stage: Stage, venue: Venue, encoding: Any) -> None:
    gateway = await asyncio.to_thread(stage.serve, *venue.sets)
    told: list[Health | InstrumentHealth] = []
    async with (
        asyncio.timeout(TIMEOUT_S),
        Client(gateway.url, encoding=encoding, on_health=told.append) as client,
    ):
        await client.subscribe("health", "*")
        await client.subscribe("health", "*.SIM", scope="instruments")
        await client.subscribe("trade", "A.SIM")
        venue.trades("A", 1)
        while {type(one) for one in told} != {Health, InstrumentHealth}:
            venue.send_raw('{"channel":"trade","symbol":"A","price":"x","qty":"1","ts":1}')
            await asyncio.sleep(0.05)
    instrument = next(one for one in told if isinstance(one, InstrumentHealth))
    assert (instrument.symbol, instrument.state) == ("A.SIM", "suspect")
    assert "price" in instrument.reason
