"""An explanation for people: plain text of at most 100 columns."""

import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from gateway.recorder.explain import Cause, Explanation
from gateway.recorder.harm import UNITS
from gateway.text import escaped

COLUMNS = 100


def render(explanation: Explanation) -> str:
    """The whole text, with a last newline. Nothing in it is obeyed by a terminal."""
    lines = [
        *_recording(explanation.recording),
        "",
        *_first(explanation),
        "",
        *_harm(explanation.harm, explanation.recording),
        "",
        *_timeline(explanation),
        *_others(explanation),
    ]
    return "".join(f"{escaped(line)}\n" for line in lines)


def utc(ts: int, digits: int = 3) -> str:
    """A moment: hours to milliseconds."""
    seconds, rest_ns = divmod(ts, 1_000_000_000)
    clock = datetime.fromtimestamp(min(max(seconds, 0), 1 << 36), UTC)
    return f"{clock:%H:%M:%S}.{rest_ns // 10 ** (9 - digits):0{digits}}"


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, COLUMNS, initial_indent=first, subsequent_indent=rest) or [first]


def _recording(recording: dict[str, Any]) -> Iterator[str]:
    when = datetime.fromtimestamp(min(max(recording["trigger"] // 10**9, 0), 1 << 36), UTC)
    yield (
        f"Recorded {when:%Y-%m-%d} at {utc(recording['trigger'])} UTC ({recording['reason']}), by "
        f"tickgate {recording['gateway']}, epoch {recording['epoch'] or 'none'}"
    )
    yield (
        f"{recording['seconds']:.1f} s of the ring with {recording['records']:,} records, "
        f"{recording['samples']} samples; the objective: p{recording['percentile']:g} of at most "
        f"{recording['target_us'] / 1000:g} ms"
    )
    if recording["holes"]:
        yield f"The ring was faster than the copy in {recording['holes']} places."
    if recording["problem"]:
        yield f"THE FILE IS NOT WHOLE: {recording['problem']}. What follows rests on what there is."


def _first(explanation: Explanation) -> list[str]:
    cause = explanation.first_cause
    if cause is None:
        why = (
            "Nobody was hurt in the recorded time."
            if explanation.harm is None
            else "Nothing in the recording accounts for it."
        )
        return [*_wrapped(f"First cause: not determined. {why}", "", "  ")]
    return [
        f"First cause ({cause.confidence}), at {utc(cause.ts)}:",
        *_wrapped(cause.words, "  ", "  "),
        *_evidence(cause),
    ]


def _evidence(cause: Cause) -> Iterator[str]:
    for line in cause.evidence:
        yield from _wrapped(line, "    - ", "      ")


def _harm(harm: dict[str, Any] | None, recording: dict[str, Any]) -> Iterator[str]:
    if harm is None:
        yield "Who was hurt: nobody in the recorded time."
        return
    yield (
        f"Who was hurt, in {harm['seconds']} bad seconds from {utc(harm['from'])} to "
        f"{utc(harm['to'])}:"
    )
    for one in harm["classes"]:
        late = "nothing is too late"
        if one["target_us"] is not None:
            share = _percent(one["late"] / max(one["delivered"], 1))
            late = f"{one['late']:,} late ({share})"
        lost = f", {one['dropped']:,} dropped" if one["dropped"] else ""
        merged = f", {one['conflated']:,} conflated" if one["conflated"] else ""
        yield from _wrapped(
            f"class {one['number']} ({UNITS[one['number']]}): {one['delivered']:,} delivered, "
            f"{late}{merged}{lost}; p50 {one['p50_us'] / 1000:,.2f} ms, p99 "
            f"{one['p99_us'] / 1000:,.1f} ms, longest {one['max_us'] / 1000:,.1f} ms",
            "  ",
            "    ",
        )
    yield (
        f"  clients: {harm['clients']} connected, {harm['blocked']} with full sockets at one time, "
        f"{harm['slowed']} slowed down, {harm['cut_off']} cut off"
    )
    for one in harm["slow"]:
        yield from _wrapped(
            f"{one['connection']} ({one['address']}) of {one['worker']}, level {one['level']}: "
            f"{one['why'] or str(one['age_ms']) + ' ms behind'}",
            "    - ",
            "      ",
        )


def _percent(share: float) -> str:
    return "under 0.001 %" if 0 < share < 1e-5 else f"{100 * share:.3g} %"


def _timeline(explanation: Explanation) -> Iterator[str]:
    yield "Timeline (UTC, and milliseconds from the beginning of it):"
    for event in explanation.timeline:
        start = f"  {utc(event.ts)} {event.ms:+10,.0f}  "
        yield from _wrapped(event.words, start, " " * len(start))


def _others(explanation: Explanation) -> Iterator[str]:
    if not explanation.alternatives:
        return
    yield ""
    yield "Also found, as an effect or another cause:"
    for cause in explanation.alternatives:
        yield from _wrapped(f"{cause.words} (weight {cause.weight:.2f})", "  - ", "    ")
        yield from _evidence(cause)
