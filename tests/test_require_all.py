"""What a skip means: fine on a newcomer's machine, a failure where everything is installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = {
    "test_one.py": """
import pytest

def test_absent():
    pytest.skip("no such program")

@pytest.mark.xfail(reason="known")
def test_known():
    raise AssertionError
""",
    "test_module.py": """
import pytest

pytest.skip("no such capture", allow_module_level=True)
""",
}


@pytest.mark.parametrize(
    ("require_all", "status", "closing"), [("0", 0, "2 skipped"), ("1", 1, "")]
)
def test_skips(tmp_path: Path, require_all: str, status: int, closing: str) -> None:
    conftest = Path(__file__).with_name("conftest.py").read_text()
    for name, text in {"conftest.py": conftest, **CASES}.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--continue-on-collection-errors"],
        cwd=tmp_path,
        env={**os.environ, "TICKGATE_REQUIRE_ALL": require_all},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert closing in done.stdout
    if require_all == "1":
        assert "test_one.py::test_absent skips" in done.stdout
        assert "test_module.py skips" in done.stdout
        assert "1 failed, 1 xfailed, 1 error" in done.stdout
