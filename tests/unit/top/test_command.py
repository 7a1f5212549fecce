"""`tickgate top` as its user meets it: a process on a terminal, or in a pipe."""

import asyncio
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support import ops_now

from gateway.errors import TickgateError
from gateway.top.command import endpoint

from .conftest import Ops

COMMAND = [sys.executable, "-P", "-m", "gateway.cli", "top"]
TIMEOUT_S = 30.0
ENVIRON = {**os.environ, "COLUMNS": "100", "LINES": "30", "TERM": "xterm"}


async def run(*words: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [*COMMAND, *words],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=ENVIRON,
        check=False,
    )


class Terminal:
    """The command on a terminal of its own: `shown` is everything it wrote."""

    def __init__(self, *words: str) -> None:
        self._fd, theirs = pty.openpty()
        # Of a terminal that controls it: only that makes a signal of Ctrl-C.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *COMMAND, *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=ENVIRON,
        )
        os.close(theirs)
        os.set_blocking(self._fd, False)
        self._shown = b""

    @property
    def shown(self) -> str:
        while True:
            try:
                more = os.read(self._fd, 65536)
            except (BlockingIOError, OSError):  # nothing now; nobody has the other end any more
                break
            if not more:
                break
            self._shown += more
        return self._shown.decode("utf-8", "replace")

    async def shows(self, text: str, *, times: int = 1) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while self.shown.count(text) < times:
            assert time.monotonic() < deadline, self.shown[-2000:]
            assert self.process.poll() is None, self.shown[-2000:]
            await asyncio.sleep(0.02)

    def press(self, key: bytes) -> None:
        os.write(self._fd, key)

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, TIMEOUT_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._fd)


@pytest.fixture
def terminal(ops: Ops) -> Iterator[Terminal]:
    one = Terminal("--url", ops.url)
    yield one
    one.close()


# --- once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [["--once"], []])
async def test_without_a_terminal_it_prints_one_snapshot(ops: Ops, flags: list[str]) -> None:
    ops.document = ops_now.overloaded()
    ops.points = [ops_now.point(ops_now.TS - n * 1_000_000_000) for n in range(300)]
    done = await run("--url", ops.url, *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert "BREACHED  p99 5.23 ms" in done.stdout
    assert "collection of generation 2" in done.stdout, "nothing is cut by height"
    assert "\x1b" not in done.stdout
    assert f"\np99 {'▃' * 75}\n" in done.stdout, "the bars begin with what the gateway remembers"


async def test_json_is_the_document_in_ascii(ops: Ops) -> None:
    ops.document = ops_now.now(listen="\x9b2J\u202e")
    done = await run("--url", ops.url, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == ops.document
    assert done.stdout.isascii()


async def test_it_degrades_where_there_is_ascii_alone(
    ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRON, "PYTHONIOENCODING", "ascii")
    done = await run("--url", ops.url, "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()


async def test_the_past_may_be_unknown(ops: Ops) -> None:
    ops.points = None
    done = await run("--url", ops.url)
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_refused_connection_is_exit_1_and_one_line() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{sock.getsockname()[1]}/v1"
        done = await run("--url", url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert url in done.stderr
    assert "Does the gateway run" in done.stderr


async def test_the_clients_listener_is_told_from_the_ops_listener(ops: Ops) -> None:
    ops.error = {"code": "unknown_channel", "message": "no channel of that name"}
    done = await run("--url", ops.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no channel of that name. Is it the ops listener?" in done.stderr


async def test_a_document_that_is_not_understood_is_exit_1(ops: Ops) -> None:
    ops.document = {"ts": "x\x1b[2J"}
    waiting = asyncio.create_task(run("--url", ops.url))
    await ops.sent.wait()
    await ops.close(4500)
    done = await waiting
    assert done.returncode == 1
    assert "not understood" in done.stderr


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("ws://h:1/v1", "ws://h:1/v1"),
        ("http://127.0.0.1:9464/", "ws://127.0.0.1:9464/v1"),
        ("https://h", "wss://h/v1"),
        ("ws://h:1/behind/v1?x=1", "ws://h:1/behind/v1?x=1"),
    ],
)
def test_the_address_of_the_page_will_do(given: str, meant: str) -> None:
    assert endpoint(given) == meant


def test_what_is_no_url_is_no_gateway() -> None:
    with pytest.raises(TickgateError, match="Invalid IPv6 URL"):
        endpoint("http://[::1")


# --- live -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [b"q", b"\x03"])
async def test_a_key_leaves_and_the_terminal_is_as_before(terminal: Terminal, key: bytes) -> None:
    await terminal.shows("OK")
    terminal.press(key)
    assert await terminal.ended() == 0
    assert terminal.shown.count("\x1b[?1049h") == terminal.shown.count("\x1b[?1049l") == 1
    assert "\x1b[?25h" in terminal.shown, "the cursor is back"
    assert "Traceback" not in terminal.shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_leaves_too(terminal: Terminal, number: int) -> None:
    await terminal.shows("OK")
    terminal.process.send_signal(number)
    assert await terminal.ended() == 0
    assert "\x1b[?1049l" in terminal.shown


async def test_what_comes_is_shown(ops: Ops, terminal: Terminal) -> None:
    await terminal.shows("OK")
    await ops.tell(ops_now.infeasible())
    await terminal.shows("INFEASIBLE")


async def test_it_connects_again_by_itself(ops: Ops, terminal: Terminal) -> None:
    await terminal.shows("OK")
    ops.document = ops_now.infeasible()
    await ops.close(1012)
    await terminal.shows("INFEASIBLE")


async def test_it_says_that_it_is_disconnected(ops: Ops, terminal: Terminal) -> None:
    await terminal.shows("OK")
    ops.error = {"code": "rate_limited", "message": "later", "retryable": True}
    await ops.close(1012)
    await terminal.shows("disconnected: 1012 as the test said")


async def test_being_sent_away_for_good_is_exit_1(ops: Ops, terminal: Terminal) -> None:
    await terminal.shows("OK")
    await ops.close(4501)
    assert await terminal.ended() == 1
    assert "disconnected: 4501 as the test said" in terminal.shown


async def test_names_from_outside_never_style_the_terminal(ops: Ops, terminal: Terminal) -> None:
    hostile: dict[str, Any] = {"listen": "[red]\x1b]0;owned\x07\x1b[2J"}
    await terminal.shows("OK")
    await ops.tell(ops_now.now(**hostile))
    await terminal.shows("[red]?]0;owned??[2J")
    assert "\x1b]0;owned" not in terminal.shown
