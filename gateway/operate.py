"""The commands of those who operate a gateway: `tickgate usage`."""

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gateway.audit.table import show
from gateway.config import load
from gateway.errors import ConfigurationError, Problem

ConfigFile = Annotated[Path | None, Parameter(help="The gateway's TOML file.")]


def usage(
    month: Annotated[str, Parameter(help="Of UTC, such as 2026-11.")],
    /,
    *,
    config: ConfigFile = None,
    audit: Annotated[
        Path | None, Parameter(help="The audit's directory; without it audit.path.")
    ] = None,
    csv: Annotated[bool, Parameter(negative="", help="For a spreadsheet.")] = False,
) -> int:
    """Says who was entitled to what in a month, and how many sessions each had at once."""
    directory = audit or _configured(config)
    return show(month, directory, sys.stdout, as_csv=csv)


def _configured(config: Path | None) -> Path:
    path = load(config, os.environ).audit.path
    if not path:
        problem = Problem("audit.path", "found none; name the directory: --audit or --config")
        raise ConfigurationError("there is no audit", [problem])
    return Path(path).expanduser()
