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


def test_the_stage_is_the_sum_of_its_classes(pages: list[StatsPage]) -> None:
    for number in range(statistics.CLASSES):
        pages[0].record(f"total_{number}", 100 * (number + 1), number + 1)
    one = statistics.read(pages[0])
    assert [each.count for each in one.classes] == [1, 2, 3, 4]
    assert one.stages["total"].counts.tolist() == pages[0].counts("total").tolist()
    merged = statistics.merge([one, one, statistics.read(pages[1])])
    assert [each.count for each in merged.classes] == [2, 4, 6, 8]
    assert merged.stages["total"].count == 20


def test_a_sampler_reads_what_the_objectives_are_judged_by(pages: list[StatsPage]) -> None:
    sampler = statistics.Sampler(pages, [("closes", 13), ("handshakes", 6)])
    assert sampler.sample() == sampler.sample()
    for n, page in enumerate(pages, start=1):
        page.record("total_1", 100, n)
        page.record("total_2", 700, 10 * n)
        page.record("ring", 100, 50)
        page.add("class_conflated", 2, 10 * n)
        page.add("class_dropped", 1, 3 * n)
        page.add("closes", 13, n)
        page.add("closes", 12, 100)
    pages[0].add("handshakes", 6, 4)
    classes, shed = sampler.sample()
    assert [each.histogram.count for each in classes] == [0, 3, 30, 0]
    assert [each.histogram.sum_ns for each in classes] == [0, 300, 21_000, 0]
    assert [each.conflated for each in classes] == [0, 0, 30, 0]
    assert [each.dropped for each in classes] == [0, 9, 0, 0]
    assert ({each.shed for each in classes}, shed) == ({0}, 7), "nobody knows of which class"


def test_a_sampler_copies_what_has_changed_alone(pages: list[StatsPage]) -> None:
    sampler = statistics.Sampler(pages)
    pages[0].record("total_0", 100)
    pages[0].record("total_1", 100)
    before = sampler.sample().classes
    pages[1].record("total_1", 100)
    pages[1].add("class_conflated", 0)
    later = sampler.sample().classes
    assert later[0].histogram is before[0].histogram
    assert later[0].conflated == 1
    assert (before[1].histogram.count, later[1].histogram.count) == (1, 2)
