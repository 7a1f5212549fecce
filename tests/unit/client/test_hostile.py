"""The client against gateways that are wrong, or none: what its user is told, and what it does."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
from support.byte_server import TIMEOUT_S, Peer, Script, Server
from support.from_server import served
from support.sans_client import upgrade
from support.wire import BINARY, CLOSE, TEXT, frame

from gateway.client import (
    Backoff,
    Client,
    ConnectFailed,
    Disconnected,
    Gap,
    Hello,
    Malformed,
    Trade,
)


def message(**members: object) -> bytes:
    return served(TEXT, json.dumps(members).encode())


def hello(heartbeat_ms: int = 1000) -> bytes:
    data = {"version": "0", "connection_id": "c", "epoch": "e", "now": 1}
    data |= {"heartbeat_ms": heartbeat_ms}
    return message(channel="system", type="hello", data=[data])


def tick(seq: int) -> bytes:
    times = {"ts_event": 1, "ts_recv": 2, "ts_send": 3}
    data = [{"price": "1.5", "qty": "2"}]
    return message(channel="trade", type="update", symbol="A.SIM", seq=seq, **times, data=data)


async def refused(script: Script) -> ConnectFailed:
    async with Server(script) as server:
        with pytest.raises(ConnectFailed) as caught:
            await Client(server.url, timeout_s=TIMEOUT_S).__aenter__()
        return caught.value


async def told(script: Script, **options: Any) -> list[Any]:
    """All events of one connection."""
    async with Server(script) as server, Client(server.url, reconnect=False, **options) as client:
        return [event async for event in client]


@pytest.mark.parametrize(
    ("answer", "retryable", "retry_s"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", True, None),
        (b"HTTP/1.1 101 X\r\n" + b"X: y\r\n" * 100_000, True, None),
        (b"", True, None),
        (b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", False, None),
        (b"HTTP/1.1 301 X\r\nLocation: ws://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", False, None),
        (b"HTTP/1.1 404 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", False, 1),
        (b"HTTP/1.1 429 X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", True, 7),
        (b"HTTP/1.1 502 X\r\n\r\nuntil the end of the stream", True, None),
        (b"HTTP/1.1 503 X\r\nRetry-After: 99\r\nContent-Length: 1\r\n\r\nx", True, 61),
    ],
)
async def test_what_an_answer_means_for_another_try(
    answer: bytes, retryable: bool, retry_s: float | None
) -> None:
    async def script(peer: Peer) -> None:
        with contextlib.suppress(ConnectionError):
            await peer.send(answer)
            peer.half_close()
            await peer.ended()

    failed = await refused(script)
    assert (failed.retryable, failed.retry_s) == (retryable, retry_s)


async def test_another_subprotocol_is_no_gateway_s() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(upgrade(peer.request, "Sec-WebSocket-Protocol: mqtt") + hello())
        with contextlib.suppress(ConnectionError):
            await peer.ended()

    failed = await refused(script)
    assert not failed.retryable
    assert "unsupported subprotocol: mqtt" in str(failed)


@pytest.mark.parametrize(
    ("first", "retryable", "text"),
    [
        (served(CLOSE, b"\x03\xf4restart"), True, "1012 restart"),
        (served(CLOSE, b"\x11\x94no"), False, "4500 no"),
        (served(CLOSE), True, "1005"),
        (frame(TEXT, b"{}"), True, "incorrect masking"),
        (served(TEXT, b"welcome"), False, "it sent no hello"),
    ],
)
async def test_what_stands_in_the_place_of_a_hello(
    first: bytes, retryable: bool, text: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.open(first)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await peer.frame()

    failed = await refused(script)
    assert failed.retryable is retryable
    assert text in str(failed)


async def test_a_gateway_that_opens_and_says_nothing() -> None:
    async def script(peer: Peer) -> None:
        await peer.open()
        with contextlib.suppress(ConnectionError):
            await peer.ended()

    async with Server(script) as server:
        with pytest.raises(ConnectFailed, match="did not answer within") as caught:
            await Client(server.url, timeout_s=0.05).__aenter__()
        assert caught.value.retryable


async def test_ticks_in_the_same_packet_as_the_hello_are_not_lost() -> None:
    async def script(peer: Peer) -> None:
        await peer.open(hello() + b"".join(map(tick, range(1, 200))))
        await peer.send(tick(200) + served(CLOSE, b"\x03\xe8"))
        assert (await peer.frame())[0] == CLOSE

    first, *ticks, last = await told(script)
    assert isinstance(first, Hello)
    assert [one.seq for one in ticks if isinstance(one, Trade)] == list(range(1, 201))
    assert last == Disconnected(1000, "", None)


async def test_what_came_before_a_close_is_told_although_nothing_can_be_sent() -> None:
    """The gap asks for its topic again, on a connection that is closed by the same packet."""

    async def script(peer: Peer) -> None:
        await peer.open(hello())
        asked = json.loads((await peer.frame())[1])
        reply = {"method": "subscribe", "req_id": asked["req_id"], "success": True}
        results = [{"symbol": "A.SIM", "success": True}]
        ticks = tick(1) + tick(5) + tick(6)
        await peer.send(message(**reply, results=results) + ticks + served(CLOSE, b"\x03\xe8"))
        assert (await peer.frame())[0] == CLOSE

    async with Server(script) as server, Client(server.url) as client:
        await client.subscribe("trade", "A.SIM")
        events = [event async for event in client]
    assert [type(event) for event in events] == [Hello, Trade, Gap, Trade, Trade, Disconnected]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (frame(TEXT, b"{}"), "incorrect masking"),
        (served(TEXT, length=1 << 63, width=8), "frame with 9223372036854775808 bytes"),
        (served(TEXT, b'{"channel":"\xff"}'), "text is not UTF-8"),
        (b"", "connection lost"),
    ],
)
@pytest.mark.threat("S5")
async def test_a_gateway_that_breaks_a_rule_is_left_and_tried_again(
    wrong: bytes, reason: str
) -> None:
    connections = [0]

    async def script(peer: Peer) -> None:
        connections[0] += 1
        if connections[0] == 1:
            await peer.open(hello() + tick(1) + wrong)
            peer.half_close()
            await peer.ended()
        else:
            await peer.open(hello() + tick(2))
            assert (await peer.frame())[0] == CLOSE

    backoff = Backoff(0.01, 0.02)
    async with Server(script) as server, Client(server.url, backoff=backoff) as client:
        events: list[Any] = [await anext(client) for _ in range(5)]
    _, before, gone, again, after = events
    assert (before.seq, after.seq) == (1, 2)
    assert gone.code == 1006
    assert reason in gone.reason
    assert gone.retry_s is not None
    assert isinstance(again, Hello)


@pytest.mark.parametrize("encoding", ["json", "sbe"])
@pytest.mark.threat("S5")
async def test_what_is_no_message_of_ours_is_told_and_borne(encoding: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.open(hello() + served(BINARY, b"\x00\xff") + served(TEXT, b"[") + tick(1))
        await peer.send(served(CLOSE, b"\x03\xe8"))
        assert (await peer.frame())[0] == CLOSE

    events = await told(script, encoding=encoding)
    kinds = [type(event) for event in events]
    assert kinds == [Hello, Malformed, Malformed, Trade, Disconnected]


async def test_time_that_the_consumer_takes_is_no_silence_of_the_gateway() -> None:
    """Messages that were read before a long pause must not make the connection look dead."""
    count = 40

    async def script(peer: Peer) -> None:
        await peer.open(hello(heartbeat_ms=100) + b"".join(map(tick, range(1, count + 1))))
        await asyncio.sleep(0.95)
        for _ in range(3):
            await peer.send(message(channel="heartbeat"), pause_s=0.1)
        await peer.send(served(CLOSE, b"\x03\xe8"))
        assert await peer.frame() == (CLOSE, b"\x03\xe8"), "it did not close by itself"

    few = count - 1
    async with (
        Server(script) as server,
        Client(server.url, reconnect=False, events_max=few) as client,
    ):
        await asyncio.sleep(0.6)
        events = [event async for event in client]
    assert events[-1] == Disconnected(1000, "", None)
    assert len(events) == count + 2
