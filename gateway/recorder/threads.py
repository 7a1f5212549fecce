"""What the kernel accounts for each thread: CPU time, and time spent ready without a CPU.

`run delay` is the evidence for stolen CPU: a thread that had work and got none. From /proc, see
proc(5), and the kernel's Documentation/scheduler/sched-stats.rst for the file of three numbers.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from gateway.recording import Thread

THREADS_MAX = 16
"""Of one process: a worker has five or so, a feed process one more for each feed."""
LIST_INTERVAL_NS = 1_000_000_000
"""How often new threads are looked for."""
_TICK_MS = 1000 // os.sysconf("SC_CLK_TCK")


class Threads:
    """Reads the threads of some processes again and again, through files that stay open.

    Args:
        proc: where the kernel shows them.
        own_pid: of which the main thread alone is read: this process, unless another is given. The
            rest of ours are a pool's, that comes and grows with what people ask of us.
    """

    def __init__(self, proc: Path = Path("/proc"), *, own_pid: int | None = None) -> None:
        self._proc = proc
        self._own_pid = os.getpid() if own_pid is None else own_pid
        self._open: dict[int, dict[int, tuple[str, int]]] = {}  # pid: tid: name, schedstat
        self._stat: dict[int, int] = {}  # pid: stat
        self._listed_ns = -LIST_INTERVAL_NS

    def read(self, pids: Mapping[str, int], now_ns: int) -> list[Thread]:
        """The threads of each process, by its name; of one that has ended none."""
        if now_ns - self._listed_ns >= LIST_INTERVAL_NS or not self._open.keys() >= {
            *pids.values()
        }:
            self._listed_ns = now_ns
            self._list({*pids.values()})
        threads = []
        for process, pid in pids.items():
            state = self._state(pid)
            for tid, (name, fd) in self._open[pid].items():
                with suppress(OSError, ValueError):
                    cpu, delay, slices = map(int, os.pread(fd, 64, 0).split())
                    threads.append(Thread(process, name, tid, state, cpu, delay, slices))
        return threads

    def close(self) -> None:
        """Closes the files."""
        self._list(set())

    def _state(self, pid: int) -> str:
        """One letter; T for a stopped process, empty where it has ended."""
        with suppress(OSError, KeyError, IndexError):
            return os.pread(self._stat[pid], 512, 0).rpartition(b") ")[2][:1].decode()
        return ""

    def _list(self, pids: set[int]) -> None:
        for pid in self._open.keys() - pids:
            for _, fd in self._open.pop(pid).values():
                os.close(fd)
            if pid in self._stat:
                os.close(self._stat.pop(pid))
        for pid in pids:
            known = self._open.setdefault(pid, {})
            tids: set[int] = set()
            with suppress(OSError):
                if pid not in self._stat:
                    self._stat[pid] = self._file(pid, "stat")
                tids = self._tids(pid)
            for tid in known.keys() - tids:
                os.close(known.pop(tid)[1])
            for tid in sorted(tids - known.keys())[: THREADS_MAX - len(known)]:
                with suppress(OSError):
                    known[tid] = (self._name(pid, tid), self._file(pid, f"task/{tid}/schedstat"))

    def _tids(self, pid: int) -> set[int]:
        if pid == self._own_pid:
            return {pid}
        return {*map(int, os.listdir(self._proc / str(pid) / "task"))}

    def _name(self, pid: int, tid: int) -> str:
        if pid == tid:
            return "main"
        return (self._proc / f"{pid}/task/{tid}/comm").read_text("ascii", "replace").strip()

    def _file(self, pid: int, name: str) -> int:
        return os.open(self._proc / str(pid) / name, os.O_RDONLY | os.O_CLOEXEC)


def host(proc: Path = Path("/proc")) -> dict[str, int]:
    """All CPUs together: `busy_ms` and `steal_ms` since the start, `running` threads now.

    Empty where the kernel shows none. Costs 0.1 ms and more with many CPUs: once a second.
    """
    figures: dict[str, int] = {}
    with suppress(OSError, ValueError, IndexError):
        for line in (proc / "stat").read_text().splitlines():
            if line.startswith("cpu "):
                user, nice, system, _, _, irq, soft, steal = map(int, line.split()[1:9])
                figures["busy_ms"] = (user + nice + system + irq + soft) * _TICK_MS
                figures["steal_ms"] = steal * _TICK_MS
            elif line.startswith("procs_running "):
                figures["running"] = int(line.split()[1])
    return figures
