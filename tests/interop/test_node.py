"""Node with npm's `ws`, installed by the test."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from support.serving import Serving

COUNT = 200
SCRIPT = Path(__file__).with_name("client.mjs")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which node finds `ws`, with the client in it."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"program {program} is absent")
    directory = tmp_path_factory.mktemp("node")
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(directory), "ws"]
    done = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install ws: {done.stderr[-500:]}")
    shutil.copy(SCRIPT, directory)
    return directory


def test_node_ws(project: Path, gateway: Serving) -> None:
    command = ["node", str(project / SCRIPT.name), gateway.url, str(COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    seen = json.loads(done.stdout)
    assert "error" not in seen
    assert (seen["protocol"], seen["extensions"], seen["binary"]) == ("tickgate.v1.json", "", 0)
    assert seen["types"][:2] == ["hello", "subscribe"]
    assert seen["pong"] == "are you there"
    first = seen["seqs"][0]
    assert seen["seqs"] == list(range(first, first + COUNT))
    assert seen["code"] == 1000
