"""A made-up gateway for the recorder's judgement: ten calm seconds, and what a test does to them.

Time begins at 0 and is cut into steps of 100 ms; each test says what is different in which.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.recorder.evidence import Arrivals, Evidence, evidence
from gateway.recording import Counts, Header, Sample, Second, Thread
from support.flight import HEADER

MS = 1_000_000
STEP_NS = 100 * MS
STEPS = 100
REAL_NS = 1_700_000_000_000_000_000
CLIENTS = 10

Changes = dict[str, Any]
"""What a step has in place of the usual; keys as in `USUAL`."""

USUAL: Changes = {
    "span_ns": STEP_NS,
    "records": 200,
    "plane_ms": 10.0,
    "plane_wait_ms": 1.0,
    "feed_ms": 5.0,
    "feed_wait_ms": 1.0,
    "loop_ms": 2.0,
    "feed_state": "S",
    "worker_state": "S",
    "clock_ms": 0.0,
    "gc_feed_ms": 0.0,
    "gc_worker_ms": 0.0,
    "running": 1,
    "restarted": False,
    "gauges": {},
    "counters": {},
}

Durations = dict[float, int]
"""How many took so many milliseconds."""


def counts(durations: Durations) -> Counts:
    """As in a recording, by HdrHistogram's layout for three digits."""
    places: dict[int, int] = {}
    for duration_ms, count in durations.items():
        value = int(duration_ms * MS)
        bucket = max(value.bit_length() - 11, 0)
        place = (bucket << 10) + (value >> bucket)
        places[place] = places.get(place, 0) + count
    return Counts([*places], [*places.values()])


CALM: dict[str, Durations] = {
    "ingest": {0.01: 2000},
    "ring": {0.03: 2000},
    "fanout": {0.1: 20_000},
    "total_0": {0.15: 20_000},
}


@dataclass
class World:
    """What happened; `build` makes a recording's evidence of it.

    Attributes:
        steps: changes by step.
        seconds: durations by stage, of seconds that differ.
        said: what processes said, by second.
    """

    steps: dict[int, Changes] = field(default_factory=dict)
    seconds: dict[int, dict[str, Durations]] = field(default_factory=dict)
    said: dict[int, dict[str, dict[str, list[dict[str, Any]]]]] = field(default_factory=dict)
    header: Header = field(
        default_factory=lambda: msgspec.structs.replace(
            HEADER,
            since_ns=0,
            until_ns=STEPS * STEP_NS,
            trigger_ns=80 * STEP_NS,
            realtime_ns=REAL_NS,
            monotonic_ns=0,
            config={"feeds": [{"type": "udp", "venue": "SIM"}]},
        )
    )

    def during(self, steps: Iterable[int], **changes: Any) -> "World":
        """Changes some steps."""
        for step in steps:
            self.steps[step] = {**self.steps.get(step, {}), **changes}
        return self

    def late(self, seconds: Iterable[int], **stages: Durations) -> "World":
        """Changes stages of some seconds."""
        for second in seconds:
            self.seconds[second] = {**self.seconds.get(second, {}), **stages}
        return self

    def build(self, arrivals: Arrivals | None = None) -> Evidence:
        """The evidence."""
        clock = _Clock()
        samples = [clock.sample()]
        samples += (clock.go(USUAL | self.steps.get(number, {})) for number in range(STEPS))
        seconds = [
            Second(
                mono_ns=(number + 1) * 1000 * MS,
                span_ns=1000 * MS,
                state="breached" if number in self.seconds else "ok",
                stages={
                    name: counts(durations)
                    for name, durations in (CALM | self.seconds.get(number, {})).items()
                },
                said=self.said.get(number, {}),
            )
            for number in range(STEPS // 10)
        ]
        return evidence(self.header, samples, seconds, arrivals)


class _Clock:
    """Everything that rises."""

    def __init__(self) -> None:
        self._now: dict[str, float] = dict.fromkeys(
            ("mono", "real", "records", "routed", "plane", "plane_wait", "feed", "feed_wait"), 0
        )
        self._now |= dict.fromkeys(("loop", "gc_feed", "gc_worker", "alive", "super"), 0)
        self._now["real"] = REAL_NS
        self._counters: dict[str, list[int]] = {}
        self._changes = USUAL
        self._tid = 300

    def go(self, changes: Changes) -> Sample:
        now, self._changes = self._now, changes
        now["mono"] += changes["span_ns"]
        now["real"] += changes["span_ns"] + changes["clock_ms"] * MS
        now["records"] += changes["records"]
        now["routed"] += changes["records"] * CLIENTS
        for name in ("plane", "plane_wait", "feed", "feed_wait", "loop", "gc_feed", "gc_worker"):
            now[name] += changes[f"{name}_ms"] * MS
        if changes["loop_ms"]:
            now["alive"] = now["mono"]
            now["super"] += 2 * MS
        if changes["restarted"]:
            self._tid += 1000
        for name, values in changes["counters"].items():
            before = self._counters.get(name, [0] * len(values))
            self._counters[name] = [a + b for a, b in zip(before, values, strict=True)]
        return self.sample()

    def sample(self) -> Sample:
        now, changes = {name: int(value) for name, value in self._now.items()}, self._changes
        worker = {
            "connections": [CLIENTS],
            "levels": [CLIENTS],
            "routed": [0, now["routed"]],
            "loop_alive_ns": [now["alive"]],
            "plane_alive_ns": [now["alive"]],
            "gc_pause_ns": [now["gc_worker"]],
            "delivered_per_s": [20_000],
            "sweep_ns": [500_000],
            "sweep_clients": [90],
            **changes["gauges"],
            **self._counters,
        }
        feed = {"feed_records": [now["records"]], "gc_pause_ns": [now["gc_feed"]]}
        feed_state, worker_state = changes["feed_state"], changes["worker_state"]
        threads = [
            Thread("feed", "main", 200, feed_state, now["loop"], 0),
            Thread("feed", "python", 201, feed_state, now["feed"], now["feed_wait"]),
            Thread("worker-0", "main", self._tid, worker_state, now["loop"], 0),
            Thread(
                "worker-0",
                "tickgate-plane",
                self._tid + 1,
                worker_state,
                now["plane"],
                now["plane_wait"],
            ),
            Thread("supervisor", "main", 100, "S", now["super"], 0),
        ]
        return Sample(
            mono_ns=now["mono"],
            real_ns=now["real"],
            pages={"worker-0": worker, "feed": feed},
            threads=threads,
            host={"steal_ms": 0, "busy_ms": 0, "running": changes["running"]},
        )


Maker = Callable[[], World]
