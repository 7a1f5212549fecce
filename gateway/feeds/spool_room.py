"""Where a delayed feed's spool is, and what it leaves to others of the disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway import state

if TYPE_CHECKING:
    from gateway.feeds.options import DelayOptions

FREE_BYTES_MIN: Final = 256 << 20
"""Left to the others who write to the same disk."""


def spool_directory(options: "DelayOptions", environ: Mapping[str, str]) -> Path:
    """Of one feed; in the configured directory or the state directory of this user, and where there
    is no home either, in the current directory."""
    if options.directory:
        where = Path(options.directory).expanduser()
    else:
        kept = state.directory(environ)
        where = Path("tickgate-spool") if kept is None else kept / "spool"
    return where / f"{options.of}-{options.venue}"
