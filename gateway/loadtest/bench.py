"""A whole load test: the floor where it is asked for, the runs that it takes, the verdict.

What it costs at least is measured first, on the same machine and with the same load. A search runs
the scenario at one rate after the other; its result is that of the highest rate that passed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import msgspec

from gateway.errors import Problem, TickgateError
from gateway.loadtest import peers
from gateway.loadtest.environment import environment
from gateway.loadtest.limit import Search
from gateway.loadtest.overload import overload
from gateway.loadtest.peer import PEERS, Ready
from gateway.loadtest.progress import View
from gateway.loadtest.result import Environment, Floor, Result
from gateway.loadtest.run import Interrupted, Outcome, Program, Settings, run, run_program
from gateway.loadtest.scenario import Scenario, ScenarioError
from gateway.loadtest.thresholds import Threshold, judge, needs_floor, parse, verdict_line


def bench(scenario: Scenario, settings: Settings, view: View) -> Outcome:
    """Runs the load test.

    Returns:
        What it brought, judged.

    Raises:
        TickgateError: a threshold is wrong, the server can't be reached or a process failed.
    """
    machine, floor = environment(), None
    if needs_floor(understood(scenario)):
        floor = _floor(scenario, settings, view, machine)

    def trial(scenario: Scenario) -> Outcome:
        outcome = run(scenario, settings, view, machine)
        known = msgspec.structs.replace(outcome.result, floor=floor)
        result = judge(known, understood(scenario))
        result = deserted(result) if outcome.whole else partial(result)
        return replace(outcome, result=result)

    def searched(scenario: Scenario) -> Outcome:
        return search(scenario, trial, view)

    if scenario.overload is not None:
        return overload(scenario, trial, searched, view)
    return trial(scenario) if scenario.limit is None else searched(scenario)


def understood(scenario: Scenario) -> list[Threshold]:
    """The scenario's thresholds.

    Raises:
        ThresholdError: one of them is wrong.
        ScenarioError: one wants the floor, but there are no ticks to measure it with.
    """
    names = [group.name for group in scenario.groups]
    found = [parse(expression, names) for expression in scenario.thresholds]
    if needs_floor(found) and scenario.source.via == "none":
        problem = Problem("thresholds", "the floor is of ticks that we send, and here are none")
        raise ScenarioError("the scenario has an error", [problem])
    return found


def partial(result: Result) -> Result:
    """A result that says that its run was interrupted."""
    meant_s = result.scenario.get("duration_s", 0)
    return interrupted(result, f"after {result.duration_s:.1f} of {meant_s:g} s: a partial result")


def interrupted(result: Result, when: str) -> Result:
    """A result of what was interrupted, and says so; that is no pass."""
    return failed(result, f"interrupted {when}")


def deserted(result: Result) -> Result:
    """A result that says so where the server has left everybody: silence holds most thresholds."""
    closed = result.connections.closed
    if not closed or any(group.open for group in result.groups.values()):
        return result
    return failed(result, f"no client was connected at the end, {closed:,} connections were closed")


def failed(result: Result, why: str) -> Result:
    """A result that is no pass, whatever its thresholds say."""
    return msgspec.structs.replace(
        result, verdict="fail", failed_because=[*result.failed_because, why]
    )


def search(scenario: Scenario, trial: Callable[[Scenario], Outcome], view: View) -> Outcome:
    """The highest rate at which the thresholds hold, by bisection; a Ctrl-C ends it.

    Returns:
        What came of the run at that rate, or of the last one where none passed; its result says
        what was tried.

    Raises:
        Interrupted: in the first run, before there was anything to show.
    """
    assert scenario.limit is not None
    searching = Search(scenario.limit)
    best: Outcome | None = None
    while (rate := searching.rate) is not None:
        view.note(f"trying {rate:,g} ticks/s")
        try:
            outcome = trial(scenario.overridden(rate=rate))
        except Interrupted:
            if best is None:
                raise
            return _ended(best, searching, whole=False)
        if not outcome.whole:
            return outcome if best is None else _ended(best, searching, whole=False)
        verdict = outcome.result.verdict
        searching.tell(verdict)
        view.say(f"{rate:,g} ticks/s: {verdict_line(outcome.result)}")
        # A rate is only tried above those that passed: the last that passes is the highest.
        if verdict == "pass" or best is None or best.result.verdict != "pass":
            best = outcome
    assert best is not None
    return _ended(best, searching, whole=True)


def _ended(best: Outcome, searching: Search, *, whole: bool) -> Outcome:
    result = msgspec.structs.replace(best.result, limit=searching.found)
    if not whole:
        runs = len(searching.found.trials)
        result = interrupted(result, f"after run {runs} of the search: the best so far")
    return replace(best, result=result, whole=whole)


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
