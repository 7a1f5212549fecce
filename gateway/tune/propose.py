"""Proposes settings from measured facts, each with its reason. Pure.

Theory of the target. A record waits until the plane takes it, then for the sends before a client's
own. At worst it arrives just after a sweep over its audience began: it waits for that sweep and for
its own, each of `clients / workers` sends. The plane may be held up once, before or in a sweep, for
the mean of the slowest hundredth of

- wake-ups, where each busy thread can have a CPU of its own (the feed, a plane and a loop of each
  worker, and one for clients or the system);
- wake-ups beside a thread that computes all the time on the same CPU, where they can't: once for
  each thread that may have its turn first;
- rounds of sends, beyond the median one, where that is more.

Stolen time stretches all of it. The sum is the *estimate* of p99. The state is
`at_risk` from 0.8 of the target on, so what the host *holds* is the estimate over 0.8. The proposal
is twice the estimate, for the hour in which the host has something else to do, rounded up.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.options import PlaneOptions, RingOptions
from gateway.tune.facts import Facts, Sends, Times

CLIENTS: Final = 50
"""The audience that is assumed: all of them take every record."""

MARGIN: Final = 2.0
RISK: Final = 0.8
"""Share of the target beyond which the objective is at risk (latency/slo.py)."""

SWEEPS: Final = 2
ROUND: Final = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Digits that a proposed target begins with."""
TARGET_US_MIN: Final = 100
TARGET_US_MAX: Final = 60_000_000

SWEEP_NS: Final = 1_000_000
"""A worker's sweep of this length is short enough: more workers gain nothing."""
WORKERS_MAX: Final = 64

SPIN_CPUS: Final = 4
"""CPUs to have beside one for each plane and loop before a plane may spin."""
SPIN_STOLEN: Final = 0.001
"""Share of stolen time beyond which a plane should not spin: the hypervisor takes it back."""

RECORD_BYTES: Final = 128
"""Size of a usual record in the ring."""
RING_RATE: Final = 50_000
"""Records a second that the ring is sized for, as configs/default.toml says."""
PAUSE_FACTOR: Final = 4
"""The ring holds at least so many times the longest measured pause."""
MEMORY_SHARE: Final = 16
"""The ring, and all frame logs together, take at most this part of the available memory each."""
RING_BYTES_MIN: Final = 1 << 20
LOG_BYTES_MIN: Final = 8 << 20
MEMORY_BYTES_MIN: Final = 160 << 20
"""Memory of the processes without ring and logs."""


@dataclass(frozen=True)
class Proposal:
    """A key of the configuration, its value, and why."""

    key: str
    value: int | str
    reason: str


@dataclass(frozen=True)
class Proposals:
    """What is proposed.

    Attributes:
        clients: the audience that is assumed.
        estimate_us: what p99 may come to; None where it can't be told.
        holds_us: the least target that this host can hold.
        proposals: in the order of importance; the target is missing where it can't be told.
        refused: what is not proposed, and why.
        notes: what else the measurements say.
    """

    clients: int
    estimate_us: int | None
    holds_us: int | None
    proposals: tuple[Proposal, ...]
    refused: tuple[str, ...]
    notes: tuple[str, ...]

    def get(self, key: str) -> Proposal | None:
        """The proposal of that key, if there is one."""
        return next((one for one in self.proposals if one.key == key), None)


def propose(facts: Facts, clients: int = CLIENTS, workers: int | None = None) -> Proposals:
    """Proposes settings for so many clients.

    Args:
        workers: as many as there are, where that is decided; None: as many as are proposed.
    """
    sends = _slower(facts)
    proposals: list[Proposal] = []
    refused: list[str] = []
    estimate_us = holds_us = None
    proposed = None if sends is None else _workers(facts, sends, clients)
    if workers is None:
        workers = 1 if proposed is None else int(proposed.value)
    estimate = _estimate(facts, sends, clients, workers)
    if isinstance(estimate, str):
        refused.append(f"slo.target_us: {estimate}")
    else:
        estimate_us = math.ceil(estimate.ns / 1000)
        holds_us = math.ceil(estimate.ns / 1000 / RISK)
        if estimate_us * MARGIN > TARGET_US_MAX:
            refused.append(
                f"slo.target_us: p99 may come to {text(estimate.ns)}, and a target of more than "
                f"{TARGET_US_MAX // 1_000_000} s is none"
            )
        else:
            target_us = readable(estimate_us * MARGIN)
            proposals.append(Proposal("slo.target_us", target_us, estimate.reason))
    if proposed is None:
        refused.append("cluster.workers: the cost of a send is not known")
    else:
        proposals.append(proposed)
    proposals += [_wait(facts, workers), *_memory(facts, workers)]
    return Proposals(
        clients=clients,
        estimate_us=estimate_us,
        holds_us=holds_us,
        proposals=tuple(proposals),
        refused=tuple(refused),
        notes=tuple(_notes(facts)),
    )


def readable(us: float) -> int:
    """The next number of one or two digits at or above, in microseconds."""
    us = min(max(us, TARGET_US_MIN), TARGET_US_MAX)
    scale = 10.0 ** math.floor(math.log10(us))
    return min(round(next(d for d in ROUND if d * scale >= us) * scale), TARGET_US_MAX)


def text(ns: float) -> str:
    """A duration for a person."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


def size(value: int) -> str:
    """A number of bytes for a person."""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if value >= 1 << shift:
            return f"{value / (1 << shift):.3g} {unit}"
    return f"{value} bytes"


# --- the target -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Estimate:
    ns: float
    reason: str


def _slower(facts: Facts) -> Sends | None:
    """The dearer sends, since nothing says on which CPU a reader will be."""
    known = [sends for sends in (facts.send_across, facts.send_beside) if sends is not None]
    return max(known, key=lambda sends: sends.each_ns, default=None)


def _others(facts: Facts, workers: int) -> int:
    """How many busy threads may have their turn on a CPU before the plane has."""
    threads = 2 + 2 * workers
    return math.ceil(threads / max(facts.host.cpus, 0.01)) - 1


def _estimate(facts: Facts, sends: Sends | None, clients: int, workers: int) -> "_Estimate | str":
    others = _others(facts, workers)
    wakes = facts.wake_busy if others else facts.wake
    if sends is None or wakes is None:
        return "; ".join(facts.missing) or "nothing was measured"
    if facts.stolen >= 1:
        return "all of the time was stolen by the host's hypervisor"
    share = math.ceil(clients / workers)
    sweep_ns = sends.each_ns * share
    tail_ns, tail = _tail(wakes.delay, others)
    held_ns = sends.round.tail_ns - sends.round.p50_ns
    if held_ns > tail_ns:
        tail_ns, tail = held_ns, f"the slowest sweep in a hundred is held up for {text(held_ns)}"
    reason = (
        f"two sweeps over {share} clients at {text(sends.each_ns)} a send are "
        f"{text(SWEEPS * sweep_ns)}; {tail}"
    )
    if facts.stolen > 0:
        reason += f"; {facts.stolen:.2%} of the time is stolen"
    ns = (SWEEPS * sweep_ns + tail_ns) / (1 - facts.stolen)
    return _Estimate(ns, f"{reason}: p99 may come to {text(ns)}, and twice that leaves room")


def _tail(delay: Times, others: int) -> tuple[float, str]:
    slowest = f"the slowest wake-up in a hundred takes {text(delay.tail_ns)}"
    if others:
        slowest += " beside a busy thread" if others == 1 else f" for each of {others} busy threads"
    return delay.tail_ns * max(others, 1), slowest


# --- the others -----------------------------------------------------------------------------------


def _workers(facts: Facts, sends: Sends, clients: int) -> Proposal:
    cpus = facts.host.cpus
    room = max(1, math.floor((cpus - 2) / 2))
    needed = max(1, math.ceil(clients * sends.each_ns / SWEEP_NS))
    workers = min(room, needed, WORKERS_MAX)
    sweep = text(math.ceil(clients / workers) * sends.each_ns)
    if workers == needed:
        why = f"a sweep over {clients} clients takes {text(clients * sends.each_ns)}"
        why = why if workers == 1 else f"{why}, {sweep} for each of {workers}"
    elif workers == WORKERS_MAX:
        why = f"more are not allowed; a sweep of each takes {sweep}"
    else:
        why = (
            f"{cpus:g} CPUs have room for {room} (two each, two for the feed and the system); "
            f"a sweep takes {sweep}"
        )
    return Proposal("cluster.workers", workers, why)


def _wait(facts: Facts, workers: int) -> Proposal:
    def hybrid(why: str) -> Proposal:
        return Proposal("plane.wait", "hybrid", why)

    cpus, needed = facts.host.cpus, 2 * workers + SPIN_CPUS
    if facts.wake is None:
        return hybrid("how long a wake-up takes is not known")
    costs = f"a wake-up costs {text(facts.wake.delay.p50_ns)}"
    if facts.host.quota:
        return hybrid(f"{costs}, but spinning would use up the quota of {facts.host.quota:g} CPUs")
    if cpus < needed:
        return hybrid(f"{costs}, but spinning takes {needed} CPUs, and there are {cpus:g}")
    if facts.stolen > SPIN_STOLEN:
        return hybrid(f"{costs}, but {facts.stolen:.2%} of the time is stolen from who spins")
    return Proposal("plane.wait", "spin", f"{costs}, and {cpus:g} CPUs leave one for each plane")


def _memory(facts: Facts, workers: int) -> Iterator[Proposal]:
    available = facts.memory.available_bytes
    ring, log = RingOptions().capacity_bytes, PlaneOptions().log_bytes
    room = available // MEMORY_SHARE
    pause_ns = _pause_ns(facts)
    wanted = _power_of_two(int(pause_ns / 1e9 * RING_RATE * RECORD_BYTES * PAUSE_FACTOR), up=True)
    wanted = max(ring, wanted)
    capacity = max(RING_BYTES_MIN, min(wanted, _power_of_two(room) if available else wanted))
    holds = f"{size(capacity)} hold {capacity / RECORD_BYTES / RING_RATE:.3g} s of {RING_RATE}/s"
    if capacity < wanted:
        why = f"{holds}; {size(available)} of memory are available"
    elif wanted > ring:
        why = f"{holds}; the longest pause was {text(pause_ns)}"
    else:
        why = f"{holds}; the longest pause was {text(pause_ns)}, and a restart is to be outlasted"
    yield Proposal("ring.capacity_bytes", capacity, why)
    if available and log * workers > room:
        least = max(LOG_BYTES_MIN, _power_of_two(room // workers))
        yield Proposal(
            "plane.log_bytes",
            min(least, log),
            f"{size(available)} of memory are available for {workers} workers"
            if workers > 1
            else f"{size(available)} of memory are available",
        )


def _pause_ns(facts: Facts) -> int:
    """The longest time for which a thread did not get on."""
    pauses = [wakes.delay.max_ns for wakes in (facts.wake, facts.wake_busy) if wakes is not None]
    known = (facts.send_across, facts.send_beside)
    return max([0, *pauses, *(sends.round.max_ns for sends in known if sends is not None)])


def _power_of_two(value: int, *, up: bool = False) -> int:
    """The next power of two at or below, or at or above; at least 1."""
    value = max(value, 1)
    below = 1 << (value.bit_length() - 1)
    return below * 2 if up and below < value else below


# --- notes ----------------------------------------------------------------------------------------


def _notes(facts: Facts) -> Iterator[str]:
    host, clocks = facts.host, facts.clocks
    if facts.load > host.cpus:
        yield (
            f"the load average was {facts.load:g} on {host.cpus:g} CPUs: "
            "measure again when the host is at rest"
        )
    if host.quota:
        yield (
            f"a quota of {host.quota:g} CPUs: the kernel stops all threads for up to 100 ms once "
            "it is used up, which no target allows for"
        )
    if facts.wake is not None and not facts.wake.slice:
        yield "the kernel grants no scheduler slice (Linux 6.12): wake-ups wait for busy threads"
    if clocks is not None and clocks.steps:
        moved = text(abs(clocks.step_ns))
        yield f"the wall clock was set by {moved} meanwhile: do not trust the stage wire"
    if clocks is not None and clocks.read_ns > 200:
        source = clocks.source or "unknown"
        yield f"a look at the clock takes {text(clocks.read_ns)} (clocksource {source})"
    disagree = sum(wakes.delay.negative for wakes in (facts.wake, facts.wake_busy) if wakes)
    if disagree:
        yield f"the CPUs' clocks disagree: {disagree} wake-ups came before their cause"
    if facts.stolen > 0.01:
        yield f"{facts.stolen:.1%} of the time is stolen: the host is shared with others"
    if 0 < facts.memory.available_bytes < MEMORY_BYTES_MIN:
        yield (
            f"{size(facts.memory.available_bytes)} of memory are available; the gateway takes "
            f"about {size(MEMORY_BYTES_MIN)} beside ring and frame logs"
        )
