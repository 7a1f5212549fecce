"""The TypeScript client's package."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from support.typescript import build, need


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it was built; the processes of one run share it."""
    need("node", "npm")
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "typescript"
    with (directory.parent / "typescript.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "golden.json").exists():
            shutil.rmtree(directory, ignore_errors=True)
            build(directory)
    return directory
