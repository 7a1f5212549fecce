"""What clients are told of the gateway's health (`health`): feeds, readiness, objective.

Only the supervisor sees all of it. Several times a second it looks, and tells each worker that
has subscribers the present state, changed or not: one lost to a full buffer is made good by the
next, and a worker passes on what is news.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from gateway import log
from gateway.latency.slo import State as Objective
from gateway.model.outcomes import REFUSALS, REFUSALS_ROOM
from gateway.model.record import HEALTH
from gateway.ops.reading import feed_names
from gateway.ops.subject import Subject

STALE_S: Final = 10.0
"""A feed that had records, and none for so long, is stale at the soonest, where its configuration
(`stale_after_s`) does not say when: a market may well be quiet for less."""
PACE_FACTOR: Final = 5.0
"""... and not before it was silent for so many times the longest pause that it makes lately."""
PACE_FORGETS: Final = 0.95
"""What is left of the longest pause with each look that finds new records after a shorter one."""

State = Literal["ok", "degraded", "down"]

_log = log.get("ops")


class Feed(msgspec.Struct, frozen=True, gc=False):
    """One feed: whether it is connected and accepts what comes, and whether it has gone silent."""

    name: str
    venue: str
    up: bool
    stale: bool


class Announcement(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The state of all, as clients see it; `reasons` are of what the rest does not show."""

    state: State
    ready: bool
    slo: Objective
    feeds: tuple[Feed, ...]
    reasons: tuple[str, ...] = ()


def overall(
    ready: bool, slo: Objective, feeds: Sequence[Feed], reasons: Sequence[str] = ()
) -> State:
    """`down`: nothing new can come. `degraded`: something is worse than it should be."""
    if not ready or (feeds and not any(feed.up for feed in feeds)):
        return "down"
    worse = bool(reasons) or slo in ("breached", "infeasible")
    if worse or any(feed.stale or not feed.up for feed in feeds):
        return "degraded"
    return "ok"


class _Heard(NamedTuple):
    """How many records a feed had when that last changed (MONOTONIC), and its longest pause."""

    records: int
    at_s: float
    pause_s: float
    stale: bool


class Announcements:
    """Looks and tells. Owned by the supervisor's loop.

    Args:
        subject: where pages and children are seen.
        problems: why the gateway is not ready, at this MONOTONIC time.
        objective: the state of the objective.
    """

    def __init__(
        self,
        subject: Subject,
        problems: Callable[[float], Sequence[str]],
        objective: Callable[[], Objective],
    ) -> None:
        self._subject = subject
        self._problems = problems
        self._objective = objective
        self._heard: dict[int, _Heard] = {}
        self._unplaced = 0  # refused for want of a topic, until the table became full
        self._reasons: tuple[str, ...] = ()

    def sample(self, now_s: float) -> Announcement:
        """Looks once and tells the workers; `now_s` is MONOTONIC."""
        feeds = self._feeds(now_s)
        ready, slo = not self._problems(now_s), self._objective()
        reasons = self._look_at_topics()
        announcement = Announcement(overall(ready, slo, feeds, reasons), ready, slo, feeds, reasons)
        text = msgspec.json.encode(announcement).decode()
        for name in self._subject.followers(HEALTH):
            self._subject.tell(name, HEALTH, text)
        return announcement

    def _feeds(self, now_s: float) -> tuple[Feed, ...]:
        configured = self._subject.config.feeds
        return tuple(
            Feed(name, options.venue, *self._look(index, name, options.stale_after_s, now_s))
            for index, (name, options) in enumerate(
                zip(feed_names(self._subject), configured, strict=True)
            )
        )

    def _look(self, index: int, name: str, stale_after_s: float, now_s: float) -> tuple[bool, bool]:
        """Whether the feed is up, and whether it is stale."""
        records = self._total("feed_records", index)
        up = self._total("feed_up", index) > 0
        heard = self._heard.get(index, _Heard(records, now_s, 0.0, False))
        silence_s = now_s - heard.at_s
        if heard.records != records:
            # The first records end no pause of the feed's: what came before was its start.
            pause_s = max(silence_s, heard.pause_s * PACE_FORGETS) if heard.records else 0.0
            heard, silence_s = _Heard(records, now_s, pause_s, heard.stale), 0.0
        limit_s = stale_after_s or max(STALE_S, PACE_FACTOR * heard.pause_s)
        stale = up and records > 0 and silence_s > limit_s
        if stale != heard.stale:
            words = {"feed": name, "silent_s": round(silence_s, 1), "limit_s": round(limit_s, 1)}
            (_log.warning if stale else _log.info)("feed.quiet" if stale else "feed.heard", **words)
        self._heard[index] = heard._replace(stale=stale)
        return up, stale

    def _look_at_topics(self) -> tuple[str, ...]:
        """Whether names are refused because the ring has no room for their topics."""
        most = self._subject.config.ring.topics_max
        place = REFUSALS.index("topics")
        feeds = range(len(self._subject.config.feeds))
        refused = sum(self._total("feed_refused", n * REFUSALS_ROOM + place) for n in feeds)
        if self._total("topics_live", 0) + self._total("topics_retired", 0) < most:
            self._unplaced = refused
        reasons: tuple[str, ...] = ()
        if refused > self._unplaced:
            reasons = (f"ring.topics_max: all {most} topics are taken, new names are refused",)
        if reasons != self._reasons:
            self._reasons = reasons
            told = _log.error if reasons else _log.info
            told("topics.full" if reasons else "topics.room", max=most)
        return reasons

    def _total(self, name: str, index: int) -> int:
        # Of all pages, one is written by the feed process.
        return sum(page.get(name, index) for page in self._subject.pages.values())
