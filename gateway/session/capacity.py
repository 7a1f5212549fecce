"""Whether a worker that has its hands full takes on more (admission). Pure: gauges and times in.

A client that is refused waits for ever, so the worker refuses only where it knows that taking one
more would break what it promises to class 0, and where nothing else is left to do. All three hold:

1. The ladder stands at its highest: everything that could be degraded is.
2. The data plane is busy for more than 95 % of the time. A coalescing sender is always busy near
   its best, so that alone says nothing.
3. The forecast says that with one more the p99 age of class 0 is beyond the target.

While the objective is infeasible it refuses nobody: fewer subscribers of another topic make the
largest fan-out no shorter. New subscriptions are refused as soon as the three hold, new clients
once they have held for 5 s. Everybody who is refused is told why, with the numbers, and when to
come back, each at another moment.
"""

import math
import random
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from gateway.session import codes
from gateway.session.codes import Error

BUSY_PPM: Final = 950_000
"""Of the data plane's time: up to here there is room, whatever the forecast says."""
LASTING_NS: Final = 5_000_000_000
"""What lasts for longer is no burst: new clients are sent away too."""
GAP_NS: Final = 1_000_000_000
"""An interruption that is shorter ends nothing: the gauges swing around their limits."""
RETRY_MS: Final = (1000, 5000)


class Load(Struct, frozen=True, gc=False):
    """How a worker fares: gauges of its statistics page, under their names there.

    Attributes:
        ladder_highest: 1 where no further step of the ladder would help.
        infeasible: 1 where the largest fan-out alone takes longer than the target.
        plane_busy_ppm: of the data plane's time.
        ring_age_ns: for how long the oldest records wait, in the ring or for a visit, at least.
        sweep_ns: from taking a batch of records to the last of its writes, as a delivery sees it.
        sweep_clients: how many clients such a sweep writes to.
        write_fixed_ns: what a write costs before it carries anything.
        write_each_ps: what each delivery in it adds, in picoseconds.
        delivered_per_s: deliveries that are made.
        links: pairs of connection and topic.
    """

    ladder_highest: int = 0
    infeasible: int = 0
    plane_busy_ppm: int = 0
    ring_age_ns: int = 0
    sweep_ns: int = 0
    sweep_clients: int = 0
    write_fixed_ns: int = 0
    write_each_ps: int = 0
    delivered_per_s: int = 0
    links: int = 0

    @property
    def full(self) -> bool:
        """Whether nothing is left to degrade, nor of the plane's time: the forecast decides."""
        busy = self.plane_busy_ppm > BUSY_PPM
        return bool(self.ladder_highest) and busy and not self.infeasible


class Forecast(Struct, frozen=True, gc=False):
    """What a worker's class 0 gets once it has taken on more.

    Attributes:
        clients: written to in one sweep.
        sweep_ns: how long such a sweep takes; infinite where it never catches up.
        age_ns: the p99 of class 0: the time in the ring and one sweep.
    """

    clients: int
    sweep_ns: float
    age_ns: float


def forecast(load: Load, *, clients: int, topics: int) -> Forecast:
    """Class 0 with so many more clients in each sweep and so many more topics of theirs.

    While the plane comes round to all clients, records gather in their queues; the next visit
    writes all of them to its client with one call. So a sweep of length L carries `rate * L`
    deliveries:

        L = clients * fixed + each * rate * L,    that is    L = clients * fixed / (1 - each * rate)

    More load makes writes fuller, not slower one by one: the rate alone stretches a sweep only by
    its marginal cost, and without bound where that takes all of the time. The model says by how
    much the sweep grows; its length now is measured. A record waits for one sweep at most, since
    clients are visited in the order in which their news came, or for as long as the oldest do
    already.

    Of a topic that nobody has yet nothing is known but what the others are like. Where a gauge is
    not known yet the forecast is 0: it refuses nobody.
    """
    each_s = load.write_each_ps / 1e12
    more_per_s = topics * load.delivered_per_s / max(load.links, 1)
    before = _sweep_s(load.sweep_clients, load.write_fixed_ns, each_s * load.delivered_per_s)
    after = _sweep_s(
        load.sweep_clients + clients,
        load.write_fixed_ns,
        each_s * (load.delivered_per_s + more_per_s),
    )
    growth = after / before if 0 < before < math.inf else 0 if before == 0 else math.inf
    sweep_ns = load.sweep_ns * growth if load.sweep_ns else 0.0
    age_ns = max(load.ring_age_ns, sweep_ns) if sweep_ns else 0.0
    return Forecast(load.sweep_clients + clients, sweep_ns, age_ns)


def _sweep_s(clients: int, fixed_ns: int, marginal: float) -> float:
    """`marginal`: the share of the time that goes into what writes carry, not into writing."""
    return clients * fixed_ns / 1e9 / (1 - marginal) if marginal < 1 else math.inf


class Capacity:
    """What one worker takes on.

    Args:
        load: the gauges, now.
        target_ns: the objective of class 0.
        enforce: False: everything, as where the objective is only observed.
        spread: a number from a range, both ends included.
    """

    def __init__(
        self,
        load: Callable[[], Load],
        *,
        target_ns: int,
        enforce: bool,
        spread: Callable[[int, int], int] = random.randint,
    ) -> None:
        self._load = load
        self._target_ns = target_ns
        self._enforce = enforce
        self._spread = spread
        self._since_ns = self._seen_ns = 0  # the three hold from, and held last

    def reconfigure(self, target_ns: int) -> None:
        """Another objective, from the next look on."""
        self._target_ns = target_ns

    def room(self) -> "Room":
        """For the subscriptions of one request."""
        return Room(self._now(), self._target_ns, self.retry_after_ms())

    def look(self, now_ns: int) -> None:
        """Keeps account of how long a new client would have been one too many.

        To be called a few times a second, since what lasts can't be told from single moments;
        `now_ns` is MONOTONIC.
        """
        self._look(now_ns)

    def refusal(self, now_ns: int) -> str | None:
        """Why no new client is let in, in words; None when it is. `now_ns` is MONOTONIC."""
        why = self._look(now_ns)
        if why is None or now_ns - self._since_ns <= LASTING_NS:
            return None
        return f"for {(now_ns - self._since_ns) / 1e9:.0f} s {why}"

    def retry_after_ms(self) -> int:
        """When somebody who was refused may try again: each at another time."""
        return self._spread(*RETRY_MS)

    def _now(self) -> Load:
        return self._load() if self._enforce else Load()

    def _look(self, now_ns: int) -> str | None:
        load = self._now()
        topics = round(load.links / max(load.sweep_clients, 1))  # as many as the others have
        why = too_many(load, self._target_ns, "client", clients=1, topics=topics)
        if why is not None:
            self._since_ns = self._since_ns or now_ns
            self._seen_ns = now_ns
        elif now_ns - self._seen_ns >= GAP_NS:
            self._since_ns = 0
        return why


class Room:
    """What is left for one request, whose subscriptions are taken on one after the other."""

    __slots__ = ("_load", "_retry_after_ms", "_target_ns", "_topics")

    def __init__(self, load: Load, target_ns: int, retry_after_ms: int) -> None:
        self._load = load
        self._target_ns = target_ns
        self._retry_after_ms = retry_after_ms
        self._topics = 0

    def take(self, topics: int) -> Error | None:
        """Takes on a subscription to so many topics, or says why not."""
        due = self._topics + topics
        # At worst its client was in no sweep before; it is one client, however much it asks for.
        why = too_many(self._load, self._target_ns, "subscription", clients=1, topics=due)
        if why is not None:
            return Error(codes.CAPACITY, why, self._retry_after_ms)
        self._topics = due
        return None


def too_many(load: Load, target_ns: int, what: str, *, clients: int, topics: int) -> str | None:
    """Why one more `what`, with so many clients and topics, is refused; None where it is not."""
    if not load.full:
        return None
    then = forecast(load, clients=clients, topics=topics)
    if then.age_ns <= target_ns:
        return None
    if then.sweep_ns < math.inf:
        broken = (
            f"a sweep over {then.clients:,} clients takes {_ms(then.sweep_ns)} and class 0 is"
            f" {_ms(then.age_ns)} old, target {_ms(target_ns)}"
        )
    else:
        broken = f"what it sends to {then.clients:,} clients takes more than all of its time"
    return (
        f"the data plane is {load.plane_busy_ppm / 1e4:.0f} % busy and all that can be degraded is:"
        f" with one more {what} {broken}"
    )


def _ms(ns: float) -> str:
    return f"{ns / 1e6:.3g} ms"
