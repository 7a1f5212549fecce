"""Rules for what held a process up: it stood still, ended, waited for a CPU, collected garbage."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import dropwhile, takewhile

from gateway.recorder.case import LOOK_BACK_NS, MS, Case, Finding, Run, ms, of, planes
from gateway.recorder.evidence import Step, Turn
from gateway.recording import Thread

STILL_SHARE = 0.2
"""A thread that ran and waited for less of a step than this stood still."""
GAP_NS = 400 * MS
"""Between two samples: four times what it should be."""
STUCK_NS = 300 * MS
WAIT_NS = 50 * MS
"""Of a second, without a CPU though ready: below this it is every host's noise."""
SECOND_NS = 1000 * MS
WAIT_RATIO = 1.0
"""Waited for a CPU as long as it had one."""
WORSE = 3.0
"""Times as bad as usual."""
UNLIKELY = 0.2
"""A data plane does not wait for an interpreter; a feed does, between receipt and publishing."""
PART = 0.2
"""Of the worst latency, what a stage must take for the harm to lie in it."""


def paused(case: Case) -> Finding | None:
    """All processes stood still at once: a suspended host, or a stopped group."""
    usual = case.usual(_cpu_share, [step for step in case.evidence.steps if step.span_ns < GAP_NS])
    for step in case.window:
        if step.span_ns < GAP_NS:
            continue
        turns = step.threads()
        waited = any(not _still(turn, step.span_ns) for turn in turns)
        if turns and not waited and _cpu_share(step) < STILL_SHARE * usual:
            return Finding(
                "paused",
                step.start_ns,
                step.end_ns,
                case.weigh(step.span_ns, step.start_ns, step.end_ns),
                f"All processes of the gateway stood still for {ms(step.span_ns)}: the host was "
                "suspended, or everything was stopped at once.",
                (
                    f"no sample between, and none of {len(turns)} threads ran or waited for a CPU",
                    *case.stalls("process"),
                ),
            )
    return None


def stopped(case: Case) -> Finding | None:
    """One process stood still: stopped by a signal or a debugger."""
    found: list[Finding] = []
    for process in case.children:
        for run in case.runs(case.window, partial(_stands, process)):
            marked = any(_state(step, process) == "T" for step in run.steps)
            if run.span_ns < STUCK_NS and not marked:
                continue
            found.append(
                Finding(
                    "stopped",
                    run.start_ns,
                    run.end_ns,
                    case.weigh(run.span_ns, run.start_ns, run.end_ns),
                    f"The process {process} was stopped for {ms(run.span_ns)}.",
                    (
                        "its state was `stopped` (a signal such as SIGSTOP, or a debugger)"
                        if marked
                        else "none of its threads ran, and none waited for a CPU",
                        *case.stalls("process", process),
                    ),
                )
            )
    return max(found, key=lambda one: one.weight, default=None)


def restarted(case: Case) -> Finding | None:
    """A process ended and was started again."""
    for step in case.window:
        for process in case.children:
            was, now = (_main(one.threads, process) for one in (step.before, step.after))
            if was and now != was:
                return Finding(
                    "restarted",
                    step.start_ns,
                    step.end_ns,
                    case.covers(step.start_ns, step.end_ns),
                    f"The process {process} ended"
                    + (" and was started again." if now else ", and had not come back by then."),
                    (
                        f"its process id {was} was gone"
                        + (f", {now} took its place" if now else ""),
                    ),
                )
    return None


def theft(case: Case) -> Finding | None:
    """A data plane was ready to run and got no CPU."""
    harm = case.harm
    held_ns = harm.stages.get("ring", 0)
    if case.calm and not harm.few_are_slow:
        # Frames that waited did so for the plane, too. Where the harm was there from the start,
        # nothing tells whether that was new.
        held_ns += harm.stages.get("fanout", 0)
    if held_ns < PART * harm.worst_ns:
        return None  # records were taken and written in time: the plane ran
    worst = _worst_wait(case, planes)
    if worst is None:
        return None
    run, waited_ns, had_ns, usual = worst
    steal_ms = _host(run.steps, "steal_ms")
    running = max((step.after.host.get("running", 0) for step in run.steps), default=0)
    wanted = f"up to {running} threads wanted the {case.evidence.header.cpus} CPUs; "
    return Finding(
        "cpu_theft",
        run.start_ns,
        run.end_ns,
        case.weigh(waited_ns, run.start_ns, run.end_ns),
        f"The data plane was ready to run but had no CPU for {ms(waited_ns)} of {ms(run.span_ns)}: "
        "something else had it.",
        (
            f"its thread waited {waited_ns / max(had_ns, 1):.1f} times as long as it ran; usually "
            f"{usual:.1f} times",
            f"{wanted if running else ''}the hypervisor took {steal_ms} ms",
            *case.stalls("theft"),
            *case.stalls("plane"),
        ),
    )


def garbage(case: Case) -> Finding | None:
    """The interpreter of the feed process collected garbage, and no record was decoded."""
    best: Finding | None = None
    for process in case.children:
        for step in case.window:
            paused_ns = step.gained(process, "gc_pause_ns")
            weight = case.weigh(paused_ns, step.start_ns, step.end_ns)
            if process != "feed" or case.harm.stages.get("ingest", 0) < PART * case.harm.worst_ns:
                weight *= UNLIKELY
            if paused_ns >= max(WAIT_NS, case.target_ns) and (best is None or weight > best.weight):
                best = Finding(
                    "garbage_collection",
                    step.start_ns,
                    step.end_ns,
                    weight,
                    f"A garbage collection held {process} up for {ms(paused_ns)}.",
                    tuple(case.stalls("gc", process)),
                )
    return best


def clock(case: Case) -> Finding | None:
    """The wall clock was set. Latency is measured on another, so this can hurt stamps alone."""
    for step in case.window:
        moved_ns = (step.after.real_ns - step.before.real_ns) - step.span_ns
        if abs(moved_ns) >= max(10 * MS, step.span_ns // 10):
            return Finding(
                "clock_step",
                step.start_ns,
                step.end_ns,
                0.1,
                f"The wall clock was set {'forward' if moved_ns > 0 else 'back'} by "
                f"{ms(abs(moved_ns))}.",
                ("latency is measured on a clock that nobody sets: stamps may be wrong, no more",),
            )
    return None


# --- figures --------------------------------------------------------------------------------------


def _cpu_share(step: Step) -> float:
    """CPU time that all processes had in the step, of its length."""
    return sum(turn.cpu_ns for turn in step.threads()) / step.span_ns


def _still(turn: Turn, span_ns: int) -> bool:
    return turn.cpu_ns + turn.run_delay_ns < STILL_SHARE * span_ns


def _state(step: Step, process: str) -> str:
    return next((t.state for t in step.after.threads if t.process == process), "")


def _stands(process: str, step: Step) -> bool:
    """Whether nothing of the process moved; its loop and plane stamp their life."""
    if _state(step, process) == "T":
        return True
    turns = of(step, process)
    stamps = ("loop_alive_ns", "plane_alive_ns")
    return (
        bool(turns)
        and sum(turn.cpu_ns for turn in turns) == 0
        and all(_still(turn, step.span_ns) for turn in turns)
        and all(step.gained(process, name) == 0 for name in stamps)
        and process != "feed"  # stamps twice a second, and may have nothing to do
    )


def _main(threads: Sequence[Thread], process: str) -> int:
    """The process's id, which is its main thread's; 0 where it has none."""
    return next((t.tid for t in threads if (t.process, t.name) == (process, "main")), 0)


def _worst_wait(
    case: Case, threads: Callable[[Step], list[Turn]]
) -> tuple[Run, int, int, float] | None:
    """The second in which a thread waited longest for a CPU, where that is more than usual:
    (when, waited, had, usual ratio).
    """
    best: tuple[int, Run, int, float] | None = None
    window = _waits_told(case)
    tids = {turn.thread.tid for step in window for turn in threads(step)}
    for tid in tids:
        calm = _sum(case.calm, threads, tid)
        usual = calm[0] / max(calm[1], 1)
        for run in _seconds(window):
            waited_ns, had_ns = _sum(run.steps, threads, tid)
            ratio = waited_ns / max(had_ns, 1)
            if waited_ns < WAIT_NS or ratio < max(WAIT_RATIO, WORSE * usual):
                continue
            if best is None or waited_ns > best[0]:
                best = waited_ns, run, tid, usual
    if best is None:
        return None
    _, run, tid, usual = best
    whole = _bounded(case, run, threads, tid, max(WAIT_RATIO, WORSE * usual))
    return (whole, *_sum(whole.steps, threads, tid), usual)


def _bounded(
    case: Case, run: Run, threads: Callable[[Step], list[Turn]], tid: int, ratio: float
) -> Run:
    """The run without steps at its ends in which the thread did not wait as badly, and with those
    beyond in which it did. The kernel counts a wait once it is over: a step in which the thread
    neither ran nor waited may lie in the middle of one.
    """

    def waits(step: Step) -> bool:
        waited_ns, had_ns = _sum([step], threads, tid)
        return waited_ns > max(ratio * had_ns, WAIT_NS * step.span_ns / SECOND_NS)

    def goes_on(step: Step) -> bool:
        return waits(step) or _sum([step], threads, tid) == (0, 0)

    inner = _trimmed(run.steps, waits)
    if not inner:
        return run
    window = _waits_told(case)
    before = takewhile(goes_on, (s for s in reversed(window) if s.end_ns <= inner[0].start_ns))
    after = takewhile(goes_on, (s for s in window if s.start_ns >= inner[-1].end_ns))
    whole = _trimmed([*reversed([*before]), *inner, *after], waits)
    began_ns = whole[0].end_ns - _sum(whole[:1], threads, tid)[0]
    ahead = [step for step in window if began_ns < step.end_ns <= whole[0].start_ns]
    return Run([*ahead, *whole])


def _waits_told(case: Case) -> list[Step]:
    """The window, and a second more: a wait that hurt may have been counted after the harm."""
    harm = case.harm
    return case.evidence.between(harm.start_ns - LOOK_BACK_NS, harm.end_ns + SECOND_NS)


def _trimmed(steps: Sequence[Step], so: Callable[[Step], bool]) -> list[Step]:
    """From the first to the last step of which it is so."""
    kept = [*dropwhile(lambda step: not so(step), steps)]
    while kept and not so(kept[-1]):
        kept.pop()
    return kept


def _sum(steps: Sequence[Step], threads: Callable[[Step], list[Turn]], tid: int) -> tuple[int, int]:
    turns = [turn for step in steps for turn in threads(step) if turn.thread.tid == tid]
    return sum(t.run_delay_ns for t in turns), sum(t.cpu_ns for t in turns)


def _seconds(steps: Sequence[Step]) -> Iterator[Run]:
    """Every row of steps that lasts a second."""
    for first in range(len(steps)):
        last = first
        while last < len(steps) and steps[last].end_ns - steps[first].start_ns < SECOND_NS:
            last += 1
        if last < len(steps):
            yield Run(steps[first : last + 1])


def _host(steps: Sequence[Step], name: str) -> int:
    seen = [step.after.host[name] for step in steps if name in step.after.host]
    return seen[-1] - seen[0] if seen else 0
