"""A whole load test: the floor where it is asked for, the run or a search for a limit, the verdict.

What it costs at least is measured first, on the same machine and with the same load. A search runs
the scenario at one rate after the other; its result is that of the highest rate that passed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import msgspec

from gateway.errors import TickgateError
from gateway.loadtest import peers
from gateway.loadtest.environment import environment
from gateway.loadtest.limit import Search
from gateway.loadtest.peer import PEERS, Ready
from gateway.loadtest.progress import View
from gateway.loadtest.result import Environment, Floor, LimitResult, Result, Trial
from gateway.loadtest.run import Interrupted, Outcome, Program, Settings, run, run_program
from gateway.loadtest.scenario import Scenario
from gateway.loadtest.thresholds import Threshold, judge, needs_floor, parse


def bench(scenario: Scenario, settings: Settings, view: View) -> Outcome:
    """Runs the load test.

    Returns:
        What it brought, judged.

    Raises:
        TickgateError: a threshold is wrong, the server can't be reached or a process failed.
    """
    thresholds = understood(scenario)
    machine = environment()
    floor = _floor(scenario, settings, view, machine) if needs_floor(thresholds) else None

    def trial(scenario: Scenario) -> Outcome:
        outcome = run(scenario, settings, view, machine)
        result = judge(msgspec.structs.replace(outcome.result, floor=floor), thresholds)
        return replace(outcome, result=result if outcome.whole else partial(result))

    return trial(scenario) if scenario.limit is None else search(scenario, trial, view)


def understood(scenario: Scenario) -> list[Threshold]:
    """The scenario's thresholds.

    Raises:
        ThresholdError: one of them is wrong.
    """
    names = [group.name for group in scenario.groups]
    return [parse(expression, names) for expression in scenario.thresholds]


def partial(result: Result) -> Result:
    """A result that says that it was interrupted; that is no pass."""
    meant_s = result.scenario.get("duration_s", 0)
    why = f"interrupted after {result.duration_s:.1f} of {meant_s:g} s: a partial result"
    return msgspec.structs.replace(
        result, verdict="fail", failed_because=[*result.failed_because, why]
    )


def search(scenario: Scenario, trial: Callable[[Scenario], Outcome], view: View) -> Outcome:
    """The highest rate at which the thresholds hold, by bisection.

    Returns:
        What came of the run at that rate, or of the last one where none passed; its result says
        what was tried.
    """
    assert scenario.limit is not None
    searching = Search(scenario.limit)
    passed: dict[float, Outcome] = {}
    while (rate := searching.rate) is not None:
        view.note(f"trying {rate:,g} ticks/s")
        outcome = trial(scenario.overridden(rate=rate))
        if not outcome.whole:
            return outcome
        verdict = outcome.result.verdict
        searching.tell(verdict)
        if verdict == "pass":
            passed[rate] = outcome
    found = searching.found
    best = outcome if found.passed is None else passed[found.passed]
    trials = [Trial(rate=one.rate, verdict=one.outcome) for one in found.trials]
    limit = LimitResult(
        passed=found.passed,
        failed=found.failed,
        invalid=found.invalid,
        shown=str(found),
        trials=trials,
    )
    return replace(best, result=msgspec.structs.replace(best.result, limit=limit))


def _floor(scenario: Scenario, settings: Settings, view: View, machine: Environment) -> Floor:
    view.note("measuring the floor: a bare loop of send()")
    outcome = run_program(_floor_program(scenario), scenario, settings, view, machine)
    server = outcome.result.server
    cost = server.cpu_us_per_delivery if server else None
    if not outcome.whole:
        raise Interrupted("interrupted while the floor was measured")
    if cost is None:
        raise TickgateError("the floor delivered nothing: its cost is not known")
    return Floor(cpu_us_per_delivery=cost)


def _floor_program(scenario: Scenario) -> Program:
    command = (sys.executable, "-P", "-m", "gateway.loadtest.floor")
    return Program(peers.FLOOR, (*command, "--clients", str(scenario.clients)))


def peer_measure(settings: Settings, view: View, machine: Environment) -> peers.Measure:
    """How `run_peers` has one server measured."""

    def measure(name: str, ready: Ready | None, scenario: Scenario) -> Result:
        if ready is not None:
            peer = PEERS[name]
            program = Program(name, ready.command, path=peer.path, transport=peer.via)
            outcome = run_program(program, scenario, settings, view, machine)
        elif name == peers.FLOOR:
            outcome = run_program(_floor_program(scenario), scenario, settings, view, machine)
        else:
            outcome = run(scenario, settings, view, machine)
        if not outcome.whole:
            raise Interrupted("interrupted in the middle of a measurement")
        return judge(outcome.result, [])

    return measure
