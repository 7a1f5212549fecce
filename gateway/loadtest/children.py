"""The processes that a load test starts: each is named, pinned where asked, and ended by its pid.

They live in sessions of their own, so that a Ctrl-C reaches the load test alone, which then ends
them in order. Should it be killed the hard way, the kernel sends them a SIGTERM (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import connection
from typing import IO, Literal

from gateway.errors import TickgateError
from gateway.exits import Exit
from gateway.loadtest.link import Failed, Link, Message
from gateway.loadtest.scratch import scratch
from gateway.loadtest.source import SourceJob, SourceReport
from gateway.loadtest.source_link import SourceLink

STOP_S = 15.0
"""A gateway drains its clients before it ends; whoever takes longer is killed."""
SAID_CHARS_MAX = 2000
"""Of what a child said on standard error before it failed, the end."""

# A process of its own because `preexec_fn` may deadlock beside threads; it becomes the child.
_LEASH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


Talks = Literal["link", "lines", "not"]
"""Over a link of messages, as a tick source does, or not at all."""


class ChildFailed(TickgateError):
    """A process of the load test, or the server that it started, ended or can't go on."""


class Child:
    """A process that runs.

    Attributes:
        name: what it is called in errors.
        link: its link; None where it has none.
    """

    def __init__(self, name: str, argv: Sequence[str], cpus: Collection[int], talks: Talks) -> None:
        self.name = name
        self.link: Link | SourceLink | None = None
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `stop`)
        with ExitStack() as stack:
            handed = []
            if talks == "link":
                self.link, theirs = Link.pair()
                stack.callback(theirs.close)
                handed = [theirs.fileno()]
                argv = [*argv, str(theirs.fileno())]
            stack.enter_context(pinned(cpus))
            self.process = subprocess.Popen(
                [sys.executable, "-ESc", _LEASH, str(os.getpid()), *argv],
                stdin=subprocess.PIPE if talks == "lines" else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks == "lines" else self._said,
                stderr=self._said,
                pass_fds=handed,
                start_new_session=True,
            )
        if talks == "lines":
            self.link = SourceLink(self.process)
        self._exit = Exit(self.process.pid)

    @property
    def exited_fd(self) -> int:
        """Readable once it has ended."""
        return self._exit.fd

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, message: Message | SourceJob) -> None:
        """Sends it a message.

        Raises:
            ChildFailed: it is gone.
        """
        assert self.link is not None
        try:
            self.link.send(message)
        except OSError:
            raise self.failure("is gone") from None

    def said(self) -> str:
        """What it wrote on its standard streams so far."""
        size = os.fstat(self._said.fileno()).st_size
        return os.pread(self._said.fileno(), size, 0).decode("utf-8", "backslashreplace")

    def failure(self, why: str = "") -> ChildFailed:
        """The error that says how it failed, with its last words."""
        code = self.process.poll()
        if not why and code is not None:
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            why = f"ended with {how}"
        said = self.said().strip()[-SAID_CHARS_MAX:]
        return ChildFailed(f"{self.name}: {why}" + (f"\n{said}" if said else ""))

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Ends it: SIGTERM, and SIGKILL where that is not enough in time or Ctrl-C is impatient."""
        if self.process.poll() is None:
            self.process.terminate()
            # It may have been stopped by a signal: it could not obey.
            self.process.send_signal(signal.SIGCONT)
            try:
                self.process.wait(timeout_s)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                self.process.kill()
                self.process.wait()
        if self.link is not None:
            self.link.close()
        self._exit.close()
        self._said.close()


@contextmanager
def pinned(cpus: Collection[int]) -> Iterator[None]:
    """What is started meanwhile runs on these CPUs only; none: wherever we may.

    Raises:
        TickgateError: none of them is ours to use.
    """
    before = os.sched_getaffinity(0)
    if cpus:
        try:
            os.sched_setaffinity(0, cpus)
        except (OSError, ValueError, OverflowError):
            raise TickgateError(
                f"cannot run on CPUs {sorted(cpus)}: allowed are {sorted(before)}"
            ) from None
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Children:
    """The processes of one run. Leaving the context ends them, the last one first."""

    def __init__(self) -> None:
        self._all: list[Child] = []
        self._directories = ExitStack()

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        cpus: Collection[int] = (),
        talks: Talks = "link",
    ) -> Child:
        """Starts a process; with a link its last argument is the link's descriptor."""
        child = Child(name, argv, cpus, talks)
        self._all.append(child)
        return child

    def directory(self) -> str:
        """One for what they write, which goes when they do."""
        return self._directories.enter_context(scratch())

    def stop(self, child: Child) -> None:
        """Ends one of them before the others: its end is no failure any more."""
        self._all.remove(child)
        child.stop()

    def messages(self, timeout_s: float) -> Iterator[tuple[Child, Message | SourceReport]]:
        """What the children say within this time, one message of each at most.

        Raises:
            ChildFailed: one has ended, or says that it can't go on.
        """
        linked = {child.link.fileno(): child for child in self._all if child.link is not None}
        exited = {child.exited_fd: child for child in self._all}
        ready = connection.wait([*linked, *exited], max(0.0, timeout_s))
        for child in [linked[fd] for fd in ready if fd in linked]:
            assert child.link is not None
            message = child.link.receive()
            if isinstance(message, Failed):
                raise child.failure(message.why)
            if message is None:
                child.process.wait(STOP_S)
                raise child.failure()
            yield child, message
        for child in [exited[fd] for fd in ready if fd in exited]:
            if child in self._all:
                raise child.failure()

    def wait(self, seconds: float) -> None:
        """Lets time pass while all children live; messages stay where they are.

        Raises:
            ChildFailed: one has ended.
        """
        exited = {child.exited_fd: child for child in self._all}
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0:
            for fd in connection.wait(list(exited), left_s):
                assert isinstance(fd, int)
                raise exited[fd].failure()
            if not exited:
                time.sleep(left_s)

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        while self._all:
            self._all.pop().stop()
        self._directories.close()
