"""The charts of a report as data: what is drawn, what is marked, and what is left out."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.results import durations, histogram_of, sample_result, sample_timeline

from gateway._native import HDR_MAX_NS
from gateway.loadtest.charts import Chart, charts
from gateway.loadtest.result import Latency, Point, Result, SourceResult
from gateway.loadtest.thresholds import judge, parse

NONE = Latency(p50_us=0, p90_us=0, p99_us=0, p999_us=0, max_us=0, mean_us=0, count=0, per_s=0.0)


def chart(result: Result, place: str) -> Chart:
    return next(each for each in charts(result) if each["id"] == place)


def trace(result: Result, place: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        each for each in chart(result, place)["traces"] if each["name"] == name
    )
    return found


def of_values(values_ns: list[int]) -> Result:
    """A result whose ages are these."""
    ages = histogram_of(values_ns)
    return sample_result(
        histogram=ages.to_hdr_v2(), histograms={}, latency=Latency.of(ages, len(values_ns) / 6)
    )


# --- the percentile curve -------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.lists(st.integers(0, HDR_MAX_NS), min_size=1, max_size=70))
def test_the_curve_rises_and_ends_at_the_longest(values: list[int]) -> None:
    result = of_values(values)
    curve = trace(result, "percentiles", "age")
    assert curve["y"] == sorted(curve["y"])
    assert curve["x"] == sorted(set(curve["x"]))
    assert curve["x"][0] == 1
    assert curve["y"][-1] == histogram_of(values).max_ns / 1000 == result.latency.max_us
    assert len(curve["x"]) == len(curve["y"]) == len(curve["text"])


def test_the_one_that_is_longer_than_all_others_is_seen() -> None:
    curve = trace(of_values([1000] * 99 + [5_000_000]), "percentiles", "age")
    assert curve["y"][-1] == pytest.approx(5000, rel=1e-3)
    assert curve["text"][-1] == "100 %: 5.00 ms"
    assert curve["y"][-2] == pytest.approx(1, rel=1e-3)


def test_the_curve_passes_through_the_percentiles() -> None:
    result = sample_result()
    curve = trace(result, "percentiles", "age")
    points = dict(zip(curve["x"], curve["y"], strict=True))
    assert points[2] == result.latency.p50_us
    assert points[1] <= result.latency.p50_us <= points[4] <= result.latency.p90_us <= points[16]
    assert points[64] <= result.latency.p99_us <= points[128]
    assert points[512] <= result.latency.p999_us <= points[1024]


def test_a_single_delivery_has_a_chart_with_some_width() -> None:
    axes = chart(of_values([42_000]), "percentiles")
    low, high = axes["x"]["range"]
    assert low == 0 < high
    assert axes["y"]["range"][0] < math.log10(42) < axes["y"]["range"][1]


def test_the_age_at_the_kernel_is_drawn_beside_it() -> None:
    names = [each["name"] for each in chart(sample_result(), "percentiles")["traces"]]
    assert names == ["age", "age at the kernel"]
    alone = chart(sample_result(histograms={}), "percentiles")
    assert [each["name"] for each in alone["traces"]] == ["age"]


def test_shares_at_the_axis_end_where_the_counts_do() -> None:
    axis = chart(of_values([1000] * 1000), "percentiles")["x"]
    assert axis["ticktext"] == ["0 %", "50 %", "90 %", "99 %", "99.9 %"]
    assert axis["tickvals"] == [1, 2, 10, 100, 1000]


# --- thresholds -----------------------------------------------------------------------------------


def test_thresholds_on_percentiles_of_the_age_are_marked() -> None:
    expressions = ["p99 < 2ms", "p999<=1s", "p50<100us", "max<1s", "bbo.p99<1ms", "reach>=0.9"]
    expressions += ["arrival_p99<1ms", "gaps==0"]
    result = judge(sample_result(), [parse(each) for each in expressions])
    marks = trace(result, "percentiles", "thresholds")
    assert marks["x"] == pytest.approx([100, 1000, 2])
    assert marks["y"] == [2000, 1e6, 100]
    assert marks["text"] == ["p99 &lt; 2ms", "p999&lt;=1s", "p50&lt;100us"]
    low, high = chart(result, "percentiles")["y"]["range"]
    assert low < math.log10(100) < math.log10(1e6) < high


def test_beside_a_threshold_an_axis_has_its_unit() -> None:
    result = judge(sample_result(), [parse("p99<5ms")])
    assert {words.split()[1] for words in chart(result, "percentiles")["y"]["ticktext"]} == {"ms"}
    assert all(words.endswith("ms") for words in trace(result, "percentiles", "age")["text"])


@pytest.mark.parametrize(
    ("per_s", "ticks"),
    [
        (0.4, ["0 /s", "0.1 /s", "0.2 /s", "0.3 /s", "0.4 /s"]),
        (21_400, ["0 /s", "5 k/s", "10 k/s", "15 k/s", "20 k/s"]),
    ],
)
def test_rates_are_told_on_the_axis_as_in_the_tables(per_s: float, ticks: list[str]) -> None:
    points = [msgspec.structs.replace(point, per_s=per_s) for point in sample_timeline(400.0)]
    result = sample_result(timeline=points)
    assert chart(result, "deliveries")["y"]["ticktext"] == ticks


def test_an_expression_of_another_version_marks_nothing() -> None:
    result = judge(sample_result(), [parse("p99<1ms")])
    odd = [msgspec.structs.replace(each, expression="p98~1") for each in result.thresholds]
    names = [
        each["name"]
        for each in chart(msgspec.structs.replace(result, thresholds=odd), "percentiles")["traces"]
    ]
    assert "thresholds" not in names


# --- distributions --------------------------------------------------------------------------------


def test_each_distribution_has_its_line() -> None:
    result = sample_result()
    traces = chart(result, "distributions")["traces"]
    lines = {each["y"][0]: each["x"] for each in traces if each["mode"] == "lines"}
    assert list(lines)[:3] == ["age", "age at the kernel", "client&#x27;s own"]
    assert lines.keys() >= {"wire", "server", "delivery", "handshake", "skew", "source late"}
    age = result.latency
    assert lines["age"] == [age.p50_us, age.p99_us, age.p999_us, age.max_us]
    p99 = next(each for each in traces if each["name"] == "p99")
    assert dict(zip(p99["y"], p99["x"], strict=True))["age"] == age.p99_us


def test_a_distribution_of_nothing_is_left_out() -> None:
    stages = {**sample_result().stages, "wire": NONE}
    traces = chart(sample_result(stages=stages), "distributions")["traces"]
    assert not any("wire" in each["y"] for each in traces)


# --- over time ------------------------------------------------------------------------------------


def test_every_second_is_drawn() -> None:
    result = sample_result()
    points = result.timeline
    for name, field in (("p50", "p50_us"), ("p99", "p99_us"), ("max", "max_us")):
        line = trace(result, "latency", name)
        assert line["x"] == [point.t_s for point in points]
        assert line["y"] == [getattr(point, field) for point in points]
    assert trace(result, "deliveries", "deliveries a second")["y"] == [p.per_s for p in points]
    assert trace(result, "losses", "conflated")["y"] == [0, 0, 0, 40, 0, 0]
    bars = trace(result, "losses", "gaps")
    assert (bars["type"], bars["textposition"]) == ("bar", "none")
    assert trace(result, "server", "CPUs in use")["y"] == [p.server_cpu for p in points]


def test_a_second_without_deliveries_is_a_hole_in_the_line() -> None:
    empty = Point(t_s=6.0, per_s=0.0, p50_us=None, p99_us=None, max_us=None)
    result = sample_result(timeline=[*sample_timeline(350), empty])
    line = trace(result, "latency", "p99")
    assert (line["y"][-1], line["text"][-1]) == (None, "")
    assert line["text"][0].startswith("0 s, p99: ")


def test_what_was_not_measured_has_no_chart() -> None:
    blind = [
        msgspec.structs.replace(point, gaps=None, conflated=None, server_cpu=None)
        for point in sample_timeline(350)
    ]
    found = [each["id"] for each in charts(sample_result(timeline=blind))]
    assert found == ["percentiles", "distributions", "latency", "deliveries"]
    half = [msgspec.structs.replace(point, conflated=3) for point in blind]
    names = [each["name"] for each in chart(sample_result(timeline=half), "losses")["traces"]]
    assert names == ["conflated"]


# --- nothing at all -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", durations(1, count=0).to_hdr_v2()])
def test_an_empty_result_draws_nothing(text: str) -> None:
    source = SourceResult(intended=0, sent=0, late=NONE, achieved_per_s=0.0)
    empty = sample_result(
        latency=NONE, arrival=None, own=None, stages={}, skew=None, source=source, timeline=[]
    )
    run = msgspec.structs.replace(empty, histogram=text, histograms={"arrival": text})
    judged = judge(run, [parse("p99<1ms"), parse("max<1s")])
    assert charts(judged) == []


def test_seconds_of_nothing_are_drawn_without_figures() -> None:
    idle = [Point(t_s=float(k), per_s=0.0, p50_us=None, p99_us=None, max_us=None) for k in range(3)]
    result = sample_result(timeline=idle)
    assert trace(result, "latency", "p50")["y"] == [None] * 3
    assert trace(result, "deliveries", "deliveries a second")["y"] == [0.0] * 3


@pytest.mark.parametrize("values", [[0], [1], [HDR_MAX_NS], [0, HDR_MAX_NS], list(range(64))])
def test_axes_are_finite_and_hold_what_is_drawn(values: list[int]) -> None:
    result = judge(of_values(values), [parse("p99<5ms")])
    json.dumps(charts(result), allow_nan=False)
    for place, name in (("percentiles", "y"), ("distributions", "x")):
        axis = chart(result, place)[name]
        low, high = axis["range"]
        assert low < high
        assert axis["tickvals"]
        assert all(low <= math.log10(tick) <= high for tick in axis["tickvals"])
        assert len(set(axis["ticktext"])) == len(axis["ticktext"])
