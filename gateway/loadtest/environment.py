"""The machine and the versions that a result was taken with: no name of host, user or directory."""

import os
import platform
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

from gateway.host import cpus_allowed
from gateway.loadtest.result import Environment

_GIT_TIMEOUT_S = 5.0  # a checkout on a sleeping disk must not hold the load test up
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def environment(package: Path = Path(__file__)) -> Environment:
    """What this process runs on; call it before the load begins, for `machine_load`.

    Args:
        package: A file of the installed package: the checkout that it lies in (as in its `.venv`),
            if any, is the one whose commit is named.
    """
    return Environment(
        cpu=_cpu(Path("/proc/cpuinfo")),
        cores=len(cpus_allowed()),
        kernel=f"{platform.system()} {platform.release()}",
        os=_distribution(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        tickgate=metadata.version("tickgate"),
        commit=_commit(package),
        libraries=_libraries(),
        machine_load=round(os.getloadavg()[0], 2),
        governor=_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        clocksource=_line(Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
    )


def _cpu(cpuinfo: Path) -> str:
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        lines = []
    fields = {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    # What the fields are called differs by architecture; ARM in virtual machines has none of them.
    names = ("model name", "Model", "cpu model", "cpu")
    return next((fields[name] for name in names if fields.get(name)), platform.machine())


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return "unknown"


def _libraries() -> dict[str, str]:
    required = metadata.requires("tickgate") or []
    names = (
        found[0] for line in required if "extra ==" not in line if (found := _NAME.match(line))
    )
    versions = {}
    for name in sorted(names):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _commit(package: Path) -> str | None:
    root = next((path for path in package.resolve().parents if (path / ".git").exists()), None)
    if root is None:
        return None
    command = ("git", "-C", str(root), "describe", "--always", "--exclude=*", "--abbrev=12")
    try:
        # Installed into somebody else's checkout, it is not our commit.
        project = tomllib.loads((root / "pyproject.toml").read_text())["project"]["name"]
        if project != "tickgate":
            return None
        done = subprocess.run(
            (*command, "--dirty=+"), capture_output=True, text=True, timeout=_GIT_TIMEOUT_S
        )
    except (OSError, KeyError, TypeError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _line(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except OSError:
        return None
