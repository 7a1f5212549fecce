"""Quotes that are made of order books, from lines to clients."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

from support.serving import Serving, until
from support.stage import Stage
from support.udp import Venue

from gateway.client import Bbo, Client
from gateway.feeds.options import ReplayOptions
from gateway.feeds.tape import derives

WAIT_S = 60.0
Quote = tuple[int, int, str | None, str | None, str | None, str | None]


async def quotes(client: Client, count: int) -> list[Quote]:
    found: list[Quote] = []

    async def listen() -> None:
        async for event in client:
            if isinstance(event, Bbo):
                sides = event.bid_text, event.bid_qty_text, event.ask_text, event.ask_qty_text
                found.append((event.seq, event.ts_event, *sides))
                if len(found) == count:
                    return

    await asyncio.wait_for(listen(), WAIT_S)
    return found


def book(kind: str, number: int, bids: Any = (), asks: Any = ()) -> dict[str, Any]:
    numbers = {"first": number, "last": number, "ts": number}
    return {"channel": "book", "symbol": "A", "type": kind, "bids": bids, "asks": asks, **numbers}


def test_quotes_of_a_feed_of_books(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets, "feeds.0.bbo='derived'")
        asyncio.run(_made(gateway, venue))


async def _made(gateway: Serving, venue: Venue) -> None:
    async with Client(gateway.url) as client:
        await client.subscribe("bbo", "A.SIM", mode="lossless")
        venue.quotes("A", 7)  # the feed's own are left out
        venue.send(book("snapshot", 1, [["1.50", "2"], ["1.40", "1"]], [["1.60", "3"]]))
        venue.send(book("update", 2, [["1.40", "9"]]))  # deeper
        venue.send(book("update", 3, [["1.50", "0"]], [["1.55", "1"]]))
        venue.send(book("update", 5, [["1.45", "1"]]))  # behind a hole: in doubt
        venue.send(book("snapshot", 7, [["1.45", "1"]]))
        assert await quotes(client, 3) == [
            (1, 1, "1.50", "2", "1.60", "3"),
            (2, 3, "1.40", "9", "1.55", "1"),
            (3, 7, "1.45", "1", None, None),
        ]
    # The line of a quote; the update behind the hole waits for a snapshot of its own.
    until(lambda: gateway.status()["feeds"][0]["skipped"] >= 1)


def test_whose_quotes_are_made_of_books() -> None:
    def of(format: Any, bbo: Any = "auto") -> Any:
        return derives(ReplayOptions(path="x", format=format, bbo=bbo))

    bybit = of("bybit")
    assert (bybit("BTCUSDT-SPOT"), bybit("BTCUSDT")) == (True, False)
    assert not of("binance")("BTCUSDT")
    assert of("kraken-v1", "derived")("XBT/USD")
    assert of("bybit", "venue") is of("ring") is of("ring", "derived") is None


def test_a_capture_s_spot_market_has_quotes(stage: Stage, capture: Any, tmp_path: Path) -> None:
    sets = ["feeds.0.type='replay'", "feeds.0.format='bybit'", "feeds.0.speed=0"]
    path = capture("bybit/BYBIT.jsonl.zst")
    gateway = stage.serve(*sets, f"feeds.0.path='{path}'", "feeds.0.start_after_clients=1")

    async def play() -> None:
        async with Client(gateway.url) as client:
            await client.subscribe("bbo", "BTCUSDT-SPOT.BYBIT", mode="lossless")
            found = await quotes(client, 100)
            assert [one[0] for one in found] == [*range(1, 101)]
            for _, _, bid, bid_qty, ask, ask_qty in found:
                assert None not in (bid, bid_qty, ask, ask_qty)
                assert float(bid or 0) < float(ask or 0)
            assert all(one[2:] != other[2:] for one, other in pairwise(found))

    asyncio.run(play())
