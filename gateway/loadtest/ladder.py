"""Where the gateway's controller stands after an overload, as its ops listener says.

Nobody looks before the window is over: whoever renders /metrics takes CPU from what is measured.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http.client import HTTPException
from typing import Final
from urllib.request import ProxyHandler, build_opener

from gateway.loadtest.link import Go
from gateway.loadtest.overload_result import LadderResult

TIMEOUT_S: Final = 2.0
_DIRECT: Final = build_opener(ProxyHandler({}))  # it is on this host, whatever $http_proxy says
_STEP: Final = re.compile(rb"^tickgate_ladder_step(?:\{[^}\n]*\})? (\S+)$", re.MULTILINE)


class Ladder:
    """Looks at the moments of a run from the window's end on.

    Args:
        ops: `http://HOST:PORT` of each gateway; where there is none nobody looks.
        go: the moments of the run.
    """

    def __init__(self, ops: Sequence[str], go: Go) -> None:
        self._ops = ops
        self._end_ns = go.end_ns
        self._steps: list[tuple[int, int]] = []  # (ns since the window's end, step)

    def look(self, moment_ns: int) -> None:
        """Reads the highest step of any worker, if the window is over; no answer is no step."""
        if not self._ops or moment_ns < self._end_ns:
            return
        found = [step for url in self._ops for step in steps(_metrics(url))]
        if found:
            self._steps.append((moment_ns - self._end_ns, max(found)))

    @property
    def result(self) -> LadderResult | None:
        """What was seen; None: nothing."""
        return summed_up(self._steps) if self._steps else None


def steps(metrics: bytes) -> list[int]:
    """The ladder's step of each worker in the text of /metrics."""
    return [int(float(value)) for value in _STEP.findall(metrics)]


def summed_up(seen: Sequence[tuple[int, int]]) -> LadderResult:
    """Of steps at times after the window (ns), in order: the highest, and when all were over."""
    above = [n for n, (_, step) in enumerate(seen) if step]
    first_calm = above[-1] + 1 if above else 0
    back_s = seen[first_calm][0] / 1e9 if first_calm < len(seen) else None
    return LadderResult(step_max=max(step for _, step in seen), back_s=back_s)


def _metrics(url: str) -> bytes:
    try:
        with _DIRECT.open(f"{url}/metrics", timeout=TIMEOUT_S) as answer:
            text: bytes = answer.read()
            return text
    except (OSError, HTTPException):
        return b""
