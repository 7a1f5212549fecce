"""Candles at a running gateway: by both encodings, by the clock, and of captured trades."""

import asyncio
import contextlib
import gzip
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.heard import heard
from support.serving import Serving, until
from support.stage import Stage
from support.udp import Venue
from support.wire import connected

from gateway.client import Candle, Client, Event, Gap, Retired, Tick

SECOND = 1_000_000_000
INTERVALS = {"1s": 1, "1m": 60, "5m": 300}
CAPTURE = "binance/spot_btcusdt_20240808.jsonl.gz"


def trade(symbol: str, price: str, qty: str, number: int, ts: int) -> dict[str, Any]:
    record = {"channel": "trade", "symbol": symbol, "price": price, "qty": qty, "side": "buy"}
    return record | {"id": str(number), "ts": ts}


def made(*intervals: str, update_ms: int = 0) -> list[str]:
    return [f"candles.intervals={json.dumps(intervals)}", f"candles.update_ms={update_ms}"]


def candles(events: list[Event]) -> list[Candle]:
    return [one for one in events if isinstance(one, Candle)]


def short(candle: Candle) -> tuple[object, ...]:
    prices = candle.open_text, candle.high_text, candle.low_text, candle.close_text
    state = candle.closed, candle.revised, candle.complete
    return candle.symbol, candle.interval, *prices, candle.volume_text, candle.trades, *state


def test_both_encodings_have_the_same_candles(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets, *made("1s", "1m"))
        start = (time.time_ns() // (60 * SECOND) - 1) * 60 * SECOND
        asyncio.run(_both(gateway, venue, start))


async def _both(gateway: Serving, venue: Venue, start: int) -> None:
    def closed(events: list[Event]) -> bool:
        return any(one.interval == "1m" and one.closed for one in candles(events))

    async with Client(gateway.url) as text, Client(gateway.url, encoding="sbe") as binary:
        clients = text, binary
        for client in clients:
            for interval in ("1m", "1s"):
                (result,) = await client.subscribe(
                    "candle", ["A*.SIM"], interval=interval, mode="lossless"
                )
                assert (result.success, result.channel) == (True, "candle")
                assert (result.interval, result.matched) == (interval, 0)
        listening = [asyncio.create_task(heard(client, closed)) for client in clients]
        venue.send(trade("AB", "10.50", "1", 1, start + 58 * SECOND))
        venue.send(trade("XY", "1", "1", 1, start + 58 * SECOND))  # covered by no string
        venue.send(trade("AB", "9", "0.25", 2, start + 58 * SECOND + 1))
        venue.send(trade("AB", "9", "0.25", 2, start + 58 * SECOND + 1))
        venue.send(trade("AB", "12", "2", 3, start + 60 * SECOND))
        told = [candles(await one) for one in listening]
        same = [[(*short(one), one.seq, one.start, one.ts_event) for one in its] for its in told]
        assert sorted(same[0]) == sorted(same[1])
        minutes = [short(one)[2:] for one in told[0] if one.interval == "1m"]
        assert minutes[-1] == ("10.50", "10.50", "9", "9", "1.25", 2, True, False, False)
        assert told[0][0].low == Decimal("10.50")
        (listed,) = [one for one in await text.instruments() if one.symbol == "AB.SIM"]
        assert listed.channels == ("trade", "candle")
        assert listed.intervals == ("1s", "1m")
        rows = {(row["channel"], row["interval"]): row for row in await text.stats()}
        assert set(rows) == {("candle", "1m"), ("candle", "1s")}
        assert rows["candle", "1m"]["delivered"] >= 3
        (result,) = await text.unsubscribe("candle", "A*.SIM", interval="1s")
        assert (result.success, result.interval) == (True, "1s")

        def ended(events: list[Event]) -> bool:
            return any(isinstance(one, Retired) for one in events)

        venue.send({"channel": "status", "symbol": "AB", "status": "delisted"})
        events = await heard(text, ended)
        assert events[-1] == Retired("candle", "AB.SIM", "1m")
        (retired,) = [one for one in await text.instruments() if one.symbol == "XY.SIM"]
        assert retired.intervals == ("1s", "1m")
    until(lambda: gateway.metrics().of("published_total", "candle_1m") >= 4)
    assert until(lambda: gateway.metrics().of("candle_exceptions_total", "duplicate") == 1)


def test_the_clock_closes_them_and_tells_those_without_trades(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets, *made("1s"))
        asyncio.run(_clock(gateway, venue))


async def _clock(gateway: Serving, venue: Venue) -> None:
    def enough(events: list[Event]) -> bool:
        return sum(one.closed for one in candles(events)) == 3

    async with Client(gateway.url) as client:
        await client.subscribe("candle", "AB.SIM", interval="1s", mode="lossless")
        listening = asyncio.create_task(heard(client, enough))
        ts = time.time_ns()
        venue.send(trade("AB", "10.5", "1", 1, ts))
        closed = [one for one in candles(await listening) if one.closed]
    assert [one.trades for one in closed] == [1, 0, 0]
    assert [one.complete for one in closed] == [False, True, True]
    assert {one.close_text for one in closed} == {"10.5"}
    first = ts // SECOND * SECOND
    assert [one.start for one in closed] == [first, first + SECOND, first + 2 * SECOND]
    for one in closed:  # half a second after its end, and not much more
        assert one.ts_recv - one.start - SECOND >= SECOND // 2 - 50_000_000


def test_a_refused_trade_and_a_venues_gap_make_them_incomplete(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets, *made("1d"))
        asyncio.run(_incomplete(gateway, venue))


async def _incomplete(gateway: Serving, venue: Venue) -> None:
    day = time.time_ns() // (86400 * SECOND) * 86400 * SECOND
    async with Client(gateway.url) as client:
        await client.subscribe("candle", "AB.SIM", interval="1d", mode="lossless")
        venue.send(trade("AB", "10.5", "1", 1, day - 1))
        venue.send(trade("AB", "10.6", "1", 2, day))
        events = await heard(client, lambda so_far: len(candles(so_far)) == 3)
        assert [one.complete for one in candles(events)] == [False, False, True]
        venue.send(trade("AB", "ten", "1", 3, day + 1))
        (told,) = candles(await heard(client, lambda so_far: len(candles(so_far)) == 1))
        assert (told.complete, told.trades, told.closed) == (False, 1, False)
        assert not any(isinstance(one, Gap) for one in events)


@pytest.mark.parametrize(
    ("sets", "params", "code", "words"),
    [
        ([], {}, "unknown_channel", "candle: none here, candles.intervals is empty"),
        (["1s"], {}, "bad_request", "params.interval: candles here are of 1s, not '1m'"),
        (["1s"], {"interval": "2m"}, "bad_request", "candles are of 1s, 1m, 5m, 15m, 1h, 1d"),
        (["1s"], {"scope": "gateway"}, "bad_request", "params.scope: candle has none"),
    ],
)
def test_refusals(
    stage: Stage, sets: list[str], params: dict[str, str], code: str, words: str
) -> None:
    with Venue() as venue, connected(stage.serve(*venue.sets, *made(*sets)).url) as wire:
        wanted = {"channel": "candle", "symbol": ["A.SIM"]} | params
        reply = wire.ask({"method": "subscribe", "req_id": 1, "params": wanted})
        assert reply["error"]["code"] == code
        assert words in reply["error"]["message"]
        wanted = {"channel": "trade", "symbol": ["A.SIM"], "interval": "1m"}
        reply = wire.ask({"method": "subscribe", "req_id": 2, "params": wanted})
        assert reply["error"]["message"] == "params.interval: trade has none, candle has"


def test_the_bytes_of_a_candle(stage: Stage) -> None:
    with Venue() as venue, connected(stage.serve(*venue.sets, *made("1m", "1h")).url) as wire:
        wanted = {"channel": "candle", "symbol": ["A.SIM"], "interval": "1h"}
        assert wire.ask({"method": "subscribe", "req_id": 1, "params": wanted})["success"]
        start = (time.time_ns() // (3600 * SECOND) - 1) * 3600 * SECOND
        wide = "12345678901234567890.5"
        for ts, price in ((start + 5, "-0.00"), (start + 7, wide), (start + 3600 * SECOND, "1")):
            venue.send(trade("A", price, "0.10", ts % 10, ts))
        told = [wire.message() for _ in range(3)]
        row = {"interval": "1h", "start": start, "open": "-0.00", "high": wide, "low": "-0.00"}
        row |= {"close": wide, "volume": "0.20", "trades": 2, "closed": True, "complete": False}
        assert told[-1]["data"] == [row]
        assert [*told[-1]["data"][0]] == [*row]  # in the protocol's order
        assert [one["data"][0]["closed"] for one in told] == [False, False, True]
        assert [one["seq"] for one in told] == [1, 2, 3]


def test_those_beyond_the_room_are_counted(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets, *made("1m"), "candles.instruments_max=1")
        for symbol in ("A", "B", "C"):
            venue.send(trade(symbol, "1", "1", 1, time.time_ns()))
        assert until(lambda: gateway.metrics().of("candle_exceptions_total", "full") == 2)
        until(lambda: gateway.metrics().of("published_total", "candle_1m") >= 1)


# --- a capture's trades, against what they come to by other means than the gateway's --------------


class Naive(NamedTuple):
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int


def captured(path: Path) -> Iterator[tuple[int, int, Decimal, Decimal]]:
    """(time in ns, number, price, quantity) of every trade."""
    with gzip.open(path) as file:
        for line in file:
            message = json.loads(line.split(b" ", 1)[1])
            if message.get("stream", "").endswith("@trade"):
                one = message["data"]
                yield one["T"] * 1_000_000, one["t"], Decimal(one["p"]), Decimal(one["q"])


def expected(path: Path, length_ns: int) -> dict[int, Naive]:
    """By start. The last one is still running."""
    spans: dict[int, list[tuple[int, int, Decimal, Decimal]]] = defaultdict(list)
    for one in captured(path):
        spans[one[0] // length_ns * length_ns].append(one)
    found = {}
    for start, trades in spans.items():
        prices = [price for _, _, price, _ in sorted(trades)]
        volume = sum((qty for *_, qty in trades), Decimal(0))
        found[start] = Naive(prices[0], max(prices), min(prices), prices[-1], volume, len(prices))
    return found


def test_captured_trades_come_to_what_they_should(
    stage: Stage, capture: Callable[[str], Path]
) -> None:
    path = capture(CAPTURE)
    options = {"type": "replay", "path": str(path), "format": "binance", "venue": "BINANCE"}
    options |= {"speed": 0, "start_after_clients": 1}  # type: ignore[dict-item]
    sets = [f"feeds.0.{key}={json.dumps(value)}" for key, value in options.items()]
    gateway = stage.serve(*sets, *made(*INTERVALS, update_ms=100))
    told = asyncio.run(_captured(gateway, path))
    for interval, seconds in INTERVALS.items():
        want = expected(path, seconds * SECOND)
        newest = {one.start: one for one in told if one.interval == interval}
        assert len(want) >= 2
        for start, naive in want.items():
            one = newest[start]
            got = Naive(one.open, one.high, one.low, one.close, one.volume, one.trades)
            assert got == naive, (interval, start)
            assert one.complete is (start != min(want))
            assert one.closed is (start != max(want)) or one.trades == 0 or one.closed
        between = range(min(want), max(want), seconds * SECOND)
        for start in set(between) - set(want):  # nothing was traded
            assert newest[start].trades == 0
            assert newest[start].volume == 0


async def _captured(gateway: Serving, path: Path) -> list[Candle]:
    total = sum(1 for _ in captured(path))
    last = max(expected(path, 300 * SECOND).items())
    async with Client(gateway.url) as client:
        for interval in INTERVALS:
            await client.subscribe("candle", "*.BINANCE", interval=interval, mode="lossless")

        def whole(events: list[Event]) -> bool:
            one = events[-1]
            return (
                isinstance(one, Candle)
                and (one.interval, one.start) == ("5m", last[0])
                and one.trades == last[1].trades
            )

        events = await heard(client, whole)
        # What of the shorter ones is still due comes within a moment.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(4):
                async for event in client:
                    events.append(event)
    assert total > 9000
    assert not [one for one in events if isinstance(one, Gap)]
    assert all(not isinstance(one, Tick) or one.skipped == 0 for one in events)
    return candles(events)
