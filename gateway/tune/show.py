"""What was measured and is proposed: as text, as TOML, as a document for JSON."""

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.document import toml_literal
from gateway.tune.facts import Facts, Sends, Wakes
from gateway.tune.propose import Proposals, size, text

_WIDTH = 16


def in_words(facts: Facts, proposals: Proposals) -> str:
    """The whole of it for a person; its last part can be pasted into a configuration."""
    lines = [*_measured(facts), "", *_reasons(proposals)]
    lines += [f"note: {note}" for note in proposals.notes]
    lines += ["", toml(facts, proposals)] if proposals.proposals else []
    return "\n".join(lines)


def toml(facts: Facts, proposals: Proposals) -> str:
    """The proposals as a fragment of a configuration file, each with its reason."""
    lines = [
        f"# Proposed by `tickgate tune` in {facts.seconds:g} s, for {proposals.clients} clients of "
        "every record."
    ]
    sections: dict[str, list[str]] = {}
    for one in proposals.proposals:
        section, _, key = one.key.partition(".")
        entry = f"# {one.reason}\n{key} = {toml_literal(one.value)}"
        sections.setdefault(section, []).append(entry)
    for section, entries in sections.items():
        lines += ["", f"[{section}]", *entries]
    return "\n".join(lines) + "\n"


def document(facts: Facts, proposals: Proposals) -> dict[str, Any]:
    """For `--json`; `facts` as they are kept."""
    return {
        "facts": msgspec.to_builtins(facts),
        "clients": proposals.clients,
        "estimate_us": proposals.estimate_us,
        "holds_us": proposals.holds_us,
        "proposals": [
            {"key": one.key, "value": one.value, "reason": one.reason}
            for one in proposals.proposals
        ],
        "refused": list(proposals.refused),
        "notes": list(proposals.notes),
    }


def _line(name: str, words: str) -> str:
    return f"{name:<{_WIDTH}}{words}"


def _measured(facts: Facts) -> Iterator[str]:
    host, memory, clocks = facts.host, facts.memory, facts.clocks
    yield _line("host", f"{host.cpu}, Linux {host.kernel}, load {facts.load:g}")
    quota = f", a quota of {host.quota:g}" if host.quota else ""
    yield _line("CPUs", f"{host.allowed} of {host.present} allowed{quota}")
    yield _line("memory", f"{size(memory.available_bytes)} of {size(memory.total_bytes)} available")
    yield _line("send", _send(facts.send_across, "a reader on another CPU"))
    yield _line("", _send(facts.send_beside, "on the same CPU"))
    yield _line("wake-up", _wake(facts.wake, "the scheduler's choice of a CPU"))
    yield _line("", _wake(facts.wake_busy, "beside a busy thread"))
    if facts.wake is not None:
        granted = "granted" if facts.wake.slice else "not granted"
        yield _line("", f"with a slice of 100 us, {granted}; {_starved(facts)}")
    stolen = f"{text(facts.stolen_ns)} in {facts.seconds:g} s" if facts.stolen_ns else "nothing"
    yield _line("stolen time", stolen)
    if clocks is None:
        yield _line("clock", "not measured")
    else:
        moved = text(abs(clocks.step_ns))
        steps = f"set {clocks.steps} times, by {moved} at most" if clocks.steps else "no steps"
        yield _line(
            "clock", f"{text(clocks.read_ns)} a look, {clocks.source or 'unknown'}; {steps}"
        )
    for words in facts.missing:
        yield _line("not measured", words)


def _send(sends: Sends | None, where: str) -> str:
    if sends is None:
        return f"{where}: not measured"
    times = sends.round
    return (
        f"{where}: {text(sends.each_ns)}; {sends.sockets} of them p50 {text(times.p50_ns)}, "
        f"p99 {text(times.p99_ns)}, max {text(times.max_ns)}"
    )


def _wake(wakes: Wakes | None, where: str) -> str:
    if wakes is None:
        return f"{where}: not measured"
    d = wakes.delay
    return (
        f"{where}: p50 {text(d.p50_ns)}, p99 {text(d.p99_ns)}, p99.9 {text(d.p999_ns)}, "
        f"max {text(d.max_ns)}"
    )


def _starved(facts: Facts) -> str:
    delays = [w.run_delay_ns for w in (facts.wake, facts.wake_busy) if w and w.run_delay_ns >= 0]
    if not delays:
        return "the kernel does not count the wait for a CPU"
    return f"{text(sum(delays))} without a CPU in all"


def _reasons(proposals: Proposals) -> Iterator[str]:
    for one in proposals.proposals:
        yield f"{one.key} = {toml_literal(one.value)}: {one.reason}"
    for words in proposals.refused:
        yield f"not proposed: {words}"
