"""`tickgate bench` as a process of its own, and a scenario that takes a second."""

import subprocess
import sys

COMMAND = [sys.executable, "-P", "-m", "gateway.cli", "bench"]
TIMEOUT_S = 60.0
QUICK = """
warmup_s = 0.2
duration_s = 0.6
grace_s = 0.2
source = { rate = 200 }
groups = [{ name = "all", clients = 3 }]
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What came of it, once it has ended."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
