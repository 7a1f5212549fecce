"""A histogram as percentile text (hgrm), for other people's tools.

The text is as HdrHistogram's Java and C versions write it (`outputPercentileDistribution`:
https://github.com/HdrHistogram). The `hdrhistogram` package walks the percentiles; its footer is
another, so that is written here.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from gateway.latency.histogram import Histogram

_NS_PER_MS = 1e6
_TICKS_PER_HALF_DISTANCE = 5


def hgrm(histogram: Histogram) -> str:
    """The percentile distribution, values in milliseconds, as plotters of `.hgrm` files take it."""
    hdr = HdrHistogram.decode(histogram.to_hdr_v2())
    out = io.BytesIO()
    hdr.output_percentile_distribution(out, _NS_PER_MS, _TICKS_PER_HALF_DISTANCE)
    body, _, _ = out.getvalue().decode("ascii").partition("#[")
    empty = not histogram.count
    mean = 0.0 if empty else hdr.get_mean_value() / _NS_PER_MS
    deviation = 0.0 if empty else hdr.get_stddev() / _NS_PER_MS
    return (
        f"{body}#[Mean    = {mean:12.3f}, StdDeviation   = {deviation:12.3f}]\n"
        f"#[Max     = {hdr.get_max_value() / _NS_PER_MS:12.3f},"
        f" Total count    = {histogram.count:12d}]\n"
        f"#[Buckets = {hdr.bucket_count:12d}, SubBuckets     = {hdr.sub_bucket_count:12d}]\n"
    )
