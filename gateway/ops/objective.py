"""The watch over the objective: one look a second, and the same truth for all who ask.

/metrics, /statusz and the `slo` channel show the report of the last look. Only the supervisor can
read every process's page, so the looking is done here, once; a worker is sent the finished message
while it says that it has subscribers, and none otherwise.
"""

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gateway import log
from gateway.latency.slo import INTERVAL_S, STATES, Monitor, Objective, Report
from gateway.ops.subject import Subject

if TYPE_CHECKING:
    from gateway.latency.histogram import Histogram

EARLY_S = INTERVAL_S / 8
"""The caller's rounds are a fraction of the interval: the round that comes nearest is taken."""
HDR_CHARACTERS_MAX = 16 << 10
"""Of the histogram in a message, which has to fit a client's control queue: a distribution that is
broader than this is told with fewer digits."""
P999_COUNT_MIN = 1000
FOLLOWERS = "slo_subscribers"
"""In a worker's status: how many of its clients want the message."""

_log = log.get("slo")


class Look(NamedTuple):
    """What one look found; `since_ns` is REALTIME of the state's beginning, the same each time."""

    report: Report
    since_ns: int


class Watch:
    """Looks, judges, tells. Owned by the supervisor's loop; `look` may be read on any thread."""

    def __init__(self, subject: Subject) -> None:
        slo = subject.config.slo
        objective = Objective(slo.stage, slo.percentile, slo.target_us, slo.window_s)
        self._subject = subject
        self._monitor = Monitor(objective, time.monotonic())
        self._look = Look(self._monitor.report, time.time_ns())
        self._looked_s = float("-inf")

    @property
    def look(self) -> Look:
        """The last one."""
        return self._look

    def sample(self, now_s: float) -> bool:
        """Looks if it is time to: call it several times a second. `now_s` is MONOTONIC.

        Returns:
            Whether it did.
        """
        if now_s - self._looked_s < INTERVAL_S - EARLY_S:
            return False
        self._looked_s = now_s
        before, since_ns = self._look
        report = self._monitor.tick(now_s, self._subject.sample())
        if report.state != before.state:
            since_ns = time.time_ns()
            worse = STATES.index(report.state) > STATES.index(before.state)
            (_log.warning if worse else _log.info)("slo.state", **_words(before, report))
        self._look = Look(report, since_ns)
        self._tell()
        return True

    def _tell(self) -> None:
        workers = [
            child.name
            for child in self._subject.supervision().children
            if child.status.get(FOLLOWERS)
        ]
        if not workers:
            return
        text = message(self._look, time.time_ns())
        for name in workers:
            # One lost to a full buffer is made good by the next.
            self._subject.tell(name, {"type": "slo", "text": text})


def message(look: Look, ts_send: int) -> str:
    """The `slo` channel's message."""
    data = summary(look) | {"hdr": _hdr(look.report.sample.histogram)}
    body = {"channel": "slo", "type": "update", "ts_send": ts_send, "data": [data]}
    return orjson.dumps(body).decode()


def summary(look: Look) -> dict[str, Any]:
    """What clients and /statusz see alike, of the window."""
    report = look.report
    objective, histogram = report.objective, report.sample.histogram
    whole = int(objective.percentile)
    count = histogram.count
    return {
        "stage": objective.stage,
        "percentile": whole if whole == objective.percentile else objective.percentile,
        "target_us": objective.target_us,
        "p50_us": report.percentile_us(50),
        "p99_us": report.percentile_us(99),
        "p999_us": report.percentile_us(99.9) if count >= P999_COUNT_MIN else None,
        "count": count,
        "conflated": report.sample.conflated,
        "dropped": report.sample.dropped,
        "bad": report.bad,
        "window_s": round(report.window_s, 3),
        "state": report.state,
        "since": look.since_ns,
        "action": "none",
        "budget_remaining": round(report.budget_remaining, 6),
    }


def _hdr(histogram: "Histogram") -> str:
    text = histogram.to_hdr_v2()
    for digits in (2, 1):
        if len(text) <= HDR_CHARACTERS_MAX:
            break
        text = histogram.to_hdr_v2(digits)
    return text


def _words(before: Report, report: Report) -> dict[str, Any]:
    objective = report.objective
    return {
        "state": report.state,
        "was": before.state,
        "was_for_s": round(report.at_s - before.since_s, 1),
        "reached_us": report.percentile_us(objective.percentile),
        "target_us": objective.target_us,
        "count": report.good + report.bad,
        "bad": report.bad,
    }
