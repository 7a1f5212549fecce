"""Figures in words: the units that thresholds may have, and how figures are shown to people.

One rule for `top`, the load test's report and the dashboard (gateway/ops/static/words.js has it in
JavaScript, and tests/support/figures.json cases for both): a figure has three digits and the unit
that suits its size. Durations that stand side by side to be compared have one unit: the target's,
or that of the row's p99 where there is no target or it is a hundred times as long.
"""

import math
from collections.abc import Iterable
from typing import Final

DURATIONS_US: Final = {"ns": 0.001, "us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}
"""Microseconds of each unit of time."""

MEMORY_MB: Final = {"MB": 1.0, "GB": 1e3}
"""Megabytes (10^6 bytes) of each unit of memory."""


def duration(us: float, beside_us: float | None = None) -> str:
    """A duration given in microseconds, to three digits in the unit that suits it: `1.70 ms`.

    `beside_us` is the target or the p99 that it is compared with, which gives the unit (ms at the
    most) and thousandths of it: `0.678 ms` beside 1.00 ms.
    """
    if beside_us:
        return _beside(us, beside_us)
    for unit in ("s", "ms", "µs", "ns"):
        value = us / DURATIONS_US[unit]
        if abs(value) >= 0.9995:
            return f"{_digits(value)} {unit}"
    return "0 µs"


def durations(values_us: Iterable[float], beside_us: float) -> list[str]:
    """A row of durations, all beside the same one."""
    return [duration(us, beside_us) for us in values_us]


def tick(words: str) -> str:
    """A round figure as an axis has it: without zeros at the end, `1 ms`."""
    number, _, unit = words.partition(" ")
    whole, point, rest = number.partition(".")
    rest = rest.rstrip("0")
    return f"{whole}{point if rest else ''}{rest}{' ' if unit else ''}{unit}"


def _beside(us: float, beside_us: float) -> str:
    unit = next((u for u in ("ms", "µs") if abs(beside_us) >= 0.9995 * DURATIONS_US[u]), "ns")
    value = us / DURATIONS_US[unit]
    if abs(value) < 0.0005:
        return f"<0.001 {unit}" if value > 0 else f"0 {unit}"
    return f"{_digits(value, 3)} {unit}"


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


def _digits(value: float, decimals_max: int | None = None) -> str:
    # Of the value as it is shown: 99.96 has three digits before the point once it is rounded.
    exponent = int(f"{value:.2e}".partition("e")[2])
    if decimals_max is None and exponent <= -4:
        return f"{value:.2g}"
    decimals = max(2 - exponent, 0)
    return f"{value:,.{decimals if decimals_max is None else min(decimals, decimals_max)}f}"
