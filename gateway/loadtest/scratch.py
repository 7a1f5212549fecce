"""A directory for what the processes of one run write; it goes with the run, however that ends.

A run that is killed leaves its own behind, and the next one of the same user removes it. What tells
the two apart is a lock: each run holds one on a file in its directory as long as it lives, and the
kernel takes it back from a process that is no more, whatever has its number since.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "tickgate-bench-"
OWNER: Final = "owner.lock"
"""Of earlier versions there is none: nothing says whether their run is over, so theirs stay."""


@contextmanager
def scratch() -> Iterator[str]:
    """A directory of our own, empty but for OWNER; those of runs that were killed are removed."""
    _sweep(Path(tempfile.gettempdir()))
    while True:
        with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as path:
            lock = os.open(Path(path, OWNER), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                # Another run may have come in between and taken it for one that nobody holds.
                if _locked(lock) and os.fstat(lock).st_nlink:
                    yield path
                    return
            finally:
                os.close(lock)


def _sweep(parent: Path) -> None:
    """Removes what is ours and has no owner any more."""
    for path in parent.glob(f"{PREFIX}*"):
        # It may go at any moment, be somebody else's, or be of an earlier version.
        with suppress(OSError):
            if path.lstat().st_uid != os.geteuid():
                continue
            lock = os.open(path / OWNER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if _locked(lock):
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _locked(file: int) -> bool:
    """Whether the lock is ours now, until the file is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
