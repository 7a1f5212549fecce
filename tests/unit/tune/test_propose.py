"""From facts to proposals: ordinary hosts, and the strangest ones."""

import math

import pytest
from support.facts import GIB, MIB, MS, US, facts, host, sends, wakes

from gateway import _native
from gateway.config import assemble
from gateway.options import PlaneOptions, RingOptions
from gateway.tune.facts import Clocks, Facts, Memory
from gateway.tune.propose import (
    RECORD_BYTES,
    TARGET_US_MAX,
    TARGET_US_MIN,
    Proposals,
    propose,
    readable,
    size,
    text,
)

ALWAYS = ["slo.target_us", "cluster.workers", "plane.wait", "ring.capacity_bytes"]


def values(found: Proposals) -> dict[str, int | str]:
    return {one.key: one.value for one in found.proposals}


def memory(available: int) -> Memory:
    return Memory(total_bytes=max(available, 1) * 2, available_bytes=available)


# --- the target -----------------------------------------------------------------------------------


def test_a_quiet_host_with_room() -> None:
    found = propose(facts())
    # Two sweeps of 50 sends at 4 us and a wake-up of 40 us; at risk from 0.8 of the target on.
    assert (found.estimate_us, found.holds_us) == (440, 550)
    assert values(found) == {
        "slo.target_us": 1000,
        "cluster.workers": 1,
        "plane.wait": "spin",
        "ring.capacity_bytes": RingOptions().capacity_bytes,
    }
    assert found.refused == found.notes == ()
    reason = found.proposals[0].reason
    assert "50 clients at 4 us a send are 400 us" in reason
    assert "takes 40 us" in reason
    assert "440 us" in reason


def test_two_cpus_wait_for_a_busy_thread() -> None:
    found = propose(facts(host=host(2)))
    assert found.estimate_us == 400 + 2000
    assert found.get("slo.target_us") is not None
    assert values(found)["slo.target_us"] == 5000
    assert "beside a busy thread" in found.proposals[0].reason


@pytest.mark.parametrize(
    ("cpus", "quota", "others"),
    [(1, 0, 3), (2, 0, 1), (3, 0, 1), (4, 0, 0), (64, 0, 0), (8, 2, 1), (8, 0.5, 7), (64, 4, 0)],
)
def test_who_may_come_first(cpus: int, quota: float, others: int) -> None:
    found = propose(facts(host=host(cpus, quota)), workers=1)
    assert found.estimate_us == 400 + (40 if others == 0 else 2000 * others)


def test_a_sweep_that_is_held_up_counts_where_it_is_worse_than_a_wake_up() -> None:
    found = propose(facts(send_across=sends(4.0, held_us=700.0)))
    assert found.estimate_us == 400 + 700
    assert "held up for 700 us" in found.proposals[0].reason
    assert propose(facts(send_across=sends(4.0, held_us=30.0))).estimate_us == 440


def test_the_dearer_sends_count() -> None:
    assert propose(facts(send_beside=sends(9.0))).estimate_us == 900 + 40
    assert propose(facts(send_across=None)).estimate_us == 350 + 40


def test_stolen_time_stretches_it() -> None:
    found = propose(facts(stolen_ns=5_000_000_000))
    assert found.estimate_us == 880
    assert "50.00% of the time is stolen" in found.proposals[0].reason
    assert any("shared with others" in note for note in found.notes)
    assert values(found)["plane.wait"] == "hybrid"


def test_huge_steal_leaves_no_target_and_says_why() -> None:
    found = propose(facts(stolen_ns=10_000_000_000))
    assert found.get("slo.target_us") is None
    assert "all of the time was stolen" in found.refused[0]
    found = propose(facts(stolen_ns=9_999_999_999, wake=wakes(5.0, 1e5)))
    assert found.get("slo.target_us") is None
    assert "more than 60 s is none" in found.refused[0]
    assert found.holds_us is not None
    assert found.holds_us > TARGET_US_MAX


def test_more_clients_take_longer_and_workers_share_them() -> None:
    assert propose(facts(), clients=500, workers=1).estimate_us == 4000 + 40
    assert propose(facts(), clients=500, workers=2).estimate_us == 2000 + 40
    assert propose(facts(), clients=1, workers=1).estimate_us == 8 + 40
    assert propose(facts(), clients=3, workers=2).estimate_us == 16 + 40


@pytest.mark.parametrize("absent", ["wake", "send_across and send_beside"])
def test_what_was_not_measured_is_named(absent: str) -> None:
    missing = dict.fromkeys(absent.split(" and "))
    found = propose(facts(**missing, missing=("a thread: no more of them",)))
    assert found.get("slo.target_us") is None
    assert found.estimate_us is found.holds_us is None
    assert "slo.target_us: a thread: no more of them" in found.refused
    assert found.get("ring.capacity_bytes") is not None


def test_nothing_was_measured() -> None:
    nothing = facts(
        clocks=None, send_across=None, send_beside=None, wake=None, wake_busy=None,
        memory=memory(0), load=-1.0,
    )  # fmt: skip
    found = propose(nothing)
    assert "slo.target_us: nothing was measured" in found.refused
    assert values(found) == {"plane.wait": "hybrid", "ring.capacity_bytes": 64 * MIB}


@pytest.mark.parametrize(
    ("us", "target"),
    [
        (0.1, TARGET_US_MIN), (100, 100), (100.1, 150), (199, 200), (200, 200), (201, 250),
        (4800, 5000), (5001, 6000), (8001, 10_000), (9999, 10_000), (10_001, 15_000),
        (50_000_001, TARGET_US_MAX), (TARGET_US_MAX, TARGET_US_MAX), (1e12, TARGET_US_MAX),
    ],
)  # fmt: skip
def test_readable(us: float, target: int) -> None:
    assert readable(us) == target


def test_readable_is_never_less_and_never_half_as_much_again() -> None:
    for us in range(100, 100_000, 37):
        assert us <= readable(us) <= us * 1.5


# --- workers and waiting --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cpus", "clients", "workers"),
    [
        (1, 5000, 1), (2, 5000, 1), (4, 5000, 1), (6, 5000, 2), (8, 5000, 3),
        (64, 50, 1), (64, 250, 1), (64, 251, 2), (64, 5000, 20), (64, 1_000_000, 31),
        (512, 1_000_000, 64),
    ],
)  # fmt: skip
def test_workers(cpus: int, clients: int, workers: int) -> None:
    found = propose(facts(host=host(cpus)), clients=clients)
    assert values(found)["cluster.workers"] == workers
    one = found.get("cluster.workers")
    assert one is not None
    assert "sweep" in one.reason


def test_workers_that_are_decided_are_counted_with() -> None:
    found = propose(facts(), clients=250, workers=3)
    assert values(found)["cluster.workers"] == 1
    assert found.estimate_us == math.ceil(2 * 84 * 4 + 40)


@pytest.mark.parametrize(
    ("what", "wait", "why"),
    [
        (facts(host=host(64)), "spin", "costs 5 us, and 64 CPUs"),
        (facts(host=host(6)), "spin", "6 CPUs leave one"),
        (facts(host=host(5)), "hybrid", "takes 6 CPUs, and there are 5"),
        (facts(host=host(64, quota=32.0)), "hybrid", "quota of 32 CPUs"),
        (facts(stolen_ns=20_000_000), "hybrid", "0.20% of the time is stolen"),
        (facts(wake=None), "hybrid", "not known"),
    ],
)
def test_wait(what: Facts, wait: str, why: str) -> None:
    one = propose(what).get("plane.wait")
    assert one is not None
    assert one.value == wait
    assert why in one.reason


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("available", "workers", "ring", "log"),
    [
        (64 * GIB, 1, 64 * MIB, None),
        (GIB, 1, 64 * MIB, None),
        (GIB - 1, 1, 32 * MIB, 32 * MIB),
        (GIB, 4, 64 * MIB, 16 * MIB),
        (4 * GIB, 4, 64 * MIB, None),
        (100 * MIB, 1, 4 * MIB, 8 * MIB),
        (MIB, 1, MIB, 8 * MIB),
        (1, 64, MIB, 8 * MIB),
    ],
)
def test_memory(available: int, workers: int, ring: int, log: int | None) -> None:
    found = propose(facts(memory=memory(available)), workers=workers)
    assert values(found)["ring.capacity_bytes"] == ring
    assert values(found).get("plane.log_bytes") == log
    one = found.get("ring.capacity_bytes")
    assert one is not None
    assert size(ring) in one.reason
    assert (size(available) in one.reason) == (ring < 64 * MIB)
    if log is not None:
        assert log < PlaneOptions().log_bytes


def test_a_tiny_host_is_told() -> None:
    (note,) = propose(facts(memory=memory(100 * MIB))).notes
    assert "100 MiB of memory are available" in note


def test_a_long_pause_makes_a_longer_ring() -> None:
    found = propose(facts(wake=wakes(5.0, 40.0, max_us=6e6)))
    one = found.get("ring.capacity_bytes")
    assert one is not None
    # Four times what comes in 6 s: 50,000 a second of 128 bytes.
    assert one.value == 256 * MIB
    assert "longest pause was 6 s" in one.reason


def test_a_record_in_the_ring_is_as_large_as_the_native_one() -> None:
    assert RECORD_BYTES == _native.RECORD_SIZE_USUAL


# --- notes and texts ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "note"),
    [
        (facts(load=9.5), "load average was 9.5 on 8 CPUs"),
        (facts(host=host(8, quota=4.0)), "a quota of 4 CPUs"),
        (facts(wake=wakes(5.0, 40.0, slice=False)), "no scheduler slice"),
        (facts(wake_busy=wakes(5.0, 40.0, negative=3)), "clocks disagree: 3 wake-ups"),
        (
            facts(clocks=Clocks(source="tsc", read_ns=20.0, steps=1, step_ns=-3 * MS)),
            "set by 3 ms",
        ),
        (
            facts(clocks=Clocks(source="hpet", read_ns=900.0, steps=0, step_ns=0)),
            "takes 900 ns (clocksource hpet)",
        ),
    ],
)
def test_notes(what: Facts, note: str) -> None:
    (found,) = propose(what).notes
    assert note in found


def test_durations_and_sizes() -> None:
    assert [text(ns) for ns in (0, 21, 3.4 * US, 1.85 * MS, 6e9)] == [
        "0 ns", "21 ns", "3.4 us", "1.85 ms", "6 s",
    ]  # fmt: skip
    assert [size(n) for n in (0, 4096, 64 * MIB, 3 * GIB)] == [
        "0 bytes", "4 KiB", "64 MiB", "3 GiB",
    ]  # fmt: skip


@pytest.mark.parametrize("cpus", [1, 2, 64])
@pytest.mark.parametrize("available", [0, MIB, GIB, 64 * GIB])
@pytest.mark.parametrize("clients", [1, 50, 1_000_000])
def test_what_is_proposed_is_a_good_configuration(cpus: int, available: int, clients: int) -> None:
    found = propose(facts(host=host(cpus), memory=memory(available)), clients=clients)
    assert [one.key for one in found.proposals][:4] == ALWAYS
    document: dict[str, dict[str, int | str]] = {}
    for one in found.proposals:
        section, _, key = one.key.partition(".")
        document.setdefault(section, {})[key] = one.value
        assert one.reason
    config = assemble(document, {})
    assert config.slo.target_us == values(found)["slo.target_us"]
    assert found.holds_us is not None
    assert config.slo.target_us >= found.holds_us
