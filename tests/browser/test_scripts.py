"""What of the dashboard needs no page: its words, its numbers and its link, in node."""

import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest
import support

SCRIPT = Path(__file__).with_name("scripts.test.mjs")


def test_scripts(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("program node is absent")
    with resources.as_file(resources.files("gateway.ops") / "static") as static:
        shutil.copytree(static, tmp_path / "static")
    # As in a browser, a file is a module: node asks the nearest package.
    (tmp_path / "package.json").write_text('{"type": "module"}')
    shutil.copy(SCRIPT, tmp_path)
    shutil.copy(Path(support.__file__).with_name("figures.json"), tmp_path)
    command = [node, "--test", str(tmp_path / SCRIPT.name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
