"""When a breach becomes a recording. Pure: time is an argument.

The objective's state enters `breached` (or gets worse than that from better) at some moment; the
recording is written a little later, so that the end of what caused it is in.
"""

from gateway.latency.slo import STATES

POST_ROLL_NS = 2_000_000_000
_BREACHED = STATES.index("breached")


class Trigger:
    """Decides once a look.

    Attributes:
        interval_ns: the least time from one recording's trigger to the next one's.
        suppressed: breaches that came too soon after a recording.
    """

    def __init__(self, interval_ns: int, post_roll_ns: int = POST_ROLL_NS) -> None:
        self.interval_ns = interval_ns
        self._post_roll_ns = post_roll_ns
        self._before = 0
        self._seen_ns: int | None = None
        self._last_ns: int | None = None
        self.suppressed = 0

    def look(self, state: str, now_ns: int) -> int | None:
        """When the breach was seen that is to be written now; None where there is none."""
        level, before = STATES.index(state), self._before
        self._before = level
        if before < _BREACHED <= level and self._seen_ns is None:
            if self._last_ns is not None and now_ns - self._last_ns < self.interval_ns:
                self.suppressed += 1
            else:
                self._seen_ns = self._last_ns = now_ns
        seen_ns = self._seen_ns
        if seen_ns is None or now_ns - seen_ns < self._post_roll_ns:
            return None
        self._seen_ns = None
        return seen_ns
