"""What can have missed the objective: a rule for each cause, in order of causality. Pure.

Theory. One cause brings the next about: a stopped process makes a feed silent and then a burst, a
burst makes queues, queues make clients slow. So the rules stand in the order in which causes act,
and the first that accounts for the harm is the first cause, unless another that accounts for as
much had begun clearly before it; what follows it are its effects, or alternatives. What a rule
compares with is what was usual in the same recording before the harm: on a busy host a thread
always waits for a CPU, which explains nothing that was not there before.

A rule says nothing (None) where its evidence is absent. None of them proves anything: see `Finding.
weight`, and `docs/recorder.md` for what each is blind to.
"""

from collections.abc import Callable
from typing import Final

from gateway.recorder import held, load
from gateway.recorder.case import MS, Case, Finding

RULES: Final[tuple[Callable[[Case], Finding | None], ...]] = (
    held.paused,
    held.stopped,
    held.restarted,
    held.theft,
    load.starved_feed,
    held.garbage,
    load.silence,
    load.burst,
    load.audience,
    load.slow_clients,
    load.overload,
    load.lapped,
    held.clock,
)
"""In order of causality."""

ENOUGH: Final = 0.5
"""A cause of this weight accounts for the harm."""

WORTH_TELLING: Final = 0.05
CLEARLY_NS: Final = 200 * MS
"""What happened within two samples happened at once."""


def judge(case: Case) -> tuple[Finding | None, list[Finding]]:
    """The first cause, None where none accounts for the harm; and what else was found, the
    weightiest first.
    """
    found = [
        finding
        for rule in RULES
        if (finding := rule(case)) is not None and finding.weight >= WORTH_TELLING
    ]
    enough = [finding for finding in found if finding.weight >= ENOUGH]
    first = next((one for one in enough if not any(_before(other, one) for other in enough)), None)
    others = [finding for finding in found if finding is not first]
    return first, sorted(others, key=lambda finding: -finding.weight)


def _before(other: Finding, one: Finding) -> bool:
    """Whether the other accounts for as much and had begun clearly before."""
    return other.weight >= one.weight and other.start_ns < one.start_ns - CLEARLY_NS
