"""The asyncio client against a small gateway of its own, in this process."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.json_gateway import TIMEOUT_S, Gateway, client, drain, take, tick
from websockets.asyncio.server import ServerConnection, serve

from gateway.client import (
    Backoff,
    Client,
    ConnectFailed,
    Disconnected,
    Gap,
    Hello,
    RequestRefused,
    System,
    Tick,
    Trade,
)
from gateway.client.opening import RETRY_AFTER_S_MAX, retry_after_s


async def test_subscribe_and_ticks() -> None:
    async def script(gateway: Gateway, peer: ServerConnection, _: int) -> None:
        await gateway.asked(1)
        for seq in (1, 2, 3):
            await peer.send(tick(seq))

    async with Gateway(script) as gateway, client(gateway) as ticks:
        (result,) = await ticks.subscribe("trade", ["A.SIM"])
        assert result.success
        hello, *updates = await take(ticks, 4)
        assert isinstance(hello, Hello)
        assert [update.seq for update in updates] == [1, 2, 3]
        assert abs(updates[0].ts_client - time.time_ns()) < 10**10
        assert ticks.statistics().ticks == 3
        assert ticks.hello == hello


async def test_requests() -> None:
    async with Gateway() as gateway, client(gateway) as ticks:
        assert [one.symbol for one in await ticks.instruments(channel="trade")] == [
            "A.SIM",
            "B.SIM",
        ]
        asked = [request.get("params") for request in gateway.requests]
        assert asked == [{"channel": "trade"}, {"channel": "trade", "after": "A.SIM"}]
        assert (await ticks.stats())[0]["routed"] == 3
        assert (await ticks.unsubscribe("trade", ["A.SIM"]))[0].success
        with pytest.raises(RequestRefused, match="unknown_channel: no such channel"):
            await ticks.subscribe("nope", ["A.SIM"])


async def test_the_offset_of_the_clocks() -> None:
    async with Gateway() as gateway, client(gateway) as ticks:
        offset = await ticks.offset()
        assert offset is not None
        assert abs(offset.offset_ns - 3_600_000_000_000) <= offset.error_ns
        assert offset.error_ns < 1_000_000_000


@pytest.mark.parametrize("code", [1012, 4008, 1011])
async def test_it_reconnects_and_subscribes_again(code: int) -> None:
    async def script(gateway: Gateway, peer: ServerConnection, number: int) -> None:
        await gateway.asked(2 * (number + 1))
        if number == 0:
            await peer.close(code, "go away")
        else:
            await peer.send(tick(1))

    async with Gateway(script) as gateway, client(gateway) as ticks:
        await ticks.subscribe("trade", ["A.SIM"])
        await ticks.subscribe("bbo", ["*"], mode="conflate")
        _, gone, again, update = await take(ticks, 4)
        assert (gone.code, gone.reason) == (code, "go away")
        assert 0 <= gone.retry_s <= 0.02
        assert isinstance(again, Hello)
        assert again.connection_id == "c-1"
        assert isinstance(update, Tick)
        params = [request["params"] for request in gateway.requests]
        assert params[2:] == params[:2]


@pytest.mark.parametrize("code", [1000, 1008, 4500, 4502])
async def test_some_closes_are_the_end(code: int) -> None:
    async def script(_: Gateway, peer: ServerConnection, number: int) -> None:
        await peer.close(code, "enough")

    async with Gateway(script) as gateway, client(gateway) as ticks:
        events = await drain(ticks)
        assert events[1:] == [Disconnected(code, "enough", None)]
        assert await drain(ticks) == []
        assert gateway.connections == 1
        with pytest.raises(ConnectionError, match="not connected"):
            await ticks.instruments()


async def test_it_waits_as_long_as_a_shutdown_asks() -> None:
    async def script(_: Gateway, peer: ServerConnection, number: int) -> None:
        if number == 0:
            data = [{"reconnect_after_ms": 130}]
            message = {"channel": "system", "type": "shutdown", "data": data}
            await peer.send(json.dumps(message))
            await peer.close(1012, "restart")

    async with Gateway(script) as gateway, client(gateway) as ticks:
        began = time.monotonic()
        _, shutdown, gone, again = await take(ticks, 4)
        assert isinstance(shutdown, System)
        assert 0.13 < gone.retry_s <= 0.15, "and its own jitter, so that not all come at once"
        assert isinstance(again, Hello)
        assert time.monotonic() - began >= 0.13


@pytest.mark.parametrize("after_ms", [10**400, -1, 1e300])
async def test_a_shutdown_s_time_is_bounded(after_ms: float) -> None:
    async def script(_: Gateway, peer: ServerConnection, number: int) -> None:
        data = [{"reconnect_after_ms": after_ms}]
        await peer.send(json.dumps({"channel": "system", "type": "shutdown", "data": data}))
        await peer.close(1012, "restart")

    async with Gateway(script) as gateway, Client(gateway.url) as ticks:
        _, _, gone = await take(ticks, 3)
        assert 0 <= gone.retry_s <= RETRY_AFTER_S_MAX + 1


async def test_clients_that_are_told_the_same_time_come_back_at_times_of_their_own() -> None:
    async def script(_: Gateway, peer: ServerConnection, number: int) -> None:
        data = [{"reconnect_after_ms": 1}]
        await peer.send(json.dumps({"channel": "system", "type": "shutdown", "data": data}))
        await peer.close(1012, "restart")

    waits: list[float] = []
    async with Gateway(script) as gateway:
        for _ in range(20):
            async with Client(gateway.url) as ticks:
                waits.append((await take(ticks, 3))[2].retry_s)
    assert min(waits) >= 0.001
    assert len({round(wait, 3) for wait in waits}) > 10


async def test_without_reconnect_the_first_close_is_the_end() -> None:
    async def script(_: Gateway, peer: ServerConnection, number: int) -> None:
        await peer.close(1012, "restart")

    async with Gateway(script) as gateway, client(gateway, reconnect=False) as ticks:
        assert (await drain(ticks))[1:] == [Disconnected(1012, "restart", None)]


async def test_refused_attempts_are_told_and_repeated_where_that_may_help() -> None:
    async def script(gateway: Gateway, peer: ServerConnection, number: int) -> None:
        gateway.refuse_with = 503
        await peer.close(1012, "restart")

    async with Gateway(script) as gateway, client(gateway) as ticks:
        _, gone, refused = await take(ticks, 3)
        assert gone.code == 1012
        assert "HTTP 503" in refused.reason
        assert refused.retry_s is not None
        gateway.refuse_with = 403
        events = await drain(ticks)
        assert "HTTP 403" in events[-1].reason
        assert events[-1].retry_s is None


async def test_a_refused_attempt_is_repeated_when_the_gateway_says() -> None:
    async def script(gateway: Gateway, peer: ServerConnection, _: int) -> None:
        gateway.refuse_with, gateway.retry_after = 503, "0"
        await peer.close(1012, "restart")

    async with Gateway(script) as gateway, client(gateway) as ticks:
        _, gone, refused = await take(ticks, 3)
        assert gone.retry_s > 0, "by its own backoff"
        assert 0 <= refused.retry_s <= 0.02


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ([], None),
        (["3"], 3),
        (["0"], 0),
        (["86400"], 61),
        (["9" * 5000], None),
        (["-1"], None),
        (["Wed, 21 Oct 2026 07:28:00 GMT"], None),
        (["3", "4"], None),
    ],
)
def test_retry_after(header: list[str], seconds: float | None) -> None:
    assert retry_after_s(header) == seconds


async def test_what_a_busy_gateway_refused_is_asked_for_again() -> None:
    class Busy(Gateway):
        async def reply(self, peer: ServerConnection, request: dict[str, Any]) -> None:
            if self.requests:
                await super().reply(peer, request)
                return
            self.requests.append(request)
            error = {"code": "capacity", "retryable": True, "retry_after_ms": 1}
            results = [{"symbol": "A.SIM", "success": False, "error": error}]
            reply = {"method": "subscribe", "req_id": request["req_id"], "success": False}
            await peer.send(json.dumps(reply | {"results": results}))

    async with Busy() as gateway, client(gateway) as ticks:
        (result,) = await ticks.subscribe("trade", ["A.SIM"], class_=2)
        assert result.error is not None
        assert result.error.code == "capacity"
        await gateway.asked(2)
        params = {"channel": "trade", "symbol": ["A.SIM"], "class": 2}
        assert [request["params"] for request in gateway.requests] == [params, params]


async def test_a_gap_subscribes_again() -> None:
    async def script(gateway: Gateway, peer: ServerConnection, _: int) -> None:
        await gateway.asked(1)
        await peer.send(tick(1))
        await peer.send(tick(5))
        await gateway.asked(2)
        await peer.send(tick(9))  # after the ack: sets `last` anew

    async with Gateway(script) as gateway, client(gateway) as ticks:
        await ticks.subscribe("trade", ["A.*"])
        events = await take(ticks, 6)
        assert [type(event) for event in events] == [Hello, Trade, Gap, Trade, Gap, Trade]
        assert gateway.requests[1]["params"]["symbol"] == ["A.*"]


async def test_a_silent_connection_is_given_up() -> None:
    async with Gateway(heartbeat_ms=100) as gateway, client(gateway) as ticks:
        _, gone, again = await take(ticks, 3)
        assert (gone.code, gone.reason) == (1001, "no heartbeat")  # echoed by a live peer
        assert isinstance(again, Hello)


async def test_a_consumer_that_falls_behind_stops_the_reader_but_not_its_replies() -> None:
    async def script(gateway: Gateway, peer: ServerConnection, _: int) -> None:
        await gateway.asked(1)
        for seq in range(1, 2001):
            await peer.send(tick(seq))

    gateway = Gateway(script, heartbeat_ms=100)
    async with gateway, client(gateway, events_max=10) as ticks:
        await ticks.subscribe("trade", ["A.SIM"])
        await asyncio.sleep(0.9)  # long enough to be stale, had it been reading
        assert ticks.statistics().messages < 1000  # it took what one read had, and no more
        assert (await ticks.instruments())[0].symbol == "A.SIM"
        updates = [e for e in await take(ticks, 2001) if isinstance(e, Tick)]
        assert [update.seq for update in updates] == list(range(1, 2001))


async def test_a_request_whose_connection_ends_fails() -> None:
    async def script(gateway: Gateway, peer: ServerConnection, number: int) -> None:
        if number == 0:
            peer.transport.abort()

    class Mute(Gateway):
        async def reply(self, peer: ServerConnection, request: dict[str, Any]) -> None:
            self.requests.append(request)

    async with Mute(script) as gateway, client(gateway) as ticks:
        with pytest.raises(ConnectionError):
            await ticks.subscribe("trade", ["A.SIM"])
        await gateway.asked(1)  # the next connection asks for it
        assert gateway.requests[-1]["params"]["symbol"] == ["A.SIM"]
    async with Mute() as gateway, client(gateway, timeout_s=0.1) as ticks:
        with pytest.raises(TimeoutError):
            await ticks.instruments()


@pytest.fixture
def silent() -> Iterator[str]:
    """A listener whose connections nobody takes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/v1"


async def test_it_waits_for_a_gateway_that_is_not_up_yet() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # nobody else's, and refused until somebody listens
        url = f"ws://127.0.0.1:{held.getsockname()[1]}/v1"
        late = Client(url, wait_s=TIMEOUT_S, backoff=Backoff(0.01, 0.02))
        entering = asyncio.create_task(late.__aenter__())
        await asyncio.sleep(0.05)
        assert not entering.done()
        async with serve(Gateway().handle, sock=held), asyncio.timeout(TIMEOUT_S):
            await entering
            (greeting,) = await take(late, 1)
            assert isinstance(greeting, Hello)
            await late.close()


async def test_it_waits_no_longer_than_it_is_told_and_not_for_what_never_comes() -> None:
    async with Gateway() as gateway:
        gateway.refuse_with = 503
        waiting = client(gateway, wait_s=0.1)
        began = time.monotonic()
        with pytest.raises(ConnectFailed, match="HTTP 503"):
            await waiting.__aenter__()
        assert time.monotonic() - began >= 0.1
        gateway.retry_after = "60"
        with pytest.raises(ConnectFailed, match="HTTP 503"):  # told: not within that time
            await client(gateway, wait_s=TIMEOUT_S).__aenter__()
        gateway.refuse_with = 403
        with pytest.raises(ConnectFailed, match="HTTP 403"):
            await client(gateway, wait_s=TIMEOUT_S).__aenter__()


async def test_a_client_may_be_used_again_and_yields_nothing_of_before() -> None:
    async def script(gateway: Gateway, peer: ServerConnection, number: int) -> None:
        await gateway.asked(number + 1)
        await peer.send(tick(4 * number + 1))

    async with Gateway(script) as gateway:
        ticks = client(gateway)
        async with ticks:
            await ticks.subscribe("trade", "A.SIM")
            with pytest.raises(RuntimeError, match="in use"):
                await ticks.__aenter__()
            assert len(await take(ticks, 2)) == 2
        with pytest.raises(ConnectionError, match="not connected"):
            await ticks.instruments()
        assert await drain(ticks) == []
        async with ticks:
            assert ticks.hello is not None
            assert ticks.hello.connection_id == "c-1"
            events = await take(ticks, 3)
        assert events[0] == Hello("0", "c-1", "e", 1)
        assert events[1] == Gap("trade", "A.SIM", "reconnect", 2, 4, 3)
        assert events[2].seq == 5


async def test_an_update_is_in_force_on_the_next_connection_too() -> None:
    async def script(gateway: Gateway, peer: ServerConnection, number: int) -> None:
        await gateway.asked(2)
        if number == 0:
            await peer.close(1012, "restart")

    async with Gateway(script) as gateway, client(gateway) as ticks:
        await ticks.subscribe("bbo", ["*"], mode="conflate", class_=1)
        (result,) = await ticks.update("bbo", "*", class_=2)
        assert result.success
        await gateway.asked(3)
        first, update, again = gateway.requests
    assert (update["method"], update["params"]) == (
        "update",
        {"channel": "bbo", "symbol": ["*"], "class": 2},
    )
    assert again["params"] == first["params"] | {"class": 2}


async def test_the_first_failure_is_the_callers(silent: str) -> None:
    with pytest.raises(ConnectFailed, match="did not answer within") as caught:
        await Client(silent, timeout_s=0.1).__aenter__()
    assert caught.value.retryable
    with pytest.raises(ConnectFailed, match="isn't a valid URI") as caught:
        await Client("http://127.0.0.1").__aenter__()
    assert not caught.value.retryable
    async with Gateway() as gateway:
        gateway.refuse_with = 400
        with pytest.raises(ConnectFailed, match="HTTP 400"):
            await Client(gateway.url).__aenter__()
        url = gateway.url
    with pytest.raises(ConnectFailed) as caught:
        await Client(url).__aenter__()
    assert caught.value.retryable


async def test_a_server_without_hello_is_no_gateway() -> None:
    async def echo(peer: ServerConnection) -> None:
        await peer.send("welcome")
        await peer.wait_closed()

    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed, match="it sent no hello"):
            await Client(f"ws://127.0.0.1:{port}/v1").__aenter__()
