"""What has been heard from the gateway so far, and how old that is. Time is an argument."""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from gateway.client import Disconnected, Event, Report
from gateway.top import words
from gateway.top.blocks import TRAIL_S
from gateway.top.now import Now, Point, read, read_points

CHANNEL: Final = "ops"
STALE_S: Final = 3.0
"""A document comes each second: after so long without one, what is shown is the past."""


class Watch:
    """Takes events as they come; `now_s` is MONOTONIC throughout."""

    def __init__(self) -> None:
        self.now: Now | None = None
        self.document: dict[str, Any] = {}
        """The last one, as it came."""
        self._heard_s = 0.0
        self._points: deque[Point] = deque(maxlen=2 * TRAIL_S)
        self._link = ""
        self._malformed = ""

    @property
    def points(self) -> Sequence[Point]:
        """The last minutes, in no order; none twice."""
        return [*{point.ts: point for point in self._points}.values()]

    def take(self, event: Event, now_s: float) -> bool:
        """Whether the event changes what is to be seen."""
        if isinstance(event, Disconnected):
            again = f"; again in {event.retry_s:.1f} s" if event.retry_s is not None else ""
            self._link = f"disconnected: {event.code} {event.reason}{again}"
            return True
        if not isinstance(event, Report) or event.channel != CHANNEL:
            return False
        self._link = ""
        try:
            self.now = read(event.data[-1])
        except ValueError as error:
            self._malformed = f"a document that is not understood: {error}"
            return True
        self._malformed = ""
        self.document = event.data[-1]
        self._heard_s = now_s
        if self.now.point is not None:
            self._points.append(self.now.point)
        return True

    def remember(self, points: Any) -> None:
        """Takes what the gateway remembers; nothing where it is not understood."""
        try:
            self._points.extend(read_points(points))
        except ValueError:
            return

    def trouble(self, now_s: float) -> str:
        """Why what is shown is not the present; empty where it is."""
        causes = [cause for cause in (self._link, self._malformed) if cause]
        old_s = now_s - self._heard_s
        if self.now is not None and (causes or old_s > STALE_S):
            causes.insert(0, f"STALE, {words.span(old_s)} old")
        return "; ".join(causes)
