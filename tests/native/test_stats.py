"""The statistics page as Python writes and reads it."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway._native import STATS, STATS_SIZE, StatsPage
from gateway.model.outcomes import STEPS

ROOT = Path(__file__).parents[2]


def test_counters_are_found_by_name(page: StatsPage) -> None:
    page.add("routed", 2)
    page.add("routed", 2, 9)
    page.set("connections", value=7)
    assert (page.get("routed", 2), page.get("connections")) == (10, 7)
    every = page.read()
    assert set(every) == set(STATS)
    assert every["routed"][2] == 10
    assert {name: len(values) for name, values in every.items()} == {
        name: length for name, (_, length) in STATS.items()
    }


def test_steps_have_the_names_and_the_order_of_the_native_ones() -> None:
    header = (ROOT / "native/gw_stats.h").read_text()
    names = re.findall(r"\bGW_STEP_(\w+)", header)
    assert tuple(name.lower() for name in names) == STEPS
    assert STATS["steps_resumed"][1] == len(STEPS)


def test_every_step_is_counted_by_the_plane_and_described() -> None:
    source = "".join(path.read_text() for path in (ROOT / "native").glob("gw_*.c"))
    rows = (ROOT / "docs/metrics.md").read_text().splitlines()
    (row,) = (row for row in rows if "tickgate_step_budget_exceeded_total" in row)
    for step in STEPS:
        assert f"GW_STEP_{step.upper()}" in source, step
        assert f"`{step}` (" in row, step


def test_names_and_bounds_are_checked(page: StatsPage) -> None:
    with pytest.raises(KeyError):
        page.add("nonsense")
    with pytest.raises(IndexError, match="closes"):
        page.add("closes", 64)
    with pytest.raises(ValueError, match="not in tuple"):
        page.counts("nonsense")


def test_another_process_sees_the_counters_and_cannot_change_them(
    memory: Callable[[int], int],
) -> None:
    fd = memory(STATS_SIZE)
    ours, theirs = StatsPage(fd, writable=True), StatsPage(os.dup(fd), writable=False)
    ours.add("sends", n=3)
    ours.record("total", 1500)
    assert theirs.get("sends") == 3
    assert theirs.totals("total") == (1, 1500, 0, 0)
    assert int(theirs.counts("total")[1500]) == 1
    changes: list[Callable[[], None]] = [
        lambda: theirs.add("sends"),
        lambda: theirs.set("sends"),
        lambda: theirs.record("total", 1),
    ]
    for change in changes:
        with pytest.raises(ValueError, match="read-only"):
            change()


def test_a_restarted_writer_goes_on_counting(memory: Callable[[int], int]) -> None:
    fd = memory(STATS_SIZE)
    first = StatsPage(fd, writable=True)
    first.add("accepted", n=5)
    first.close()
    second = StatsPage(fd, writable=True)
    second.add("accepted")
    assert second.get("accepted") == 6


def test_a_page_too_small_and_a_closed_page_are_refused(memory: Callable[[int], int]) -> None:
    with pytest.raises(ValueError, match="fewer than"):
        StatsPage(memory(4096), writable=True)
    page = StatsPage(memory(STATS_SIZE), writable=True)
    page.close()
    page.close()
    with pytest.raises(ValueError, match="closed"):
        page.get("sends")
    with pytest.raises(ValueError, match="closed"):
        page.totals("ring")
