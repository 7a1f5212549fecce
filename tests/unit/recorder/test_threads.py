"""The kernel's accounts of threads, as this very process has them."""

import os
import subprocess
import threading
import time
from pathlib import Path

from gateway.recorder.threads import THREADS_MAX, Threads, host


def test_a_thread_that_works_is_seen_to() -> None:
    threads = Threads()
    pids = {"self": os.getpid()}
    before = {thread.tid: thread for thread in threads.read(pids, 0)}
    main = before[os.getpid()]
    assert (main.process, main.name, main.state) == ("self", "main", "R")
    end = time.thread_time() + 0.02
    while time.thread_time() < end:
        continue
    after = {thread.tid: thread for thread in threads.read(pids, 1)}
    assert after[os.getpid()].cpu_ns > main.cpu_ns
    threads.close()


def test_new_threads_are_found_after_a_while_and_bounded() -> None:
    threads, stop = Threads(own_pid=0), threading.Event()
    pids = {"self": os.getpid()}
    before = len(threads.read(pids, 0))
    more = [threading.Thread(target=stop.wait) for _ in range(THREADS_MAX)]
    for one in more:
        one.start()
    assert len(threads.read(pids, 1)) == before, "the list is not read every time"
    assert len(threads.read(pids, 2_000_000_000)) == THREADS_MAX
    stop.set()
    for one in more:
        one.join()
    # The kernel's thread ends a little after it was joined.
    deadline, at_ns = time.monotonic() + 10, 4_000_000_000
    while len(threads.read(pids, at_ns)) > before:
        assert time.monotonic() < deadline
        at_ns += 2_000_000_000
    threads.close()


def test_of_this_process_a_pool_that_grows_costs_no_descriptors() -> None:
    threads, stop = Threads(), threading.Event()
    pids = {"self": os.getpid()}
    assert [thread.tid for thread in threads.read(pids, 0)] == [os.getpid()]
    more = threading.Thread(target=stop.wait)
    more.start()
    descriptors = len(os.listdir("/proc/self/fd"))
    assert [thread.tid for thread in threads.read(pids, 2_000_000_000)] == [os.getpid()]
    assert len(os.listdir("/proc/self/fd")) == descriptors
    stop.set()
    more.join()
    threads.close()


def test_stopped_gone_and_closed() -> None:
    threads = Threads()
    descriptors = len(os.listdir("/proc/self/fd"))
    with subprocess.Popen(["sleep", "60"]) as child:
        pids = {"child": child.pid}
        assert [thread.name for thread in threads.read(pids, 0)] == ["main"]
        child.send_signal(19)
        deadline = time.monotonic() + 10
        while threads.read(pids, 0)[0].state != "T":
            assert time.monotonic() < deadline
        child.kill()
    assert threads.read(pids, 0) == []
    assert threads.read({}, 2_000_000_000) == []
    assert len(os.listdir("/proc/self/fd")) == descriptors
    threads.close()


def test_the_host(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text(
        "cpu  100 1 50 999 5 2 3 7 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nintr 5\nprocs_running 4\n"
    )
    tick_ms = 1000 // os.sysconf("SC_CLK_TCK")
    assert host(tmp_path) == {"busy_ms": 156 * tick_ms, "steal_ms": 7 * tick_ms, "running": 4}
    (tmp_path / "stat").write_text("cpu  of another kind\n")
    assert host(tmp_path) == {}
    assert host(tmp_path / "none") == {}
    assert host()["busy_ms"] > 0
