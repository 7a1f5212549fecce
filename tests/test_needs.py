"""What a system lacks to build Tickgate is said before a compiler says it."""

import runpy
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NEEDS: dict[str, Any] = runpy.run_path(str(ROOT / ".ci" / "needs.py"))
INCLUDE = sysconfig.get_path("include")
GOOD: dict[str, Any] = {
    "version": (3, 11),
    "include": INCLUDE,
    "modules": [],
    "compilers": ["/usr/bin/cc"],
}


def test_this_system_lacks_nothing() -> None:
    assert NEEDS["missing"](**GOOD) == []
    done = subprocess.run([sys.executable, str(ROOT / ".ci" / "needs.py")], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("lacks", "package", "words"),
    [
        ({"version": (3, 10)}, "python3", "this is 3.10"),
        ({"include": "/nowhere"}, "python3-dev", "Python.h, this Python's headers, is not in /no"),
        ({"modules": ["ensurepip"]}, "python3-venv", "no module ensurepip"),
        ({"compilers": []}, "gcc libc6-dev", "no C compiler"),
    ],
)
def test_what_is_missing_is_named_with_its_package(
    lacks: dict[str, Any], package: str, words: str
) -> None:
    ((found, why),) = NEEDS["missing"](**GOOD | lacks)
    assert found == package
    assert words in why


def test_everything_is_told_at_once() -> None:
    bare = {"version": (3, 9), "include": "/nowhere", "modules": ["venv"], "compilers": []}
    assert len(NEEDS["missing"](**bare)) == 4


def test_a_build_shows_its_steps_and_all_it_said_where_it_fails() -> None:
    program = "print('noise'); print('x [1/2] Compiling a.c'); print('[2/2] Linking x'); exit({})"
    for code in (0, 3):
        done = subprocess.run(
            [sys.executable, str(ROOT / ".ci" / "progress.py"), sys.executable, "-c",
             program.format(code)],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == code
        assert done.stdout == "  [1/2] Compiling a.c\n  [2/2] Linking x\n"
        assert ("noise" in done.stderr) == bool(code)
