"""Each cause, as the evidence shows it, is told from the others."""

import msgspec
import pytest
from support.world import CLIENTS, MS, REAL_NS, Durations, Maker, World

from gateway.recorder.explain import Explanation, explain
from gateway.recorder.words import COLUMNS, render

QUEUED: dict[str, Durations] = {
    "ring": {0.03: 1000, 200: 1000},
    "total_0": {0.15: 10_000, 250: 10_000},
}
"""Records waited for the data plane."""
SOCKETS: dict[str, Durations] = {
    "fanout": {0.1: 19_000, 800: 1000},
    "total_0": {0.15: 19_000, 800: 1000},
}
"""Frames waited for a few sockets."""
SWEPT: dict[str, Durations] = {"fanout": {80: 20_000}, "total_0": {80: 20_000}}
"""Every frame waited, and no record did."""


def stolen() -> World:
    world = World().during(range(60, 70), plane_ms=2, plane_wait_ms=95, running=40)
    return world.late([6], **QUEUED)


def stolen_between_writes() -> World:
    world = World().during(range(60, 70), plane_ms=2, plane_wait_ms=95, running=40)
    return world.late([6], **SWEPT)


def stolen_from_all() -> World:
    """Those who read here had no CPU either."""
    gauges = {"clients_blocked": [CLIENTS]}
    return stolen_between_writes().during(range(60, 70), gauges=gauges)


def stolen_without_a_break() -> World:
    """The kernel counts a wait once it is over: a look meanwhile sees none."""
    world = World().during(range(60, 80), plane_ms=2, plane_wait_ms=95, running=40)
    world.during([69], plane_ms=0, plane_wait_ms=0).during([70], plane_wait_ms=190)
    return world.late([6], **QUEUED).late([7], ring={200: 1000}, total_0={0.1: 9000, 250: 2000})


def stolen_until_after_the_harm() -> World:
    world = World().during(range(65, 70), plane_ms=0, plane_wait_ms=0)
    return world.during([70], plane_ms=2, plane_wait_ms=550, running=40).late([6], **QUEUED)


def stopped_worker() -> World:
    world = World().during(range(60, 68), plane_ms=0, plane_wait_ms=0, loop_ms=0, worker_state="T")
    return world.late([6], **QUEUED)


def stopped_feed() -> World:
    still = {"records": 0, "feed_ms": 0, "feed_wait_ms": 0, "feed_state": "T"}
    world = World().during(range(55, 65), **still).during(range(65, 67), records=1000)
    return world.late([6], **QUEUED)


def stalled_feed() -> World:
    world = World().during(range(55, 63), records=0, feed_ms=0.5)
    return world.during(range(63, 65), records=900, plane_ms=80).late([6], **QUEUED)


def starved_feed() -> World:
    world = World().during(range(55, 63), records=0, feed_ms=0, feed_wait_ms=100)
    return world.during(range(63, 65), records=900).late([6], **QUEUED)


def burst() -> World:
    return World().during(range(60, 70), records=2000, plane_ms=95).late([6], **QUEUED)


def slow() -> World:
    gauges = {"clients_blocked": [1], "levels": [CLIENTS - 1, 0, 1]}
    world = World().during(range(60, 70), gauges=gauges).late([6], **SOCKETS)
    client = {"connection_id": "c-3", "address": "10.1.1.1:9", "level": 2, "age_ms": 790.5}
    world.said[6] = {"worker-0": {"slowest": [client | {"why": "above the target"}]}}
    return world


def large_audience() -> World:
    gauges = {"infeasible": [1], "fan_out_ns": [80 * MS], "audience_max": [20_000]}
    return World().during(range(100), gauges=gauges).late(range(10), **SWEPT)


def overloaded() -> World:
    gauges = {"plane_busy_ppm": [990_000], "delivered_per_s": [90_000], "ladder_step": [2]}
    return World().during(range(58, 100), plane_ms=98, gauges=gauges).late(range(6, 10), **QUEUED)


def collecting() -> World:
    world = World().during([61], gc_feed_ms=120)
    return world.late([6], ingest={120: 100}, total_0={0.15: 19_000, 120: 1000})


def suspended() -> World:
    nothing = dict.fromkeys(("plane_ms", "plane_wait_ms", "feed_ms", "feed_wait_ms"), 0)
    world = World().during([61], span_ns=3000 * MS, loop_ms=0, records=200, **nothing)
    return world.late([6, 9], **QUEUED)


def restarted() -> World:
    return World().during([62], restarted=True).late([6, 7], **QUEUED)


def overtaken() -> World:
    world = World().during([62], counters={"ring_lapped": [1], "dropped_lapped": [0, 5000]})
    return world.late([6], **QUEUED)


CAUSES: dict[str, tuple[str, Maker]] = {
    "theft": ("cpu_theft", stolen),
    "a theft between writes": ("cpu_theft", stolen_between_writes),
    "a theft from clients too": ("cpu_theft", stolen_from_all),
    "a theft without a break": ("cpu_theft", stolen_without_a_break),
    "a theft until after the harm": ("cpu_theft", stolen_until_after_the_harm),
    "a stopped worker": ("stopped", stopped_worker),
    "a stopped feed": ("stopped", stopped_feed),
    "a stalled feed": ("feed_stalled", stalled_feed),
    "a starved feed": ("cpu_theft", starved_feed),
    "a burst": ("burst", burst),
    "a slow client": ("slow_clients", slow),
    "too large an audience": ("audience", large_audience),
    "overload": ("overload", overloaded),
    "garbage": ("garbage_collection", collecting),
    "a suspended host": ("paused", suspended),
    "a restart": ("restarted", restarted),
    "a lap": ("ring_lapped", overtaken),
}


@pytest.mark.parametrize(("cause", "make"), CAUSES.values(), ids=CAUSES)
def test_the_first_cause(cause: str, make: Maker) -> None:
    found = explain(make().build())
    assert found.first_cause is not None, render(found)
    assert found.first_cause.cause == cause, render(found)
    assert found.harm is not None


@pytest.mark.parametrize(("cause", "make"), CAUSES.values(), ids=CAUSES)
def test_the_first_cause_on_a_busy_host(cause: str, make: Maker) -> None:
    """A thread that always waits twice as long as it runs is no cause of what is new."""
    world = make()
    for step in range(100):
        world.steps.setdefault(step, {}).setdefault("plane_wait_ms", 20.0)
        world.steps[step].setdefault("feed_wait_ms", 10.0)
    found = explain(world.build())
    assert found.first_cause is not None, render(found)
    assert found.first_cause.cause == cause, render(found)


def test_where_nothing_accounts_for_it_nothing_is_claimed() -> None:
    found = explain(World().late([6], **QUEUED).build())
    assert found.first_cause is None
    assert found.alternatives == ()
    assert "First cause: not determined. Nothing in the recording" in render(found)


@pytest.mark.parametrize(
    ("late", "said"),
    [
        ({250: 20_000}, "20,000 late (100 %)"),
        ({0.1: 1_000_000, 250: 4000}, "4,000 late (0.398 %)"),
        ({0.1: 30_000_000, 250: 1}, "1 late (under 0.001 %)"),
    ],
)
def test_shares_are_told_without_exponents(late: Durations, said: str) -> None:
    bad = QUEUED | {"total_0": {250: 1_000_000}, "total_1": late}
    assert said in render(explain(World().late([6], **bad).build()))


def test_where_nobody_was_hurt_there_is_no_cause() -> None:
    found = explain(World().during(range(60, 70), records=0).build())
    assert (found.first_cause, found.harm) == (None, None)
    assert "nobody in the recorded time" in render(found)


def test_a_clock_that_was_set_is_told_and_not_blamed() -> None:
    found = explain(World().during([61], clock_ms=-5000).late([6], **QUEUED).build())
    assert found.first_cause is None
    (other,) = found.alternatives
    assert (other.cause, other.confidence) == ("clock_step", "possible")
    assert "set back by 5.00 s" in other.words


def test_a_collection_in_a_worker_is_told_and_not_blamed() -> None:
    found = explain(World().during([61], gc_worker_ms=300).late([6], **QUEUED).build())
    assert found.first_cause is None
    assert [one.cause for one in found.alternatives] == ["garbage_collection"]


def test_a_feed_that_is_often_silent_is_not_blamed_for_it() -> None:
    world = World()
    for step in range(100):
        world.during([step], records=0 if step % 10 else 2000)
    found = explain(world.late([6], **QUEUED).build())
    assert found.first_cause is None, render(found)


def test_a_pause_much_shorter_than_the_harm_is_no_first_cause() -> None:
    world = World().during(range(60, 62), records=0).during([62], records=600)
    world.late([6], fanout={3000: 20_000}, total_0={3000: 20_000})
    found = explain(world.build())
    assert found.first_cause is None or found.first_cause.cause != "feed_stalled", render(found)


def test_the_first_of_a_chain_is_the_cause_and_the_rest_are_listed() -> None:
    world = stopped_feed()
    world.during(range(65, 70), gauges={"clients_blocked": [1]})
    found = explain(world.build())
    assert found.first_cause is not None
    assert found.first_cause.cause == "stopped"
    assert {"feed_stalled", "burst"} <= {one.cause for one in found.alternatives}


# --- what is told beside the cause ----------------------------------------------------------------


def test_who_was_hurt() -> None:
    world = slow()
    world.late([6], total_2={5: 400}, total_3={900: 7})
    world.header = msgspec.structs.replace(world.header, targets_us=[1000, 1000, 500_000, None])
    harm = explain(world.build()).harm
    assert harm is not None
    late = {one["number"]: (one["delivered"], one["late"]) for one in harm["classes"]}
    assert late == {0: (20_000, 1000), 2: (400, 0), 3: (7, 0)}
    assert (harm["clients"], harm["blocked"], harm["slowed"], harm["cut_off"]) == (10, 1, 1, 0)
    (client,) = harm["slow"]
    assert (client["connection"], client["age_ms"]) == ("c-3", 790)
    assert (harm["from"], harm["to"]) == (REAL_NS + 6000 * MS, REAL_NS + 7000 * MS)


def test_the_timeline_rises_and_begins_with_the_cause() -> None:
    world = stolen()
    step = {"ts": REAL_NS + 6300 * MS, "step": 1, "was": 0, "reason": "p99 \x1b[31mred"}
    stall = {"ts": REAL_NS + 6200 * MS, "kind": "theft", "ms": 95.0, "words": "runnable for 95 ms"}
    world.said[6] = {"worker-0": {"ladder": [step], "stalls": [stall]}}
    world.said[7] = {"worker-0": {"ladder": [{}], "stalls": [{"ts": "x"}], "slowest": [{}]}}
    found = explain(world.build())
    times = [event.ts for event in found.timeline]
    assert times == sorted(times)
    assert found.timeline[0].ms == 0
    assert found.zero == REAL_NS + 6000 * MS
    words = [event.words for event in found.timeline]
    assert any("had no CPU" in one for one in words)
    assert any("from step 0 to 1" in one for one in words)
    assert found.first_cause is not None
    assert any("runnable for 95 ms" in line for line in found.first_cause.evidence)
    text = render(found)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= COLUMNS


def test_json_comes_back() -> None:
    text = msgspec.json.encode(explain(slow().build()))
    assert msgspec.json.encode(msgspec.json.decode(text, type=Explanation)) == text


@pytest.mark.parametrize("steps", [0, 1])
def test_a_recording_of_nearly_nothing(steps: int) -> None:
    from gateway.recorder.evidence import evidence

    whole = World().late([6], **QUEUED).build()
    samples = [step.before for step in whole.steps[: steps + 1]] if steps else []
    for seconds in ([], whole.seconds):
        found = explain(evidence(whole.header, samples, seconds))
        assert found.first_cause is None
        assert render(found)


def test_what_comes_after_the_harm_is_not_its_cause() -> None:
    """A worker is restarted when most of the harm is done."""
    world = World().during(range(50, 60), records=2000, plane_ms=95).late([5], **QUEUED)
    world.during([75], restarted=True).late([7], ring={0.03: 1000}, total_0={0.1: 9000, 250: 2000})
    found = explain(world.build())
    assert found.first_cause is not None
    assert found.first_cause.cause == "burst", render(found)
    assert "restarted" in {one.cause for one in found.alternatives}


def test_a_client_whose_socket_was_full_before_the_first_late_update() -> None:
    world = World().during(range(35, 59), gauges={"clients_blocked": [1]}).late([6], **SOCKETS)
    found = explain(world.build())
    assert found.first_cause is not None
    assert found.first_cause.cause == "slow_clients", render(found)


def test_a_slow_client_is_no_theft_s_doing_though_the_plane_waits_too() -> None:
    world = slow().during(range(60, 70), plane_ms=2, plane_wait_ms=95)
    found = explain(world.build())
    assert found.first_cause is not None
    assert found.first_cause.cause == "slow_clients", render(found)


def test_what_began_clearly_before_comes_first() -> None:
    """A burst, in which the plane then waits for a CPU too: that is no theft's doing."""
    world = World().during(range(55, 70), records=2000, plane_ms=60)
    world.during(range(60, 70), plane_ms=10, plane_wait_ms=90).late([6], **QUEUED)
    found = explain(world.build())
    assert found.first_cause is not None
    assert found.first_cause.cause == "burst", render(found)
    assert [one.cause for one in found.alternatives] == ["cpu_theft"]
