"""The search for the highest rate at which a scenario's thresholds hold: pure bisection.

Each step halves the ratio between the highest rate that passed and the lowest that did not, from
`rate_min` to `rate_max`: what is wanted is the limit to so many per cent, whether it is a thousand
or a million. The ends themselves are not tried, since that would cost two steps of the few there
are; a limit that lies beyond one shows as a search that ends close to it.

A rate that fails is tried again before it counts, so that one hiccup of the machine does not end in
a limit of half the truth; one that passes is believed. Where the client itself was overloaded the
run says nothing of the server: nothing higher is tried, and if nothing failed below it either, the
limit that was found is the client's.
"""

from __future__ import annotations

import math
from typing import Final, Literal

from gateway.loadtest.result import LimitResult, Trial
from gateway.loadtest.scenario import Limit

Verdict = Literal["pass", "fail", "invalid"]

RATIO_MIN: Final = 1.02
"""Bounds that are closer than this are one: two runs at the same rate differ by as much."""


class Search:
    """Says which rate to try next and is told what became of it."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._lower, self._upper = limit.rate_min, limit.rate_max
        self._steps = self._tries = 0
        self._trials: list[Trial] = []
        self._found: dict[Verdict, float] = {}
        self.rate: float | None = self._middle()
        """To try next, ticks a second; None: the search is over."""

    @property
    def found(self) -> LimitResult:
        """What is known now."""
        known = self._found.get
        passed, failed, invalid = known("pass"), known("fail"), known("invalid")
        shown = in_words(passed, failed, invalid)
        return LimitResult(
            passed=passed, failed=failed, invalid=invalid, trials=list(self._trials), shown=shown
        )

    def tell(self, verdict: Verdict) -> None:
        """Takes what became of the run at `rate`, and moves on.

        Raises:
            ValueError: the search is over.
        """
        rate = self.rate
        if rate is None:
            raise ValueError("the search is over: there is no rate that this could be of")
        self._trials.append(Trial(rate=rate, verdict=verdict))
        self._tries += 1
        if verdict == "fail" and self._tries <= self._limit.retries:
            return
        self._tries = 0
        self._steps += 1
        # The interval only shrinks, so the last of each kind is the highest or the lowest.
        self._found[verdict] = rate
        if verdict == "pass":
            self._lower = rate
        else:
            self._upper = rate
        over = self._steps == self._limit.steps or self._upper / self._lower <= RATIO_MIN
        self.rate = None if over else self._middle()

    def _middle(self) -> float:
        """Between the bounds, with the three digits that differ by less than `RATIO_MIN`."""
        rate = math.sqrt(self._lower * self._upper)
        return round(rate, 2 - math.floor(math.log10(rate)))


def in_words(passed: float | None, failed: float | None, invalid: float | None) -> str:
    """The highest rate that passed and the lowest that did not, for people."""
    text = "no rate passed" if passed is None else f"{passed:,.10g} ticks/s passed"
    if invalid is not None and (failed is None or invalid < failed):
        said = f"{text}; at {invalid:,.10g} the client itself was overloaded"
        return said if passed is None else f"{said}: the server's limit may be higher"
    if failed is not None:
        return f"{text}; {failed:,.10g} failed"
    return f"{text} and none failed: raise rate_max"
