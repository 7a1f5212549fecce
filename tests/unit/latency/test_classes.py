"""The objective by class: what is judged with what, and simulated hours of several classes."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.latency.classes import Monitors, Reports, class_objectives
from gateway.latency.slo import Monitor, Objective
from gateway.latency.window import Sample, Samples

TARGET_NS = 1_000_000
DISPLAY_TARGET_NS = 500_000_000
OBJECTIVE = Objective("total", 99, TARGET_NS // 1000, 10)


class Clock:
    """Monitors, a page for each class, and a second hand."""

    def __init__(self, new_page: Callable[[], Any]) -> None:
        self.pages = [new_page() for _ in range(4)]
        self.shed = 0
        self.now_s = 1000.0
        self.monitors = Monitors(OBJECTIVE, DISPLAY_TARGET_NS // 1000, self.now_s)
        self.states: list[tuple[str, str]] = []
        self.second()

    def samples(self) -> Samples:
        return Samples(tuple(page.sample() for page in self.pages), self.shed)

    def second(self, *recorded: tuple[int, float, int], floor_ns: float = 0.0) -> Reports:
        """One tick with (class, nanoseconds, how many) recorded before it."""
        for number, value_ns, n in recorded:
            self.pages[number].record(int(value_ns), n)
        before = self.monitors.reports
        self.now_s += 1
        reports = self.monitors.tick(self.now_s, self.samples(), floor_ns=floor_ns)
        for name, was, now in zip("H0123", before.all, reports.all, strict=True):
            if was.state != now.state:
                self.states.append((name, now.state))
        return reports

    def now(self) -> list[str]:
        return [report.state for report in self.monitors.reports.all]


@pytest.fixture
def clock(new_page: Callable[[], Any]) -> Clock:
    return Clock(new_page)


def test_each_class_has_a_target_of_its_own() -> None:
    assert [each.target_us for each in class_objectives(OBJECTIVE, 500_000)] == [
        1000,
        1000,
        500_000,
        None,
    ]


@pytest.mark.parametrize(
    ("recorded", "states"),
    [
        ((0, 2 * TARGET_NS, 11), ["breached", "breached", "ok", "ok", "ok"]),
        ((1, 2 * TARGET_NS, 11), ["breached", "ok", "breached", "ok", "ok"]),
        ((2, 2 * TARGET_NS, 11), ["ok", "ok", "ok", "ok", "ok"]),
        ((2, 0.85 * DISPLAY_TARGET_NS, 11), ["ok", "ok", "ok", "at_risk", "ok"]),
        ((2, 1.1 * DISPLAY_TARGET_NS, 11), ["ok", "ok", "ok", "breached", "ok"]),
        ((3, 60 * 10**9, 5000), ["ok", "ok", "ok", "ok", "ok"]),
    ],
)
def test_who_is_judged_by_what(
    clock: Clock, recorded: tuple[int, float, int], states: list[str]
) -> None:
    clock.second(recorded)
    assert clock.now() == states


def test_a_few_late_ones_of_one_class_are_few_of_both(clock: Clock) -> None:
    """The promise is about the two together: 20 in 5,000 are not one in a hundred."""
    clock.second((0, 100, 4000), (1, 100, 980), (1, 2 * TARGET_NS, 20))
    assert clock.now() == ["ok", "ok", "breached", "ok", "ok"]


def test_losses_are_those_of_the_class_and_shed_clients_of_the_headline(clock: Clock) -> None:
    clock.pages[0].dropped, clock.pages[1].dropped = 3, 4
    clock.pages[2].dropped, clock.pages[3].dropped = 500, 600
    clock.pages[1].conflated, clock.pages[2].conflated = 7, 8
    clock.shed = 5
    reports = clock.second()
    assert reports.headline.bad == 3 + 4 + 5
    assert (reports.headline.sample.dropped, reports.headline.sample.conflated) == (7, 7)
    assert [each.bad for each in reports.classes] == [3, 4, 500, 600]
    assert clock.now() == ["breached", "ok", "ok", "breached", "breached"]


def test_a_fan_out_is_infeasible_for_whom_it_is_too_long(clock: Clock) -> None:
    clock.second(floor_ns=2 * TARGET_NS)
    assert clock.now() == ["infeasible", "infeasible", "infeasible", "ok", "ok"]
    clock.second(floor_ns=2 * DISPLAY_TARGET_NS)
    assert clock.now() == ["infeasible"] * 4 + ["ok"], "without a target nothing is"


EVENTS = st.lists(
    st.tuples(
        st.sampled_from((0, 1)),
        st.sampled_from((0.1, 0.75, 0.85, 0.95, 1.2)),
        st.sampled_from((1, 9, 60, 700)),
    ),
    max_size=3,
)


@given(st.lists(EVENTS, max_size=40))
def test_the_headline_is_a_monitor_of_both_classes_at_once(
    new_page: Callable[[], Any], seconds: list[list[tuple[int, float, int]]]
) -> None:
    clock, both = Clock(new_page), new_page()
    alone = Monitor(OBJECTIVE, 1000.0)
    alone.tick(1001.0, both.sample())
    for recorded in seconds:
        scaled = [(number, int(part * TARGET_NS), n) for number, part, n in recorded]
        for _, value_ns, n in scaled:
            both.record(value_ns, n)
        headline = clock.second(*scaled, (2, 10**9, 40), (3, 10**10, 5)).headline
        expected = alone.tick(clock.now_s, both.sample())
        for name in ("state", "since_s", "good", "bad", "window_s", "budget_remaining", "burn"):
            assert getattr(headline, name) == getattr(expected, name), name


def test_what_does_not_change_is_not_added_again(clock: Clock) -> None:
    page = clock.pages[0]
    page.record(100, 5)
    samples = Samples(tuple(each.sample() for each in clock.pages), 0)
    clock.monitors.tick(2000.0, samples)
    merged = clock.monitors._merged
    later = Samples((*samples.classes[:2], Sample(page.sample().histogram), samples.classes[3]), 0)
    clock.monitors.tick(2001.0, later)
    assert clock.monitors._merged is merged


def test_an_hour_of_waves_changes_each_class_s_state_as_often_as_the_load(
    new_page: Callable[[], Any],
) -> None:
    """Six sinusoidal waves of load: top of book and screens go over their targets, trades don't.

    The screens' wave is the larger, as theirs are the updates that the controller holds back. The
    whole list is four changes a wave for each state concerned, and no more.
    """
    clock = Clock(new_page)
    random = np.random.default_rng(5)
    shape = np.exp(np.linspace(-3, 0, 100))
    shape /= shape[98]  # its p99 is 1

    @cache
    def counts_of(p99_ns: int) -> Any:
        page = new_page()
        for value_ns in (shape * p99_ns).astype(int).tolist():
            page.record(value_ns, 5)
        return page.counts

    for second in range(3600):
        wave = (1 - math.cos(2 * math.pi * second / 600)) / 2
        for number, low, high, target_ns in (
            (0, 0.2, 0.6, TARGET_NS),
            (1, 0.5, 1.2, TARGET_NS),
            (2, 0.1, 1.5, DISPLAY_TARGET_NS),
        ):
            p99 = (low + (high - low) * wave) * (1 + 0.1 * random.uniform(-1, 1))
            clock.pages[number].counts += counts_of(int(round(p99, 2) * target_ns))
        clock.second()
    wave_states = ["at_risk", "breached", "at_risk", "ok"]
    by_name = {name: [state for who, state in clock.states if who == name] for name in "H0123"}
    assert by_name == {
        "H": wave_states * 6,
        "0": [],
        "1": wave_states * 6,
        "2": wave_states * 6,
        "3": [],
    }
