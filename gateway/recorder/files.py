"""Where recordings are kept: a directory that holds so many of them and so many bytes, no more."""

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from gateway import state

SUFFIX = ".tgrec"
PART = ".part"
"""After the name while the file is written: whatever has this name was never finished."""
_PREFIX = "tickgate-"


def directory(configured: str, environ: Mapping[str, str]) -> Path:
    """The configured directory, or one in the state directory of this user; where there is no home
    either, in the current directory.
    """
    if configured:
        return Path(configured).expanduser()
    kept = state.directory(environ)
    return Path("tickgate-recordings") if kept is None else kept / "recordings"


def name(realtime_ns: int, reason: str) -> str:
    """A file's name: they sort by time."""
    seconds, rest_ns = divmod(realtime_ns, 1_000_000_000)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%S")
    return f"{_PREFIX}{stamp}.{rest_ns // 1_000_000:03d}Z-{reason}{SUFFIX}"


def create(where: Path, file_name: str) -> tuple[Path, int]:
    """The path of a new file that is not finished, and its descriptor. OSError.

    Only this user may read it: it holds who was connected.
    """
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = where / (file_name + PART)
    return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)


def writable(where: Path) -> str:
    """Makes the directory and tries a file in it; why that can't be, empty where it can."""
    try:
        path, fd = create(where, ".tickgate-probe")
        os.close(fd)
        path.unlink()
    except (OSError, RuntimeError) as error:
        return str(error)
    return ""


def finish(path: Path) -> Path:
    """Gives a whole file its name. OSError."""
    return path.rename(path.with_suffix(""))


def prune(where: Path, files_max: int, bytes_max: int) -> list[str]:
    """Deletes the oldest recordings until the rest is within both bounds, and what was left
    unfinished; the newest recording stays whatever its size. Returns the names. OSError.

    Nobody else writes there while this runs, or their unfinished file goes too.
    """
    whole: list[tuple[str, int]] = []
    gone: list[str] = []
    for entry in os.scandir(where):
        if not entry.name.startswith(_PREFIX) or not entry.is_file(follow_symlinks=False):
            continue
        if entry.name.endswith(SUFFIX + PART):
            gone.append(entry.name)
        elif entry.name.endswith(SUFFIX):
            whole.append((entry.name, entry.stat(follow_symlinks=False).st_size))
    whole.sort()
    total = sum(size for _, size in whole)
    while len(whole) > 1 and (len(whole) > files_max or total > bytes_max):
        oldest, size = whole.pop(0)
        total -= size
        gone.append(oldest)
    for one in gone:
        with suppress(FileNotFoundError):
            (where / one).unlink()
    return gone
