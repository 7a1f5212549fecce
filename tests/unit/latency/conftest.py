"""A page's counts without a page: what was recorded so far, as samples."""

from collections.abc import Callable

import numpy as np
import pytest

from gateway._native import HDR_COUNTS
from gateway.latency.histogram import Histogram, index_of
from gateway.latency.window import Sample


class Page:
    """Cumulative counts that only grow."""

    def __init__(self) -> None:
        self.counts = np.zeros(HDR_COUNTS, dtype=np.uint64)
        self.conflated = self.dropped = self.shed = 0

    def record(self, value_ns: int, n: int = 1) -> None:
        self.counts[index_of(value_ns)] += np.uint64(n)

    def sample(self) -> Sample:
        return Sample(Histogram(self.counts.copy()), self.conflated, self.dropped, self.shed)


@pytest.fixture
def page() -> Page:
    """A new page."""
    return Page()


@pytest.fixture(scope="session")
def new_page() -> Callable[[], Page]:
    """Makes pages, for tests with many examples."""
    return Page
