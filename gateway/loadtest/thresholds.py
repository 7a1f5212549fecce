"""What a load test must hold, and whether it did: `p99<1ms`, `reach>=99.9%`, `bbo.gaps==0`.

    [GROUP.]FIGURE OPERATOR LIMIT

`FIGURE` is one of

- `p50 p90 p99 p999 max`: of the age at the client; with `arrival_ own_ skew_ late_ wire_ server_
  delivery_ handshake_` in front, of that distribution. The limit has a unit: `ns us ms s`.
- `reach`: the limit is a share (`0.999`) or a percentage (`99.9%`).
- `gaps gap_events conflated duplicates dropped delivered reconnects closed refused slow_notices
  slow_clients conflation_notices`: a number.
- `per_s` deliveries, `achieved_per_s` ticks of the source: a number.
- `cpu_per_delivery`: a duration, or a multiple of the bare send loop's: `1.1*floor`.
- `pss_max rss_max`: `MB` or `GB` (10^6, 10^9 bytes).
- `ladder_back`: a duration, from the window's end until nothing was degraded any more.

`GROUP.` asks for one group's own figure; a group may have dots in its name. Operators are
`< <= == != >= >`. What was not measured holds no threshold. Percentiles are the upper edges of
histogram buckets, 0.1 % wide: a value exactly at a limit may count as above it.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from gateway.errors import TickgateError
from gateway.loadtest import units
from gateway.loadtest.result import GroupResult, Latency, Result, ThresholdResult

BUSY_MAX: Final = 0.97
"""CPU / wall time of a client's thread at which its delays are its own: it had no time to spare."""

RUN_DELAY_MAX: Final = 0.20
"""Share of the window without a CPU at which the client's delays are the machine's."""

_STATISTICS = ("p50", "p90", "p99", "p999", "max")
_SHARES = dict(zip(_STATISTICS, (0.5, 0.1, 0.01, 0.001, 1e-9), strict=True))
"""Of the window: a client that stood still for less of it can't have moved the figure."""
_SERIES = ("", "arrival", "own", "skew", "late", "wire", "server", "delivery", "handshake")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}

Kind = Literal["duration", "share", "number", "rate", "memory"]
_KINDS: dict[str, Kind] = {
    **{
        f"{series}_{statistic}".lstrip("_"): "duration"
        for series in _SERIES
        for statistic in _STATISTICS
    },
    "reach": "share",
    **dict.fromkeys(("gaps", "gap_events", "conflated", "duplicates", "delivered"), "number"),
    **dict.fromkeys(("reconnects", "closed", "refused", "dropped"), "number"),
    **dict.fromkeys(("slow_notices", "slow_clients", "conflation_notices"), "number"),
    **dict.fromkeys(("per_s", "achieved_per_s"), "rate"),
    "cpu_per_delivery": "duration",
    "pss_max": "memory",
    "rss_max": "memory",
    "ladder_back": "duration",
}
_OF_THE_SERVER = {
    "cpu_per_delivery": "cpu_us_per_delivery",
    "pss_max": "pss_mb_max",
    "rss_max": "rss_mb_max",
}
FIGURES: Final = tuple(_KINDS)
"""Every name that a threshold may have."""

_OF_A_GROUP = {
    *_STATISTICS,
    *(f"arrival_{statistic}" for statistic in _STATISTICS),
    *("reach", "gaps", "conflated", "duplicates", "dropped", "delivered", "reconnects", "closed"),
    *("slow_notices", "slow_clients", "conflation_notices", "per_s"),
}
_ACROSS_CLOCKS = {
    f"{series}_{statistic}".lstrip("_")
    for series in ("", "arrival", "delivery")
    for statistic in _STATISTICS
}
"""From a stamp of the server's host to one of the client's: as good as their clocks agree."""

_UNITS: dict[Kind, dict[str, float]] = {
    "duration": units.DURATIONS_US,
    "share": {"": 1.0, "%": 0.01},
    "number": {"": 1.0},
    "rate": {"": 1.0},
    "memory": units.MEMORY_MB,
}
_SHOWN: dict[Kind, Callable[[float], str]] = {
    "share": units.share,
    "number": lambda value: f"{value:,.0f}",
    "rate": units.rate,
    "memory": units.memory,
}
_OPERATOR = re.compile(r"[<>=!]+")
_LIMIT = re.compile(r"([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(\s*)(\S*)")
_FLOOR = re.compile(r"(?:(\d+(?:\.\d+)?)\s*\*\s*)?floor")


class ThresholdError(TickgateError):
    """A threshold that cannot be understood; the text has the column and what is allowed."""

    exit_code = 2

    def __init__(self, expression: str, column: int, message: str) -> None:
        super().__init__(f"threshold {expression!r}, column {column + 1}: {message}")


class Threshold(Struct, frozen=True):
    """One expression, understood."""

    expression: str
    group: str
    """Empty: of the whole run."""
    figure: str
    operator: str
    limit: float
    """In the result's own unit: microseconds, 0 to 1, a number, megabytes; or multiples of the
    floor."""
    times_floor: bool = False


# --- reading --------------------------------------------------------------------------------------


def parse(expression: str, groups: Collection[str] | None = None) -> Threshold:
    """Understands one expression.

    Args:
        expression: As given with `--threshold`; spaces between its parts mean nothing.
        groups: The scenario's names, where they are known.

    Raises:
        ThresholdError: the expression has a mistake, or names a group that is not there.
    """
    sign = _OPERATOR.search(expression)
    if sign is None or sign.group() not in _OPERATORS:
        at, found = (sign.start(), sign.group()) if sign else (len(expression.rstrip()), "")
        wrong = f"{found!r} is no operator" if found else "an operator is missing"
        raise ThresholdError(expression, at, f"{wrong}; there are < <= == != >= >")
    group, figure = _name(expression, expression[: sign.start()], groups)
    text = expression[sign.end() :].strip()
    at = len(expression) - len(expression[sign.end() :].lstrip())
    if multiple := _FLOOR.fullmatch(text):
        if figure != "cpu_per_delivery":
            raise ThresholdError(expression, at, "only cpu_per_delivery has a floor")
        return Threshold(
            expression.strip(), group, figure, sign.group(), float(multiple[1] or 1), True
        )
    limit = _limit(expression, at, text, figure)
    return Threshold(expression.strip(), group, figure, sign.group(), limit)


def needs_floor(thresholds: Sequence[Threshold]) -> bool:
    """Whether the bare send loop has to be measured too."""
    return any(threshold.times_floor for threshold in thresholds)


def _name(expression: str, text: str, groups: Collection[str] | None) -> tuple[str, str]:
    """The group, empty for the whole, and the figure."""
    group, dot, figure = (part.strip() for part in text.rpartition("."))
    at = text.rfind(figure) if figure else len(text.rstrip())
    if figure not in _KINDS:
        wrong = f"no figure {figure!r}" if figure else "a figure is missing"
        raise ThresholdError(expression, at, f"{wrong}; there are {_names()}")
    if not dot:
        return "", figure
    if not group:
        raise ThresholdError(expression, text.index("."), "a group's name is missing")
    if groups is not None and group not in groups:
        there = " ".join(groups) or "none"
        raise ThresholdError(
            expression, text.index(group), f"no group {group!r}; there are {there}"
        )
    if figure not in _OF_A_GROUP:
        allowed = " ".join(name for name in FIGURES if name in _OF_A_GROUP)
        raise ThresholdError(expression, at, f"{figure} is no group's; these are: {allowed}")
    return group, figure


def _names() -> str:
    series = " ".join(f"{series}_" for series in _SERIES if series)
    rest = " ".join(name for name, kind in _KINDS.items() if kind != "duration")
    return f"{' '.join(_STATISTICS)} (also behind {series}) cpu_per_delivery {rest}"


def _limit(expression: str, at: int, text: str, figure: str) -> float:
    kind = _KINDS[figure]
    allowed = [unit for unit in _UNITS[kind] if unit not in ("", "µs")]
    units_text = " ".join(allowed)
    number = _LIMIT.fullmatch(text)
    if number is None:
        also = ", or a multiple of the floor (1.1*floor)" if figure == "cpu_per_delivery" else ""
        of = f" with a unit ({units_text})" if allowed and kind != "share" else ""
        raise ThresholdError(expression, at, f"{figure} wants a number{of}{also}")
    unit_at = at + number.start(3)
    if number[3] not in _UNITS[kind]:
        if not allowed:
            raise ThresholdError(expression, unit_at, f"{figure} is a number, without a unit")
        wrong = f"no unit {number[3]!r}" if number[3] else "a unit is missing"
        raise ThresholdError(expression, unit_at, f"{wrong}; {figure} has {units_text}")
    # Rounded, as 99.9 * 0.01 is a little less than 0.999.
    limit = round(float(number[1]) * _UNITS[kind][number[3]], 12)
    if kind == "share" and not 0 <= limit <= 1:
        raise ThresholdError(expression, at, f"{figure} is from 0 to 1, or from 0% to 100%")
    if not 0 <= limit < math.inf:
        raise ThresholdError(expression, at, f"{figure} is a finite number from 0 on")
    return limit


# --- judging --------------------------------------------------------------------------------------


def evaluate(threshold: Threshold, result: Result) -> ThresholdResult:
    """Whether it holds; not where its figure, or the floor that it refers to, was not measured."""
    value, floor_us = _value(threshold, result), _floor_us(result)
    limit: float | None = threshold.limit
    if threshold.times_floor:
        limit = threshold.limit * floor_us if floor_us else None
    if value is None or limit is None:
        shown = "not measured" if value is None else "the floor was not measured"
        if threshold.figure == "ladder_back" and result.ladder is not None:
            shown = f"not back: at most {result.ladder.step_max} after the window"
        return ThresholdResult(expression=threshold.expression, value=value, ok=False, shown=shown)
    kind = _KINDS[threshold.figure]
    shown = units.duration(value, limit) if kind == "duration" else _SHOWN[kind](value)
    if threshold.times_floor and floor_us:
        shown += f", {value / floor_us:.2f} times the floor"
    holds = _OPERATORS[threshold.operator](value, limit)
    return ThresholdResult(
        expression=threshold.expression, value=value, ok=bool(holds), shown=shown
    )


def judge(result: Result, thresholds: Sequence[Threshold]) -> Result:
    """The result with what became of its thresholds, whether it is valid, and the verdict."""
    judged = [evaluate(threshold, result) for threshold in thresholds]
    failed, invalid = _failed_because(result), _invalid_because(result, thresholds)
    return msgspec.structs.replace(
        result,
        thresholds=judged,
        valid=not invalid,
        invalid_because=invalid,
        failed_because=failed,
        verdict=verdict(judged, failed, invalid),
    )


def verdict(
    judged: Sequence[ThresholdResult], failed: Sequence[str], invalid: Sequence[str]
) -> Literal["pass", "fail", "invalid"]:
    """From what became of the thresholds, why there was nothing to judge, and why it is invalid."""
    if invalid and not failed:
        return "invalid"
    return "fail" if failed or not all(each.ok for each in judged) else "pass"


def exit_code(result: Result) -> int:
    """Of a judged result: 1 nothing to judge, 3 not valid, 99 a threshold failed, else 0."""
    if result.failed_because:
        return 1
    return {"invalid": 3, "fail": 99, "pass": 0}[result.verdict]


def verdict_line(result: Result) -> str:
    """The verdict of a judged result in one line of words."""
    if result.verdict == "invalid":
        return f"INVALID: {'; '.join(result.invalid_because)}"
    if result.verdict == "fail":
        missed = [f"{each.expression}: {each.shown}" for each in result.thresholds if not each.ok]
        return f"FAIL: {'; '.join(result.failed_because or missed)}"
    held = len(result.thresholds)
    return f"PASS: {held} of {held} thresholds hold" if held else "PASS: no thresholds were given"


def _value(threshold: Threshold, result: Result) -> float | None:
    name = threshold.figure
    part: Result | GroupResult | None = result
    if threshold.group:
        part = result.groups.get(threshold.group)
    series, _, statistic = name.rpartition("_")
    if part is None:
        return None
    if series in _SERIES and statistic in _STATISTICS:
        return _percentile(_distribution(series, part), statistic)
    if name in ("reconnects", "closed", "refused") and isinstance(part, Result):
        return float(getattr(part.connections, name))
    if name == "per_s" and isinstance(part, Result):
        return part.latency.per_s
    if name == "achieved_per_s":
        return result.source.achieved_per_s if result.source else None
    if name == "ladder_back":
        back_s = result.ladder.back_s if result.ladder else None
        return None if back_s is None else back_s * 1e6
    if name in _OF_THE_SERVER:
        found: float | None = getattr(result.server, _OF_THE_SERVER[name], None)
        return found
    value: float | None = getattr(part, name)
    return value


def _distribution(series: str, part: Result | GroupResult) -> Latency | None:
    if series in ("", "arrival"):
        return part.arrival if series else part.latency
    if isinstance(part, GroupResult):
        return None
    if series == "late":
        return part.source.late if part.source else None
    if series in ("own", "skew"):
        return part.own if series == "own" else part.skew
    return part.stages.get(series)


def _percentile(latency: Latency | None, statistic: str) -> float | None:
    if latency is None or not latency.count:
        return None
    value: float = getattr(latency, f"{statistic}_us")
    return value


def _floor_us(result: Result) -> float:
    """0 where it was not measured, or the loop was too short for its CPU time to show."""
    return result.floor.cpu_us_per_delivery if result.floor else 0.0


def _failed_because(result: Result) -> list[str]:
    reasons = []
    connected = result.connections.opened - result.connections.reconnects
    if connected < result.clients:
        reasons.append(f"only {connected} of {result.clients} clients connected")
    if not result.delivered and result.expected != 0:
        reasons.append("nothing was delivered in the window")
    return reasons


def _invalid_because(result: Result, thresholds: Sequence[Threshold]) -> list[str]:
    """Why the figures are not the server's alone: the load test's own part decided them."""
    reasons, client = [], result.client
    if client.busy >= BUSY_MAX:
        reasons.append(
            f"the client was the bottleneck: its busiest thread was {client.busy:.0%} busy"
            f" (limit {BUSY_MAX:.0%})"
        )
    if client.run_delay >= RUN_DELAY_MAX:
        reasons.append(
            f"the client was the bottleneck: it waited for a CPU during {client.run_delay:.0%}"
            f" of the window (limit {RUN_DELAY_MAX:.0%})"
        )
    if result.source and result.source.clock_steps:
        reasons.append("the wall clock was set during the run: ages are wrong by as much")
    for threshold in thresholds:
        if threshold.figure in _ACROSS_CLOCKS:
            reasons += _clocks_part(threshold, result) or _own_part(threshold, result)
    return reasons


def _clocks_part(threshold: Threshold, result: Result) -> list[str]:
    """Whether the two clocks agree too little to tell."""
    value = _value(threshold, result)
    if value is None:
        return []
    if result.clock.method == "none":
        return [f"{threshold.expression} cannot be told: the server's clock is not related to ours"]
    error_us = result.clock.error_ns / 1000
    if abs(value - threshold.limit) < error_us:
        return [
            f"{threshold.expression} cannot be told: {units.duration(value)}, and the clocks are"
            f" related to {units.duration(error_us)} only"
        ]
    return []


def _own_part(threshold: Threshold, result: Result) -> list[str]:
    """Whether it was not the server that made the age at the client miss the threshold."""
    age, limit = _value(threshold, result), threshold.limit
    holds = _OPERATORS[threshold.operator]
    if threshold.figure not in _STATISTICS or age is None or holds(age, limit):
        return []
    at_kernel = msgspec.structs.replace(threshold, figure=f"arrival_{threshold.figure}")
    arrival = _value(at_kernel, result)
    if arrival is not None and holds(arrival, limit):
        return [
            f"the client was the bottleneck: {threshold.expression} fails with"
            f" {units.duration(age)} at the client and holds with {units.duration(arrival)}"
            " at its kernel"
        ]
    still_us = result.client.still_max_us
    if result.client.still >= _SHARES[threshold.figure] and holds(age - still_us, limit):
        return [
            f"the client was the bottleneck: {threshold.expression} fails with"
            f" {units.duration(age)}, and the client stood still for {units.duration(still_us)}"
        ]
    late = _percentile(result.source.late if result.source else None, threshold.figure)
    if late is not None and holds(age - late, limit):
        return [
            f"the tick source was the bottleneck: {threshold.expression} fails with"
            f" {units.duration(age)} and holds without the source's lateness,"
            f" {units.duration(late)}"
        ]
    return []
