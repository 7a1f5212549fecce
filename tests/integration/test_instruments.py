"""What venues say of instruments: from lines, a capture and the made-up market to clients."""

import asyncio
import json
from pathlib import Path

from support.serving import Serving, until
from support.stage import Stage
from support.udp import Venue

from gateway.client import Client, InstrumentData

WAIT_S = 60.0
Said = tuple[str | None, str | None, int | None, int | None, str, str, str, int, str, str]


async def next_of(client: Client, count: int = 1) -> list[InstrumentData]:
    found: list[InstrumentData] = []

    async def listen() -> None:
        async for event in client:
            if isinstance(event, InstrumentData):
                found.append(event)
                if len(found) == count:
                    return

    await asyncio.wait_for(listen(), WAIT_S)
    return found


def said(one: InstrumentData) -> Said:
    steps = one.tick_text, one.lot_text, one.price_digits, one.qty_digits
    return *steps, one.base, one.quote, one.bbo, one.delay_s, one.status, one.venue_symbol


def test_what_a_feeds_line_says_reaches_all(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets)
        asyncio.run(_reaches(gateway, venue))


async def _reaches(gateway: Serving, venue: Venue) -> None:
    more = {"tick": "0.010", "lot": 5, "price_digits": 2, "base": "BTC", "quote": "USDT"}
    line = {"channel": "instrument", "symbol": "A", "ts": 7, "delay_s": 900, **more}
    everything: Said = ("0.010", "5", 2, None, "BTC", "USDT", "venue", 900, "", "")
    async with Client(gateway.url) as text, Client(gateway.url, encoding="sbe") as binary:
        for client in (text, binary):
            (result,) = await client.subscribe("instrument", "*.SIM")
            assert (result.mode, result.class_, result.matched) == ("conflate", 1, 0)
        venue.send(line)
        for client in (text, binary):
            (one,) = await next_of(client)
            assert (one.type, one.symbol, one.seq, one.ts_event) == ("update", "A.SIM", 1, 7)
            assert said(one) == everything
        async with Client(gateway.url) as late, Client(gateway.url, encoding="sbe") as too:
            for client in (late, too):
                await client.subscribe("instrument", "A.SIM")
                (one,) = await next_of(client)
                assert (one.type, said(one)) == ("snapshot", everything)
        venue.send({"channel": "instrument", "symbol": "A", "status": "halted"})
        for client in (text, binary):
            (one,) = await next_of(client)
            assert said(one) == (None, None, None, None, "", "", "venue", 0, "halted", "")
            assert one.tick is None
        venue.send(line | {"symbol": "B", "base": "币"})  # no record of ours
        venue.send(line | {"symbol": "C"})
        (one,) = await next_of(text)
        assert one.symbol == "C.SIM"
        assert await listed(text) == [("A.SIM", ("instrument",)), ("C.SIM", ("instrument",))]
        venue.send({"channel": "status", "symbol": "C", "status": "delisted"})
        for _ in range(200):  # the end goes its own way to each worker
            if len(left := await listed(text)) == 1:
                break
            await asyncio.sleep(0.1)
        assert left == [("A.SIM", ("instrument",))]


async def listed(client: Client) -> list[tuple[str, tuple[str, ...]]]:
    found = await client.instruments(channel="instrument")
    return sorted((one.symbol, tuple(one.channels)) for one in found)


def test_the_reference_data_of_a_capture_is_that_of_what_it_plays(
    stage: Stage, tmp_path: Path
) -> None:
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "stepSize": "0.00001000"},
    ]
    assets = {"baseAsset": "BTC", "quoteAsset": "USDT", "status": "TRADING", "filters": filters}
    info = {"symbols": [assets | {"symbol": symbol} for symbol in ("BTCUSDT", "OTHER")]}
    trade = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": 1, "p": "1", "q": "1", "T": 1, "m": True}
    url = "https://api.binance.com/api/v3/exchangeInfo"
    entries = [
        {"t": "http", "conn": "h", "ts": 1_700_000_000.0, "url": url, "data": json.dumps(info)},
        {"t": "recv", "conn": "w", "ts": 1_700_000_001.0, "data": json.dumps(trade)},
    ]
    capture = tmp_path / "capture.jsonl"
    capture.write_text("".join(json.dumps(one) + "\n" for one in entries))
    sets = ["feeds.0.type='replay'", f"feeds.0.path='{capture}'", "feeds.0.speed=0"]
    gateway = stage.serve(*sets, "feeds.0.bbo='derived'")

    async def play() -> None:
        async with Client(gateway.url) as client:
            await client.subscribe("instrument", "*")
            (one,) = await next_of(client)
            expected: Said = ("0.01", "0.00001", 2, 5, "BTC", "USDT", "derived", 0, "trading", "")
            assert (one.symbol, said(one)) == ("BTCUSDT.BINANCE", expected)

    asyncio.run(play())
    until(lambda: gateway.status()["feeds"][0]["records"] == 2)


def test_the_made_up_market_says_what_it_makes(stage: Stage) -> None:
    sets = ["feeds.0.type='synthetic'", "feeds.0.symbols=4", "feeds.0.rate=10"]
    gateway = stage.serve(*sets, "feeds.0.channels=['trade','bbo','instrument']")

    async def look() -> None:
        async with Client(gateway.url) as client:
            await client.subscribe("instrument", "*.SIM")
            found = {one.symbol: said(one) for one in await next_of(client, 4)}
            assert found["SYM003.SIM"][:4] == ("0.0001", "0.001", 4, 3)
            assert found["SYM000.SIM"][:6] == ("0.01", "0.001", 2, 3, "SYM000", "USD")

    asyncio.run(look())


def test_what_the_configuration_says_and_what_names_and_digits_show(
    stage: Stage, tmp_path: Path
) -> None:
    """Of three instruments one is known, of one the configuration tells, of one nobody."""
    filters = [{"filterType": "PRICE_FILTER", "tickSize": "0.50"}]
    known = {"symbol": "ETHUSDT", "baseAsset": "ETH", "quoteAsset": "USDT", "filters": filters}
    entries: list[dict[str, object]] = []

    def trade(symbol: str, number: int, price: str) -> None:
        names = {"e": "trade", "E": 1, "s": symbol, "t": number, "T": 1, "m": True}
        data = json.dumps(names | {"p": price, "q": "0.00100000"})
        stamp = 1_700_000_000 + len(entries)
        entries.append({"t": "recv", "conn": "w", "ts": float(stamp), "data": data})

    for number in range(20):
        for symbol in ("BTCFDUSD", "ETHUSDT", "LTCBTC"):
            trade(symbol, number, f"{number}.10000000")
            if number == 0 and symbol == "ETHUSDT":
                url = "https://api.binance.com/api/v3/exchangeInfo"
                info = json.dumps({"symbols": [known]})
                more = {"ts": 1_700_000_001.5, "url": url, "data": info}
                entries.append({"t": "http", "conn": "h", **more})
    trade("BTCFDUSD", 20, "1.01000000")
    capture = tmp_path / "capture.jsonl"
    capture.write_text("".join(json.dumps(one) + "\n" for one in entries))
    said_of = '[{symbol="LTCBTC", base="LTC", quote="BTC", tick="0.000001", lot="0.001"}]'
    sets = ["feeds.0.type='replay'", f"feeds.0.path='{capture}'", "feeds.0.speed=0"]
    gateway = stage.serve(*sets, f"feeds.0.instruments={said_of}")
    until(lambda: gateway.status()["feeds"][0]["state"] == "done")

    async def look() -> dict[str, tuple[int, Said]]:
        async with Client(gateway.url) as client:
            await client.subscribe("instrument", "*")
            found: dict[str, tuple[int, Said]] = {}
            while sum(seq for seq, _ in found.values()) < 4:  # the worker may be behind the feed
                found |= {one.symbol: (one.seq, said(one)) for one in await next_of(client)}
            return found

    last = "venue", 0
    assert asyncio.run(look()) == {
        "BTCFDUSD.BINANCE": (2, ("0.01", "0.001", 2, 3, "BTC", "FDUSD", *last, "", "")),
        "ETHUSDT.BINANCE": (1, ("0.5", None, 1, None, "ETH", "USDT", *last, "halted", "")),
        "LTCBTC.BINANCE": (1, ("0.000001", "0.001", 6, 3, "LTC", "BTC", *last, "", "")),
    }


def test_what_the_configuration_says_of_a_udp_feeds_until_a_line_says_it(stage: Stage) -> None:
    said_of = '[{symbol="A", base="BTC", quote="USD", tick="0.5"}]'
    with Venue() as venue:
        gateway = stage.serve(*venue.sets, f"feeds.0.instruments={said_of}")

        async def look() -> None:
            async with Client(gateway.url) as client:
                await client.subscribe("instrument", "A.SIM")
                (one,) = await next_of(client)
                assert said(one) == ("0.5", None, 1, None, "BTC", "USD", "venue", 0, "", "")
                venue.send({"channel": "instrument", "symbol": "A", "tick": "0.1"})
                (one,) = await next_of(client)
                assert (one.type, one.tick_text, one.base) == ("update", "0.1", "")

        asyncio.run(look())
