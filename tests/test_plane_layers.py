"""The data plane's files in layers: what native/README.md draws is what they include and call."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[1] / "native"
README = (NATIVE / "README.md").read_text()
INTERNAL = NATIVE / "gw_plane_internal.h"
SOURCES = {path.stem: path for path in sorted(NATIVE.glob("gw_*.c"))}

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
DEFINITION = re.compile(r"^(?!static)\w[\w *]*?\b(gw_\w+)\([^;{]*\)\s*\{", re.MULTILINE)
INLINE = re.compile(
    r"^static inline [\w *]*?\b(gw_\w+)\([^;{]*\)\s*\{(.*?)(?:^\}|\}$)", re.M | re.S
)
CALLED = re.compile(r"\b(gw_\w+)\b")


def bare(path: Path) -> str:
    return COMMENT.sub("", path.read_text())


def drawn() -> list[list[str]]:
    """The files of each layer, from the lowest on, as the table has them."""
    table = README.split("### Layers", 1)[1].split("\n\n|", 1)[1].split("\n\n", 1)[0]
    rows = [row.split("|") for row in table.splitlines()[2:]]
    return [re.findall(r"`(gw_\w+)\.c`", row[-2]) for row in rows]


ORDER = [name for layer in drawn() for name in layer]


@cache
def owners() -> dict[str, str]:
    found = {name: DEFINITION.findall(bare(path)) for name, path in SOURCES.items()}
    return {one: name for name, functions in found.items() for one in functions}


@cache
def inlines() -> dict[str, set[str]]:
    """What the inline functions of the plane's header call."""
    return {name: set(CALLED.findall(body)) for name, body in INLINE.findall(bare(INTERNAL))}


def calls(name: str) -> Iterator[tuple[str, str]]:
    """(the function, the file that defines it) for each that a file calls of others."""
    called = set(CALLED.findall(bare(SOURCES[name])))
    while more := {deeper for one in called for deeper in inlines().get(one, ())} - called:
        called |= more
    for one in sorted(called):
        if (owner := owners().get(one, name)) != name:
            yield one, owner


def test_every_file_of_the_plane_is_drawn_once() -> None:
    internal = {name for name in SOURCES if '"gw_plane_internal.h"' in SOURCES[name].read_text()}
    jobs = {name for name in SOURCES if '"gw_job.h"' in SOURCES[name].read_text()}
    assert sorted(ORDER) == sorted(internal | jobs)


@pytest.mark.parametrize("name", ORDER)
def test_a_file_calls_only_what_is_drawn_before_it(name: str) -> None:
    later = {
        f"{called} of {owner}.c"
        for called, owner in calls(name)
        if owner in ORDER[ORDER.index(name) :]
    }
    assert not later


def test_no_circle_of_calls() -> None:
    """Of all files of the native core."""
    left = {name: {owner for _, owner in calls(name)} for name in SOURCES}
    while ends := {name for name, called in left.items() if not called & left.keys()}:
        left = {name: called for name, called in left.items() if name not in ends}
    assert not left, "each of them calls another one of these"


def test_no_circle_of_includes() -> None:
    included = re.compile(r'^#include "(\w+\.h)"', re.MULTILINE)
    left = {path.name: set(included.findall(path.read_text())) for path in NATIVE.glob("*.h")}
    assert len(left) > 10
    while ends := {name for name, others in left.items() if not others & left.keys()}:
        left = {name: others for name, others in left.items() if name not in ends}
    assert not left


def test_encoding_closes_nobody() -> None:
    closing = {"gw_client_slow", "gw_log_guard", "gw_client_drop_queue"}
    for name in ("gw_encode", "gw_log", "gw_template_run"):
        assert not closing & {called for called, _ in calls(name)}
