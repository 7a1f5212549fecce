"""The processes of a load test: named, pinned, heard and ended."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.serving import until

from gateway.errors import TickgateError
from gateway.loadtest.children import Child, ChildFailed, Children, pinned
from gateway.loadtest.link import Failed, Opened, Stop

SLEEP = [sys.executable, "-ESc", "print('up', flush=True); import time; time.sleep(60)"]
LINKED = [
    sys.executable,
    "-P",
    "-c",
    "import sys\n"
    "from gateway.loadtest.link import Failed, Link, Opened\n"
    "link = Link.inherited(int(sys.argv[1]))\n"
    "{}\n",
]


@pytest.fixture
def children() -> Iterator[Children]:
    with Children() as some:
        yield some


def linked(children: Children, code: str) -> Child:
    return children.start("one", [*LINKED[:3], LINKED[3].format(code)])


def test_messages_go_both_ways(children: Children) -> None:
    code = "link.receive(); link.send(Opened(3, 4)); link.receive()"
    child = linked(children, code)
    assert child.link is not None
    child.link.send(Stop())
    assert list(children.messages(30)) == [(child, Opened(3, 4))]
    assert list(children.messages(0)) == []


def test_a_child_s_own_failure_is_told(children: Children) -> None:
    linked(children, "print('my last words', flush=True); link.send(Failed('no room')); input()")
    with pytest.raises(ChildFailed, match=r"(?s)^one: no room"):
        list(children.messages(30))
    assert Failed("x").why == "x"


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("import os; os.kill(os.getpid(), 11)", "signal SIGSEGV"),
        ("print('my last words'); sys.exit(7)", r"exit code 7\nmy last words"),
    ],
)
def test_a_child_that_ends_is_named(children: Children, code: str, how: str) -> None:
    linked(children, code)
    with pytest.raises(ChildFailed, match=f"^one: ended with {how}"):
        until(lambda: list(children.messages(30)))


def test_a_child_that_ends_while_nobody_listens_is_named(children: Children) -> None:
    children.start("gateway", [sys.executable, "-ESc", "import sys; sys.exit(9)"], talks="not")
    with pytest.raises(ChildFailed, match="gateway: ended with exit code 9"):
        children.wait(30)


def test_waiting_ends_when_time_is_up(children: Children) -> None:
    children.wait(0.01)
    children.start("one", SLEEP, talks="not")
    children.wait(0.01)


def test_all_are_ended_the_last_one_first() -> None:
    with Children() as some:
        pids = [some.start(f"{n}", SLEEP, talks="not").pid for n in range(2)]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_their_directory_goes_with_what_is_in_it() -> None:
    with Children() as children:
        directory = Path(children.directory())
        (directory / "left").write_text("something")
        assert Path(children.directory()) != directory
    assert not directory.exists()


def test_all_are_ended_after_an_error() -> None:
    with suppress(RuntimeError), Children() as some:
        pid = some.start("one", SLEEP, talks="not").pid
        raise RuntimeError
    assert not Path(f"/proc/{pid}").exists()


def test_one_that_is_stopped_or_deaf_is_ended_too(children: Children) -> None:
    stopped = children.start("stopped", SLEEP, talks="not")
    until(lambda: "up" in stopped.said())
    os.kill(stopped.pid, signal.SIGSTOP)
    began = time.monotonic()
    children.stop(stopped)
    assert stopped.process.returncode == -signal.SIGTERM
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)"
    deaf = children.start("deaf", [sys.executable, "-ESc", f"{code}; time.sleep(60)"], talks="not")
    until(lambda: "up" in deaf.said())
    deaf.stop(timeout_s=0.1)
    assert deaf.process.returncode == -signal.SIGKILL
    children._all.remove(deaf)
    assert time.monotonic() - began < 60


def test_one_that_was_stopped_is_no_failure(children: Children) -> None:
    child = children.start("one", SLEEP, talks="not")
    children.stop(child)
    assert list(children.messages(0.01)) == []


# --- CPUs -----------------------------------------------------------------------------------------


def test_a_child_is_pinned_and_we_are_not(children: Children) -> None:
    ours = os.sched_getaffinity(0)
    child = children.start("one", SLEEP, cpus=[max(ours)], talks="not")
    assert os.sched_getaffinity(child.pid) == {max(ours)}
    assert os.sched_getaffinity(0) == ours


def test_cpus_that_are_not_there() -> None:
    ours = os.sched_getaffinity(0)
    with (
        pytest.raises(TickgateError, match=r"cannot run on CPUs \[4000\]: allowed are"),
        pinned([4000]),
    ):
        pass
    assert os.sched_getaffinity(0) == ours
