"""Chooses settings that this host can hold: from the kept measurement, else from a quick one."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.options import PlaneOptions, RingOptions, SloOptions
from gateway.tune import host, keep
from gateway.tune.command import measured
from gateway.tune.facts import Facts
from gateway.tune.propose import Proposals, propose, text

QUICK_S: Final = 0.8
"""The user waits for it: at most a second together with the start of its threads."""

DEFAULTS: Final = {
    "ring.capacity_bytes": RingOptions().capacity_bytes,
    "plane.log_bytes": PlaneOptions().log_bytes,
}
"""Sizes that are lowered on a small host, and never raised."""

CPUS_WATCHED: Final = 4
"""CPUs that feed, browser and clients want, beside one for plane and loop of each worker."""
CROWDED_US: Final = 5000
"""With fewer, the least target: a demo is looked at on its own host, whose browser and clients keep
a CPU for a whole slice of the scheduler (3 to 4 ms) while they start."""

Measure = Callable[[float, Mapping[str, str]], Facts]


@dataclass(frozen=True)
class Chosen:
    """A document for the configuration's lowest layer, and one line that says why."""

    document: dict[str, dict[str, Any]] = field(default_factory=dict)
    reason: str = ""


def known(environ: Mapping[str, str]) -> Facts | None:
    """What was kept of this host, if it is any good."""
    facts = keep.load(keep.path(environ), host.host(), time.time_ns())
    return facts if isinstance(facts, Facts) else None


def choose(
    *,
    workers: int,
    target_us_max: int,
    environ: Mapping[str, str] = os.environ,
    measure: Measure = measured,
) -> Chosen:
    """Chooses for this host: the target, and less memory where there is little.

    Args:
        workers: as many as there will be.
        target_us_max: what the target must not exceed.
        measure: takes a measurement of so many seconds and keeps it.
    """
    facts = known(environ)
    when = "measured before" if facts is not None else f"measured for {QUICK_S:g} s just now"
    if facts is None:
        facts = measure(QUICK_S, environ)
    crowded = facts.host.cpus < 2 * workers + CPUS_WATCHED
    return from_proposals(propose(facts, workers=workers), target_us_max, when, crowded=crowded)


def from_proposals(
    proposals: Proposals, target_us_max: int, when: str, *, crowded: bool = False
) -> Chosen:
    """Chooses from the proposals, and keeps the default target where the host holds it.

    `crowded` allows for a browser and clients that take their turns on the gateway's CPUs.
    """
    chosen: dict[str, dict[str, Any]] = {}
    for key, default in DEFAULTS.items():
        found = proposals.get(key)
        if found is not None and isinstance(found.value, int) and found.value < default:
            section, _, name = key.partition(".")
            chosen.setdefault(section, {})[name] = found.value
    target, least = proposals.get("slo.target_us"), SloOptions().target_us
    if target is None or not isinstance(target.value, int):
        why = "; ".join(proposals.refused)
        return Chosen(chosen, f"the default, since none can be proposed ({why})")
    right_us, reason = target.value, target.reason
    if crowded and right_us < CROWDED_US:
        right_us = CROWDED_US
        alone = f"without them {text(target.value * 1000)} would do"
        reason = f"a browser and clients on the gateway's own CPUs keep one for 4 ms; {alone}"
    value = min(max(right_us, least), target_us_max)
    chosen["slo"] = {"target_us": value}
    if value > right_us:
        held = text((proposals.holds_us or target.value) * 1000)
        return Chosen(chosen, f"the default; this host holds {held} ({when})")
    if value < right_us:
        words = f"slo.display_target_us allows no more, and {text(right_us * 1000)} would be"
        return Chosen(chosen, f"{words} right for this host ({when})")
    return Chosen(chosen, f"{reason} ({when})")
