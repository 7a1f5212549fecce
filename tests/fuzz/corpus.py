"""Kept corpora: one file a target, one input a line, written as Python writes bytes."""

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Final

KEPT: Final = Path(__file__).parent / "corpus"


def path_of(target: str) -> Path:
    """Where a target's inputs are kept."""
    return KEPT / f"{target}.txt"


def read(path: Path) -> list[bytes]:
    """The inputs of a file; none where there is no such file."""
    if not path.exists():
        return []
    return [ast.literal_eval(f"b{line}") for line in path.read_text("ascii").splitlines()]


def write(path: Path, inputs: Iterable[bytes]) -> None:
    """Keeps these, each once, the shortest first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [repr(one)[1:] for one in sorted({*inputs}, key=lambda one: (len(one), one))]
    path.write_text("".join(f"{line}\n" for line in lines), "ascii")
