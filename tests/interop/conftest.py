"""A gateway for other people's clients, with a venue that ticks all the time; and a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.serving import Serving
from support.stage import Stage
from support.udp import Venue
from support.visit import Visit, chromium


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
def gateway(stage: Stage, venue: Venue) -> Iterator[Serving]:
    """A gateway in which A.SIM and B.SIM tick."""
    serving = stage.serve(*venue.sets)
    with venue.ticking("A", "B"):
        yield serving


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    with chromium() as one:
        yield one


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """A page that nobody has opened."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield Visit(context.new_page())
    context.close()
