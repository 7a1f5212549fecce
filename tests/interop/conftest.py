"""A gateway for other people's clients, with a venue that ticks all the time; and a browser."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from support.serving import Serving
from support.stage import Stage
from support.udp import Venue
from support.visit import Visit

TICK_S = 0.005
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


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
    stop = threading.Event()

    def tick() -> None:
        number = 0
        while not stop.wait(TICK_S):
            number += 1
            for symbol in ("A", "B"):
                venue.trades(symbol, number)
                venue.quotes(symbol, number)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield serving
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("program chromium is absent")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """A page that nobody has opened."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield Visit(context.new_page())
    context.close()
