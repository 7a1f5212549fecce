"""The objective's monitor: its table of states, a naive model, simulated hours. Time is made up."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.latency import slo
from gateway.latency.histogram import Histogram
from gateway.latency.slo import STATES, Monitor, Objective, Report, fan_out_ns

TARGET_NS = 1_000_000
OBJECTIVE = Objective("total", 99, 1000, 10)


class Clock:
    """A monitor, its page, and a second hand."""

    def __init__(self, page: Any, objective: Objective = OBJECTIVE) -> None:
        self.page = page
        self.now_s = 1000.0
        self.monitor = Monitor(objective, self.now_s)
        self.monitor.tick(self.now_s, page.sample())
        self.states: list[str] = []

    def second(
        self, *recorded: tuple[float, int], floor_ns: float = 0.0, lasts_s: float = 1.0
    ) -> Report:
        """One tick with values (parts of the target, how many) recorded before it."""
        for part, n in recorded:
            self.page.record(int(part * TARGET_NS), n)
        self.now_s += lasts_s
        before = self.monitor.report.state
        report = self.monitor.tick(self.now_s, self.page.sample(), floor_ns=floor_ns)
        if report.state != before:
            self.states.append(report.state)
        return report

    def seconds(self, count: int, *recorded: tuple[float, int], floor_ns: float = 0.0) -> str:
        for _ in range(count):
            self.second(*recorded, floor_ns=floor_ns)
        return self.monitor.report.state


@pytest.fixture
def clock(page: Any) -> Clock:
    return Clock(page)


# --- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "state"),
    [
        ([], "ok"),
        ([(0.5, 5000)], "ok"),
        ([(0.5, 4950), (0.85, 50)], "ok"),  # exactly one in a hundred
        ([(0.5, 4949), (0.85, 51)], "at_risk"),
        ([(0.5, 4949), (1.0, 51)], "at_risk"),  # at the target is within it
        ([(0.5, 4950), (1.1, 50)], "ok"),
        ([(0.5, 4949), (1.1, 51)], "breached"),
        ([(0.5, 4949), (1.002, 51)], "breached"),  # as near as the counts can tell
        ([(50, 10)], "ok"),  # ten bad ones may be the only ones of the thousand to come
        ([(50, 11)], "breached"),  # eleven can't
        ([(0.5, 500), (1.1, 10)], "ok"),
    ],
)
def test_states_are_entered_at_once(clock: Clock, recorded: Any, state: str) -> None:
    assert clock.second(*recorded).state == state


@pytest.mark.parametrize("name", ["dropped", "shed"])
def test_what_is_lost_is_bad(clock: Clock, name: str) -> None:
    setattr(clock.page, name, 50)
    assert clock.second((0.1, 4950)).state == "ok"
    setattr(clock.page, name, 110)
    report = clock.second()
    assert (report.state, report.bad, report.good) == ("breached", 110, 4950)
    assert (report.bad_total, report.good_total) == (110, 4950)
    assert report.budget_remaining == pytest.approx(1 - 110 / 50.6)
    assert report.percentile_us(99) == pytest.approx(100, rel=0.001), "of what was delivered"


def test_conflation_is_not_bad(clock: Clock) -> None:
    clock.page.conflated = 10_000
    report = clock.second((0.1, 1000))
    assert (report.state, report.bad, report.sample.conflated) == ("ok", 0, 10_000)


@pytest.mark.parametrize(
    ("load", "states"),
    [
        ([(0.5, 500)], ["ok"]),
        ([(0.65, 500)], ["ok"]),
        ([(0.75, 500)], ["at_risk"]),  # above 0.7: not calm enough for ok
        ([(0.85, 500)], ["at_risk"]),
        ([(0.95, 500)], []),  # above 0.9: not calm enough to be no breach
    ],
)
def test_a_breach_ends_by_what_follows_it(clock: Clock, load: Any, states: list[str]) -> None:
    clock.seconds(10, (2, 500))
    assert clock.states == ["breached"] or clock.states == ["at_risk", "breached"]
    clock.states.clear()
    clock.seconds(60, *load)
    assert clock.states == states


def test_better_is_believed_after_a_while_of_it(clock: Clock) -> None:
    clock.second((2, 2000))
    assert clock.seconds(10 + 4, (0.1, 2000)) == "breached"  # the window must pass, then the hold
    assert clock.seconds(5, (0.1, 2000)) == "ok"


def test_a_moment_of_trouble_starts_the_hold_again(clock: Clock) -> None:
    clock.seconds(3, (0.85, 2000))
    assert clock.monitor.report.state == "at_risk"
    clock.seconds(12, (0.1, 2000))
    clock.second((0.75, 2000))
    assert clock.seconds(10, (0.1, 2000)) == "at_risk"
    assert clock.seconds(10, (0.1, 2000)) == "ok"


def test_a_state_is_left_for_the_worst_of_the_hold(clock: Clock) -> None:
    """A second at 0.75 is in the window as the hold begins, and no longer as it ends."""
    clock.second((2, 2000))
    clock.seconds(2, (0.1, 2000))
    clock.second((0.75, 4000))
    clock.seconds(30, (0.1, 2000))
    assert clock.states == ["breached", "at_risk", "ok"]


def test_infeasible_is_said_from_outside_and_has_a_margin(clock: Clock) -> None:
    assert fan_out_ns(400, 2500.0) == TARGET_NS
    assert clock.seconds(1, (0.1, 100), floor_ns=TARGET_NS) == "ok"
    assert clock.seconds(1, (2, 2000), floor_ns=TARGET_NS + 1) == "infeasible"
    assert clock.seconds(60, (0.1, 500), floor_ns=0.95 * TARGET_NS) == "infeasible"
    assert clock.seconds(7, (0.1, 500), floor_ns=0.5 * TARGET_NS) == "ok"


def test_an_idle_gateway_forgets_in_the_end(clock: Clock) -> None:
    clock.second((2, 2000))
    assert clock.seconds(50) == "breached"
    assert clock.seconds(20) == "ok"
    report = clock.monitor.report
    assert (report.good, report.bad, report.percentile_us(99)) == (0, 0, None)
    assert report.bad_total == 2000


def test_counts_of_transitions_and_when_the_state_began(clock: Clock) -> None:
    clock.seconds(3, (0.1, 100))
    began = clock.second((2, 2000))
    clock.seconds(3, (2, 100))
    report = clock.monitor.report
    assert report.since_s == began.at_s == clock.now_s - 3
    clock.seconds(80)
    report = clock.monitor.report
    assert report.transitions == {"ok": 1, "at_risk": 0, "breached": 1, "infeasible": 0}


# --- samples, windows, stalls ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("percentile", "share", "events_min"),
    [(99, 0.01, 1000), (99.9, 0.001, 10_000), (50, 0.5, 20), (95, 0.05, 200), (90, 0.1, 100)],
)
def test_how_many_events_a_percentile_needs(
    percentile: float, share: float, events_min: int
) -> None:
    objective = Objective(percentile=percentile)
    assert (objective.share, objective.events_min) == (share, events_min)


@pytest.mark.parametrize("percentile", [1e-12, 99.99999999999])
def test_any_percentile_that_may_be_configured_has_a_share(percentile: float) -> None:
    objective = Objective(percentile=percentile)
    assert 0 < objective.share <= 1
    assert objective.events_min >= 10


def test_too_few_events_widen_the_window(clock: Clock) -> None:
    clock.seconds(40, (0.5, 50))  # 500 in ten seconds
    report = clock.monitor.report
    assert (report.window_s, report.good) == (20, 1000)
    clock.seconds(10, (0.5, 100))
    report = clock.monitor.report
    assert (report.window_s, report.good) == (10, 1000)


def test_the_window_s_percentiles_are_of_exactly_the_window(clock: Clock) -> None:
    for second in range(1, 31):
        clock.second((second, 1000))
    report = clock.monitor.report
    assert report.window_s == 10
    assert report.sample.histogram.count == 10_000
    for percentile, second in ((10, 21), (50, 25), (100, 30)):
        assert report.percentile_us(percentile) == pytest.approx(second * 1000, rel=0.001)


def test_a_stall_is_counted_and_not_looked_at(clock: Clock) -> None:
    clock.second((0.1, 2000))
    report = clock.second((50, 2000), lasts_s=2.6)
    assert (report.state, report.stalls, report.bad, report.bad_total) == ("ok", 1, 0, 0)
    report = clock.second((0.1, 100), lasts_s=2.4)
    assert (report.stalls, report.good) == (1, 2100)
    assert report.window_s == pytest.approx(6)


def test_the_first_counts_are_where_counting_begins(page: Any) -> None:
    page.record(50 * TARGET_NS, 5000)
    clock = Clock(page)
    report = clock.second((0.1, 10))
    assert (report.good_total, report.bad_total, report.state) == (10, 0, "ok")


def test_counts_that_go_down_are_refused(clock: Clock) -> None:
    clock.second((0.1, 10))
    clock.page.counts[:] = 0
    with pytest.raises(ValueError, match="went down"):
        clock.second()


def test_before_the_first_look_all_is_well(page: Any) -> None:
    report = Monitor(OBJECTIVE, 5.0).report
    assert (report.state, report.since_s, report.budget_remaining) == ("ok", 5.0, 1.0)
    assert set(report.burn.values()) == {0.0}
    assert not any(alert.burning for alert in report.alerts)


# --- alerts ---------------------------------------------------------------------------------------


def burning(clock: Clock) -> list[str]:
    return [one.rule.name for one in clock.monitor.report.alerts if one.burning]


@pytest.mark.parametrize(
    ("bad_in_1000", "names"),
    [
        (0, []),
        (10, []),
        (11, ["3d/6h"]),
        (61, ["6h/30m", "3d/6h"]),
        (145, ["1h/5m", "6h/30m", "3d/6h"]),
    ],
)
def test_alerts_burn_by_the_share_of_bad_ones(
    clock: Clock, bad_in_1000: int, names: list[str]
) -> None:
    clock.seconds(20, (0.1, 1000 - bad_in_1000), (2, bad_in_1000))
    assert burning(clock) == names


def test_the_short_window_ends_an_alert(clock: Clock) -> None:
    clock.seconds(60, (0.1, 10), (2, 990))
    assert "1h/5m" in burning(clock)
    clock.seconds(280, (0.1, 10))
    assert "1h/5m" in burning(clock)
    clock.seconds(20, (0.1, 10))
    assert burning(clock) == ["6h/30m", "3d/6h"], "five minutes later"


# --- a naive model --------------------------------------------------------------------------------

SECONDS = st.lists(
    st.tuples(
        st.lists(
            st.tuples(
                st.sampled_from((0.1, 0.69, 0.75, 0.85, 0.95, 1.0, 1.2, 40.0)),
                st.sampled_from((1, 9, 60, 700)),
            ),
            max_size=2,
        ),
        st.sampled_from((0, 0, 0, 3, 40)),  # lost
        st.sampled_from((1.0, 1.0, 1.0, 1.0, 2.25, 3.0, 30.0)),  # until the tick
    ),
    max_size=60,
)


class Naive:
    """The rules once more: a list of all events there ever were, looked through at each tick."""

    def __init__(self, now_s: float) -> None:
        self.events: list[tuple[float, float, float, int]] = []  # start, end, part, count
        self.states = [(now_s, 0)]
        self.quiet: list[tuple[float, int]] = []  # since the state: (when, worst that holds it)
        self.stalls = 0

    def tick(self, start_s: float, now_s: float, events: list[tuple[float, int]]) -> None:
        if now_s - start_s > 2.5:
            self.stalls += 1
        else:
            self.events += [(start_s, now_s, part, n) for part, n in events]
        within = [e for e in self.events if e[1] > now_s - 9.5]
        for begin_s in sorted({e[0] for e in self.events if e[1] > now_s - 59.5}, reverse=True):
            if sum(e[3] for e in within) >= 1000:
                break
            within = [e for e in self.events if e[0] >= begin_s]
        self.within = [(part, n) for _, _, part, n in within]
        self._judge(now_s)

    def over(self, limit: float) -> bool:
        count = sum(n for _, n in self.within)
        return sum(n for part, n in self.within if part > limit) > 0.01 * max(count, 1000)

    def _judge(self, now_s: float) -> None:
        enter = 2 if self.over(1.0) else 1 if self.over(0.8) else 0
        hold = max(enter, 2 if self.over(0.9) else 1 if self.over(0.7) else 0)
        level = self.states[-1][1]
        self.quiet.append((now_s, hold))
        if enter > level:
            self._go(now_s, enter)
            return
        calm = []
        for at_s, held in reversed(self.quiet):
            if held >= level:
                break
            calm.append((at_s, held))
        if calm and now_s - calm[-1][0] >= 5:
            self._go(now_s, max(held for _, held in calm))

    def _go(self, now_s: float, level: int) -> None:
        self.states.append((now_s, level))
        self.quiet.clear()


@given(SECONDS)
def test_equals_the_naive_model(new_page: Callable[[], Any], seconds: list[Any]) -> None:
    clock = Clock(new_page())
    naive = Naive(clock.now_s)
    for recorded, lost, lasts_s in seconds:
        clock.page.dropped += lost
        start_s = clock.now_s
        report = clock.second(*recorded, lasts_s=lasts_s)
        naive.tick(start_s, clock.now_s, [*recorded, (math.inf, lost)])
        assert report.stalls == naive.stalls
        assert report.bad == sum(n for part, n in naive.within if part > 1)
        assert report.good == sum(n for part, n in naive.within if part <= 1)
        assert (report.since_s, STATES.index(report.state)) == naive.states[-1]
    assert sum(clock.monitor.report.transitions.values()) == len(naive.states) - 1


# --- simulated hours ------------------------------------------------------------------------------


def simulate(page: Any, period_s: int, low: float, high: float, noise: float) -> list[str]:
    """An hour of 500 deliveries a second, whose p99 goes up and down as a sine; the transitions."""
    random = np.random.default_rng(11)
    shape = np.exp(np.linspace(-3, 0, 100))
    shape /= shape[98]  # its p99 is 1
    clock = Clock(page)
    for second in range(3600):
        wave = (1 - math.cos(2 * math.pi * second / period_s)) / 2
        p99 = (low + (high - low) * wave) * (1 + noise * random.uniform(-1, 1))
        for value_ns in (shape * p99 * TARGET_NS).astype(int).tolist():
            page.record(value_ns, 5)
        clock.second()
    return clock.states


def test_an_hour_of_waves_around_the_target_has_four_changes_a_wave(page: Any) -> None:
    states = simulate(page, period_s=600, low=0.5, high=1.2, noise=0.1)
    assert states == ["at_risk", "breached", "at_risk", "ok"] * 6


def test_an_hour_of_noise_right_at_the_target_changes_little(page: Any) -> None:
    states = simulate(page, period_s=600, low=1.0, high=1.0, noise=0.09)
    assert states == ["at_risk", "breached"] or states == ["breached"]


def test_fast_waves_are_held_together(page: Any) -> None:
    """A wave shorter than window and hold is one state, not two hundred changes."""
    states = simulate(page, period_s=12, low=0.5, high=1.2, noise=0.0)
    assert states in (["breached"], ["at_risk", "breached"])


def test_another_objective_judges_what_is_in_the_window(clock: Clock) -> None:
    assert clock.seconds(3, (0.5, 900), (1.5, 100)) == "breached"
    before = clock.monitor.report
    longer = replace(OBJECTIVE, target_us=3000)
    clock.monitor.reconfigure(longer)
    after = clock.second()
    assert (after.objective, after.good, after.bad) == (longer, 3000, 0)
    # What counted as bad stays so, and the state is left as late as ever.
    assert (after.good_total, after.bad_total) == (before.good_total, before.bad_total)
    assert after.budget_remaining == before.budget_remaining
    assert (after.state, clock.seconds(6)) == ("breached", "ok")


def test_the_budget_of_another_percentile_begins_anew(clock: Clock) -> None:
    assert clock.seconds(3, (0.5, 900), (1.5, 100)) == "breached"
    assert clock.monitor.report.budget_remaining < 0
    clock.monitor.reconfigure(replace(OBJECTIVE, percentile=50))
    report = clock.second()
    assert (report.budget_remaining, report.bad_total) == (1, 300)
    assert report.objective.percentile == 50


def test_what_a_monitor_keeps_is_bounded(clock: Clock) -> None:
    """Only the window grows with time at all; the budget's bins are made at the start."""
    for _ in range(300):
        clock.second((0.5, 10))
        assert len(clock.monitor._window) <= slo.HISTORY_S


def test_a_report_is_a_value(clock: Clock) -> None:
    report = clock.second((0.5, 2000))
    clock.seconds(5, (2, 2000))
    assert (report.state, report.good, report.sample.histogram.count) == ("ok", 2000, 2000)
    assert isinstance(report.sample.histogram, Histogram)
