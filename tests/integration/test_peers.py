"""The servers of `bench/peers` deliver every tick to every client, in order."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.serving import until
from websockets.sync.client import ClientConnection, connect

from gateway.loadtest.bench import peer_measure
from gateway.loadtest.environment import environment
from gateway.loadtest.peer import FIRST_SYMBOL, NATS_SUBJECTS, PEERS, Peer, Ready, prepare
from gateway.loadtest.peers import Setting, scenario
from gateway.loadtest.ports import free_port
from gateway.loadtest.progress import view
from gateway.loadtest.run import Settings

DIRECTORY = Path(__file__).parents[2] / "bench" / "peers"
CLIENTS = 3
TICKS = 200
PROBE = 1
"""Stamp of the lines that are sent until each client is known to be subscribed."""
TIMEOUT_S = 60.0
STAMP = re.compile(rb'"ts":(\d+)')


class Ticks:
    """Sends lines to a peer, the way it takes them."""

    def __init__(self, peer: Peer, port: int) -> None:
        self._nats = peer.via == "nats"
        kind = socket.SOCK_STREAM if self._nats else socket.SOCK_DGRAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.connect(("127.0.0.1", port))
        if self._nats:
            self._socket.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\n')

    def send(self, stamps: Sequence[int]) -> None:
        """All in one datagram, or one write."""
        lines = [b'{"channel":"trade","symbol":"SYM000","ts":%d}' % stamp for stamp in stamps]
        if self._nats:
            subject = f"{NATS_SUBJECTS}{FIRST_SYMBOL}".encode()
            lines = [b"PUB %b %d\r\n%b\r" % (subject, len(line), line) for line in lines]
        self._socket.sendall(b"\n".join((*lines, b"")))

    def close(self) -> None:
        self._socket.close()


def ready(peer: Peer, directory: Path) -> Ready:
    """What starts a peer; one that can't run here skips the test by its name."""
    found = prepare(peer, DIRECTORY, directory)
    if isinstance(found, Ready):
        return found
    # The newest Go of a machine's distribution may be too old, and that is nobody's omission.
    if found.reason.startswith("needs Go"):
        pytest.xfail(f"{peer.name}: {found.reason}")
    pytest.skip(f"{peer.name}: {found.reason}")


@contextmanager
def running(peer: Peer, directory: Path) -> Iterator[tuple[int, int]]:
    """Runs a peer; its ports of clients and of ticks."""
    found = ready(peer, directory)
    ports = free_port(), free_port()
    arguments = ("--port", str(ports[0]), "--udp-port", str(ports[1]))
    said = directory / "said"
    with said.open("wb") as file:
        process = subprocess.Popen((*found.command, *arguments), stdout=file, stderr=file)
    try:
        until(lambda: b"ready\n" in said.read_bytes() or process.poll() is not None, TIMEOUT_S)
        assert process.poll() is None, said.read_text()
        yield ports
        process.terminate()
        process.wait(TIMEOUT_S)
        assert process.returncode in (0, 1), said.read_text()  # nats-server ends with 1
    finally:
        process.kill()
        process.wait()


def stamps(client: ClientConnection, timeout_s: float) -> list[int]:
    """Those in the next message, which may have none or many; none at the timeout."""
    try:
        message = client.recv(timeout_s)
    except TimeoutError:
        return []
    data = message.encode() if isinstance(message, str) else message
    return [int(stamp) for stamp in STAMP.findall(data)]


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_every_tick_reaches_every_client(peer: Peer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        port, ticks_port = stack.enter_context(running(peer, tmp_path))
        url = f"ws://127.0.0.1:{port}{peer.path}"
        clients = [
            stack.enter_context(connect(url, compression=None, proxy=None)) for _ in range(CLIENTS)
        ]
        ticks = Ticks(peer, ticks_port)
        stack.callback(ticks.close)
        for client in clients:
            if peer.subscribe:
                client.send(peer.subscribe)
            subscribed(client, ticks)

        sent = list(range(1000, 1000 + TICKS))
        for first in range(0, TICKS, 5):
            ticks.send(sent[first : first + 5])
        for client in clients:
            got: list[int] = []
            deadline = time.monotonic() + TIMEOUT_S
            while len(got) < TICKS and time.monotonic() < deadline:
                got += [stamp for stamp in stamps(client, TIMEOUT_S) if stamp != PROBE]
            assert got == sent


def subscribed(client: ClientConnection, ticks: Ticks) -> None:
    """Sends probes until the client gets one."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        ticks.send([PROBE])
        if stamps(client, 0.2):
            return
    pytest.fail("no tick arrives")


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("centrifuge", 200.0),
        ("nats", 5000.0),  # by TCP, so that nothing is lost, with many ticks in each message
    ],
)
def test_the_load_test_counts_every_tick(name: str, rate: float, tmp_path: Path) -> None:
    load = scenario(Setting("small", CLIENTS, rate), name, warmup_s=0.2, duration_s=0.4)
    with view(sys.stderr, quiet=True) as quiet:
        measure = peer_measure(Settings(), quiet, environment())
        result = measure(name, ready(PEERS[name], tmp_path), load)
    assert result.source is not None
    assert result.source.intended == pytest.approx(0.4 * rate, abs=1)
    assert result.delivered == result.source.intended * CLIENTS
    assert result.latency.count == result.delivered
    assert result.server is not None
    assert result.server.cpu_us_per_delivery is not None
