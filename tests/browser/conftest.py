"""A browser; and a stand-in for a gateway, that shows what no real one can be made to."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.night import Night
from support.ops_stand_in import OpsStandIn, standing_in
from support.visit import Visit, chromium


@pytest.fixture(scope="session")
def night() -> Night:
    """A day, made up."""
    return Night()


@pytest.fixture
def stand_in(night: Night) -> Iterator[OpsStandIn]:
    """It serves; nothing is wrong with what it shows."""
    night.end_ns = time.time_ns()
    with standing_in(OpsStandIn(night)) as one:
        yield one


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    with chromium() as one:
        yield one


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """A page that nobody has opened."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    yield Visit(context.new_page())
    context.close()


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """Where pictures for people go."""
    directory = Path(os.environ.get("TICKGATE_ARTIFACTS", tmp_path))
    directory.mkdir(parents=True, exist_ok=True)
    return directory
