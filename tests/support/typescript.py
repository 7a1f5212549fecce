"""The TypeScript client, built as its README says, in a copy."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from support import book_scripts, client_scripts, golden_frames
from support.imports import ROOT

CLIENT = ROOT / "clients" / "typescript"
MADE = ("node_modules", "build", "dist")
# Node has a WebSocket of its own since 22, and since 20.10 for those who ask for it.
NODE_WITH_SOCKET = 22
NODE_ASKED_FOR_SOCKET = 20


def need(*programs: str) -> None:
    """Skips by the name of the first program that is not there."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"program {program} is absent")


def run(
    command: Sequence[str], directory: Path, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a step; its words are the test's, if it fails."""
    done = subprocess.run(
        command,
        cwd=directory,
        env=os.environ | (environ or {}),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-5000:]}{done.stderr[-3000:]}"
    return done


def node(socket: str) -> tuple[list[str], str]:
    """The command of Node, and whose WebSocket it has: "platform" where it can, or "ws", npm's.

    Debian 12's Node has none of its own.
    """
    words = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    major = int(words.removeprefix("v").split(".")[0])
    if socket == "ws" or major < NODE_ASKED_FOR_SOCKET:
        return ["node"], "ws"
    asks = [] if major >= NODE_WITH_SOCKET else ["--experimental-websocket", "--no-warnings"]
    return ["node", *asks], "platform"


def build(directory: Path) -> None:
    """Makes the package with its tools, `dist/`, bundle and compiled tests; and `golden.json`."""
    shutil.copytree(CLIENT, directory, ignore=shutil.ignore_patterns(*MADE))
    install = ["npm", "install", "--no-audit", "--no-fund"]
    done = subprocess.run(
        install, cwd=directory, capture_output=True, text=True, timeout=240, check=False
    )
    if done.returncode:
        pytest.skip(f"npm cannot install the client's tools: {done.stderr[-500:]}")
    for script in ("build", "bundle", "compile"):
        run(["npm", "run", script], directory)
    made = {
        "cases": golden_frames.cases(),
        "bench": golden_frames.bench(),
        "scripts": client_scripts.scripts(),
        "books": book_scripts.scripts(),
    }
    (directory / "golden.json").write_text(json.dumps(made))
