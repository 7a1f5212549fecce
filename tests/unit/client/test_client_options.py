"""What a client does beside reading: callbacks, watching, conflating, counting latencies."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.json_gateway import TIMEOUT_S, Gateway, client, drain, take, tick
from websockets.asyncio.server import ServerConnection

from gateway.client import (
    Bbo,
    Client,
    Disconnected,
    Gap,
    Health,
    Hello,
    InstrumentHealth,
    Trade,
)

HEALTH = {"channel": "health", "type": "update", "ts_send": 8}
WELL = HEALTH | {"data": [{"state": "ok", "ready": True, "slo": "ok"}]}


def quote(seq: int, symbol: str = "A.SIM") -> str:
    times = {"ts_event": 1, "ts_recv": 2, "ts_send": 3}
    head = {"channel": "bbo", "type": "update", "symbol": symbol, "seq": seq}
    return json.dumps(head | times | {"data": [{"bid": "1.5", "bid_qty": "2"}]})


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_gaps_and_health_are_told_before_what_waits() -> None:
    async def script(gateway: Gateway, peer: ServerConnection, _: int) -> None:
        await gateway.asked(1)
        for seq in range(1, 6):
            await peer.send(tick(seq))
        await peer.send(tick(9))
        head = {"channel": "health", "type": "update", "symbol": "A.SIM", "seq": 1}
        times = {"ts_event": 1, "ts_recv": 2, "ts_send": 3}
        data = [{"state": "suspect", "reason": "why", "age_ms": 3}]
        await peer.send(json.dumps(head | times | {"data": data}))
        await peer.send(json.dumps(WELL))

    told: list[Any] = []
    async with (
        Gateway(script) as gateway,
        client(gateway, on_gap=told.append, on_health=told.append) as ticks,
    ):
        await ticks.subscribe("trade", "A.SIM")
        await until(lambda: len(told) == 3)
        assert ticks.statistics().waiting == 10, "nothing was taken yet"
        gap, instrument, health = told
        assert gap == Gap("trade", "A.SIM", "sequence", 6, 8, 3)
        assert isinstance(instrument, InstrumentHealth)
        assert (instrument.state, instrument.input_age_ms) == ("suspect", 3)
        assert isinstance(health, Health)
        events = await take(ticks, 10)
        assert [e for e in events if isinstance(e, Gap | Health | InstrumentHealth)] == told


@pytest.mark.parametrize("kind", ["gap", "health", "instrument", "no_data"])
async def test_what_a_callback_raises_ends_the_iteration(kind: str) -> None:
    async def script(gateway: Gateway, peer: ServerConnection, _: int) -> None:
        await gateway.asked(1)
        await peer.send(tick(1))
        if kind == "gap":
            await peer.send(tick(9))
        elif kind == "health":
            await peer.send(json.dumps(WELL))
        elif kind == "instrument":
            head = {"channel": "health", "type": "update", "symbol": "A.SIM", "seq": 1}
            times = {"ts_event": 1, "ts_recv": 2, "ts_send": 3}
            await peer.send(json.dumps(head | times | {"data": [{"state": "ok"}]}))

    class States(Gateway):
        async def reply(self, peer: ServerConnection, request: dict[str, Any]) -> None:
            self.requests.append(request)
            results = [{"symbol": "Z.SIM", "success": True, "seq": 5 * (kind == "no_data")}]
            reply = {"method": "subscribe", "req_id": request["req_id"], "success": True}
            await peer.send(json.dumps(reply | {"results": results}))

    def no(_: object) -> None:
        raise LookupError("no")

    more = {"first_data_s": 0.1} if kind == "no_data" else {}
    async with States(script) as gateway:
        ticks = client(gateway, on_gap=no, on_health=no, **more)
        await ticks.__aenter__()
        await ticks.subscribe("trade", "Z.SIM")
        with pytest.raises(LookupError):
            await drain(ticks)
        with pytest.raises(LookupError):
            await ticks.close()  # who does not iterate has to see it, too
        await until(lambda: gateway.connected == 0)


async def test_a_subscription_that_gets_nothing_is_told_and_repeated() -> None:
    class Stateless(Gateway):
        async def reply(self, peer: ServerConnection, request: dict[str, Any]) -> None:
            self.requests.append(request)
            results = [
                {"symbol": s, "success": True, "seq": 5} for s in request["params"]["symbol"]
            ]
            reply = {"method": "subscribe", "req_id": request["req_id"], "success": True}
            await peer.send(json.dumps(reply | {"results": results}))
            if len(self.requests) == 2:
                await peer.send(tick(5))

    async with Stateless() as gateway, client(gateway, first_data_s=0.2) as ticks:
        await ticks.subscribe("trade", "A.SIM")
        _, gap, update = await take(ticks, 3)
        assert gap == Gap("trade", "A.SIM", "no_data")
        assert isinstance(update, Trade)
        first, again = gateway.requests
        assert first["params"] == again["params"]
        await asyncio.sleep(0.6)
        assert len(gateway.requests) == 2


async def test_a_silent_connection_is_given_up_when_the_program_says() -> None:
    async with Gateway(heartbeat_ms=60_000) as gateway, client(gateway, stall_s=0.3) as ticks:
        _, gone, again = await take(ticks, 3)
        assert (gone.code, gone.reason) == (1001, "no heartbeat")
        assert isinstance(again, Hello)


async def test_a_program_that_held_the_loop_up_does_not_lose_its_connection() -> None:
    async def script(_: Gateway, peer: ServerConnection, number: int) -> None:
        for seq in range(1, 10_000):
            await asyncio.sleep(0.02)
            await peer.send(tick(seq))

    async with Gateway(script) as gateway, client(gateway, stall_s=0.5) as ticks:
        await take(ticks, 3)
        time.sleep(2.5)  # noqa: ASYNC251
        events = await take(ticks, 60)
        assert not [event for event in events if isinstance(event, Disconnected)]


async def test_many_names_come_back_at_a_pace() -> None:
    async def script(gateway: Gateway, peer: ServerConnection, number: int) -> None:
        if number == 0:
            await gateway.asked(80)
            await peer.close(1012, "restart")

    async with Gateway(script) as gateway, client(gateway) as ticks:
        for number in range(80):
            await ticks.subscribe("trade", f"S{number}.SIM", class_=number % 2)
        (_, _, _) = await take(ticks, 3)
        await gateway.asked(80 + 64)
        came = time.monotonic()
        await gateway.asked(160)
        assert 0.3 < time.monotonic() - came < 60
        symbols = [request["params"]["symbol"] for request in gateway.requests[80:]]
        assert symbols == [[f"S{number}.SIM"] for number in range(80)]


async def test_a_slow_consumer_of_its_own_gets_the_newest_and_is_told_what_it_lost() -> None:
    async def script(gateway: Gateway, peer: ServerConnection, _: int) -> None:
        await gateway.asked(2)
        for seq in range(1, 2001):
            await peer.send(tick(seq))
            await peer.send(quote(seq))
        await peer.send(quote(1, "B.SIM"))

    gateway = Gateway(script)
    async with gateway, client(gateway, events_max=100, overflow="conflate") as ticks:
        await ticks.subscribe("trade", "A.SIM", mode="lossless")
        await ticks.subscribe("bbo", "*.SIM")
        await until(lambda: ticks.statistics().ticks == 4001)
        before = ticks.statistics()
        assert before.waiting <= 103
        events = await take(ticks, before.waiting)
        trades = [e for e in events if isinstance(e, Trade)]
        (gap,) = (e for e in events if isinstance(e, Gap))
        assert (gap.reason, gap.from_seq, gap.lost) == ("consumer", 1, before.dropped)
        assert [trade.seq for trade in trades] == list(range(before.dropped + 1, 2001))
        newest, other = (e for e in events if isinstance(e, Bbo))
        assert (newest.seq, newest.skipped, other.seq) == (2000, 1999, 1)
        assert before.conflated == 1999
        assert ticks.statistics().waiting == 0


async def test_latencies_by_channel_and_corrected_by_the_offset() -> None:
    async def script(gateway: Gateway, peer: ServerConnection, _: int) -> None:
        await gateway.asked(1)
        for seq in range(1, 4):
            now = time.time_ns()
            head = {"channel": "trade", "type": "update", "symbol": "A.SIM", "seq": seq}
            times = {"ts_event": now - 5_000, "ts_recv": now - 3_000, "ts_send": now}
            row = {"price": "1.5", "qty": "2"}
            await peer.send(json.dumps(head | times | {"data": [row]}))
            await asyncio.sleep(0.05)

    async with Gateway(script) as gateway, client(gateway, latency=True) as ticks:
        assert ticks.latency() == {}
        await ticks.subscribe("trade", "A.SIM")
        await take(ticks, 2)
        await ticks.offset()  # this gateway's clock is an hour ahead
        await take(ticks, 2)
        (latency,) = ticks.latency().values()
        assert latency.wire.values_at_percentiles((0, 100)) == [2000, 2000]
        assert latency.gateway.max_ns == pytest.approx(3000, rel=0.001)
        assert latency.age.count == latency.delivery.count == 3
        assert latency.delivery.value_at_percentile(1) < TIMEOUT_S * 1e9
        assert latency.delivery.saturated == 2
        assert latency.age.negative == 0
    with pytest.raises(ValueError, match="latency=True"):
        Client().latency()


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="overflow"):
        Client(overflow="drop")  # type: ignore[arg-type]
    for more in ({}, {"encoding": "sbe", "overflow": "conflate"}):
        with pytest.raises(ValueError, match="frames"):
            Client(**more).frames()  # type: ignore[arg-type]


def test_frames_without_numpy_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.delitem(sys.modules, "gateway.client.frames", raising=False)
    with pytest.raises(ImportError, match=r"frames\(\) needs numpy"):
        Client(encoding="sbe").frames()
