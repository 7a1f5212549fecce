"""The house rules that a program can check: imports point down, and nothing outgrows its page.

Imports for the type checker alone (`if TYPE_CHECKING:`) are not counted: they are no dependency of
what runs, and a part may name the type of what it is given.
"""

import ast
import re
from pathlib import Path

import pytest
from support.imports import MODULES, PACKAGE, ROOT, imports, name_of, room_of, statements

# From the top down: a room imports rooms of lower ranks only, never a sibling of its own rank.
RANKS = (
    ("cli",),
    ("app", "doctor", "operate", "process", "ready", "top"),
    ("config", "identities", "memory", "orders", "reload", "tune"),
    ("admin", "server", "feeds", "ops", "supervisor", "client", "loadtest", "publish", "recorder"),
    ("dialects", "identity"),
    ("audit", "session", "wire", "codec", "latency", "document", "recording", "tls"),
    ("model", "errors", "clock", "exposure", "options", "log"),
    ("address", "backoff", "exits", "host", "networks", "state", "text"),
)
RANK_OF = {room: rank for rank, rooms in enumerate(RANKS) for room in rooms}

# Who may touch the native core: files, and packages with their last slash.
NATIVE_ALLOWED = (
    "app.py",
    "client/book.py",
    "client/books.py",
    "client/latency.py",
    "codec/",
    "doctor.py",
    "feeds/",
    "identity/rights.py",
    "latency/histogram.py",
    "latency/statistics.py",
    "loadtest/",
    "process.py",
    "recorder/ring.py",
    "server/catalog.py",
    "server/gate.py",
    "server/plane.py",
    "server/secure.py",
    "tls.py",
    "tune/measure.py",
)

ARCHITECTURE = ROOT / "ARCHITECTURE.md"
ARCHITECTURE_LINES_MAX = 160
ROOM = re.compile(r"`(\w+)(?:/|\.py)`")
"""A package or module in the page's table of rooms."""

# Protocol logic is sans-IO: time is an argument, bytes come and go through whoever calls.
SANS_IO = ("dialects", "session", "wire")
IO_MODULES = {"asyncio", "select", "selectors", "socket", "ssl", "threading", "time"}

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500
C_LINES_MAX = 500

C_FILES = sorted(path for ext in ("c", "h") for path in (ROOT / "native").glob(f"*.{ext}"))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        assert not list(imports(path)), "the package itself imports none of its parts"
        return
    assert room in RANK_OF, f"give {room} a rank in RANKS"
    for name in imports(path):
        other = name.split(".")[1]
        if other not in {room, "_native", "__version__"}:
            assert RANK_OF[other] > RANK_OF[room], f"{room} may not import {name}"


def test_the_architecture_names_every_room_in_its_rank() -> None:
    lines = ARCHITECTURE.read_text().splitlines()
    assert len(lines) <= ARCHITECTURE_LINES_MAX
    rows = [line.split("|") for line in lines if re.match(r"\| \d \|", line)]
    drawn = [(int(rank), name) for _, rank, names, *_ in rows for name in ROOM.findall(names)]
    ranked = [(rank, name) for rank, rooms in enumerate(RANKS, 1) for name in rooms]
    assert sorted(drawn) == sorted(ranked)
    assert {name for _, name in drawn} == {*map(room_of, MODULES)} - {"__init__"}


def test_the_files_that_the_architecture_names_exist() -> None:
    named = re.findall(r"`([\w./-]+(?:/|\.(?:py|pyi|h|c|md|toml)))`", ARCHITECTURE.read_text())
    rooms = [path for path in PACKAGE.iterdir() if path.is_dir()]
    places = (ROOT, PACKAGE, *rooms, *(ROOT / name for name in ("bench", "configs", "tests")))
    missing = [name for name in named if not any((place / name).exists() for place in places)]
    assert named
    assert not missing


@pytest.mark.parametrize(
    "path", [path for path in MODULES if room_of(path) in SANS_IO], ids=name_of
)
def test_protocol_logic_has_no_sockets_clock_or_tasks(path: Path) -> None:
    named = set()
    for node in statements(ast.parse(path.read_text()), types=False):
        if isinstance(node, ast.Import):
            named |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named.add(node.module.split(".")[0])
    assert not named & IO_MODULES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_native_core_is_reached_through_its_owners(path: Path) -> None:
    if name_of(path).startswith(NATIVE_ALLOWED):
        return
    reached = [name for name in imports(path) if name.startswith("gateway._native")]
    assert not reached, "ask the part that wraps it"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_functions_fit_a_page(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MODULE_LINES_MAX
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= FUNCTION_LINES_MAX
    }
    assert not long


@pytest.mark.parametrize("path", C_FILES, ids=lambda path: path.name)
def test_c_files_fit_a_page(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= C_LINES_MAX


@pytest.mark.parametrize("path", C_FILES, ids=lambda path: path.name)
def test_native_core_knows_no_interpreter(path: Path) -> None:
    assert "Python.h" not in path.read_text()
