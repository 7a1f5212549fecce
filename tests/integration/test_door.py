"""The door of a gateway that runs: limits of addresses, proxies that say where clients are."""

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.serving import Serving, serving
from support.wire import Wire, connected, request

from gateway.wire.proxy import SIGNATURE

SMALL = ("ring.capacity_bytes=1048576", "plane.log_bytes=8388608", "recorder.enabled=false")
LIMITS = ("limits.connections_per_address=2", "limits.handshake_timeout_s=3")


def header(address: str, *, command: int = 0x21) -> bytes:
    """A PROXY header of a client at this IPv4 address."""
    ends = socket.inet_aton(address) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 9, 443)
    return SIGNATURE + struct.pack("!BBH", command, 0x11, len(ends)) + ends


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Believes PROXY headers of this host."""
    trusted = ("listen.proxy_protocol=true", 'listen.trusted_proxies=["127.0.0.1"]')
    log = tmp_path_factory.mktemp("proxied") / "log"
    with serving(log, *SMALL, *LIMITS, *trusted, "log.level=debug") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Believes what requests from 127.0.0.1 say of their clients."""
    log = tmp_path_factory.mktemp("behind") / "log"
    with serving(log, *SMALL, *LIMITS, 'listen.trusted_proxies=["127.0.0.1"]') as gateway:
        yield gateway


def status(wire: Wire) -> int:
    """Of the answer."""
    return wire.response().status


def asked(url: str, *more: tuple[str, str]) -> Wire:
    """A connection that has sent its request."""
    wire = Wire(url)
    wire.send(request(more=more))
    return wire


@pytest.mark.threat("S3")
def test_each_client_of_a_proxy_counts_as_itself(proxied: Serving) -> None:
    before = proxied.metrics()
    opened = []
    for address in ("203.0.113.7", "203.0.113.7", "203.0.113.8"):
        wire = Wire(proxied.url)
        opened.append(wire)
        head = header(address)
        for piece in (head[:5], head[5:20], head[20:] + request()):
            wire.send(piece)
        assert status(wire) == 101
    with Wire(proxied.url) as wire:
        wire.send(header("203.0.113.7") + request())
        refused = wire.response()
        assert refused.status == 429
        assert int(refused.headers["retry-after"]) > 0
    proxied.rises(before, "admission_refused_total", "connections")
    proxied.rises(before, "handshakes_total", "limited")
    for wire in opened:
        wire.reset()
    proxied.rises(before, "closes_total", "1006", by=3)
    assert proxied.says("client.refused reason=connections peer=203.0.113.7")


def test_f60_without_a_good_header_a_connection_is_closed(proxied: Serving) -> None:
    before = proxied.metrics()
    for first in (request(), SIGNATURE[:-1] + b"X", header("1.2.3.4", command=0x22)):
        with Wire(proxied.url) as wire:
            wire.send(first)
            wire.ended()
    proxied.rises(before, "handshakes_total", "proxy", by=3)
    with Wire(proxied.url) as wire:
        wire.send(header("203.0.113.7")[:9])
        wire.ended()
    proxied.rises(before, "handshakes_total", "timeout")
    with Wire(proxied.url) as wire:
        wire.send(header("203.0.113.7")[:9])
    proxied.rises(before, "handshakes_total", "closed")
    proxied.rises(before, "accepted_total", by=5)


def test_the_proxy_s_own_connection_is_its_own(proxied: Serving) -> None:
    with Wire(proxied.url) as wire:
        wire.send(SIGNATURE + b"\x20\x00\x00\x00" + request())
        assert status(wire) == 101


def test_behind_a_proxy_that_speaks_http_each_client_counts_as_itself(behind: Serving) -> None:
    before = behind.metrics()
    told = ("X-Forwarded-For", "6.6.6.6, 203.0.113.7")
    opened = [asked(behind.url, told) for _ in range(2)]
    assert [status(wire) for wire in opened] == [101, 101]
    with asked(behind.url, told) as wire:
        assert status(wire) == 429
    with asked(behind.url, ("X-Forwarded-For", "203.0.113.7, 203.0.113.8")) as wire:
        assert status(wire) == 101
    for wire in opened:
        wire.reset()
    behind.rises(before, "admission_refused_total", "connections")


@pytest.mark.threat("S3")
def test_f60_a_stranger_is_where_it_is(behind: Serving) -> None:
    """127.0.0.2 is no trusted proxy: each of its connections counts as its own."""
    host, port = behind.url.removeprefix("ws://").removesuffix("/v1").split(":")
    opened = []
    for number in range(3):
        sock = socket.create_connection((host, int(port)), 5, ("127.0.0.2", 0))
        opened.append(sock)
        told = [("X-Forwarded-For", f"203.0.113.{number}")]
        sock.sendall(request(more=told))
        expected = b"HTTP/1.1 101" if number < 2 else b"HTTP/1.1 429"
        assert sock.recv(12) == expected
    for sock in opened:
        sock.close()


def test_a_listener_for_the_world_ends_with_78_and_the_key(tmp_path: Path) -> None:
    for command in (["serve"], ["config", "check"]):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "gateway.cli", *command, "--set", "listen.host=0.0.0.0"],
            capture_output=True,
            text=True,
            timeout=90,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 78
        assert "listen.insecure" in done.stderr


def test_an_open_gateway_serves_as_before(behind: Serving) -> None:
    with connected(behind.url) as wire:
        assert wire.ask({"method": "ping"})["success"]
