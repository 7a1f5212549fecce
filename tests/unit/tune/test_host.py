"""Which host it is, and what control groups leave of it."""

import os
from pathlib import Path

import pytest

from gateway.tune import host

MIB = 1 << 20


def put(root: Path, **files: str) -> Path:
    """Writes files; `__` in a name is a slash, `_dot_` a dot."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = "MemTotal:  1048576 kB\nMemFree: 1 kB\nMemAvailable:   524288 kB\n"


def test_a_host_without_files(tmp_path: Path) -> None:
    found = host.host(tmp_path)
    assert found.allowed == len(os.sched_getaffinity(0))
    assert found.quota == 0
    assert found.cpus == found.allowed
    assert found.cpu
    assert len(found.id) == 16
    assert host.memory(tmp_path).total_bytes == 0
    assert host.clock_source(tmp_path) == ""


def test_its_identity_is_that_of_the_machine_and_tells_nothing(tmp_path: Path) -> None:
    put(tmp_path / "a", etc__machine="")
    (tmp_path / "a/etc/machine-id").write_text("abc\n")
    (tmp_path / "b/etc").mkdir(parents=True)
    (tmp_path / "b/etc/machine-id").write_text("abd\n")
    a, b = host.host(tmp_path / "a"), host.host(tmp_path / "b")
    assert a.id != b.id
    assert a.id == host.host(tmp_path / "a").id
    assert "abc" not in a.id


def test_memory_of_the_host(tmp_path: Path) -> None:
    found = host.memory(put(tmp_path, proc__meminfo=MEMINFO))
    assert (found.total_bytes, found.available_bytes) == (1024 * MIB, 512 * MIB)
    found = host.memory(put(tmp_path, proc__meminfo="MemTotal: 1024 kB\nMemAvailable: x kB\n"))
    assert (found.total_bytes, found.available_bytes) == (MIB, MIB)


def test_version_2_groups(tmp_path: Path) -> None:
    root = put(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="0::/outer/inner\n",
        sys__fs__cgroup__outer__cpu_dot_max="150000 100000\n",
        sys__fs__cgroup__outer__inner__cpu_dot_max="max 100000\n",
        sys__fs__cgroup__outer__memory_dot_max=str(256 * MIB),
        sys__fs__cgroup__outer__memory_dot_current=str(56 * MIB),
        sys__fs__cgroup__outer__inner__memory_dot_max="max\n",
    )
    assert host.host(root).quota == 1.5
    found = host.memory(root)
    assert (found.total_bytes, found.available_bytes) == (256 * MIB, 200 * MIB)


def test_version_1_groups(tmp_path: Path) -> None:
    root = put(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="4:memory:/a\n2:cpu,cpuacct:/not/here\n0::/\n",
        sys__fs__cgroup__memory__a__memory_dot_limit_in_bytes=str(128 * MIB),
        sys__fs__cgroup__memory__a__memory_dot_usage_in_bytes=str(129 * MIB),
        sys__fs__cgroup__memory__memory_dot_limit_in_bytes=str((1 << 63) - 4096),
        sys__fs__cgroup__cpu__cpu_dot_cfs_quota_us="50000",
        sys__fs__cgroup__cpu__cpu_dot_cfs_period_us="100000",
    )
    assert host.host(root).quota == 0.5
    found = host.memory(root)
    assert (found.total_bytes, found.available_bytes) == (128 * MIB, 0)


@pytest.mark.parametrize("quota", ["-1", "", "max", "100000 0", "x y"])
def test_no_quota(tmp_path: Path, quota: str) -> None:
    root = put(tmp_path, proc__self__cgroup="0::/", sys__fs__cgroup__cpu_dot_max=quota)
    assert host.host(root).quota == 0


@pytest.mark.parametrize(
    ("allowed", "siblings", "expected"),
    [
        ({0}, "", None),
        ({0, 1}, "1", (1, 0)),
        ({0, 1}, "0-1", (1, 0)),
        ({0, 1, 2, 3}, "2-3", (3, 1)),
        ({0, 1, 2, 3}, "1,3", (3, 2)),
        ({4, 7}, "nonsense", (7, 4)),
    ],
)
def test_two_cpus_of_different_cores(
    allowed: set[int],
    siblings: str,
    expected: tuple[int, int] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topology = f"sys/devices/system/cpu/cpu{max(allowed)}/topology"
    (tmp_path / topology).mkdir(parents=True)
    (tmp_path / topology / "thread_siblings_list").write_text(siblings)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed)
    assert host.two_cpus(tmp_path) == expected
