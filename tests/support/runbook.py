"""The runbook by its sections, and the tools that check what it stands beside."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "configs" / "prometheus"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
RULES = (PROMETHEUS / "rules.yml").read_text()


def anchors() -> list[str]:
    """Of each heading, as they are made on a page of Markdown."""
    headings = re.findall(r"^#+ (.*)$", RUNBOOK, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def sections() -> dict[str, str]:
    """The text below each heading, by the heading's anchor."""
    texts = re.split(r"^#+ .*$", RUNBOOK, flags=re.MULTILINE)[1:]
    return dict(zip(anchors(), texts, strict=True))


def look_up(document: Any, path: str) -> None:
    """Follows a path of jq as far as it is plain.

    Raises:
        AssertionError: a key is not there, or there is nothing of which it could be told.
    """
    for name, subscript, key in re.findall(r"\.(\w+)|\[([-:\d]*)\]|\{([^}]*)\}", path):
        if name:
            assert name in document, (path, name)
            document = document[name]
        elif key:
            assert {each.strip() for each in key.split(",")} <= set(document), path
        elif not subscript:
            assert document, path
            document = document[0]


def promtool(*words: str | Path) -> None:
    """Prometheus' own judgement; the test skips where the program is absent.

    Raises:
        AssertionError: it is against it.
    """
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("program promtool is absent")
    done = subprocess.run(
        [program, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
