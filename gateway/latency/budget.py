"""Error budgets: good and bad counts over hours and days in bounded memory, and their burn rates.

The share of events that may be bad is the budget: 1 % for a 99th percentile. A burn rate of 1 over
some time spends exactly that share; at 14.4 a budget of 30 days is gone in two. An alert looks at
two windows, a long one so that a moment's trouble wakes nobody, and a short one so that it ends
soon after the trouble does (Google, The Site Reliability Workbook, chapter 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

MINUTE_S: Final = 60
HOUR_S: Final = 3600
DAY_S: Final = 86400


@dataclass(frozen=True, slots=True)
class BurnRule:
    """An alert: the rate that both windows must exceed."""

    rate: float
    long_s: int
    short_s: int

    @property
    def name(self) -> str:
        """As in metrics: `1h/5m`."""
        return f"{window_name(self.long_s)}/{window_name(self.short_s)}"


BURN_RULES: Final = (
    BurnRule(14.4, HOUR_S, 5 * MINUTE_S),
    BurnRule(6, 6 * HOUR_S, 30 * MINUTE_S),
    BurnRule(1, 3 * DAY_S, 6 * HOUR_S),
)
"""For people: the first two should call somebody, the third is for office hours."""

WINDOWS_S: Final = tuple(sorted({s for rule in BURN_RULES for s in (rule.long_s, rule.short_s)}))
"""Every window that a rule looks at."""

FINE_S: Final = 10
COARSE_S: Final = 60


def window_name(seconds: int) -> str:
    """Short: `5m`, `6h`, `3d`."""
    for unit, name in ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "m")):
        if seconds % unit == 0:
            return f"{seconds // unit}{name}"
    return f"{seconds}s"


class _Bins:
    """Good and bad counts in bins of `width_s`: the oldest makes room for the newest."""

    def __init__(self, width_s: int, span_s: int) -> None:
        self._width_s = width_s
        self._size = span_s // width_s
        # Good and bad in a row each: a sum along a row costs a seventh of one across. What the
        # bins before the newest hold is added up once, as it can't change until the next one.
        self._counts = np.zeros((2, self._size), dtype=np.int64)
        self._newest = -1
        self._complete: dict[int, tuple[int, int]] = {}

    def add(self, now_s: float, good: int, bad: int) -> None:
        self._turn(now_s)
        self._counts[:, self._newest % self._size] += (good, bad)

    def sum(self, now_s: float, span_s: float) -> tuple[int, int]:
        self._turn(now_s)
        older = min(max(round(span_s / self._width_s), 1), self._size) - 1
        newest = self._newest % self._size
        if older not in self._complete:
            good, bad = self._counts[:, max(newest - older, 0) : newest].sum(axis=1).tolist()
            if older > newest:
                before = self._counts[:, newest - older :].sum(axis=1).tolist()
                good, bad = good + before[0], bad + before[1]
            self._complete[older] = good, bad
        good, bad = self._complete[older]
        return good + int(self._counts[0, newest]), bad + int(self._counts[1, newest])

    def _turn(self, now_s: float) -> None:
        newest = int(now_s // self._width_s)
        if newest <= self._newest:
            return
        self._complete.clear()
        passed = min(newest - self._newest, self._size) if self._newest >= 0 else 1
        for number in range(newest - passed + 1, newest + 1):
            self._counts[:, number % self._size] = 0
        self._newest = newest


class Budget:
    """Good and bad events of the last three days: 80 KB, whatever comes.

    The newest bin is the one that fills, so that a window is up to one bin shorter than its name:
    10 s for windows up to an hour, 60 s beyond. While the process is younger than a window, the
    window is its whole life.

    Args:
        share: of events that may be bad, above 0.
        events_min: fewer than these are taken for so many, most of them good: a single bad one of
            the first ten is no reason to call somebody.
        period_s: what the budget is for; at most three days.
    """

    def __init__(self, share: float, events_min: int, period_s: float = HOUR_S) -> None:
        if not 0 < period_s <= WINDOWS_S[-1]:
            raise ValueError(f"a budget's period is up to {WINDOWS_S[-1]} s, not {period_s:g}")
        self._share = share
        self._events_min = events_min
        self._period_s = period_s
        self._spent = False  # most never have a bad one: then there is nothing to add up
        self._fine = _Bins(FINE_S, HOUR_S)
        self._coarse = _Bins(COARSE_S, WINDOWS_S[-1])

    def add(self, now_s: float, good: int, bad: int) -> None:
        """Counts what has just ended. Times never go back."""
        self._spent = self._spent or bad > 0
        self._fine.add(now_s, good, bad)
        self._coarse.add(now_s, good, bad)

    def counts(self, now_s: float, span_s: float) -> tuple[int, int]:
        """Good and bad of the last so many seconds."""
        return (self._fine if span_s <= HOUR_S else self._coarse).sum(now_s, span_s)

    def burn(self, now_s: float, span_s: float) -> float:
        """How many times faster than allowed the budget was spent over the last so many seconds."""
        if not self._spent:
            return 0.0
        good, bad = self.counts(now_s, span_s)
        return bad / (self._share * max(good + bad, self._events_min))

    def remaining(self, now_s: float) -> float:
        """What is left of the period's budget: 1 all of it, 0 nothing, below 0 overspent."""
        return 1 - self.burn(now_s, self._period_s)
