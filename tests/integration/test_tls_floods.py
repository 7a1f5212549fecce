"""Floods that only TLS has: unfinished handshakes, key updates, tries of another handshake."""

import re
import resource
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.certificates import Authority
from support.fleet import Client
from support.serving import Serving, resident_bytes, serving, until

UPGRADE = (
    "GET /v1 HTTP/1.1",
    "Host: x",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version: 13",
    "",
    "",
)


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """As many as may be, for a thousand sockets beside those of other tests."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured(authority: Authority) -> list[str]:
    """The settings of a gateway over TLS."""
    cert, key = authority.sign("server", "DNS:localhost", "IP:127.0.0.1")
    return [f"tls.cert={cert}", f"tls.key={key}", "ops.tls=false"]


@pytest.fixture
def gateway(tmp_path: Path, secured: Sequence[str]) -> Iterator[Serving]:
    with serving(tmp_path / "log", *secured) as one:
        yield one


# --- handshakes -----------------------------------------------------------------------------------


def half_open(url: str, count: int, first: bytes) -> list[socket.socket]:
    where = urlsplit(url)
    made = []
    for _ in range(count):
        one = socket.create_connection((where.hostname, where.port))
        one.send(first)
        made.append(one)
    return made


def hello(authority: Authority) -> bytes:
    goes = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        authority.client().wrap_bio(ssl.MemoryBIO(), goes, server_hostname="x").do_handshake()
    return goes.read()


@pytest.mark.threat("D16")
def test_f75_dribbled_hellos_cost_next_to_nothing(
    tmp_path: Path, secured: Sequence[str], authority: Authority
) -> None:
    sets = (*secured, "limits.handshakes_per_address=5000", "limits.handshake_timeout_s=2")
    with serving(tmp_path / "log", *sets) as gateway:
        with Client(gateway.url, tls=authority.client()):
            pass
        pid = gateway.pid()
        before = resident_bytes(pid)
        made = half_open(gateway.url, 900, hello(authority)[:9])
        until(lambda: gateway.metrics().of("accepted_total") >= 900)
        assert resident_bytes(pid) - before < 900 * 12_000
        with Client(gateway.url, tls=authority.client()) as honest:
            assert honest.ask("ping", t0=1)["success"]
        until(lambda: gateway.metrics().of("tls_handshakes_total", "timeout") == 900)
        for one in made:
            one.close()


@pytest.mark.threat("D16")
def test_f75_unfinished_handshakes_are_bounded_and_honest_clients_come_in_after(
    tmp_path: Path, secured: Sequence[str], authority: Authority
) -> None:
    sets = (*secured, "limits.tls_handshakes=50", "limits.handshake_timeout_s=2")
    with serving(tmp_path / "log", *sets) as gateway:
        made = half_open(gateway.url, 200, hello(authority))
        until(lambda: gateway.metrics().of("tls_handshakes_total", "shed") == 175)
        where = urlsplit(gateway.url)
        with (  # what they leave is for others
            socket.create_connection(
                (where.hostname, where.port), source_address=("127.0.0.2", 0)
            ) as plain,
            authority.client().wrap_socket(plain, server_hostname="localhost") as other,
        ):
            assert other.version() == "TLSv1.3"
        until(lambda: gateway.metrics().of("tls_handshakes_total", "timeout") == 25)
        with Client(gateway.url, tls=authority.client()) as honest:
            assert honest.ask("ping", t0=1)["success"]
        for one in made:
            one.close()


def test_f75_what_is_no_tls_is_closed_at_once(gateway: Serving) -> None:
    where = urlsplit(gateway.url)
    before = gateway.metrics()
    with socket.create_connection((where.hostname, where.port)) as plain:
        plain.settimeout(30)
        plain.sendall(b"GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionResetError):
            assert plain.recv(100) == b""
    gateway.rises(before, "tls_handshakes_total", "hello")
    assert "Traceback" not in gateway.lines()


# --- after the handshake --------------------------------------------------------------------------


class ByHand:
    """openssl's client, in which a line of K changes its keys and asks for ours, one of R tries
    another handshake.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def say(self, *lines: str, end: str = "\n") -> None:
        assert self._process.stdin is not None
        for line in lines:
            with suppress(BrokenPipeError):
                self._process.stdin.write((line + end).encode())
            time.sleep(0.05)  # a read of its own: only a line's beginning is looked at

    def heard(self) -> str:
        """All that it printed until it ended; its input stays open, or it would end by itself."""
        self._process.wait(20)
        assert self._process.stdout is not None
        return self._process.stdout.read().decode("utf-8", "replace")


@contextmanager
def by_hand(gateway: Serving, authority: Authority, version: str) -> Iterator[ByHand]:
    where = urlsplit(gateway.url).netloc
    words = ["openssl", "s_client", "-connect", where, "-CAfile", authority.cert, version]
    pipe, out = subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(words, bufsize=0, stdin=pipe, stdout=pipe, stderr=out) as process:
        try:
            yield ByHand(process)
        finally:
            process.kill()


@pytest.mark.threat("D16")
def test_f75_more_key_updates_than_anybody_needs(gateway: Serving, authority: Authority) -> None:
    before = gateway.metrics()
    with by_hand(gateway, authority, "-tls1_3") as client:
        client.say("\r\n".join(UPGRADE), end="")
        until(lambda: gateway.metrics().of("connections") == 1)
        client.say(*"K" * 12)
        gateway.rises(before, "closes_total", "1008")
        assert "too many TLS key updates" in client.heard()


def test_f75_key_updates_before_the_request(gateway: Serving, authority: Authority) -> None:
    """While the loop has it: it is ended, and not by the time that a handshake may take."""
    with by_hand(gateway, authority, "-tls1_3") as client:
        until(lambda: gateway.metrics().of("tls_handshakes_total", "ok") == 1)
        client.say(*"K" * 12)
        assert "HTTP/1.1" not in client.heard()
    assert "Traceback" not in gateway.lines()


@pytest.mark.parametrize("upgraded", [False, True])
def test_f75_no_other_handshake(gateway: Serving, authority: Authority, *, upgraded: bool) -> None:
    """TLS 1.2 had one within a connection, which costs its server a signature; 1.3 has none."""
    with (
        Client(gateway.url, tls=authority.client()) as beside,
        by_hand(gateway, authority, "-tls1_2") as client,
    ):
        until(lambda: gateway.metrics().of("tls_handshakes_total", "ok") == 2)
        if upgraded:
            client.say("\r\n".join(UPGRADE), end="")
            until(lambda: gateway.metrics().of("connections") == 2)
        client.say("R")
        assert re.search("RENEGOTIATING.*no renegotiation", client.heard(), re.DOTALL)
        until(lambda: gateway.metrics().of("connections") == 1)
        assert beside.ask("ping", t0=1)["success"]
    assert gateway.metrics().of("tls_handshakes_total", "ok") == 2
    assert "Traceback" not in gateway.lines()
