"""One look a second at every counter, so that whoever asks is told rates over the last second.

What a worker reports of itself (its ladder's steps, its stalls) is kept here too: its own list ends
with its process, and begins anew with the next one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import asdict

from gateway.latency.history import POINT_BYTES_MAX, History, Point
from gateway.latency.news import News, moment
from gateway.latency.slo import STATES
from gateway.latency.sparse import Sparse
from gateway.ops.processes import SUPERVISOR

if TYPE_CHECKING:
    from gateway.latency.window import Samples
    from gateway.model.status import Vitals
    from gateway.ops.objective import Watch
    from gateway.ops.subject import Subject

TRANSITIONS_MAX = 100
STALLS_MAX = 50
LOST = ("dropped_lapped", "dropped_slow", "dropped_epoch")
"""What a client should have had. What it unsubscribed from or left behind is no loss of ours."""

Counters = Mapping[str, tuple[int, ...]]


class Look(NamedTuple):
    """The counters of each process at one moment; `at_s` is MONOTONIC."""

    at_s: float
    counters: Mapping[str, Counters]


class Events:
    """The latest entries of the children's lists, in order of time, each once."""

    def __init__(self, key: str, limit: int) -> None:
        self._key = key
        self._news = News()
        self._kept: deque[dict[str, Any]] = deque(maxlen=limit)

    def take(self, name: str, entries: Iterable[Mapping[str, Any]]) -> None:
        """Puts in what this process had not told when it was last asked."""
        for entry in self._news.of(name, entries):
            self._kept.append({"ts": moment(entry), self._key: name, **entry})

    def newest(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return sorted(self._kept, key=moment)


class Sampling:
    """The last two looks, what they add to the history, and what has been reported.

    Args:
        subject: the gateway.
        watch: over its objective, which looks first.
    """

    def __init__(self, subject: Subject, watch: Watch) -> None:
        self._subject = subject
        self._watch = watch
        self._last = self._before = Look(float("-inf"), {})
        self._samples: Samples | None = None
        self._ladder = Events("worker", TRANSITIONS_MAX)
        self._stalls = Events("process", STALLS_MAX)
        self.history = History()

    def take(self, now_s: float, ts: int) -> None:
        """Looks: call it once a second, after the watch has; MONOTONIC, and REALTIME ns."""
        pages = self._subject.pages.items()
        self._before = self._last
        self._last = Look(now_s, {name: page.read() for name, page in pages})
        for child in self._subject.supervision().children:
            steps = () if child.status.worker is None else child.status.worker.ladder
            self._ladder.take(child.name, [{"kind": "ladder", **asdict(step)} for step in steps])
            self._take_stalls(child.name, child.status.vitals)
        self._take_stalls(SUPERVISOR, self._subject.vitals())
        before, self._samples = self._samples, self._watch.samples
        if before is not None and self._samples is not None:
            self.history.add(self._point(ts, before, self._samples))

    def transitions(self) -> list[dict[str, Any]]:
        """The last steps of ladders and changes of states, oldest first."""
        every = [*self._ladder.newest(), *self._watch.transitions]
        return sorted(every, key=moment)[-TRANSITIONS_MAX:]

    def stalls(self) -> list[dict[str, Any]]:
        """The last ones of all processes, oldest first."""
        return self._stalls.newest()

    def _take_stalls(self, name: str, vitals: Vitals) -> None:
        self._stalls.take(name, map(asdict, vitals.stalls))

    def _point(self, ts: int, before: Samples, now: Samples) -> Point:
        pairs = list(zip(now.classes, before.classes, strict=True))
        parts = [each.subtract(earlier) for each, earlier in pairs]
        look = self._watch.look
        return Point(
            at_s=self._last.at_s,
            ts=ts,
            span_s=self._last.at_s - self._before.at_s,
            latency=Sparse.of([each.histogram for each in parts], POINT_BYTES_MAX),
            max_ns=max(each.histogram.max_ns for each in parts),
            state=STATES.index(look.report.state),
            step=look.together.step,
            connections=self.total("connections"),
            published=self._gained("published"),
            delivered=self._gained("delivered"),
            conflated=self._gained("conflated"),
            dropped=sum(map(self._gained, LOST)),
            class_conflated=tuple(each.conflated for each in parts),
            class_dropped=tuple(each.dropped for each in parts),
        )

    def _gained(self, name: str) -> int:
        return max(_total(self._last, name) - _total(self._before, name), 0)

    def total(self, name: str, index: int | None = None) -> int:
        """One counter, or all of its array, over all processes."""
        return _total(self._last, name, index)

    def rate(self, name: str, index: int | None = None) -> float:
        """By how much that rises in a second; 0 before there was one."""
        gained = _total(self._last, name, index) - _total(self._before, name, index)
        return max(gained, 0) / (self._last.at_s - self._before.at_s)


def _total(look: Look, name: str, index: int | None = None) -> int:
    arrays = (counters[name] for counters in look.counters.values())
    return sum(sum(array) if index is None else array[index] for array in arrays)
