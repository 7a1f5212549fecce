"""What tests have open: closed whatever happens."""

import os
from collections.abc import Callable, Iterator

import pytest

from gateway._native import STATS_SIZE, RingWriter, StatsPage, Swarm, create_memory


@pytest.fixture
def memory() -> Iterator[Callable[[int], int]]:
    """`memory(size)` is a new shared descriptor."""
    fds: list[int] = []

    def create(size: int) -> int:
        fds.append(create_memory("test", size))
        return fds[-1]

    yield create
    for fd in fds:
        os.close(fd)


@pytest.fixture
def page(memory: Callable[[int], int]) -> Iterator[StatsPage]:
    """A writable statistics page."""
    page = StatsPage(memory(STATS_SIZE), writable=True)
    yield page
    page.close()


@pytest.fixture
def counted(memory: Callable[[int], int]) -> StatsPage:
    """A page for a plane, which holds it until the test is over: nobody closes it."""
    return StatsPage(memory(STATS_SIZE), writable=True)


@pytest.fixture
def opened() -> Iterator[list[Swarm]]:
    """Swarms put here are closed whatever happens."""
    swarms: list[Swarm] = []
    yield swarms
    for one in swarms:
        one.stop()
        one.close()


@pytest.fixture
def writer() -> Iterator[RingWriter]:
    writer = RingWriter(1 << 16, 16)
    yield writer
    writer.close()
