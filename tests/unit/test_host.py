"""What the host gives: calls, descriptors, streams; and the end of children by two ways."""

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway import cli, host
from gateway.exits import Exit


def test_this_host_denies_nothing() -> None:
    assert host.denied() == []


def refuse(*_: object) -> int:
    raise PermissionError(1, "Operation not permitted")


def test_a_denied_call_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("memfd_create", "pidfd_open"):
        monkeypatch.setattr(os, name, refuse)
    memory, pidfd = host.denied()
    assert memory == ("memfd_create", "Operation not permitted", "")
    assert pidfd.call == "pidfd_open"
    assert "a thread waits" in pidfd.without


@pytest.mark.parametrize(
    ("limit", "soft"),
    [
        ((1024, 4096), 4096),
        ((1024, 1_073_741_816), host.DESCRIPTORS_MAX),
        ((1_073_741_816, 1_073_741_816), host.DESCRIPTORS_MAX),
        ((1024, -1), host.DESCRIPTORS_MAX),
        ((64, 64), 64),
    ],
)
def test_the_limit_of_descriptors_is_raised_within_reason(
    limit: tuple[int, int], soft: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.getrlimit", lambda _: limit)
    monkeypatch.setattr("resource.setrlimit", lambda _, both: set_to.append(both))
    assert host.raise_descriptor_limit() == (soft, limit[1])
    assert set_to == [(soft, limit[1])]


def test_a_limit_that_may_be_neither_read_nor_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", refuse)
    monkeypatch.setattr("resource.setrlimit", refuse)
    assert host.raise_descriptor_limit() == (host.DESCRIPTORS_USUAL, host.DESCRIPTORS_USUAL)


STREAMS = """
import os, sys
for fd in {closed}:
    os.close(fd)
if 0 in {closed}: sys.stdin = None
if 1 in {closed}: sys.stdout = None
if 2 in {closed}: sys.stderr = None
from gateway.host import open_standard_streams
open_standard_streams()
fd = os.memfd_create("next")
print("out", flush=True); print("err", file=sys.stderr, flush=True); sys.stdin.read()
os._exit(0 if fd > 2 and os.fstat(fd).st_size == 0 else 1)
"""


@pytest.mark.parametrize("closed", [(), (0,), (1,), (2,), (0, 1, 2), (1, 2), (0, 2)])
def test_no_file_gets_the_number_of_a_closed_stream(closed: tuple[int, ...]) -> None:
    program = STREAMS.format(closed=closed)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (b"" if 1 in closed else b"out\n")
    assert done.stderr == (b"" if 2 in closed else b"err\n")


@pytest.fixture(params=["pidfd", "thread"])
def child(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[subprocess.Popen[bytes], Exit]]:
    if request.param == "thread":
        monkeypatch.setattr(os, "pidfd_open", refuse)
    process = subprocess.Popen([sys.executable, "-ESc", "input()"], stdin=subprocess.PIPE)
    exit = Exit(process.pid)
    yield process, exit
    process.kill()
    process.wait()
    exit.close()
    assert process.stdin is not None
    process.stdin.close()


def ended(exit: Exit, timeout_s: float) -> bool:
    return bool(select.select([exit.fd], [], [], timeout_s)[0])


def test_the_end_of_a_child_is_seen(child: tuple[subprocess.Popen[bytes], Exit]) -> None:
    process, exit = child
    assert not ended(exit, 0)
    process.communicate(b"\n")
    assert ended(exit, 10)
    assert process.wait() == 0


def test_a_child_is_killed_and_remains_to_be_reaped(
    child: tuple[subprocess.Popen[bytes], Exit],
) -> None:
    process, exit = child
    exit.signal(signal.SIGKILL)
    assert ended(exit, 10)
    exit.signal(signal.SIGKILL)  # of a zombie: nothing else has its pid
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "too little: memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "too little: Cannot allocate memory"),
        (OSError(errno.EMFILE, "Too many open files"), "too little: Too many open files"),
        (RuntimeError("can't start new thread"), "TasksMax="),
        (RuntimeError("something else"), ""),
        (FileNotFoundError(errno.ENOENT, "No such file"), ""),
        (ValueError("can't start new thread"), ""),
    ],
)
def test_what_the_host_gives_too_little_of(error: Exception, words: str) -> None:
    assert words in host.too_little(error)
    assert bool(words) is bool(host.too_little(error))


def test_whatever_a_command_lacks_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(cli, "app", command)
    assert cli.main(["serve"]) == 69
    assert "no thread can be started" in capsys.readouterr().err
