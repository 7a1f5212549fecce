"""A gateway that operators of its host ask for something."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.serving import Serving

SETTINGS = """
[ring]
capacity_bytes = 1048576
[plane]
log_bytes = 8388608
[recorder]
enabled = false
[cluster]
workers = 2
[listen]
port = 0
[ops]
port = 0
[[feeds]]
type = "synthetic"
symbols = 3
rate = 10
"""


class Operated:
    """A gateway of two workers with a file, an admin socket and an audit."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "gateway.toml"
        self.unix = directory / "admin.sock"
        self.write()
        self.gateway: Serving

    def write(self, more: str = "") -> None:
        paths = f'[admin]\nunix = "{self.unix}"\n[audit]\npath = "{self.directory}/audit"\n'
        self.file.write_text(paths + more + SETTINGS)

    def admin(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "gateway.cli", "admin", *words]
        return subprocess.run(
            [*command, "--unix", str(self.unix)],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def good(self, *words: str) -> str:
        done = self.admin(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self) -> list[dict[str, Any]]:
        said = json.loads(self.good("list", "--json"))
        assert said["count"] == len(said["rows"])
        rows: list[dict[str, Any]] = said["rows"]
        return rows

    def audited(self) -> list[dict[str, Any]]:
        text = (self.directory / "audit" / "supervisor.jsonl").read_text()
        lines = map(json.loads, text.splitlines())
        return [line for line in lines if line["event"] == "admin"]
