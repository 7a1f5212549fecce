"""The offset between a gateway's clock and ours, by four-stamp pings.

Stamps of one host need none: CLOCK_REALTIME is shared. Across hosts a ping that leaves at t0, is
received at t1 and answered at t2 by the server's clock, and is back at t3, says that the server's
clock is ahead of ours by ((t1 - t0) + (t2 - t3)) / 2, and this is wrong by at most half of the
round trip (t3 - t0) - (t2 - t1), whatever the ways there and back took: F. Cristian,
"Probabilistic clock synchronization", Distributed Computing 3 (1989), and RFC 5905 section 8.
Queueing only ever adds to a round trip, so the fastest of many pings knows best.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Ping(NamedTuple):
    """Sent and received by our clock (t0, t3), received and answered by the server's (t1, t2)."""

    t0: int
    t1: int
    t2: int
    t3: int

    @property
    def round_trip_ns(self) -> int:
        return (self.t3 - self.t0) - (self.t2 - self.t1)


class Offset(NamedTuple):
    """What to add to our clock to get the server's, and by how much that may be wrong."""

    offset_ns: int
    error_ns: int


def estimate(pings: Iterable[Ping]) -> Offset | None:
    """The offset by the fastest of the pings; None of none.

    A round trip below zero shows that a clock was set meanwhile: such a ping says nothing.
    """
    usable = [ping for ping in pings if ping.round_trip_ns >= 0]
    if not usable:
        return None
    best = min(usable, key=lambda ping: ping.round_trip_ns)
    offset_ns = ((best.t1 - best.t0) + (best.t2 - best.t3)) // 2
    return Offset(offset_ns, (best.round_trip_ns + 1) // 2)
