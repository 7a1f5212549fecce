"""The search for a limit, results of runs that were interrupted, and how clocks are related."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import msgspec
import pytest
from support.results import sample_result

from gateway.clock import Offset
from gateway.latency.histogram import Histogram
from gateway.loadtest.bench import deserted, partial, search, understood
from gateway.loadtest.endpoint import parse
from gateway.loadtest.merge import Merged
from gateway.loadtest.progress import Quiet
from gateway.loadtest.result import ClientLoad, Clock
from gateway.loadtest.run import (
    LEAD_NS,
    OPEN_S,
    Interrupted,
    Outcome,
    Settings,
    doubts,
    moments_of,
    open_s,
    related,
)
from gateway.loadtest.scenario import Scenario, ScenarioError, from_document, listening
from gateway.loadtest.source import SourceReport
from gateway.loadtest.target import Target
from gateway.loadtest.thresholds import exit_code, judge
from gateway.loadtest.thresholds import parse as parse_threshold

Verdict = Literal["pass", "fail", "invalid"]


def scenario() -> Scenario:
    limit = {"rate_min": 100, "rate_max": 10_000, "steps": 5, "retries": 0}
    groups = [{"name": "all", "clients": 1}]
    thresholds = ["p99<1ms"]
    return from_document(
        {"name": "test", "groups": groups, "limit": limit, "thresholds": thresholds}
    )


def trials(
    verdict: Callable[[float], Verdict], *, whole: Callable[[float], bool] = lambda rate: True
) -> Callable[[Scenario], Outcome]:
    """Runs that come out so, by their rate."""

    def trial(scenario: Scenario) -> Outcome:
        rate = scenario.source.rate
        result = msgspec.structs.replace(
            sample_result(), name=f"{rate:g}", verdict=verdict(rate), limit=None
        )
        return Outcome(result, whole(rate), [], 0)

    return trial


def test_the_result_is_of_the_highest_rate_that_passed() -> None:
    found = search(scenario(), trials(lambda rate: "pass" if rate < 2000 else "fail"), Quiet())
    limit = found.result.limit
    assert limit is not None
    assert limit.passed is not None
    assert limit.failed is not None
    assert 1500 < limit.passed < 2000 <= limit.failed < 2600
    assert (found.result.name, found.result.verdict) == (f"{limit.passed:g}", "pass")
    assert len(limit.trials) == 5
    assert limit.trials[0].rate == 1000
    assert "ticks/s passed" in limit.shown


def test_where_none_passes_the_result_is_of_the_last_one() -> None:
    found = search(scenario(), trials(lambda rate: "fail"), Quiet())
    assert found.result.limit is not None
    assert found.result.limit.passed is None
    assert found.result.verdict == "fail"
    assert found.result.name == f"{found.result.limit.trials[-1].rate:g}"


def test_an_overloaded_client_ends_the_way_up() -> None:
    found = search(scenario(), trials(lambda rate: "pass" if rate < 2000 else "invalid"), Quiet())
    assert found.result.limit is not None
    assert found.result.limit.failed is None
    assert found.result.limit.invalid is not None


def test_an_interrupt_ends_the_search_with_the_best_run_so_far() -> None:
    trial = trials(lambda rate: "pass", whole=lambda rate: rate < 2000)

    def stopped(scenario: Scenario) -> Outcome:
        if scenario.source.rate > 2000:
            raise Interrupted("before the window")
        return trial(scenario)

    for each in (trial, stopped):
        found = search(scenario(), each, Quiet())
        assert not found.whole
        assert found.result.limit is not None
        assert found.result.limit.passed == 1000
        assert found.result.name == "1000"
        assert found.result.failed_because == [
            "interrupted after run 1 of the search: the best so far"
        ]
        assert exit_code(found.result) == 1


def test_an_interrupt_in_the_first_run_of_a_search() -> None:
    found = search(scenario(), trials(lambda rate: "pass", whole=lambda rate: False), Quiet())
    assert not found.whole
    assert found.result.limit is None

    def stopped(scenario: Scenario) -> Outcome:
        raise Interrupted("before the window")

    with pytest.raises(Interrupted):
        search(scenario(), stopped, Quiet())


def test_the_floor_needs_ticks_of_ours() -> None:
    given = listening("ws://127.0.0.1:1/", thresholds=["cpu_per_delivery<1.1*floor"])
    with pytest.raises(ScenarioError, match="the floor is of ticks that we send"):
        understood(given)


def test_a_partial_result_is_no_pass() -> None:
    found = partial(msgspec.structs.replace(sample_result(), duration_s=1.25, verdict="pass"))
    assert "interrupted after 1.2 of" in found.failed_because[-1]
    assert exit_code(found) == 1


def test_a_server_that_left_everybody_has_not_passed() -> None:
    passed = msgspec.structs.replace(sample_result(), verdict="pass", failed_because=[])
    groups = {name: msgspec.structs.replace(group, open=0) for name, group in passed.groups.items()}
    connections = msgspec.structs.replace(passed.connections, closed=5)
    left = msgspec.structs.replace(passed, groups=groups, connections=connections)
    assert exit_code(deserted(left)) == 1
    assert "no client was connected at the end" in deserted(left).failed_because[-1]
    # Who hangs up himself, at the end or before, was not left.
    ours = msgspec.structs.replace(connections, closed=0)
    assert exit_code(deserted(msgspec.structs.replace(left, connections=ours))) == 0
    assert exit_code(deserted(msgspec.structs.replace(left, groups=passed.groups))) == 0


def test_thresholds_know_the_groups() -> None:
    given = msgspec.structs.replace(scenario(), thresholds=["all.p99<1ms", "gaps==0"])
    assert [one.group for one in understood(given)] == ["all", ""]
    with pytest.raises(Exception, match="no group 'none'"):
        understood(msgspec.structs.replace(given, thresholds=["none.p99<1ms"]))


def test_the_moments_of_a_run() -> None:
    go = moments_of(scenario(), 1_000)
    assert go.at_ns == 1_000
    assert (go.start_ns - go.at_ns) / 1e9 == scenario().warmup_s
    assert (go.end_ns - go.start_ns) / 1e9 == scenario().duration_s
    assert (go.until_ns - go.end_ns) / 1e9 == scenario().grace_s
    assert LEAD_NS < 1e9


# --- clocks ---------------------------------------------------------------------------------------


def at(url: str, *, local: bool) -> Target:
    return Target((dataclasses.replace(parse(url), local=local),))


def test_on_this_host_there_is_one_clock() -> None:
    assert related(at("ws://127.0.0.1:1/", local=True), Settings()).method == "shared"


def test_a_gateway_elsewhere_is_asked_for_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.loadtest.clock.measure", lambda url, headers: Offset(-70, 5))
    found = related(at("ws://127.0.0.1:1/", local=False), Settings())
    assert (found.method, found.offset_ns, found.error_ns) == ("ping", -70, 5)
    foreign = Settings(stamp=("json", b"E"))
    assert related(at("ws://127.0.0.1:1/", local=False), foreign).method == "none"


def test_ticks_of_ours_are_stamped_here_wherever_the_gateway_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.loadtest.clock.measure", lambda url, headers: Offset(-70, 5))
    fed = dataclasses.replace(at("ws://127.0.0.1:1/", local=False), feeds=(("127.0.0.1", 9),))
    assert related(fed, Settings()) == Clock()


def test_ages_by_a_clock_that_nobody_knows_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.loadtest.clock.measure", lambda url, headers: None)
    clock = related(at("ws://127.0.0.1:1/", local=False), Settings())
    assert clock.method == "none"
    result = msgspec.structs.replace(sample_result(), clock=clock)
    assert exit_code(judge(result, [parse_threshold("p99<1s")])) == 3
    assert exit_code(judge(result, [parse_threshold("gaps==0")])) == 0


# --- on the way -----------------------------------------------------------------------------------


def test_clients_that_connect_slowly_have_the_time_for_it() -> None:
    assert open_s(scenario()) == OPEN_S
    many = {"name": "slow", "connect_rate": 10, "processes": 3}
    slow = from_document(many | {"groups": [{"name": "all", "clients": 900}]})
    assert open_s(slow) == OPEN_S + 100


@pytest.mark.parametrize(
    ("counters", "report", "said"),
    [
        ({"delivered": 5}, SourceReport(intended={}), []),
        ({"unstamped": 7}, SourceReport(intended={}), ["7 messages had no stamp", "json:E"]),
        ({"unstamped": 7, "delivered": 1}, SourceReport(intended={}), []),
        ({"errors": 2}, SourceReport(intended={}), ["all: the server refused something in 2"]),
        ({}, SourceReport(intended={}, errors=3), ["3 sends of ticks failed", "127.0.0.1:9?"]),
    ],
)
def test_what_went_wrong_is_said(
    counters: dict[str, int], report: SourceReport, said: list[str]
) -> None:
    load = ClientLoad(processes=1, busy=0, run_delay=0, turn_max_us=1)
    merged = Merged([counters], {}, Histogram.empty(), load)
    target = dataclasses.replace(at("ws://127.0.0.1:1/", local=True), feeds=(("127.0.0.1", 9),))
    settings = Settings(stamp=("json", b"E"))
    found = list(doubts(scenario(), settings, target, merged, [report]))
    assert len(found) == bool(said)
    assert all(words in found[0] for words in said)


def test_binary_frames_that_cannot_be_read_are_always_told_of() -> None:
    load = ClientLoad(processes=1, busy=0, run_delay=0, turn_max_us=1)
    merged = Merged([{"unstamped": 7, "delivered": 9}], {}, Histogram.empty(), load)
    binary = scenario().overridden(encoding="sbe")
    found = list(doubts(binary, Settings(), at("ws://127.0.0.1:1/", local=True), merged, []))
    assert found == ["7 messages in sbe could not be read"]


# --- a client that stood still --------------------------------------------------------------------


def stood(still: float, still_max_us: float, expression: str) -> int:
    """Exit code of ages with p99 = 1,134 us and a client that stood still for a while."""
    client = ClientLoad(
        processes=1,
        busy=0.1,
        run_delay=0,
        turn_max_us=50,
        still=still,
        still_max_us=still_max_us,
    )
    result = msgspec.structs.replace(sample_result(), client=client, arrival=None, source=None)
    return exit_code(judge(result, [parse_threshold(expression)]))


def test_what_the_client_may_have_done_itself_is_not_held_against_the_server() -> None:
    assert stood(0.02, 900, "p99<1ms") == 3
    assert stood(0.001, 900, "p99<1ms") == 99, "too short to have moved the percentile"
    assert stood(0.02, 50, "p99<1ms") == 99, "it would fail without it"
    assert stood(0.02, 900, "p99<2ms") == 0
    assert stood(0.0001, 1e6, "max<1us") == 3
    assert stood(0, 0, "max<1us") == 99
