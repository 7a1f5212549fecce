"""Clients of either encoding side by side, asking for the same: they are told the same."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from support.serving import Serving
from support.serving import until as until_so
from support.stage import Stage
from support.udp import Venue

from gateway.client import (
    Backoff,
    Bbo,
    Client,
    Conflation,
    Disconnected,
    Event,
    Gap,
    Hello,
    Malformed,
    Retired,
    System,
    Tick,
    Trade,
)

LOOK_S = 0.02
LOOKS_MAX = 3000
OWN = {"ts_send": 0, "ts_client": 0}  # of each delivery
NAMES = ("A.SIM", "B.SIM", "币 安.SIM")
Topic = tuple[str, str]


class Reader:
    """A client, and everything that it was told."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.events: list[Event] = []
        self.stopped = asyncio.Event()
        self.stopped.set()

    async def read(self) -> None:
        async for event in self.client:
            self.events.append(event)
            await self.stopped.wait()

    def told(self) -> list[Any]:
        """Without what each connection has of its own."""
        return [_same(one) for one in self.events]

    def by_topic(self) -> dict[Topic, list[Any]]:
        """The same, topic by topic: between two of them there may be any order."""
        found: dict[Topic, list[Any]] = {}
        for one in self.told():
            topic = (getattr(one, "channel", ""), getattr(one, "symbol", ""))
            found.setdefault(topic, []).append(one)
        return found

    def ticks(self, kind: type[Tick]) -> list[Tick]:
        return [one for one in self.events if isinstance(one, kind)]


def _same(event: Event) -> Any:
    if isinstance(event, Tick):
        return msgspec.structs.replace(event, **OWN)
    if isinstance(event, Hello):
        return msgspec.structs.replace(event, connection_id="", now=0)
    if isinstance(event, Disconnected):
        return Disconnected
    return event


@asynccontextmanager
async def readers(gateway: Serving, **options: Any) -> AsyncIterator[list[Reader]]:
    """One of each encoding, reading."""
    options = {"backoff": Backoff(base_s=0.05, cap_s=0.2)} | options
    async with (
        Client(gateway.url, encoding="json", **options) as text,
        Client(gateway.url, encoding="sbe", **options) as binary,
    ):
        both = [Reader(text), Reader(binary)]
        tasks = [asyncio.create_task(one.read()) for one in both]
        try:
            yield both
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(LOOKS_MAX):
        if condition():
            return
        await asyncio.sleep(LOOK_S)
    raise AssertionError("it never came to be")


async def each(both: list[Reader], ask: Callable[[Client], Awaitable[Any]]) -> list[Any]:
    return [await ask(one.client) for one in both]


async def all_have(both: list[Reader], symbol: str, seq: int, kind: type[Tick] = Trade) -> None:
    def has(reader: Reader) -> bool:
        # The newest one's: another epoch has had this number, too.
        newest = (one.seq for one in reversed(reader.ticks(kind)) if one.symbol == symbol)
        return next(newest, None) == seq

    await until(lambda: all(map(has, both)))


def quiet(venue: Venue, *numbers: int) -> None:
    """A trade and a quote of each instrument, number by number."""
    for number in numbers:
        for name in NAMES:
            symbol = name.removesuffix(".SIM")
            venue.trades(symbol, number)
            venue.quotes(symbol, number)


async def kill(gateway: Serving, name: str) -> None:
    before = await asyncio.to_thread(gateway.pid, name)
    os.kill(before, signal.SIGKILL)

    def back() -> bool:
        now: int = gateway.pid(name)
        return now != before and gateway.get("/readyz")[0] == 200

    await asyncio.to_thread(until_so, back)


async def test_records_losses_and_ends_are_the_same(stage: Stage, venue: Venue) -> None:
    gateway = stage.serve(*venue.sets)
    async with readers(gateway) as (text, binary):
        both = [text, binary]
        await each(both, lambda client: client.subscribe("trade", "*.SIM"))
        await each(both, lambda client: client.subscribe("bbo", NAMES, mode="lossless"))
        quiet(venue, *range(1, 20))
        await all_have(both, NAMES[2], 19, Bbo)
        # Numbers at the limits, sides that are not there, ids with all that they may have.
        odd = {"channel": "trade", "symbol": "A", "side": None}
        odd |= {"id": "".join(map(chr, range(0x21, 0x7F)))[:80], "qty": "1"}
        for price in ("0", "-0.00", "-0.015", "9" * 38, "0." + "0" * 126 + "7", "1e20"):
            venue.send(odd | {"price": price})
        quote = {"channel": "bbo", "symbol": "A", "bid": None, "bid_qty": None}
        venue.send(quote | {"ask": "1.10", "ask_qty": "5"}, quote | {"ask": None, "ask_qty": None})
        venue.send({"channel": "bbo", "symbol": "B", "bid": "x", "bid_qty": "1"})  # refused
        await until(lambda: all(any(isinstance(e, Gap) for e in one.events) for one in both))
        quiet(venue, 20)
        await all_have(both, NAMES[2], 20, Bbo)
        # Less, and more again; what is not covered in between is lost for both.
        await each(both, lambda client: client.unsubscribe("bbo", NAMES[0]))
        await each(both, lambda client: client.unsubscribe("trade", "*.SIM"))
        quiet(venue, 21, 22)
        await all_have(both, NAMES[1], 22, Bbo)
        await each(both, lambda client: client.subscribe("trade", NAMES[1:]))
        await each(both, lambda client: client.subscribe("bbo", NAMES[0], snapshot=False))
        quiet(venue, 23)
        await all_have(both, NAMES[2], 23)
        # The feed begins again, and with it all numbers.
        await kill(gateway, "feed")
        await until(lambda: all("epoch" in _types(one) for one in both))
        quiet(venue, 1, 2, 3)
        await all_have(both, NAMES[2], 3)
        # The worker is gone, and something happens before anybody is back.
        gone = asyncio.create_task(kill(gateway, "worker-0"))
        await until(lambda: all(any(isinstance(e, Disconnected) for e in o.events) for o in both))
        quiet(venue, 4, 5)
        await gone
        await all_have(both, NAMES[2], 5)
        quiet(venue, 6)
        await all_have(both, NAMES[2], 6)
        venue.send({"channel": "status", "symbol": "B", "status": "delisted"})
        await until(lambda: all(_kinds(one)[Retired] == 2 for one in both))
        assert not any(isinstance(event, Malformed) for one in both for event in one.events)
        assert binary.by_topic() == text.by_topic()
        reasons = {event.reason for event in binary.events if isinstance(event, Gap)}
        assert "refused" in reasons
        assert "reconnect" not in reasons  # the ring had what happened meanwhile
        counts = [one.client.statistics() for one in both]
        assert [c.ticks for c in counts] == [len(one.ticks(Tick)) for one in both]
        assert [(c.lost, c.gaps, c.skipped) for c in counts[:1]] == [
            (c.lost, c.gaps, c.skipped) for c in counts[1:]
        ]


async def test_the_gateway_s_end_is_told_alike(stage: Stage, venue: Venue) -> None:
    gateway = stage.serve(*venue.sets)
    async with readers(gateway) as both:
        await each(both, lambda client: client.subscribe("trade", "*.SIM"))
        quiet(venue, 1)
        await all_have(both, NAMES[2], 1)
        gateway.terminate()
        await until(lambda: all(_kinds(one)[Disconnected] for one in both))
    for one in both:
        told, gone = [e for e in one.events if isinstance(e, System | Disconnected)][-2:]
        assert isinstance(told, System)
        assert isinstance(gone, Disconnected)
        assert (told.type, gone.code) == ("shutdown", 1012)
        (row,) = told.data
        assert row.keys() == {"reconnect_after_ms"}
        assert gone.retry_s is not None
        assert gone.retry_s >= row["reconnect_after_ms"] / 1000 >= 0.5
        assert not _kinds(one)[Malformed]


def test_tail_shows_the_same_of_either(stage: Stage, venue: Venue) -> None:
    gateway = stage.serve(*venue.sets)
    quiet(venue, 1)
    until_so(lambda: gateway.metrics().total("published_total") == 2 * len(NAMES))
    command = [sys.executable, "-P", "-m", "gateway.cli", "tail", "*.SIM", "--url", gateway.url]
    shown = []
    for encoding in ("json", "sbe"):
        done = subprocess.run(
            [*command, "--encoding", encoding, "--count", str(2 * len(NAMES))],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        # Without the age, which is of this one delivery.
        lines = [line.rpartition("ms")[0].split()[:-1] for line in done.stdout.splitlines()]
        shown.append(sorted(lines))
    assert len(shown[0]) == 2 * len(NAMES)
    assert shown[0] == shown[1]


def _kinds(reader: Reader) -> Counter[type]:
    return Counter(type(event) for event in reader.events)


def _types(reader: Reader) -> set[str]:
    return {event.type for event in reader.events if isinstance(event, System)}


async def test_overload_is_told_alike_and_leaves_the_same_state(stage: Stage) -> None:
    """A target that can't be met: classes get less, each client what its socket has room for."""
    feed = ("feeds.0.type=synthetic", "feeds.0.symbols=20", "feeds.0.rate=4000")
    gateway = stage.serve(*feed, "slo.target_us=30", "feeds.0.seed=7")
    async with readers(gateway, events_max=64) as (text, binary):
        both = [text, binary]
        await each(both, lambda client: client.subscribe("trade", "*"))
        await each(both, lambda client: client.subscribe("bbo", "*", class_=2))
        await until(lambda: all(_kinds(one)[Conflation] for one in both))
        for one in both:  # and for a while they don't read
            one.stopped.clear()
        await asyncio.sleep(2)
        for one in both:
            one.stopped.set()
        await until(lambda: all(one.client.statistics().skipped for one in both))
        heard = [len(one.ticks(Trade)) for one in both]
        await until(
            lambda: all(len(o.ticks(Trade)) > n + 2000 for o, n in zip(both, heard, strict=True))
        )
    for one in both:
        kinds = _kinds(one)
        assert not kinds[Malformed]
        assert not [e for e in one.events if isinstance(e, Gap)]
        assert one.client.statistics().skipped > 0
    rows: list[dict[tuple[Topic, int], Any]] = [_records(one) for one in both]
    common = rows[0].keys() & rows[1].keys()
    assert len(common) > 1000
    for key in common:
        assert rows[0][key] == rows[1][key]
    for one in both:
        _check_notices([e for e in one.events if isinstance(e, Conflation)])


def _check_notices(notices: list[Conflation]) -> None:
    """Which steps a client is told of depends on when it has room; each begins where it was told
    to be."""
    told: dict[int, int | None] = {}
    for one in notices:
        assert one.was_ms == told.get(one.class_, one.was_ms)
        assert one.interval_ms != one.was_ms
        told[one.class_] = one.interval_ms
    assert told


def _records(reader: Reader) -> dict[tuple[Topic, int], Any]:
    """Each record without what merging may change; updates of a topic follow each other exactly."""
    found: dict[tuple[Topic, int], Any] = {}
    last: dict[Topic, int] = {}
    for one in reader.events:
        if not isinstance(one, Tick):
            continue
        topic = (one.channel, one.symbol)
        if topic in last:
            assert one.seq == last[topic] + 1 + one.skipped
        last[topic] = one.seq
        found[topic, one.seq] = msgspec.structs.replace(one, skipped=0, type="", **OWN)
    return found
