"""`tickgate bench` as a user runs it: against gateways, and servers whose truth is known."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.benches import run
from support.serving import serving
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from gateway.loadtest.ports import free_udp_port
from gateway.loadtest.processes import family
from gateway.loadtest.result import Result, from_json

SHORT = ("--warmup", "0.3", "--duration", "1")


def result(*arguments: str, code: int = 0) -> Result:
    """Of a run that ends with this exit code."""
    done = run(*arguments, "--json", "-")
    assert done.returncode == code, done.stderr + done.stdout
    return from_json(done.stdout)


# --- our gateway ----------------------------------------------------------------------------------


def test_everything_reaches_fifty_clients(tmp_path: Path) -> None:
    names = [tmp_path / f"out.{kind}" for kind in ("json", "hgrm", "hlog", "html")]
    words = [word for path in names for word in (f"--{path.suffix[1:]}", str(path))]
    done = run(
        *("--clients", "50", "--rate", "200", "--warmup", "0.3", "--duration", "2"),
        *("--threshold", "reach==1", "gaps==0", *words),
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "PASS: 2 of 2 thresholds hold" in done.stdout
    assert "measuring  clients 50/50" in done.stderr
    document = json.loads(names[0].read_bytes())
    assert {"p50_us", "p90_us", "p99_us", "p999_us", "max_us", "count", "per_s"} <= set(
        document["latency"]
    )
    assert {"reach", "gaps", "conflated"} <= set(document)
    found = from_json(names[0].read_bytes())
    assert found.source is not None
    assert found.source.intended == found.source.sent
    assert abs(found.source.intended - 400) <= 1
    assert found.expected == found.delivered == found.latency.count == 50 * found.source.intended
    assert found.server is not None
    assert found.server.cpu_s > 0
    assert len(found.server.pids) == 3  # supervisor, feed, worker
    assert [point.t_s for point in found.timeline] == [0.0, 1.0]
    assert found.latency.p50_us <= found.latency.p99_us <= found.latency.max_us
    assert all(path.stat().st_size for path in names)


def test_several_processes_gateways_and_channels(tmp_path: Path) -> None:
    file = tmp_path / "several.toml"
    file.write_text(
        "warmup_s = 0.2\nduration_s = 0.6\ngrace_s = 2.0\ngateways = 2\nprocesses = 2\n"
        "[source]\nchannels = ['trade', 'bbo']\nsymbols = 6\nrate = 300\n"
        "[[groups]]\nname = 'trades'\nclients = 4\npick = 'random'\nsymbols_each = 2\n"
        "[[groups]]\nname = 'quotes'\nclients = 4\nchannel = 'bbo'\npick = 'all'\n"
        "mode = 'lossless'\n"
    )
    found = result(str(file), "--threshold", "reach==1", "gaps==0", "duplicates==0")
    assert found.source is not None
    assert found.expected == (found.source.intended // 2) * 4 + 4 * 2 * found.source.intended // 12
    assert found.client.processes == 2
    assert [group.clients for group in found.groups.values()] == [4, 4]
    assert found.server is not None
    assert len(found.server.pids) == 6
    assert found.skew is not None
    assert found.skew.count > 0


def test_binary_frames_are_counted_as_text_is(tmp_path: Path) -> None:
    file = tmp_path / "binary.toml"
    file.write_text(
        "warmup_s = 0.2\nduration_s = 0.6\ngrace_s = 2.0\nencoding = 'sbe'\nprocesses = 2\n"
        "[source]\nchannels = ['trade', 'bbo']\nsymbols = 6\nrate = 300\n"
        "[[groups]]\nname = 'trades'\nclients = 4\npick = 'random'\nsymbols_each = 2\n"
        "reconnect_s = 0.1\n"
        "[[groups]]\nname = 'quotes'\nclients = 4\nchannel = 'bbo'\npick = 'all'\n"
        "mode = 'lossless'\n"
    )
    found = result(str(file), "--threshold", "reach==1", "gaps==0", "duplicates==0")
    assert found.source is not None
    assert found.expected == (found.source.intended // 2) * 4 + 4 * 2 * found.source.intended // 12
    assert {group.unstamped for group in found.groups.values()} == {0}
    assert found.skew is not None
    assert found.skew.count > 0  # ticks of two processes are the same ones
    assert {"wire", "server", "delivery"} <= set(found.stages)


def test_a_server_without_binary_frames_is_told_of() -> None:
    with server(lambda peer: None) as url:
        done = run("--url", url, "--encoding", "sbe", *SHORT)
    assert done.returncode == 1
    assert "did not choose the subprotocol tickgate.v1.sbe" in done.stderr


def test_a_threshold_that_fails_is_named_and_is_exit_code_99(quick: str) -> None:
    done = run(quick, "--threshold", "delivered>=1e9", "gaps==0", "-q")
    assert done.returncode == 99
    assert done.stdout.startswith("FAIL: delivered>=1e9: ")
    assert "gaps" not in done.stdout


def test_the_floor_is_measured_where_a_threshold_needs_it(quick: str) -> None:
    found = result(quick, "--threshold", "cpu_per_delivery<1000*floor")
    assert found.floor is not None
    assert found.floor.cpu_us_per_delivery > 0


def test_a_limit_is_searched_for(tmp_path: Path) -> None:
    file = tmp_path / "limit.toml"
    file.write_text(
        "warmup_s = 0.1\nduration_s = 0.4\ngrace_s = 0.1\nthresholds = ['per_s<300']\n"
        "[[groups]]\nname = 'all'\nclients = 2\n"
        "[limit]\nrate_min = 50\nrate_max = 500\nsteps = 2\nretries = 0\n"
    )
    found = result(str(file))
    assert found.limit is not None
    assert found.limit.passed is not None
    assert found.limit.failed is None or found.limit.failed > found.limit.passed
    assert len(found.limit.trials) == 2
    assert found.scenario["source"]["rate"] == found.limit.passed
    assert found.latency.per_s < 300


# --- a server that runs already -------------------------------------------------------------------


@pytest.mark.alone
def test_only_listening_at_a_gateway(tmp_path: Path) -> None:
    feed = ("feeds.0.type=synthetic", "feeds.0.symbols=5", "feeds.0.rate=200")
    with serving(tmp_path / "log", *feed) as gateway:
        words = ("--url", gateway.url, "--clients", "5", "--symbols", "SYM00*", *SHORT)
        found = result(*words, "--threshold", "reach==1", "gaps==0")
        assert found.server is not None
        assert set(found.server.pids) == set(family(gateway.process.pid))
    assert found.source is None
    assert found.expected is None
    assert found.delivered > 0


@pytest.mark.alone
def test_listening_at_an_ipv6_address(tmp_path: Path) -> None:
    feed = ("feeds.0.type=synthetic", "feeds.0.symbols=5", "feeds.0.rate=200")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with serving(tmp_path / "log", *feed, "listen.host=::1") as gateway:
        words = ("--url", gateway.url, "--clients", "5", "--symbols", "SYM00*", *SHORT)
        found = result(*words, "--threshold", "reach==1", "gaps==0")
        assert "[::1]" in gateway.url
        assert found.server is not None
        assert set(found.server.pids) == set(family(gateway.process.pid))
    assert found.delivered > 0


def test_bench_prints_where_there_is_ascii_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    feed = ("feeds.0.type=synthetic", "feeds.0.symbols=5", "feeds.0.rate=200")
    with serving(tmp_path / "log", *feed) as gateway:
        done = run("--url", gateway.url, "--clients", "2", *SHORT)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert done.stdout.isascii()
    assert " us" in done.stdout or " ms" in done.stdout


@pytest.mark.alone
def test_an_existing_gateway_with_a_feed_of_ours(quick: str, tmp_path: Path) -> None:
    port = free_udp_port()
    sets = ("feeds.0.type=udp", f"feeds.0.port={port}", "feeds.0.venue=SIM")
    with serving(tmp_path / "log", *sets) as gateway:
        words = (quick, "--url", gateway.url, "--feed", f"127.0.0.1:{port}")
        found = result(*words, "--threshold", "reach==1")
    assert found.source is not None
    assert found.expected == found.delivered > 0


# --- a server whose truth is known ----------------------------------------------------------------


class Staller:
    """Sends a tick each millisecond, stamped with the time that it was due, and stalls once.

    Attributes:
        ticks: of each connection, rows of due, before and after it was sent (ns).
    """

    STALL_AT, STALL_S, PERIOD_NS = 1200, 0.2, 1_000_000

    def __init__(self) -> None:
        self.ticks: list[list[tuple[int, int, int]]] = []

    def __call__(self, peer: ServerConnection) -> None:
        ticks: list[tuple[int, int, int]] = []
        self.ticks.append(ticks)
        start = time.time_ns()
        try:
            for number in range(30_000):
                if number == self.STALL_AT:
                    time.sleep(self.STALL_S)
                due = start + number * self.PERIOD_NS
                time.sleep(max(0, due - time.time_ns()) / 1e9)
                before = time.time_ns()
                peer.send(f'{{"number":{number},"data":[{{"E":{due}}}]}}')
                ticks.append((due, before, time.time_ns()))
        except ConnectionClosed:
            pass


@contextmanager
def server(handler: Any) -> Iterator[str]:
    """A WebSocket server in this process; its URL."""
    with serve(handler, "127.0.0.1", 0, compression=None) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{running.socket.getsockname()[1]}/"
        running.shutdown()
        thread.join()


def at(percentile: float, values: "np.ndarray[Any, Any]") -> float:
    """As HdrHistogram means it: so many per cent of the values are at most this."""
    ordered = np.sort(values)
    return float(ordered[max(0, int(percentile * len(ordered) / 100 + 0.5) - 1)])


@pytest.mark.alone
def test_a_stall_of_the_server_is_in_the_percentiles_as_it_was() -> None:
    staller = Staller()
    with server(staller) as url:
        found = result(
            *("--url", url, "--stamp", "json:data.0.E", "--clients", "2"),
            *("--warmup", "0.3", "--duration", "2"),
        )
    start_ns = datetime.fromisoformat(found.started).timestamp() * 1e9
    rows = np.array([row for ticks in staller.ticks[1:] for row in ticks])  # without the probe's
    rows = rows[(rows[:, 0] >= start_ns - 1000) & (rows[:, 0] < start_ns + 2e9 - 1000)]
    sent_us, done_us = (rows[:, 1:] - rows[:, :1]).T / 1000
    assert found.delivered == found.latency.count
    assert abs(found.latency.count - len(rows)) <= 2
    assert found.own is not None
    assert at(99, sent_us) > 1e5, "the stall was not in the window"
    for percentile, reported_us in (
        (50, found.latency.p50_us),
        (90, found.latency.p90_us),
        (99, found.latency.p99_us),
        (99.9, found.latency.p999_us),
        (100, found.latency.max_us),
    ):
        # A tick is not there before it is sent, and the client has it after its own delay. A
        # tick more or less at the window's edges may move an order statistic by a place.
        least, most = at(percentile - 0.1, sent_us), at(min(100, percentile + 0.1), done_us)
        assert least * 0.999 <= reported_us <= (most + found.own.max_us) * 1.001 + 1000


def test_the_floor_of_a_test_of_a_running_gateway(quick: str, tmp_path: Path) -> None:
    port = free_udp_port()
    feed = ("feeds.0.type=udp", f"feeds.0.port={port}", "feeds.0.venue=SIM")
    with serving(tmp_path / "log", *feed) as gateway:
        words = (quick, "--url", gateway.url, "--feed", f"127.0.0.1:{port}")
        # Not all of it: what a loaded host delivers after 0.2 s of grace is not the floor's doing.
        done = run(*words, "--threshold", "reach>0", "cpu_per_delivery<1000*floor")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "could connect" not in done.stderr  # the floor serves so many clients and no probe


def test_what_can_not_be_understood_is_said(quick: str) -> None:
    staller = Staller()
    with server(staller) as url:
        done = run("--url", url, "--stamp", "json:nope", *SHORT)
    assert done.returncode == 1
    assert "messages had no stamp of the kind --stamp json:nope" in done.stderr


def test_clients_can_not_come_from_another_host(tmp_path: Path) -> None:
    file = tmp_path / "away.toml"
    file.write_text("sources = ['192.0.2.1']\ngroups = [{ name = 'all', clients = 1 }]\n")
    done = run(str(file))
    assert done.returncode == 1
    assert "tickgate: sources: 192.0.2.1 is no address of this host" in done.stderr


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_server_that_refuses_says_how() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def answer() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"HTTP/1.1 503 Busy\x1b[2J\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        done = run("--url", f"ws://127.0.0.1:{port}/", "-q")
        thread.join()
    assert done.returncode == 1
    assert "the server answered 'HTTP/1.1 503 Busy?[2J', not with 101" in done.stderr


def test_what_a_gateway_refused_is_named_everywhere(tmp_path: Path) -> None:
    files = [tmp_path / "out.json", tmp_path / "out.html"]
    with serving(
        tmp_path / "log",
        *("feeds.0.type=synthetic", "feeds.0.symbols=3", "feeds.0.rate=400"),
        *("limits.max_connections=4", "limits.topics_per_connection=2"),
    ) as gateway:
        done = run(
            *("--url", gateway.url, "--clients", "7", "--symbols", "*.SIM", *SHORT),
            *("--json", str(files[0]), "--html", str(files[1])),
        )
    found = from_json(files[0].read_bytes())
    full = "max_connections: 4 are open"
    handshakes = [one for one in found.refusals if one.kind == "handshake"]
    replies = [one for one in found.refusals if one.kind == "reply"]
    assert [(one.code, one.message) for one in handshakes] == [("HTTP 503", full)]
    # One connection may have been another's: that of the look at the server before the test.
    assert handshakes[0].count == found.connections.refused >= 3
    assert [(one.code, one.count) for one in replies] == [
        ("limit_exceeded", 7 - found.connections.refused)
    ]
    assert replies[0].message is not None
    assert replies[0].message.startswith("topics: 0 in use and 3 more, of 2")
    for words in ("HTTP 503", full, "limit_exceeded"):
        assert words in done.stdout
        assert words in files[1].read_text()
    assert f"HTTP 503: {full} ({handshakes[0].count} times)" in done.stderr


def test_a_server_that_sends_nothing_is_exit_code_1() -> None:
    def silent(peer: ServerConnection) -> None:
        for _ in peer:
            pass

    with server(silent) as url:
        done = run("--url", url, *SHORT, "-q")
    assert done.returncode == 1
    assert "nothing was delivered" in done.stdout
