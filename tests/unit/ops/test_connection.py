"""A WebSocket of the ops listener, by whoever serves it, and against clients that mean no good."""

import asyncio
import logging
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from support.wire import CONT, PING, PONG, TEXT, close, frame, request, text

from gateway.ops import connection, exchange, hub
from gateway.ops.connection import MESSAGES_QUEUED_MAX, Connection
from gateway.ops.exchange import DISCARDED_BYTES_MAX
from gateway.ops.http import OpsServer
from gateway.options import OpsOptions
from gateway.wire.response import Response

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Stream:
    """Hands each connection to a test, which sets `over` when it has had enough."""

    def __init__(self) -> None:
        self.connections: asyncio.Queue[Connection] = asyncio.Queue()
        self.over = asyncio.Event()

    def refuse(self, _: Any) -> Response | None:
        return None

    async def serve(self, one: Connection) -> None:
        self.connections.put_nowait(one)
        await self.over.wait()


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
async def server(
    site: Any, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OpsServer]:
    monkeypatch.setattr(exchange, "EXCHANGE_TIMEOUT_S", 60)  # not what ends anything here
    site.subject.streams = {"/stream": stream}
    async with OpsServer(OpsOptions(port=0), site.subject) as server:
        yield server


async def opened(server: OpsServer, data: bytes = b"", receive_bytes: int = 0) -> Peer:
    sock = socket.socket()
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.setblocking(False)
    port = int(server.url.rpartition(":")[2].strip("/"))
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 12)
    writer.write(data)
    return reader, writer


async def streaming(server: OpsServer, stream: Stream, **options: int) -> tuple[Peer, Connection]:
    """A client at /stream that has had its 101, and the server's side of it."""
    reader, writer = await opened(server, request("/stream"), **options)
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    return (reader, writer), await asyncio.wait_for(stream.connections.get(), 10)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (the server's state has no event)
            await asyncio.sleep(0.01)


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends it by RST."""
    sock = writer.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_a_send_ends_when_the_kernel_has_taken_it(server: OpsServer, stream: Stream) -> None:
    (reader, writer), one = await streaming(server, stream, receive_bytes=4096)
    sent = 0
    while True:
        sending = asyncio.create_task(one.send(bytes(1000)))
        sent += 1000
        if not (await asyncio.wait([sending], timeout=0.2))[0]:
            break
    assert 0 < one._transport.get_write_buffer_size() <= 1004  # nothing before it waits here
    got = 0
    while got < sent:
        got += len(await asyncio.wait_for(reader.read(1 << 20), 10))
    await asyncio.wait_for(sending, 10)
    assert one._transport.get_write_buffer_size() == 0
    writer.transport.abort()


async def test_messages_wait_in_order_and_few_of_them(server: OpsServer, stream: Stream) -> None:
    (_, writer), one = await streaming(server, stream)
    words = [f"{number}" for number in range(50)]
    for word in words:
        writer.write(text(word))
        await asyncio.sleep(0)
    await until(lambda: len(one._messages) == MESSAGES_QUEUED_MAX)
    await asyncio.sleep(0.05)
    assert len(one._messages) == MESSAGES_QUEUED_MAX
    assert not one._transport.is_reading()
    assert [await asyncio.wait_for(anext(one), 10) for _ in words] == words
    assert one._transport.is_reading()
    writer.transport.abort()


async def test_a_pong_is_awaited(server: OpsServer, stream: Stream) -> None:
    (reader, writer), one = await streaming(server, stream)
    pinging = asyncio.create_task(one.ping())
    assert await asyncio.wait_for(reader.readexactly(2), 10) == b"\x89\x00"
    writer.write(text("no pong"))
    assert await asyncio.wait_for(anext(one), 10) == "no pong"
    assert not pinging.done()
    writer.write(frame(PONG))
    await asyncio.wait_for(pinging, 10)
    writer.transport.abort()


@pytest.mark.parametrize(
    "wait",
    [
        pytest.param(lambda one: anext(one), id="message"),
        pytest.param(lambda one: one.ping(), id="pong"),
        pytest.param(lambda one: one.send(bytes(8 << 20)), id="send"),
    ],
)
@pytest.mark.parametrize(
    ("end", "code"),
    [
        pytest.param(reset, 1006, id="reset"),
        pytest.param(lambda writer: writer.write_eof(), 1006, id="half-closed"),
        pytest.param(lambda writer: writer.write(close(1001)), 1001, id="goodbye"),
        pytest.param(lambda writer: writer.write(frame(CONT)), 1002, id="broken"),
    ],
)
async def test_all_that_waits_raises_at_the_end(
    server: OpsServer,
    stream: Stream,
    wait: Callable[[Connection], Awaitable[object]],
    end: Callable[[asyncio.StreamWriter], None],
    code: int,
) -> None:
    (_, writer), one = await streaming(server, stream, receive_bytes=4096)
    waiting = asyncio.ensure_future(wait(one))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    end(writer)
    with pytest.raises(ConnectionError, match=f"{code}"):
        await asyncio.wait_for(waiting, 10)
    with pytest.raises(ConnectionError):
        await one.send(b"late")
    assert one.close_code == code
    writer.transport.abort()
    await until(one._gone.is_set)
    assert server.connections == 1  # as long as something is done for it
    stream.over.set()
    await until(lambda: server.connections == 0)


async def test_the_first_end_wins(server: OpsServer, stream: Stream) -> None:
    (reader, writer), one = await streaming(server, stream)
    closing = [asyncio.create_task(one.close(code, "why")) for code in (4000, 4001)]
    got = await asyncio.wait_for(reader.read(), 10)
    assert got == b"\x88\x05\x0f\xa0why"
    assert not any(task.done() for task in closing)
    writer.close()
    await asyncio.wait_for(asyncio.gather(*closing), 10)
    assert one.close_code == 4000


async def test_a_reset_at_the_end_is_an_end(
    server: OpsServer, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    (_, writer), one = await streaming(server, stream)

    def write_eof() -> None:
        raise OSError(107, "Transport endpoint is not connected")

    monkeypatch.setattr(one._transport, "write_eof", write_eof)
    closing = asyncio.create_task(one.close())
    await asyncio.sleep(0)
    reset(writer)
    await asyncio.wait_for(closing, 10)


async def test_who_does_not_hang_up_is_cut(
    server: OpsServer, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CLOSE_TIMEOUT_S", 0.2)
    (_, writer), one = await streaming(server, stream, receive_bytes=4096)
    sending = asyncio.create_task(one.send(bytes(8 << 20)))  # and takes nothing either
    await asyncio.sleep(0)
    await asyncio.wait_for(one.close(), 10)
    with pytest.raises(ConnectionError):
        await sending
    stream.over.set()
    await until(lambda: server.connections == 0)
    writer.transport.abort()


async def test_who_goes_on_behind_the_end_is_cut(server: OpsServer, stream: Stream) -> None:
    (_, writer), one = await streaming(server, stream)
    writer.write(close())
    await until(lambda: one.close_code == 1000)
    sent = 0
    with suppress(ConnectionError):
        while sent < 64 * DISCARDED_BYTES_MAX:
            writer.write(text("x" * 1000) * 1000)
            sent += 1_000_000
            await asyncio.wait_for(writer.drain(), 10)
    stream.over.set()
    await until(lambda: server.connections == 0)
    assert sent < 32 * DISCARDED_BYTES_MAX  # what the two kernels hold is some MiB
    writer.transport.abort()


@pytest.mark.parametrize("answers", [True, False])
async def test_without_a_pong_a_session_ends(
    server: OpsServer, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    monkeypatch.setattr(hub, "PING_INTERVAL_S", 0.02)
    monkeypatch.setattr(hub, "PONG_TIMEOUT_S", 10 if answers else 0.2)
    reader, writer = await opened(server, request())
    if answers:
        for _ in range(3):
            await asyncio.wait_for(reader.readuntil(b"\x89\x00"), 10)
            writer.write(frame(PONG))
        assert server.connections == 1
    else:
        got = await asyncio.wait_for(reader.read(1 << 20), 10)
        while b"no pong within 0.2 s" not in got:
            more = await asyncio.wait_for(reader.read(1 << 20), 10)
            assert more, got
            got += more
        assert b"\x0f\xacno pong" in got
    writer.transport.abort()


async def test_who_vanishes_while_answered_leaves_nothing(
    server: OpsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    release, asked = asyncio.Event(), asyncio.Event()

    async def respond(*_: object) -> Response:
        asked.set()
        await release.wait()
        return Response(200, bytes(1 << 20))

    monkeypatch.setattr(OpsServer, "respond", respond)
    for end in (reset, lambda writer: writer.write_eof()):
        _, writer = await opened(server, GET)
        await asyncio.wait_for(asked.wait(), 10)
        end(writer)
        await asyncio.sleep(0.05)
        release.set()
        writer.transport.abort()
        await until(lambda: server.connections == 0)
        release.clear()
        asked.clear()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.threat("I9")
async def test_a_download_under_way_ends_with_its_right(
    server: OpsServer, site: Any, stream: Stream
) -> None:
    asked: list[str] = []
    why = [""]

    def permit(_request: Any, _peer: str, right: str) -> Callable[[], str]:
        asked.append(right)
        return lambda: why[0]

    site.subject.permit = permit
    (reader, writer), one = await streaming(server, stream)
    assert set(asked) == {"recordings"}  # of a stream, whatever the path's other readers have
    await one.send(b"some")
    assert await asyncio.wait_for(reader.readexactly(6), 10) == b"\x82\x04some"
    why[0] = "recordings: not granted"
    head = await asyncio.wait_for(reader.readexactly(4), 10)
    assert head[0] == 0x88
    assert struct.unpack(">H", head[2:]) == (4501,)
    with pytest.raises(ConnectionError):
        await one.send(b"more")
    writer.transport.abort()
    stream.over.set()


async def test_the_end_of_the_listener_leaves_none(
    site: Any, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "EXCHANGE_TIMEOUT_S", 60)
    site.subject.streams = {"/stream": stream}
    async with OpsServer(OpsOptions(port=0), site.subject) as server:
        server._reader._lock.acquire()
        try:
            starts = [
                *(b"", GET[:20], GET, GET[:-2] + b"Content-Length: 9\r\n\r\n"),
                *(b"nonsense\r\n\r\n", GET.replace(b"/livez", b"/statusz")),
                *(request(), request() + text("{")[:3]),
                *(request("/stream"), request("/stream") + close()),
            ]
            peers = [await opened(server, start) for start in starts]
            await until(lambda: server.connections == len(peers))
            await asyncio.sleep(0.1)
        finally:
            # Its thread ends with the test, whatever becomes of the answer.
            asyncio.get_running_loop().call_later(0.2, server._reader._lock.release)
        began_s = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began_s < 20 * hub.DRAIN_S
    await until(lambda: server.connections == 0)
    for reader, writer in peers:
        with suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 10)
        writer.transport.abort()


async def test_f64_noise_harms_nobody(server: OpsServer, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(64)
    whole = request() + text({"method": "ping"}) + frame(PING, b"x") + frame(TEXT, b"{", fin=False)
    for _ in range(200):
        data = bytearray(whole if chance.random() < 0.8 else GET * 2)
        for _ in range(chance.choice((0, 1, 1, 3, 30))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        _, writer = await opened(server)
        for at in range(0, len(data), size := chance.choice((1, 7, 100, 1000))):
            writer.write(data[at : at + size])
            if chance.random() < 0.1:
                await asyncio.sleep(0)
        chance.choice((reset, lambda writer: writer.write_eof(), lambda _: None))(writer)
        await asyncio.sleep(0.001)
        writer.transport.abort()
    await until(lambda: server.connections == 0)
    reader, writer = await opened(server, GET)
    assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"ok\n")
    writer.transport.abort()
    told = {record.message for record in caplog.records if record.levelno >= logging.WARNING}
    assert told <= {"ops.full", "origin.refused"}
