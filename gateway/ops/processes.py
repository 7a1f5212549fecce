"""The processes of a gateway, the supervisor among them, and what they report."""

import os
from collections import deque
from collections.abc import Mapping
from typing import Any

from msgspec import to_builtins

from gateway.latency.control import Page
from gateway.latency.stalls import KINDS
from gateway.model.status import FeedStatus, Vitals
from gateway.ops.subject import Subject

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
            **_loop(subject.pages[child.name], child.status.vitals),
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
        **_loop(subject.pages[SUPERVISOR], subject.vitals()),
    }
    return [*children, own]


def reported(subject: Subject) -> list[FeedStatus]:
    """Every feed, as it was reported last; none before the first report."""
    return [feed for child in subject.supervision().children for feed in child.status.feeds]


def feeds(subject: Subject) -> list[dict[str, Any]]:
    """The same as rows."""
    return [to_builtins(feed) for feed in reported(subject)]


def _loop(page: Page, vitals: Vitals) -> dict[str, Any]:
    return {
        "loop_lag_ms": round(page.get("loop_lag_ns") / 1e6, 3),
        "loop_lag_max_ms": round(page.get("loop_lag_max_ns") / 1e6, 3),
        "gc_pauses": sum(page.get("gc_pauses", generation) for generation in range(3)),
        "gc_pause_max_ms": round(page.get("gc_pause_max_ns") / 1e6, 3),
        "run_delay_ms": vitals.load.run_delay_ms,
        "cpu": vitals.load.cpu,
        "plane_stalls": page.get("plane_stalls"),
    }


class Held:
    """What held the processes up lately, by their pages: known at once, before their reports come.

    Args:
        pages: of all processes.
        window_s: how long a stall is remembered.
    """

    def __init__(self, pages: Mapping[str, Page], window_s: float) -> None:
        self._pages = pages
        self._window_s = window_s
        self._past: deque[tuple[float, dict[tuple[str, str], int]]] = deque()

    def look(self, now_s: float) -> None:
        """Reads the pages; `now_s` never goes back."""
        totals: dict[tuple[str, str], int] = {
            (name, kind): page.get("stall_ns", index)
            for name, page in self._pages.items()
            for index, kind in enumerate(KINDS)
        }
        self._past.append((now_s, totals))
        while len(self._past) > 1 and now_s - self._past[1][0] >= self._window_s:
            self._past.popleft()

    def words(self) -> str:
        """Such as `worker-0: process 296 ms`, the longest first; empty where nothing did."""
        if not self._past:
            return ""
        before, now = self._past[0][1], self._past[-1][1]
        held = [(total - before[key], *key) for key, total in now.items() if total > before[key]]
        return ", ".join(
            f"{name}: {kind} {ns / 1e6:.0f} ms" for ns, name, kind in sorted(held)[::-1]
        )
