"""What tests against a whole gateway share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.benches import QUICK
from support.stage import Stage
from support.udp import Venue


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Where the test's gateway runs."""
    with Stage(tmp_path / "log") as one:
        yield one


@pytest.fixture
def venue() -> Iterator[Venue]:
    """A venue called SIM."""
    with Venue() as one:
        yield one


@pytest.fixture
def quick(tmp_path: Path) -> str:
    """The file of a scenario that takes a second."""
    file = tmp_path / "quick.toml"
    file.write_text(QUICK)
    return str(file)
