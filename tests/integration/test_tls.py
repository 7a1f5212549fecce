"""A gateway over TLS: clients of real stacks, slow ones, floods, reloads, tickets; this host's."""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.certificates import Authority
from support.fleet import Client
from support.identity import Issuer
from support.serving import Serving, resident_bytes, serving, until
from support.udp import Venue

from gateway.cli import main
from gateway.client import Client as PythonClient
from gateway.client import ConnectFailed, Trade

V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
SLOW_BYTES = 4096


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> tuple[str, str]:
    return authority.sign("server", "DNS:localhost", "IP:127.0.0.1")


def settings(server: tuple[str, str], *more: str) -> list[str]:
    cert, key = server
    return [f"tls.cert={cert}", f"tls.key={key}", "ops.tls=false", *more]


@pytest.fixture
def gateway(tmp_path: Path, server: tuple[str, str], venue: Venue) -> Iterator[Serving]:
    with serving(tmp_path / "log", *settings(server), *venue.sets) as one:
        yield one


@pytest.fixture
def joined() -> Iterator[ExitStack]:
    """Clients that leave at the end."""
    with ExitStack() as stack:
        yield stack


def _secure(client: Client) -> ssl.SSLSocket:
    assert isinstance(client.socket, ssl.SSLSocket)
    return client.socket


@pytest.mark.parametrize("version", [V1_2, V1_3])
def test_a_client_gets_everything_in_order(
    gateway: Serving, venue: Venue, authority: Authority, version: ssl.TLSVersion
) -> None:
    assert gateway.url.startswith("wss://")
    before = gateway.metrics()
    with Client(gateway.url, tls=authority.client(version=version)) as client:
        client.subscribe("trade", "A.SIM")
        client.next(method="subscribe")
        for number in range(1, 2001):
            venue.trades("A.SIM".partition(".")[0], number)
            if number % 100 == 0:
                frames = client.follow("A.SIM", number)
                assert [int(one["data"][0]["id"]) for one in frames] == list(
                    range(number - len(frames) + 1, number + 1)
                )
        assert client.ask("ping", t0=1)["success"]
    gateway.rises(before, "tls_handshakes_total", "ok")
    gateway.rises(before, "deliveries_total", "trade", by=2000)


def test_openssl_speaks_to_it(gateway: Serving, authority: Authority) -> None:
    where = urlsplit(gateway.url).netloc
    for version, extra in (("-tls1_2", ()), ("-tls1_3", ()), ("-tls1_3", ("-groups", "X25519"))):
        words = ["openssl", "s_client", "-connect", where, "-CAfile", authority.cert, version]
        request = b"GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n"
        done = subprocess.run(
            [*words, *extra, "-verify_return_error", "-alpn", "h2,http/1.1", "-ign_eof"],
            input=request,
            capture_output=True,
            timeout=90,
            check=False,
        )
        text = done.stdout.decode()
        assert "ALPN protocol: http/1.1" in text
        assert "Secure Renegotiation IS" in text
        assert "HTTP/1.1 426 " in text
        assert f"Cipher is {'TLS_' if version == '-tls1_3' else 'ECDHE-'}" in text
        assert done.returncode == 0
    old = subprocess.run(
        ["openssl", "s_client", "-connect", where, "-tls1_1", "-cipher", "ALL@SECLEVEL=0"],
        input=b"",
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert old.returncode
    gateway.rises(gateway.metrics(), "tls_handshakes_total", "failed", by=0)


def test_tickets_are_good_at_every_worker(
    tmp_path: Path, server: tuple[str, str], authority: Authority, joined: ExitStack
) -> None:
    sets = settings(server, "cluster.workers=2")
    with serving(tmp_path / "log", *sets) as gateway:
        context = authority.client(version=V1_2)  # its session is there at once
        first = joined.enter_context(Client(gateway.url, tls=context))
        session = _secure(first).session
        for _ in range(20):
            again = joined.enter_context(Client(gateway.url, tls=context, session=session))
            assert _secure(again).session_reused
        connections = [one.get("connections") for one in gateway.status()["workers"]]
        assert len(connections) == 2
        assert until(lambda: gateway.metrics().of("tls_handshakes_total", "resumed") == 20)
        assert until(lambda: min(_connections(gateway)) > 0)
        joined.close()


def _connections(gateway: Serving) -> list[int]:
    return [one["connections"] for one in gateway.status()["workers"]]


@pytest.mark.threat("S1")
def test_f75_who_has_no_certificate_is_not_let_in_by_a_ticket(
    tmp_path: Path, server: tuple[str, str], authority: Authority
) -> None:
    identity = authority.sign("desk", "DNS:desk-7")
    with serving(tmp_path / "open", *settings(server)) as gateway:
        context = authority.client(*identity, version=V1_2)
        with Client(gateway.url, tls=context) as client:
            session = _secure(client).session
    with serving(tmp_path / "log", *settings(server, f"tls.client_ca={authority.cert}")) as gateway:
        with Client(gateway.url, tls=context, session=session) as client:
            assert not _secure(client).session_reused
        with pytest.raises(ssl.SSLError):
            Client(gateway.url, tls=authority.client(version=V1_2))
        until(lambda: gateway.metrics().of("tls_handshakes_total", "certificate") == 1)


def test_a_certificate_says_who_a_client_is_and_what_it_gets(
    tmp_path: Path, server: tuple[str, str], authority: Authority, venue: Venue, joined: ExitStack
) -> None:
    issuer = Issuer(tmp_path)
    ours = '[sub."{}"]\ngrants = [{{channels = ["trade"], instruments = ["{}.SIM"]}}]\n'
    issuer.write("grants", ours.format("desk-7", "A") + ours.format("uri:spiffe://bank/boss", "B"))
    sets = settings(server, f"tls.client_ca={authority.cert}", *venue.sets)
    auth = [one for one in issuer.sets("grants") if not one.startswith("auth.jwt_keys")]
    with serving(tmp_path / "log", *sets, *auth) as gateway:

        def opened(name: str, *names: str) -> Client:
            context = authority.client(*authority.sign(name, *names))
            return joined.enter_context(Client(gateway.url, tls=context))

        def granted(client: Client) -> list[str]:
            client.subscribe("trade", "A.SIM", "B.SIM")
            results = client.next(method="subscribe")["results"]
            return [one["symbol"] for one in results if one["success"]]

        venue.trades("A", 1)
        venue.trades("B", 1)
        desk = opened("boss", "DNS:desk-7", "URI:spiffe://bank/boss")  # the first one it is
        assert granted(desk) == ["A.SIM"]
        assert granted(opened("b", "URI:spiffe://bank/boss")) == ["B.SIM"]
        assert granted(opened("c", "DNS:uri.spiffe", "URI:spiffe://bank/boss")) == []
        venue.trades("A", 2)
        assert desk.follow("A.SIM", 2)
        until(lambda: gateway.metrics().of("auth_total", "certificate", "ok") == 3)
        issuer.revoke(sub="desk-7", before=int(time.time()) + 1)
        while not desk.ended:
            desk.read()
        assert desk.closed is not None
        assert desk.closed[0] == 4501
        joined.close()


def test_f75_a_slow_client_is_slow_as_over_plain(
    tmp_path: Path, server: tuple[str, str], venue: Venue, authority: Authority
) -> None:
    """Conflated to what is newest, with every count exact; and its stream is whole."""
    with (
        serving(tmp_path / "log", *settings(server), *venue.sets) as gateway,
        Client(gateway.url, tls=authority.client(), receive_buffer_bytes=SLOW_BYTES) as client,
        Client(gateway.url, tls=authority.client()) as quick,
    ):
        for one in (client, quick):
            one.subscribe("bbo", "*")
            one.next(method="subscribe")
        last = 0
        pid = gateway.pid()
        before = resident_bytes(pid)
        while gateway.metrics().of("clients_blocked") < 1 or last < 20_000:
            numbers = range(last + 1, last + 101)
            for symbol in ("S0", "S1"):
                venue.quotes(symbol, *numbers)
            last += 100
            quick.follow("S1.SIM", last)
            assert last < 200_000
        assert resident_bytes(pid) - before < 64 << 20
        frames = client.follow("S1.SIM", last)
        assert sum(one.get("skipped", 0) for one in frames) > 0
        reply = client.ask("stats")
        (row,) = reply["subscriptions"]
        assert row["routed"] == 2 * last
        assert row["conflated"] > 0
        until(lambda: gateway.metrics().of("pending") == 0)


def test_f75_a_lossless_client_that_rests_misses_nothing(
    gateway: Serving, venue: Venue, authority: Authority
) -> None:
    with Client(gateway.url, tls=authority.client(), receive_buffer_bytes=SLOW_BYTES) as client:
        client.subscribe("trade", "*", mode="lossless")
        client.next(method="subscribe")
        for number in range(1, 3001):
            venue.trades("A", number)
            if number % 200 == 0:
                time.sleep(0.005)
        until(lambda: gateway.metrics().of("published_total", "trade") == 3000)
        frames = client.follow("A.SIM", 3000)
        assert [one["seq"] for one in frames][-1] == 3000
        assert not any("skipped" in one for one in frames)
        until(lambda: gateway.metrics().of("pending") == 0)


# --- certificates, and this host's own socket -----------------------------------------------------


def test_f75_certificates_are_read_again_and_nobody_is_dropped(
    tmp_path: Path, authority: Authority, venue: Venue
) -> None:
    files = authority.sign("first", "DNS:localhost", "IP:127.0.0.1")
    config = tmp_path / "config.toml"
    cert, key = files
    config.write_text(f'[tls]\ncert = "{cert}"\nkey = "{key}"\n[ops]\ntls = true\n')
    with serving(tmp_path / "log", *venue.sets, "ops.tls=false", config=config) as gateway:
        context = authority.client()

        def shown() -> str:
            with Client(gateway.url, tls=context) as one:
                return str(_secure(one).getpeercert())

        with Client(gateway.url, tls=context) as client:
            client.subscribe("trade", "A.SIM")
            client.next(method="subscribe")
            assert "'first'" in shown()
            for path, other in zip(files, authority.sign("second", "IP:127.0.0.1"), strict=True):
                Path(path).write_bytes(Path(other).read_bytes())
            gateway.process.send_signal(signal.SIGHUP)
            until(lambda: "'second'" in shown())
            Path(cert).write_text("nonsense")
            gateway.process.send_signal(signal.SIGHUP)
            until(lambda: "reload.refused" in gateway.lines())
            assert "'second'" in shown()
            venue.trades("A", 1)
            assert client.follow("A.SIM", 1)


def test_the_host_has_a_socket_of_its_own(
    tmp_path: Path, server: tuple[str, str], venue: Venue
) -> None:
    path = tmp_path / "clients.sock"
    path.touch()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as stale:  # left behind by one that died
        stale.bind(str(path))
    sets = (f"listen.unix={path}", "listen.unix_mode=0600", "cluster.workers=2")
    with serving(tmp_path / "log", *settings(server, *sets), *venue.sets) as gateway:
        assert path.stat().st_mode & 0o777 == 0o600
        with Client("ws://localhost/v1", unix=str(path), receive_buffer_bytes=SLOW_BYTES) as client:
            client.subscribe("trade", "A.SIM")
            client.next(method="subscribe")
            venue.trades("A", *range(1, 50))
            assert client.follow("A.SIM", 49)
            # Unread bytes don't hide in the kernel: a client that rests is blocked soon.
            number = 49
            while not gateway.metrics().of("clients_blocked"):
                venue.trades("A", *range(number + 1, number + 101))
                number += 100
                assert number < 10_000
            assert client.follow("A.SIM", number)
    assert not path.exists()


def test_the_worker_leaves_no_core_while_it_has_keys(gateway: Serving) -> None:
    """Then what the kernel shows of it is root's, even to the user that runs it."""
    assert os.stat(f"/proc/{gateway.pid()}/environ").st_uid == 0
    limits = Path(f"/proc/{gateway.pid()}/status").read_text()
    assert "CoreDumping:\t0" in limits


# --- our own clients ------------------------------------------------------------------------------


async def _first_trade(url: str, venue: Venue, ca: str) -> Trade:
    async with PythonClient(url, tls=ca, encoding="sbe") as client:
        await client.subscribe("trade", ["A.SIM"])
        venue.trades("A", 5)
        async for event in client:
            if isinstance(event, Trade):
                return event
    raise AssertionError("it ended")


@pytest.mark.threat("S4")
def test_the_python_client_checks_the_certificate(
    gateway: Serving, venue: Venue, authority: Authority
) -> None:
    assert asyncio.run(_first_trade(gateway.url, venue, authority.cert)).id == "5"

    async def strange() -> None:
        async with PythonClient(gateway.url, wait_s=5):
            pass

    with pytest.raises(ConnectFailed, match="its certificate: ") as refused:
        asyncio.run(strange())
    assert not refused.value.retryable


def test_tail_and_top_over_tls(
    tmp_path: Path, server: tuple[str, str], venue: Venue, authority: Authority
) -> None:
    sets = [one for one in settings(server) if "ops.tls" not in one]
    with serving(tmp_path / "log", *sets, *venue.sets) as gateway:
        assert gateway.ops.startswith("https://")
        words = [sys.executable, "-P", "-m", "gateway.cli"]
        with venue.ticking("A"):
            tail = subprocess.run(
                [
                    *words,
                    "tail",
                    "A.SIM",
                    "--url",
                    gateway.url,
                    "--ca",
                    authority.cert,
                    "--count",
                    "3",
                ],
                capture_output=True,
                timeout=90,
                check=False,
                text=True,
            )
        assert tail.returncode == 0, tail.stderr
        assert tail.stdout.count("A.SIM") >= 3
        top = subprocess.run(
            [*words, "top", "--ops", gateway.ops, "--ca", authority.cert, "--json"],
            capture_output=True,
            timeout=90,
            check=False,
            text=True,
        )
        assert top.returncode == 0, top.stderr
        assert json.loads(top.stdout)


def test_ready_over_tls(
    tmp_path: Path,
    server: tuple[str, str],
    authority: Authority,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cert, key = server
    desk = authority.sign("prober", "DNS:prober")
    own = ("--cert", desk[0], "--key", desk[1])
    files = [f"tls.cert={cert}", f"tls.key={key}"]
    with serving(tmp_path / "log", *files) as gateway:
        where = urlsplit(gateway.ops).netloc
        assert main(["ready", "--ops", gateway.ops]) == 0
        assert main(["ready", "--ops", where]) == 0
        assert main(["ready", "--ops", gateway.ops, "--ca", authority.cert]) == 0
        assert main(["ready", "--ops", f"http://{where}"]) == 1
        other = Authority(tmp_path, "other")
        capsys.readouterr()
        assert main(["ready", "--ops", gateway.ops, "--ca", other.cert]) == 1
        assert "CERTIFICATE_VERIFY_FAILED" in capsys.readouterr().err
    with serving(tmp_path / "log", *files, f"tls.client_ca={authority.cert}") as gateway:
        assert main(["ready", "--ops", gateway.ops]) == 1
        assert main(["ready", "--ops", gateway.ops, *own]) == 0


def test_bench_over_tls(
    tmp_path: Path, server: tuple[str, str], venue: Venue, authority: Authority
) -> None:
    result = tmp_path / "result.json"
    words = [sys.executable, "-P", "-m", "gateway.cli", "bench", "--json", str(result)]
    load = ("--clients", "20", "--warmup", "1", "--duration", "2", "--threshold", "reach>=100%")
    sets = settings(server)
    with (
        serving(tmp_path / "log", *sets, *venue.sets) as gateway,
        venue.ticking("A", "B", every_s=0.002),
    ):
        for encoding in ("json", "sbe"):
            done = subprocess.run(
                [
                    *words,
                    "--url",
                    gateway.url,
                    "--ca",
                    authority.cert,
                    "--encoding",
                    encoding,
                    *load,
                ],
                capture_output=True,
                timeout=60,
                check=False,
                text=True,
            )
            # 3: these clients had too little CPU, of which nothing here speaks.
            assert done.returncode in (0, 3), done.stdout + done.stderr
            found = json.loads(result.read_text())
            assert found["gaps"] == 0
            assert found["connections"]["opened"] == 20
            assert found["latency"]["count"] > 1000
        strange = subprocess.run(
            [*words, "--url", gateway.url, *load],
            capture_output=True,
            timeout=60,
            check=False,
            text=True,
        )
        assert strange.returncode == 1
        assert "certificate" in strange.stdout + strange.stderr
