"""Keeps the last measurement in this user's state directory, for `demo` and `doctor`.

The file is untrusted input: a broken one, or one of another host, counts as absent.
"""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from gateway import state
from gateway.tune.facts import FORMAT, Facts, Host

NAME: Final = "tune.json"
BYTES_MAX: Final = 1 << 16
WHOLE_S: Final = 5.0
"""A measurement as long as this is a good one."""
AGE_MAX_S: Final = 30 * 86_400
QUICK_AGE_MAX_S: Final = 3600
"""A quick one may have met the host at a bad moment, which the load average need not show."""


class _Format(msgspec.Struct):
    format: int


def path(environ: Mapping[str, str]) -> Path | None:
    """Where it is kept; None where there is no home."""
    directory = state.directory(environ)
    return None if directory is None else directory / NAME


def load(where: Path | None, host: Host, now_ns: int) -> Facts | str:
    """What was kept of this host, or why there is nothing.

    Args:
        now_ns: REALTIME.
    """
    if where is None:
        return "there is no home to keep it in"
    data = _read(where)
    if isinstance(data, str):
        return data
    try:
        if msgspec.json.decode(data, type=_Format).format != FORMAT:
            return f"{where}: another format"
        facts = msgspec.json.decode(data, type=Facts)
    except (msgspec.DecodeError, RecursionError):  # a ValidationError is one too
        return f"{where}: broken"
    if facts.host != host:
        return f"{where}: another host, or another CPU, kernel or number of CPUs"
    quick = facts.seconds < WHOLE_S
    if quick and facts.load > host.cpus:
        return f"{where}: measured in a hurry, and while the host was busy"
    age_s = (now_ns - facts.taken_ns) / 1e9
    if not 0 <= age_s <= (QUICK_AGE_MAX_S if quick else AGE_MAX_S):
        return f"{where}: too old, or of the future"
    return facts


def save(where: Path | None, facts: Facts) -> str:
    """Keeps it; why not, empty where it did."""
    if where is None:
        return "there is no home (HOME, XDG_STATE_HOME, STATE_DIRECTORY)"
    part = where.with_name(f"{NAME}.{os.getpid()}.part")
    try:
        where.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.write_bytes(msgspec.json.encode(facts) + b"\n")
        part.replace(where)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        return f"{where}: {error.strerror or error}"
    return ""


def _read(where: Path) -> bytes | str:
    """The file's bytes, or why there are none. A pipe in its place must not hold us up."""
    try:
        fd = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return f"{where}: not there yet"
    except OSError as error:
        return f"{where}: {error.strerror or error}"
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return f"{where}: not a file"
        data = os.read(fd, BYTES_MAX + 1)
    except OSError as error:
        return f"{where}: {error.strerror or error}"
    finally:
        os.close(fd)
    return f"{where}: too large" if len(data) > BYTES_MAX else data
