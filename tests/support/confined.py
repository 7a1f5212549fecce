"""Runs a command as configs/deploy/tickgate.service has it run, as far as that needs no systemd.

`python confined.py STATE COMMAND...`: no capabilities, no new privileges, all file systems
read-only but STATE, no memory that is both written and executed, limits, and the unit's system
calls and address families alone, by libseccomp. Of the unit's other lines nothing is done here.
"""

import ctypes
import errno
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

UNIT = Path(__file__).parents[2] / "configs/deploy/tickgate.service"
_ALLOW, _ERRNO_EPERM = 0x7FFF0000, 0x00050000 | errno.EPERM  # seccomp.h of libseccomp
_CMP_EQ = 4
_NO_NEW_PRIVS, _CAPBSET_DROP, _SET_MDWE = 38, 24, 65  # linux/prctl.h
_NEW_NAMESPACE, _NEW_USER = 0x20000, 0x10000000  # linux/sched.h
_REC_PRIVATE, _BIND, _RECURSIVE_BIND = 0x44000, 0x1000, 0x5000  # sys/mount.h
_MOUNT_SETATTR, _RECURSIVE, _READ_ONLY = 442, 0x8000, 1  # linux/mount.h, linux/fcntl.h


def settings(unit: Path = UNIT) -> dict[str, list[str]]:
    """What the unit's [Service] sets, by key; each value that a key has, in order."""
    found: dict[str, list[str]] = {}
    section = unit.read_text().split("[Service]")[1].split("[Install]")[0]
    for key, value in re.findall(r"^(\w+)=(.*)$", section, re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


@cache
def group(name: str) -> frozenset[str]:
    """The system calls of one of systemd's groups, those of groups in it among them."""
    text = subprocess.run(
        ["systemd-analyze", "--no-pager", "syscall-filter", name],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = re.findall(r"^ {4}(@?[a-z]\w*(?:-\w+)*)", text, re.MULTILINE)
    return frozenset(
        call for one in names for call in (group(one) if one.startswith("@") else [one])
    )


def calls(values: list[str]) -> set[str]:
    """The system calls that are allowed: those of the first list, without those behind a tilde."""
    allowed = set(group("@default"))
    for value in values:
        taken = value.startswith("~")
        for one in value.removeprefix("~").split():
            some = group(one) if one.startswith("@") else {one}
            allowed = allowed - (some - group("@default")) if taken else allowed | some
    return allowed


def lacks() -> str:
    """What this host lacks for it; empty: nothing."""
    if not shutil.which("systemd-analyze"):
        return "no systemd-analyze"
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return "no libseccomp"
    more = ["--user", "--map-current-user"] if os.geteuid() else []
    tried = subprocess.run(["unshare", *more, "--mount", "true"], capture_output=True, check=False)
    return "this kernel forbids mount namespaces" if tried.returncode else ""


def command(state: Path) -> list[str]:
    """What goes before a command line."""
    return [sys.executable, str(Path(__file__)), str(state)]


class _Compared(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("how", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def _filter(allowed: set[str], families: list[str]) -> None:
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(lib.seccomp_init(_ERRNO_EPERM))
    for name in sorted(allowed - {"socket"}):
        number = lib.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # less: none of this machine's
            assert lib.seccomp_rule_add_array(context, _ALLOW, number, 0, None) == 0, name
    number = lib.seccomp_syscall_resolve_name(b"socket")
    for family in families:
        one = _Compared(0, _CMP_EQ, int(getattr(socket, family)), 0)
        assert lib.seccomp_rule_add_array(context, _ALLOW, number, 1, ctypes.byref(one)) == 0
    assert lib.seccomp_load(context) == 0


def _read_only(libc: ctypes.CDLL, state: str) -> None:
    """All that is mounted but devices, kernel's own and the state."""
    uid, gid = os.geteuid(), os.getegid()
    assert libc.unshare(_NEW_NAMESPACE | (_NEW_USER if uid else 0)) == 0
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    assert libc.mount(b"none", b"/", None, _REC_PRIVATE, None) == 0
    for kept in (state, "/dev", "/proc"):
        path = os.fsencode(kept)
        assert libc.mount(path, path, None, _RECURSIVE_BIND, None) == 0, kept
    attributes = (ctypes.c_uint64 * 4)(_READ_ONLY, 0, 0, 0)
    done = libc.syscall(_MOUNT_SETATTR, -100, b"/", _RECURSIVE, ctypes.byref(attributes), 32)
    assert done == 0, os.strerror(ctypes.get_errno())
    attributes = (ctypes.c_uint64 * 4)(0, _READ_ONLY, 0, 0)
    for kept in (state, "/dev", "/proc"):
        path = os.fsencode(kept)
        assert libc.syscall(_MOUNT_SETATTR, -100, path, 0, ctypes.byref(attributes), 32) == 0


def main(words: list[str]) -> None:
    unit = settings()
    libc = ctypes.CDLL(None, use_errno=True)
    allowed, families = calls(unit["SystemCallFilter"]), unit["RestrictAddressFamilies"][0].split()
    assert unit["ProtectSystem"] == ["strict"]
    _read_only(libc, words[0])
    os.umask(int(unit["UMask"][0], 8))
    for key, what in (("LimitNOFILE", resource.RLIMIT_NOFILE), ("LimitCORE", resource.RLIMIT_CORE)):
        limit = min(int(unit[key][0]), resource.getrlimit(what)[1] % (1 << 63))
        resource.setrlimit(what, (limit, limit))
    assert unit["CapabilityBoundingSet"] == [""]
    for capability in range(64):
        libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)  # with the exec they are gone
    assert unit["NoNewPrivileges"] == ["yes"]
    assert libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    if unit["MemoryDenyWriteExecute"] == ["yes"]:
        libc.prctl(_SET_MDWE, 1, 0, 0, 0)  # Linux 6.3
    _filter(allowed, families)
    os.execvp(words[1], words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
