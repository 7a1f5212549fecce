"""Whether a worker that has its hands full takes on more (admission). Pure: gauges and times in.

What the worker already serves goes first: a new subscription is refused while the worker is
overloaded, or where it would make it so, and a new client once that has lasted. Whoever is refused
is told when to come back, each at another moment, so that they do not come back together.

Nobody is refused where that would help nobody. If the objective is infeasible, fewer subscribers
of another topic make the largest fan-out no shorter; if the plane rests half of its time, something
else than its load makes it late: a stolen processor, or a target below what a wake-up takes.
"""

import random
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from gateway.session import codes
from gateway.session.codes import Error

FULL_PPM: Final = 800_000
"""Of the data plane's time: below, there is room whatever the estimate of the capacity says."""
BUSY_PPM: Final = 500_000
"""Below, what is late is not late because of the load."""
OVERLOAD_NS: Final = 5_000_000_000
"""An overload that lasts for longer is no burst: new clients are sent away too."""
RETRY_MS: Final = (1000, 5000)


class Load(Struct, frozen=True, gc=False):
    """How a worker fares: gauges of its statistics page, under their names there.

    Attributes:
        overload_since_ns: MONOTONIC, 0 where there is none.
        infeasible: 1 where the largest fan-out alone takes longer than the target.
        plane_busy_ppm: of the data plane's time.
        offered_per_s: deliveries that are due.
        capacity_per_s: deliveries that it can make, 0 where that is not known.
        links: pairs of connection and topic.
    """

    overload_since_ns: int = 0
    infeasible: int = 0
    plane_busy_ppm: int = 0
    offered_per_s: int = 0
    capacity_per_s: int = 0
    links: int = 0

    @property
    def overloaded(self) -> bool:
        """Whether the promise is in danger, and less to send would mend it."""
        busy = self.plane_busy_ppm > BUSY_PPM
        return self.overload_since_ns > 0 and busy and not self.infeasible


class Capacity:
    """What one worker takes on.

    Args:
        load: the gauges, now.
        enforce: False: everything, as where the objective is only observed.
        spread: a number from a range, both ends included.
    """

    def __init__(
        self,
        load: Callable[[], Load],
        *,
        enforce: bool,
        spread: Callable[[int, int], int] = random.randint,
    ) -> None:
        self._load = load
        self._enforce = enforce
        self._spread = spread

    def room(self, now_ns: int) -> "Room":
        """For the subscriptions of one request; `now_ns` is MONOTONIC."""
        load = self._load() if self._enforce else Load()
        return Room(load, now_ns, self.retry_after_ms())

    def overload(self, now_ns: int) -> str | None:
        """Why no new client is let in, in words; None when it is."""
        load = self._load() if self._enforce else Load()
        if not load.overloaded or now_ns - load.overload_since_ns <= OVERLOAD_NS:
            return None
        return _words(load, now_ns)

    def retry_after_ms(self) -> int:
        """When somebody who was refused may try again: each at another time."""
        return self._spread(*RETRY_MS)


class Room:
    """What is left for one request, whose subscriptions are taken on one after the other."""

    __slots__ = ("_added_per_s", "_load", "_now_ns", "_retry_after_ms")

    def __init__(self, load: Load, now_ns: int, retry_after_ms: int) -> None:
        self._load = load
        self._now_ns = now_ns
        self._retry_after_ms = retry_after_ms
        self._added_per_s = 0

    def take(self, topics: int) -> Error | None:
        """Takes on a subscription to so many topics, or says why not."""
        load = self._load
        if load.overloaded:
            return self._error(_words(load, self._now_ns))
        # Of a topic that nobody has yet nothing is known but what the others are like.
        added = topics * load.offered_per_s // max(load.links, 1)
        due = load.offered_per_s + self._added_per_s
        limit, full = load.capacity_per_s, load.plane_busy_ppm > FULL_PPM
        if full and not load.infeasible and 0 < limit < due + added:
            return self._error(f"{due} deliveries a second and {added} more, of {limit}")
        self._added_per_s += added
        return None

    def _error(self, message: str) -> Error:
        return Error(codes.CAPACITY, message, self._retry_after_ms)


def _words(load: Load, now_ns: int) -> str:
    for_s = max(now_ns - load.overload_since_ns, 0) / 1e9
    limit = load.capacity_per_s or "an unknown number"
    return f"overloaded for {for_s:.1f} s: {load.offered_per_s} deliveries a second, of {limit}"
