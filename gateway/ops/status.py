"""/statusz: everything the gateway knows of itself, as one JSON document."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.latency.budget import window_name
from gateway.latency.control import GAUGES
from gateway.latency.histogram import Histogram
from gateway.latency.stalls import KINDS
from gateway.model.outcomes import STEPS
from gateway.model.status import WorkerReport
from gateway.ops import processes
from gateway.ops.objective import Look, Watch, summary
from gateway.ops.reading import OUTCOMES, Reading
from gateway.ops.sampling import Sampling
from gateway.ops.subject import Subject
from gateway.session.options import REQUESTS


class Status:
    """Makes the document when asked."""

    def __init__(self, subject: Subject, watch: Watch, sampling: Sampling) -> None:
        self._subject = subject
        self._watch = watch
        self._sampling = sampling
        self._started_s = time.monotonic()

    def document(self, reading: Reading) -> dict[str, Any]:
        """The document, of the pages as just read; microseconds unless named otherwise."""
        subject = self._subject
        supervision, counters = subject.supervision(), reading.merged.counters
        config, look = subject.config, self._watch.look
        window = {**reading.window, config.slo.stage: look.report.sample.histogram}
        return {
            "version": subject.version,
            "uptime_s": round(time.monotonic() - self._started_s, 3),
            "epoch": supervision.epoch,
            "listen": subject.client_url,
            "processes": processes.rows(subject),
            "stalls": self._sampling.stalls(),
            "feeds": processes.feeds(subject),
            "workers": [
                {"name": child.name, **_reported(child.status.worker)}
                for child in supervision.children
                if child.role == "worker"
            ],
            "slo": {"enforce": config.slo.enforce, **objective(look)},
            "controller": [each.row() for each in look.controls],
            "stages": {name: _summary(h) for name, h in reading.merged.stages.items()},
            "window": {name: _summary(h) for name, h in window.items()},
            "window_s": round(reading.window_s, 3),
            "channels": {
                channel: {name: counters[name][index] for name in _PER_CHANNEL}
                for channel, index in subject.channels.items()
            },
            "counters": {
                name: _by_outcome(name, values)
                for name, values in counters.items()
                if name not in _ELSEWHERE and not name.endswith("_ns")
            },
            "topics": {
                "live": sum(counters["topics_live"]),
                "waiting": sum(counters["topics_waiting"]),
                "retired": sum(counters["topics_retired"]),
                "max": config.ring.topics_max,
            },
            "recorder": subject.recorder(),
            "config": msgspec.to_builtins(config),
        }


_PER_CHANNEL = (
    "published",
    "routed",
    "delivered",
    "conflated",
    "filtered",
    "dropped_lapped",
    "dropped_closed",
    "dropped_unsubscribed",
    "dropped_slow",
    "dropped_epoch",
    "pending",
    "snapshots",
)
_ELSEWHERE = {*_PER_CHANNEL, *GAUGES}
"""Counters shown with their channel or their controller."""
_PLACES = OUTCOMES | {
    "class_conflated": ("class", "0123"),
    "class_dropped": ("class", "0123"),
    "gc_pauses": ("generation", "012"),
    "stalls": ("kind", KINDS),
    "steps_resumed": ("step", STEPS),
}


def objective(look: Look) -> dict[str, Any]:
    """What the `slo` channel says, and what is only for those who run the gateway."""
    report = look.report
    return summary(look) | {
        "good_total": report.good_total,
        "bad_total": report.bad_total,
        "burn": {window_name(span_s): round(rate, 3) for span_s, rate in report.burn.items()},
        "alerts": [
            {"windows": alert.rule.name, "rate": alert.rule.rate, "burning": alert.burning}
            for alert in report.alerts
        ],
        "transitions": dict(report.transitions),
        "stalls": report.stalls,
        "age_s": round(max(time.monotonic() - report.at_s, 0.0), 3),
    }


def _reported(worker: WorkerReport | None) -> dict[str, Any]:
    """What a worker said last; nothing before the first report."""
    if worker is None:
        return {}
    row: dict[str, Any] = {"connections": worker.connections, "accepting": worker.accepting}
    row |= {f"{channel}_subscribers": count for channel, count in worker.subscribers.items()}
    row["ladder"] = [msgspec.to_builtins(step) for step in worker.ladder]
    row["slowest"] = [msgspec.to_builtins(client) for client in worker.slowest]
    return row


def _by_outcome(name: str, values: Sequence[int]) -> int | dict[str, Any]:
    """One number, or one for each outcome where /metrics tells them apart too."""
    if name == "requests":
        methods: dict[str, dict[str, int]] = {}
        for (method, result), value in zip(REQUESTS, values, strict=False):
            methods.setdefault(method, {})[result] = value
        return methods
    if name in _PLACES:
        return dict(zip(_PLACES[name][1], values, strict=False))
    return sum(values)


def _summary(histogram: Histogram) -> dict[str, float | int]:
    return {
        "count": histogram.count,
        "p50_us": histogram.value_at_percentile(50) / 1000,
        "p90_us": histogram.value_at_percentile(90) / 1000,
        "p99_us": histogram.value_at_percentile(99) / 1000,
        "p999_us": histogram.value_at_percentile(99.9) / 1000,
        "max_us": histogram.max_ns / 1000,
        "negative": histogram.negative,
    }
