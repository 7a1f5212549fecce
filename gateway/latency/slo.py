"""The latency objective: whether it holds, what is left of its budget, how fast that burns. Pure.

Theory of operation. A `Monitor` is given cumulative counts about once a second; the difference of
two looks is an interval, so nobody resets anything. Each event of an interval is good or bad:

- good: delivered within the target, as the histogram's bucket edge at the target counts it;
- bad: delivered later, or lost: dropped, or a client shed. So losing updates never mends a state.

The objective holds in a window where no more than `share` (1 % for p99) of the events were bad: the
same as "the percentile is at most the target", with the lost ones taken for infinitely late.

States, worst last. A share is *over* a limit where more than `share` of the events took longer than
the limit or were lost; of fewer than `events_min` events (1,000 for p99) the window grows backwards
until it has them, and where there are no more, the missing ones are taken for good ones.

    state        is entered while it is       is left after hold_s without being
    at_risk      over 0.8 of the target       over 0.7 of the target
    breached     over the target              over 0.9 of the target
    infeasible   the largest fan-out alone    the same for 0.9 of the target
                 takes longer than the target

Things get worse at once and better slowly: a state is left for the worst that was true while the
clock of `hold_s` ran, so that load around a threshold makes few changes. Nothing recorded is `ok`.

An interval much longer than it should be says that this process itself was stopped: what the
histograms gained meanwhile may be of another time, so it is counted as a stall and not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.latency.budget import BURN_RULES, HOUR_S, WINDOWS_S, Budget, BurnRule
from gateway.latency.histogram import Histogram
from gateway.latency.window import Interval, Sample, Window

State = Literal["ok", "at_risk", "breached", "infeasible"]
STATES: Final[tuple[State, ...]] = ("ok", "at_risk", "breached", "infeasible")
"""From good to bad; a state's place is its number in metrics."""

INTERVAL_S: Final = 1.0
HISTORY_S: Final = 60.0
"""How far back a window with too few events grows: 17 events a second fill p99's. Once nothing more
is delivered, what was last is held against the objective for so long."""
HOLD_S: Final = 5.0
"""How long things must be better before a state says so."""
STALL_INTERVALS: Final = 2.5
"""An interval longer than so many is no interval."""
NEVER_NS: Final = 1 << 63
"""The target where there is none: longer than a histogram can hold."""
TAIL_EVENTS: Final = 10
"""Events beyond a percentile that make it more than chance: 1,000 in all for p99."""
_ENTER: Final = (0.8, 1.0)  # at_risk, breached: shares of the target
_STAY: Final = (0.7, 0.9)


@dataclass(frozen=True, slots=True)
class Objective:
    """So much of a stage within so long, in every window.

    Attributes:
        stage: which latency.
        percentile: above 0, below 100.
        target_us: what it must not exceed; None where nothing is too late, and only what is lost
            is bad.
        window_s: over which it is judged.
    """

    stage: str = "total"
    percentile: float = 99
    target_us: int | None = 1000
    window_s: float = 10

    @property
    def target_ns(self) -> int:
        """The target in the histograms' unit."""
        return NEVER_NS if self.target_us is None else self.target_us * 1000

    @property
    def share(self) -> float:
        """Of the events, how many may be bad; 0.01 for p99."""
        return max(round(100 - self.percentile, 9) / 100, 1e-9)

    @property
    def events_min(self) -> int:
        """How many events it takes to judge."""
        return math.ceil(round(TAIL_EVENTS / self.share, 6))


def fan_out_ns(audience: int, write_ns: float) -> float:
    """How long one record takes to reach the last of its topic's subscribers, one write each.

    Args:
        audience: subscribers of the topic that has most, in one worker.
        write_ns: what a write costs.
    """
    return audience * write_ns


@dataclass(frozen=True, slots=True)
class Alert:
    """A burn rule, and whether both its windows exceed its rate."""

    rule: BurnRule
    burning: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of the objective at one moment; never changes once made.

    Attributes:
        at_s: MONOTONIC time of the look.
        since_s: when the state was entered.
        sample: of the window, widened where that had too few events.
        window_s: how long that is.
        good, bad: events of the window, by the target.
        floor_ns: how long the largest fan-out takes.
        good_total, bad_total: since the start.
        budget_remaining: of the period: 1 all of it, below 0 overspent.
        burn: rate by window in seconds: 1 spends the budget in its period.
        transitions: how often each state was entered.
        stalls: intervals that were not looked at.
    """

    objective: Objective
    at_s: float
    state: State = "ok"
    since_s: float = 0.0
    sample: Sample = field(default_factory=lambda: Sample(Histogram.empty()))
    window_s: float = 0.0
    good: int = 0
    bad: int = 0
    floor_ns: float = 0.0
    good_total: int = 0
    bad_total: int = 0
    budget_remaining: float = 1.0
    burn: Mapping[int, float] = field(default_factory=lambda: dict.fromkeys(WINDOWS_S, 0.0))
    alerts: tuple[Alert, ...] = tuple(Alert(rule, burning=False) for rule in BURN_RULES)
    transitions: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    stalls: int = 0

    def percentile_us(self, percentile: float) -> float | None:
        """Of what was delivered in the window; None where nothing was."""
        histogram = self.sample.histogram
        if not histogram.count:
            return None
        return histogram.value_at_percentile(percentile) / 1000


class _Latch:
    """A level that rises at once and falls after `hold_s` of calm, to the worst of that time."""

    def __init__(self, now_s: float, hold_s: float) -> None:
        self.level = 0
        self.since_s = now_s
        self.entered = [0] * len(STATES)
        self._hold_s = hold_s
        self._calm_s: float | None = None
        self._worst = 0

    def update(self, now_s: float, enter: int, stay: int) -> None:
        """`enter` is the worst level whose limit is exceeded, `stay` the worst that is not over."""
        held = max(enter, stay)
        if enter > self.level:
            self._go(now_s, enter)
        elif held >= self.level:
            self._calm_s = None
        elif self._calm_s is None:
            self._calm_s, self._worst = now_s, held
        else:
            self._worst = max(self._worst, held)
            if now_s - self._calm_s >= self._hold_s:
                self._go(now_s, self._worst)

    def _go(self, now_s: float, level: int) -> None:
        self.level, self.since_s, self._calm_s = level, now_s, None
        self.entered[level] += 1


class Monitor:
    """Watches one objective.

    Args:
        objective: what shall hold.
        now_s: MONOTONIC, as are all times here.
        period_s: what the error budget is for; at most three days.
        interval_s: how often `tick` is called.
        hold_s: how long things must be better before the state is.
    """

    def __init__(
        self,
        objective: Objective,
        now_s: float,
        *,
        period_s: float = HOUR_S,
        interval_s: float = INTERVAL_S,
        hold_s: float = HOLD_S,
    ) -> None:
        self._objective = objective
        self._period_s = period_s
        self._stall_s = STALL_INTERVALS * interval_s
        self._window = Window(objective.window_s, HISTORY_S, interval_s)
        self._budget = Budget(objective.share, objective.events_min, period_s)
        self._latch = _Latch(now_s, hold_s)
        self._before: Sample | None = None
        self._before_s = now_s
        self._good = self._bad = self._stalls = 0
        self._report = Report(objective, now_s, since_s=now_s)

    @property
    def report(self) -> Report:
        """The last look's."""
        return self._report

    def reconfigure(self, objective: Objective) -> None:
        """Judges by another objective of the same window from the next look on.

        What was good or bad stays so. A budget is for a share, so that of another percentile begins
        anew.
        """
        if objective.share != self._objective.share:
            self._budget = Budget(objective.share, objective.events_min, self._period_s)
        self._objective = objective

    def tick(self, now_s: float, sample: Sample, *, floor_ns: float = 0.0) -> Report:
        """Takes the cumulative counts of now. The first ones are where counting begins.

        Args:
            now_s: later than the time before.
            sample: counts since whenever, which only ever grow.
            floor_ns: how long the largest fan-out takes whatever one does (`fan_out_ns`).

        Raises:
            ValueError: a count went down.
        """
        before, before_s = self._before, self._before_s
        interval = None if before is None else Interval.between(before, sample)
        self._before, self._before_s = sample, now_s
        if interval is not None and now_s - before_s > self._stall_s:
            self._stalls += 1
            interval = None
        if interval is None:
            self._window.slide(now_s)
        else:
            self._take(before_s, now_s, interval)
        self._report = self._judge(now_s, floor_ns)
        return self._report

    def _take(self, start_s: float, now_s: float, interval: Interval) -> None:
        self._window.add(start_s, now_s, interval)
        good = interval.count_at_most(self._objective.target_ns)
        bad = interval.recorded - good + interval.lost
        self._good += good
        self._bad += bad
        self._budget.add(now_s, good, bad)

    def _judge(self, now_s: float, floor_ns: float) -> Report:
        objective = self._objective
        sample, start_s = self._window.widened(objective.events_min)
        limits_ns = [int(part * objective.target_ns) for part in (*_ENTER, *_STAY)]
        count = sample.histogram.count
        within = [sample.histogram.count_at_most(ns) if count else 0 for ns in limits_ns]
        events = count + sample.lost
        allowed = objective.share * max(events, objective.events_min)
        over = [events - count > allowed for count in within]
        self._latch.update(
            now_s,
            _worst(*over[:2], floor_ns > objective.target_ns),
            _worst(*over[2:], floor_ns > _STAY[1] * objective.target_ns),
        )
        burn = {span_s: self._budget.burn(now_s, span_s) for span_s in WINDOWS_S}
        return Report(
            objective=objective,
            at_s=now_s,
            state=STATES[self._latch.level],
            since_s=self._latch.since_s,
            sample=sample,
            window_s=max(now_s - start_s, 0.0),
            good=within[1],
            bad=events - within[1],
            floor_ns=floor_ns,
            good_total=self._good,
            bad_total=self._bad,
            budget_remaining=self._budget.remaining(now_s),
            burn=burn,
            alerts=tuple(
                Alert(rule, min(burn[rule.long_s], burn[rule.short_s]) > rule.rate)
                for rule in BURN_RULES
            ),
            transitions=dict(zip(STATES, self._latch.entered, strict=True)),
            stalls=self._stalls,
        )


def _worst(*true: bool) -> int:
    """The highest level that is so; 0 where none is."""
    return max((level for level, so in enumerate(true, start=1) if so), default=0)
