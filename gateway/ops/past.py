"""The history as messages have it: points, and everything of a time merged."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import UNSET

from gateway.latency.hgrm import hgrm
from gateway.latency.history import History, Point, Selection, merged
from gateway.latency.slo import STATES
from gateway.latency.sparse import Row
from gateway.ops.figures import P999_COUNT_MIN
from gateway.session.messages import HistoryParams

POINTS_DEFAULT = 600
SPAN_DEFAULT_NS = 15 * 60 * 1_000_000_000
PERCENTILES = (0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999, 100)
"""Of everything merged: those that a plot of percentiles needs."""


def point_document(point: Point) -> dict[str, Any]:
    """A point, as in `ops` messages and in the history."""
    row, classes = point.latency.together(), point.latency.rows()
    count = row.count
    p50, p99, p999 = _percentiles_us(row, (50, 99, 99.9), point.max_ns)
    return {
        "ts": point.ts,
        "span_s": round(point.span_s, 3),
        "state": STATES[point.state],
        "step": point.step,
        "count": count,
        "p50_us": p50,
        "p99_us": p99,
        "p999_us": p999 if count >= P999_COUNT_MIN else None,
        "max_us": point.max_ns / 1000 if count else None,
        "heat": row.heat(),
        "published": point.published,
        "delivered": point.delivered,
        "conflated": point.conflated,
        "dropped": point.dropped,
        "connections": point.connections,
        "classes": [
            {
                "count": each.count,
                "p99_us": _percentiles_us(each, (99,), point.max_ns)[0],
                "conflated": conflated,
                "dropped": dropped,
            }
            for each, conflated, dropped in zip(
                classes, point.class_conflated, point.class_dropped, strict=True
            )
        ],
    }


class Past(NamedTuple):
    """What a request for the history asks for, found; `document` may be made on any thread."""

    from_ns: int
    to_ns: int
    selection: Selection

    @classmethod
    def of(cls, history: History, params: HistoryParams, now_ns: int) -> "Past":
        """By default the last quarter of an hour."""
        to_ns = now_ns if params.to is UNSET else params.to
        from_ns = max(to_ns - SPAN_DEFAULT_NS, 0) if params.from_ is UNSET else params.from_
        points_max = POINTS_DEFAULT if params.points is UNSET else params.points
        return cls(from_ns, to_ns, history.select(from_ns, to_ns, points_max))

    def document(self) -> dict[str, Any]:
        """The reply: some hundred milliseconds of work at the most."""
        resolution_s, groups = self.selection
        points = [merged(group) for group in groups]
        return {
            "from": self.from_ns,
            "to": self.to_ns,
            "resolution_s": resolution_s,
            "points": [point_document(each) for each in points],
            "merged": _merged(points),
        }


def _merged(points: Sequence[Point]) -> dict[str, Any]:
    if not points:
        return _distribution(Row.empty(), 0)
    whole = merged(points)
    return _distribution(whole.latency.together(), whole.max_ns)


def _distribution(row: Row, max_ns: int) -> dict[str, Any]:
    count, histogram = row.count, row.histogram()
    p50, p90, p99, p999 = _percentiles_us(row, (50, 90, 99, 99.9), max_ns)
    told = _percentiles_us(row, PERCENTILES, max_ns)
    return {
        "count": count,
        "p50_us": p50,
        "p90_us": p90,
        "p99_us": p99,
        "p999_us": p999 if count >= P999_COUNT_MIN else None,
        "max_us": max_ns / 1000 if count else None,
        "percentiles": [*zip(PERCENTILES, told, strict=True)] if count else [],
        "hdr": histogram.to_hdr_v2(),
        "hgrm": hgrm(histogram),
    }


def _percentiles_us(row: Row, percentiles: Sequence[float], max_ns: int) -> list[float | None]:
    """None where there is nothing; where places are joined, no more than the longest there was."""
    if not row.counts.size:
        return [None] * len(percentiles)
    return [min(ns, max_ns) / 1000 for ns in row.percentiles_ns(percentiles)]
