"""A missed objective as the rules look at it: the evidence, the harm, and what was usual before."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Any, NamedTuple

from gateway.recorder.evidence import Evidence, Step, Turn, value
from gateway.recorder.harm import Harm

LOOK_BACK_NS = 3_000_000_000
"""A cause lies at most so long before the first bad second: seconds are how harm is dated."""
RECOVERY_NS = 1_000_000_000
RECOVERY_TIMES = 2
PLANE = "tickgate-plane"
MS = 1_000_000


@dataclass(frozen=True)
class Finding:
    """What a rule found.

    Attributes:
        cause: its name in JSON.
        start_ns, end_ns: MONOTONIC.
        weight: 0 to 1: how well it would account for the harm, were it alone.
        words: one sentence: what happened.
        evidence: figures that it rests on.
    """

    cause: str
    start_ns: int
    end_ns: int
    weight: float
    words: str
    evidence: tuple[str, ...] = ()


class Run(NamedTuple):
    """Steps in a row."""

    steps: Sequence[Step]

    @property
    def start_ns(self) -> int:
        """MONOTONIC."""
        return self.steps[0].start_ns

    @property
    def end_ns(self) -> int:
        """MONOTONIC."""
        return self.steps[-1].end_ns

    @property
    def span_ns(self) -> int:
        """From the first to the last sample."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True)
class Case:
    """What a rule is given."""

    evidence: Evidence
    harm: Harm

    @property
    def target_ns(self) -> int:
        """What the headline promises."""
        return self.evidence.header.target_us * 1000

    @property
    def window(self) -> list[Step]:
        """Steps in which a cause may lie."""
        harm = self.harm
        return self.evidence.between(harm.start_ns - LOOK_BACK_NS, harm.end_ns)

    @property
    def calm(self) -> list[Step]:
        """Steps before the harm: what was usual."""
        return [step for step in self.evidence.steps if step.end_ns <= self.harm.start_ns]

    @property
    def workers(self) -> list[str]:
        """Their names."""
        return self.evidence.workers()

    @property
    def children(self) -> list[str]:
        """All processes but the supervisor."""
        return ["feed", *self.workers]

    def most(self, step: Step, name: str) -> int:
        """The highest of the workers' gauges of a name, at the step's end."""
        return max((value(step.after, worker, name, 0) for worker in self.workers), default=0)

    def gained(self, step: Step, name: str) -> int:
        """How much the workers' counters of a name rose together."""
        return sum(step.gained(worker, name) for worker in self.workers)

    def weigh(self, duration_ns: float, start_ns: int, end_ns: int) -> float:
        """The weight of a cause that held things up for so long, from then until then: whole where
        the worst second's 99th percentile was no longer, none where it is below the target.
        """
        if duration_ns < self.target_ns:
            return 0.0
        return min(duration_ns / max(self.harm.worst_ns, 1), 1.0) * self.covers(start_ns, end_ns)

    def covers(self, start_ns: int, end_ns: int) -> float:
        """Whether the harm can be the effect of what was from then until then: whole where most of
        what was late came since it began. Queues take their time to go: what is late a while after
        the end is an effect still.
        """
        until_ns = end_ns + RECOVERY_NS + RECOVERY_TIMES * (end_ns - start_ns)
        bad = self.harm.bad
        late = sum(one.late for one in bad if one.end_ns > start_ns and one.start_ns < until_ns)
        return min(2 * late / max(sum(one.late for one in bad), 1), 1.0)

    def runs(self, steps: Iterable[Step], so: Callable[[Step], bool]) -> list[Run]:
        """Longest rows of steps of which something is so."""
        return [Run([*group]) for is_so, group in groupby(steps, so) if is_so]

    def stalls(self, kind: str, process: str = "") -> list[str]:
        """What processes themselves said of such stalls in the window, in words."""
        evidence, harm = self.evidence, self.harm
        start_ns = evidence.utc_ns(harm.start_ns - LOOK_BACK_NS)
        end_ns = evidence.utc_ns(harm.end_ns + 1000 * MS)
        return [
            f"{name} said at {at(evidence, entry)}: {str(entry.get('words'))[:120]}"
            for _, name, entry in evidence.said("stalls")
            if entry.get("kind") == kind
            and name.startswith(process)
            and start_ns <= stamp(entry) <= end_ns
        ]

    def usual(self, figure: Callable[[Step], float], steps: Iterable[Step]) -> float:
        """The median of some steps; 0 where there are none."""
        figures = [figure(step) for step in steps]
        return median(figures) if figures else 0.0


def stamp(entry: Mapping[str, Any]) -> int:
    """When something was said to have happened, REALTIME ns."""
    given = entry.get("ts", 0)
    return given if isinstance(given, int) and 0 <= given < 1 << 63 else 0


def at(evidence: Evidence, entry: Mapping[str, Any]) -> str:
    """The same as words."""
    return f"{(stamp(entry) - evidence.utc_ns(evidence.header.trigger_ns)) / MS:+.0f} ms"


def planes(step: Step) -> list[Turn]:
    """The data planes' threads."""
    return [turn for turn in step.threads() if turn.thread.name.startswith(PLANE)]


def of(step: Step, process: str) -> list[Turn]:
    """A process's threads."""
    return [turn for turn in step.threads() if turn.thread.process == process]


def ms(duration_ns: float) -> str:
    """A duration in words."""
    value = duration_ns / MS
    if value < 1:
        return f"{value * 1000:.0f} µs"
    return (
        f"{value / 1000:.2f} s"
        if value >= 1000
        else f"{value:.0f} ms"
        if value >= 10
        else f"{value:.1f} ms"
    )
