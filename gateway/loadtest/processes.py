"""What the kernel says of processes: who listens, who descends from whom, CPU time and memory."""

import os
import re
import socket
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

_LISTENING = "0A"  # TCP_LISTEN, include/net/tcp_states.h
_MAPPED = "0000000000000000FFFF0000"  # the prefix of ::ffff:0:0/96 as /proc/net/tcp6 writes it
_ANY4, _ANY6 = "0" * 8, "0" * 32
_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)  # proc_pid_smaps(5)


def family(pid: int, *, without: Collection[int] = ()) -> list[int]:
    """A process and its descendants, whichever threads started them; [] once it is gone.

    Args:
        pid: the root.
        without: processes that are left out together with their descendants.
    """
    if pid in without:
        return []
    try:
        found = [pid]
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                text = Path(f"/proc/{pid}/task/{task}/children").read_text()
                for child in text.split():
                    found += family(int(child), without=without)
    except (FileNotFoundError, ProcessLookupError):
        return []
    return found


def cpu_ns(pid: int) -> int | None:
    """CPU time of all the threads a process has or had, in nanoseconds; None once it is gone.

    The process's CPU clock (clock_getcpuclockid(3)) is what the scheduler charged, to the
    nanosecond; `utime` and `stime` of /proc are ticks of 10 ms.
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)  # CPUCLOCK_SCHED, kernel/time/posix-timers.c
    except OSError:
        return None


def resident_bytes(pids: Iterable[int]) -> int:
    """Resident memory of processes that share some of it.

    Private pages are added up. Shared ones (libraries, the ring) are largely the same pages: the
    largest share counts, once.
    """
    private = shared_max = 0
    for pid in pids:
        with suppress(OSError):
            _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
            private += int(resident) - int(shared)
            shared_max = max(shared_max, int(shared))
    return (private + shared_max) * PAGE_BYTES


def proportional_bytes(pids: Iterable[int]) -> int | None:
    """Proportional memory (PSS) of processes: each page divided by the processes that map it.

    Added up it is what they take together; of pages that others map as well (libraries), their
    share. One that has ended takes none.

    Returns:
        None where the kernel does not tell: a process of another user, or Linux before 4.14.
    """
    total_kb = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except ProcessLookupError:
            continue
        except OSError:
            if Path(f"/proc/{pid}").exists():
                return None
            continue
        found = _PSS.search(text)
        if found is None:
            return None
        total_kb += int(found[1])
    return total_kb * 1024


def is_local(address: str) -> bool:
    """Whether an IPv4 or IPv6 address is one of this host's."""
    try:
        with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listeners(address: str, port: int) -> list[int]:
    """Processes that hold a socket listening at this address of this host, as far as we may look.

    In a host shared by several users only one's own processes show their descriptors.
    """
    inodes: set[str] = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            inodes |= listening(Path(f"/proc/net/{table}").read_text(), address, port)
    wanted = {f"socket:[{inode}]" for inode in inodes}
    return sorted(pid for pid in _pids() if wanted & _links(pid)) if wanted else []


def listening(table: str, address: str, port: int) -> set[str]:
    """Inodes of the sockets in a /proc/net/tcp or tcp6 that listen at this address (proc_net(5)).

    A socket of all addresses listens at each of them.
    """
    # Addresses stand there as numbers of the host's byte order, each of four bytes.
    packed = ip_address(address).packed
    words = [packed[at : at + 4] for at in range(0, len(packed), 4)]
    exact = "".join(f"{int.from_bytes(word, 'little'):08X}" for word in words)
    hosts = {exact, _ANY6} if len(packed) == 16 else {exact, f"{_MAPPED}{exact}", _ANY4, _ANY6}
    found = set()
    for line in table.splitlines()[1:]:
        fields = line.split()
        host, _, local_port = fields[1].partition(":")
        if fields[3] == _LISTENING and int(local_port, 16) == port and host in hosts:
            found.add(fields[9])
    return found


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _links(pid: int) -> set[str]:
    """Where a process's descriptors point to."""
    found = set()
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.add(os.readlink(entry.path))
    return found


class Meter:
    """CPU time and memory of process trees, from the moment that it is made.

    A process that starts later counts from its start, one that ends until it was last looked at.

    Attributes:
        pids: who is counted, ended ones included.
        resident_bytes: at the last look; `_max`: the most of all looks.
        proportional_bytes: the same of `proportional_bytes`; None where the kernel does not tell.
    """

    def __init__(self, roots: Collection[int]) -> None:
        self._roots = roots
        self._begun_ns: dict[int, int] = {}
        self._used_ns: dict[int, int] = {}
        self._alive: list[int] = []
        self.resident_bytes = self.resident_bytes_max = 0
        self.proportional_bytes: int | None = None
        self.proportional_bytes_max: int | None = None
        self._look()
        self._begun_ns = dict(self._used_ns)
        self.began_ns = time.monotonic_ns()

    @property
    def pids(self) -> list[int]:
        return sorted(self._used_ns)

    def read(self) -> int:
        """CPU time used so far, in nanoseconds; looks at memory as well."""
        self._look()
        return sum(self._used_ns.values()) - sum(self._begun_ns.values())

    def _look(self) -> None:
        ours = (os.getpid(),)  # a server may be an ancestor of who measures it
        self._alive = [pid for root in self._roots for pid in family(root, without=ours)]
        for pid in self._alive:
            used = cpu_ns(pid)
            if used is not None:
                self._used_ns[pid] = used
        self.resident_bytes = resident_bytes(self._alive)
        self.resident_bytes_max = max(self.resident_bytes_max, self.resident_bytes)
        self.proportional_bytes = proportional_bytes(self._alive)
        if self.proportional_bytes is not None:
            most = self.proportional_bytes_max or 0
            self.proportional_bytes_max = max(most, self.proportional_bytes)
