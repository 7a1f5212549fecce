"""Pages of several processes, read and merged."""

import os
from collections.abc import Iterator

import pytest

from gateway import _native
from gateway._native import STATS, STATS_SIZE, StatsPage
from gateway.latency import stage, statistics


@pytest.fixture
def pages() -> Iterator[list[StatsPage]]:
    fds = [_native.create_memory("test-stats", STATS_SIZE) for _ in range(2)]
    pages = [StatsPage(fd, writable=True) for fd in fds]
    yield pages
    for page, fd in zip(pages, fds, strict=True):
        page.close()
        os.close(fd)


def test_stage_names_are_the_core_s() -> None:
    assert tuple(each.name for each in stage.STAGES) == _native.STAGES
    assert [each.name for each in stage.STAGES if not each.enforced] == ["wire"]


def test_merging_adds_counters_and_histograms(pages: list[StatsPage]) -> None:
    pages[0].add("routed", 1, 5)
    pages[1].add("routed", 1, 7)
    pages[1].add("routed", 2, 1)
    pages[0].record("ring", 100)
    pages[1].record("ring", 100, 2)
    merged = statistics.merge(statistics.read(page) for page in pages)
    assert merged.counters["routed"][1:3] == (12, 1)
    assert merged.total("routed") == 13
    assert merged.stages["ring"].count_at_most(100) == 3
    assert merged.stages["total"].count == 0


def test_merging_nothing_is_all_zero() -> None:
    merged = statistics.merge([])
    assert set(merged.counters) == set(STATS)
    assert merged.total("closes") == 0
    assert len(merged.counters["closes"]) == STATS["closes"][1]
