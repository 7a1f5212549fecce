"""Who was hurt, when and by how much. Pure: from a recording's seconds and samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.latency.classes import HEADLINE
from gateway.latency.histogram import Histogram
from gateway.recorder.evidence import Evidence, Step, histogram
from gateway.recording import Second
from gateway.session.codes import CLOSE_CODES

CLASSES = 4
BEFORE_NS = 1_000_000_000
"""How long before the first bad second clients are looked at."""
SLOW_MAX = 5
"""Slow clients that are named."""
_SLOW = CLOSE_CODES.index(4008)
UNITS = ("trades", "top of book", "screens", "bulk")
"""What each class is."""


@dataclass(frozen=True)
class ClassHarm:
    """One class in the bad seconds: what it got, and how much of it late."""

    number: int
    target_us: int | None
    delivered: int
    late: int
    p50_us: float
    p99_us: float
    max_us: float
    conflated: int
    dropped: int


@dataclass(frozen=True)
class SlowClient:
    """A client as its worker named it, at its worst."""

    worker: str
    connection: str
    address: str
    level: int
    age_ms: float
    why: str


class Bad(NamedTuple):
    """A bad second: MONOTONIC, and how many of the headline's updates came late in it."""

    start_ns: int
    end_ns: int
    late: int


@dataclass(frozen=True)
class Harm:
    """The bad seconds: those in which more of the headline's updates came late than may.

    Attributes:
        start_ns, end_ns: MONOTONIC; of the first one's beginning and the last one's end.
        bad: each of them.
        worst_ns: the 99th percentile of the headline's latency in the worst of them.
        share: of the headline's updates in these seconds, how many came late.
        classes: those that got anything.
        stages: 99th percentiles of all stages in them, ns.
        clients: connected, at the most.
        blocked: with full sockets at one time, at the most.
        slowed: below level 0 at one time, at the most.
        cut_off: closed for being slow.
        slow: the slowest that were named, the slowest first.
    """

    start_ns: int
    end_ns: int
    bad: tuple[Bad, ...]
    worst_ns: int
    share: float
    classes: tuple[ClassHarm, ...]
    stages: dict[str, int]
    clients: int
    blocked: int
    slowed: int
    cut_off: int
    slow: tuple[SlowClient, ...]

    @property
    def slow_most(self) -> int:
        """Clients that read too slowly at one time, at the most."""
        return max(self.blocked, self.slowed)

    @property
    def few_are_slow(self) -> bool:
        """Whether some clients read too slowly and most did not: what ails all is not theirs."""
        few = self.slow_most <= max(self.clients / 2, 1)
        return few and (self.slow_most > 0 or self.cut_off > 0)


def bad_seconds(evidence: Evidence) -> list[Second]:
    """The seconds of the recording in which the objective was missed."""
    allowed = (100 - evidence.header.percentile) / 100
    return [
        second
        for second in evidence.seconds
        if _late(evidence, second) > allowed * headline(second).count
    ]


def headline(*seconds: Second) -> Histogram:
    """The headline's latencies."""
    return histogram(
        counts
        for second in seconds
        for number in HEADLINE
        if (counts := second.stages.get(f"total_{number}")) is not None
    )


def _late(evidence: Evidence, *seconds: Second) -> int:
    total = headline(*seconds)
    return total.count - total.count_at_most(evidence.header.target_us * 1000)


def stage(name: str, *seconds: Second) -> Histogram:
    """One stage's durations."""
    found = (second.stages.get(name) for second in seconds)
    return histogram(counts for counts in found if counts is not None)


def assess(evidence: Evidence) -> Harm | None:
    """What happened to clients; None where no second was bad."""
    bad = bad_seconds(evidence)
    if not bad:
        return None
    start_ns = bad[0].mono_ns - bad[0].span_ns
    end_ns = bad[-1].mono_ns
    steps = evidence.between(start_ns, end_ns)
    total = headline(*bad)
    late = _late(evidence, *bad)
    workers = evidence.workers()
    # What comes late in a second had waited in a socket that may have been full before it began.
    around = evidence.between(start_ns - BEFORE_NS, end_ns)

    def most(name: str, first: int = 0) -> int:
        return max(
            (
                sum(
                    sum(step.after.pages.get(worker, {}).get(name, ())[first:])
                    for worker in workers
                )
                for step in around
            ),
            default=0,
        )

    return Harm(
        start_ns=start_ns,
        end_ns=end_ns,
        bad=tuple(
            Bad(second.mono_ns - second.span_ns, second.mono_ns, _late(evidence, second))
            for second in bad
        ),
        worst_ns=max(headline(second).value_at_percentile(99) for second in bad),
        share=late / total.count,
        classes=tuple(_classes(evidence, bad, steps)),
        stages={
            name: stage(name, *bad).value_at_percentile(99)
            for name in ("wire", "ingest", "ring", "fanout")
        },
        clients=most("connections"),
        blocked=most("clients_blocked"),
        slowed=most("levels", 1),
        cut_off=sum(step.gained(worker, "closes", _SLOW) for step in around for worker in workers),
        slow=tuple(_slow(evidence, start_ns)),
    )


def _classes(evidence: Evidence, bad: Sequence[Second], steps: Sequence[Step]) -> list[ClassHarm]:
    targets = [*evidence.header.targets_us, *[evidence.header.target_us] * CLASSES][:CLASSES]
    found = []
    for number in range(CLASSES):
        durations = stage(f"total_{number}", *bad)
        conflated, dropped = (
            sum(step.gained(name, array, number) for step in steps for name in evidence.workers())
            for array in ("class_conflated", "class_dropped")
        )
        count = durations.count
        if not count and not dropped:
            continue
        target_us = targets[number]
        within = count if target_us is None else durations.count_at_most(target_us * 1000)
        found.append(
            ClassHarm(
                number=number,
                target_us=target_us,
                delivered=count,
                late=count - within,
                p50_us=durations.value_at_percentile(50) / 1000,
                p99_us=durations.value_at_percentile(99) / 1000,
                max_us=durations.max_ns / 1000,
                conflated=conflated,
                dropped=dropped,
            )
        )
    return found


def _slow(evidence: Evidence, start_ns: int) -> list[SlowClient]:
    """Those that were behind by more than the target, or are served at another level."""
    worst: dict[tuple[str, str], SlowClient] = {}
    target_us = evidence.header.target_us
    for at_ns, worker, entry in evidence.said("slowest"):
        if at_ns < start_ns:
            continue
        if not _number(entry.get("level")) and _number(entry.get("age_ms")) * 1000 < target_us:
            continue
        client = SlowClient(
            worker=worker,
            connection=_text(entry.get("connection_id")),
            address=_text(entry.get("address")),
            level=_number(entry.get("level")),
            age_ms=float(_number(entry.get("age_ms"))),
            why=_text(entry.get("why")),
        )
        key = worker, client.connection
        if key not in worst or worst[key].age_ms < client.age_ms:
            worst[key] = client
    return sorted(worst.values(), key=lambda client: -client.age_ms)[:SLOW_MAX]


def _text(given: object) -> str:
    return str(given)[:100] if given is not None else ""


def _number(given: object) -> int:
    return int(given) if isinstance(given, int | float) and abs(given) < 1 << 60 else 0
