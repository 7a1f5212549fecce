"""What many processes counted, as one."""

from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from gateway._native import HDR_COUNTS, HDR_MAX_NS
from gateway.latency.histogram import Histogram
from gateway.loadtest import merge
from gateway.loadtest.link import Final, Sparse


def final(**given: Any) -> Final:
    values: dict[str, Any] = {
        "counters": [{}],
        "histograms": {},
        "load": {},
        "ticks": b"",
        "tick_mask": 0,
    }
    return Final(**(values | given))


def table(*rows: tuple[int, int, int, int]) -> bytes:
    return np.array(rows, dtype=np.uint64).tobytes()


def sparse(**counts: int) -> Sparse:
    dense = np.zeros(HDR_COUNTS, dtype=np.uint64)
    for at, count in counts.items():
        dense[int(at[1:])] = count
    return Sparse.of(dense)


# --- counters and histograms ----------------------------------------------------------------------


def test_counters_add_up_group_by_group() -> None:
    one = final(counters=[{"frames": 3, "gaps": 0}, {"frames": 10, "gaps": 1}])
    other = final(counters=[{"frames": 4, "gaps": 2}, {"frames": 20, "gaps": 0}])
    merged = merge.merge([one, other])
    assert merged.counters == [{"frames": 7, "gaps": 2}, {"frames": 30, "gaps": 1}]
    assert merged.total("frames", [0, 1]) == 37
    assert merged.total("frames", [1]) == 30
    assert merged.total("unheard_of", [0, 1]) == 0


def test_refusals_of_all_processes_are_one_list() -> None:
    one = final(refused=[("reply", "capacity", "of 5", 2)])
    other = final(refused=[("reply", "capacity", "of 17", 3), ("close", "4008", "", 1)])
    found = merge.merge([one, other, final()]).refusals
    assert [(each.code, each.message, each.count) for each in found] == [
        ("capacity", "of 5", 5),
        ("4008", "", 1),
    ]


def test_histograms_add_up_group_by_group() -> None:
    one = final(counters=[{}, {}], histograms={"age": [sparse(_5=2), sparse(_9=1)]})
    other = final(counters=[{}, {}], histograms={"age": [sparse(_5=1, _6=4), sparse()]})
    merged = merge.merge([one, other])
    assert merged.histogram("age", [0]).counts[[5, 6, 9]].tolist() == [3, 4, 0]
    assert merged.histogram("age", [0, 1]).count == 8
    assert merged.histogram("arrival", [0, 1]).count == 0


def test_a_percentile_is_of_all_and_no_mean_of_percentiles() -> None:
    fast = final(histograms={"age": [sparse(_100=990)]})
    slow = final(histograms={"age": [sparse(_2000=10)]})
    both = merge.merge([fast, slow]).histogram("age", [0])
    assert both.value_at_percentile(99) == 100
    assert both.value_at_percentile(99.1) == 2000


@given(st.dictionaries(st.integers(0, HDR_COUNTS - 1), st.integers(1, 1 << 40), max_size=20))
def test_a_sparse_histogram_is_the_dense_one(counts: dict[int, int]) -> None:
    dense = np.zeros(HDR_COUNTS, dtype=np.uint64)
    dense[list(counts)] = list(counts.values())
    assert (Sparse.of(dense).histogram().counts == dense).all()


# --- load -----------------------------------------------------------------------------------------


def test_the_load_is_that_of_the_busiest() -> None:
    quiet = {"cpu_ns": 10, "wall_ns": 100, "run_delay_ns": 50, "turn_max_ns": 4000}
    busy = {"cpu_ns": 98, "wall_ns": 100, "run_delay_ns": 1, "turn_max_ns": 2000}
    busy |= {"still_ns": 30, "still_max_ns": 20_000}
    load = merge.client_load([final(load=quiet), final(load=busy)])
    assert (load.processes, load.busy, load.run_delay, load.turn_max_us) == (2, 0.98, 0.5, 4.0)
    assert (load.still, load.still_max_us) == (0.3, 20.0)


def test_no_load_was_seen_before_the_window() -> None:
    assert merge.client_load([final()]).busy == 0


# --- ticks ----------------------------------------------------------------------------------------


def test_a_tick_is_joined_over_processes() -> None:
    one = final(ticks=table((8, 100, 150, 5), (16, 300, 310, 5)))
    other = final(ticks=table((8, 90, 120, 4), (24, 500, 500, 1)))
    joined = merge.join([one, other]).tolist()
    assert joined == [[8, 90, 150, 9], [16, 300, 310, 5], [24, 500, 500, 1]]


def test_the_coarser_mask_selects() -> None:
    fine = final(ticks=table((1, 10, 20, 2), (2, 10, 30, 2), (4, 10, 40, 2)), tick_mask=0)
    coarse = final(ticks=table((4, 5, 35, 2)), tick_mask=3)
    assert merge.join([fine, coarse]).tolist() == [[4, 5, 40, 4]]


def test_skew_is_of_ticks_that_several_got() -> None:
    merged = merge.merge([final(ticks=table((1, 100, 250, 2), (2, 100, 100, 1)))])
    assert (merged.skew.count, merged.skew.max_ns) == (1, 150)


def test_no_ticks_have_no_skew() -> None:
    assert merge.merge([final(), final()]).skew.count == 0


@given(st.lists(st.integers(0, HDR_MAX_NS)))
def test_a_histogram_of_values_is_as_hdrhistogram_records_them(values: list[int]) -> None:
    oracle = HdrHistogram(1, HDR_MAX_NS, 3)
    for value in values:
        oracle.record_value(value)
    found = merge.histogram_of(np.array(values, dtype=np.uint64))
    assert (found.counts == np.frombuffer(oracle.counts, dtype=np.uint64)).all()
    assert found.sum_ns == sum(values)


@pytest.mark.parametrize("value", [HDR_MAX_NS + 1, (1 << 64) - 1])
def test_a_value_beyond_the_histogram_is_saturated(value: int) -> None:
    found = merge.histogram_of(np.array([value], dtype=np.uint64))
    assert (found.count, found.saturated) == (1, 1)
    assert isinstance(found, Histogram)
