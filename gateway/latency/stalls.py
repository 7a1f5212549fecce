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

from typing import Final, Literal, NamedTuple

from gateway.model.status import StallRow

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
EVIDENCE_NS: Final = 500_000
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

    def row(self) -> StallRow:
        """As in /statusz."""
        ms = round(self.duration_ns / 1e6, 1)
        return StallRow(ts=self.ts, kind=self.kind, ms=ms, words=self.words)


class Beat(NamedTuple):
    """One turn of a loop: two clocks, and what the process has had so far. All in ns.

    Attributes:
        at_ns: MONOTONIC.
        real_ns: REALTIME.
        cpu_ns: used by the loop's thread.
        process_cpu_ns: used by all threads of the process.
        run_delay_ns: the loop's thread was runnable, but had no CPU.
        stolen_ns: a hypervisor had a CPU of ours.
        gc_ns: spent in garbage collections.
        gc_longest_ns: the longest collection since the last beat.
        continued: SIGCONTs received.
    """

    at_ns: int
    real_ns: int
    cpu_ns: int = 0
    process_cpu_ns: int = 0
    run_delay_ns: int = 0
    stolen_ns: int = 0
    gc_ns: int = 0
    gc_longest_ns: int = 0
    continued: int = 0


class Judge:
    """Judges the beats of one loop.

    Args:
        interval_ns: how often the loop shall turn.
        first: the beat from which on it is watched.
    """

    def __init__(self, interval_ns: int, first: Beat) -> None:
        self._interval_ns = interval_ns
        self._before = first
        self._others = 0.0  # CPU that the other threads use in calm times, a moving average

    def turn(self, beat: Beat) -> list[Stall]:
        """What held the loop up since the beat before; nothing where it was in time."""
        before, self._before = self._before, beat
        gap_ns = beat.at_ns - before.at_ns
        collected_ns = beat.gc_ns - before.gc_ns
        late_ns = gap_ns - self._interval_ns
        if late_ns < LATE_NS and beat.gc_longest_ns < LATE_NS:
            if gap_ns > 0:
                share = _others_cpu_ns(before, beat) / gap_ns
                self._others += CALM_WEIGHT * (share - self._others)
            return []
        stalls = []
        left_ns = late_ns - collected_ns
        if beat.gc_longest_ns >= LATE_NS:
            words = f"a garbage collection took {_ms(beat.gc_longest_ns)}"
            stalls.append(Stall(beat.real_ns, "gc", beat.gc_longest_ns, words))
        elif left_ns < LATE_NS:
            words = f"garbage collections took {_ms(collected_ns)}"
            stalls.append(Stall(beat.real_ns, "gc", collected_ns, words))
        if left_ns >= LATE_NS:
            kind, words = self._judge(before, beat, left_ns)
            stalls.append(Stall(beat.real_ns, kind, left_ns, words))
        return stalls

    def _judge(self, before: Beat, beat: Beat, late_ns: int) -> tuple[Kind, str]:
        """Whose the time was that no collection explains."""
        collected_ns = beat.gc_ns - before.gc_ns
        waited_ns = beat.run_delay_ns - before.run_delay_ns
        stolen_ns = beat.stolen_ns - before.stolen_ns
        used_ns = max(beat.cpu_ns - before.cpu_ns - collected_ns, 0)
        still_ns = late_ns - used_ns - waited_ns
        if stolen_ns >= STOLEN_SHARE * late_ns:
            return "theft", f"the host took a CPU for {_ms(stolen_ns)}"
        if waited_ns >= max(used_ns, still_ns):
            return "theft", f"runnable for {_ms(waited_ns)} without a CPU"
        if used_ns >= still_ns:
            return "loop", f"a callback used the CPU for {_ms(used_ns)}"
        if beat.continued > before.continued:
            return "process", "the process was stopped, and continued by a signal"
        if self._others_ran(before, beat, late_ns):
            return "loop", "a callback waited while other threads ran"
        return "process", "no thread of the process ran, and none waited for a CPU"

    def _others_ran(self, before: Beat, beat: Beat, late_ns: int) -> bool:
        """Whether the other threads did what they always do, and not only before the pause."""
        expected_ns = self._others * late_ns
        if expected_ns < EVIDENCE_NS:
            return False
        usual_ns = self._others * self._interval_ns
        return _others_cpu_ns(before, beat) >= usual_ns + expected_ns / 2


class WallClock:
    """Sees the wall clock being set and the host being suspended. One process of a host needs it.

    Each look takes the clocks of one moment. MONOTONIC stands while the host sleeps, BOOTTIME goes
    on; REALTIME goes with BOOTTIME unless somebody sets it.
    """

    def __init__(self, mono_ns: int, boot_ns: int, real_ns: int) -> None:
        self._before = mono_ns, boot_ns, real_ns

    def look(self, mono_ns: int, boot_ns: int, real_ns: int) -> list[Stall]:
        """What happened to the clocks since the look before."""
        mono_before_ns, boot_before_ns, real_before_ns = self._before
        self._before = mono_ns, boot_ns, real_ns
        passed_ns = boot_ns - boot_before_ns
        slept_ns = passed_ns - (mono_ns - mono_before_ns)
        set_ns = real_ns - real_before_ns - passed_ns
        stalls = []
        if slept_ns >= LATE_NS:
            words = f"the host was suspended for {_ms(slept_ns)}"
            stalls.append(Stall(real_ns, "process", slept_ns, words))
        if abs(set_ns) > STEP_NS + SLEW_MAX * passed_ns:
            way = "forward" if set_ns > 0 else "back"
            words = f"the wall clock was set {way} by {_ms(abs(set_ns))}"
            stalls.append(Stall(real_ns, "clock", set_ns, words))
        return stalls


def _others_cpu_ns(before: Beat, beat: Beat) -> int:
    """What the process used beside its loop's thread."""
    return beat.process_cpu_ns - before.process_cpu_ns - (beat.cpu_ns - before.cpu_ns)


def _ms(duration_ns: int) -> str:
    return f"{duration_ns / 1e6:.0f} ms"
