"""What held a process up: stopped, starved, blocked, collecting garbage, or a clock set. Pure.

Theory of operation. A loop shall turn every `interval_ns`; each turn is a `Beat`, in which the
process says how much CPU it has used, how long it was runnable without a CPU and so on. A beat that
comes late by `LATE_NS` or more is a stall, and the differences to the beat before say whose it was:

    kind      what it was                              seen by
    process   the whole process stood still            no thread used a CPU, though none was waiting
                                                       for one; a SIGCONT came; or the host slept
    loop      a callback kept the loop                 its thread used the CPU, or waited while
                                                       other threads of the process ran
    gc        a garbage collection                     measured where it happens, late beat or not
    plane     the data plane stood still               told by the plane itself
    clock     the wall clock was set                   REALTIME moved against BOOTTIME, by more than
                                                       slewing can do; the time is signed
    theft     runnable, but without a CPU              run delay, or steal time of a hypervisor

The largest share names it. None of them is a client's doing: whoever judges clients by the age of
what waits for them asks first whether the time was ours.

A pause is seen from the moment on when the loop should have turned, so up to one interval longer
than it is said to be; collections alone are told exactly. What is shorter than `LATE_NS` is not
named: it is in the loop's lag.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

Kind = Literal["process", "loop", "gc", "plane", "clock", "theft"]
KINDS: Final[tuple[Kind, ...]] = ("process", "loop", "gc", "plane", "clock", "theft")
"""A kind's place is its index in the statistics page's `stalls` and `stall_ns`."""

LATE_NS: Final = 50_000_000
"""Below it a pause is jitter: a busy host makes many, and no deadline of ours is so short."""
STEP_NS: Final = 10_000_000
"""The wall clock is set where it moves by more than this and `SLEW_MAX` of the time between."""
SLEW_MAX: Final = 0.1
"""The kernel slews its clock by a tenth at most (adjtimex(2), `tick`)."""
STOLEN_SHARE: Final = 0.5
"""A hypervisor's theft is counted in ticks of 10 ms, and by some kernels as CPU that we used."""
EVIDENCE_NS: Final = 2_000_000
"""Whether other threads ran can be told where they would have used so much CPU meanwhile."""
CALM_WEIGHT: Final = 0.1
"""Of one calm beat in the moving average of what the other threads use."""
RECENT_MAX: Final = 50


class Stall(NamedTuple):
    """One stall; `ts` is REALTIME of its end, in ns, and `duration_ns` of a set clock is signed."""

    ts: int
    kind: Kind
    duration_ns: int
    words: str

    def row(self) -> dict[str, Any]:
        """As in /statusz."""
        ms = round(self.duration_ns / 1e6, 1)
        return {"ts": self.ts, "kind": self.kind, "ms": ms, "words": self.words}
