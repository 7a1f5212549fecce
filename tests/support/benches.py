"""`tickgate bench` as a process of its own, and a scenario that takes a second."""

import subprocess
import sys

COMMAND = [sys.executable, "-P", "-m", "gateway.cli", "bench"]
TIMEOUT_S = 120.0
RUNS_MAX = 10
INVALID = 3
"""The exit code of a run whose clients were the bottleneck, as they are on a busy host."""
QUICK = """
warmup_s = 0.2
duration_s = 0.6
grace_s = 2.0  # a busy host may stand still for as long
source = { rate = 200 }
groups = [{ name = "all", clients = 3 }]
"""


def run(*arguments: str, tries: int = RUNS_MAX) -> subprocess.CompletedProcess[str]:
    """What came of it, once it has ended. One whose own part had too little CPU is made again."""
    for _ in range(tries):
        done = subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        if done.returncode != INVALID:
            break
    return done
