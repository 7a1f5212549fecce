"""`tickgate bench` that is interrupted, killed or starved: what it says, and what it leaves."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.benches import COMMAND, TIMEOUT_S, run
from support.serving import serving, until

from gateway.loadtest.processes import family
from gateway.loadtest.result import from_json

LONG = ("--clients", "10", "--rate", "100", "--warmup", "0.3", "--duration", "60")


@contextmanager
def started(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A run that goes on; none of its processes may be left when it ends."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*COMMAND, *arguments], text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def measuring(process: "subprocess.Popen[str]") -> list[int]:
    """Waits until the window has begun; the load test's processes, its own first."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("measuring"):
            return family(process.pid)
    raise AssertionError(f"it ended with {process.wait()}")


def named(pids: Sequence[int], name: bytes) -> int:
    return next(pid for pid in pids if name in Path(f"/proc/{pid}/cmdline").read_bytes())


def gone(pids: Sequence[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_shows_what_there_is_and_leaves_nothing(number: int) -> None:
    with started(*LONG, "--json", "-") as process:
        pids = measuring(process)
        process.send_signal(number)
        out, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1, errors
    found = from_json(out)
    assert "interrupted after" in found.failed_because[-1]
    assert found.delivered > 0
    assert found.source is not None
    assert 0 < found.duration_s < 60
    assert len(pids) >= 6
    until(lambda: gone(pids))


def test_an_interrupt_before_the_window_says_so_and_leaves_nothing() -> None:
    with started("--clients", "10", "--warmup", "60") as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("warming up"):
            assert process.poll() is None
        pids = family(process.pid)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (1, "")
    assert "tickgate: interrupted before anything was measured" in errors
    until(lambda: gone(pids))


@pytest.mark.parametrize(
    ("part", "name"),
    [(b"swarm_process", "swarm"), (b"loadtest.source", "source"), (b"gateway.cli", "gateway")],
)
def test_a_process_that_dies_is_named_and_nothing_is_left(part: bytes, name: str) -> None:
    with started(*LONG) as process:
        pids = measuring(process)
        os.kill(named(pids[1:], part), signal.SIGKILL)
        out, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (1, "")
    assert f"tickgate: {name}: ended with signal SIGKILL" in errors
    assert "Traceback" not in errors
    until(lambda: gone(pids))


def test_a_server_that_ends_in_the_window_has_not_passed(tmp_path: Path) -> None:
    feed = ("feeds.0.type=synthetic", "feeds.0.symbols=2", "feeds.0.rate=100")
    with serving(tmp_path / "log", *feed) as gateway:
        words = ("--url", gateway.url, "--clients", "5", "--warmup", "0.3", "--duration", "8")
        with started(*words) as process:
            measuring(process)
            gateway.terminate()
            out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert "FAIL: no client was connected at the end" in out


def test_nothing_is_left_of_a_load_test_that_is_killed() -> None:
    with started(*LONG) as process:
        pids = measuring(process)
        process.kill()
    until(lambda: gone(pids[1:]))


@pytest.mark.alone
def test_a_client_without_a_cpu_is_exit_code_3(quick: str) -> None:
    cpu = max(os.sched_getaffinity(0))
    spin = [sys.executable, "-ESc", "while True: pass"]
    spinners = [subprocess.Popen(spin) for _ in range(3)]
    try:
        for one in spinners:
            os.sched_setaffinity(one.pid, {cpu})
        words = (quick, "--clients", "100", "--rate", "2000", "--client-cpus", str(cpu))
        done = run(*words, "--quiet", tries=1)
    finally:
        for one in spinners:
            one.kill()
            one.wait()
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stdout.startswith("INVALID: the client was the bottleneck: ")


def test_a_client_that_stands_still_is_not_the_server_s_fault() -> None:
    words = ("--clients", "5", "--rate", "500", "--warmup", "0.3", "--duration", "5")
    with started(*words, "--threshold", "max<400ms") as process:
        swarm = named(measuring(process)[1:], b"swarm_process")
        os.kill(swarm, signal.SIGSTOP)
        time.sleep(0.8)
        os.kill(swarm, signal.SIGCONT)
        out, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 3, errors + out
    assert "INVALID: the client was the bottleneck: max<400ms fails with" in out
