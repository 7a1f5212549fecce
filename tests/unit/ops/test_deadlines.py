"""Whoever is slow on the ops listener, in whatever part of an exchange, meets a deadline."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from support.wire import CLOSE, CONT, PING, TEXT, frame, request, text

from gateway.ops import connection, exchange
from gateway.ops.connection import MESSAGES_QUEUED_MAX, Connection
from gateway.ops.http import OpsServer
from gateway.ops.hub import Hub
from gateway.options import OpsOptions

EXCHANGE_TIMEOUT_S = 1.0
MESSAGE_TIMEOUT_S = 0.2
ASK = text({"method": "ping"})
GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n"

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def server(site: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpsServer]:
    monkeypatch.setattr(exchange, "EXCHANGE_TIMEOUT_S", EXCHANGE_TIMEOUT_S)
    monkeypatch.setattr(connection, "MESSAGE_TIMEOUT_S", MESSAGE_TIMEOUT_S)
    async with OpsServer(OpsOptions(port=0), site.subject) as server:
        yield server


async def opened(server: OpsServer) -> Stream:
    port = int(server.url.rpartition(":")[2].strip("/"))
    return await asyncio.open_connection("127.0.0.1", port)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (the server's state has no event)
            await asyncio.sleep(0.01)


async def dribble(writer: asyncio.StreamWriter, data: bytes) -> None:
    """For ever, or until it is cut off: sends without end, and never closes."""
    with suppress(ConnectionError):
        for byte in data:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("start", "more"),
    [
        pytest.param(b"", b"", id="silent"),
        pytest.param(b"", GET * 1000, id="dribbled lines"),
        pytest.param(GET, b"", id="half a head"),
        pytest.param(GET + b"X: ", b"x" * 20_000, id="dribbled header"),
        pytest.param(GET + b"Content-Length: 9999\r\n\r\n", b"x" * 20_000, id="dribbled body"),
        pytest.param(
            GET + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 9999, id="chunks"
        ),
        pytest.param(GET + b"\r\n", b"", id="answered, and never hung up"),
        pytest.param(GET + b"\r\n", GET * 1000, id="another request, dribbled"),
        pytest.param(GET + b"Connection: keep-alive\r\n\r\n", b"", id="kept alive"),
        pytest.param(b"nonsense\r\n\r\n", b"x" * 20_000, id="refused, and goes on"),
        pytest.param(request()[:-2], b"", id="half an upgrade"),
        pytest.param(request("/nowhere"), b"\x81" * 20_000, id="refused upgrade"),
    ],
)
async def test_f57_a_slow_exchange_is_cut(server: OpsServer, start: bytes, more: bytes) -> None:
    reader, writer = await opened(server)
    await until(lambda: server.connections == 1)
    writer.write(start)
    going_on = asyncio.create_task(dribble(writer, more))
    await until(lambda: server.connections == 0)
    with suppress(ConnectionError):  # it may have been cut with bytes of ours unread
        await asyncio.wait_for(reader.read(), 10)
    going_on.cancel()
    await asyncio.gather(going_on, return_exceptions=True)
    writer.transport.abort()


async def session(server: OpsServer, upgrade: bytes = b"") -> tuple[Stream, Connection]:
    """A session that has had its hello, and the server's side of it."""
    reader, writer = await opened(server)
    writer.write(upgrade or request())
    await asyncio.wait_for(reader.readuntil(b'"hello"'), 10)
    (one,) = server.exchanges
    assert one.connection is not None
    return (reader, writer), one.connection


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(ASK[:1], id="half a header"),
        pytest.param(ASK[:6], id="a header"),
        pytest.param(ASK[:-1], id="most of a message"),
        pytest.param(frame(TEXT, b"{", fin=False), id="a fragment"),
        pytest.param(frame(CLOSE, b"xx")[:-1], id="most of a close"),
    ],
)
@pytest.mark.parametrize(
    "before",
    [
        pytest.param(b"", id="alone"),
        pytest.param(ASK, id="behind a message"),
        pytest.param(frame(PING), id="behind a ping"),
    ],
)
async def test_f23_a_message_held_open(server: OpsServer, before: bytes, begun: bytes) -> None:
    (reader, writer), _ = await session(server)
    writer.write(before + begun)
    got = await asyncio.wait_for(reader.read(), 10)
    assert b"\x03\xf0message not finished" in got
    writer.transport.abort()
    await until(lambda: server.connections == 0)


async def test_f23_held_open_from_before_the_upgrade_was_through(server: OpsServer) -> None:
    (reader, writer), _ = await session(server, request() + ASK[:5])
    assert b"\x03\xf0message not finished" in await asyncio.wait_for(reader.read(), 10)
    writer.transport.abort()


@pytest.mark.parametrize("more", [frame(PING), frame(CONT, b" ", fin=False)])
async def test_f23_held_open_with_something_between(server: OpsServer, more: bytes) -> None:
    (reader, writer), _ = await session(server)
    writer.write(frame(TEXT, b"{", fin=False))
    going_on = asyncio.create_task(dribble_frames(writer, more))
    assert b"\x03\xf0message not finished" in await asyncio.wait_for(reader.read(), 10)
    assert not going_on.done()
    going_on.cancel()
    await asyncio.gather(going_on, return_exceptions=True)
    writer.transport.abort()


async def test_a_session_has_no_deadline_of_an_exchange(server: OpsServer) -> None:
    (reader, writer), _ = await session(server)
    await asyncio.sleep(EXCHANGE_TIMEOUT_S * 1.2)
    writer.write(ASK)
    await asyncio.wait_for(reader.readuntil(b'"ping"'), 10)
    writer.transport.abort()


async def dribble_frames(writer: asyncio.StreamWriter, one: bytes) -> None:
    with suppress(ConnectionError):
        for _ in range(60):  # no more fragments than a message may have
            writer.write(one)
            await asyncio.sleep(0.02)


async def test_f23_finished_messages_leave_no_clock(server: OpsServer) -> None:
    (reader, writer), one = await session(server)
    for whole in (ASK, frame(PING), frame(TEXT, b"{", fin=False) + frame(CONT, b"}")):
        writer.write(whole[:3])
        await until(lambda: one._timer is not None)
        writer.write(whole[3:])
        await until(lambda: one._timer is None)
    first = asyncio.create_task(reader.readuntil(b'"ping"'))
    writer.write(ASK[:3])
    await until(lambda: one._timer is not None)
    before = one._timer
    writer.write(ASK[3:] + ASK[:3])  # one ends, another begins: a clock of its own
    await until(lambda: one._timer not in (None, before))
    await asyncio.wait_for(first, 10)
    writer.transport.abort()
    await until(lambda: one._timer is None)


async def test_f23_what_waits_for_us_is_not_late(
    server: OpsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = asyncio.Event()

    async def held(*_: object) -> None:
        await release.wait()

    (_, writer), one = await session(server)
    monkeypatch.setattr(Hub, "_act", held)
    writer.write(ASK * (1 + MESSAGES_QUEUED_MAX))  # one is worked on
    await until(lambda: len(one._messages) == MESSAGES_QUEUED_MAX)
    writer.write(ASK + ASK[:3])
    await asyncio.sleep(MESSAGE_TIMEOUT_S * 2)
    assert (one._timer, one.close_code) == (None, None)
    release.set()
    await until(lambda: one._timer is not None)  # from when it is read
    writer.write(ASK[3:])
    await until(lambda: one._timer is None)
    assert one.close_code is None
    writer.transport.abort()
