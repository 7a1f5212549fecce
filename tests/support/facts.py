"""A measured host for tests: a quiet one of eight CPUs, and whatever is to be different."""

from typing import Any

import msgspec

from gateway.tune.facts import Clocks, Facts, Host, Memory, Sends, Times, Wakes

US, MS = 1000, 1_000_000
MIB, GIB = 1 << 20, 1 << 30

HOST = Host(id="0123456789abcdef", cpu="A CPU", present=8, allowed=8, quota=0.0, kernel="6.12.1")


def times(p50_us: float, tail_us: float, max_us: float = 0.0, negative: int = 0) -> Times:
    """A distribution of 1,000 of such a median, tail and maximum (at least the tail)."""
    tail, longest = int(tail_us * US), int(max(tail_us, max_us) * US)
    return Times(
        count=1000,
        negative=negative,
        p50_ns=int(p50_us * US),
        p99_ns=tail,
        p999_ns=longest,
        max_ns=longest,
        tail_ns=tail,
    )


def sends(each_us: float, held_us: float = 0.0) -> Sends:
    """Rounds of 50 sends; the slowest hundredth of the rounds is held up for `held_us`."""
    usual = 50 * each_us
    return Sends(sockets=50, sends=50_000, short_sends=0, round=times(usual, usual + held_us))


def wakes(p50_us: float, tail_us: float, max_us: float = 0.0, **more: Any) -> Wakes:
    """1,000 wake-ups."""
    delay = times(p50_us, tail_us, max_us, more.pop("negative", 0))
    return Wakes(rung=1000, skipped=0, run_delay_ns=0, delay=delay, **({"slice": True} | more))


def host(cpus: int, quota: float = 0.0, **more: Any) -> Host:
    """A host of so many CPUs, all of them allowed."""
    return msgspec.structs.replace(HOST, present=cpus, allowed=cpus, quota=quota, **more)


def facts(**more: Any) -> Facts:
    """All of it, with what is named instead of the usual."""
    usual = Facts(
        host=HOST,
        seconds=10.0,
        taken_ns=1_800_000_000_000_000_000,
        load=0.1,
        memory=Memory(total_bytes=16 * GIB, available_bytes=12 * GIB),
        clocks=Clocks(source="tsc", read_ns=20.0, steps=0, step_ns=0),
        send_across=sends(4.0),
        send_beside=sends(3.5),
        wake=wakes(5.0, 40.0),
        wake_busy=wakes(15.0, 2000.0),
        stolen_ns=0,
    )
    return msgspec.structs.replace(usual, **more)
