"""The house rules that a program can check: imports point down, and nothing outgrows its page.

Imports for the type checker alone (`if TYPE_CHECKING:`) are not counted: they are no dependency of
what runs, and a part may name the type of what it is given.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gateway"

# From the top down: a unit imports units of lower ranks only, never a sibling of its own rank.
RANKS = (
    ("cli",),
    ("app", "doctor", "process", "top"),
    ("config", "memory", "reload", "tune"),
    ("server", "feeds", "ops", "supervisor", "client", "loadtest", "recorder"),
    ("session", "codec", "latency", "document", "recording"),
    ("model", "errors", "clock", "options", "log"),
    ("address", "backoff", "exits", "host", "state", "text"),
)
RANK_OF = {unit: rank for rank, units in enumerate(RANKS) for unit in units}

# Who may touch the native core: files, and packages with their last slash.
NATIVE_ALLOWED = (
    "app.py",
    "codec/",
    "doctor.py",
    "feeds/",
    "latency/histogram.py",
    "latency/statistics.py",
    "loadtest/",
    "process.py",
    "recorder/ring.py",
    "server/catalog.py",
    "server/plane.py",
    "tune/measure.py",
)

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500
C_LINES_MAX = 500

MODULES = sorted(PACKAGE.rglob("*.py"))
C_FILES = sorted(path for ext in ("c", "h") for path in (ROOT / "native").glob(f"*.{ext}"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def unit_of(path: Path) -> str:
    """The package or module right below `gateway` that the file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, except what stands under `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from statements(other)
            continue
        yield child
        yield from statements(child)


def imports(path: Path) -> Iterator[str]:
    """Full names of what the module imports from `gateway`, e.g. `gateway.feeds.udp`."""
    package = ("gateway", *path.relative_to(PACKAGE).parts[:-1])
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "gateway")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    unit = unit_of(path)
    if unit == "__init__":
        assert not list(imports(path)), "the package itself imports none of its parts"
        return
    assert unit in RANK_OF, f"give {unit} a rank in RANKS"
    for name in imports(path):
        other = name.split(".")[1]
        if other not in {unit, "_native", "__version__"}:
            assert RANK_OF[other] > RANK_OF[unit], f"{unit} may not import {name}"


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
