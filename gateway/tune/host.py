"""Which host this is, and what of its CPUs and memory this process may have.

A control group's limits count where they are lower: version 2 (`cpu.max`, `memory.max`) and version
1 (`cpu.cfs_quota_us`, `memory.limit_in_bytes`), of this group and of those around it
(Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, scheduler/sched-bwc.rst).
"""

import hashlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from gateway.tune.facts import Host, Memory

ROOT = Path("/")


def host(root: Path = ROOT) -> Host:
    """This host; `root` is where its `/proc`, `/sys` and `/etc` are."""
    return Host(
        id=_identity(root),
        cpu=_model(root),
        present=os.cpu_count() or 1,
        allowed=len(os.sched_getaffinity(0)),
        quota=_quota(root),
        kernel=platform.release(),
    )


def memory(root: Path = ROOT) -> Memory:
    """What there is, and what may still be taken without swapping."""
    fields = _fields(root / "proc/meminfo")
    total = _kilobytes(fields.get("MemTotal", ""))
    available = _kilobytes(fields.get("MemAvailable", "")) or total
    for limit, used in _memory_limits(root):
        total = min(total or limit, limit)
        available = min(available or limit, max(limit - used, 0))
    return Memory(total_bytes=total, available_bytes=available)


def clock_source(root: Path = ROOT) -> str:
    """The kernel's clock source, empty where it does not say."""
    return _text(root / "sys/devices/system/clocksource/clocksource0/current_clocksource")


def two_cpus(root: Path = ROOT) -> tuple[int, int] | None:
    """Two CPUs of different cores, the last ones of ours: interrupts tend to go to the first.

    Where all CPUs share one core, any two of them; None where there is only one.
    """
    cpus = sorted(os.sched_getaffinity(0), reverse=True)
    if len(cpus) < 2:
        return None
    siblings = _cpu_list(
        _text(root / f"sys/devices/system/cpu/cpu{cpus[0]}/topology/thread_siblings_list")
    )
    return cpus[0], next((cpu for cpu in cpus[1:] if cpu not in siblings), cpus[1])


def _identity(root: Path) -> str:
    machine = _text(root / "etc/machine-id") or platform.node()
    return hashlib.sha256(f"tickgate tune {machine}".encode()).hexdigest()[:16]


def _model(root: Path) -> str:
    fields = _fields(root / "proc/cpuinfo")
    named = (fields[name] for name in ("model name", "Model", "cpu model") if fields.get(name))
    return next(named, platform.machine())


def _fields(path: Path) -> dict[str, str]:
    """Lines of `name: value`."""
    lines = (line.partition(":") for line in _text(path).splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _kilobytes(text: str) -> int:
    number = text.removesuffix("kB").strip()
    return int(number) << 10 if number.isdecimal() else 0


def _cpu_list(text: str) -> set[int]:
    """The CPUs of a list such as `0-3,8`."""
    cpus: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            cpus.update(range(int(first), int(last if last.isdecimal() else first) + 1))
    return cpus


# --- control groups -------------------------------------------------------------------------------


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Directories of this process's group and of those around it; of version 2 where ''."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / controller
        group = top / path.strip("/")
        # In a container the path may be the host's, and only the top is to be seen.
        yield from (one for one in (group, *group.parents) if one.is_relative_to(top))


def _quota(root: Path) -> float:
    quotas = []
    for group in _groups(root, ""):
        limit, _, period = _text(group / "cpu.max").partition(" ")
        quotas.append((limit, period))
    quotas += [
        (_text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us"))
        for group in _groups(root, "cpu")
    ]
    granted = [
        int(limit) / int(period)
        for limit, period in quotas
        if limit.isdecimal() and period.isdecimal() and int(period)
    ]
    return round(min(granted), 2) if granted else 0.0


def _memory_limits(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, used) of each group that has a limit."""
    files = (("", "memory.max", "memory.current"),)
    files += (("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),)  # type: ignore[assignment]
    for controller, limit_file, used_file in files:
        for group in _groups(root, controller):
            limit, used = _text(group / limit_file), _text(group / used_file)
            # Version 1 says "no limit" as the largest multiple of a page.
            if limit.isdecimal() and int(limit) < 1 << 62:
                yield int(limit), int(used) if used.isdecimal() else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
