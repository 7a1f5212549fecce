"""Runs a command as in a sandbox: some system calls answer EPERM, or ENOSYS, by a seccomp filter.

`python denied.py [--enosys] CALL... -- COMMAND...`; its children inherit the filter.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

CALLS = {
    "x86_64": {
        "memfd_create": 319,
        "eventfd2": 290,
        "epoll_create1": 291,
        "socketpair": 53,
        "pidfd_open": 434,
        "pidfd_send_signal": 424,
        "recvmmsg": 299,
        "prlimit64": 302,
        "sched_setattr": 314,
        "sched_setaffinity": 203,
        "io_uring_setup": 425,
        "close_range": 436,
        "madvise": 28,
        "statx": 332,
    },
    "aarch64": {
        "memfd_create": 279,
        "eventfd2": 19,
        "epoll_create1": 20,
        "socketpair": 199,
        "pidfd_open": 434,
        "pidfd_send_signal": 424,
        "recvmmsg": 243,
        "prlimit64": 261,
        "sched_setattr": 274,
        "sched_setaffinity": 122,
        "io_uring_setup": 425,
        "close_range": 436,
        "madvise": 233,
        "statx": 291,
    },
}
"""Numbers by machine, from asm/unistd.h."""

_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h: ld abs word, jeq, ret
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000  # linux/seccomp.h
_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2  # linux/prctl.h, linux/seccomp.h


def known(*calls: str) -> bool:
    """Whether this machine's numbers of these calls are known here."""
    return all(call in CALLS.get(platform.machine(), {}) for call in calls)


def command(*calls: str, enosys: bool = False) -> list[str]:
    """What goes before a command line to deny it these calls."""
    more = ["--enosys"] if enosys else []
    return [sys.executable, str(Path(__file__)), *more, *calls, "--"]


def _filter(numbers: Sequence[int], error: int) -> bytes:
    steps = [struct.pack("HBBI", _LOAD, 0, 0, 0)]  # seccomp_data.nr
    for number in numbers:
        steps.append(struct.pack("HBBI", _EQUAL, 0, 1, number))
        steps.append(struct.pack("HBBI", _RETURN, 0, 0, _ERRNO | error))
    steps.append(struct.pack("HBBI", _RETURN, 0, 0, _ALLOW))
    return b"".join(steps)


def main(words: list[str]) -> None:
    error = errno.EPERM
    if words[0] == "--enosys":
        error, words = errno.ENOSYS, words[1:]
    at = words.index("--")
    program = _filter([CALLS[platform.machine()][call] for call in words[:at]], error)
    held = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_SET_SECCOMP, _FILTER, header, 0, 0):
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    os.execvp(words[at + 1], words[at + 1 :])


if __name__ == "__main__":
    main(sys.argv[1:])
