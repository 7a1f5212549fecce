"""Metric families in one line each: a name, what it means, its labels, and rows of values."""

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from gateway.latency.histogram import Histogram

Rows = Iterable[tuple[Sequence[str], float]]
"""(the labels' values, the sample's)."""


def gauge(name: str, text: str, value: float) -> Metric:
    """One value that goes up and down."""
    return gauges(name, text, (), [((), value)])


def gauges(name: str, text: str, labels: Sequence[str], rows: Rows) -> Metric:
    """The same for every row of label values."""
    return _filled(GaugeMetricFamily(name, text, labels=labels), rows)


def counter(name: str, text: str, value: float) -> Metric:
    """One value that only grows; `_total` is put behind its name."""
    return counters(name, text, (), [((), value)])


def counters(name: str, text: str, labels: Sequence[str], rows: Rows) -> Metric:
    """The same for every row of label values."""
    return _filled(CounterMetricFamily(name, text, labels=labels), rows)


def outcomes(
    name: str, text: str, label: str, names: Sequence[str], values: Sequence[int]
) -> Metric:
    """A counter array of a page, whose places have names; places beyond the names are unused."""
    rows = [((each,), value) for each, value in zip(names, values, strict=False)]
    return counters(name, text, (label,), rows)


def histograms(
    name: str, text: str, label: str, rows: Mapping[str, tuple[Histogram, Sequence[int]]]
) -> Metric:
    """Durations in seconds; each row is (the histogram, its buckets' upper edges in ns)."""
    family = HistogramMetricFamily(name, text, labels=[label])
    for value, (histogram, edges_ns) in rows.items():
        counts = map(float, histogram.cumulative(edges_ns))
        edges = [repr(edge / 1e9) for edge in edges_ns]
        buckets = [*zip(edges, counts, strict=True), ("+Inf", float(histogram.count))]
        family.add_metric([value], buckets, histogram.sum_ns / 1e9)
    return family


def enumerated(names: Sequence[str]) -> str:
    """For help texts: which number stands for which name."""
    return ", ".join(f"{index} {name}" for index, name in enumerate(names))


def _filled(family: GaugeMetricFamily | CounterMetricFamily, rows: Rows) -> Metric:
    for labels, value in rows:
        family.add_metric(labels, value)
    return family
