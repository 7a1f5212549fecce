"""Histograms for other people's tools: interval logs (hlog), V2 base64.

The text is as HdrHistogram's Java and C versions write it (`HistogramLogWriter`:
https://github.com/HdrHistogram). The `hdrhistogram` package is the codec; its own writer differs
from those (no tags, a start time that fails), so the lines around are written here.
"""

from __future__ import annotations

import binascii
import re
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from hdrh.codec import HdrCookieException, HdrLengthException  # type: ignore[import-untyped]
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from gateway._native import HDR_COUNTS
from gateway.latency.histogram import Histogram
from gateway.loadtest.result import ResultError

_NS_PER_MS = 1e6
_LOG_HEADER = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'


@dataclass(frozen=True, slots=True)
class Interval:
    """What one group recorded in one piece of the run."""

    tag: str
    """The group's name; readers keep tags apart."""
    start_ns: int
    end_ns: int
    histogram: Histogram


def decode(text: str) -> Histogram:
    """The histogram that `Histogram.to_hdr_v2` wrote, or any of the same range and digits.

    Raises:
        ResultError: the text is none, or of another range or precision.
    """
    try:
        decoded = HdrHistogram.decode(text)
    except (
        binascii.Error,
        HdrCookieException,
        HdrLengthException,
        IndexError,
        RuntimeError,  # a payload of no bytes
        TypeError,
        ValueError,
        zlib.error,
    ) as error:
        raise ResultError(f"not a V2 histogram: {error}") from None
    counts = np.frombuffer(decoded.counts, dtype=np.uint64)
    if counts.size != HDR_COUNTS:
        raise ResultError(f"a histogram of {counts.size} counts, not of {HDR_COUNTS}")
    lowest = decoded.lowest_trackable_value  # twice of it is as many counts for twice the range
    if lowest != 1:
        raise ResultError(f"a histogram whose lowest value is {lowest}, not 1")
    return Histogram(counts.copy())


def hlog(start_ns: int, intervals: Iterable[Interval], comment: str = "") -> str:
    """An interval log: times in seconds since `start_ns`, the maxima in milliseconds.

    Args:
        start_ns: The window's start, CLOCK_REALTIME; no interval begins before it.
        intervals: In order of their starts, as readers stop at a later one.
        comment: A line for people, e.g. the scenario's name.
    """
    seconds = start_ns / 1e9
    date = time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(seconds))
    lines = [f"#[{re.sub(r'[^ -~]', '?', comment)}]\n"] if comment else []
    lines += [
        "#[Histogram log format version 1.3]\n",
        f"#[BaseTime: {seconds:.3f} (seconds since epoch)]\n",
        f"#[StartTime: {seconds:.3f} (seconds since epoch), {date}]\n",
        _LOG_HEADER,
    ]
    for each in intervals:
        # The format has no quoting: what would end a tag is not in it.
        tag = re.sub(r"[,\s]", "_", each.tag)
        start_s, length_s = (each.start_ns - start_ns) / 1e9, (each.end_ns - each.start_ns) / 1e9
        max_ms = each.histogram.max_ns / _NS_PER_MS
        lines.append(
            f"{f'Tag={tag},' if tag else ''}{start_s:.3f},{length_s:.3f},{max_ms:.3f},"
            f"{each.histogram.to_hdr_v2()}\n"
        )
    return "".join(lines)
