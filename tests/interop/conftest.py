"""A gateway for other people's clients, with a venue that ticks all the time."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.serving import Serving
from support.stage import Stage
from support.udp import Venue

TICK_S = 0.005


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
