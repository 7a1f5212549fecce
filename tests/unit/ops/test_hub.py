"""Sessions over real sockets."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from support.reports import slow, stall, step, worker
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway._native import CHANNELS
from gateway.ops import http, hub
from gateway.ops.http import OpsServer
from gateway.ops.live import Live
from gateway.options import OpsOptions

FOLLOW = {"channel": "ops", "symbol": ["*"]}


@pytest.fixture
async def server(site: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpsServer]:
    # A second's work as often as the machine can: what is tested is order, not time.
    monkeypatch.setattr(http, "SAMPLE_INTERVAL_S", 0.01)
    monkeypatch.setattr("gateway.ops.objective.EARLY_S", 0.95)
    async with OpsServer(OpsOptions(port=0), site.subject) as server:
        yield server


def url(server: OpsServer) -> str:
    return server.url.replace("http", "ws", 1) + "v1"


async def opened(server: OpsServer, **options: Any) -> ClientConnection:
    """A session that has had its hello."""
    connection = await connect(url(server), **({"compression": None} | options))
    hello = await message(connection)
    assert (hello["channel"], hello["type"]) == ("system", "hello")
    return connection


async def message(connection: ClientConnection) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(await asyncio.wait_for(connection.recv(), 15))
    return loaded


async def of(connection: ClientConnection, **wanted: Any) -> dict[str, Any]:
    """The next message with these values; others are passed over."""
    while True:
        one = await message(connection)
        if wanted.items() <= one.items():
            return one


async def ask(connection: ClientConnection, method: str, **params: Any) -> dict[str, Any]:
    await connection.send(json.dumps({"method": method, "req_id": 1, "params": params}))
    return await of(connection, method=method)


async def until(condition: Any) -> None:
    for _ in range(1500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to be")


async def end(connection: ClientConnection) -> tuple[int, str]:
    """Code and reason of the close frame; what comes before it is passed over."""
    try:
        while True:
            await message(connection)
    except ConnectionClosed as error:
        return (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")


async def test_hello_reply_snapshot_updates(server: OpsServer, site: Any) -> None:
    async with await opened(server) as connection:
        reply = await ask(connection, "subscribe", **FOLLOW)
        assert reply["results"][0]["success"] is True
        # A heartbeat may come in between: until it follows, it is sent nothing else.
        first = await of(connection, channel="ops")
        assert first["type"] == "snapshot"
        site.pages["worker-0"].set("connections", 0, 42)
        second = await of(connection, channel="ops")
        assert second["type"] == "update"
        assert second["ts_send"] >= first["ts_send"]
        while (data := (await of(connection, channel="ops"))["data"][0])["connections"] != 42:
            continue
        assert data["version"] == "1.2.3"
        assert data["ready"] is True
        assert data["slo"]["enforce"] is True
        assert [each["class"] for each in data["slo"]["classes"]] == [0, 1, 2, 3]
        assert data["controller"][0]["intervals_ms"] == [0, 0, 0, 0]
        assert set(data["stages"]) == {"wire", "ingest", "ring", "fanout", "total"}
        assert set(data["channels"]) == set(CHANNELS)
        assert [each["name"] for each in data["processes"]] == ["worker-0", "supervisor"]
        assert data["point"]["heat"] == []
        assert (data["history"], data["slowest"], data["stalls"]) == ([], [], [])


async def test_what_children_say_is_shown(server: OpsServer, site: Any) -> None:
    site.supervision.children[0].status = worker(
        slowest=tuple(slow(f"c-{n}", age_ms=n) for n in range(20)),
        ladder=(step(5),),
        stalls=(stall(6),),
    )
    async with await opened(server) as connection:
        await ask(connection, "subscribe", **FOLLOW)
        while not (data := (await of(connection, channel="ops"))["data"][0])["history"]:
            continue
    assert [each["age_ms"] for each in data["slowest"]] == list(range(19, 9, -1))
    assert data["slowest"][0]["worker"] == "worker-0"
    assert data["history"][0]["kind"] == "ladder"
    assert data["stalls"][0]["process"] == "worker-0"


async def test_nothing_is_made_while_nobody_follows(
    server: OpsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0
    document = Live.document

    def count(*args: Any) -> Any:
        nonlocal made
        made += 1
        return document(*args)

    monkeypatch.setattr(Live, "document", count)
    async with await opened(server) as connection:
        for _ in range(3):
            await of(connection, channel="heartbeat")
        assert made == 0
        await ask(connection, "subscribe", **FOLLOW)
        await of(connection, channel="ops", type="update")
        assert made > 0
        await ask(connection, "unsubscribe", **FOLLOW)
        # What was on its way came before the reply; from here on there is nothing but heartbeats.
        for _ in range(3):
            assert (await message(connection))["channel"] == "heartbeat"


async def test_many_followers_cost_one_document_a_second(
    server: OpsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    document = Live.document

    def keep(*args: Any) -> Any:
        made.append(1)
        return document(*args)

    connections = [await opened(server) for _ in range(5)]
    for connection in connections:
        await ask(connection, "subscribe", **FOLLOW)
    monkeypatch.setattr(Live, "document", keep)
    seen = [await of(each, channel="ops", type="update") for each in connections for _ in range(3)]
    stamps = {one["data"][0]["ts"] for one in seen}
    assert len(stamps) <= len(made) + 6
    for connection in connections:
        await connection.close()


async def test_slo_says_what_clients_are_told(server: OpsServer, site: Any) -> None:
    async with await opened(server) as connection:
        await ask(connection, "subscribe", channel="slo", symbol=["*"])
        report = await of(connection, channel="slo")
        assert report["type"] == "update"
        assert report["data"][0]["target_us"] == 1500
        assert report["data"][0]["hdr"]


async def test_history_over_the_wire(server: OpsServer, site: Any) -> None:
    site.pages["worker-0"].record("total_0", 1_000_000, 10)
    async with await opened(server) as connection:
        for _ in range(3):
            await of(connection, channel="heartbeat")
        reply = await ask(connection, "history", points=2)
        assert reply["success"] is True
        assert 1 <= len(reply["points"]) <= 2
        assert reply["merged"]["count"] == 10
        assert reply["from"] < reply["to"]
        refused = await ask(connection, "history", **{"from": 2, "to": 1})
        assert refused["error"]["code"] == "bad_request"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://evil.test", 403),
        ("null", 403),
        ("http://127.0.0.1.evil.test", 403),
        ("http://localhost:1", 101),
        ("own", 101),
    ],
)
async def test_origins(server: OpsServer, origin: str, status: int) -> None:
    origin = server.url.rstrip("/") if origin == "own" else origin
    if status == 101:
        async with await opened(server, origin=origin):
            return
    with pytest.raises(InvalidStatus) as refused:
        await opened(server, origin=origin)
    assert refused.value.response.status_code == status


async def test_a_page_may_come_from_the_name_that_it_was_asked_for_by(server: OpsServer) -> None:
    port = server.url.rpartition(":")[2].strip("/")

    async def status(origin: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        lines = [
            "GET /v1 HTTP/1.1",
            f"Host: gateway.test:{port}",
            f"Origin: {origin}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==",
            "Sec-WebSocket-Version: 13",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await reader.readline()
        writer.close()
        return head.split()[1]

    assert await status(f"https://gateway.test:{port}") == b"101"
    assert await status("https://gateway.test:1") == b"403"


@pytest.mark.parametrize(
    ("offered", "echoed"),
    [
        (None, None),
        (["tickgate.v1.json"], "tickgate.v1.json"),
        (["x", "tickgate.v1.json"], "tickgate.v1.json"),
    ],
)
async def test_subprotocols(server: OpsServer, offered: Any, echoed: str | None) -> None:
    async with await opened(server, subprotocols=offered) as connection:
        assert connection.subprotocol == echoed


async def test_an_unknown_subprotocol_is_a_400(server: OpsServer) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await opened(server, subprotocols=["tickgate.v9.json"])
    assert refused.value.response.status_code == 400


async def test_sessions_are_bounded(server: OpsServer) -> None:
    connections = [await opened(server) for _ in range(hub.SESSIONS_MAX)]
    with pytest.raises(InvalidStatus) as refused:
        await opened(server)
    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["Retry-After"] == "5"
    await connections.pop().close()
    await until(lambda: server.connections < hub.SESSIONS_MAX)
    connections.append(await opened(server))
    for connection in connections:
        await connection.close()


async def test_what_is_too_big_or_binary_ends_the_session(server: OpsServer) -> None:
    for data, code in (("x" * (http.LIMITS.message_bytes + 1), 1009), (b"x", 1003)):
        connection = await opened(server)
        await connection.send(data)
        assert (await end(connection))[0] == code


async def test_fragments_without_end_end_the_session(server: OpsServer) -> None:
    connection = await opened(server)
    await connection.send([""] * http.LIMITS.fragments_max)
    assert await end(connection) == (1009, "message of more than 64 fragments")


async def test_a_message_in_a_few_fragments_is_one(server: OpsServer) -> None:
    async with await opened(server) as connection:
        await connection.send(['{"method":', '"ping"}'])
        assert (await of(connection, method="ping"))["success"] is True


async def test_a_flood_of_pings_ends_the_session(server: OpsServer) -> None:
    connection = await opened(server)
    with suppress(ConnectionClosed):
        for _ in range(5 * http.LIMITS.control_frames_per_s):
            await connection.ping()
    assert (await end(connection))[0] == 4029


async def test_who_reads_nothing_costs_the_others_nothing_and_is_cut(
    server: OpsServer, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "SEND_TIMEOUT_S", 1.0)
    # Messages large enough that no buffer of the kernel's hides them for long.
    site.supervision.problems = ["x" * 200_000]
    host, port = "127.0.0.1", int(server.url.rpartition(":")[2].strip("/"))
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((host, port))
    sock.setblocking(False)
    slow = await opened(server, sock=sock, max_queue=1)
    slow.transport.pause_reading()
    async with await opened(server) as fast:
        for connection in (slow, fast):
            await connection.send(json.dumps({"method": "subscribe", "params": FOLLOW}))
        for _ in range(30):
            await of(fast, channel="ops", type="update")
        await until(lambda: server.connections == 1)
        assert (await ask(fast, "ping"))["success"] is True
    slow.transport.abort()


async def test_the_newest_takes_the_place_of_what_was_not_sent() -> None:
    class Stuck:
        def __init__(self) -> None:
            self.sent: list[bytes] = []
            self.free = asyncio.Event()

        async def send(self, payload: bytes, text: bool) -> None:
            assert text
            self.sent.append(payload)
            await self.free.wait()

    connection = Stuck()
    client = hub._Client(connection)  # type: ignore[arg-type]
    task = asyncio.create_task(client.send_newest())
    client.offer("ops", b"0")
    await until(lambda: connection.sent == [b"0"])
    for number in range(1, 50):
        client.offer("ops", b"%d" % number)
        client.offer("slo", b"s%d" % number)
    assert len(client.newest) == 2
    connection.free.set()
    await until(lambda: len(connection.sent) == 3)
    assert connection.sent == [b"0", b"49", b"s49"]
    task.cancel()


async def test_the_end_is_announced(site: Any) -> None:
    async with OpsServer(OpsOptions(port=0), site.subject) as server:
        connection = await opened(server)
        task = asyncio.create_task(of(connection, type="shutdown"))
        await asyncio.sleep(0)
    assert (await task)["data"][0]["reconnect_after_ms"] > 0
    assert await end(connection) == (1012, "restart")
