"""Rules for what there was to deliver, and to whom: feeds, bursts, audiences, slow clients."""

from collections import Counter
from collections.abc import Iterator
from itertools import dropwhile

from gateway.recorder.case import LOOK_BACK_NS, MS, Case, Finding, Run, ms, of, planes
from gateway.recorder.evidence import Step
from gateway.recorder.held import PART

SILENCE_NS = 200 * MS
BURST_NS = 300 * MS
"""After a silence, where its backlog would come."""
RATE_MIN = 20.0
"""Records a second: of a feed with fewer, silence is not unusual."""
OFTEN = 0.3
"""Of the time in which a feed is silent without meaning anything."""
BURST = 2.5
"""Times the usual rate."""
BUSY_PPM = 900_000


def starved_feed(case: Case) -> Finding | None:
    """A feed was silent because its process got no CPU."""
    for run, usual, times in _silences(case):
        waited: Counter[int] = Counter()
        for step in run.steps:
            for turn in of(step, "feed"):
                waited[turn.thread.tid] += turn.run_delay_ns
        waited_ns = max(waited.values(), default=0)
        if waited_ns >= run.span_ns / 2:
            return Finding(
                "cpu_theft",
                run.start_ns,
                run.end_ns,
                case.weigh(run.span_ns, run.start_ns, run.end_ns),
                f"The feed process was ready to run but had no CPU for {ms(waited_ns)}: "
                "something else had it.",
                (
                    f"no record for {ms(run.span_ns)}, then {times:.1f} times the usual "
                    f"{usual:,.0f} a second",
                    *case.stalls("theft", "feed"),
                ),
            )
    return None


def silence(case: Case) -> Finding | None:
    """A feed brought nothing, and then what had waited for it, all at once."""
    found = [
        Finding(
            "feed_stalled",
            run.start_ns,
            run.end_ns,
            case.weigh(run.span_ns, run.start_ns, run.end_ns) * min(times / BURST, 1.0),
            f"The feed {_feed(case, index)} brought nothing for {ms(run.span_ns)}, and then all "
            "that had waited.",
            tuple(_silent(case, run, usual, times)),
        )
        for index in range(len(case.evidence.header.config.get("feeds", ())) or 1)
        for run, usual, times in _silences(case, index)
    ]
    return max(found, key=lambda one: one.weight, default=None)


def burst(case: Case) -> Finding | None:
    """More came than usual, at once."""
    usual = case.usual(_routed_per_s, [step for step in case.calm if _routed_per_s(step)])
    window = case.evidence.between(case.harm.start_ns - 1000 * MS, case.harm.end_ns)
    runs = [Run(window[i : i + 3]) for i in range(len(window) - 2)]
    if not runs or usual < RATE_MIN:
        return None
    peak = max(runs, key=_rate)
    times = _rate(peak) / usual
    if times < BURST:
        return None
    whole = case.runs(window, lambda step: _routed_per_s(step) > usual * BURST / 2)
    start_ns = min((run.start_ns for run in whole if run.end_ns > peak.start_ns), default=0)
    end_ns = max((run.end_ns for run in whole if run.start_ns < peak.end_ns), default=0)
    return Finding(
        "burst",
        start_ns,
        end_ns,
        min(times / (2 * BURST), 1.0) * case.covers(start_ns, end_ns),
        f"A burst: {_rate(peak):,.0f} updates a second were to be delivered, {times:.1f} times the "
        f"usual {usual:,.0f}.",
        tuple(_controller(case)),
    )


def audience(case: Case) -> Finding | None:
    """One record takes longer to reach all its subscribers than the objective allows."""
    runs = case.runs(case.window, lambda step: case.most(step, "infeasible") > 0)
    worst_ns = max((case.most(step, "fan_out_ns") for step in case.window), default=0)
    if not runs and worst_ns <= case.target_ns:
        return None
    start_ns = runs[0].start_ns if runs else case.harm.start_ns
    end_ns = runs[-1].end_ns if runs else case.harm.end_ns
    return Finding(
        "audience",
        start_ns,
        end_ns,
        (0.9 if runs else 0.6) * case.covers(start_ns, end_ns),
        f"The audience is too large for the objective: one record takes {ms(worst_ns)} to reach "
        f"the last of its subscribers, and {ms(case.target_ns)} is what it may take.",
        tuple(_controller(case)),
    )


def slow_clients(case: Case) -> Finding | None:
    """Some clients do not read; the others had theirs in time."""
    harm = case.harm
    in_time = harm.stages.get("ring", 0) < PART * harm.worst_ns
    if not harm.few_are_slow or not in_time or harm.share > 0.5:
        return None
    who = [
        f"{one.connection} ({one.address}), level {one.level}: "
        f"{one.why or f'{one.age_ms:,.0f} ms behind'}"
        for one in harm.slow
    ]
    slow_steps = case.runs(
        case.window,
        lambda step: case.most(step, "clients_blocked") > 0 or _levels(case, step) > 0,
    )
    longest = max(slow_steps, key=lambda run: run.span_ns, default=None)
    start_ns = longest.start_ns if longest else harm.start_ns
    end_ns = longest.end_ns if longest else harm.end_ns
    return Finding(
        "slow_clients",
        start_ns,
        end_ns,
        0.9 * case.covers(start_ns, end_ns),
        f"{max(harm.slow_most, 1)} of {harm.clients} clients read too slowly; the others were not "
        "hurt.",
        (
            f"{100 * harm.share:.1f} % of the updates were late; records waited "
            f"{ms(harm.stages.get('ring', 0))} at p99 for the data plane and "
            f"{ms(harm.stages.get('fanout', 0))} for sockets",
            *(who or ["which ones was not recorded"]),
            *([f"{harm.cut_off} were closed for it (4008)"] if harm.cut_off else []),
        ),
    )


def overload(case: Case) -> Finding | None:
    """The data plane worked all the time and did not get done."""
    steps = case.evidence.between(case.harm.start_ns, case.harm.end_ns)
    busy = [step for step in steps if _busy(case, step)]
    if not steps or len(busy) < len(steps) / 2:
        return None
    return Finding(
        "overload",
        busy[0].start_ns,
        busy[-1].end_ns,
        0.7 if any(case.most(step, "overload_since_ns") for step in steps) else 0.6,
        "There was more to deliver than the data plane has CPU for.",
        tuple(_controller(case)),
    )


def lapped(case: Case) -> Finding | None:
    """The ring's writer overtook a data plane."""
    steps = [s for s in case.window if case.gained(s, "ring_lapped")]
    if not steps:
        return None
    lost = sum(case.gained(s, "dropped_lapped") for s in case.window)
    return Finding(
        "ring_lapped",
        steps[0].start_ns,
        steps[-1].end_ns,
        0.5,
        "A data plane fell so far behind that the ring overtook it: clients were resynchronised.",
        (f"{lost:,} updates were lost to it",),
    )


# --- figures --------------------------------------------------------------------------------------


def _silences(case: Case, index: int = 0) -> Iterator[tuple[Run, float, float]]:
    """(when, usual records a second, times that right after) of a feed that is seldom silent."""

    def records(step: Step) -> int:
        return step.gained("feed", "feed_records", index)

    def per_s(step: Step) -> float:
        return records(step) * 1e9 / step.span_ns

    # Before its first record a feed is not silent, but not there yet.
    steps = [*dropwhile(lambda step: not records(step), case.evidence.steps)]
    calm = [step for step in steps if step.end_ns <= case.harm.start_ns]
    usual = case.usual(per_s, [step for step in calm if records(step)])
    silent = case.runs(steps, lambda step: per_s(step) < usual / 20)
    if usual < RATE_MIN:
        return
    for run in silent:
        after = [s for s in steps if run.end_ns <= s.start_ns < run.end_ns + BURST_NS]
        others = sum(one.span_ns for one in silent if one is not run)
        in_time = case.harm.start_ns - LOOK_BACK_NS < run.end_ns < case.harm.end_ns
        seldom = others < OFTEN * (steps[-1].end_ns - steps[0].start_ns)
        if run.span_ns >= SILENCE_NS and after and in_time and seldom:
            came = sum(map(records, after)) * 1e9 / sum(step.span_ns for step in after)
            yield run, usual, came / usual


def _silent(case: Case, run: Run, usual: float, times: float) -> Iterator[str]:
    yield f"usually {usual:,.0f} records a second; right after it {times:.1f} times as many"
    arrivals = case.evidence.arrivals
    after = arrivals.in_bins(run.end_ns - 100 * MS, run.end_ns + BURST_NS)
    if oldest_ns := int(arrivals.event_age_ns[after].max(initial=0)):
        old = oldest_ns >= run.span_ns / 2
        yield (
            f"by the venue's clock the oldest of them was {ms(oldest_ns)} old when it was received"
            + (": they had waited before the gateway, or in its socket" if old else "")
        )
    turns = [turn for step in run.steps for turn in of(step, "feed")]
    if turns and all(turn.thread.state != "T" for turn in turns):
        waited_ns = sum(turn.run_delay_ns for turn in turns)
        yield f"its process was not stopped, and waited {ms(waited_ns)} for a CPU meanwhile"


def _feed(case: Case, index: int) -> str:
    """Its name, as its process last said it."""
    said = [
        second.said["feed"]["feeds"]
        for second in case.evidence.seconds
        if "feeds" in second.said.get("feed", {})
    ]
    if said and index < len(said[-1]):
        return str(said[-1][index].get("name"))[:60]
    return f"{index}"


def _routed_per_s(step: Step) -> float:
    gained = sum(step.gained(name, "routed") for name in step.after.pages if name != "feed")
    return gained * 1e9 / step.span_ns


def _rate(run: Run) -> float:
    return sum(_routed_per_s(step) * step.span_ns for step in run.steps) / max(run.span_ns, 1)


def _levels(case: Case, step: Step) -> int:
    pages = step.after.pages
    return sum(sum(pages.get(worker, {}).get("levels", ())[1:]) for worker in case.workers)


def _busy(case: Case, step: Step) -> bool:
    shares = [turn.cpu_ns / step.span_ns for turn in planes(step)]
    return case.most(step, "plane_busy_ppm") >= BUSY_PPM or max(shares, default=0.0) >= 0.9


def _controller(case: Case) -> Iterator[str]:
    """What the controller knew at its worst."""
    window = case.evidence.between(case.harm.start_ns - 1000 * MS, case.harm.end_ns)
    if not window:
        return

    def most(name: str) -> int:
        return max(case.most(step, name) for step in window)

    sweep_ns, clients = most("sweep_ns"), most("sweep_clients")
    yield (
        f"at most {most('delivered_per_s'):,} deliveries a second were made"
        + (f"; a sweep over {clients:,} clients took {ms(sweep_ns)}" if sweep_ns else "")
        + f"; the largest audience was {most('audience_max'):,}"
    )
    if step := most("ladder_step"):
        yield f"the controller degraded up to step {step}"
