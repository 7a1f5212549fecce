"""A gateway for other people's clients, with a venue that ticks all the time; and a browser."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.serving import Serving, serving
from support.udp import Venue
from support.visit import Visit, chromium

SCRIPT = Path(__file__).with_name("client.mjs")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A gateway in which A.SIM and B.SIM tick; clients leave it as it was."""
    log = tmp_path_factory.mktemp("interop") / "log"
    with Venue() as venue, serving(log, *venue.sets) as one, venue.ticking("A", "B"):
        yield one


@pytest.fixture
def venue() -> Iterator[Venue]:
    """A venue that ticks when it is told to."""
    with Venue() as one:
        yield one


@pytest.fixture
def served(tmp_path: Path, venue: Venue) -> Iterator[Serving]:
    """A gateway of that venue, without a record yet."""
    # Of programs that a busy host holds up nothing has to be replayed.
    with serving(tmp_path / "log", *venue.sets, "limits.lossless_max_age_ms=60000") as one:
        yield one


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


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which node finds `ws`, with the client in it."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"program {program} is absent")
    directory = tmp_path_factory.mktemp("node")
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(directory), "ws"]
    done = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install ws: {done.stderr[-500:]}")
    shutil.copy(SCRIPT, directory)
    return directory
