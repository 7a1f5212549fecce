"""The lowest of several rounds: what an operation costs where nothing else held it up."""

import sys
import time
from collections.abc import Callable


def best_ns(run: Callable[[], object], ops: int, rounds: int) -> float:
    """The lowest of so many rounds, for one of their operations."""
    best = sys.maxsize
    for _ in range(rounds):
        start = time.perf_counter_ns()
        run()
        best = min(best, time.perf_counter_ns() - start)
    return best / ops
