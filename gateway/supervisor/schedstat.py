"""What the kernel says of time without a CPU: run delay of threads, steal time of the host.

`schedstat` of a thread is three numbers (Documentation/scheduler/sched-stats.rst): ns on a CPU, ns
runnable without one, and turns; it needs CONFIG_SCHED_INFO. `/proc/stat` counts what a hypervisor
took from each CPU in its eighth number (proc(5)). Where a file is absent all is 0: starvation can't
be told from standing still then, which `tickgate doctor` says.
"""

import os
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

THREAD = Path("/proc/thread-self/schedstat")
TASKS = Path("/proc/self/task")
STAT = Path("/proc/stat")
LOOKS_MAX = 64
"""Looks at another process that are kept: more than a hang lasts until it is found."""
_STEAL = 8
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class ThreadTimes:
    """Of the thread that makes it. A reading is one system call: 1.2 us."""

    def __init__(self) -> None:
        try:
            self._fd = os.open(THREAD, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def read(self) -> tuple[int, int]:
        """On a CPU and runnable without one, so far, in ns; up to the last tick or switch."""
        if self._fd < 0:
            return time.thread_time_ns(), 0
        used_ns, delay_ns, _ = os.pread(self._fd, 64, 0).split()
        return int(used_ns), int(delay_ns)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class ProcessRunDelay:
    """Of all threads that this process has or had. A reading takes 30 us or so."""

    def __init__(self) -> None:
        self._threads: dict[str, int] = {}
        self._total_ns = 0

    def read(self) -> int:
        """So far, in ns: what threads had that ended between two readings is partly missing."""
        now = _delays_ns(TASKS)
        for name, delay_ns in now.items():
            before_ns = self._threads.get(name, 0)
            # Less than before: another thread, that got the number of one that ended.
            self._total_ns += delay_ns - before_ns if delay_ns >= before_ns else delay_ns
        self._threads = now
        return self._total_ns


class Starvation:
    """For how long threads of another process were runnable without a CPU, look by look.

    Of each look's time the thread that waited longest counts: a sign of life needs each of them.
    """

    def __init__(self, tasks: Path) -> None:
        self._tasks = tasks
        self._threads: dict[str, int] = {}
        self._total_ns = 0
        self._looks: deque[tuple[int, int]] = deque(maxlen=LOOKS_MAX)

    def look(self, now_ns: int) -> None:
        """Reads what the threads have waited; some 30 us."""
        now = _delays_ns(self._tasks)
        grown = [ns - self._threads[name] for name, ns in now.items() if name in self._threads]
        self._total_ns += max([0, *grown])
        self._threads = now
        self._looks.append((now_ns, self._total_ns))

    def since_ns(self, then_ns: int) -> int:
        """What was waited since then, up to the last look."""
        before = next((total for at, total in reversed(self._looks) if at <= then_ns), None)
        if before is None:
            before = self._looks[0][1] if self._looks else self._total_ns
        return self._total_ns - before


def _delays_ns(tasks: Path) -> dict[str, int]:
    """What each thread has waited so far."""
    found = {}
    try:
        for thread in tasks.iterdir():
            with suppress(OSError):  # it has just ended, or there is no such file
                found[thread.name] = int((thread / "schedstat").read_bytes().split()[1])
    except OSError:
        return {}  # the whole process has
    return found


class Stolen:
    """What the host took of that CPU of ours of which it took most, look by look.

    A pause has one CPU to thank for, so the others' losses would only blur it.
    """

    def __init__(self) -> None:
        self._before = _stolen_ns()
        self._total_ns = 0

    def read(self) -> int:
        """So far, in ns, in steps of a tick (10 ms). A reading takes 10 us on a small machine."""
        now = _stolen_ns()
        if len(now) == len(self._before):
            changes = [after - before for before, after in zip(self._before, now, strict=True)]
            self._total_ns += max([0, *changes])
        self._before = now
        return self._total_ns


def _stolen_ns() -> list[int]:
    """Of each CPU."""
    try:
        lines = STAT.read_bytes().splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines if line.startswith(b"cpu")]
    return [int(one[_STEAL]) * _TICK_NS for one in fields[1:] if len(one) > _STEAL]
