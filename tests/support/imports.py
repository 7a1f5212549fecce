"""Who imports whom in `gateway/`, by reading the source: nothing is imported for it."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "gateway"
MODULES = sorted(PACKAGE.rglob("*.py"))

Graph = Mapping[str, frozenset[str]]
"""By name, what it imports."""


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def module_of(path: Path) -> str:
    """The module's full name, as `gateway.feeds.udp`; a package's is its own."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(path: Path) -> str:
    """The package or module right below `gateway` that the file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def statements(node: ast.AST, *, types: bool) -> Iterator[ast.AST]:
    """Every node below; what stands under `if TYPE_CHECKING:` only where `types` are wanted."""
    for child in ast.iter_child_nodes(node):
        guarded = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        if guarded and not types:
            assert isinstance(child, ast.If)
            for other in child.orelse:
                yield other
                yield from statements(other, types=types)
            continue
        yield child
        yield from statements(child, types=types)


def imports(path: Path, *, types: bool = False) -> Iterator[str]:
    """Full names of what the module imports from `gateway`, e.g. `gateway.feeds.udp`."""
    package = ("gateway", *path.relative_to(PACKAGE).parts[:-1])
    for node in statements(ast.parse(path.read_text()), types=types):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "gateway")


def module_graph(*, types: bool) -> Graph:
    """Each module with those that it imports; the root package, which holds nothing, left out.

    That a package is run before what is in it counts only where it is imported by its own name.
    """
    known = {module_of(path) for path in MODULES} - {"gateway"}
    graph = {}
    for path in MODULES:
        found = set()
        for name in imports(path, types=types):
            while name and name not in known:  # a name in a module
                name = name.rpartition(".")[0]
            found.add(name)
        graph[module_of(path)] = frozenset(found - {"", module_of(path)})
    return graph


def room_graph(modules: Graph) -> Graph:
    """The same for rooms: what is right below `gateway`."""
    rooms: dict[str, set[str]] = {}
    for module, imported in modules.items():
        room = ".".join(module.split(".")[:2])
        others = {".".join(name.split(".")[:2]) for name in imported}
        rooms.setdefault(room, set()).update(others - {room})
    return {room: frozenset(others) for room, others in rooms.items()}


def circles(graph: Graph) -> list[tuple[str, ...]]:
    """The sets of two or more that reach each other, each in order of its names.

    Takes away what leads nowhere or is reached from nowhere until nothing more goes, then asks of
    each that is left which others it reaches and is reached from.
    """
    left = dict(graph)
    while True:
        aimed = {other for others in left.values() for other in others}
        inner = {k: v & left.keys() for k, v in left.items() if v & left.keys() and k in aimed}
        if inner == left:
            break
        left = inner
    reached = {name: _reached(left, name) for name in left}
    found = {
        tuple(sorted({name, *(o for o in reached[name] if name in reached[o])})) for name in left
    }
    return sorted(circle for circle in found if len(circle) > 1)


def _reached(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = graph[ahead.pop()] - found
        found |= new
        ahead += new
    return found
