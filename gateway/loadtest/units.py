"""Figures in words: the units that thresholds may have, and how figures are shown to people."""

import math
from typing import Final

DURATIONS_US: Final = {"ns": 0.001, "us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}
"""Microseconds of each unit of time."""

MEMORY_MB: Final = {"MB": 1.0, "GB": 1e3}
"""Megabytes (10^6 bytes) of each unit of memory."""


def duration(us: float) -> str:
    """A duration given in microseconds, to three digits in the unit that suits it: `1.70 ms`."""
    for unit in ("s", "ms", "µs", "ns"):
        value = us / DURATIONS_US[unit]
        if abs(value) >= 0.9995:
            return f"{_digits(value)} {unit}"
    return "0 µs"


def share(value: float) -> str:
    """A share as a percentage, cut rather than rounded: only all of it is `100 %`."""
    thousandths = math.floor(round(value * 1e5, 6))
    return f"{thousandths / 1e3:.3f}".rstrip("0").rstrip(".") + " %"


def rate(per_s: float) -> str:
    """Events a second, to three digits: `2.00 M/s`."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if per_s >= 0.9995 * size:
            return f"{_digits(per_s / size)}{letter}/s"
    return f"{_digits(per_s)} /s" if per_s else "0 /s"


def memory(megabytes: float) -> str:
    """Memory given in megabytes."""
    return f"{_digits(megabytes)} MB" if megabytes else "0 MB"


def _digits(value: float) -> str:
    # Of the value as it is shown: 99.96 has three digits before the point once it is rounded.
    exponent = int(f"{value:.2e}".partition("e")[2])
    return f"{value:,.{max(2 - exponent, 0)}f}" if exponent > -4 else f"{value:.2g}"
