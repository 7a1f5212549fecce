"""Finds the directory for files that outlive a process; says what can't be written, and why."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path


def directory(environ: Mapping[str, str]) -> Path | None:
    """Tickgate's state directory, which need not exist; None where there is no home either.

    A service manager's `STATE_DIRECTORY` comes first, of several the first one; then what the XDG
    base directories say.
    """
    if state := environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(state)
    if state := environ.get("XDG_STATE_HOME", ""):
        return Path(state) / "tickgate"
    if home := environ.get("HOME", ""):
        return Path(home) / ".local" / "state" / "tickgate"
    return None


def unwritable(path: Path) -> str:
    """Why no file can be made in this directory, or the directory itself; empty where it can."""
    if "\0" in str(path):
        return "a path has no NUL in it"
    try:
        path = path.expanduser().absolute()
        there = next(one for one in (path, *path.parents) if one.exists())
    except (OSError, RuntimeError) as error:
        return f"it cannot be looked at: {error}"
    if not there.is_dir():
        return f"{there} is no directory"
    return _forbidden(there, os.W_OK | os.X_OK)


def unappendable(path: Path) -> str:
    """Why nothing can be appended to this file, or why it can't be made; empty where it can."""
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            return f"{path} is a directory"
        there, rights = path, os.W_OK
    except FileNotFoundError:
        there, rights = path.parent, os.W_OK | os.X_OK
        if not there.is_dir():
            return f"{there} is no directory"
    except (OSError, ValueError) as error:  # ValueError: a NUL in it
        return f"it cannot be looked at: {error}"
    return _forbidden(there, rights)


def _forbidden(path: Path, rights: int) -> str:
    if os.access(path, rights):
        return ""
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"{path} is on a file system that is mounted read-only"
    return f"{path} cannot be written by this user"
