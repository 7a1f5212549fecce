"""What clients are told of the gateway's health (`health`): feeds, readiness, objective.

Only the supervisor sees all of it. Several times a second it looks, and tells each worker that
has subscribers the present state, changed or not: one lost to a full buffer is made good by the
next, and a worker passes on what is news.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from gateway.latency.slo import State as Objective
from gateway.ops.reading import feed_names
from gateway.ops.subject import Subject

STALE_S: Final = 10.0
"""A feed that had records, and none for so long, is stale: a market may well be quiet for less."""
FOLLOWERS: Final = "health_subscribers"
"""In a worker's status: how many of its clients want to hear of it."""

State = Literal["ok", "degraded", "down"]


class Feed(msgspec.Struct, frozen=True, gc=False):
    """One feed: whether it is connected to its venue, and whether it has gone silent."""

    name: str
    venue: str
    up: bool
    stale: bool


class Announcement(msgspec.Struct, frozen=True, gc=False):
    """The state of all, as clients see it."""

    state: State
    ready: bool
    slo: Objective
    feeds: tuple[Feed, ...]


def overall(ready: bool, slo: Objective, feeds: Sequence[Feed]) -> State:
    """`down`: nothing new can come. `degraded`: something is worse than it should be."""
    if not ready or (feeds and not any(feed.up for feed in feeds)):
        return "down"
    if slo in ("breached", "infeasible") or any(feed.stale or not feed.up for feed in feeds):
        return "degraded"
    return "ok"


class _Heard(NamedTuple):
    """How many records a feed had when that last changed; MONOTONIC."""

    records: int
    at_s: float


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

    def sample(self, now_s: float) -> Announcement:
        """Looks once and tells the workers; `now_s` is MONOTONIC."""
        feeds = self._feeds(now_s)
        ready, slo = not self._problems(now_s), self._objective()
        announcement = Announcement(overall(ready, slo, feeds), ready, slo, feeds)
        text = msgspec.json.encode(announcement).decode()
        for child in self._subject.supervision().children:
            if child.status.get(FOLLOWERS):
                self._subject.tell(child.name, {"type": "health", "text": text})
        return announcement

    def _feeds(self, now_s: float) -> tuple[Feed, ...]:
        configured = self._subject.config.feeds
        return tuple(
            self._feed(index, name, options.venue, now_s)
            for index, (name, options) in enumerate(
                zip(feed_names(self._subject), configured, strict=True)
            )
        )

    def _feed(self, index: int, name: str, venue: str, now_s: float) -> Feed:
        records = self._total("feed_records", index)
        heard = self._heard.get(index)
        if heard is None or heard.records != records:
            heard = self._heard[index] = _Heard(records, now_s)
        up = self._total("feed_up", index) > 0
        return Feed(name, venue, up, up and records > 0 and now_s - heard.at_s > STALE_S)

    def _total(self, name: str, index: int) -> int:
        # Of all pages, one is written by the feed process.
        return sum(page.get(name, index) for page in self._subject.pages.values())
