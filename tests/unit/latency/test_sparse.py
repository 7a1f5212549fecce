import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.latency.histogram import Histogram, highest_ns
from gateway.latency.sparse import PLACES, PLACES_MAX, SHIFT_MAX, Sparse

CLASSES = 4
ROOM = 1 << 20
"""Bytes that nothing here needs."""

# Places, mostly close to each other as latencies are, and how many were recorded there.
clusters = st.tuples(st.integers(0, PLACES - 64), st.integers(0, 63)).map(sum)
places = st.one_of(clusters, st.sampled_from([0, 1, 1023, 1024, 2047, 2048, PLACES - 1]))
events = st.tuples(st.integers(0, CLASSES - 1), places, st.integers(1, 1 << 40))
parts = st.lists(st.lists(events, max_size=40), min_size=1, max_size=6)


def histograms(recorded: list[tuple[int, int, int]]) -> list[Histogram]:
    """One for each class."""
    counts = np.zeros((CLASSES, PLACES), dtype=np.uint64)
    for number, place, n in recorded:
        counts[number, place] += np.uint64(n)
    return [Histogram(each) for each in counts]


def joined(histogram: Histogram, shift: int) -> Histogram:
    """What is left of it at that precision: each place counts as the last of those joined."""
    counts = np.zeros(PLACES, dtype=np.uint64)
    counts[(1 << shift) - 1 :: 1 << shift] = histogram.counts.reshape(-1, 1 << shift).sum(axis=1)
    return Histogram(counts)


@given(parts)
def test_merging_any_split_is_the_histogram_of_all(
    recorded: list[list[tuple[int, int, int]]],
) -> None:
    merged = Sparse.merged([Sparse.of(histograms(each), ROOM) for each in recorded])
    assert merged.shift == 0
    whole = histograms([one for each in recorded for one in each])
    for row, own in zip(merged.rows(), whole, strict=True):
        assert np.array_equal(row.histogram().counts, own.counts)
    together = Histogram.merged(whole)
    assert np.array_equal(merged.together().histogram().counts, together.counts)


@given(parts, st.integers(20, 400))
def test_what_has_to_fit_loses_precision_and_nothing_else(
    recorded: list[list[tuple[int, int, int]]], bytes_max: int
) -> None:
    stored = [Sparse.of(histograms(each), bytes_max) for each in recorded]
    merged = Sparse.merged(stored, bytes_max)
    assert all(each.nbytes <= bytes_max or each.shift == SHIFT_MAX for each in (*stored, merged))
    assert merged.shift >= max(each.shift for each in stored)
    whole = histograms([one for each in recorded for one in each])
    for row, own in zip(merged.rows(), whole, strict=True):
        assert np.array_equal(row.histogram().counts, joined(own, merged.shift).counts)


@given(parts.map(lambda recorded: recorded[0]))
def test_percentiles_are_the_histogram_s(recorded: list[tuple[int, int, int]]) -> None:
    asked = (1, 50, 90, 99, 99.9, 100)
    sparse, whole = Sparse.of(histograms(recorded), ROOM), histograms(recorded)
    for row, own in zip(
        [sparse.together(), *sparse.rows()], [Histogram.merged(whole), *whole], strict=True
    ):
        assert row.count == own.count
        assert row.percentiles_ns(asked) == [own.value_at_percentile(each) for each in asked]


@given(parts.map(lambda recorded: recorded[0]), st.integers(1, SHIFT_MAX))
def test_a_joined_percentile_is_never_shorter(
    recorded: list[tuple[int, int, int]], shift: int
) -> None:
    whole = Histogram.merged(histograms(recorded))
    for percentile in (50, 99):
        exact = whole.value_at_percentile(percentile)
        told = joined(whole, shift).value_at_percentile(percentile)
        assert exact <= told <= max(exact * (1 + 2 ** (shift - 9)), exact + (1 << shift))


@pytest.mark.parametrize("seed", range(4))
def test_the_broadest_of_all_fits(seed: int) -> None:
    random = np.random.default_rng(seed)
    counts = random.integers(1, 2 ** random.integers(1, 50), (CLASSES, PLACES)).astype(np.uint64)
    sparse = Sparse.of([Histogram(each.copy()) for each in counts], 8192)
    assert sparse.nbytes <= 8192
    assert sum(sparse.lengths) <= PLACES_MAX
    assert [row.count for row in sparse.rows()] == [int(each.sum()) for each in counts]


def test_heat_is_by_quarters_of_an_octave() -> None:
    recorded = [(number, place, 1) for number in range(CLASSES) for place in range(0, PLACES, 27)]
    row = Sparse.of(histograms(recorded), ROOM).together()
    heat = row.heat()
    assert [bucket for bucket, _ in heat] == sorted({bucket for bucket, _ in heat})
    assert sum(count for _, count in heat) == row.count
    for bucket, count in heat:
        lowest_us = 2 ** (bucket / 4) if bucket else 0
        inside = [
            place
            for place in range(0, PLACES, 27)
            if lowest_us <= highest_ns(place) / 1000 < 2 ** ((bucket + 1) / 4)
        ]
        assert count == CLASSES * len(inside)


def test_nothing_is_nothing() -> None:
    sparse = Sparse.of(histograms([]), ROOM)
    assert sparse.together().count == 0
    assert sparse.together().percentiles_ns((50, 99)) == [0, 0]
    assert sparse.together().heat() == []
    assert sparse.nbytes < 16
