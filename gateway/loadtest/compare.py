"""Two sets of results, A and B: the ratio B / A of each figure, and how sure it is.

A ratio without an interval says nothing, and how to come by an interval depends on what there is.
Figures are compared on a logarithmic scale, so a ratio is one of geometric means and its interval
is not symmetric; the confidence is 95 %. Throughout, that a ratio is given with an interval instead
of a test's verdict follows T. Kalibera, R. Jones, *Quantifying performance changes with effect size
confidence intervals* (2012, arXiv:2007.10899).

- **Several runs a side, taken in turn** (A B A B, by their start): the ratio of each pair, and
  Student's t interval of the pairs' mean. What drifts slowly on the machine is in both of a pair.
- **Several runs a side, otherwise**: Welch's t interval of the difference of means (B. L. Welch,
  *Biometrika* 34, 1947), its degrees of freedom rounded down.
- **One run on a side**: means of three long batches of the timelines' seconds (of five from 30
  seconds on) stand for runs, as a second alone is like the one before it (B. Schmeiser, *Operations
  Research* 30, 1982). Where neighbouring seconds correlate by one half, such intervals hold the
  truth in 92 to 97 of 100 cases; a bootstrap of seconds did in 64 to 86. They show how a figure
  wavered *within* these runs and know nothing of how another run would differ, which is often more:
  take several.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from gateway.errors import TickgateError
from gateway.loadtest import units
from gateway.loadtest.result import Point, Result

SECONDS_MIN: Final = 6
"""Fewer seconds of a timeline give no interval."""

# Student's t at 97.5 % for 1, 2, ... degrees of freedom; beyond the last it is smaller, by 0.08.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)

_BESIDE_THE_MACHINE = {"tickgate", "commit", "machine_load"}
_BESIDE_THE_LOAD = {"description", "thresholds", "gateway"}

Floats = npt.NDArray[np.float64]


class NotComparable(TickgateError):
    """The results are of different machines or loads, or not valid; the text lists it all."""

    exit_code = 2


class Ratio(Struct, frozen=True):
    """One figure of both sides."""

    figure: str
    a: float
    """Geometric mean over runs, or over the seconds of the one run."""
    b: float
    ratio: float
    """B / A."""
    low: float | None
    """Of the 95 % interval; None: too little to tell."""
    high: float | None

    @property
    def words(self) -> str:
        """What the interval allows to say."""
        if self.low is None or self.high is None:
            return "too little to tell"
        if self.low <= 1 <= self.high:
            return "no difference shown"
        return f"B {'higher' if self.ratio > 1 else 'lower'} by {abs(self.ratio - 1):.1%}"


class Comparison(Struct, frozen=True):
    """What `compare` found."""

    ratios: list[Ratio]
    method: str
    """How the intervals were come by, in a sentence."""
    notes: list[str]
    """What speaks against believing it: differences that were forced, runs that are not valid."""


class _Figure(Struct, frozen=True):
    name: str
    of_run: Callable[[Result], float | None]
    of_second: Callable[[Point], float | None]
    shown: Callable[[float], str]


def _cpu_of(point: Point) -> float | None:
    if point.server_cpu is None or not point.per_s:
        return None
    return 1e6 * point.server_cpu / point.per_s


_FIGURES = (
    _Figure("p50", lambda run: run.latency.p50_us, lambda point: point.p50_us, units.duration),
    _Figure("p99", lambda run: run.latency.p99_us, lambda point: point.p99_us, units.duration),
    _Figure(
        "cpu_per_delivery",
        lambda run: run.server.cpu_us_per_delivery if run.server else None,
        _cpu_of,
        units.duration,
    ),
    _Figure("per_s", lambda run: run.latency.per_s, lambda point: point.per_s, units.rate),
)


def compare(a: Sequence[Result], b: Sequence[Result], *, force: bool = False) -> Comparison:
    """Ratios of B's figures to A's, with their 95 % intervals; what one lacks is left out.

    Args:
        a: One run or several of one side.
        b: Of the other.
        force: Compare what should not be compared, and say so in the notes.

    Raises:
        NotComparable: a side is empty; or, unless forced, the runs differ in machine or load, or
            one is not valid. Versions of tickgate and the gateway's configuration may differ: they
            are what one compares.
    """
    if not a or not b:
        raise NotComparable("nothing to compare: each side needs a result")
    notes = _differences([*a, *b]) + [
        f"{side}: {reason}"
        for side, runs in (("A", a), ("B", b))
        for reason in dict.fromkeys(chain.from_iterable(run.invalid_because for run in runs))
    ]
    if notes and not force:
        raise NotComparable("\n  ".join(("these results are not comparable:", *notes)))
    a, b = (sorted(side, key=lambda run: run.started) for side in (a, b))
    if min(len(a), len(b)) == 1:
        method = "batches of seconds of single runs, Welch's t: says nothing of another run"
        ratios = [_of_seconds(figure, a, b) for figure in _FIGURES]
    elif paired := _in_turn(a, b):
        method = f"{len(a)} pairs of runs taken in turn, Student's t"
        ratios = [_of_runs(figure, a, b, paired) for figure in _FIGURES]
    else:
        method = f"{len(a)} and {len(b)} runs, Welch's t"
        ratios = [_of_runs(figure, a, b, paired) for figure in _FIGURES]
    return Comparison([ratio for ratio in ratios if ratio is not None], method, notes)


def text(comparison: Comparison) -> str:
    """The comparison as a table for a terminal, 80 columns wide."""
    shown = {figure.name: figure.shown for figure in _FIGURES}
    lines = [f"{'':16} {'A':>9} {'B':>9} {'B / A':>6}  95 % interval"]
    for each in comparison.ratios:
        a, b = (shown[each.figure](value) for value in (each.a, each.b))
        known = each.low is not None and each.high is not None
        interval = f"{each.low:.3f} to {each.high:.3f}" if known else ""
        lines.append(
            f"{each.figure:16} {a:>9} {b:>9} {each.ratio:6.3f}  {interval:14}  {each.words}"
        )
    lines += ["", comparison.method, *(f"but: {note}" for note in comparison.notes)]
    return "\n".join(lines) + "\n"


# --- what may be compared -------------------------------------------------------------------------


def _differences(runs: Sequence[Result]) -> list[str]:
    """Every field of machine or load that is not the same in all runs, with what it is."""
    values: dict[str, list[str]] = {}
    for run in runs:
        for name, value in (_flat("environment", _machine(run)) | _load(run)).items():
            values.setdefault(name, []).append(value)
    return [
        f"{name}: {' / '.join(dict.fromkeys(found))}"
        for name, found in values.items()
        if len(set(found)) > 1 or len(found) < len(runs)
    ]


def _machine(run: Result) -> dict[str, Any]:
    fields = msgspec.structs.asdict(run.environment)
    return {name: value for name, value in fields.items() if name not in _BESIDE_THE_MACHINE}


def _load(run: Result) -> dict[str, str]:
    scenario = {"encoding": "json"} | run.scenario  # older results do not say it
    scenario = {name: value for name, value in scenario.items() if name not in _BESIDE_THE_LOAD}
    own = {"name": run.name, "clients": str(run.clients), "duration_s": f"{run.duration_s:g}"}
    return own | _flat("scenario", scenario)


def _flat(name: str, value: Any) -> dict[str, str]:
    """Nested values by their dotted path, as text."""
    if isinstance(value, dict):
        return {
            key: each
            for part in value
            for key, each in _flat(f"{name}.{part}", value[part]).items()
        }
    return {name: str(value)}


def _in_turn(a: Sequence[Result], b: Sequence[Result]) -> bool:
    """Whether each run of A has its neighbour in B, by their starts."""
    return len(a) == len(b) and all(
        max(mine.started, other.started) < min(after.started, afterwards.started)
        for mine, other, after, afterwards in zip(a, b, a[1:], b[1:], strict=False)
    )


# --- intervals ------------------------------------------------------------------------------------


def _of_runs(
    figure: _Figure, a: Sequence[Result], b: Sequence[Result], paired: bool
) -> Ratio | None:
    figures = [figure.of_run(run) for run in (*a, *b)]
    logs = _logs(figures)
    if logs.size < len(figures):
        return None
    x, y = logs[: len(a)], logs[len(a) :]
    return _ratio(figure, x, y, _reach_of_pairs(x, y) if paired else _reach(x, y))


def _of_seconds(figure: _Figure, a: Sequence[Result], b: Sequence[Result]) -> Ratio | None:
    x, y = (
        _logs(figure.of_second(point) for run in side for point in run.timeline) for side in (a, b)
    )
    if not x.size or not y.size:
        return None
    if min(x.size, y.size) < SECONDS_MIN:
        return _ratio(figure, x, y, None)
    batches = (np.array_split(side, 3 if side.size < 30 else 5) for side in (x, y))
    means = [np.array([batch.mean() for batch in side]) for side in batches]
    return _ratio(figure, x, y, _reach(*means))


def _reach_of_pairs(x: Floats, y: Floats) -> float:
    """Half the length of the interval of the mean difference of pairs."""
    return _t(x.size - 1) * float(np.std(y - x, ddof=1)) / math.sqrt(x.size)


def _reach(x: Floats, y: Floats) -> float:
    """Half the length of the interval of the difference of two means: Welch's."""
    parts = np.array([np.var(side, ddof=1) / side.size for side in (x, y)])
    error = math.sqrt(float(parts.sum()))
    if not error:
        return 0.0
    freedom = parts.sum() ** 2 / (parts**2 / np.array([x.size - 1, y.size - 1])).sum()
    return _t(int(freedom)) * error


def _t(freedom: int) -> float:
    return _T[min(freedom, len(_T)) - 1]


def _ratio(figure: _Figure, x: Floats, y: Floats, reach: float | None) -> Ratio:
    a, b = float(x.mean()), float(y.mean())
    low, high = (
        (None, None) if reach is None else (math.exp(b - a - reach), math.exp(b - a + reach))
    )
    return Ratio(figure.name, math.exp(a), math.exp(b), math.exp(b - a), low, high)


def _logs(values: Iterable[float | None]) -> Floats:
    """Logarithms of what was measured: zero is a second, or a run, with nothing in it."""
    return np.log(np.array([value for value in values if value], dtype=np.float64))
