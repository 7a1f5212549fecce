"""The measurement as a whole: every part is taken, or its absence has a reason."""

import errno
import os
from typing import Any

import pytest

from gateway import _native
from gateway.tune import host, measure


def clock(offset_ns: int = 0, steps: int = 0, step_ns: int = 0, reads: int = 256) -> dict[str, Any]:
    found = {"reads": reads, "offset_ns": offset_ns, "steps": steps, "step_ns": step_ns}
    return found | {"read_ns": 21.04}


@pytest.mark.parametrize(
    ("first", "last", "steps", "step_ns"),
    [
        (clock(), clock(), 0, 0),
        (clock(), clock(5_200_000), 0, 0),  # slewed: 500 ppm of 10 s
        (clock(), clock(5_200_001), 1, 5_200_001),
        (clock(), clock(-7_000_000), 1, -7_000_000),
        (clock(steps=1, step_ns=-300_000), clock(steps=2, step_ns=200_000), 3, -300_000),
    ],
)
def test_steps_of_the_wall_clock(
    first: dict[str, Any], last: dict[str, Any], steps: int, step_ns: int
) -> None:
    found = measure.clocks(first, last, 10_000_000_000)
    assert found is not None
    assert (found.read_ns, found.steps, found.step_ns) == (21.0, steps, step_ns)


def test_no_time_for_a_look_at_the_clocks() -> None:
    assert measure.clocks(clock(reads=0), clock(), 1) is None
    assert measure.clocks(clock(), clock(reads=0), 1) is None


def test_this_host_is_measured() -> None:
    found = measure.measure(0.3)
    assert found.host == host.host()
    assert found.memory.total_bytes >= found.memory.available_bytes > 0
    assert found.clocks is not None
    assert found.clocks.read_ns > 0
    assert found.wake is not None
    assert found.wake.delay.count + found.wake.delay.negative == found.wake.rung > 0
    assert found.wake_busy is not None
    assert found.send_beside is not None
    assert found.send_beside.sends == found.send_beside.round.count * measure.SOCKETS
    if len(os.sched_getaffinity(0)) > 1:
        assert found.missing == ()
        assert found.send_across is not None
        assert found.send_across.round.count > 0


def test_one_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "two_cpus", lambda: None)
    found = measure.measure(0.2)
    assert found.send_across is None
    assert found.send_beside is not None
    assert found.missing == ("sends to another CPU: this process may use one CPU only",)


def test_what_is_refused_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> dict[str, Any]:
        raise OSError(errno.EMFILE, "Too many open files", "a connection to 127.0.0.1")

    monkeypatch.setattr(_native, "tune_send", refuse)
    monkeypatch.setattr(host, "two_cpus", lambda: (0, 0))
    found = measure.measure(0.2)
    assert found.send_across is found.send_beside is None
    assert (
        found.missing == ("sends on one CPU: a connection to 127.0.0.1: Too many open files",) * 2
    )


def test_no_time_at_all_is_told() -> None:
    found = measure.measure(0)
    assert found.send_beside is None
    assert found.wake is None
    assert "wake-ups: none in the time given" in found.missing
    assert "sends on one CPU: none in the time given" in found.missing
