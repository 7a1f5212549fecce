"""What is put under load."""

import json
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.serving import until

from gateway.config import assemble
from gateway.errors import TickgateError
from gateway.feeds.options import SyntheticOptions, UdpOptions
from gateway.loadtest import target
from gateway.loadtest.children import ChildFailed, Children
from gateway.loadtest.processes import family
from gateway.loadtest.scenario import Scenario, from_document


def scenario(**given: Any) -> Scenario:
    return from_document({"name": "test", "groups": [{"name": "all", "clients": 1}]} | given)


@pytest.fixture
def children() -> Iterator[Children]:
    with Children() as some:
        yield some


# --- our gateway's settings -----------------------------------------------------------------------


def test_the_gateway_gets_a_udp_feed_that_ticks_are_sent_to() -> None:
    sets, feeds = target.settings(scenario())
    config = assemble({}, {}, sets)
    assert isinstance(config.feeds[0], UdpOptions)
    assert feeds == ((config.feeds[0].host, config.feeds[0].port),)
    assert (config.listen.port, config.ops.port, config.log.format) == (0, 0, "json")


def test_the_gateway_gets_what_the_scenario_sets() -> None:
    given = {"limits": {"heartbeat_ms": 50}, "cluster": {"workers": 2}, "listen": {"port": 1}}
    sets, _ = target.settings(scenario(gateway=given))
    config = assemble({}, {}, sets)
    assert (config.limits.heartbeat_ms, config.cluster.workers) == (50, 2)
    assert config.listen.port == 0, "two tests at once need ports of their own"


def test_the_scenario_s_own_feeds_stay() -> None:
    own = {"type": "synthetic", "venue": "OWN", "symbols": 3}
    sets, _ = target.settings(scenario(gateway={"feeds": [own]}))
    first, second = assemble({}, {}, sets).feeds
    assert (first.venue, second.venue) == ("OWN", "SIM")


def test_recordings_go_where_they_push_out_none_that_are_wanted() -> None:
    sets, _ = target.settings(scenario(), recordings="/tmp/some where")
    assert assemble({}, {}, sets).recorder.directory == "/tmp/some where"
    own = scenario(gateway={"recorder": {"files_max": 3}})
    sets, _ = target.settings(own, recordings="/tmp/some where")
    assert assemble({}, {}, sets).recorder.directory == "", "who says something says all"


def test_the_embedded_feed_is_the_source() -> None:
    source = {"via": "embedded", "symbols": 7, "rate": 250.5, "seed": 9, "channels": ["bbo"]}
    given = scenario(source=source, groups=[{"name": "all", "clients": 1, "channel": "bbo"}])
    sets, feeds = target.settings(given)
    (feed,) = assemble({}, {}, sets).feeds
    assert feeds == ()
    assert isinstance(feed, SyntheticOptions)
    assert (feed.symbols, feed.rate, feed.seed, feed.channels) == (7, 250.5, 9, ("bbo",))
    assert feed.burst_every_s == 0


def test_the_embedded_feed_bursts_as_the_source_would() -> None:
    burst = {"shape": "burst", "burst_rate": 500.0, "burst_s": 0.5, "burst_every_s": 2.0}
    sets, _ = target.settings(scenario(source={"via": "embedded", "rate": 100.0} | burst))
    (feed,) = assemble({}, {}, sets).feeds
    assert isinstance(feed, SyntheticOptions)
    assert (feed.burst_every_s, feed.burst_s, feed.burst_factor) == (2.0, 0.5, 5.0)


def test_the_gateway_is_ready_when_its_log_says_so() -> None:
    ready = json.dumps(
        {"event": "serve.ready", "client": "ws://127.0.0.1:5/v1", "ops": "http://127.0.0.1:6/"}
    )
    assert target.ready_urls("") is None
    assert target.ready_urls('{"event":"start"}\n' + ready) is None, "half a line may be missing"
    found = target.ready_urls('{"event":"start"}\n' + ready + "\n")
    assert found == ("ws://127.0.0.1:5/v1", "http://127.0.0.1:6")


# --- servers that run -----------------------------------------------------------------------------


def test_gateways_are_started_and_ended(children: Children) -> None:
    found = target.gateways(children, scenario(gateways=2))
    assert len(found.endpoints) == len(found.feeds) == len(found.roots) == 2
    for one in found.endpoints:
        assert one.path == "/v1"
        socket.create_connection((one.address, one.port), timeout=5).close()
    children.__exit__(None, None, None)
    for pid in found.roots:
        assert not Path(f"/proc/{pid}").exists()


def test_a_gateway_that_can_not_start_says_why(children: Children) -> None:
    with pytest.raises(ChildFailed, match=r"(?s)gateway: ended with exit code 78.*no_such_key"):
        target.gateways(children, scenario(gateway={"no_such_key": 1}))


PROGRAM = textwrap.dedent("""
    import socket, sys, time
    port, udp_port = int(sys.argv[2]), int(sys.argv[4])
    assert (sys.argv[1], sys.argv[3]) == ("--port", "--udp-port")
    server = socket.create_server(("127.0.0.1", port))
    print("ready", flush=True)
    time.sleep(60)
""")


def test_another_program_is_started(children: Children) -> None:
    found = target.programs(children, "peer", [sys.executable, "-c", PROGRAM], path="/x?y")
    (one,) = found.endpoints
    assert one.path == "/x?y"
    assert target.existing(one.url).roots == found.roots, "who listens there is found"


def test_a_program_that_fails_is_named(children: Children) -> None:
    with pytest.raises(ChildFailed, match=r"(?s)peer: ended with exit code 3.*no luck"):
        target.programs(
            children, "peer", [sys.executable, "-c", "import sys; print('no luck'); sys.exit(3)"]
        )


def test_an_existing_server_on_this_host_is_found_with_its_family() -> None:
    code = (
        "import os, socket, time\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "pid = os.fork()\n"  # both hold the socket: they are one tree
        "if pid: print(server.getsockname()[1], flush=True)\n"
        "time.sleep(60)\n"
    )
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = f"ws://127.0.0.1:{int(process.stdout.readline())}/"
            assert target.existing(url).roots == (process.pid,)
            assert target.existing(url, pid=os.getpid()).roots == (os.getpid(),)
            assert target.existing(url, feed=("127.0.0.1", 9)).feeds == (("127.0.0.1", 9),)
        finally:
            for pid in reversed(family(process.pid)):
                os.kill(pid, 9)


def test_a_process_that_is_not_there() -> None:
    with pytest.raises(TickgateError, match=r"--pid: there is no process 4194999"):
        target.existing("ws://127.0.0.1:1/", pid=4194999)  # beyond PID_MAX_LIMIT


def test_a_server_elsewhere_has_no_processes() -> None:
    assert target.existing("ws://192.0.2.1:1/").roots == ()


def test_nothing_is_left_when_the_load_test_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from gateway.loadtest.children import Children\n"
        "some = Children()\n"
        "child = some.start('x', [sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    words = [sys.executable, "-P", "-c", code]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            pid = int(process.stdout.readline())
            words_of = Path(f"/proc/{pid}/cmdline").read_bytes
            until(lambda: words_of().split(b"\0")[1:2] == [b"-c"])  # it is what it shall be
        finally:
            process.kill()
    until(lambda: family(pid) == [] or "Z" in Path(f"/proc/{pid}/stat").read_text())
