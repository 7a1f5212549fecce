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


def test_a_sampler_reads_what_the_objective_is_judged_by(pages: list[StatsPage]) -> None:
    sampler = statistics.Sampler(pages, "total", [("closes", 13), ("handshakes", 6)])
    assert sampler.sample() == sampler.sample()
    for n, page in enumerate(pages, start=1):
        page.record("total", 100, n)
        page.record("ring", 100, 50)
        page.add("conflated", 1, 10 * n)
        for name in ("lapped", "slow", "epoch", "closed", "unsubscribed"):
            page.add(f"dropped_{name}", 2, n)
        page.add("closes", 13, n)
        page.add("closes", 12, 100)
    pages[0].add("handshakes", 6, 4)
    sample = sampler.sample()
    assert sample.histogram.count_at_most(100) == sample.histogram.count == 3
    assert sample.histogram.sum_ns == 300
    assert (sample.conflated, sample.dropped, sample.shed) == (30, 9, 7)
    pages[1].add("conflated", 1)
    later = sampler.sample()
    assert later.histogram is sample.histogram, "nothing was recorded: nothing is copied"
    assert later.conflated == 31
