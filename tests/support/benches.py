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


INVALID = 3  # the exit code of a run that says nothing of the server


def run(*arguments: str, tries: int = 3) -> subprocess.CompletedProcess[str]:
    """What came of it in the end; of the next try, where the host gave the client no CPU."""
    while True:
        tries -= 1
        done = subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        if done.returncode != INVALID or not tries:
            return done
