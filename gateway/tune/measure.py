"""Measures this host, in a time that is given: a share of it for each measurement.

The loops are native (native/gw_tune.h), where the interpreter's own jitter is no part of what they
measure. Nothing here outlasts its share by more than one round, so the whole is bounded too.
"""

import os
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from gateway import _native as native
from gateway.host import cpus_allowed
from gateway.supervisor.schedstat import Stolen
from gateway.tune import host
from gateway.tune.facts import Clocks, Facts, Sends, Wakes

SLICE_NS: Final = 100_000
"""The data plane's and the feed process's scheduler slice."""
SOCKETS: Final = 50
"""Connections of a round of sends: enough that the readers' wake-ups spread over them as in a
sweep, few enough for a soft limit of 1,024 descriptors."""
FRAME_BYTES: Final = 200
"""A trade as JSON in its frame."""
PAUSE_NS: Final = 500_000
"""Between two rounds of sends: the readers have read all and fall asleep again."""
INTERVAL_NS: Final = 250_000
"""Between two wake-ups."""
ROUNDS_MAX: Final = 1_000_000
"""A bound beside the time, for clocks that stand still."""

# Shares of the time. The clocks are looked at first and last, so that a step in between is seen.
CLOCK_SHARE: Final = 0.03
SEND_SHARE: Final = 0.17
WAKE_SHARE: Final = 0.30

SLEW: Final = 500e-6
"""NTP moves REALTIME by at most so much (adjtimex(2)); what moves it farther was a step."""
STEP_NS: Final = 200_000

T = TypeVar("T", bound=msgspec.Struct)


def measure(seconds: float) -> Facts:
    """Takes all measurements in about so many seconds; what fails is in `missing`."""
    missing: list[str] = []
    load, stolen, begun_ns = _load(), Stolen(), time.monotonic_ns()
    first = native.tune_clock(int(seconds * CLOCK_SHARE * 1e9), ROUNDS_MAX)
    cpus = host.two_cpus()
    send_ns, wake_ns = int(seconds * SEND_SHARE * 1e9), int(seconds * WAKE_SHARE * 1e9)
    one = max(cpus_allowed()) if cpus is None else cpus[0]
    if cpus is None:
        missing.append("sends to another CPU: this process may use one CPU only")
    across = None if cpus is None else _sends(send_ns, cpus, missing)
    beside = _sends(send_ns, (one, one), missing)
    wake = _wakes(wake_ns, -1, -1, False, missing)
    ringer = -1 if cpus is None else cpus[1]
    busy = _wakes(wake_ns, one, ringer, True, missing)
    last = native.tune_clock(int(seconds * CLOCK_SHARE * 1e9), ROUNDS_MAX)
    elapsed_ns = time.monotonic_ns() - begun_ns
    return Facts(
        host=host.host(),
        seconds=max(round(elapsed_ns / 1e9, 3), 0.001),
        taken_ns=time.time_ns(),
        load=load,
        memory=host.memory(),
        clocks=clocks(first, last, elapsed_ns),
        send_across=across,
        send_beside=beside,
        wake=wake,
        wake_busy=busy,
        stolen_ns=max(stolen.read(), 0),
        missing=tuple(missing),
    )


def clocks(first: dict[str, Any], last: dict[str, Any], elapsed_ns: int) -> Clocks | None:
    """Joins two looks at the clocks; None where there was no time for one."""
    if not first["reads"] or not last["reads"]:
        return None
    steps = first["steps"] + last["steps"]
    moved = [first["step_ns"], last["step_ns"]]
    # A step that the looks saw themselves is in their offsets too, and is counted once.
    between_ns = last["offset_ns"] - first["offset_ns"]
    if not steps and abs(between_ns) > STEP_NS + elapsed_ns * SLEW:
        steps = 1
        moved.append(between_ns)
    return Clocks(
        source=host.clock_source(),
        read_ns=round(min(first["read_ns"], last["read_ns"]), 1),
        steps=steps,
        step_ns=max(moved, key=abs),
    )


def _sends(duration_ns: int, cpus: tuple[int, int], missing: list[str]) -> Sends | None:
    def run() -> dict[str, Any]:
        return {"sockets": SOCKETS} | native.tune_send(
            duration_ns=duration_ns,
            pause_ns=PAUSE_NS,
            rounds_max=ROUNDS_MAX,
            slice_ns=SLICE_NS,
            sockets=SOCKETS,
            bytes=FRAME_BYTES,
            sender_cpu=cpus[0],
            reader_cpu=cpus[1],
        )

    name = "sends on one CPU" if cpus[0] == cpus[1] else "sends to another CPU"
    return _taken(Sends, "round", name, run, missing)


def _wakes(
    duration_ns: int, cpu: int, ringer_cpu: int, busy: bool, missing: list[str]
) -> Wakes | None:
    def run() -> dict[str, Any]:
        return native.tune_wake(
            duration_ns=duration_ns,
            interval_ns=INTERVAL_NS,
            rounds_max=ROUNDS_MAX,
            slice_ns=SLICE_NS,
            cpu=cpu,
            ringer_cpu=ringer_cpu,
            busy=busy,
        )

    name = "wake-ups beside a busy thread" if busy else "wake-ups"
    return _taken(Wakes, "delay", name, run, missing)


def _taken(
    kind: type[T], times: str, name: str, run: Callable[[], dict[str, Any]], missing: list[str]
) -> T | None:
    """What was measured, if any of its `times` was."""
    try:
        taken = run()
    except OSError as error:
        missing.append(f"{name}: {error.filename}: {error.strerror}")
        return None
    if taken[times]["count"]:
        return msgspec.convert(taken, kind)
    missing.append(f"{name}: none in the time given")
    return None


def _load() -> float:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return -1.0
