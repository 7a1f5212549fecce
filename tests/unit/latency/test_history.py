import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.latency.histogram import Histogram
from gateway.latency.history import POINT_BYTES_MAX, SECOND_NS, History, Point, Tier, merged
from gateway.latency.sparse import PLACES, Sparse

DAY_S = 24 * 3600
BYTES_MAX = 32 << 20
START_NS = 1_700_000_000 * SECOND_NS
SMALL = (Tier(1, 10), Tier(5, 60), Tier(20, 200))
EMPTY = Sparse.of([Histogram.empty()] * 4, POINT_BYTES_MAX)


def latency(*places: int) -> Sparse:
    """One delivery of class 1 at each place."""
    counts = np.bincount(places, minlength=PLACES).astype(np.uint64)
    empty = Histogram.empty()
    return Sparse.of([empty, Histogram(counts), empty, empty], POINT_BYTES_MAX)


def point(at_s: float, *, ts: int | None = None, **values: Any) -> Point:
    ts = START_NS + round(at_s * SECOND_NS) if ts is None else ts
    defaults: dict[str, Any] = {"span_s": 1.0, "latency": EMPTY}
    return Point(at_s, ts, **(defaults | values))


def everything(history: History, points_max: int = 10**6) -> list[Point]:
    return [merged(group) for group in history.select(0, 1 << 62, points_max).groups]


def counts_of(points: Iterable[Point]) -> Any:
    return sum(each.latency.together().histogram().counts for each in points)


def broadest() -> Sparse:
    """Four histograms of noise, which nothing can pack well: as many bytes as a point may have."""
    random = np.random.default_rng(3)
    for bits in range(20, 64):
        counts = random.integers(1, 1 << bits, (4, PLACES)).astype(np.uint64)
        sparse = Sparse.of([Histogram(each.copy()) for each in counts], POINT_BYTES_MAX)
        if sparse.nbytes > 0.9 * POINT_BYTES_MAX:
            return sparse
    raise AssertionError("no noise is that broad")


def test_a_day_of_the_worst_points_stays_below_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    worst = broadest()

    def own(*_: Any) -> Sparse:
        # Merging is looked at elsewhere; this is about what it leaves: bytes of its own.
        return replace(worst, packed=bytes(bytearray(worst.packed)))

    monkeypatch.setattr(Sparse, "merged", own)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        history = History()
        for second in range(DAY_S + 120):
            history.add(
                Point(
                    at_s=second + 0.5,
                    ts=START_NS + second * SECOND_NS,
                    span_s=1.0 + second / 1e9,
                    latency=own(),
                    published=10**6 + second,
                    delivered=10**9 + second,
                    class_conflated=(10**6 + second,) * 4,
                    class_dropped=(10**6 + second,) * 4,
                )
            )
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(history) > 3100  # all tiers are full
    assert used - before < BYTES_MAX
    most = history.capacity * (POINT_BYTES_MAX + 1500)
    assert most < BYTES_MAX, "even were every tier as full as it may be"


@pytest.fixture(scope="module")
def day() -> History:
    """One of a record a second, just begun to forget."""
    history = History()
    for second in range(DAY_S + 600):
        history.add(point(float(second), published=1))
        assert len(history) <= history.capacity
    return history


def test_a_day_is_kept_finer_the_nearer_it_is(day: History) -> None:
    now_ns = START_NS + (DAY_S + 599) * SECOND_NS
    for age_s, width_s in ((900, 1), (3 * 3600, 10), (DAY_S, 60)):
        found = day.select(now_ns - age_s * SECOND_NS, now_ns, 10**6)
        assert found.resolution_s == width_s
        assert sum(each.published for group in found.groups for each in group) == pytest.approx(
            age_s, abs=width_s
        )
    assert DAY_S <= sum(each.published for each in everything(day)) <= DAY_S + 60


@pytest.mark.parametrize("points_max", [1, 600, 1000])
def test_a_request_reads_each_point_once(
    day: History, monkeypatch: pytest.MonkeyPatch, points_max: int
) -> None:
    read = 0

    def count(parts: list[Sparse], _: int | None = None) -> Sparse:
        nonlocal read
        read += len(parts)
        return parts[0]

    monkeypatch.setattr(Sparse, "merged", count)
    points = everything(day, points_max)
    merged(points)
    assert 0 < len(points) <= points_max
    assert read <= len(day) + points_max
    assert sum(each.published for each in points) >= DAY_S


gaps_s = st.one_of(st.just(1.0), st.floats(0.5, 30))
seconds = st.lists(st.tuples(gaps_s, st.lists(st.integers(0, PLACES - 1), max_size=3)), max_size=80)


@given(seconds, st.integers(1, 50))
def test_whatever_is_merged_nothing_is_lost_or_averaged(
    recorded: list[tuple[float, list[int]]], points_max: int
) -> None:
    history, at_s, put = History((*SMALL[:2], Tier(20, 10**6))), 0.0, []
    for gap_s, places in recorded:
        at_s += gap_s
        put.append(
            point(at_s, span_s=gap_s, latency=latency(*places), delivered=len(places), state=1)
        )
        history.add(put[-1])
    points = everything(history, points_max)
    assert len(points) <= points_max
    assert sum(each.delivered for each in points) == sum(each.delivered for each in put)
    assert sum(each.span_s for each in points) == pytest.approx(at_s)
    assert all(earlier.ts < later.ts for earlier, later in pairwise(points))
    if put:
        assert np.array_equal(counts_of(points), counts_of(put))
        whole = merged(put).latency.together()
        assert merged(points).latency.together().percentiles_ns((50, 99)) == whole.percentiles_ns(
            (50, 99)
        )


@given(st.lists(gaps_s, min_size=1, max_size=200))
def test_no_tier_outgrows_itself_and_none_keeps_what_is_old(gaps: list[float]) -> None:
    history, at_s = History(SMALL), 0.0
    for gap_s in gaps:
        at_s += gap_s
        history.add(point(at_s))
        assert len(history) <= history.capacity
        assert all(at_s - each.at_s <= SMALL[-1].age_s for each in everything(history))


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=100))
def test_a_clock_that_is_set_loses_nothing(steps_s: list[int]) -> None:
    history, ts = History((*SMALL[:2], Tier(20, 10**6))), START_NS
    for second, step_s in enumerate(steps_s):
        ts += step_s * SECOND_NS
        history.add(point(float(second), ts=ts, published=1))
    assert sum(each.published for each in everything(history, 7)) == len(steps_s)


def test_merged_is_the_worst_and_the_sum_and_the_last() -> None:
    first = point(1.0, state=2, step=5, connections=9, conflated=3, max_ns=70, dropped=1)
    first = replace(first, class_conflated=(0, 1, 2, 3), class_dropped=(1, 0, 0, 0))
    second = point(2.0, state=0, step=1, connections=4, conflated=4, max_ns=50, dropped=0)
    both = merged([first, second])
    assert (both.at_s, both.ts, both.span_s) == (2.0, second.ts, 2.0)
    assert (both.state, both.step, both.connections, both.max_ns) == (2, 5, 4, 70)
    assert (both.conflated, both.dropped) == (7, 1)
    assert (both.class_conflated, both.class_dropped) == ((0, 1, 2, 3), (1, 0, 0, 0))


def test_a_group_is_a_cell_of_the_clock() -> None:
    history = History()
    for second in range(100):
        history.add(point(float(second)))
    resolution_s, groups = history.select(START_NS, START_NS + 90 * SECOND_NS, 9)
    assert resolution_s == 10
    assert [len(group) for group in groups] == [10] * 9
    assert all(group[-1].ts % (10 * SECOND_NS) == 0 for group in groups)
    assert history.select(START_NS - 5, START_NS - 1, 9).groups == []
