"""Each kind of stall by what the process says of itself; nothing here looks at a clock."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.latency.stalls import (
    KINDS,
    LATE_NS,
    Beat,
    Judge,
    Stall,
    WallClock,
)

MS = 1_000_000
HOUR_NS = 3_600_000 * MS
INTERVAL_NS = 50 * MS
PAUSE_NS = 300 * MS
REAL_NS = 1_790_000_000_000 * MS


class Life:
    """A process with a loop that turns in time, and what befalls it."""

    def __init__(self, *, others: float = 0.0) -> None:
        """`others`: CPU that the other threads use, of a CPU."""
        self.others = others
        self.beat = Beat(at_ns=0, real_ns=REAL_NS)
        self.judge = Judge(INTERVAL_NS, self.beat)
        for _ in range(50):
            assert self.turn() == []

    def turn(self, late_ns: int = 0, *, others_ns: int | None = None, **more: int) -> list[Stall]:
        """One turn, later than it should be; `more` is added to the beat's numbers."""
        gap_ns = INTERVAL_NS + late_ns
        beside_ns = int(self.others * gap_ns) if others_ns is None else others_ns
        used_ns = more.get("cpu_ns", 0)
        change = {"at_ns": gap_ns, "real_ns": gap_ns, "process_cpu_ns": used_ns + beside_ns}
        values = self.beat._asdict() | {"gc_longest_ns": 0}
        for name, value in (change | more).items():
            values[name] += value
        self.beat = Beat(**values)
        return self.judge.turn(self.beat)

    def named(self, late_ns: int = PAUSE_NS, **more: Any) -> tuple[str, int]:
        """Kind and duration of the one stall of a turn."""
        (stall,) = self.turn(late_ns, **more)
        assert stall.ts == self.beat.real_ns
        assert stall.words
        return stall.kind, stall.duration_ns


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        pytest.param({}, "process", id="nothing ran, nothing waited"),
        pytest.param({"continued": 1}, "process", id="continued by a signal"),
        pytest.param({"continued": 1, "cpu_ns": 20 * MS}, "process", id="and worked before"),
        pytest.param({"run_delay_ns": 280 * MS}, "theft", id="runnable"),
        pytest.param({"run_delay_ns": 180 * MS, "cpu_ns": 120 * MS}, "theft", id="mostly"),
        pytest.param({"stolen_ns": 150 * MS}, "theft", id="taken by the host"),
        pytest.param({"stolen_ns": 290 * MS, "cpu_ns": 300 * MS}, "theft", id="taken, but charged"),
        pytest.param({"cpu_ns": 290 * MS}, "loop", id="a callback that computes"),
        pytest.param(
            {"cpu_ns": 200 * MS, "run_delay_ns": 100 * MS}, "loop", id="and is interrupted"
        ),
        pytest.param({"cpu_ns": 290 * MS, "continued": 1}, "loop", id="CONT without STOP"),
        pytest.param({"gc_ns": PAUSE_NS, "cpu_ns": PAUSE_NS}, "gc", id="many collections"),
    ],
)
def test_the_largest_share_names_it(more: dict[str, int], kind: str) -> None:
    assert Life().named(**more) == (kind, PAUSE_NS)


def test_other_threads_tell_a_waiting_callback_from_a_process_that_stands() -> None:
    usual_ns = INTERVAL_NS // 2  # what half a CPU does before the pause, and the rush after it
    assert Life(others=0.5).named()[0] == "loop"
    assert Life(others=0.5).named(others_ns=usual_ns + 10 * MS)[0] == "process"
    # Where they hardly do anything, that they did nothing says nothing.
    assert Life(others=0.001).named(others_ns=usual_ns)[0] == "process"


def test_a_signal_is_better_evidence_than_the_other_threads() -> None:
    assert Life(others=0.5).named(others_ns=PAUSE_NS // 2, continued=1)[0] == "process"


def test_a_collection_is_named_exactly_wherever_it_falls() -> None:
    life = Life()
    took = {"gc_ns": 60 * MS, "gc_longest_ns": 60 * MS, "cpu_ns": 60 * MS}
    assert life.named(0, **took) == ("gc", 60 * MS), "the turn itself is in time"
    assert life.named(200 * MS, gc_ns=204 * MS, gc_longest_ns=204 * MS) == ("gc", 204 * MS)


def test_what_a_collection_does_not_explain_has_its_own_name() -> None:
    took = {"gc_ns": 100 * MS, "gc_longest_ns": 100 * MS, "cpu_ns": 100 * MS}
    kinds = [(one.kind, one.duration_ns) for one in Life().turn(PAUSE_NS, continued=1, **took)]
    assert kinds == [("gc", 100 * MS), ("process", 200 * MS)]


def test_what_is_shorter_is_not_named() -> None:
    life = Life()
    assert life.turn(LATE_NS - 1, cpu_ns=LATE_NS) == []
    assert life.turn(0, gc_ns=LATE_NS, gc_longest_ns=LATE_NS - 1) == []
    assert life.named(LATE_NS, cpu_ns=LATE_NS) == ("loop", LATE_NS)
    assert life.turn() == [], "each is named once"


@given(
    late_ns=st.integers(LATE_NS, HOUR_NS),
    more=st.fixed_dictionaries(
        {
            name: st.integers(0, HOUR_NS)
            for name in ("cpu_ns", "run_delay_ns", "stolen_ns", "gc_ns", "gc_longest_ns")
        }
        | {"continued": st.integers(0, 3)}
    ),
)
def test_a_late_turn_always_has_a_name(late_ns: int, more: dict[str, int]) -> None:
    stalls = Life().turn(late_ns, **more)
    assert stalls
    assert all(stall.kind in KINDS and stall.duration_ns >= 0 for stall in stalls)
    assert all(stall.kind not in ("plane", "clock") for stall in stalls), "others see those"


# --- the wall clock -------------------------------------------------------------------------------


class Host:
    """Three clocks that agree until something is done to them."""

    def __init__(self) -> None:
        self.mono_ns, self.boot_ns, self.real_ns = 0, 7 * HOUR_NS, REAL_NS
        self.clock = WallClock(self.mono_ns, self.boot_ns, self.real_ns)

    def look(self, after_ns: int = 1000 * MS, *, set_ns: int = 0, slept_ns: int = 0) -> list[Any]:
        self.mono_ns += after_ns
        self.boot_ns += after_ns + slept_ns
        self.real_ns += after_ns + slept_ns + set_ns
        stalls = self.clock.look(self.mono_ns, self.boot_ns, self.real_ns)
        assert all(stall.ts == self.real_ns for stall in stalls)
        return [(stall.kind, stall.duration_ns) for stall in stalls]


@pytest.mark.parametrize("step_ns", [-HOUR_NS, -111 * MS, 111 * MS, HOUR_NS])
def test_f46_a_clock_that_is_set_is_named_once_with_its_sign(step_ns: int) -> None:
    host = Host()
    assert host.look() == []
    assert host.look(set_ns=step_ns) == [("clock", step_ns)]
    assert host.look() == []


def test_f46_a_clock_that_is_slewed_is_not_set() -> None:
    host = Host()
    for _ in range(100):
        assert host.look(set_ns=100 * MS) == [], "a tenth: as fast as the kernel slews"
    assert host.look(after_ns=HOUR_NS, set_ns=HOUR_NS // 10) == []


def test_a_late_look_at_the_clock_sees_no_step() -> None:
    assert Host().look(after_ns=HOUR_NS) == []


def test_f46_a_suspended_host_is_no_clock_that_was_set() -> None:
    host = Host()
    assert host.look(slept_ns=HOUR_NS) == [("process", HOUR_NS)]
    assert host.look(slept_ns=HOUR_NS, set_ns=-HOUR_NS // 2) == [
        ("process", HOUR_NS),
        ("clock", -HOUR_NS // 2),
    ]
