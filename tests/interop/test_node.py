"""Node with npm's `ws`, installed by the test."""

import json
import subprocess
from pathlib import Path

from support.serving import Serving

COUNT = 200


def test_node_ws(project: Path, gateway: Serving) -> None:
    command = ["node", str(project / "client.mjs"), gateway.url, str(COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    seen = json.loads(done.stdout)
    assert "error" not in seen
    assert (seen["protocol"], seen["extensions"], seen["binary"]) == ("tickgate.v1.json", "", 0)
    assert seen["types"][:2] == ["hello", "subscribe"]
    assert seen["pong"] == "are you there"
    first = seen["seqs"][0]
    assert seen["seqs"] == list(range(first, first + COUNT))
    assert seen["code"] == 1000
