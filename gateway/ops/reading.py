"""One look at all statistics pages: merged numbers, names for their indices, the last interval."""

import threading
import time
from collections import deque
from dataclasses import dataclass

from gateway.latency import statistics
from gateway.latency.histogram import Histogram
from gateway.latency.statistics import Statistics
from gateway.model.outcomes import ACCEPT_ERRORS, ADMISSION, HANDSHAKES, REPLAYS, TLS_HANDSHAKES
from gateway.ops import processes
from gateway.ops.subject import Subject
from gateway.session.codes import CLOSE_CODES
from gateway.session.options import REJECTIONS

SPACING_S = 1.0
"""Looks closer together than this share their past one, so that many readers cost no memory."""
PAST_MAX = 60
"""Looks kept, of 1.1 MB each: over a longer window they are further apart."""

OUTCOMES = {
    "handshakes": ("result", HANDSHAKES),
    "tls_handshakes": ("result", TLS_HANDSHAKES),
    "admission_refused": ("reason", ADMISSION),
    "accept_errors": ("errno", ACCEPT_ERRORS),
    "closes": ("code", tuple(map(str, CLOSE_CODES))),
    "subscribe_rejected": ("reason", REJECTIONS),
    "replays": ("result", REPLAYS),
}
"""Counter arrays by outcome: what tells their places apart, and the name of each."""


@dataclass(frozen=True)
class Reading:
    """All processes together, and each alone; `window` is the change over the last `window_s`."""

    merged: Statistics
    each: dict[str, Statistics]
    window: dict[str, Histogram]
    window_s: float


class Reader:
    """Reads the pages when asked, and keeps what it read for as long as the objective's window.

    The window is exact where somebody looks at least once a second; at the first look it is the
    whole past. Nothing is read while nobody looks: watching costs the one who watches. The stage of
    the objective is looked at always, elsewhere: see `objective.py`.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._lock = threading.Lock()  # read on threads
        self._past: deque[tuple[float, dict[str, Histogram]]] = deque()
        self._started_s = time.monotonic()
        self._spacing_s = max(SPACING_S, subject.config.slo.window_s / PAST_MAX)

    def read(self) -> Reading:
        """Everything, now."""
        with self._lock:
            now_s = time.monotonic()
            each = dict(self._subject.read())
            merged = statistics.merge(each.values())
            window_s = self._subject.config.slo.window_s
            while len(self._past) > 1 and now_s - self._past[1][0] >= window_s:
                self._past.popleft()
            if not self._past:
                whole = Reading(merged, each, dict(merged.stages), now_s - self._started_s)
                return self._keep(whole, now_s)
            before_s, before = self._past[0]
            window = {stage: now.subtract(before[stage]) for stage, now in merged.stages.items()}
            return self._keep(Reading(merged, each, window, now_s - before_s), now_s)

    def _keep(self, reading: Reading, now_s: float) -> Reading:
        if not self._past or now_s - self._past[-1][0] >= self._spacing_s:
            self._past.append((now_s, dict(reading.merged.stages)))
        return reading


def feed_names(subject: Subject) -> list[str]:
    """The feeds' names by index: their own where they have reported, else type and place."""
    reported = [feed.name for feed in processes.reported(subject)]
    configured = [
        f"{feed.__struct_config__.tag!s}:{index}" for index, feed in enumerate(subject.config.feeds)
    ]
    return reported if len(reported) == len(configured) else configured
