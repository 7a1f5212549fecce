"""A result as JSON, there and back, and its figures held against the hdrhistogram package."""

import math
from typing import Any

import msgspec
import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from support.results import histogram_of, sample_result

from gateway._native import HDR_MAX_NS
from gateway.latency.histogram import Histogram
from gateway.loadtest.result import (
    SCHEMA,
    Clock,
    Latency,
    LimitResult,
    Result,
    ResultError,
    Trial,
    from_json,
    schema,
)
from gateway.loadtest.thresholds import judge, parse

SAMPLE = sample_result()
LIMIT = LimitResult(
    passed=100.0,
    failed=None,
    invalid=200.0,
    trials=[Trial(rate=100.0, verdict="pass"), Trial(rate=200.0, verdict="invalid")],
)
LISTENED = msgspec.structs.replace(
    SAMPLE,
    **dict.fromkeys(("arrival", "own", "skew", "source", "server", "floor", "reach", "expected")),
    **dict.fromkeys(("gaps", "gap_events", "conflated", "duplicates")),
    stages={},
    groups={},
    timeline=[],
    histograms={},
    clock=Clock(offset_ns=-(1 << 62), error_ns=40_000, method="ping"),
)


def as_json(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(result.to_json())
    return found


# --- JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(SAMPLE, id="all"),
        pytest.param(LISTENED, id="least"),
        pytest.param(
            judge(SAMPLE, [parse("p99<1ms"), parse("trade.p99<1us"), parse("skew_max<9s")]),
            id="judged",
        ),
        pytest.param(
            msgspec.structs.replace(SAMPLE, limit=LIMIT, scenario={"name": 'é\n"', "a": [{}, 1]}),
            id="searched",
        ),
    ],
)
def test_round_trip(result: Result) -> None:
    text = result.to_json()
    assert from_json(text) == result
    assert from_json(text.decode()) == result
    assert text.startswith(b"{\n  ")
    assert text.endswith(b"}\n")


def test_the_protocols_names_are_there() -> None:
    found = as_json(SAMPLE)
    names = {"p50_us", "p90_us", "p99_us", "p999_us", "max_us", "count", "per_s"}
    assert names <= set(found["latency"])
    assert {"reach", "gaps", "conflated"} <= set(found)
    assert found["latency"]["p99_us"] == SAMPLE.latency.p99_us
    assert (found["reach"], found["gaps"], found["conflated"]) == (0.99967, 0, 40)


def test_what_was_not_measured_is_null_and_not_left_out() -> None:
    found = as_json(LISTENED)
    assert set(found) == set(as_json(SAMPLE))
    for name in ("reach", "gaps", "conflated", "arrival", "server"):
        assert found[name] is None


def test_fields_of_a_later_version_are_ignored() -> None:
    """One that only adds fields keeps its schema's number."""
    more = as_json(SAMPLE) | {"later": 1}
    more["latency"]["p75_us"] = 2.0
    assert from_json(msgspec.json.encode(more)) == SAMPLE


def test_fields_that_an_earlier_version_did_not_have() -> None:
    less = as_json(SAMPLE)
    del less["histograms"], less["latency"]["saturated"], less["client"]["still"]
    found = from_json(msgspec.json.encode(less))
    assert (found.histograms, found.latency.saturated, found.client.still) == ({}, 0, 0.0)


@pytest.mark.parametrize("version", [0, SCHEMA + 1])
def test_another_version(version: int) -> None:
    """The number decides alone: nothing is said of fields that such a version may not have."""
    with pytest.raises(ResultError) as caught:
        from_json(f'{{"schema": {version}}}', "old.json")
    assert str(caught.value).startswith(
        f"old.json: schema {version}, this version of tickgate reads {SCHEMA}: "
    )
    assert caught.value.exit_code == 2


REQUIRED = [field.name for field in msgspec.structs.fields(Result) if field.required]


@pytest.mark.parametrize("name", ["schema", *REQUIRED])
def test_a_missing_field_is_named(name: str) -> None:
    less = as_json(SAMPLE)
    del less[name]
    with pytest.raises(ResultError, match=rf"^a\.json: .* missing required field `{name}`$"):
        from_json(msgspec.json.encode(less), "a.json")


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        (("latency", "p50_us"), None, "Expected `float`, got `null` - at `$.latency.p50_us`"),
        (("gaps",), "none", "Expected `int | null`, got `str` - at `$.gaps`"),
        (("timeline", 2, "per_s"), [], "Expected `float`, got `array` - at `$.timeline[2].per_s`"),
        (("clock", "method"), "sundial", "Invalid enum value 'sundial' - at `$.clock.method`"),
        (("groups", "bbo", "open"), 1.5, "Expected `int`, got `float` - at `$.groups[...].open`"),
        (("schema",), "1", "Expected `int`, got `str` - at `$.schema`"),
    ],
)
def test_a_wrong_field_is_told_with_its_path(
    place: tuple[str | int, ...], value: Any, text: str
) -> None:
    wrong = as_json(SAMPLE)
    part: Any = wrong
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    with pytest.raises(ResultError) as caught:
        from_json(msgspec.json.encode(wrong), "a.json")
    assert str(caught.value) == f"a.json: not a result of a load test: {text}"


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"no json", b"[]", b"null", b'{"schema": 1', b'{"schema": 1}\xff', b"\xff"),
        *("\ud800", b'{"schema": 1, "name": "\xff"}', b'{"schema": 1, "x": ' + b"[" * 100_000),
    ],
    ids=range(10),
)
def test_what_is_no_result_at_all(text: bytes | str) -> None:
    with pytest.raises(ResultError, match=r"^a\.json: not a result of a load test: ."):
        from_json(text, "a.json")


def test_each_field_has_a_description() -> None:
    parts = schema()["$defs"]
    assert set(parts["Result"]["properties"]) == set(Result.__struct_fields__)
    for part in parts.values():
        for name, field in part["properties"].items():
            assert field.get("description"), name


# --- figures --------------------------------------------------------------------------------------

DURATIONS = st.one_of(
    st.integers(0, HDR_MAX_NS),
    st.integers(0, 36).flatmap(lambda bits: st.integers(0, (1 << bits) - 1)),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(DURATIONS, min_size=1, max_size=100))
def test_figures_equal_the_packages(values_ns: list[int]) -> None:
    oracle = HdrHistogram(1, HDR_MAX_NS, 3)
    for value_ns in values_ns:
        oracle.record_value(value_ns)
    found = Latency.of(histogram_of(values_ns), 12.34567)
    for name, percentile in (("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9)):
        assert getattr(found, f"{name}_us") * 1000 == pytest.approx(
            oracle.get_value_at_percentile(percentile), rel=1e-12
        ), name
    assert found.max_us * 1000 == pytest.approx(oracle.get_max_value(), rel=1e-12)
    assert found.count == len(values_ns)
    assert found.mean_us == pytest.approx(sum(values_ns) / len(values_ns) / 1000, abs=0.001)
    assert (found.per_s, found.negative, found.saturated) == (12.346, 0, 0)


@settings(max_examples=30, deadline=None)
@given(st.lists(DURATIONS, min_size=1, max_size=100))
def test_the_mean_without_a_sum_is_that_of_the_buckets(values_ns: list[int]) -> None:
    """The native swarm keeps counts alone."""
    oracle = HdrHistogram(1, HDR_MAX_NS, 3)
    for value_ns in values_ns:
        oracle.record_value(value_ns)
    found = Latency.of(Histogram(histogram_of(values_ns).counts), 0.0)
    assert found.mean_us == pytest.approx(oracle.get_mean_value() / 1000, abs=0.001)


def test_what_could_not_be_counted_is_told() -> None:
    found = Latency.of(Histogram(histogram_of([5000]).counts, 5000, saturated=2, negative=3), 1.0)
    assert (found.count, found.saturated, found.negative) == (1, 2, 3)


def test_figures_of_nothing_are_zeros_that_json_can_have() -> None:
    found = Latency.of(Histogram.empty(), 0.0)
    assert (found.count, found.mean_us, found.p99_us, found.max_us) == (0, 0.0, 0.0, 0.0)
    assert not any(math.isnan(value) for value in msgspec.structs.astuple(found))


def test_the_histogram_of_a_result_has_its_figures() -> None:
    decoded = HdrHistogram.decode(SAMPLE.histogram)
    assert decoded.get_total_count() == SAMPLE.latency.count
    assert decoded.get_value_at_percentile(99) / 1000 == pytest.approx(SAMPLE.latency.p99_us)
