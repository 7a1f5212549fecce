"""The sliding window, against a list of everything that ever happened."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.latency import window as module
from gateway.latency.histogram import Histogram
from gateway.latency.window import Interval, Sample, Window

NOTHING = Sample(Histogram.empty())
VALUES = st.sampled_from((0, 90, 2047, 2048, 500_000, 1_000_000, 60_000_000_000))
INTERVALS = st.lists(
    st.tuples(
        st.lists(st.tuples(VALUES, st.integers(1, 70_000)), max_size=3),
        st.integers(0, 9),
        st.integers(0, 9),
        st.integers(0, 9),
        st.floats(-0.1, 0.1),  # how late or early the look was
    ),
    max_size=30,
)


def interval(sample: Sample) -> Interval:
    """What was counted from nothing on."""
    return Interval.between(NOTHING, sample)


@given(INTERVALS, st.integers(1, 8), st.integers(0, 12), st.sampled_from((1, 1000, 10**9)))
def test_equals_a_naive_model(
    new_page: Callable[[], Any],
    intervals: list[tuple[list[tuple[int, int]], int, int, int, float]],
    window_s: int,
    more_s: int,
    events_min: int,
) -> None:
    window, history_s = Window(window_s, window_s + more_s, 1.0), window_s + more_s
    happened: list[tuple[float, float, Sample]] = []
    now_s = 0.0
    for second, (values, conflated, dropped, shed, late_s) in enumerate(intervals, start=1):
        start_s, now_s = now_s, second + late_s
        page = new_page()
        for value_ns, n in values:
            page.record(value_ns, n)
        page.conflated, page.dropped, page.shed = conflated, dropped, shed
        window.add(start_s, now_s, interval(page.sample()))
        happened.append((start_s, now_s, page.sample()))
        kept = [one for one in happened if one[1] > now_s - history_s + 0.5]
        inside = [one for one in kept if one[1] > now_s - window_s + 0.5]
        while len(inside) < len(kept) and sum(map(events, inside)) < events_min:
            inside.insert(0, kept[-len(inside) - 1])
        sample, begins_s = window.widened(events_min)
        assert begins_s == inside[0][0]
        assert np.array_equal(
            sample.histogram.counts, Histogram.merged(one[2].histogram for one in inside).counts
        )
        for name in ("conflated", "dropped", "shed"):
            assert getattr(sample, name) == sum(getattr(one[2], name) for one in inside)


def events(one: tuple[float, float, Sample]) -> int:
    return one[2].histogram.count + one[2].lost


def test_an_empty_window_has_nothing() -> None:
    sample, begins_s = Window(10, 60, 1.0).widened(1000)
    assert (sample.histogram.count, sample.lost) == (0, 0)
    assert begins_s == float("inf")


def test_what_a_look_has_seen_does_not_change_afterwards(page: Any) -> None:
    window = Window(2, 4, 1.0)
    page.record(500)
    window.add(0.0, 1.0, interval(page.sample()))
    before, _ = window.widened(1)
    window.add(1.0, 2.0, interval(page.sample()))
    assert before.histogram.count == 1
    assert window.widened(1)[0].histogram.count == 2


def test_a_long_window_has_few_intervals_and_still_ends_now(
    page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECES_MAX", 10)
    window = Window(40, 40, 1.0)
    page.record(500)
    for second in range(200):
        window.add(float(second), second + 1.0, interval(page.sample()))
        assert len(window) <= 11
        sample, begins_s = window.widened(1)
        recorded = sample.histogram.count
        assert recorded == second + 1 - begins_s, "one a second"
        assert min(second + 1, 40) <= recorded <= 40 + 3


def test_a_hole_in_time_is_never_shared(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECES_MAX", 10)
    window = Window(40, 40, 1.0)
    window.add(0.0, 1.0, interval(page.sample()))
    window.add(2.0, 3.0, interval(page.sample()))
    assert len(window) == 2


def test_a_difference_of_the_same_counts_is_nothing(page: Any) -> None:
    page.record(500)
    first = page.sample()
    later = Sample(first.histogram, 5, 4, 3)
    assert later.subtract(first).histogram.count == 0
    for since in (later.subtract(first), Interval.between(first, later)):
        assert (since.conflated, since.dropped, since.shed, since.lost) == (5, 4, 3, 7)
    assert Interval.between(first, later).places.size == 0
    assert not Interval.between(first, later).nothing
    assert Interval.between(first, first).nothing


@given(
    st.lists(st.tuples(VALUES, st.integers(1, 70_000)), max_size=9),
    st.lists(st.tuples(VALUES, st.integers(1, 70_000)), max_size=9),
    st.one_of(VALUES, st.sampled_from((-1, 89, 1 << 63))),
)
def test_an_interval_counts_as_the_difference_of_histograms(
    new_page: Callable[[], Any],
    before: list[tuple[int, int]],
    after: list[tuple[int, int]],
    limit_ns: int,
) -> None:
    page = new_page()
    for value_ns, n in before:
        page.record(value_ns, n)
    first = page.sample()
    for value_ns, n in after:
        page.record(value_ns, n)
    sparse, dense = Interval.between(first, page.sample()), page.sample().subtract(first)
    assert sparse.recorded == dense.histogram.count == sum(n for _, n in after)
    assert sparse.count_at_most(limit_ns) == dense.histogram.count_at_most(limit_ns)
