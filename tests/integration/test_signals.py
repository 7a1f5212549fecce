"""Signals: what each does to the supervisor, and to a child that gets it by mistake."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.serving import Serving, serving, until
from support.wire import CLOSE, Wire, connected, request, subscribe, text

from gateway.supervisor import signals

SMALL = """
[ring]
capacity_bytes = 1048576
[plane]
log_bytes = 8388608
[[feeds]]
type = "synthetic"
symbols = 3
rate = 100
"""
MEANINGLESS = {
    **{name: signal.Signals[name] for name in ("SIGUSR2", "SIGQUIT", "SIGALRM", "SIGVTALRM")},
    **{name: signal.Signals[name] for name in ("SIGPROF", "SIGIO", "SIGPWR", "SIGSTKFLT")},
    "SIGRTMIN": signal.SIGRTMIN,
    "SIGRTMIN+1": signal.SIGRTMIN + 1,
    "SIGRTMAX": signal.SIGRTMAX,
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def gateway(tmp_path: Path, config: Path) -> Iterator[Serving]:
    with serving(tmp_path / "log", config=config) as gateway:
        yield gateway


@pytest.fixture
def doomed(tmp_path: Path, config: Path) -> Iterator[Serving]:
    """A gateway that the test ends."""
    log = tmp_path / "log"
    words = [sys.executable, "-P", "-m", "gateway.cli", "serve", "--config", str(config)]
    words += ["--set", "listen.port=0", "--set", "ops.port=0"]
    with log.open("wb") as sink, subprocess.Popen(words, stdout=sink, stderr=sink) as process:
        try:
            yield Serving(process, log)
        finally:
            process.kill()


def told(gateway: Serving, words: str, times: int = 1) -> None:
    until(lambda: gateway.lines().count(words) >= times)


def signalled(gateway: Serving, process: str, pid: int, name: str, number: int) -> None:
    """Sends a signal until the process tells it: one event gets ten lines a second."""

    def heard() -> bool:
        os.kill(pid, number)
        return f"{process} signals signal.ignored signal={name} " in gateway.lines()

    until(heard, interval_s=0.2)


def test_f73_no_signal_but_those_that_mean_it_ends_a_child(gateway: Serving) -> None:
    pids = {name: gateway.pid(name) for name in ("feed", "worker-0")}
    with connected(gateway.url) as wire:
        orders = {"SIGHUP": signal.SIGHUP, "SIGUSR1": signal.SIGUSR1}
        for name, number in (orders | MEANINGLESS).items():
            for child, pid in pids.items():
                signalled(gateway, child, pid, name, number)
        assert wire.ask({"method": "ping"})["success"]
    assert {name: gateway.pid(name) for name in pids} == pids


def test_f73_no_signal_but_those_that_mean_it_ends_the_supervisor(gateway: Serving) -> None:
    for name, number in MEANINGLESS.items():
        signalled(gateway, "supervisor", gateway.process.pid, name, number)
    gateway.process.send_signal(signal.SIGUSR1)
    told(gateway, "reopen.nothing")
    assert gateway.get("/readyz")[0] == 200


DEADLY = {
    *(signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGKILL),
    *(signal.SIGSEGV, signal.SIGSYS),
}
"""A process's own faults, and the one that it can't see."""
NOTHING = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
STOPPING = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
WRITES = {signal.SIGPIPE, signal.SIGXFSZ}
"""Python ignores them."""
ENDS = {signal.SIGTERM, signal.SIGINT, signal.SIGXCPU}


def test_f73_of_every_signal_there_is_it_is_known_what_it_does() -> None:
    known = DEADLY | NOTHING | STOPPING | WRITES | ENDS | set(signals.TOLD)
    assert signal.valid_signals() - known == set()


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGSYS])
def test_f51_no_child_outlives_its_supervisor(
    how: signal.Signals, doomed: Serving, *, stopped: bool
) -> None:
    pids = [doomed.pid(name) for name in ("feed", "worker-0")]
    with connected(doomed.url) as wire:
        if stopped:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
        doomed.process.send_signal(how)
        assert doomed.process.wait(60) == -how
        assert wire.closed() == (1012, "service restart")
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_at_its_limit_of_cpu_time_a_worker_ends_in_good_order(gateway: Serving) -> None:
    worker = gateway.pid()
    with connected(gateway.url) as wire:
        os.kill(worker, signal.SIGXCPU)
        os.kill(worker, signal.SIGXCPU)
        assert wire.closed() == (1012, "service restart")
    told(gateway, "cpu.limit")
    until(lambda: gateway.pid() not in (0, worker) and gateway.get("/readyz")[0] == 200)


def test_at_its_limit_of_cpu_time_the_supervisor_ends_in_good_order(doomed: Serving) -> None:
    with connected(doomed.url) as wire:
        for _ in range(3):  # it comes every second
            doomed.process.send_signal(signal.SIGXCPU)
        assert wire.closed() == (1012, "service restart")
    assert doomed.process.wait(60) == 69
    told(doomed, "cpu.limit")
    told(doomed, "serve.stopped exit=69")


BLOCKED = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_what_a_launcher_blocked_and_ignored_is_of_no_effect(tmp_path: Path, config: Path) -> None:
    before = [sys.executable, "-c", BLOCKED]
    with serving(tmp_path / "log", config=config, before=before) as gateway:  # ends by SIGTERM
        os.kill(gateway.pid(), signal.SIGKILL)
        told(gateway, 'reason=signal how="signal 9"')
        signalled(gateway, "supervisor", gateway.process.pid, "SIGUSR2", signal.SIGUSR2)


def test_a_worker_that_is_hung_up_on_keeps_its_clients(gateway: Serving) -> None:
    with connected(gateway.url) as wire:
        os.kill(gateway.pid(), signal.SIGHUP)
        told(gateway, "signal.ignored signal=SIGHUP")
        assert wire.ask({"method": "ping"})["success"]
        gateway.terminate()
        assert wire.closed() == (1012, "service restart")


def test_f73_hang_up_reloads(gateway: Serving, config: Path) -> None:
    dash = request(more=[("Origin", "https://dash.example")])
    with Wire(gateway.url) as wire:
        wire.send(dash)
        assert wire.response().status == 403
    with connected(gateway.url) as before:
        config.write_text(
            SMALL.replace("[plane]", "[plane]\nwait = 'spin'")
            + '[listen]\norigins = ["https://dash.example"]\n[limits]\nerrors_per_minute = 1\n'
            + "[log]\nlevel = 'debug'\n[recorder]\nseconds = 5\n"
        )
        gateway.process.send_signal(signal.SIGHUP)
        told(gateway, "reload.done changed=4 needs_restart=1")
        told(gateway, "reload.needs_restart keys=plane.wait")
        for key in ("listen.origins", "limits.errors_per_minute", "log.level", "recorder.seconds"):
            assert f"reload.changed key={key} " in gateway.lines()

        def admitted() -> bool:
            with Wire(gateway.url) as wire:
                wire.send(dash)
                return wire.response().status == 101

        until(admitted)
        told(gateway, "handshake.refused" if not admitted() else "client.closed")  # debug lines
        for _ in range(2):  # the client from before obeys the new limit
            before.send_anyway(b"\x81\x82\x00\x00\x00\x00{}")
        assert before.closed()[0] == 4502
    # A worker that is started later has it all too.
    worker = gateway.pid()
    os.kill(worker, signal.SIGKILL)
    until(lambda: gateway.pid() not in (0, worker) and gateway.get("/readyz")[0] == 200)
    assert admitted()
    document = gateway.status()["config"]
    assert document["listen"]["origins"] == ["https://dash.example"]
    assert document["plane"]["wait"] == "hybrid"


def test_the_largest_message_is_that_of_the_last_reload(gateway: Serving, config: Path) -> None:
    ping = text('{"method": "ping"' + " " * 400 + "}")
    with connected(gateway.url) as wire:
        wire.send(ping)
        assert wire.reply()["success"]
        config.write_text(SMALL + "[limits]\nmessage_bytes = 256\n")
        gateway.process.send_signal(signal.SIGHUP)
        told(gateway, "reload.done changed=1 needs_restart=0")

        def refused() -> bool:
            with connected(gateway.url) as another:
                another.send(ping)
                return another.frame().opcode == CLOSE

        until(refused)
        wire.send(ping)  # a message of the client from before, but a later one
        assert wire.closed()[0] == 1009


def test_the_objective_and_when_a_feed_is_stale_reload(gateway: Serving, config: Path) -> None:
    one = SMALL.replace("rate = 100", "rate = 100\nstale_after_s = 77")
    with connected(gateway.url) as wire:
        wire.ask({"method": "subscribe", "params": {"channel": "slo", "symbol": ["*"]}})
        config.write_text(one + "[slo]\ntarget_us = 40_000_000\npercentile = 99.9\nwindow_s = 7\n")
        gateway.process.send_signal(signal.SIGHUP)
        told(gateway, "reload.done changed=3 needs_restart=1")
        told(gateway, "reload.needs_restart keys=slo.window_s")
        for key in ("feeds.0.stale_after_s", "slo.target_us", "slo.percentile"):
            assert f"reload.changed key={key} " in gateway.lines()
        # Nobody was dropped; the client hears of it on the channel, a new one in its hello.
        while (message := wire.message()).get("channel") != "slo" or (
            message["data"][0]["target_us"] == 1000
        ):
            continue
        assert (message["data"][0]["target_us"], message["data"][0]["percentile"]) == (4e7, 99.9)

    def hello() -> dict[str, object]:
        with Wire(gateway.url) as another:
            return dict(another.open()["slo"])

    until(lambda: hello()["target_us"] == 40_000_000)
    assert gateway.metrics().of("slo_target_seconds") == 40
    status = gateway.status()
    assert (status["slo"]["target_us"], status["slo"]["percentile"]) == (40_000_000, 99.9)
    assert status["config"]["feeds"][0]["stale_after_s"] == 77


def test_the_plane_judges_by_the_last_objective(gateway: Serving, config: Path) -> None:
    """One that no write can keep is told as infeasible, and by the plane alone."""

    def reload(target_us: int, *, infeasible: bool) -> None:
        config.write_text(f"{SMALL}[slo]\ntarget_us = {target_us}\n")
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: gateway.status()["controller"][0]["infeasible"] is infeasible)

    with ExitStack() as clients:
        for _ in range(30):  # each a write, whose cost is known then
            clients.enter_context(connected(gateway.url)).send(subscribe(["*"]))
        until(lambda: gateway.status()["controller"][0]["fan_out_us"] > 1)
        reload(60_000_000, infeasible=False)
        reload(1, infeasible=True)
        reload(60_000_000, infeasible=False)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_link_to_no_name(path: Path) -> None:
    path.unlink()
    path.symlink_to("long" * 99)


BROKEN: dict[str, Callable[[Path], object]] = {
    "syntax": lambda path: path.write_text("x = ["),
    "values": lambda path: path.write_text("[listen]\nport = 'x'\n[nope]\na = 1\n"),
    "binary": lambda path: path.write_bytes(b"\0\xff"),
    "gone": lambda path: path.unlink(),
    "a pipe": a_pipe,
    "a name too long": a_link_to_no_name,
    "a contradiction": lambda path: path.write_text("[plane]\ncpu = 4000\n"),
}


@pytest.mark.parametrize("breaks", BROKEN)
def test_a_file_with_errors_changes_nothing(gateway: Serving, config: Path, breaks: str) -> None:
    BROKEN[breaks](config)
    gateway.process.send_signal(signal.SIGHUP)
    told(gateway, "reload.refused")
    assert "reload.problem" in gateway.lines()
    assert gateway.get("/readyz")[0] == 200
    config.unlink(missing_ok=True)
    config.write_text(SMALL + "[log]\nlevel = 'debug'\n")
    gateway.process.send_signal(signal.SIGHUP)
    told(gateway, "reload.done changed=1 needs_restart=0")


def test_signals_that_come_before_it_is_ready_and_while_it_stops(
    tmp_path: Path, config: Path
) -> None:
    log = tmp_path / "early"
    words = [sys.executable, "-P", "-m", "gateway.cli", "serve", "--config", str(config)]
    words += ["--set", "listen.port=0", "--set", "ops.port=0"]
    with log.open("wb") as sink, subprocess.Popen(words, stderr=sink) as process:
        try:
            until(lambda: b"child.started" in log.read_bytes())
            while b"serve.ready" not in log.read_bytes():
                assert process.poll() is None
                for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"):
                    process.send_signal(signal.Signals[name])
                time.sleep(0.005)
            process.send_signal(signal.SIGTERM)
            while process.poll() is None:
                process.send_signal(signal.SIGHUP)
                process.send_signal(signal.SIGQUIT)
                time.sleep(0.005)
            assert process.returncode == 0
        finally:
            process.kill()
    assert b"Traceback" not in log.read_bytes()
    assert b"child.died" not in log.read_bytes()


def test_many_at_once(gateway: Serving) -> None:
    for _ in range(50):
        gateway.process.send_signal(signal.SIGHUP)
        gateway.process.send_signal(signal.SIGUSR1)
    told(gateway, "reload.done")
    assert gateway.get("/readyz")[0] == 200
    assert gateway.metrics().total("process_restarts_total") == 0


def test_f73_logs_go_on_in_a_new_file(tmp_path: Path, config: Path) -> None:
    path = tmp_path / "gateway.log"
    config.write_text(f'{SMALL}\n[log]\nfile = "{path}"\n')
    path.touch()
    words = [sys.executable, "-P", "-m", "gateway.cli", "serve", "--config", str(config)]
    with subprocess.Popen([*words, "--set", "listen.port=0", "--set", "ops.port=0"]) as process:
        gateway = Serving(process, path)
        rotated = path.rename(tmp_path / "gateway.log.1")
        process.send_signal(signal.SIGUSR1)
        until(lambda: path.exists() and path.read_text().count("reopen.done") == 3)
        os.kill(gateway.pid(), signal.SIGUSR2)
        until(lambda: "signal.ignored" in path.read_text())
        assert "signal.ignored" not in rotated.read_text()
        # Where the path can't be opened any more, what is open goes on.
        second = path.rename(tmp_path / "gateway.log.2")
        path.mkdir()
        process.send_signal(signal.SIGUSR1)
        until(lambda: second.read_text().count("reopen.failed") == 3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert "serve.stopped" in second.read_text()


def test_a_log_that_cannot_be_opened_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    words = [sys.executable, "-P", "-m", "gateway.cli", "serve", "--set"]
    words.append(f'log.file="{tmp_path}/none/gateway.log"')
    done = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 78
    assert "log.file" in done.stderr
    assert f"{tmp_path}/none is no directory" in done.stderr


def test_a_configuration_too_large_for_a_message_changes_nothing(
    gateway: Serving, config: Path
) -> None:
    origins = ", ".join(f'"https://{number:0100}.example"' for number in range(2000))
    config.write_text(f"{SMALL}[listen]\norigins = [{origins}]\n")
    gateway.process.send_signal(signal.SIGHUP)
    told(gateway, "reload.refused")
    worker = gateway.pid()
    os.kill(worker, signal.SIGKILL)
    until(lambda: gateway.pid() not in (0, worker) and gateway.get("/readyz")[0] == 200)


@pytest.mark.parametrize("command", ["serve", "demo", "nohup serve", "nohup demo"])
def test_a_closed_terminal_stops_what_was_started_in_it(command: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    *before, command = command.split()
    words = [sys.executable, "-P", "-m", "gateway.cli", command]
    words = [*(shutil.which(program) or program for program in before), *words]
    for one in ("listen.port=0", "ops.port=0", f'log.file="{log}"', "slo.target_us=60000000"):
        words += ["--set", one]
    pid, terminal = pty.fork()
    if pid == 0:  # its session's leader, and this its terminal
        os.chdir(tmp_path)  # where nohup puts what would have gone to the terminal
        os.execv(words[0], words)
    try:
        until(lambda: "serve.ready" in log.read_text(), 30)
        drain(terminal)
        os.close(terminal)
        if before:  # it means to stay
            until(lambda: "reload." in log.read_text(), 30)
            os.kill(pid, signal.SIGTERM)
        until(lambda: "serve.stopped" in log.read_text(), 30)
        assert os.waitpid(pid, 0)[1] == 0
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    if command == "serve" and not before:
        assert "terminal.closed" in log.read_text()


def drain(terminal: int) -> None:
    os.set_blocking(terminal, False)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if not os.read(terminal, 65536):
                return
        except OSError:  # nothing more now, or nobody there: nohup writes to a file
            return
