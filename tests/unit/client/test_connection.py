"""A connection of the client's over real sockets, on both loops, against servers of bare bytes."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from support.byte_server import TIMEOUT_S, Peer, Script, Server
from support.from_server import served
from support.sans_client import LIMITS, sent, upgrade
from support.wire import BINARY, CLOSE, PING, PONG, TEXT

from gateway.client import connection as module
from gateway.client.connection import (
    WAITING_BYTES_MAX,
    Closed,
    Connection,
    HandshakeRefused,
    connect,
)
from gateway.wire.client_handshake import NO_HTTP
from gateway.wire.client_side import ClientLimits, ClientSide

JSON = "tickgate.v1.json"
LARGE = ClientLimits(16 << 20, 100)
MESSAGES = [b"%d" % number for number in range(20)]
BYE = served(CLOSE, b"\x0f\xa8slow")

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test's coroutine on one of the loops."""
    factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop

    def run(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.wait_for(main, 2 * TIMEOUT_S))

    return run


async def everything(connection: Connection) -> tuple[list[str | bytes], Closed]:
    """All messages, and how it ended."""
    messages: list[str | bytes] = []
    while True:
        try:
            messages += await connection.receive()
        except Closed as closed:
            return messages, closed


def told(run: Run, script: Script, limits: ClientLimits = LIMITS) -> tuple[list[Any], int, str]:
    """What a client makes of this server: messages, code and reason."""
    found: list[tuple[list[str | bytes], Closed]] = []

    async def main() -> None:
        async with Server(script) as server:
            found.append(await everything(await connect(server.url, [JSON], limits)))

    run(main())
    ((messages, closed),) = found
    return messages, closed.code, closed.reason


# --- the handshake --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", NO_HTTP),
        (b"\x00" * 100_000, NO_HTTP),
        (b"HTTP/1.1 101 X\r\n" + b"X: y\r\n" * 100_000, NO_HTTP),
        (b"", NO_HTTP),
        (b"HTTP/1.1 101 X\r\nUpgr", NO_HTTP),
        (b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 101),
        (b"HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n", 503),
        (b"HTTP/1.1 502 Bad\r\n\r\nuntil the end", 502),
    ],
)
def test_an_answer_that_lets_nobody_in(run: Run, answer: bytes, status: int) -> None:
    async def script(peer: Peer) -> None:
        with contextlib.suppress(ConnectionError):
            await peer.send(answer)
            peer.half_close()
            await peer.ended()

    async def main() -> None:
        async with Server(script) as server:
            with pytest.raises(HandshakeRefused) as caught:
                await connect(server.url, [JSON], LIMITS)
            assert caught.value.refused.status == status

    run(main())


@pytest.mark.parametrize(
    ("accept", "lines"),
    [("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", ()), (None, ("Sec-WebSocket-Protocol: mqtt",))],
)
def test_an_upgrade_to_something_else(run: Run, accept: str | None, lines: tuple[str, ...]) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(upgrade(peer.request, *lines, accept=accept))
        with contextlib.suppress(ConnectionError):
            assert await peer.ended() == b"", "not a word more"

    async def main() -> None:
        async with Server(script) as server:
            with pytest.raises(HandshakeRefused) as caught:
                await connect(server.url, [JSON], LIMITS)
            assert caught.value.refused.status == 101

    run(main())


def test_a_reset_instead_of_an_answer(run: Run) -> None:
    async def script(peer: Peer) -> None:
        peer.reset()

    async def main() -> None:
        async with Server(script) as server:
            with pytest.raises((ConnectionError, HandshakeRefused)):
                await connect(server.url, [JSON], LIMITS)

    run(main())


def test_a_connect_that_is_given_up_leaves_nothing(run: Run) -> None:
    async def script(peer: Peer) -> None:
        with contextlib.suppress(ConnectionError):
            assert await peer.ended() == b""

    async def main() -> None:
        async with Server(script) as server:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await connect(server.url, [JSON], LIMITS)

    run(main())


def test_tls_to_a_server_that_has_none(run: Run) -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OSError):  # noqa: PT011 its words are OpenSSL's
            await connect(f"wss://127.0.0.1:{port}/v1", [JSON], LIMITS)
        server.close()
        await server.wait_closed()

    run(main())


def test_a_unix_socket(run: Run, tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.open(served(TEXT, b"hello") + BYE)
        assert await peer.frame() == (CLOSE, b"\x0f\xa8slow")

    async def main() -> None:
        path = tmp_path / "socket"
        async with Server(script, path) as server:
            connection = await connect(server.url, [JSON], LIMITS, unix=str(path))
            messages, closed = await everything(connection)
            assert (messages, closed.code) == (["hello"], 4008)

    run(main())


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["with the answer", "behind it", "byte by byte"])
def test_messages_and_a_close_however_they_come(run: Run, way: str) -> None:
    frames = b"".join(served(BINARY, message) for message in MESSAGES) + BYE

    async def script(peer: Peer) -> None:
        whole = upgrade(peer.request) + frames
        if way == "with the answer":
            await peer.send(whole)
        elif way == "behind it":
            await peer.open()
            await peer.send(frames, pause_s=0.01)
        else:
            peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await peer.send(*(whole[at : at + 1] for at in range(len(whole))))
        assert await peer.frame() == (CLOSE, b"\x0f\xa8slow"), "the echo"

    assert told(run, script) == (MESSAGES, 4008, "slow")


@pytest.mark.parametrize(
    ("last", "answer", "code", "reason"),
    [
        (served(CLOSE), b"", 1005, ""),
        (served(CLOSE, b"\x03\xe8"), b"\x03\xe8", 1000, ""),
        (
            served(TEXT, b"x", length=1 << 63, width=8),
            b"\x03\xf1",
            1006,
            "exceeds limit of 20000 bytes",
        ),
        (b"\x81\x81\x00\x00\x00\x00x", b"\x03\xea", 1006, "incorrect masking"),
        (served(3), b"\x03\xea", 1006, "invalid opcode"),
        (served(TEXT, b"\xff"), b"\x03\xef", 1006, "text is not UTF-8"),
    ],
)
def test_how_it_ends(run: Run, last: bytes, answer: bytes, code: int, reason: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.open(served(TEXT, b"1") + last + served(TEXT, b"2"))
        opcode, payload = await peer.frame()
        assert (opcode, payload[:2]) == (CLOSE, answer)

    messages, told_code, told_reason = told(run, script)
    assert messages == ["1"]
    assert told_code == code
    assert reason in told_reason


@pytest.mark.parametrize("how", ["half close", "reset"])
def test_a_connection_that_ends_without_a_word_is_lost(run: Run, how: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.open(served(TEXT, b"1") + served(TEXT, b"2")[:2])
        await asyncio.sleep(0.02)
        if how == "reset":
            peer.reset()
            return
        peer.half_close()
        assert await peer.ended() == b"", "it ends the stream as well"

    assert told(run, script) == (["1"], 1006, "connection lost")


def test_pings_are_answered(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.open(served(PING, b"a") + served(TEXT, b"x") + served(PING, b"b"))
        assert await peer.frame() == (PONG, b"b")
        await peer.send(served(PING, b"c"))
        assert await peer.frame() == (PONG, b"c")
        await peer.send(BYE)
        assert (await peer.frame())[0] == CLOSE

    assert told(run, script) == (["x"], 4008, "slow")


def test_a_message_that_is_longer_than_all_that_may_wait(run: Run) -> None:
    payload = bytes(range(256)) * 4096 * 4

    async def script(peer: Peer) -> None:
        await peer.open(served(BINARY, payload) + served(TEXT, b"x"))
        await peer.send(served(BINARY, payload) + BYE)
        assert (await peer.frame())[0] == CLOSE

    assert told(run, script, LARGE) == ([payload, "x", payload], 4008, "slow")


def test_nothing_more_is_read_while_much_waits_to_be_taken(run: Run) -> None:
    count, payload = 20_000, b"x" * 1000
    gone = [0]

    async def script(peer: Peer) -> None:
        await peer.open(served(TEXT, b"first"))
        for number in range(count):
            await peer.send(served(BINARY, b"%d" % number + payload))
            gone[0] = number
        await peer.send(BYE)
        assert (await peer.frame())[0] == CLOSE

    async def main() -> None:
        async with Server(script) as server:
            connection = await connect(server.url, [JSON], LIMITS)
            assert await connection.receive_one() == "first"
            before = -1
            while before < gone[0]:  # until the kernel's buffers are full
                before = gone[0]
                await asyncio.sleep(0.1)
            assert gone[0] < count - 1
            taken = await connection.receive()
            assert sum(map(len, taken)) <= 2 * WAITING_BYTES_MAX
            rest, closed = await everything(connection)
            assert [*taken, *rest] == [b"%d" % number + payload for number in range(count)]
            assert closed.code == 4008

    run(main())


# --- sending and closing --------------------------------------------------------------------------


def test_texts_arrive_and_a_close_is_answered(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.open()
        for text in ("hello", "x" * 70_000, "\u20ac"):
            assert await peer.frame() == (TEXT, text.encode())
        assert await peer.frame() == (CLOSE, b"\x03\xe8")
        await peer.send(served(CLOSE, b"\x03\xe8bye"))

    async def main() -> None:
        async with Server(script) as server:
            connection = await connect(server.url, [JSON], LIMITS)
            for text in ("hello", "x" * 70_000, "\u20ac"):
                await connection.send(text)
            await connection.close()
            for action in (connection.send("x"), connection.receive(), connection.receive_one()):
                with pytest.raises(Closed, match="1000 bye"):
                    await action
            await connection.close()  # again is as good as once
            connection.abort()

    run(main())


def test_a_server_that_never_reads(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.1)
    over = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.open()
        await over.wait()
        peer.reset()

    async def main() -> None:
        async with Server(script) as server:
            connection = await connect(server.url, [JSON], LIMITS)
            sending = asyncio.create_task(send_for_ever(connection))
            await asyncio.sleep(0.2)
            assert not sending.done(), "it waits"
            await connection.close(1001, "you don't read")
            with pytest.raises(Closed, match="1006 you don't read"):
                await sending
            with pytest.raises(Closed, match="1006 you don't read"):
                await connection.receive()
            over.set()

    async def send_for_ever(connection: Connection) -> None:
        while True:
            await connection.send("x" * 100_000)

    run(main())


def test_a_close_that_nobody_answers_takes_its_time_and_no_more(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.1)

    async def script(peer: Peer) -> None:
        await peer.open(served(TEXT, b"1"))
        assert await peer.frame() == (CLOSE, b"\x03\xe9no heartbeat")
        with contextlib.suppress(ConnectionError):
            while True:  # goes on as if nothing had been said
                await peer.send(served(TEXT, b"more" * 1000))

    async def main() -> None:
        async with Server(script) as server:
            connection = await connect(server.url, [JSON], LIMITS)
            reading = asyncio.create_task(everything(connection))
            await asyncio.sleep(0.02)
            began = asyncio.get_running_loop().time()
            await connection.close(1001, "no heartbeat")
            assert asyncio.get_running_loop().time() - began >= 0.09
            messages, closed = await reading
            assert messages == ["1"], "what comes behind our close is discarded"
            assert (closed.code, closed.reason) == (1006, "no heartbeat")

    run(main())


PATIENT_S = 60.0


def test_a_close_is_seen_although_nothing_is_taken(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.open(served(TEXT, b"x" * 1000) * 500)
        opcode, _ = await peer.frame()
        assert opcode == CLOSE
        await peer.send(served(CLOSE, b"\x03\xe8"))

    async def main() -> None:
        async with Server(script) as server:
            connection = await connect(server.url, [JSON], LIMITS)
            await asyncio.sleep(0.1)
            async with asyncio.timeout(PATIENT_S / 2):
                await connection.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CLOSE_TIMEOUT_S", PATIENT_S)
        run(main())


class Recorder(asyncio.Transport):
    """A transport that only keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False


async def test_of_the_pongs_for_a_server_that_reads_none_one_is_kept() -> None:
    def feed(data: bytes) -> None:
        connection.get_buffer(-1)[: len(data)] = data
        connection.buffer_updated(len(data))

    side = ClientSide("ws://gateway.test/v1", [JSON], LIMITS)
    connection, transport = Connection(side), Recorder()
    connection.connection_made(transport)
    feed(upgrade(side.request))
    transport.written.clear()
    feed(served(PING, b"before"))
    connection.pause_writing()
    for number in range(1000):
        feed(served(PING, b"%d" % number))
    assert [sent(data) for data in transport.written] == [(PONG, b"before")]
    connection.resume_writing()
    feed(served(PING, b"behind"))
    assert [sent(data)[1] for data in transport.written] == [b"before", b"999", b"behind"]
    connection.connection_lost(None)
