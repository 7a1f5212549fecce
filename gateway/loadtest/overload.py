"""An overload, with the latency controller first only watching it and then acting on it.

The load is a share of what the gateway can do, so that is searched for first, and the target is a
multiple of what it does when quiet, so that is measured next. Then the same excess comes twice, and
both times the load falls back to the quiet one: the controller has to let go again. All clients
read as fast as they can, so nothing but the gateway's own limit is in the way.

What the promise is, in thresholds of the run in which the controller acts: classes 0 and 1 at or
under the target, nothing of class 0 missing, lower classes conflated but not starved, no client
hung up on, the ladder back in time. And of the run in which it only watches: no group holds the
target, or it was no overload.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import msgspec

from gateway.errors import TickgateError
from gateway.loadtest import units
from gateway.loadtest.interchange import decode
from gateway.loadtest.overload_result import OverloadResult, OverloadRow, OverloadRun
from gateway.loadtest.progress import View
from gateway.loadtest.result import GroupResult, Result
from gateway.loadtest.run import Outcome
from gateway.loadtest.scenario import Overload, Scenario
from gateway.loadtest.thresholds import verdict

PROMISED_CLASS: Final = 1
"""Classes up to this one are promised the target."""
FLOOR: Final = "5%"
"""Of its updates every lower class gets at least so many."""
BACK: Final = "10s"
"""Within this after the overload nothing is degraded any more."""
BUDGET: Final = 0.01
"""Share that may be late or missing where the 99th percentile is promised."""

Trial = Callable[[Scenario], Outcome]


def overload(scenario: Scenario, trial: Trial, search: Trial, view: View) -> Outcome:
    """Runs all of it.

    Args:
        scenario: with an overload and a limit.
        trial: runs a scenario once and judges it.
        search: finds the highest rate of one with a limit.

    Returns:
        What came of the run in which the controller acted, judged, with the figures of all; where
        an earlier part failed or was interrupted, what came of that one.

    Raises:
        TickgateError: the group whose quiet age is the measure got nothing.
    """
    spec = scenario.overload
    assert spec is not None
    watched = _gateway(msgspec.structs.replace(scenario, overload=None), enforce=False)
    found = search(watched)
    assert found.result.limit is not None
    capacity = found.result.limit.passed
    if capacity is None or not found.whole:
        return found
    view.say(f"capacity: {units.rate(found.result.latency.per_s)} deliveries")
    watched = msgspec.structs.replace(watched, limit=None)
    quiet = trial(
        msgspec.structs.replace(watched.overridden(rate=spec.quiet * capacity), thresholds=[])
    )
    if not quiet.whole:
        return quiet
    target_us = target_of(quiet.result, spec)
    view.say(f"target: {units.duration(target_us)}")
    peak = excess(_gateway(watched, target_us=target_us), spec, capacity)
    observed = trial(msgspec.structs.replace(peak, thresholds=exploded(scenario, target_us)))
    if not observed.whole:
        return observed
    enforced = trial(
        _gateway(
            msgspec.structs.replace(peak, thresholds=promised(scenario, target_us)), enforce=True
        )
    )
    if not enforced.whole:
        return enforced
    runs = {"quiet": quiet.result, "observe": observed.result, "enforce": enforced.result}
    told = OverloadResult(
        capacity=capacity,
        capacity_per_s=found.result.latency.per_s,
        target_us=target_us,
        target_group=spec.group,
        target_factor=spec.target_factor,
        runs=[run_of(name, result, capacity, target_us) for name, result in runs.items()],
    )
    result = msgspec.structs.replace(
        joined(runs),
        limit=found.result.limit,
        overload=told,
        scenario=msgspec.to_builtins(scenario),
    )
    return replace(enforced, result=result)


def target_of(quiet: Result, spec: Overload) -> int:
    """What is promised, in microseconds: so many times a group's p99 when quiet.

    Raises:
        TickgateError: the group got nothing.
    """
    age = quiet.groups[spec.group].latency
    if age is None:
        raise TickgateError(f"{spec.group} got nothing in the quiet run: there is no target")
    return math.ceil(spec.target_factor * age.p99_us)


def excess(scenario: Scenario, spec: Overload, capacity: float) -> Scenario:
    """The run whose window is the overload, with the quiet load before and after it."""
    source = msgspec.structs.replace(
        scenario.source,
        shape="burst",
        rate=spec.quiet * capacity,
        burst_rate=spec.peak * capacity,
        burst_s=spec.peak_s,
        # The one burst of the run: the next one would begin after its end, the last one before it.
        burst_every_s=scenario.warmup_s + spec.peak_s + spec.after_s + 1,
    )
    return msgspec.structs.replace(
        scenario, source=source, duration_s=spec.peak_s, cooldown_s=spec.after_s
    )


def exploded(scenario: Scenario, target_us: int) -> list[str]:
    """What shows that it was an overload, where nobody acted on it."""
    return [f"{group.name}.p99>{target_us}us" for group in scenario.groups if group.measured]


def promised(scenario: Scenario, target_us: int) -> list[str]:
    """What must hold where the controller acts."""
    found = []
    for group in scenario.groups:
        if not group.measured:
            continue
        if group.priority <= PROMISED_CLASS:
            found.append(f"{group.name}.p99<={target_us}us")
        else:
            found += [f"{group.name}.reach>={FLOOR}", f"{group.name}.conflated>0"]
        if group.priority == 0:
            found.append(f"{group.name}.reach==1")
    return [*found, "closed==0", f"ladder_back<={BACK}"]


def joined(runs: dict[str, Result]) -> Result:
    """The last run's result, with what all of them say of the load test itself."""

    def named(attribute: str) -> list[str]:
        return [f"{name}: {one}" for name, run in runs.items() for one in getattr(run, attribute)]

    thresholds = [
        msgspec.structs.replace(one, expression=f"{name}: {one.expression}")
        for name, run in runs.items()
        for one in run.thresholds
    ]
    *_, last = runs.values()
    failed, invalid = named("failed_because"), named("invalid_because")
    return msgspec.structs.replace(
        last,
        doubts=named("doubts"),
        thresholds=thresholds,
        failed_because=failed,
        invalid_because=invalid,
        valid=not invalid,
        verdict=verdict(thresholds, failed, invalid),
    )


def run_of(name: str, result: Result, capacity: float, target_us: int) -> OverloadRun:
    """One run in the figures that are compared."""
    ladder = result.ladder
    rate = (result.source.intended if result.source else 0) / result.duration_s
    return OverloadRun(
        name=name,
        load=round(rate / capacity, 4),
        rate=round(rate, 3),
        per_s=result.latency.per_s,
        step_max=ladder.step_max if ladder else None,
        back_s=ladder.back_s if ladder else None,
        server_cpu=round(result.server.cpu_s / result.duration_s, 4) if result.server else None,
        client_busy=result.client.busy,
        valid=result.valid,
        rows=[row_of(group, one, target_us) for group, one in result.groups.items()],
    )


def row_of(name: str, group: GroupResult, target_us: int | None = None) -> OverloadRow:
    """One group of one run; without a target there is no budget."""
    age = group.latency
    return OverloadRow(
        group=name,
        class_number=group.class_,
        p50_us=age.p50_us if age else None,
        p99_us=age.p99_us if age else None,
        p999_us=age.p999_us if age else None,
        max_us=age.max_us if age else None,
        expected=group.expected,
        delivered=group.delivered,
        reach=group.reach,
        conflated=group.conflated,
        dropped=group.dropped,
        budget=None if target_us is None else budget(group, target_us),
        closed=group.closed,
    )


def budget(group: GroupResult, target_us: int) -> float | None:
    """What is left of a group's error budget: of what it should have got, 1 % may be no good.

    No good is what was older than the target and what did not come at all: conflating, dropping and
    hanging up do not save the budget. None where it is not known what should have come.
    """
    if not group.expected:
        return None
    good = decode(group.histogram).count_at_most(1000 * target_us) if group.histogram else 0
    return round(1 - max(0, group.expected - good) / (BUDGET * group.expected), 4)


def _gateway(scenario: Scenario, **slo: Any) -> Scenario:
    """The same with another objective of its gateways."""
    known = scenario.gateway.get("slo", {})
    return msgspec.structs.replace(scenario, gateway={**scenario.gateway, "slo": {**known, **slo}})
