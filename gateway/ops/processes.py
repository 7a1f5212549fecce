"""The processes of a gateway, the supervisor among them, and the stalls that they have named."""

import os
from collections.abc import Mapping
from typing import Any

from gateway.latency.stalls import merged
from gateway.ops.subject import Page, Subject

SUPERVISOR = "supervisor"


def rows(subject: Subject) -> list[dict[str, Any]]:
    """One for each process, the supervisor's last.

    `loop_lag_ms` and `gc_pause_max_ms` are the longest of the last seconds, `loop_lag_max_ms` is
    the longest ever, counts are since the start; `run_delay_ms` (each second) and `cpu` (cores) are
    of the last second, 0 until there was one.
    """
    children = [
        {
            "role": child.role,
            "name": child.name,
            "pid": child.pid,
            "state": child.state,
            "tripped": child.tripped,
            "restarts": dict(child.restarts),
            "last_reason": child.last_reason,
            **_pulse(subject.pages[child.name], child.status),
        }
        for child in subject.supervision().children
    ]
    own = {
        "role": SUPERVISOR,
        "name": SUPERVISOR,
        "pid": os.getpid(),
        "state": "draining" if subject.supervision().draining else "ready",
        "tripped": False,
        "restarts": {},
        "last_reason": "",
        **_pulse(subject.pages[SUPERVISOR], subject.status()),
    }
    return [*children, own]


def stalls(subject: Subject) -> list[dict[str, Any]]:
    """The most recent ones of all processes, oldest first: `ts process kind ms words`."""
    statuses = {child.name: child.status for child in subject.supervision().children}
    statuses[SUPERVISOR] = subject.status()
    return merged({name: status.get("stalls", ()) for name, status in statuses.items()})


def _pulse(page: Page, status: Mapping[str, Any]) -> dict[str, Any]:
    load = status.get("load", {})
    return {
        "loop_lag_ms": round(page.get("loop_lag_ns") / 1e6, 3),
        "loop_lag_max_ms": round(page.get("loop_lag_max_ns") / 1e6, 3),
        "gc_pauses": sum(page.get("gc_pauses", generation) for generation in range(3)),
        "gc_pause_max_ms": round(page.get("gc_pause_max_ns") / 1e6, 3),
        "run_delay_ms": load.get("run_delay_ms", 0.0),
        "cpu": load.get("cpu", 0.0),
        "plane_stalls": page.get("plane_stalls"),
    }
