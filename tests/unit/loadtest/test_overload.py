"""An overload: which runs it takes, what is promised, and what becomes of it."""

import io
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console
from support.results import sample_result

from gateway.errors import TickgateError
from gateway.loadtest.class_table import HEADINGS, markdown
from gateway.loadtest.interchange import decode
from gateway.loadtest.merge import histogram_of
from gateway.loadtest.overload import budget, overload
from gateway.loadtest.overload_result import LadderResult
from gateway.loadtest.progress import Quiet
from gateway.loadtest.result import (
    GroupResult,
    Latency,
    LimitResult,
    Result,
    Trial,
    from_json,
)
from gateway.loadtest.run import Outcome
from gateway.loadtest.scenario import Scenario, ScenarioError, from_document
from gateway.loadtest.summary import summary
from gateway.loadtest.thresholds import exit_code, judge, parse

CAPACITY = 8000.0
QUIET_P99_US = 1000
TARGET_US = 2001  # twice the upper edge of the bucket that 1,000 µs are in
DOCUMENT: dict[str, Any] = {
    "name": "test",
    "duration_s": 2,
    "warmup_s": 1,
    "thresholds": ["p99<10ms"],
    "gateway": {"slo": {"window_s": 5}, "limits": {"lossless_frames_max": 100}},
    "source": {"channels": ["trade", "bbo"], "symbols": 10},
    "groups": [
        {"name": "trades", "clients": 3},
        {"name": "quotes", "clients": 5, "channel": "bbo"},
        {"name": "screens", "clients": 20, "channel": "bbo", "class": 2},
    ],
    "limit": {"rate_min": 1000, "rate_max": 20_000},
    "overload": {"group": "quotes", "peak_s": 5, "after_s": 12},
}


def group(name: str, late_us: int, *, delivered: int = 1000, **more: Any) -> GroupResult:
    """Of a thousand frames due; a tenth of what came is as old as this."""
    ages = np.full(delivered, 100_000, dtype=np.uint64)
    ages[: delivered // 10] = late_us * 1000
    histogram = histogram_of(ages)
    values = {"clients": 1, "open": 1, "expected": 1000, "gaps": 0, "conflated": 0, "dropped": 0}
    return GroupResult(
        **(values | more),
        class_=["trades", "quotes", "screens"].index(name),
        delivered=delivered,
        reach=delivered / 1000,
        latency=Latency.of(histogram, 500.0),
        histogram=histogram.to_hdr_v2(),
    )


GOOD: dict[str, dict[str, GroupResult]] = {
    "quiet": {name: group(name, QUIET_P99_US) for name in ("trades", "quotes", "screens")},
    "observe": {name: group(name, 500_000) for name in ("trades", "quotes", "screens")},
    "enforce": {
        "trades": group("trades", 1500),
        "quotes": group("quotes", 1900, delivered=990, conflated=10),
        "screens": group("screens", 90_000, delivered=300, conflated=690),
    },
}
"""What a controller that keeps its promise makes of each run."""


class Bench:
    """Stands in for runs: what each of them brings, and what was asked for."""

    def __init__(self, **changed: Any) -> None:
        self.groups = GOOD | changed.pop("groups", {})
        self.changed: dict[str, dict[str, Any]] = changed
        self.asked: list[Scenario] = []

    def trial(self, scenario: Scenario) -> Outcome:
        self.asked.append(scenario)
        name = "quiet"
        if scenario.source.shape == "burst":
            name = "enforce" if scenario.gateway["slo"]["enforce"] else "observe"
        ladder = None if name == "quiet" else LadderResult(step_max=4, back_s=2.5)
        changed: dict[str, Any] = {"ladder": ladder}
        changed |= self.changed.get(name, {})
        whole = changed.pop("whole", True)
        connections = msgspec.structs.replace(
            sample_result().connections, opened=28, reconnects=0, closed=changed.pop("closed", 0)
        )
        result = sample_result(
            clients=28, groups=self.groups[name], connections=connections, **changed
        )
        result = judge(result, [parse(one) for one in scenario.thresholds])
        return Outcome(result, whole, [], 0)

    def search(self, scenario: Scenario) -> Outcome:
        self.asked.append(scenario)
        passed = self.changed.get("search", {}).get("passed", CAPACITY)
        trials = [Trial(rate=CAPACITY, verdict="pass")]
        limit = LimitResult(passed=passed, failed=None, invalid=None, trials=trials)
        verdict = "pass" if passed else "fail"
        return Outcome(sample_result(limit=limit, verdict=verdict), True, [], 0)

    def run(self, **changed: Any) -> Result:
        given = from_document(DOCUMENT | changed)
        return overload(given, self.trial, self.search, Quiet()).result


def test_the_runs_of_a_promise_that_is_kept() -> None:
    bench = Bench()
    found = bench.run()
    assert found.verdict == "pass", [one for one in found.thresholds if not one.ok]
    searched, quiet, observed, enforced = bench.asked
    slo = [one.gateway["slo"] for one in bench.asked]
    assert [one["enforce"] for one in slo] == [False, False, False, True]
    assert [one.get("target_us") for one in slo] == [None, None, TARGET_US, TARGET_US]
    assert all(one["window_s"] == 5 for one in slo), "what the scenario says stays"
    assert enforced.gateway["limits"] == {"lossless_frames_max": 100}
    assert (searched.limit is None, searched.overload, quiet.limit) == (False, None, None)
    assert (quiet.source.shape, quiet.source.rate) == ("steady", CAPACITY / 2)
    for peak in (observed, enforced):
        source = peak.source
        assert source.rate == CAPACITY / 2
        assert source.burst_rate == pytest.approx(1.4 * CAPACITY)
        assert (peak.duration_s, peak.cooldown_s, source.burst_s) == (5, 12, 5)
        assert source.burst_every_s > peak.warmup_s + peak.duration_s + peak.cooldown_s
    assert enforced.thresholds == [
        *(f"trades.p99<={TARGET_US}us", "trades.reach==1", f"quotes.p99<={TARGET_US}us"),
        *("screens.reach>=5%", "screens.conflated>0", "closed==0", "ladder_back<=10s"),
    ]
    assert len(found.thresholds) == 3 + 7
    told = found.overload
    assert told is not None
    assert (told.capacity, told.target_us, told.target_group) == (CAPACITY, TARGET_US, "quotes")
    assert [run.name for run in told.runs] == ["quiet", "observe", "enforce"]
    assert [run.step_max for run in told.runs] == [None, 4, 4]
    assert found.scenario["overload"]["peak"] == 1.4
    assert found.limit is not None


@pytest.mark.parametrize(
    ("name", "changed", "missed"),
    [
        ("trades", {"late_us": 2500}, f"enforce: trades.p99<={TARGET_US}us"),
        ("trades", {"late_us": 1500, "delivered": 999}, "enforce: trades.reach==1"),
        ("quotes", {"late_us": 2500}, f"enforce: quotes.p99<={TARGET_US}us"),
        ("screens", {"late_us": 1, "delivered": 49, "conflated": 1}, "enforce: screens.reach>=5%"),
        ("screens", {"late_us": 1}, "enforce: screens.conflated>0"),
    ],
)
def test_a_promise_that_is_broken(name: str, changed: dict[str, Any], missed: str) -> None:
    groups = GOOD["enforce"] | {name: group(name, **changed)}
    found = Bench(groups={"enforce": groups}).run()
    assert [one.expression for one in found.thresholds if not one.ok] == [missed]
    assert exit_code(found) == 99


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({"closed": 1}, "enforce: closed==0"),
        ({"ladder": LadderResult(step_max=4, back_s=11.0)}, "enforce: ladder_back<=10s"),
        ({"ladder": LadderResult(step_max=4, back_s=None)}, "enforce: ladder_back<=10s"),
        ({"ladder": None}, "enforce: ladder_back<=10s"),
    ],
)
def test_nobody_is_closed_and_the_ladder_comes_back(changed: dict[str, Any], missed: str) -> None:
    found = Bench(enforce=changed).run()
    (one,) = (each for each in found.thresholds if not each.ok)
    assert one.expression == missed
    never = changed == {"ladder": LadderResult(step_max=4, back_s=None)}
    assert ("not back" in one.shown) == never


def test_what_holds_the_target_unaided_was_no_overload() -> None:
    groups = GOOD["observe"] | {"trades": group("trades", 900)}
    found = Bench(groups={"observe": groups}).run()
    missed = [one.expression for one in found.thresholds if not one.ok]
    assert missed == [f"observe: trades.p99>{TARGET_US}us"]


@pytest.mark.parametrize("name", ["quiet", "observe", "enforce"])
def test_any_run_with_a_busy_client_makes_it_invalid(name: str) -> None:
    busy = msgspec.structs.replace(sample_result().client, busy=0.99)
    found = Bench(**{name: {"client": busy}}).run()
    assert exit_code(found) == 3
    (why,) = found.invalid_because
    assert why.startswith(f"{name}: the client was the bottleneck")


def test_without_a_capacity_there_is_no_overload() -> None:
    bench = Bench(search={"passed": None})
    assert bench.run().overload is None
    assert len(bench.asked) == 1


@pytest.mark.parametrize(("name", "runs"), [("quiet", 2), ("observe", 3), ("enforce", 4)])
def test_an_interrupt_ends_it_with_the_run_that_it_met(name: str, runs: int) -> None:
    bench = Bench(**{name: {"whole": False}})
    assert bench.run().overload is None
    assert len(bench.asked) == runs


def test_a_group_that_got_nothing_gives_no_target() -> None:
    silent = msgspec.structs.replace(GOOD["quiet"]["quotes"], latency=None)
    with pytest.raises(TickgateError, match="quotes got nothing in the quiet run"):
        Bench(groups={"quiet": GOOD["quiet"] | {"quotes": silent}}).run()


# --- the budget -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late_us", "delivered", "left"),
    [
        (900, 1000, 1.0),  # all of it in time
        (900, 995, 0.5),  # five of the ten that may be no good did not come
        (900, 980, -1.0),
        (5000, 1000, -9.0),  # a tenth came too late
    ],
)
def test_late_and_missing_spend_the_budget(late_us: int, delivered: int, left: float) -> None:
    assert budget(group("trades", late_us, delivered=delivered), 1000) == pytest.approx(left)


def test_the_budget_of_nothing() -> None:
    nothing = GroupResult(clients=1, open=1, delivered=0, expected=100)
    assert budget(nothing, 1000) == pytest.approx(-99.0), "all of it is missing"
    assert budget(msgspec.structs.replace(nothing, expected=None), 1000) is None
    assert budget(msgspec.structs.replace(nothing, expected=0), 1000) is None


# --- what is shown --------------------------------------------------------------------------------


def test_all_runs_are_shown_in_80_columns() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(summary(Bench().run()))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    shown = [line.split() for line in lines]
    assert sum(row[:2] == ["screens", "2"] for row in shown) == 4  # the result's groups, three runs
    row = next(row for row in reversed(shown) if row[:2] == ["screens", "2"])
    assert row[-4:] == ["%", "690", "0", "-7200%"]


def test_markdown_of_an_overload_and_of_any_run() -> None:
    text = markdown(Bench().run())
    assert "Capacity 20.0 k/s deliveries (8.00 k/s ticks); target 2.00 ms, 2 x the p99" in text
    assert "ladder at 4, back after 2.5 s" in text
    assert text.count(f"| {' | '.join(HEADINGS)} |") == 3
    screens = "| screens | 2 | 100 µs | 90.0 ms | 90.0 ms | 30 % | 690 | 0 | -7200% | 0 |"
    assert screens in text
    assert markdown(sample_result()).count("\n") == 2 + 3


def test_the_result_survives_json() -> None:
    found = Bench().run()
    assert from_json(found.to_json()) == found
    trades = found.groups["trades"]
    assert decode(trades.histogram).count == trades.delivered


# --- what may not be said together ----------------------------------------------------------------


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in DOCUMENT.items() if key != name}


@pytest.mark.parametrize(
    ("document", "key", "words"),
    [
        (without("limit"), "limit", "missing; an overload is a share of the limit"),
        (DOCUMENT | {"url": "ws://127.0.0.1:1/v1"}, "url", "sets targets of gateways of its own"),
        (DOCUMENT | {"overload": {"group": "other"}}, "overload.group", "trades, quotes, screens"),
        (
            DOCUMENT | {"source": DOCUMENT["source"] | {"shape": "ramp", "to_rate": 9}},
            "source.shape",
            'an overload makes its load of a "steady" one',
        ),
        (DOCUMENT | {"overload": {"group": "quotes", "peak": 1}}, "overload.peak", "above 1"),
    ],
)
def test_mistakes(document: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        from_document(document)
    problems = {problem.key: problem.message for problem in caught.value.problems}
    assert words in problems[key]
