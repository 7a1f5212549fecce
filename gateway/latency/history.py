"""A day of latencies and counts in bounded memory. Pure: times come with the points.

Theory of operation. Somebody puts in a point a second: what happened since the one before. Points
stay as they are for a quarter of an hour; then those of the same ten seconds are merged into one,
and after three hours those of the same minute, until a day has passed. Merging adds counts, never
percentiles, so that a percentile over any time is that of everything delivered in it.

    tier    a point stands for    kept for         points at the most
    0       1 s                   15 min           920
    1       10 s                  3 h in all       1010
    2       60 s                  24 h in all      1280

Each has at most `POINT_BYTES_MAX` of histograms and about 1 KB of the rest: 30 MB at the very
worst, and a few where the distributions are narrow or the gateway is quiet.

Ages are MONOTONIC: a clock that is set moves no point to another tier. Stamps are REALTIME, and
points are joined where they lie in the same ten seconds of that.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Final, NamedTuple

from gateway.latency.sparse import Sparse

SECOND_NS: Final = 1_000_000_000
POINT_BYTES_MAX: Final = 8192
"""Of a point's histograms: some 20,000 different durations are kept as they are, to 0.1 %."""


class Tier(NamedTuple):
    """Points of this width are kept at least up to this age."""

    width_s: int
    age_s: int


TIERS: Final = (Tier(1, 15 * 60), Tier(10, 3 * 3600), Tier(60, 24 * 3600))
_SPARE: Final = 20
"""Points that a tier may hold beyond its time's: those that make one of the next leave together,
the oldest of them late."""


@dataclass(frozen=True, slots=True)
class Point:
    """What happened in an interval, and how things were at its end.

    Attributes:
        at_s: MONOTONIC time of the end.
        ts: REALTIME ns of the end.
        span_s: its length.
        latency: durations by class.
        max_ns: the longest of them.
        state: the objective's worst state, by its place in `STATES`.
        step: the ladder's highest step.
        connections: open at the end.
        published, delivered, conflated, dropped: records and updates of all classes.
        class_conflated, class_dropped: the same by class.
    """

    at_s: float
    ts: int
    span_s: float
    latency: Sparse
    max_ns: int = 0
    state: int = 0
    step: int = 0
    connections: int = 0
    published: int = 0
    delivered: int = 0
    conflated: int = 0
    dropped: int = 0
    class_conflated: tuple[int, ...] = (0, 0, 0, 0)
    class_dropped: tuple[int, ...] = (0, 0, 0, 0)


def merged(points: Sequence[Point], bytes_max: int | None = None) -> Point:
    """All of them as one, which follow each other; at least one."""
    last = points[-1]
    if len(points) == 1 and bytes_max is None:
        return last
    return Point(
        at_s=last.at_s,
        ts=last.ts,
        span_s=math.fsum(each.span_s for each in points),
        latency=Sparse.merged([each.latency for each in points], bytes_max),
        max_ns=max(each.max_ns for each in points),
        state=max(each.state for each in points),
        step=max(each.step for each in points),
        connections=last.connections,
        published=sum(each.published for each in points),
        delivered=sum(each.delivered for each in points),
        conflated=sum(each.conflated for each in points),
        dropped=sum(each.dropped for each in points),
        class_conflated=_added([each.class_conflated for each in points]),
        class_dropped=_added([each.class_dropped for each in points]),
    )


class Selection(NamedTuple):
    """Points of a time: groups that follow each other, each to be merged into one.

    Attributes:
        resolution_s: what a group stands for, but for the first and the last.
        groups: oldest first.
    """

    resolution_s: int
    groups: list[list[Point]]


@dataclass(slots=True)
class _Kept:
    tier: Tier
    capacity: int
    points: deque[Point] = field(default_factory=deque)


class History:
    """The points of the last day."""

    def __init__(self, tiers: Sequence[Tier] = TIERS) -> None:
        ages_s = [0, *(each.age_s for each in tiers)]
        self._tiers = [
            _Kept(each, (each.age_s - younger_s) // each.width_s + _SPARE)
            for each, younger_s in zip(tiers, ages_s, strict=False)
        ]

    def __len__(self) -> int:
        return sum(len(kept.points) for kept in self._tiers)

    @property
    def capacity(self) -> int:
        """How many points there are at the most."""
        return sum(kept.capacity for kept in self._tiers)

    @property
    def last(self) -> Point | None:
        """The newest point."""
        return self._tiers[0].points[-1] if self._tiers[0].points else None

    def add(self, point: Point) -> None:
        """Puts in a point that follows the others, and moves those that have come of age."""
        self._tiers[0].points.append(point)
        coarser: list[_Kept | None] = [*self._tiers[1:], None]
        for kept, following in zip(self._tiers, coarser, strict=True):
            points, age_s = kept.points, kept.tier.age_s
            if following is not None:
                age_s += following.tier.width_s
            while points and (len(points) > kept.capacity or point.at_s - points[0].at_s > age_s):
                if following is None:
                    points.popleft()
                else:
                    group = _oldest(points, following.tier.width_s)
                    following.points.append(merged(group, POINT_BYTES_MAX))

    def select(self, from_ns: int, to_ns: int, points_max: int) -> Selection:
        """Points that ended after `from_ns` and not after `to_ns`, in at most so many groups."""
        found: list[Point] = []
        width_s = 1
        for kept in reversed(self._tiers):
            inside = [each for each in kept.points if from_ns < each.ts <= to_ns]
            if inside:
                width_s = max(width_s, kept.tier.width_s)
                found += inside
        if len(found) <= points_max and width_s == self._tiers[0].tier.width_s:
            return Selection(width_s, [[each] for each in found])
        span_s = math.fsum(each.span_s for each in found)
        resolution_s = width_s * max(math.ceil(span_s / (width_s * points_max)), 1)
        groups = [list(group) for _, group in groupby(found, _cell(resolution_s))]
        # The time may begin inside of one, and clocks are set: the oldest takes in what is over.
        surplus = len(groups) - points_max
        if surplus > 0:
            groups[: surplus + 1] = [list(chain(*groups[: surplus + 1]))]
        return Selection(resolution_s, groups)


def _oldest(points: deque[Point], width_s: int) -> list[Point]:
    """Takes the oldest point, and those after it that lie in the same cell of this width."""
    cell = _cell(width_s)
    first = points.popleft()
    group = [first]
    while points and cell(points[0]) == cell(first) and points[0].at_s - first.at_s < width_s:
        group.append(points.popleft())
    return group


def _cell(width_s: int) -> Callable[[Point], int]:
    """Which cell of this width of REALTIME a point ends in; a cell's end belongs to it."""
    return lambda point: (point.ts - 1) // (width_s * SECOND_NS)


def _added(rows: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*rows, strict=True)))
