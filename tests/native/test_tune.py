"""What `tickgate tune` measures with, as Python sees it: counts, and errors by name."""

import errno
from typing import Any

import pytest

from gateway import _native

SEND: dict[str, Any] = {
    "duration_ns": 10**12,
    "pause_ns": 0,
    "rounds_max": 5,
    "slice_ns": 100_000,
    "sockets": 3,
    "bytes": 100,
    "sender_cpu": -1,
    "reader_cpu": -1,
}
WAKE: dict[str, Any] = {
    "duration_ns": 10**12,
    "interval_ns": 1000,
    "rounds_max": 50,
    "slice_ns": 100_000,
    "cpu": -1,
    "ringer_cpu": -1,
    "busy": False,
}


def test_the_clock() -> None:
    found = _native.tune_clock(10**12, 4)
    assert found["reads"] == 4 * 256
    assert found["read_ns"] > 0
    assert _native.tune_clock(0, 4)["reads"] == 0


def test_sends() -> None:
    found = _native.tune_send(**SEND)
    assert (found["sends"], found["short_sends"], found["bytes"]) == (15, 0, 1500)
    assert found["round"]["count"] == 5
    assert 0 < found["round"]["p50_ns"] <= found["round"]["tail_ns"] <= found["round"]["max_ns"]


@pytest.mark.parametrize(
    "bad", [{"sockets": 0}, {"sockets": _native.TUNE_SOCKETS_MAX + 1}, {"bytes": 0}]
)
def test_options_beyond_the_bounds_are_refused_by_name(bad: dict[str, int]) -> None:
    with pytest.raises(OSError, match="the options") as caught:
        _native.tune_send(**SEND | bad)
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("bad", [{"sockets": -1}, {"duration_ns": 1 << 63}, {"rounds_max": -1}])
def test_what_no_number_there_can_be_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(OverflowError):
        _native.tune_send(**SEND | bad)


@pytest.mark.parametrize("busy", [False, True])
def test_wake_ups(busy: bool) -> None:
    found = _native.tune_wake(**WAKE | {"busy": busy})
    assert (found["rung"], found["skipped"]) == (50, 0)
    assert found["delay"]["count"] + found["delay"]["negative"] == 50
