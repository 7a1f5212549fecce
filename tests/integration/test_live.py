"""A live venue through a whole gateway: what its client gets is the stand-in's truth."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path

from support.serving import Serving, serving
from support.standin.binance import BinanceStandIn

from gateway.client import Client, Gap, OrderBook, Trade

TIMEOUT_S = 60.0
A, B = "AAAUSDT", "BBBUSDT"


def of(stand_in: BinanceStandIn) -> list[str]:
    port = stand_in.port
    return [
        'feeds.0.type="binance"',
        f'feeds.0.symbols=["{A}","BBB*","NOPEUSDT"]',
        f'feeds.0.url="ws://127.0.0.1:{port}"',
        f'feeds.0.rest="http://127.0.0.1:{port}"',
        "slo.target_us=1000000",
    ]


def same(book: OrderBook | None, stand_in: BinanceStandIn, symbol: str) -> bool:
    if book is None or not book.ready:
        return False
    mine = [
        [(Decimal(one.price), Decimal(one.qty)) for one in side] for side in (book.bids, book.asks)
    ]
    truth = stand_in.books[symbol].levels()
    return mine == [[(Decimal(price), Decimal(qty)) for price, qty in side] for side in truth]


async def read(client: Client, trades: list[int], gaps: list[Gap]) -> None:
    async for event in client:
        if isinstance(event, Trade) and event.symbol == f"{A}.BINANCE":
            trades.append(int(event.id))
        elif isinstance(event, Gap):
            gaps.append(event)


async def rests(client: Client, stand_in: BinanceStandIn, after_s: float) -> None:
    """The market goes on for a while, then rests until the client's books are the truth."""
    await asyncio.sleep(after_s)
    stand_in.frozen = True
    for _ in range(1200):
        await asyncio.sleep(0.05)
        if all(same(client.book(f"{one}.BINANCE"), stand_in, one) for one in (A, B)):
            break
    else:
        raise AssertionError("they never are")
    stand_in.frozen = False


async def ready(gateway: Serving, stand_in: BinanceStandIn) -> None:
    for _ in range(600):
        status = json.loads((await asyncio.to_thread(gateway.get, "/statusz"))[1])
        (feed,) = status["feeds"]
        if feed["state"] == "up" and sum("/depth?" in one for one in stand_in.requests) >= 2:
            assert feed["message"] == "the venue does not list NOPEUSDT"
            assert feed["type"] == "binance"
            return
        await asyncio.sleep(0.1)
    raise AssertionError(status["feeds"])


async def test_binance_through_a_gateway(tmp_path: Path) -> None:
    stand_in = BinanceStandIn(A, B)
    async with stand_in.running(), asyncio.timeout(TIMEOUT_S):
        running = serving(tmp_path / "log", *of(stand_in))
        gateway = await asyncio.to_thread(running.__enter__)
        try:
            await ready(gateway, stand_in)
            trades: list[int] = []
            gaps: list[Gap] = []
            async with Client(gateway.url) as client:
                await client.subscribe("book", [f"{A}.BINANCE", f"{B}.BINANCE"], depth=0)
                await client.subscribe("trade", ["*"])
                reading = asyncio.create_task(read(client, trades, gaps))
                await rests(client, stand_in, 1.0)
                assert not gaps
                numbers = trades[1:]  # the first one may be a snapshot's
                assert numbers == [*range(numbers[0], numbers[0] + len(numbers))]
                stand_in.cut()
                await rests(client, stand_in, 2.0)
                assert {gap.reason for gap in gaps} == {"feed"}
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            metrics = await asyncio.to_thread(gateway.metrics)
            feed = "binance:BINANCE"
            assert metrics.of("feed_up", feed) == 1
            assert metrics.of("feed_refused_total", feed, "name") == 1
            assert metrics.of("feed_gaps_total", feed) > 0
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)
    lines = (tmp_path / "log").read_text()
    assert "feed.line" in lines
    assert "the connection " in lines
