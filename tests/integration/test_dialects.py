"""A second dialect beside ours, on one worker, over real sockets."""

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from support import raw
from support.raw import ASK_WITHIN_S, RAW_DIALECT, VENUE
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway._native import STATS_SIZE, WAIT_SIZE, RingWriter, StatsPage, create_memory
from gateway.config import Config
from gateway.dialects.tickgate import TICKGATE
from gateway.options import LimitsOptions
from gateway.server import worker
from gateway.server.parts import WorkerParts
from gateway.session.actions import Subscribe

HEARTBEAT_S = 0.1


class House:
    """One worker, and the feed that it reads, in this process.

    Attributes:
        writer: the feed's side of the ring.
        url: where clients connect, without a path.
        drain: set to end the worker.
    """

    def __init__(self) -> None:
        self._fds = [create_memory("stats", STATS_SIZE), create_memory("wait", WAIT_SIZE)]
        page = StatsPage(self._fds[0], writable=True)
        self.writer = RingWriter(1 << 20, 64)
        self._topics = {
            name: self.writer.topic("trade", f"{name}.{VENUE}") for name in ("BTCUSDT", "ETHUSDT")
        }
        self.drain = asyncio.Event()
        self._ready = asyncio.Event()
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        self.url = f"ws://127.0.0.1:{listening.getsockname()[1]}"
        segments: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        segments.put_nowait((self.writer.epoch, os.dup(self.writer.fd)))  # the worker closes it
        self._run = worker.run(
            WorkerParts(
                index=0,
                config=Config(limits=LimitsOptions(heartbeat_ms=int(HEARTBEAT_S * 1000))),
                venues={VENUE: None},
                listen_socket=listening,
                stats=page,
                wait_fd=self._fds[1],
                event_fd=-1,
                segments=segments,
                configs=asyncio.Queue(),
                reports=lambda _: None,
                drain=self.drain,
                ready=self._ready.set,
                status=lambda _: None,
                dialects=(TICKGATE, RAW_DIALECT),
            )
        )

    def trade(self, symbol: str, n: int) -> None:
        """The feed's next trade, numbered in all its fields."""
        row = (self._topics[symbol], 0, f"{n}.50", str(n), "buy", str(n))
        assert self.writer.publish([row], time.time_ns(), time.monotonic_ns()) == []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self._run)
        async with asyncio.timeout(60):
            await self._ready.wait()
        try:
            yield
        finally:
            self.drain.set()
            async with asyncio.timeout(60):
                await running
            self.writer.close()
            for fd in self._fds:
                os.close(fd)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    async with house.serving():
        yield house


async def told(client: ClientConnection, count: int) -> list[Any]:
    """The next messages."""
    async with asyncio.timeout(60):
        return [json.loads(await client.recv(decode=True)) for _ in range(count)]


async def silent(client: ClientConnection, seconds: float) -> bool:
    """Whether nothing comes for so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await client.recv()
            return False
    return True


async def test_a_path_has_its_symbol_at_once_and_in_its_own_spelling(house: House) -> None:
    house.trade("BTCUSDT", 1)
    async with connect(f"{house.url}/raw/btcusdt") as client:
        assert await told(client, 1) == [{"s": "btcusdt", "p": "1.50", "q": "1", "t": "1"}]
        house.trade("ETHUSDT", 2)
        house.trade("BTCUSDT", 3)
        assert await told(client, 1) == [{"s": "btcusdt", "p": "3.50", "q": "3", "t": "3"}]


async def test_no_hello_no_heartbeat_and_its_own_replies(house: House) -> None:
    async with connect(f"{house.url}/raw") as client:
        assert await silent(client, 5 * HEARTBEAT_S)
        await client.send('["btcusdt","ethusdt"]')
        assert await told(client, 1) == [2]
        house.trade("ETHUSDT", 7)
        assert await told(client, 1) == [{"s": "ethusdt", "p": "7.50", "q": "7", "t": "7"}]


async def test_both_are_told_the_same_trade(house: House) -> None:
    async with connect(f"{house.url}/v1") as ours, connect(f"{house.url}/raw/btcusdt") as theirs:
        (hello,) = await told(ours, 1)
        assert hello["type"] == "hello"
        await ours.send(
            '{"method":"subscribe","params":{"channel":"trade","symbol":["BTCUSDT.TEST"]}}'
        )
        assert (await told(ours, 1))[0]["success"]
        house.trade("BTCUSDT", 5)
        (raw,) = await told(theirs, 1)
        while (message := (await told(ours, 1))[0])["channel"] != "trade":
            assert message["channel"] == "heartbeat"
        assert message["symbol"] == "BTCUSDT.TEST"
        assert message["data"][0]["price"] == raw["p"] == "5.50"


async def test_its_session_is_woken_when_it_asked_for_that(house: House) -> None:
    begun_s = time.monotonic()
    async with connect(f"{house.url}/raw") as late, connect(f"{house.url}/raw") as good:
        await good.send('["btcusdt"]')
        assert await told(good, 1) == [1]
        with pytest.raises(ConnectionClosed):
            await told(late, 1)
        assert (late.close_code, late.close_reason) == (1008, "asked for nothing")
        assert time.monotonic() - begun_s >= ASK_WITHIN_S
        assert await silent(good, 0.6), "it has asked in time"


async def test_the_end_comes_without_a_notice(house: House) -> None:
    async with connect(f"{house.url}/raw/btcusdt") as client:
        house.drain.set()
        with pytest.raises(ConnectionClosed):
            await told(client, 1)
        assert (client.close_code, client.close_reason) == (1012, "service restart")


async def test_a_channel_that_its_format_lacks_is_our_mistake_not_a_crash(house: House) -> None:
    def subscribe(*_: object) -> Any:
        return Subscribe(b"", (), ((0, "bbo", f"BTCUSDT.{VENUE}", False, True, True, 0, 0, 0),))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw.RawSession, "_subscribe", subscribe)
        async with connect(f"{house.url}/raw/btcusdt") as client:
            with pytest.raises(ConnectionClosed):
                await told(client, 1)
            assert client.close_code == 1011


@pytest.mark.parametrize("path", ["/", "/v2", "/v1/x", "/rawx"])
async def test_other_paths_name_those_that_there_are(house: House, path: str) -> None:
    with pytest.raises(InvalidStatus) as error:
        await connect(f"{house.url}{path}")
    assert error.value.response.status_code == 404
    assert error.value.response.body == b"the endpoint is /v1 or /raw or /raw/*\n"


async def test_a_subprotocol_is_known_where_its_format_is(house: House) -> None:
    async with connect(f"{house.url}/v1", subprotocols=["tickgate.v1.json"]) as client:  # type: ignore[list-item]
        assert client.subprotocol == "tickgate.v1.json"
    with pytest.raises(InvalidStatus) as error:
        await connect(f"{house.url}/raw", subprotocols=["tickgate.v1.json"])  # type: ignore[list-item]
    assert error.value.response.status_code == 400
