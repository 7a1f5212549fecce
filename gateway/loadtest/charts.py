"""The charts of a report, as data: traces and axes for plotly.js, colours by the name of a role.

What comes from a result and is text (names, expressions) is escaped here, as plotly.js takes some
markup in its labels.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from gateway.latency.histogram import Histogram
from gateway.loadtest import units
from gateway.loadtest.interchange import decode
from gateway.loadtest.result import Point, Result
from gateway.loadtest.summary import distributions
from gateway.loadtest.thresholds import ThresholdError, parse

Chart = dict[str, Any]

_STEPS_PER_HALVING = 8  # points each time that the distance to 100 % halves
_NINES = ((1, "0 %"), (2, "50 %"), *((10**n, f"{100 - 100 / 10**n:.10g} %") for n in range(1, 10)))
_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
_TICKS_MAX = 5  # of an axis from 0
_LEAST_US = 0.001  # a logarithmic axis has no zero, and a clock no part of a nanosecond


def charts(result: Result) -> list[Chart]:
    """Every chart that the result has figures for, by the `id` of its place on the page."""
    found = [_percentiles(result), _distributions(result)]
    if result.timeline:
        found += [_latency(result.timeline), _deliveries(result.timeline)]
        found += [_losses(result.timeline), _server(result.timeline)]
    return [chart for chart in found if chart is not None]


def _percentiles(result: Result) -> Chart | None:
    """Durations over 1 / (1 - share) on a logarithmic axis, as plots of hgrm files are."""
    series = (
        ("age", result.histogram, "one"),
        ("age at the kernel", result.histograms.get("arrival", ""), "two"),
    )
    limits = _limits(result)
    beside_us = limits["y"][0] if limits else None
    traces = [_curve(name, decode(text), role, beside_us) for name, text, role in series if text]
    traces = [trace for trace in traces if trace["x"]]
    if not traces:
        return None
    if limits:
        traces.append(limits)
    end = max(2.0, *(max(trace["x"]) for trace in traces))  # of a single value too, some width
    shown = [(at, text) for at, text in _NINES if at <= end]
    return {
        "id": "percentiles",
        "traces": traces,
        "x": {
            "type": "log",
            "range": [0, math.log10(end)],
            "tickvals": [at for at, _ in shown],
            "ticktext": [text for _, text in shown],
            "title": {"text": "share of deliveries that were at most so old"},
        },
        "y": _durations((value for trace in traces for value in trace["y"]), beside_us),
    }


def _curve(name: str, histogram: Histogram, role: str, beside_us: float | None) -> dict[str, Any]:
    count = histogram.count
    steps = range(math.ceil(_STEPS_PER_HALVING * math.log2(count)) + 1) if count else range(0)
    x = [2 ** (step / _STEPS_PER_HALVING) for step in steps]
    # A count of values has so many nines and no more: beyond them is the longest alone.
    percentiles = [100 - 100 / at if at < count else 100.0 for at in x]
    y = [histogram.value_at_percentile(percentile) / 1000 for percentile in percentiles]
    words = [
        f"{percentile:.6g} %: {units.duration(us, beside_us)}"
        for percentile, us in zip(percentiles, y, strict=True)
    ]
    return _trace(name, x, y, role, words=words, mode="lines", line={"shape": "hv"})


def _limits(result: Result) -> dict[str, Any] | None:
    """A mark at each threshold on a percentile of the age."""
    marks = []
    for each in result.thresholds:
        with suppress(ThresholdError):
            threshold = parse(each.expression)
            if not threshold.group and threshold.figure in _SHARES:
                at = 1 / (1 - _SHARES[threshold.figure])
                marks.append((at, threshold.limit, html.escape(each.expression)))
    if not marks:
        return None
    x, y, words = map(list, zip(*marks, strict=True))
    marker = {"symbol": "triangle-down", "size": 11}
    return _trace("thresholds", x, y, "limit", words=words, mode="markers", marker=marker)


def _distributions(result: Result) -> Chart | None:
    """Each distribution as a line from its median to its longest."""
    rows = [
        (html.escape(name), (each.p50_us, each.p99_us, each.p999_us, each.max_us))
        for name, each in distributions(result)
    ]
    if not rows:
        return None
    traces = []
    for name, values in rows:
        span = _trace("", values, [name] * 4, "three", mode="lines", showlegend=False)
        traces.append({**span, "hoverinfo": "skip"})
    for place, (label, role, symbol) in enumerate(
        (("p50", "one", "circle"), ("p99", "two", "diamond"), ("p99.9", "limit", "square"))
    ):
        x = [values[place] for _, values in rows]
        words = [f"{name} {label}: {units.duration(values[place])}" for name, values in rows]
        names, marker = [name for name, _ in rows], {"size": 9, "symbol": symbol}
        trace = _trace(label, x, names, role, words=words, mode="markers", marker=marker)
        traces.append(trace)
    axis = _durations(value for _, values in rows for value in values)
    return {
        "id": "distributions",
        "traces": traces,
        "x": axis,
        "y": {"autorange": "reversed", "type": "category"},
    }


def _latency(points: Sequence[Point]) -> Chart:
    series = (
        ("p50", "one", "p50_us"),
        ("p99", "two", "p99_us"),
        ("max", "three", "max_us"),
    )
    traces = [_over_time(points, *each, units.duration) for each in series]
    values = (value for trace in traces for value in trace["y"] if value is not None)
    return {"id": "latency", "traces": traces, "x": _seconds(), "y": _durations(values)}


def _deliveries(points: Sequence[Point]) -> Chart:
    trace = _over_time(points, "deliveries a second", "one", "per_s", units.rate)
    return {
        "id": "deliveries",
        "traces": [trace],
        "x": _seconds(),
        "y": _from_zero([trace], units.rate),
    }


def _losses(points: Sequence[Point]) -> Chart | None:
    names = {"gaps": "limit", "conflated": "two"}
    traces = [
        {
            **_over_time(points, name, role, name, _count),
            "type": "bar",
            "textposition": "none",  # else it is written into the bar
        }
        for name, role in names.items()
        if any(getattr(point, name) is not None for point in points)
    ]
    if not traces:
        return None
    return {
        "id": "losses",
        "traces": traces,
        "x": _seconds(),
        "y": _from_zero(traces, _count, 1),
    }


def _server(points: Sequence[Point]) -> Chart | None:
    if all(point.server_cpu is None for point in points):
        return None
    trace = _over_time(points, "CPUs in use", "one", "server_cpu", lambda cpus: f"{cpus:.2f}")
    return {
        "id": "server",
        "traces": [trace],
        "x": _seconds(),
        "y": _from_zero([trace], lambda cpus: f"{cpus:g}"),
    }


def _over_time(
    points: Sequence[Point],
    name: str,
    role: str,
    field: str,
    shown: Callable[[float], str],
) -> dict[str, Any]:
    values: list[float | None] = [getattr(point, field) for point in points]
    words = [
        "" if value is None else f"{point.t_s:g} s, {name}: {shown(value)}"
        for point, value in zip(points, values, strict=True)
    ]
    return _trace(name, [point.t_s for point in points], values, role, words=words)


def _trace(
    name: str,
    x: Sequence[Any],
    y: Sequence[Any],
    role: str,
    *,
    words: Sequence[str] = (),
    **own: Any,
) -> dict[str, Any]:
    trace = {"name": name, "x": list(x), "y": list(y), "role": role, "mode": "lines+markers"}
    if words:
        trace |= {"text": list(words), "hovertemplate": "%{text}<extra></extra>"}
    return trace | own


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _seconds() -> Chart:
    return {"title": {"text": "seconds since the window's start"}}


def _from_zero(
    traces: Sequence[dict[str, Any]], shown: Callable[[float], str], step_min: float = 0
) -> Chart:
    """An axis from 0 that says what the tables say: plotly.js would call a half 500m."""
    values = [value for trace in traces for value in trace["y"] if value is not None]
    top = max(values, default=0) or 1
    power = 10.0 ** math.floor(math.log10(top / _TICKS_MAX))
    step = next(one * power for one in (1, 2, 5, 10) if top / (one * power) <= _TICKS_MAX)
    step = max(step, step_min)
    ticks = [number * step for number in range(math.floor(top / step + 1e-9) + 1)]
    return {
        "range": [0, top * 1.08],
        "tickvals": ticks,
        "ticktext": [units.tick(shown(each)) for each in ticks],
    }


def _durations(values_us: Iterable[float], beside_us: float | None = None) -> Chart:
    """A logarithmic axis with round durations at its ticks, in one unit beside a threshold."""
    known = [max(value, _LEAST_US) for value in values_us]
    low, high = (math.log10(edge(known)) for edge in (min, max)) if known else (0.0, 3.0)
    margin = max(0.05 * (high - low), 0.2)  # room for a tick: 2 to 5 is 0.398
    low, high = low - margin, high + margin
    digits = (1, 2, 5) if high - low < 3 else (1,)
    ticks = [
        digit * 10.0**power
        for power in range(math.floor(low), math.ceil(high) + 1)
        for digit in digits
        if low <= math.log10(digit) + power <= high
    ]
    return {
        "type": "log",
        "range": [low, high],
        "tickvals": ticks,
        # What is less than a microsecond is no thousandth of a millisecond.
        "ticktext": [
            units.tick(units.duration(each, beside_us if each >= 1 else None)) for each in ticks
        ],
    }
