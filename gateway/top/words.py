"""Figures and states in words. Whatever came over the wire is made harmless here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from rich.text import Text

from gateway.loadtest import units
from gateway.text import plain

NOTHING: Final = "-"
"""Where nothing was recorded: never a zero, which would be a good figure."""

STATES: Final = {
    "ok": ("ok", "green"),
    "at_risk": ("at risk", "yellow"),
    "breached": ("breached", "bold red"),
    "infeasible": ("infeasible", "bold magenta"),
}
"""How each state of the objective is written; in the order of their numbers."""
_BARS: Final = "▁▂▃▄▅▆▇█"
_HALF: Final = len(_BARS) // 2


def safe(value: object, style: str = "") -> Text:
    """Text from outside: no markup, no control character, one line."""
    return Text(plain(str(value)), style=style)


def state(name: str, case: Callable[[str], str] = str.lower) -> Text:
    """A state of the objective; `-` for none."""
    known, style = STATES.get(name, (plain(name) or NOTHING, ""))
    return Text(case(known), style=style)


def latency(us: float | None, beside_us: float | None = None) -> str:
    """Three digits and a unit: that of what it is compared with."""
    return NOTHING if us is None else units.duration(us, beside_us)


def beside(p99_us: float | None, target_us: float) -> float | None:
    """What a row is told beside: the target, but where its p99 is not even a hundredth of that."""
    return p99_us if p99_us is not None and p99_us < target_us / 100 else target_us


def milliseconds(ms: float | None) -> str:
    """The same, of what the gateway tells in milliseconds."""
    return NOTHING if ms is None else units.duration(ms * 1000)


def number(value: float | None) -> str:
    """A count with its thousands apart."""
    return NOTHING if value is None else f"{value:,.0f}"


def rate(per_s: float | None) -> str:
    """Events a second."""
    return NOTHING if per_s is None else units.rate(per_s)


def share(value: float | None) -> str:
    """A part of one in per cent."""
    return NOTHING if value is None else f"{value * 100:.0f} %"


def span(seconds: float) -> str:
    """A length of time, as exact as one wants to know it."""
    s = max(int(seconds), 0)
    if s < 120:
        return f"{s} s"
    if s < 7200:
        return f"{s // 60} min"
    if s < 48 * 3600:
        return f"{s // 3600} h {s % 3600 // 60} min"
    return f"{s // 86400} days"


def ago(then_ns: int, now_ns: int) -> str:
    """How long ago, both by the gateway's clock; `-` for never."""
    return f"{span((now_ns - then_ns) / 1e9)} ago" if then_ns else NOTHING


def interval(ms: float | None) -> str:
    """How a class is served: at once, at an interval, or not at all."""
    if ms is None:
        return "paused"
    return f"{ms:g} ms" if ms else "live"


def bars(values: Sequence[float | None], target: float) -> Text:
    """A line of bars, one a value; None is a blank.

    The scale is logarithmic and fixed by the target: each bar doubles, and what is above it stands
    higher than half. So two moments, or two gateways, can be compared by eye.
    """
    text = Text()
    for value in values:
        if value is None:
            text.append(" ")
            continue
        doublings = math.ceil(math.log2(value / target)) if value > 0 else -_HALF
        height = min(max(_HALF - 1 + doublings, 0), len(_BARS) - 1)
        text.append(_BARS[height], style="red" if value > target else "green")
    return text
