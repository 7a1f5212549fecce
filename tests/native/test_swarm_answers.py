"""What servers send that is broken or a refusal, and how clients of the swarm connect."""

import time

import pytest
from support.swarm import MS, PATIENCE_NS, connect, counter, drive, swarm
from support.swarm_server import CONT, PING, TEXT, Peer, SwarmServer, close, frame, message

from gateway._native import SWARM_COUNTERS, Swarm


def test_broken_rules_are_counted_and_answered() -> None:
    async def script(peer: Peer) -> None:
        broken = [b"\xc1\x00", frame(b"masked", 1)[:1] + b"\x84abcdefgh", frame(b"x" * 2000)]
        await peer.send(broken[peer.index])

    with SwarmServer(script) as server:
        client = swarm(server, [{}, {}, {}], frame_bytes_max=1500)
        client.connect(PATIENCE_NS)
        drive(client, lambda: len([code for p in server.peers for code in p.closes]) == 3)
        assert [peer.closes[0] for peer in server.peers] == [1002, 1002, 1009]
        total = {name: sum(group[name] for group in client.counters()) for name in SWARM_COUNTERS}
        assert (total["protocol_errors"], total["oversized"], total["closed"]) == (2, 1, 3)
        client.close()


def test_long_messages_and_fragments_come_whole() -> None:
    long = message(data=[{"E": time.time_ns()}], pad="x" * 3_000_000)
    payload = long[10:]
    pieces = [payload[at : at + 300_000] for at in range(0, len(payload), 300_000)]

    async def script(peer: Peer) -> None:
        parts = [frame(piece, TEXT if i == 0 else CONT) for i, piece in enumerate(pieces)]
        parts = [bytes((p[0] & 0x7F,)) + p[1:] for p in parts[:-1]] + parts[-1:]
        parts.insert(3, frame(b"in between", PING))
        await peer.send(long, *parts)

    with SwarmServer(script) as server:
        client = swarm(server, stamp=("json", b"data.0.E"))
        connect(client, 1)
        drive(client, lambda: counter(client, "delivered") == 2)
        assert counter(client, "bytes") == 2 * len(payload)
        drive(client, lambda: server.peers[0].pongs == [b"in between"])
        client.close()


# --- connecting -----------------------------------------------------------------------------------


def test_clients_come_from_the_sources_in_turn() -> None:
    with SwarmServer() as server:
        sources = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
        client = swarm(server, each=9, sources=sources)
        connect(client, 9)
        seen = sorted(peer.address for peer in server.peers)
        assert seen == sorted(sources * 3)
        client.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n", "HTTP 503"),
        (b"HTTP/1.1 101 OK\r\nSec-WebSocket-Accept: wrong\r\n\r\n", "no valid answer"),
        (b"SSH-2.0\r\n\r\n", "no valid answer"),
    ],
)
def test_refusals_say_why(answer: bytes, why: str) -> None:
    with SwarmServer(answer=answer) as server:
        client = swarm(server, each=3)
        assert client.connect(PATIENCE_NS) == 0
        assert client.refusals() == {why: 3}
        assert counter(client, "refused") == 3
        client.close()


def test_a_refused_handshake_is_named_with_what_the_server_said() -> None:
    answer = b"HTTP/1.1 503 Full\r\nContent-Length: 20\r\n\r\nthe room is \xe2\x82\xac full\n"
    with SwarmServer(answer=answer) as server:
        client = swarm(server, each=3)
        assert client.connect(PATIENCE_NS) == 0
        assert client.refused() == [("handshake", "HTTP 503", "the room is \u20ac full", 3)]
        client.close()


def test_refused_requests_and_closes_are_named() -> None:
    async def refuse(peer: Peer) -> None:
        error = {"code": "capacity", "message": f'no "{peer.index}" \u20ac', "retryable": True}
        await peer.send(message(method="subscribe", req_id=1, success=False, error=error))
        await peer.send(close(4008, b"too slow"))

    with SwarmServer(refuse) as server:
        client = swarm(server, each=5)
        client.connect(PATIENCE_NS)  # some are closed again before the last one is open
        drive(client, lambda: counter(client, "closed") == 5)
        (kind, code, words, count), last = client.refused()
        assert (kind, code, count) == ("reply", "capacity", 5)
        assert words is not None
        assert words.startswith('no "')
        assert words.endswith('" \u20ac')
        assert last == ("close", "4008", "too slow", 5)
        client.close()


def test_nobody_listening_is_a_refusal(opened: list[Swarm]) -> None:
    with SwarmServer() as server:
        pass
    client = swarm(server, each=3)
    opened.append(client)
    assert client.connect(PATIENCE_NS) == 0
    assert client.refusals() == {"ECONNREFUSED": 3}


def test_an_answer_is_not_checked_without_a_key() -> None:
    with SwarmServer(answer=b"HTTP/1.1 101 OK\r\n\r\n") as server:
        client = swarm(server, accept=b"")
        assert client.connect(PATIENCE_NS) == 1
        client.close()


def test_connecting_ends_at_its_timeout() -> None:
    with SwarmServer(answer=b"") as server:
        client = swarm(server, each=3)
        start = time.monotonic_ns()
        assert client.connect(50 * MS) == 0
        assert time.monotonic_ns() - start >= 50 * MS
        assert client.refusals() == {}
        client.close()


def test_a_rate_of_connecting_is_kept() -> None:
    with SwarmServer() as server:
        client = swarm(server, each=10, connect_rate=100)
        start = time.monotonic_ns()
        connect(client, 10)
        assert time.monotonic_ns() - start >= 80 * MS
        client.close()
