"""The status of instruments: from a feed's lines to clients of both encodings."""

import asyncio

from support.heard import heard
from support.serving import Serving
from support.stage import Stage
from support.udp import Venue

from gateway.client import Client, Event, Gap, Retired, Status


def said(events: list[Event]) -> list[tuple[str, str, str, str, int]]:
    return [
        (one.type, one.symbol, one.status, one.reason, one.ts_event)
        for one in events
        if isinstance(one, Status)
    ]


def test_what_a_feed_says_reaches_all(stage: Stage) -> None:
    with Venue() as venue:
        gateway = stage.serve(*venue.sets)
        asyncio.run(_reaches(gateway, venue))


async def _reaches(gateway: Serving, venue: Venue) -> None:
    def line(status: str, ts: int, **more: str) -> dict[str, object]:
        return {"channel": "status", "symbol": "A", "status": status, "ts": ts, **more}

    async with Client(gateway.url) as text, Client(gateway.url, encoding="sbe") as binary:
        for client in (text, binary):
            (result,) = await client.subscribe("status", "*.SIM")
            assert (result.mode, result.class_, result.matched) == ("lossless", 0, 0)

        async def both(count: int) -> list[list[Event]]:
            waits = [
                heard(one, lambda so_far: len(said(so_far)) == count) for one in (text, binary)
            ]
            return await asyncio.gather(*waits)

        venue.trades("A", 1)
        venue.send(line("trading", 5), line("halted", 7, reason='news "pending"'))
        first, second = await both(2)
        assert said(first) == said(second)
        assert [one[1:] for one in said(first)] == [
            ("A.SIM", "trading", "", 5),
            ("A.SIM", "halted", 'news "pending"', 7),
        ]
        async with Client(gateway.url) as late, Client(gateway.url, encoding="sbe") as too:
            for one in (late, too):
                await one.subscribe("status", "A.SIM")
                events = await heard(one, lambda so_far: len(said(so_far)) == 1)
                assert said(events) == [("snapshot", "A.SIM", "halted", 'news "pending"', 7)]
        # What is refused leaves the last one in doubt.
        venue.send(line("halted", 8, reason="x" * 49))
        gap = (await heard(text, lambda so_far: isinstance(so_far[-1], Gap)))[-1]
        assert gap == Gap("status", "A.SIM", "refused")
        venue.send(line("delisted", 9))
        events = await heard(text, lambda so_far: isinstance(so_far[-1], Retired))
        assert [one[2] for one in said(events)] == ["delisted"]
        assert events[-1] == Retired("status", "A.SIM")
        venue.send({"channel": "status", "symbol": "UNKNOWN", "status": "delisted"})
        venue.send({"channel": "status", "symbol": "B", "status": "closed"})
        events = await heard(text, lambda so_far: len(said(so_far)) == 1)
        assert said(events)[0][1:4] == ("B.SIM", "closed", "")
        listed = await text.instruments(channel="status")
        assert [(one.symbol, one.channels) for one in listed] == [("B.SIM", ("status",))]
