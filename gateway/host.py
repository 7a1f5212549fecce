"""What the gateway asks of its host: system calls, descriptors, standard streams.

Containers and sandboxes deny calls by policy (seccomp, SystemCallFilter=). A denied call that we
can't do without is told by its name before anything starts; for the others there is another way,
and what that costs is told.
"""

import errno
import os
import resource
import select
import socket
import sys
from collections.abc import Callable
from typing import Final, NamedTuple

DESCRIPTORS_MIN = 128
"""Of a process: 64 are for the gateway itself, each client takes one."""
DESCRIPTORS_USUAL = 1024
"""What a process has where nothing was configured."""
DESCRIPTORS_MAX = (1 << 20) + 64
"""More than max_connections can use. Where a container's limit is a thousand million, whatever
sizes a table by it would take gigabytes."""
ALLOW = "allow it: the container's seccomp profile, SystemCallFilter= of the unit, or a ulimit"


_SCARCE = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOSPC, errno.EFBIG)


def too_little(error: BaseException) -> str:
    """What the host gives too little of, in words; empty where that is not the matter."""
    if isinstance(error, MemoryError):
        return "the host gives too little: memory"
    if isinstance(error, OSError) and error.errno in _SCARCE:
        return f"the host gives too little: {error.strerror}"
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return "the host gives too little: no thread can be started (memory, ulimit -u, TasksMax=)"
    return ""


class Denied(NamedTuple):
    """A system call that the host does not give.

    Attributes:
        call: its name.
        why: the error.
        without: what happens without it; empty where nothing works without it.
    """

    call: str
    why: str
    without: str


def _memory() -> None:
    fd = os.memfd_create("tickgate-probe", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, 4096)
    finally:
        os.close(fd)


def _pair() -> None:
    for sock in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET):
        sock.close()


CALLS: Final[tuple[tuple[str, str, Callable[[], None]], ...]] = (
    ("memfd_create", "", _memory),
    ("eventfd2", "", lambda: os.close(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))),
    ("epoll_create1", "", lambda: select.epoll().close()),
    ("socketpair", "", _pair),
    (
        "pidfd_open",
        "a thread waits for each child process instead",
        lambda: os.close(os.pidfd_open(os.getpid())),
    ),
    (
        "sched_setaffinity",
        "plane.cpu has no effect",
        lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
    ),
)
"""(name, what happens without, how it is tried)."""


def denied() -> list[Denied]:
    """Tries every call; those that fail."""
    found = []
    for call, without, attempt in CALLS:
        try:
            attempt()
        except OSError as error:
            found.append(Denied(call, error.strerror or str(error), without))
    return found


def cpus_allowed() -> set[int]:
    """The CPUs that this process may run on; where the host does not say, all that there are."""
    try:
        return os.sched_getaffinity(0)
    except OSError:  # denied
        return set(range(os.cpu_count() or 1))


class Descriptors(NamedTuple):
    """The limit of open descriptors: what it was set to, and what the host would allow."""

    soft: int
    hard: int


def descriptor_limit() -> Descriptors:
    """The limit in force; where the host does not say, the usual one."""
    try:
        return Descriptors(*resource.getrlimit(resource.RLIMIT_NOFILE))
    except OSError:  # prlimit64 is denied
        return Descriptors(DESCRIPTORS_USUAL, DESCRIPTORS_USUAL)


def raise_descriptor_limit() -> Descriptors:
    """Takes what the hard limit allows, to DESCRIPTORS_MAX; children inherit it."""
    soft, hard = descriptor_limit()
    wanted = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MAX)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # denied: what there is has to do
        return Descriptors(soft, hard)
    return Descriptors(wanted, hard)


def too_few_descriptors() -> str:
    """Why a process can't work with its limit of descriptors, in words; empty where it can."""
    soft, _ = descriptor_limit()
    if soft == resource.RLIM_INFINITY or soft >= DESCRIPTORS_MIN:
        return ""
    return (
        f"{soft} descriptors are too few, {DESCRIPTORS_MIN} is the least:"
        " raise the hard limit (ulimit -Hn, LimitNOFILE=)"
    )


def open_standard_streams() -> None:
    """Opens what the caller closed of standard input, output and error, on /dev/null.

    Else the next file would get the number, be it the ring or a client, and with it everything that
    is printed.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: this one
            os.set_inheritable(fd, True)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
