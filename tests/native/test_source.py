"""The open-loop source of ticks, as Python sees it: `native/test/test_source.c` has the rest."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from support.serving import until

from gateway._native import CHANNELS, TickSource, UdpSocket, realtime_ns
from gateway.address import datagrams
from gateway.latency.histogram import Histogram

SYMBOLS = ["SYM000", "SYM001", "BRK.B"]
TRADE, BBO = CHANNELS["trade"], CHANNELS["bbo"]
TIMEOUT_S = 60.0


@pytest.fixture
def receiver() -> Iterator[UdpSocket]:
    receiver = UdpSocket(datagrams("127.0.0.1", 0))
    yield receiver
    receiver.close()


def columns(count: int, start_ns: int, gap_ns: int) -> tuple[Any, Any, Any]:
    due = start_ns + gap_ns * np.arange(count, dtype=np.int64)
    symbol = (np.arange(count) % len(SYMBOLS)).astype(np.int32)
    channel = np.where(np.arange(count) % 2, BBO, TRADE).astype(np.uint8)
    return due, symbol, channel


def test_each_row_becomes_a_record_of_the_udp_feed(receiver: UdpSocket) -> None:
    source = TickSource("127.0.0.1", receiver.port, symbols=SYMBOLS)
    due, symbol, channel = columns(300, realtime_ns(), 10_000)
    assert source.send(due, symbol, channel) == 300
    records: list[dict[str, Any]] = []
    while len(records) < 300:
        datagrams = receiver.receive(1000)[0]
        assert datagrams
        records += [json.loads(line) for datagram in datagrams for line in datagram.split(b"\n")]
    assert [record["ts"] for record in records] == due.tolist()
    assert [record["symbol"] for record in records] == [SYMBOLS[k] for k in symbol.tolist()]
    assert [CHANNELS[record["channel"]] for record in records] == channel.tolist()
    assert set(records[0]) == {"channel", "symbol", "price", "qty", "side", "id", "ts"}
    assert set(records[1]) == {"channel", "symbol", "bid", "bid_qty", "ask", "ask_qty", "ts"}
    counters = source.counters()
    late = Histogram(source.counts(), counters["late_sum_ns"])
    assert counters["sent"] == late.count == 300
    assert counters["bytes"] + 1 >= sum(len(json.dumps(r, separators=(",", ":"))) for r in records)
    assert 0 < late.mean_ns <= late.max_ns
    source.close()


def test_a_datagram_each_where_asked_for(receiver: UdpSocket) -> None:
    source = TickSource("127.0.0.1", receiver.port, symbols=SYMBOLS, batch_bytes_max=1)
    source.send(*columns(100, realtime_ns(), 1))
    datagrams: list[bytes] = []
    while len(datagrams) < 100:
        more = receiver.receive(1000)[0]
        assert more
        datagrams += more
    source.close()
    assert all(json.loads(datagram) for datagram in datagrams)


def test_stop_ends_a_send_of_another_thread(receiver: UdpSocket) -> None:
    source = TickSource("127.0.0.1", receiver.port, symbols=SYMBOLS)
    due, symbol, channel = columns(10, realtime_ns(), 1)
    due[5:] += 3_600_000_000_000
    had: list[int] = []
    thread = threading.Thread(target=lambda: had.append(source.send(due, symbol, channel)))
    thread.start()
    try:
        until(lambda: source.counters()["sent"] == 5, TIMEOUT_S)
        with pytest.raises(RuntimeError, match="another thread"):
            source.send(due, symbol, channel)
        with pytest.raises(RuntimeError, match="stop"):
            source.close()
    finally:
        source.stop()
        thread.join(TIMEOUT_S)
    assert had == [5]
    source.close()
    with pytest.raises(ValueError, match="closed"):
        source.send(due, symbol, channel)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((0, 2, 0), "row 2: due 0"),
        ((1, 1, 3), "row 1: .* symbol 3"),
        ((1, 0, -1), "row 0: .* symbol -1"),
        ((2, 2, 7), "row 2: .* channel 7"),
    ],
)
def test_rows_that_make_no_sense_are_named(
    receiver: UdpSocket, change: tuple[int, int, int], said: str
) -> None:
    source = TickSource("127.0.0.1", receiver.port, symbols=SYMBOLS)
    rows = columns(3, realtime_ns(), 1)
    column, row, value = change
    rows[column][row] = value
    with pytest.raises(ValueError, match=said):
        source.send(*rows)
    with pytest.raises(ValueError, match="2 times"):
        source.send(rows[0][:2], rows[1], rows[2])
    assert source.send(*columns(0, 1, 1)) == 0
    source.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"symbols": []}, "symbols"),
        ({"symbols": ["x" * 49]}, "48"),
        ({"symbols": ["a b"]}, "printable"),
        ({"symbols": ["ä"]}, "printable"),
        ({"subject_prefix": "x" * 65}, "64"),
        ({"batch_bytes_max": 0}, "batch_bytes_max is 0, not 1 to 65507"),
        ({"batch_bytes_max": 65508}, "65507"),
        ({"interval_ns": -1}, "interval_ns is -1"),
        ({"transport": "tcp"}, "transport is 'tcp'"),
    ],
)
def test_options_out_of_bounds_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TickSource("127.0.0.1", 9, **{"symbols": SYMBOLS, **options})


# --- NATS -----------------------------------------------------------------------------------------

INFO = b'INFO {"server_id":"test"}\r\n'


class Server:
    """One connection of a stand-in for a NATS server, which `talk` serves on a thread."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._talk = talk
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        peer, _ = self._listener.accept()
        with peer:
            peer.settimeout(TIMEOUT_S)
            self._talk(peer)

    def join(self) -> None:
        self._thread.join(TIMEOUT_S)
        self._listener.close()
        assert not self._thread.is_alive()


def test_ticks_are_published_each_to_the_subject_of_its_symbol() -> None:
    messages: list[tuple[str, dict[str, Any]]] = []
    first: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        peer.sendall(INFO)
        with peer.makefile("rb") as lines:
            first.extend([lines.readline(), lines.readline()])
            peer.sendall(b"PING\r\nPONG\r\n")
            first.append(lines.readline())
            while head := lines.readline():
                verb, subject, length = head.split()
                assert verb == b"PUB"
                messages.append((subject.decode(), json.loads(lines.read(int(length)))))
                assert lines.readline() == b"\r\n"

    server = Server(talk)
    source = TickSource(
        "127.0.0.1", server.port, symbols=SYMBOLS, transport="nats", subject_prefix="ticks."
    )
    due, symbol, channel = columns(500, realtime_ns(), 1000)
    assert source.send(due, symbol, channel) == 500
    source.close()
    server.join()
    assert first[0].startswith(b"CONNECT {")
    assert json.loads(first[0].removeprefix(b"CONNECT "))["verbose"] is False
    assert first[1:] == [b"PING\r\n", b"PONG\r\n"]
    assert [subject for subject, _ in messages] == [f"ticks.{SYMBOLS[k]}" for k in symbol.tolist()]
    assert [tick["ts"] for _, tick in messages] == due.tolist()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "not a NATS server"),
        (INFO + b"-ERR 'Authorization Violation'\r\n", "refuses: -ERR 'Authorization Violation'"),
        (INFO, "it hung up"),
    ],
)
def test_a_server_that_refuses_is_quoted(said: bytes, error: str) -> None:
    def talk(peer: socket.socket) -> None:
        peer.sendall(said)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass

    server = Server(talk)
    with pytest.raises(OSError, match=error):
        TickSource("127.0.0.1", server.port, symbols=SYMBOLS, transport="nats")
    server.join()
    with pytest.raises(ConnectionRefusedError, match=f"nats://127.0.0.1:{server.port}"):
        TickSource("127.0.0.1", server.port, symbols=SYMBOLS, transport="nats")


def test_a_server_that_ends_it_later_is_quoted_too() -> None:
    def talk(peer: socket.socket) -> None:
        peer.sendall(INFO)
        while b"PING\r\n" not in peer.recv(4096):
            pass
        peer.sendall(b"PONG\r\n-ERR 'Stale Connection'\r\n")

    server = Server(talk)
    source = TickSource("127.0.0.1", server.port, symbols=SYMBOLS, transport="nats")
    server.join()
    with pytest.raises(OSError, match="Stale Connection"):
        source.send(*columns(10, realtime_ns() + 3_600_000_000_000, 1))
    source.close()
