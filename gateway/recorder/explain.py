"""`tickgate explain`: from a recording to what happened, its first cause, and who was hurt.

The judgement is a pure function of the evidence (`rules.py`); this is its shape for machines.
`words.py` is its shape for people.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.recorder.case import Case, Finding, stamp
from gateway.recorder.evidence import Evidence
from gateway.recorder.harm import Harm, assess
from gateway.recorder.rules import ENOUGH, judge

CERTAIN = 0.85
"""A cause of this weight, and none other of as much, is called likely; below, possible."""
EVENTS_MAX = 200
"""Lines of a timeline."""
ENTRIES_MAX = 50
"""Of what processes said, in a timeline."""
NEAR_NS = 10_000_000_000
"""What is farther from the first cause than this is left out of the timeline."""


class Event(msgspec.Struct, frozen=True):
    """One line of the timeline; `ts` is REALTIME ns, `ms` counts from the timeline's zero."""

    ts: int
    ms: float
    words: str


class Cause(msgspec.Struct, frozen=True):
    """A cause that was found; `confidence` is `likely` or `possible`."""

    cause: str
    confidence: str
    weight: float
    ts: int
    duration_ms: float
    words: str
    evidence: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True):
    """Everything that a recording says.

    Attributes:
        recording: who wrote it, when, why; `problem` where it is not whole.
        zero: REALTIME ns of the timeline's zero: the first cause's beginning, else the harm's.
        first_cause: None: not determined.
        alternatives: what else was found, the weightiest first: effects, or other causes.
        harm: None: nobody was hurt in the recorded time.
        timeline: rising in time.
    """

    recording: dict[str, Any]
    zero: int
    first_cause: Cause | None
    alternatives: tuple[Cause, ...]
    harm: dict[str, Any] | None
    timeline: tuple[Event, ...]


def explain(evidence: Evidence) -> Explanation:
    """Judges a recording."""
    header = evidence.header
    harm = assess(evidence)
    first, others = judge(Case(evidence, harm)) if harm is not None else (None, [])
    zero_ns = min(
        (one.start_ns for one in (first, harm) if one is not None), default=header.trigger_ns
    )
    strongest = max((one.weight for one in others), default=0.0)
    return Explanation(
        recording={
            "gateway": header.gateway,
            "epoch": header.epoch,
            "reason": header.reason,
            "trigger": evidence.utc_ns(header.trigger_ns),
            "seconds": round((header.until_ns - header.since_ns) / 1e9, 3),
            "target_us": header.target_us,
            "percentile": header.percentile,
            "records": evidence.arrivals.records,
            "holes": evidence.arrivals.holes,
            "samples": len(evidence.steps) + 1 if evidence.steps else 0,
            "problem": evidence.problem,
        },
        zero=evidence.utc_ns(zero_ns),
        first_cause=None if first is None else _cause(evidence, first, strongest),
        alternatives=tuple(_cause(evidence, one, 1.0) for one in others),
        harm=None if harm is None else _harm(evidence, harm),
        timeline=tuple(_timeline(evidence, harm, [*([first] if first else []), *others], zero_ns)),
    )


def _cause(evidence: Evidence, finding: Finding, rival: float) -> Cause:
    likely = finding.weight >= CERTAIN or (finding.weight >= ENOUGH > rival)
    return Cause(
        cause=finding.cause,
        confidence="likely" if likely else "possible",
        weight=round(finding.weight, 3),
        ts=evidence.utc_ns(finding.start_ns),
        duration_ms=round((finding.end_ns - finding.start_ns) / 1e6, 1),
        words=finding.words,
        evidence=finding.evidence,
    )


def _harm(evidence: Evidence, harm: Harm) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(harm)
    for name in ("start_ns", "end_ns", "bad"):
        del document[name]
    return {
        "from": evidence.utc_ns(harm.start_ns),
        "to": evidence.utc_ns(harm.end_ns),
        "seconds": len(harm.bad),
        **document,
    }


# --- the timeline ---------------------------------------------------------------------------------


def _timeline(
    evidence: Evidence, harm: Harm | None, findings: list[Finding], zero_ns: int
) -> Iterator[Event]:
    lines = [
        *_of_findings(findings),
        *_of_states(evidence),
        *_of_said(evidence),
        *_of_counters(evidence),
    ]
    if harm is not None:
        lines.append((harm.start_ns, "the first second in which too many updates came late"))
        lines.append((harm.end_ns, "the last such second ends"))
    lines.append(
        (evidence.header.trigger_ns, f"the recording was triggered: {evidence.header.reason}")
    )
    near = [line for line in lines if abs(line[0] - zero_ns) <= NEAR_NS]
    for at_ns, words in sorted(near)[:EVENTS_MAX]:
        yield Event(evidence.utc_ns(at_ns), round((at_ns - zero_ns) / 1e6, 1), words)


def _of_findings(findings: list[Finding]) -> Iterator[tuple[int, str]]:
    for one in findings:
        yield one.start_ns, one.words
        if one.end_ns - one.start_ns >= 1_000_000:
            yield one.end_ns, f"that ends ({one.cause.replace('_', ' ')})"


def _of_states(evidence: Evidence) -> Iterator[tuple[int, str]]:
    """Each second that finds the objective in another state than the one before."""
    for was, now in zip(evidence.seconds, evidence.seconds[1:], strict=False):
        if was.state != now.state:
            reached = "" if now.p99_us is None else f", p99 {now.p99_us / 1000:,.1f} ms"
            yield now.mono_ns, f"the objective is {now.state}{reached}"


def _of_said(evidence: Evidence) -> Iterator[tuple[int, str]]:
    for name in ("ladder", "stalls"):
        for _, process, entry in evidence.said(name)[:ENTRIES_MAX]:
            at_ns = evidence.mono_ns(stamp(entry))
            if name == "ladder":
                step, was = entry.get("step"), entry.get("was")
                why = str(entry.get("reason"))[:120]
                yield at_ns, f"{process}: the controller goes from step {was} to {step}: {why}"
            else:
                yield at_ns, f"{process}: {str(entry.get('words'))[:120]}"


COUNTED = (
    ("dropped_slow", "updates dropped for slow clients"),
    ("dropped_lapped", "updates lost to the ring"),
    ("feed_gaps", "gaps in feeds"),
    ("feed_lost", "records lost by feeds"),
    ("level_down", "clients slowed down"),
)


def _of_counters(evidence: Evidence) -> Iterator[tuple[int, str]]:
    """The first time that each of these counters rose, and by how much it did in all."""
    for name, words in COUNTED:
        first_ns = total = 0
        for step in evidence.steps:
            gained = sum(step.gained(process, name) for process in step.after.pages)
            if gained and not total:
                first_ns = step.end_ns
            total += gained
        if total:
            yield first_ns, f"{words}: the first of {total:,}"
    for step in evidence.steps:
        was, now = (_blocked(sample.pages) for sample in step)
        if bool(was) != bool(now):
            yield step.end_ns, f"full sockets: {now}" if now else "no socket is full any more"


def _blocked(pages: dict[str, dict[str, list[int]]]) -> int:
    return sum(sum(page.get("clients_blocked", ())) for page in pages.values())
