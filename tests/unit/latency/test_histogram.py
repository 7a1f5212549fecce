"""Histograms, held bucket for bucket against the hdrhistogram package."""

import os

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway._native import HDR_COUNTS, HDR_MAX_NS, STATS_SIZE, StatsPage, create_memory
from gateway.latency.histogram import Histogram, _lowest, bucket_edges, index_of

# Values of every magnitude, and the places where a power of two begins.
DURATIONS = st.one_of(
    st.integers(0, HDR_MAX_NS),
    st.integers(0, 36).flatmap(lambda bits: st.integers(0, (1 << bits) - 1)),
    st.integers(1, 35).flatmap(lambda bits: st.sampled_from([(1 << bits) - 1, 1 << bits])),
)
RECORDED = st.lists(st.tuples(DURATIONS, st.integers(1, 1000)), min_size=1, max_size=40)


def recorded(values: list[tuple[int, int]]) -> tuple[Histogram, HdrHistogram]:
    """The same values through the native core and through the package."""
    fd = create_memory("test-stats", STATS_SIZE)
    page = StatsPage(fd, writable=True)
    oracle = HdrHistogram(1, HDR_MAX_NS, 3)
    for value_ns, n in values:
        page.record("total", value_ns, n)
        oracle.record_value(value_ns, n)
    _, sum_ns, saturated, negative = page.totals("total")
    histogram = Histogram(page.counts("total"), sum_ns, saturated, negative)
    page.close()
    os.close(fd)
    return histogram, oracle


@settings(max_examples=60, deadline=None)
@given(RECORDED)
def test_counts_equal_the_package_bucket_for_bucket(values: list[tuple[int, int]]) -> None:
    histogram, oracle = recorded(values)
    assert oracle.counts_len == HDR_COUNTS
    assert np.array_equal(histogram.counts, np.frombuffer(oracle.counts, dtype=np.uint64))
    assert histogram.count == oracle.get_total_count()
    assert histogram.max_ns == oracle.get_max_value()
    assert histogram.sum_ns == sum(value * n for value, n in values)
    assert histogram.mean_ns == pytest.approx(oracle.get_mean_value(), rel=1e-3, abs=1)


@settings(max_examples=60, deadline=None)
@given(RECORDED, st.floats(0, 100))
def test_percentiles_equal_the_package(values: list[tuple[int, int]], percentile: float) -> None:
    histogram, oracle = recorded(values)
    for wanted in (percentile, 0, 50, 99, 99.9, 100):
        assert histogram.value_at_percentile(wanted) == oracle.get_value_at_percentile(wanted)


@settings(max_examples=30, deadline=None)
@given(RECORDED)
def test_v2_text_decodes_to_the_same_counts(values: list[tuple[int, int]]) -> None:
    histogram, oracle = recorded(values)
    text = histogram.to_hdr_v2()
    assert text.encode() == oracle.encode()
    decoded = HdrHistogram.decode(text)
    assert np.array_equal(np.frombuffer(decoded.counts, dtype=np.uint64), histogram.counts)


@pytest.mark.parametrize("digits", [1, 2])
@settings(max_examples=20, deadline=None)
@given(RECORDED)
def test_fewer_digits_are_the_package_s_own(digits: int, values: list[tuple[int, int]]) -> None:
    histogram, _ = recorded(values)
    oracle = HdrHistogram(1, HDR_MAX_NS, digits)
    for value, n in values:
        # What is told is told of the counts: of the lowest value that each stands for.
        oracle.record_value(_lowest(index_of(value)), n)
    decoded = HdrHistogram.decode(histogram.to_hdr_v2(digits))
    assert np.array_equal(
        np.frombuffer(decoded.counts, dtype=np.uint64), np.frombuffer(oracle.counts, np.uint64)
    )


@settings(max_examples=40, deadline=None)
@given(RECORDED, DURATIONS)
def test_count_at_most_includes_what_is_equivalent(
    values: list[tuple[int, int]], edge_ns: int
) -> None:
    histogram, oracle = recorded(values)
    highest = oracle.get_highest_equivalent_value(edge_ns)
    assert histogram.count_at_most(edge_ns) == sum(n for value, n in values if value <= highest)


@settings(max_examples=30, deadline=None)
@given(RECORDED, RECORDED)
def test_an_interval_is_the_difference_of_two_snapshots(
    before: list[tuple[int, int]], during: list[tuple[int, int]]
) -> None:
    earlier, _ = recorded(before)
    later, _ = recorded(before + during)
    interval, _ = recorded(during)
    difference = later.subtract(earlier)
    assert np.array_equal(difference.counts, interval.counts)
    assert difference.sum_ns == interval.sum_ns
    assert np.array_equal(earlier.merge(interval).counts, later.counts)
    assert np.array_equal(Histogram.merged([earlier, interval]).counts, later.counts)


def test_subtracting_something_later_is_refused() -> None:
    earlier, _ = recorded([(5, 1)])
    with pytest.raises(ValueError, match="went down"):
        Histogram.empty().subtract(earlier)


def test_an_empty_histogram_answers_zero() -> None:
    empty = Histogram.empty()
    assert (empty.count, empty.max_ns, empty.mean_ns) == (0, 0, 0.0)
    assert empty.value_at_percentile(99) == 0
    assert empty.cumulative(bucket_edges(1_000_000)) == [0] * 22
    assert HdrHistogram.decode(empty.to_hdr_v2()).get_total_count() == 0


def test_edges_hold_the_target_exactly_once_and_in_order() -> None:
    assert 1_234_567 in bucket_edges(1_234_567)
    edges = bucket_edges(1_000_000)
    assert list(edges) == sorted(set(edges))
    assert edges[0] == 1_000
    assert edges[-1] == 10_000_000_000


def test_cumulative_counts_below_zero_and_beyond_the_range() -> None:
    histogram, _ = recorded([(0, 2), (HDR_MAX_NS, 3)])
    assert histogram.cumulative((-1, 0, HDR_MAX_NS * 2)) == [0, 2, 5]


def test_negative_and_too_long_values_are_counted_apart() -> None:
    fd = create_memory("test-stats", STATS_SIZE)
    page = StatsPage(fd, writable=True)
    page.record("wire", -5, 2)
    page.record("wire", HDR_MAX_NS + 1)
    assert page.totals("wire") == (1, HDR_MAX_NS, 1, 2)
    assert int(page.counts("wire")[-1]) == 1


def test_counts_are_checked_and_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="uint64"):
        Histogram(np.zeros(7, dtype=np.uint64))
    with pytest.raises(ValueError, match="read-only"):
        Histogram.empty().counts[0] = 1
