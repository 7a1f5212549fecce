"""What `demo` serves with: by what was kept, else measured; never less than the default."""

import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.facts import MIB, facts, host, wakes

from gateway.tune import choose, keep
from gateway.tune import host as this_host
from gateway.tune.facts import Facts, Memory
from gateway.tune.propose import propose

MAX = 60_000_000
SMALL = Memory(total_bytes=512 * MIB, available_bytes=256 * MIB)


class Measure:
    """Gives what it is made of, and counts how often it was asked."""

    def __init__(self, found: Facts) -> None:
        self.found = found
        self.asked: list[float] = []

    def __call__(self, seconds: float, environ: Mapping[str, str]) -> Facts:
        self.asked.append(seconds)
        return self.found


def chosen(found: Facts, target_us_max: int = MAX, *, crowded: bool = False) -> choose.Chosen:
    proposals = propose(found, workers=1)
    return choose.from_proposals(proposals, target_us_max, "now", crowded=crowded)


def test_a_target_that_the_host_holds() -> None:
    found = chosen(facts(host=host(2)))
    assert found.document == {"slo": {"target_us": 5000}}
    assert found.reason.startswith("two sweeps over 50 clients")
    assert found.reason.endswith("(now)")
    assert "\n" not in found.reason


def test_never_below_the_default() -> None:
    found = chosen(facts(wake=wakes(2.0, 10.0), send_across=None, send_beside=facts().send_beside))
    assert found.document == {"slo": {"target_us": 1000}}
    assert found.reason == "the default; this host holds 450 us (now)"


def test_who_looks_at_a_demo_on_few_cpus_is_allowed_for() -> None:
    found = chosen(facts(wake=wakes(5.0, 400.0)), crowded=True)
    assert found.document == {"slo": {"target_us": choose.CROWDED_US}}
    assert found.reason == (
        "a browser and clients on the gateway's own CPUs keep one for 4 ms; "
        "without them 2 ms would do (now)"
    )
    busy = facts(host=host(2), wake_busy=wakes(5000.0, 9000.0))
    assert chosen(busy, crowded=True) == chosen(busy)  # its target allows for more already


@pytest.mark.parametrize(
    ("cpus", "workers", "target_us"), [(2, 1, 5000), (5, 1, 5000), (6, 1, 1000), (6, 2, 5000)]
)
def test_few_are_fewer_than_what_runs(
    cpus: int, workers: int, target_us: int, tmp_path: Path
) -> None:
    calm = facts(host=host(cpus), wake=wakes(5.0, 40.0), wake_busy=wakes(5.0, 40.0))
    found = choose.choose(
        workers=workers,
        target_us_max=MAX,
        environ={"STATE_DIRECTORY": str(tmp_path)},
        measure=Measure(calm),
    )
    assert found.document["slo"] == {"target_us": target_us}


def test_not_above_what_screens_were_promised() -> None:
    found = chosen(facts(host=host(2)), target_us_max=3000)
    assert found.document == {"slo": {"target_us": 3000}}
    assert "slo.display_target_us allows no more, and 5 ms would be right" in found.reason


def test_less_memory_where_there_is_little() -> None:
    assert chosen(facts(memory=SMALL)).document == {
        "slo": {"target_us": 1000},
        "ring": {"capacity_bytes": 16 * MIB},
        "plane": {"log_bytes": 16 * MIB},
    }


def test_a_longer_ring_is_not_chosen() -> None:
    found = chosen(facts(wake=wakes(5.0, 40.0, max_us=6e6)))
    assert "ring" not in found.document


def test_where_none_can_be_proposed_it_is_the_default_and_told_why() -> None:
    found = chosen(facts(wake=None, missing=("wake-ups: a thread: no",)))
    assert found.document == {}
    assert "none can be proposed (slo.target_us: wake-ups: a thread: no)" in found.reason


def test_what_is_kept_is_used_and_nothing_measured(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path)}
    kept = facts(host=this_host.host(), taken_ns=time.time_ns(), wake_busy=wakes(9.0, 9000.0))
    assert keep.save(keep.path(environ), kept) == ""
    measure = Measure(facts())
    found = choose.choose(workers=1, target_us_max=MAX, environ=environ, measure=measure)
    assert measure.asked == []
    assert found == choose.from_proposals(propose(kept, workers=1), MAX, "measured before")


@pytest.mark.parametrize("kept", [None, b"{}", b"\x00"])
def test_else_it_is_measured_for_less_than_a_second(kept: bytes | None, tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path)}
    if kept is not None:
        (tmp_path / keep.NAME).write_bytes(kept)
    measure = Measure(facts(host=host(2)))
    found = choose.choose(workers=1, target_us_max=MAX, environ=environ, measure=measure)
    assert measure.asked == [choose.QUICK_S]
    assert choose.QUICK_S < 1
    assert found.document == {"slo": {"target_us": 5000}}
    assert found.reason.endswith("(measured for 0.8 s just now)")


def test_a_file_that_can_not_be_read_is_not_there(tmp_path: Path) -> None:
    (tmp_path / keep.NAME).symlink_to(tmp_path / keep.NAME)
    assert choose.known({"STATE_DIRECTORY": str(tmp_path)}) is None
