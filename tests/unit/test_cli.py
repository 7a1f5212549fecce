"""The command line as a user meets it: processes, their output and their exit codes."""

import asyncio
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from gateway import cli
from gateway.config import assemble

COMMAND = [sys.executable, "-P", "-m", "gateway.cli"]
TIMEOUT_S = 30.0


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if "__" not in key}
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=inherited | environ,
        check=False,
    )


def start(*arguments: str, **more: Any) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*COMMAND, *arguments], **(pipes | more))


# --- usage ----------------------------------------------------------------------------------------


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, "tickgate 0.1.0\n")


@pytest.mark.parametrize("arguments", [["--help"], ["tail", "--help"], ["config", "--help"]])
def test_help(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 0
    assert "Usage: tickgate" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["serve", "--nope"],
        ["serve", "extra"],
        ["serve", "--set"],
        ["config", "nope"],
        ["tail"],
        ["tail", "A.SIM", "--channel", "book"],
        ["tail", "book"],
        ["tail", "book", "A.SIM", "--depth", "3"],
        ["tail", "A.SIM", "--encoding", "xml"],
        ["tail", "A.SIM", "--count", "x"],
        ["tail", "A.SIM", "--count", "0"],
        ["demo", "--config"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Usage: tickgate" in done.stderr
    assert "tickgate: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_light_commands_load_no_heavy_part() -> None:
    code = "import sys\nfrom gateway.cli import main\nmain(sys.argv[1:])\nprint(*sys.modules)"
    heavy = {"gateway._native", "numpy", "uvloop", "websockets", "gateway.app", "prometheus_client"}
    for arguments in (["--version"], ["config", "check"]):
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        assert not heavy & set(done.stdout.split())


# --- configuration --------------------------------------------------------------------------------


def test_config_check() -> None:
    done = run("config", "check")
    good, warning, memory = done.stdout.splitlines()
    assert (done.returncode, good) == (0, "the configuration is good")
    assert warning == "warning: no feeds: clients may connect, and nothing will come"
    assert re.match(r"memory: [0-9]+ MB with all buffers in use \(programs ", memory)


def test_config_show_is_toml_of_what_is_in_force(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[log]\nlevel = "debug"\n[ops]\nport = 1\n')
    environ = {"TICKGATE_OPS__PORT": "2", "TICKGATE_LISTEN__PORT": "3"}
    done = run("config", "show", "--config", str(file), "--set", "listen.port=4", **environ)
    assert done.returncode == 0
    shown = tomllib.loads(done.stdout)
    assert shown["log"]["level"] == "debug"
    assert (shown["ops"]["port"], shown["listen"]["port"]) == (2, 4)
    assert assemble(shown, {}).limits.heartbeat_ms == 1000


def test_config_schema() -> None:
    done = run("config", "schema")
    assert done.returncode == 0
    assert "SyntheticOptions" in json.loads(done.stdout)["$defs"]


@pytest.mark.parametrize("command", [["serve"], ["demo"], ["config", "check"], ["doctor"]])
def test_f61_config_errors_all_at_once_exit_78(command: list[str]) -> None:
    sets = ["listen.prot=1", "ring.capacity_bytes=1000000", "slo.percentile=x"]
    elapsed_s: list[float] = []
    while len(elapsed_s) < 20 and not any(each < 1 for each in elapsed_s):  # others may be busy
        began = time.monotonic()
        done = run(*command, *(part for text in sets for part in ("--set", text)))
        elapsed_s.append(time.monotonic() - began)
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "tickgate: the configuration has 3 errors",
        "  listen.prot (--set): unknown key; did you mean port?",
        '  slo.percentile (--set): found "x"; expected a number above 0 and below 100',
        "  ring.capacity_bytes (--set): found 1000000; expected a power of two (524288 or 1048576)",
    ]
    assert min(elapsed_s) < 1


@pytest.mark.parametrize("content", [None, "[listen\n", "[listen]\nport = 1\nport = 2\n"])
def test_f61_unreadable_file_exit_78(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "gateway.toml"
    if content is not None:
        file.write_text(content)
    done = run("serve", "--config", str(file))
    assert done.returncode == 78
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.alone
@pytest.mark.parametrize("section", ["listen", "ops"])
def test_f61_port_busy_exit_69(section: str) -> None:
    other = {"listen": "ops", "ops": "listen"}[section]
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        began = time.monotonic()
        done = run("serve", "--set", f"{section}.port={port}", "--set", f"{other}.port=0")
    assert done.returncode == 69
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 3


def test_control_characters_of_a_value_never_reach_the_terminal() -> None:
    done = run("config", "check", "--set", "log.level=\x1b[31mred", "--set", "li\x1b[2J.port=1")
    assert done.returncode == 78
    assert "\x1b" not in done.stderr


# --- tail -----------------------------------------------------------------------------------------


async def gateway(peer: ServerConnection) -> None:
    """A gateway with one instrument, and a tick each 5 ms once somebody subscribed."""
    data = {"version": "0", "connection_id": "c", "epoch": "e", "now": 1}
    await peer.send(json.dumps({"channel": "system", "type": "hello", "data": [data]}))
    ticking: list[asyncio.Task[None]] = []
    try:
        async for text in peer:
            request = json.loads(text)
            now = time.time_ns()
            params = request.get("params", {})
            reply = {"method": request["method"], "req_id": request["req_id"], "success": True}
            if request["method"] == "ping":
                reply |= {"t0": params["t0"], "t1": now, "t2": now}
            elif params["symbol"] == ["A.SIM"]:
                reply["results"] = [{"symbol": "A.SIM", "success": True}]
                ticking.append(asyncio.create_task(tick(peer, params["channel"])))
            else:
                error = {"code": "unknown_symbol", "message": "no such\x1b[2J instrument"}
                reply["results"] = [{"symbol": s, "success": False, "error": error} for s in "X"]
            await peer.send(json.dumps(reply))
    finally:
        for task in ticking:
            task.cancel()


async def tick(peer: ServerConnection, channel: str) -> None:
    row = {
        "trade": {"id": "1", "price": "64250.10", "qty": "0.015", "side": "buy\x1b[2J"},
        "bbo": {"bid": "1.0", "bid_qty": "2", "ask": "1.1", "ask_qty": "3"},
    }[channel]
    for seq in range(1, 4000):
        now = time.time_ns()
        message = {"channel": channel, "type": "update", "symbol": "A.SIM", "seq": seq}
        times = {"ts_event": now, "ts_recv": now, "ts_send": now}
        await peer.send(json.dumps(message | times | {"data": [row]}))
        await asyncio.sleep(0.005)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with serve(gateway, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def test_tail_prints_plain_lines_when_piped(url: str) -> None:
    done = await asyncio.to_thread(run, "tail", "A.SIM", "--url", url, "--count", "8")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    assert "\x1b" not in done.stdout + done.stderr
    trade = next(line for line in lines if " x " in line)
    age = r"-?\d+\.\d+±\d+\.\d{3}ms$"
    assert re.search(rf"A\.SIM +buy\?\[2J +64250\.10 x 0\.015 +{age}", trade)
    assert any(re.search(rf"A\.SIM +bbo +1\.0x2 1\.1x3 +{age}", line) for line in lines)


async def test_tail_of_one_channel(url: str) -> None:
    arguments = ["tail", "A.SIM", "--url", url, "--count", "3", "--channel", "bbo"]
    done = await asyncio.to_thread(run, *arguments)
    assert [line.split()[2] for line in done.stdout.splitlines()] == ["bbo"] * 3


async def test_tail_is_coloured_on_a_terminal(url: str) -> None:
    ours, theirs = pty.openpty()
    environ = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    process = start("tail", "A.SIM", "--url", url, "--count", "3", stdout=theirs, env=environ)
    os.close(theirs)
    shown = await asyncio.to_thread(os.read, ours, 100)
    await asyncio.to_thread(process.communicate, timeout=TIMEOUT_S)
    os.close(ours)
    assert b"\x1b[1mA.SIM" in shown
    assert process.returncode == 0


async def test_tail_ends_well_on_ctrl_c(url: str) -> None:
    process = start("tail", "A.SIM", "--url", url)
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.readline)
    process.send_signal(signal.SIGINT)
    _, errors = await asyncio.to_thread(process.communicate, timeout=TIMEOUT_S)
    assert (process.returncode, errors) == (0, "")


async def test_tail_ends_well_when_its_reader_has_gone(url: str) -> None:
    process = start("tail", "A.SIM", "--url", url)
    assert process.stdout is not None
    assert process.stderr is not None
    await asyncio.to_thread(process.stdout.readline)
    process.stdout.close()
    assert await asyncio.to_thread(process.wait, TIMEOUT_S) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


async def test_tail_degrades_where_there_is_ascii_alone(url: str) -> None:
    arguments = ["tail", "A.SIM", "--url", url, "--count", "3"]
    done = await asyncio.to_thread(run, *arguments, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert all(re.search(r"\d\+-\d+\.\d{3}ms$", line) for line in done.stdout.splitlines())


async def test_tail_has_a_header_and_says_what_its_age_is_on_a_terminal(url: str) -> None:
    ours, theirs = pty.openpty()
    process = start("tail", "A.SIM", "--url", url, "--count", "3", stderr=theirs)
    os.close(theirs)
    lines, _ = await asyncio.to_thread(process.communicate, timeout=TIMEOUT_S)
    told = os.read(ours, 4096).decode()
    os.close(ours)
    assert re.search(r"received +instrument +what happened +age±error\r\n", told)
    assert "±: how wrong that may be" in told
    assert len(lines.splitlines()) == 3, "ticks alone"


async def test_tail_of_nothing_fails(url: str) -> None:
    done = await asyncio.to_thread(run, "tail", "X.SIM", "--url", url, "--channel", "trade")
    assert done.returncode == 1
    assert done.stderr == "tickgate: trade X: unknown_symbol: no such?[2J instrument\n"


def test_tail_without_a_gateway_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    done = run("tail", "A.SIM", "--url", f"ws://127.0.0.1:{port}/v1")
    assert done.returncode == 1
    assert "Does the gateway run (tickgate demo)?" in done.stderr
    assert "Traceback" not in done.stderr


# --- demo -----------------------------------------------------------------------------------------


async def test_the_demo_s_client_runs_as_printed_and_warns_of_nothing(url: str) -> None:
    class Urls:
        client = url
        ops = "http://127.0.0.1:1/"

    text = cli._welcome(assemble(cli.DEMO, {}), Urls, "because")  # type: ignore[arg-type]
    assert "dashboard  http" in text
    assert "ops page" not in text
    assert "target     p99 of 1.00 ms (slo.target_us = 1000): because" in text
    assert "100 instruments, 1000 records a second" in text
    assert f"tail SYM001.SIM SYM002.SIM --url {url}" in text
    assert f" top --ops {Urls.ops}\n" in text
    command = re.search(r"\S+ -c '[^']+'", text)
    assert command is not None
    process = await asyncio.create_subprocess_shell(
        "exec " + command[0].replace("SYM001.SIM", "A.SIM"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(4)]
    process.terminate()
    _, said = await process.communicate()
    assert said == b""
    assert b'"hello"' in lines[0]
    assert json.loads(lines[3])["channel"] == "trade"
