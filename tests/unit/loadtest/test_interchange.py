"""Texts for other people's tools, held against the hdrhistogram package."""

import io
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from hdrh.log import HistogramLogReader  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from support.results import durations, histogram_of

from gateway._native import HDR_MAX_NS
from gateway.latency.hgrm import hgrm
from gateway.latency.histogram import Histogram
from gateway.loadtest.interchange import Interval, decode, hlog
from gateway.loadtest.result import ResultError

START_NS = 1_763_719_200_250_000_000
S = 1_000_000_000
NS_PER_MS = 1e6

DURATIONS = st.one_of(
    st.integers(0, HDR_MAX_NS),
    st.integers(0, 36).flatmap(lambda bits: st.integers(0, (1 << bits) - 1)),
)
SAMPLES = st.lists(DURATIONS, min_size=1, max_size=40)
# What ends a line or a field somewhere: in the format, in str.splitlines, on a terminal.
HOSTILE = "a,b\nc\rd\x0be\x0cf\x1cg\x1dh\x1ei\x85j\u2028k\u2029l m\tn"


def oracle_of(values_ns: list[int]) -> HdrHistogram:
    """The same samples, recorded by the package."""
    oracle = HdrHistogram(1, HDR_MAX_NS, 3)
    for value in values_ns:
        oracle.record_value(value)
    return oracle


def counts_of(histogram: HdrHistogram) -> list[int]:
    counts: list[int] = np.frombuffer(histogram.counts, dtype=np.uint64).tolist()
    return counts


def read(path: Path, text: str) -> list[HdrHistogram]:
    """Every interval that the package's reader finds."""
    path.write_text(text, encoding="utf-8")
    reader = HistogramLogReader(str(path), HdrHistogram(1, HDR_MAX_NS, 3))
    found = []
    while (interval := reader.get_next_interval_histogram()) is not None:
        found.append(interval)
    reader.input_file.close()
    return found


# --- hgrm -----------------------------------------------------------------------------------------


@settings(max_examples=4)  # the package walks every count in Python, several times
@given(st.lists(st.integers(0, 5_000_000), min_size=1, max_size=40))
def test_hgrm_is_the_packages_own_output(values: list[int]) -> None:
    oracle = oracle_of(values)
    out = io.BytesIO()
    oracle.output_percentile_distribution(out, NS_PER_MS)
    body, mean, _ = out.getvalue().decode().partition("#[Mean")
    text, ours, footer = hgrm(histogram_of(values)).partition("#[Mean")
    assert (text, ours) == (body, mean)
    figures = [float(figure) for figure in re.findall(r"= +([\d.]+)", footer)]
    assert figures == [
        round(oracle.get_mean_value() / NS_PER_MS, 3),
        round(oracle.get_stddev() / NS_PER_MS, 3),  # which the package writes unscaled
        round(oracle.get_max_value() / NS_PER_MS, 3),
        len(values),
        oracle.bucket_count,
        oracle.sub_bucket_count,
    ]


def test_hgrm_ends_at_the_longest_and_counts_all() -> None:
    rows = [line.split() for line in hgrm(durations(300, count=1000)).splitlines()]
    last = next(row for row in reversed(rows) if row and not row[0].startswith("#"))
    longest_ms = durations(300, count=1000).max_ns / NS_PER_MS
    assert last == [f"{longest_ms:.3f}", "1.000000000000", "1000"]


def test_hgrm_of_nothing() -> None:
    lines = hgrm(Histogram.empty()).splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    assert lines[2].split() == ["#[Mean", "=", "0.000,", "StdDeviation", "=", "0.000]"]
    assert lines[3].split() == ["#[Max", "=", "0.000,", "Total", "count", "=", "0]"]


# --- hlog -----------------------------------------------------------------------------------------


def test_hlog_is_read_back_by_the_package(tmp_path: Path) -> None:
    samples = {"one": [1, 2047, 2048, 5_000_000], "two": [7], "": [HDR_MAX_NS, 3 * S]}
    intervals = [
        Interval(tag, START_NS + k * S, START_NS + (k + 1) * S, histogram_of(values))
        for k, (tag, values) in enumerate(samples.items())
    ]
    found = read(tmp_path / "a.hlog", hlog(START_NS, intervals, "sample"))
    assert [each.get_tag() for each in found] == ["one", "two", None]
    for interval, each, values in zip(intervals, found, samples.values(), strict=True):
        assert counts_of(each) == interval.histogram.counts.tolist() == counts_of(oracle_of(values))
        assert each.get_start_time_stamp() == pytest.approx(interval.start_ns / 1e6, abs=1)
        assert each.get_end_time_stamp() == pytest.approx(interval.end_ns / 1e6, abs=1)


@settings(max_examples=20)
@given(st.lists(SAMPLES, max_size=4))
def test_hlog_keeps_every_count(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[int]]
) -> None:
    intervals = [
        Interval("age", START_NS + k * S, START_NS + (k + 1) * S, histogram_of(values))
        for k, values in enumerate(groups)
    ]
    path = tmp_path_factory.getbasetemp() / "property.hlog"
    found = read(path, hlog(START_NS, intervals))
    assert [counts_of(each) for each in found] == [counts_of(oracle_of(each)) for each in groups]


def test_hlog_names_when_it_began_and_the_longest() -> None:
    interval = Interval("g", START_NS + S, START_NS + 3 * S, histogram_of([1_500_000]))
    lines = hlog(START_NS, [interval]).splitlines()
    assert lines[0] == "#[Histogram log format version 1.3]"
    assert lines[1] == "#[BaseTime: 1763719200.250 (seconds since epoch)]"
    assert lines[2].startswith("#[StartTime: 1763719200.250 (seconds since epoch), Fri Nov 21")
    assert lines[4].startswith("Tag=g,1.000,2.000,1.500,HIST")


def test_hostile_names_end_neither_line_nor_field(tmp_path: Path) -> None:
    interval = Interval(HOSTILE, START_NS, START_NS + S, histogram_of([5]))
    text = hlog(START_NS, [interval], f"StartTime: 7 (x)\nTag=z,0.0,1.0,1.0,HIST{HOSTILE}\x1b[2J")
    assert len(text.splitlines()) == 6
    assert "\x1b" not in text
    (only,) = read(tmp_path / "a.hlog", text)
    assert only.get_tag() == "a_b_c_d_e_f_g_h_i_j_k_l_m_n"
    assert only.get_start_time_stamp() == pytest.approx(START_NS / 1e6, abs=1)


def test_hlog_of_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "a.hlog", hlog(START_NS, [], "nothing")) == []


# --- reading V2 back ------------------------------------------------------------------------------


@settings(max_examples=40)
@given(SAMPLES)
def test_a_v2_text_is_read_back(values: list[int]) -> None:
    written = histogram_of(values)
    assert decode(written.to_hdr_v2()).counts.tolist() == written.counts.tolist()
    assert decode(oracle_of(values).encode().decode()).counts.tolist() == written.counts.tolist()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1, HDR_MAX_NS, 2), "counts"),
        ((1, 2 * HDR_MAX_NS, 3), "counts"),
        ((2, 2 * HDR_MAX_NS, 3), "lowest value is 2, not 1"),
    ],
)
def test_another_range_or_precision_is_refused(arguments: tuple[int, int, int], words: str) -> None:
    other = HdrHistogram(*arguments)
    other.record_value(5000)
    with pytest.raises(ResultError, match=words):
        decode(other.encode().decode())


@settings(max_examples=60)
@given(st.data())
def test_a_broken_text_is_refused_or_read(data: st.DataObject) -> None:
    good = durations(300, count=50).to_hdr_v2()
    at = data.draw(st.integers(0, len(good) - 1))
    what = data.draw(st.text(max_size=3))
    with suppress(ResultError):
        assert decode(good[:at] + what + good[at + 1 :]).count >= 0


@pytest.mark.parametrize("text", ["", "no", "é", "HISTFAAAAAA=", "AAAA" * 20])
def test_no_histogram_is_refused(text: str) -> None:
    with pytest.raises(ResultError, match="not a V2 histogram"):
        decode(text)
