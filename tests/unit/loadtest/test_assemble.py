"""From counts to the result."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from support.results import sample_result

from gateway.latency.histogram import Histogram
from gateway.loadtest.assemble import Run, Sent, Usage, assemble
from gateway.loadtest.merge import Merged, histogram_of
from gateway.loadtest.result import ClientLoad, Clock, Refusal, from_json
from gateway.loadtest.scenario import Scenario, from_document
from gateway.loadtest.source import SourceReport
from gateway.loadtest.thresholds import evaluate, exit_code, judge, parse

COUNTERS = dict.fromkeys(
    (
        *("open", "opened", "refused", "closed", "reconnects", "received", "delivered"),
        *("gaps", "gap_events", "conflated", "duplicates", "first_last_span", "accounted"),
        *("lost", "slow_notices", "slow_clients", "conflation_notices"),
    ),
    0,
)
TWO = [
    {"name": "counted", "clients": 2},
    {"name": "churning", "clients": 1, "expect_all": False},
    {"name": "load", "clients": 3, "measured": False},
]


def ages(*values_ns: int) -> Histogram:
    return histogram_of(np.array(values_ns, dtype=np.uint64))


def scenario(groups: list[dict[str, Any]]) -> Scenario:
    return from_document({"name": "test", "groups": groups, "duration_s": 2})


def run(
    *counters: dict[str, int],
    groups: list[dict[str, Any]] | None = None,
    histograms: dict[str, list[Histogram]] | None = None,
    load: ClientLoad | None = None,
    **given: Any,
) -> Run:
    groups = groups or TWO[: len(counters)]
    merged = Merged(
        counters=[COUNTERS | each for each in counters],
        histograms=histograms or {},
        skew=Histogram.empty(),
        load=load or ClientLoad(processes=1, busy=0.1, run_delay=0, turn_max_us=1),
    )
    values: dict[str, Any] = {
        "scenario": None if "scenario" in given else scenario(groups),
        "url": "ws://127.0.0.1:1/v1",
        "start_ns": 1_700_000_000_123_456_000,
        "window_s": 2.0,
        "sequenced": True,
        "open_s": 0.5,
        "audiences": [np.array([1])] * len(counters),
        "merged": merged,
        "sent": None,
        "usage": None,
        "clock": Clock(),
        "points": [],
        "environment": sample_result().environment,
    }
    return Run(**(values | given))


def sent(*ticks: int, **given: Any) -> Sent:
    values: dict[str, Any] = {
        "intended": {"trade": np.array(ticks)},
        "sent": sum(ticks),
        "late": ages(5),
    }
    return Sent(**(values | given))


# --- what there should have been ------------------------------------------------------------------


def test_reach_is_of_what_each_subscriber_should_have_got() -> None:
    found = assemble(
        run(
            {"delivered": 60},
            sent=sent(10, 20),
            audiences=[np.array([3, 2])],
        )
    )
    assert (found.expected, found.delivered) == (70, 60)
    assert found.reach == pytest.approx(6 / 7)


def test_groups_that_are_not_counted_on_are_in_no_reach() -> None:
    found = assemble(
        run(
            {"delivered": 10},
            {"delivered": 3},
            {"delivered": 500},
            sent=sent(10),
        )
    )
    assert (found.reach, found.expected) == (1.0, 10)
    assert found.delivered == 13, "measured groups"


def test_each_group_has_its_own_reach_on_its_own_channel() -> None:
    groups = [
        {"name": "trades", "clients": 2},
        {"name": "quotes", "clients": 1, "channel": "bbo"},
        {"name": "screens", "clients": 5, "channel": "bbo", "class": 2, "expect_all": False},
        {"name": "churn", "clients": 5, "lifetime_s": 1, "reconnect_s": 1, "measured": False},
    ]
    document = {"name": "test", "source": {"channels": ["trade", "bbo"]}, "groups": groups}
    found = assemble(
        run(
            {"delivered": 60, "lost": 10},
            {"delivered": 10},
            {"delivered": 5, "conflated": 45, "slow_notices": 4, "slow_clients": 2},
            {"first_last_span": 8, "accounted": 4},
            groups=groups,
            scenario=from_document(document),
            sent=sent(intended={"trade": np.array([10, 20]), "bbo": np.array([10, 0])}),
            audiences=[np.array([3, 2]), np.array([1, 1]), np.array([5, 0]), np.array([0, 0])],
        )
    )
    shown = {
        name: (one.class_, one.expected, one.reach and round(one.reach, 3), one.dropped)
        for name, one in found.groups.items()
    }
    assert shown == {
        "trades": (0, 70, 0.857, 10),
        "quotes": (1, 10, 1.0, 0),
        "screens": (2, 50, 0.1, 0),
        "churn": (0, None, 0.5, 0),
    }
    assert (found.expected, found.reach) == (80, 70 / 80), "only who is counted on"
    assert (found.dropped, found.slow_notices, found.slow_clients) == (10, 4, 2)
    assert evaluate(parse("screens.slow_clients==2"), found).ok
    assert evaluate(parse("screens.reach>=10%"), found).ok
    assert not evaluate(parse("screens.reach>10%"), found).ok


def test_only_listening_reach_is_by_the_numbers() -> None:
    found = assemble(run({"first_last_span": 50, "accounted": 49, "delivered": 40}))
    assert (found.reach, found.expected) == (0.98, None)


def test_without_numbers_and_source_nothing_is_known() -> None:
    found = assemble(run({"delivered": 40}, sequenced=False))
    assert (found.reach, found.gaps, found.gap_events) == (None, None, None)
    assert (found.conflated, found.duplicates, found.groups["counted"].gaps) == (None, None, None)


def test_nothing_was_due() -> None:
    found = assemble(run({}, sent=sent(0)))
    assert (found.reach, found.expected) == (None, 0)


def test_sources_of_several_gateways_send_the_same_ticks() -> None:
    reports = [
        SourceReport(intended={"trade": [4, 5]}, sent=9, late=[(7, 9)]),
        SourceReport(intended={"trade": [4, 5]}, sent=8, late=[(8, 8)]),
    ]
    found = Sent.told(reports)
    assert found.intended["trade"].tolist() == [4, 5]
    assert (found.sent, found.late.count) == (8, 17)
    result = assemble(run({}, sent=found))
    assert result.source is not None
    assert (result.source.intended, result.source.sent) == (9, 8)
    assert result.source.achieved_per_s == 4.0


# --- figures --------------------------------------------------------------------------------------


def test_ages_are_of_measured_groups_and_rates_of_arrivals() -> None:
    histograms = {"age": [ages(1000, 1000), ages(2000), ages(900_000)]}
    counters = ({"received": 10}, {"received": 2}, {"received": 400})
    found = assemble(run(*counters, histograms=histograms))
    assert (found.latency.count, found.latency.max_us) == (3, 2.0)
    assert found.latency.per_s == 6.0
    assert found.groups["load"].per_s == 200.0
    assert found.groups["load"].measured is False
    churning = found.groups["churning"].latency
    assert churning is not None
    assert churning.count == 1


def test_what_was_not_measured_is_null() -> None:
    found = assemble(run({}))
    assert (found.arrival, found.own, found.skew, found.stages) == (None, None, None, {})
    assert (found.server, found.source, found.histograms) == (None, None, {})


def test_the_server_s_cpu_is_that_of_the_window() -> None:
    usage = Usage(
        cpu_ns=1_050_000_000,
        wall_ns=2_100_000_000,  # the looks were a little further apart than the window is long
        resident_bytes=5_000_000,
        resident_bytes_max=6_000_000,
        proportional_bytes=3_000_000,
        proportional_bytes_max=4_000_000,
        pids=[3, 4],
    )
    found = assemble(run({"received": 100}, {}, {"received": 900}, usage=usage)).server
    assert found is not None
    assert (found.pss_mb, found.pss_mb_max) == (3.0, 4.0)
    assert (found.cpu_s, found.cpu_us_per_delivery) == (1.0, 1000.0)
    assert (found.rss_mb, found.rss_mb_max, found.pids) == (5.0, 6.0, [3, 4])


def test_without_deliveries_nothing_has_a_price() -> None:
    usage = Usage(
        cpu_ns=1,
        wall_ns=1,
        resident_bytes=0,
        resident_bytes_max=0,
        proportional_bytes=None,
        proportional_bytes_max=None,
        pids=[1],
    )
    found = assemble(run({}, usage=usage)).server
    assert found is not None
    assert found.cpu_us_per_delivery is None


def test_connections_are_of_all_groups() -> None:
    found = assemble(
        run({"opened": 2, "closed": 1}, {"opened": 5, "reconnects": 4}, {"refused": 3})
    ).connections
    assert (found.opened, found.closed, found.reconnects, found.refused) == (7, 1, 4, 3)
    assert found.open_s == 0.5


def test_the_result_survives_json() -> None:
    found = assemble(run({"delivered": 1}, histograms={"age": [ages(1000)]}))
    assert from_json(found.to_json()) == found
    assert found.started == "2023-11-14T22:13:20.123456+00:00"
    assert found.scenario["groups"][0]["name"] == "counted"


def test_an_overloaded_client_ends_with_exit_code_3() -> None:
    load = ClientLoad(processes=1, busy=0.99, run_delay=0, turn_max_us=1)
    counters = {"delivered": 1, "opened": 2}
    found = judge(assemble(run(counters, load=load)), [parse("gaps!=0")])
    assert (found.verdict, exit_code(found)) == ("invalid", 3)
    assert "the client was the bottleneck" in found.invalid_because[0]


def test_stages_between_two_clocks_need_them_related() -> None:
    names = ("wire", "server", "delivery", "age")
    found = {name: [ages(5)] for name in names}
    assert set(assemble(run({}, histograms=found, apart=True)).stages) == {"server"}
    related = Clock(offset_ns=7, error_ns=1, method="ping")
    told = assemble(run({}, histograms=found, apart=True, clock=related))
    assert set(told.stages) == {"wire", "server", "delivery"}


def test_the_refusals_are_the_result_s() -> None:
    one = run({})
    merged = [Refusal(kind="reply", code="capacity", message="full", count=3)]
    one = dataclasses.replace(one, merged=dataclasses.replace(one.merged, refusals=merged))
    assert from_json(assemble(one).to_json()).refusals == merged
    assert assemble(run({})).refusals == []
