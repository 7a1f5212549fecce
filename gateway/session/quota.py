"""How much a client may ask: token buckets for requests, a sliding minute for errors.

A bucket is kept as one number, the time at which it will be full again (the virtual scheduling
algorithm of ITU-T I.371, known as GCRA): a request fits while that time is less than the bucket's
depth away, and moves it one interval on. Times are MONOTONIC nanoseconds, given by the caller.
"""

from collections import deque
from typing import Final

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS


class Rate:
    """`per_s` requests a second, `burst` at once: shared by all buckets that obey it."""

    __slots__ = ("burst", "depth_ns", "interval_ns", "per_s")

    def __init__(self, per_s: int, burst: int) -> None:
        self.per_s = per_s
        self.burst = burst
        self.interval_ns = max(1, SECOND_NS // per_s)
        self.depth_ns = self.interval_ns * burst

    def wait_ns(self, full_ns: int, now_ns: int) -> int:
        """How long until one more request fits a bucket; 0 when it fits now."""
        return max(0, full_ns + self.interval_ns - self.depth_ns - now_ns)

    def spend(self, full_ns: int, now_ns: int) -> int:
        """The bucket's state after one more request."""
        return max(full_ns, now_ns) + self.interval_ns


class Bucket:
    """One bucket with a rate of its own: what all connections of a worker may ask together."""

    __slots__ = ("_full_ns", "rate")

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._full_ns = 0

    def take(self, now_ns: int) -> int:
        """Takes one request and answers 0, or answers the nanoseconds until it would fit."""
        wait_ns = self.rate.wait_ns(self._full_ns, now_ns)
        if wait_ns == 0:
            self._full_ns = self.rate.spend(self._full_ns, now_ns)
        return wait_ns

    def debt_ns(self, now_ns: int, bursts: int = 1) -> int:
        """How long until less than so many bursts are spent; 0 when that is so now."""
        return max(0, self._full_ns + self.rate.interval_ns - bursts * self.rate.depth_ns - now_ns)

    def charge(self, now_ns: int, count: int) -> None:
        """Counts what was done, however much it was: `debt_ns` is longer for it."""
        self._full_ns = max(self._full_ns, now_ns) + count * self.rate.interval_ns


class Quota:
    """What one connection has asked lately.

    A request beyond the rate is refused. Refusals have a bucket of the same rate and burst: a
    client that is somewhat too fast is only refused, one that keeps flooding empties that as well.
    """

    __slots__ = ("_errors_ns", "_refusals_full_ns", "_requests_full_ns")

    def __init__(self) -> None:
        self._requests_full_ns = 0
        self._refusals_full_ns = 0
        self._errors_ns: deque[int] | None = None  # most clients never make an error

    def take(self, rate: Rate, now_ns: int) -> int:
        """Takes one request and answers 0, or answers the nanoseconds until it would fit."""
        wait_ns = rate.wait_ns(self._requests_full_ns, now_ns)
        if wait_ns == 0:
            self._requests_full_ns = rate.spend(self._requests_full_ns, now_ns)
        return wait_ns

    def charge(self, rate: Rate, now_ns: int, requests: int) -> None:
        """Counts work of so many requests that was done all the same: later ones wait for it."""
        self._requests_full_ns = max(self._requests_full_ns, now_ns) + requests * rate.interval_ns

    def modest(self, rate: Rate, now_ns: int) -> bool:
        """Whether at least half of what may be asked at once is left."""
        return self._requests_full_ns - now_ns <= rate.depth_ns // 2

    def refuse(self, rate: Rate, now_ns: int) -> bool:
        """Counts a refused request; True when the client floods and shall be closed."""
        if rate.wait_ns(self._refusals_full_ns, now_ns) > 0:
            return True
        self._refusals_full_ns = rate.spend(self._refusals_full_ns, now_ns)
        return False

    def error(self, per_minute: int, now_ns: int) -> bool:
        """Counts an error; True when it is the `per_minute`th within the last minute."""
        if self._errors_ns is None:
            self._errors_ns = deque()
        while self._errors_ns and now_ns - self._errors_ns[0] >= MINUTE_NS:
            self._errors_ns.popleft()
        self._errors_ns.append(now_ns)
        return len(self._errors_ns) >= per_minute


def retry_after_ms(wait_ns: int) -> int:
    """A wait as clients are told: rounded up, or they would be early."""
    return -(-wait_ns // 1_000_000)
