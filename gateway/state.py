"""Finds the directory for files that outlive a process."""

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
