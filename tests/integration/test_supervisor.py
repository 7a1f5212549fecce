"""The supervisor with real processes that do next to nothing (`standin.py`)."""

import asyncio
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.starts import started

from gateway.supervisor.children import ChildSpec, ChildStatistics, Policy
from gateway.supervisor.messages import Reopen
from gateway.supervisor.supervisor import Supervisor

STANDIN = str(Path(__file__).with_name("standin.py"))
FAST = Policy(backoff_first_s=0.02, backoff_most_s=0.1, hang_s=1.8, drain_s=10, tripped_s=0.3)


def spec(name: str = "one", mode: str = "ok", **more: Any) -> ChildSpec:
    stamps_fd = str(more.pop("stamps_fd", -1))
    return ChildSpec(
        role=more.pop("role", "standin"),
        name=name,
        argv=[sys.executable, "-P", STANDIN, name, mode, stamps_fd],
        first=started(),
        **more,
    )


async def until(condition: Callable[[], object], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        await asyncio.sleep(0.01)


def child(supervisor: Supervisor, name: str) -> ChildStatistics:
    return next(c for c in supervisor.statistics().children if c.name == name)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_ready_when_all_are_and_stops_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []
    supervisor = Supervisor(
        [spec("low"), spec("high", rank=1)],
        on_ready=lambda: seen.append("ready"),
        on_drain=lambda: seen.append("drain"),
    )
    assert supervisor.statistics().problems
    run = asyncio.create_task(supervisor.run())
    await until(lambda: seen == ["ready"])
    assert supervisor.statistics().problems == ()
    await until(lambda: child(supervisor, "low").status.worker is not None)
    pids = [c.pid for c in supervisor.statistics().children]
    supervisor.stop()
    assert "draining" in supervisor.statistics().problems
    assert await run == 0
    assert seen == ["ready", "drain"]
    order = [line.split()[2] for line in capfd.readouterr().out.splitlines() if "drained" in line]
    assert order == ["high", "low"]
    assert not any(map(alive, pids))


async def test_f50_a_killed_child_is_restarted_and_the_others_go_on() -> None:
    supervisor = Supervisor([spec("a"), spec("b")], FAST)
    run = asyncio.create_task(supervisor.run())
    await until(lambda: not supervisor.statistics().problems)
    one, other = child(supervisor, "a"), child(supervisor, "b")
    os.kill(one.pid, signal.SIGSEGV)
    await until(lambda: child(supervisor, "a").restarts == {"signal": 1})
    assert any(word.startswith("a is") for word in supervisor.statistics().problems)
    await until(lambda: not supervisor.statistics().problems)
    assert child(supervisor, "a").pid != one.pid
    assert child(supervisor, "b").pid == other.pid
    assert child(supervisor, "b").restarts == {}
    supervisor.stop()
    assert await run == 0


@pytest.mark.alone
@pytest.mark.threat("D14")
async def test_f50_a_stopped_child_is_a_hang_found_within_two_seconds() -> None:
    fd = os.memfd_create("stamps")
    os.ftruncate(fd, 4096)
    memory = mmap.mmap(fd, 4096)
    supervisor = Supervisor(
        [
            spec(
                "a",
                fds=(fd,),
                stamps_fd=fd,
                stamps=lambda: [int.from_bytes(memory[:8], "little")],
            )
        ],
        FAST,
    )
    run = asyncio.create_task(supervisor.run())
    await until(lambda: not supervisor.statistics().problems)
    await asyncio.sleep(2.2)  # a child that stamps is let live
    pid = child(supervisor, "a").pid
    assert child(supervisor, "a").restarts == {}
    os.kill(pid, signal.SIGSTOP)
    stopped_s = time.monotonic()
    await until(lambda: child(supervisor, "a").restarts == {"hang": 1}, 4)
    assert 1.5 < time.monotonic() - stopped_s < 2.3
    await until(lambda: not supervisor.statistics().problems)
    supervisor.stop()
    assert await run == 0
    memory.close()
    os.close(fd)


async def test_f50_the_supervisors_own_pause_is_no_ones_hang() -> None:
    # A frozen stamp is a hang, but after a pause of the supervisor the count starts again.
    supervisor = Supervisor([spec("a", stamps=lambda: [1])], FAST)
    run = asyncio.create_task(supervisor.run())
    await until(lambda: not supervisor.statistics().problems)
    begun_s = time.monotonic()
    await asyncio.sleep(1)
    time.sleep(1.5)  # noqa: ASYNC251 (the pause)
    paused_s = time.monotonic()
    await until(lambda: child(supervisor, "a").restarts.get("hang", 0) > 0)
    # Before the pause there was too little for a hang, so that all of it has come since.
    if paused_s - begun_s < FAST.hang_s + 1.5:
        assert time.monotonic() - paused_s >= FAST.hang_s - 0.2
    supervisor.stop()
    assert await run == 0


async def test_f50_a_crash_loop_trips_the_breaker_and_goes_on_slowly() -> None:
    policy = Policy(
        backoff_first_s=0.01, backoff_most_s=0.02, restarts_max=3, tripped_s=0.5, healthy_s=0.5
    )
    supervisor = Supervisor([spec("good"), spec("bad", "die")], policy)
    run = asyncio.create_task(supervisor.run())
    await until(lambda: child(supervisor, "bad").tripped)
    assert any("keeps dying" in word for word in supervisor.statistics().problems)
    assert child(supervisor, "good").restarts == {}
    tripped_s, before = time.monotonic(), child(supervisor, "bad").restarts["exit"]
    await until(lambda: child(supervisor, "bad").restarts["exit"] == before + 2)
    assert time.monotonic() - tripped_s > 0.5
    supervisor.stop()
    assert await run == 0


async def test_f50_health_closes_the_breaker() -> None:
    policy = Policy(
        backoff_first_s=0.01, backoff_most_s=0.01, restarts_max=1, tripped_s=0.1, healthy_s=0.5
    )
    supervisor = Supervisor([spec("a")], policy)
    run = asyncio.create_task(supervisor.run())
    for _ in range(2):
        await until(lambda: child(supervisor, "a").state == "ready")
        pid = child(supervisor, "a").pid
        os.kill(pid, signal.SIGKILL)
        await until(lambda pid=pid: child(supervisor, "a").pid != pid)  # type: ignore[misc]
    await until(lambda: child(supervisor, "a").state == "ready")
    assert child(supervisor, "a").tripped
    await until(lambda: not supervisor.statistics().problems)
    assert not child(supervisor, "a").tripped
    supervisor.stop()
    assert await run == 0


async def test_a_segment_reaches_those_that_want_it_now_and_later(
    capfd: pytest.CaptureFixture[str],
) -> None:
    got: list[str] = []

    def has(count: int) -> bool:
        lines = capfd.readouterr().out.splitlines()
        got.extend(line for line in lines if line.startswith("Segment"))
        return len(got) == count

    reader = spec("reader", takes_segments=True)
    supervisor = Supervisor([spec("writer", "writer"), reader, spec("other")], FAST)
    run = asyncio.create_task(supervisor.run())
    await until(lambda: has(1))
    await until(lambda: not supervisor.statistics().problems)
    epoch = supervisor.statistics().epoch
    os.kill(child(supervisor, "reader").pid, signal.SIGKILL)
    await until(lambda: has(2))
    await until(lambda: not supervisor.statistics().problems)
    os.kill(child(supervisor, "writer").pid, signal.SIGKILL)
    await until(lambda: has(3))
    await until(lambda: not supervisor.statistics().problems)
    newer = supervisor.statistics().epoch
    supervisor.stop()
    assert await run == 0
    assert [epoch in line for line in got] == [True, True, False]
    assert newer in got[-1]


async def test_what_is_no_message_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    supervisor = Supervisor([spec("a", "babbling")], FAST)
    run = asyncio.create_task(supervisor.run())
    await until(lambda: child(supervisor, "a").status.worker is not None)
    assert (supervisor.statistics().problems, child(supervisor, "a").restarts) == ((), {})
    told = [
        record.__dict__["fields"]
        for record in caplog.records
        if record.message == "child.message_refused"
    ]
    assert all(one["child"] == "a" for one in told)
    assert [one["type"] for one in told] == ["", "bogus", "failed", "segment", "drain"]
    words = ("malformed", "`$.type`", "`$.exit`", "expected 1", "for children alone")
    for one, word in zip(told, words, strict=True):
        assert word in one["problem"]
    supervisor.stop()
    assert await run == 0


async def test_a_child_logs_what_is_no_message_and_goes_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    supervisor = Supervisor([spec("a")], FAST)
    run = asyncio.create_task(supervisor.run())
    await until(lambda: not supervisor.statistics().problems)
    channel = supervisor._children[0].channel
    assert channel is not None
    for data in (b"no json", b'{"type":"bogus"}', b'{"type":"report","text":7}'):
        os.write(channel.fileno(), data)
    assert supervisor.tell("a", Reopen())
    supervisor.stop()
    assert await run == 0
    captured = capfd.readouterr()
    assert captured.err.count("message.refused") == 3
    assert "Reopen()" in captured.out


async def test_one_that_cannot_work_at_all_ends_all_with_its_code() -> None:
    supervisor = Supervisor([spec("fine"), spec("portless", "failed")], FAST)
    assert await asyncio.wait_for(supervisor.run(), 60) == 69


async def test_an_error_of_its_own_is_no_orderly_stop() -> None:
    supervisor = Supervisor([spec("a", stamps=lambda: [1 // 0])], FAST)
    with pytest.raises(ZeroDivisionError):
        await supervisor.run()


async def test_one_that_never_says_ready_is_started_again() -> None:
    supervisor = Supervisor([spec("a", "silent")], Policy(start_s=1.0, drain_s=0.3))
    run = asyncio.create_task(supervisor.run())
    await until(lambda: child(supervisor, "a").restarts == {"start": 1})
    supervisor.stop()
    assert await run == 0


async def test_a_program_that_cannot_be_started_at_all_ends_all() -> None:
    missing = ChildSpec(role="x", name="x", argv=["/nonexistent/program"], first=started())
    supervisor = Supervisor([spec("fine"), missing], FAST)
    assert await asyncio.wait_for(supervisor.run(), 60) == 69


async def test_one_that_cannot_be_started_any_more_is_a_death_like_any_other(
    tmp_path: Path,
) -> None:
    program, elsewhere = tmp_path / "program", tmp_path / "elsewhere"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    argv = [str(program), "-P", STANDIN, "x", "ok", "-1"]
    supervisor = Supervisor([ChildSpec(role="x", name="x", argv=argv, first=started())], FAST)
    run = asyncio.create_task(supervisor.run())
    await until(lambda: child(supervisor, "x").state == "ready")
    program.rename(elsewhere)
    os.kill(child(supervisor, "x").pid, signal.SIGKILL)
    await until(lambda: child(supervisor, "x").restarts.get("start", 0) > 1)
    elsewhere.rename(program)
    await until(lambda: child(supervisor, "x").state == "ready")
    supervisor.stop()
    assert await run == 0


@pytest.mark.parametrize("mode", ["deaf", "undying"])
async def test_f53_one_that_does_not_drain_is_killed_at_the_deadline(mode: str) -> None:
    supervisor = Supervisor([spec("a", mode)], Policy(drain_s=0.5))
    run = asyncio.create_task(supervisor.run())
    await until(lambda: not supervisor.statistics().problems)
    pid = child(supervisor, "a").pid
    supervisor.stop()
    assert await asyncio.wait_for(run, 60) == 1
    assert not alive(pid)


async def test_f53_a_second_request_kills_at_once() -> None:
    patient = Policy(drain_s=120)
    supervisor = Supervisor([spec("a", "undying"), spec("b", "undying", rank=1)], patient)
    run = asyncio.create_task(supervisor.run())
    await until(lambda: not supervisor.statistics().problems)
    pids = [c.pid for c in supervisor.statistics().children]
    supervisor.stop()
    await asyncio.sleep(0.2)
    supervisor.stop()
    assert await asyncio.wait_for(run, 60) == 1
    assert not any(map(alive, pids))


async def test_stopping_does_not_wait_out_a_backoff() -> None:
    supervisor = Supervisor([spec("a", "die")], Policy(backoff_first_s=60, backoff_most_s=60))
    run = asyncio.create_task(supervisor.run())
    await until(lambda: child(supervisor, "a").state == "waiting")
    supervisor.stop()
    assert await asyncio.wait_for(run, 30) == 0


async def test_nothing_is_left_after_many_restarts() -> None:
    before = len(os.listdir("/proc/self/fd"))
    policy = Policy(backoff_first_s=0.01, backoff_most_s=0.01, restarts_max=1000)
    died = []
    supervisor = Supervisor([spec("w", "writer", died=lambda: died.append(1))], policy)
    run = asyncio.create_task(supervisor.run())
    for n in range(5):
        await until(lambda: not supervisor.statistics().problems)
        os.kill(child(supervisor, "w").pid, signal.SIGKILL)
        await until(lambda n=n: len(died) == n + 1)  # type: ignore[misc]
    supervisor.stop()
    assert await run == 0
    assert len(os.listdir("/proc/self/fd")) == before


PARENT = """
import asyncio, signal, sys
import msgspec
from gateway.supervisor.messages import WorkerStart
from gateway.supervisor.children import ChildSpec
from gateway.supervisor.supervisor import Supervisor
standin, mode = sys.argv[1:]
first = WorkerStart(config=msgspec.Raw(b"{}"), index=0, stats_fd=-1, wait_fd=-1, event_fd=-1,
                    listen_fd=-1)
spec = ChildSpec("x", "x", [sys.executable, "-P", standin, "x", mode, "-1"], first)
supervisor = Supervisor([spec], on_ready=lambda: print(supervisor.statistics().children[0].pid,
                                                       flush=True))
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, supervisor.stop)
    print("exit", await supervisor.run(), flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("mode", ["ok", "deaf"])
def test_no_orphan_outlives_a_killed_supervisor(mode: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-c", PARENT, STANDIN, mode], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        process.wait()
        deadline = time.monotonic() + 60
        while alive(pid):
            assert time.monotonic() < deadline, "an orphan is left"
            time.sleep(0.05)


def test_f53_ctrl_c_in_the_terminal_is_the_supervisors_business() -> None:
    # The whole group gets SIGINT, as from a terminal; the child goes on until it is drained.
    with subprocess.Popen(
        [sys.executable, "-P", "-c", PARENT, STANDIN, "ok"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=0,
        text=True,
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline().startswith("drained")
        assert process.stdout.readline() == "exit 0\n"
        assert not alive(pid)
