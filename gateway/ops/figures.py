"""A histogram in figures, as messages and /statusz have it."""

from typing import Any

from gateway.latency.histogram import Histogram

P999_COUNT_MIN = 1000
"""With fewer samples p99.9 would be the longest of them, whatever it is."""


def figures(histogram: Histogram) -> dict[str, Any]:
    """Its count and percentiles in microseconds, None for those that nothing stands behind."""
    count = histogram.count
    p50, p99, p999 = histogram.values_at_percentiles((50, 99, 99.9))
    return {
        "count": count,
        "p50_us": p50 / 1000 if count else None,
        "p99_us": p99 / 1000 if count else None,
        "p999_us": p999 / 1000 if count >= P999_COUNT_MIN else None,
        "max_us": histogram.max_ns / 1000 if count else None,
    }
