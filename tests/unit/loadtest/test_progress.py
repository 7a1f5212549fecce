"""What is shown while a load test runs, and the timeline that it comes from."""

import io
from typing import Any

import numpy as np
import pytest

from gateway._native import HDR_COUNTS
from gateway.loadtest import progress
from gateway.loadtest.link import Go, Progress, Sparse, moments
from gateway.loadtest.timeline import Snapshot, Timeline

S = 1_000_000_000
GO = Go(at_ns=100 * S, start_ns=101 * S, end_ns=103 * S, until_ns=104 * S)


def told(tick: int, *ages_ns: int, **counters: int) -> Progress:
    counts = np.zeros(HDR_COUNTS, dtype=np.uint64)
    for age in ages_ns:
        counts[age] += 1
    return Progress(
        tick,
        {"frames": len(ages_ns), "received": len(ages_ns), "open": 1} | counters,
        {0: Sparse.of(counts)},
    )


# --- moments --------------------------------------------------------------------------------------


def test_moments_have_both_ends_of_the_window() -> None:
    tenths = [(moment - GO.at_ns) * 10 // S for moment in moments(GO)]
    assert tenths == [5, 10, 15, 20, 25, 30, 35, 40]


@pytest.mark.parametrize(
    ("warmup", "window", "grace"), [(0, 1, 1), (7, 13, 0), (5, 20, 3), (20, 4, 1), (1, 60, 10)]
)
def test_moments_of_any_run_rise_to_its_end(warmup: int, window: int, grace: int) -> None:
    at, tenth = 100 * S, S // 10
    start = at + warmup * tenth
    end = start + window * tenth
    go = Go(at, start, end, end + grace * tenth)
    found = moments(go)
    assert found == sorted(set(found))
    assert {start, end, go.until_ns} <= set(found)
    assert min(found) >= at


# --- the timeline ---------------------------------------------------------------------------------


def test_a_snapshot_comes_when_all_have_told() -> None:
    timeline = Timeline(GO, processes=2)
    assert timeline.add(told(2, 10, 20)) is None
    assert timeline.add(told(3, 7)) is None  # the same one is ahead: a moment is not mixed
    found = timeline.add(told(2, 30, 40, gaps=2, conflated=5))
    assert found is not None
    assert (found.phase, found.open, found.per_s) == ("measuring", 2, 8.0)
    assert (found.max_us, found.gaps, found.conflated) == (0.04, 2, 5)
    assert found.left_s == 2.5


def test_the_phases() -> None:
    timeline = Timeline(GO, processes=1)
    found = [timeline.add(told(tick)) for tick in range(8)]
    assert [one.phase if one else None for one in found] == (
        ["warming up"] * 2 + ["measuring"] * 4 + ["collecting"] * 2
    )


def test_points_are_seconds_of_the_window() -> None:
    timeline = Timeline(GO, processes=1)
    for tick in range(8):
        timeline.cpu(tick, tick * S // 10)
        ages = [100] if tick < 4 else [200, 300]
        timeline.add(told(tick, *ages, gaps=tick))
    first, second = timeline.points()
    assert (first.t_s, first.per_s, first.p50_us, first.max_us) == (0.0, 2.0, 0.1, 0.1)
    assert (second.t_s, second.per_s, second.p50_us, second.max_us) == (1.0, 4.0, 0.2, 0.3)
    assert (first.gaps, second.gaps) == (2 + 3, 4 + 5)
    assert (first.server_cpu, second.server_cpu) == (0.2, 0.2)


def test_a_second_without_anything_has_no_percentiles() -> None:
    timeline = Timeline(GO, processes=1)
    for tick in range(4):
        timeline.add(told(tick))
    (point,) = timeline.points()
    assert (point.per_s, point.p50_us, point.server_cpu) == (0.0, None, None)


def test_each_group_has_its_own_line_of_a_log() -> None:
    timeline = Timeline(GO, processes=2, names=["trades", "load", "quotes"])
    for tick in range(4):
        for age in (100, 300):  # a process each
            trades, quotes = told(tick, age).ages[0], told(tick, 2 * age, 900).ages[0]
            timeline.add(Progress(tick, {}, {0: trades, 2: quotes}))
    found = {one.tag: sorted(np.flatnonzero(one.histogram.counts)) for one in timeline.intervals()}
    assert found == {"": [100, 200, 300, 600, 900], "trades": [100, 300], "quotes": [200, 600, 900]}
    assert [one.histogram.count for one in timeline.intervals()] == [12, 4, 8]


def test_a_log_of_one_group_needs_no_tags() -> None:
    timeline = Timeline(GO, processes=1, names=["all"])
    for tick in range(4):
        timeline.add(told(tick, 100))
    assert [one.tag for one in timeline.intervals()] == [""]


def test_a_long_run_has_few_points() -> None:
    go = Go(at_ns=0, start_ns=0, end_ns=1200 * S, until_ns=1200 * S)
    timeline = Timeline(go, processes=1)
    for tick in range(len(moments(go))):
        timeline.add(told(tick, 100))
    points = timeline.points()
    assert len(points) == 600
    assert {point.per_s for point in points} == {2.0}


# --- views ----------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def snapshot(**changed: Any) -> Snapshot:
    values: dict[str, Any] = {
        "phase": "measuring",
        "open": 50,
        "per_s": 12345.6,
        "p50_us": 81.0,
        "p99_us": 1700.0,
        "max_us": 2.5e6,
        "gaps": 0,
        "conflated": 3,
        "left_s": 4.4,
    }
    return Snapshot(**(values | changed))


def test_a_pipe_gets_plain_lines() -> None:
    out = io.StringIO()
    with progress.view(out) as view:
        view.note("opening 50 clients")
        view.show(snapshot(), 50)
    first, second = out.getvalue().splitlines()
    assert first == "opening 50 clients"
    assert second.split("  ") == [
        "measuring",
        "clients 50/50",
        "rate 12.3 k/s",
        "p50 81.0 µs",
        "p99 1.70 ms",
        "max 2.50 s",
        "gaps 0",
        "conflated 3",
        "left 4 s",
    ]


def test_what_is_said_stays_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    with progress.view(out) as shown:
        shown.say("only 5 clients could connect")
        shown.show(snapshot(), 50)
    assert "only 5 clients could connect\n" in out.getvalue()
    assert "measuring" in out.getvalue().partition("only 5")[2]


def test_a_pipe_gets_a_line_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = iter([0.0, 0.5, 1.0, 1.49, 1.95])
    monkeypatch.setattr("gateway.loadtest.progress.time.monotonic", lambda: next(now_s))
    out = io.StringIO()
    with progress.view(out) as view:
        for left_s in (5, 4, 3, 2, 1):
            view.show(snapshot(left_s=left_s), 50)
    shown = [line.rpartition("left ")[2] for line in out.getvalue().splitlines()]
    assert shown == ["5 s", "3 s", "1 s"]


def test_a_terminal_gets_a_table_that_goes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    with progress.view(out) as view:
        view.note("opening 50 clients")
        view.show(snapshot(), 50)
        shown = out.getvalue()
    assert "opening 50 clients" in shown
    assert "12.3 k/s" in shown
    assert "1.70 ms" in shown
    assert "…" not in shown  # a terminal of 80 columns has room for all of it
    assert out.getvalue().endswith("\x1b[2K")  # the line is erased


def test_quiet_says_nothing() -> None:
    out = Terminal()
    with progress.view(out, quiet=True) as view:
        view.note("opening")
        view.show(snapshot(), 50)
    assert out.getvalue() == ""
