"""`_native.pyi` is written by hand: what it promises and what the module has must be the same."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from gateway import _native

STUB = Path(__file__).parents[2] / "gateway" / "_native.pyi"

Face: TypeAlias = dict[str, tuple[str, ...] | None]
"""Public names, members with their class in front; with the parameters of what takes any."""


def parameters(node: ast.FunctionDef) -> tuple[str, ...] | None:
    if any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list):
        return None
    arguments = node.args
    return tuple(a.arg for a in arguments.posonlyargs + arguments.args + arguments.kwonlyargs)


def promised() -> Face:
    """The stub's face. Assignments without annotation are types, which only the checker knows."""
    face: Face = {}
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            face[node.name] = parameters(node)
        elif isinstance(node, ast.AnnAssign):
            face[ast.unparse(node.target)] = None
        elif isinstance(node, ast.ClassDef):
            face[node.name] = None
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                    face[f"{node.name}.{member.name}"] = parameters(member)
    return face


def public(holder: ModuleType | type) -> Iterator[tuple[str, object]]:
    for name, value in vars(holder).items():
        if not name.startswith("_") and not isinstance(value, ModuleType):
            yield name, value


def signature(value: object) -> tuple[str, ...] | None:
    return tuple(inspect.signature(value).parameters) if callable(value) else None


def built() -> Face:
    face: Face = {}
    for name, value in public(_native):
        if isinstance(value, type):
            if value.__module__ == "builtins":
                continue  # the bare form of a type that the stub spells out
            face[name] = None
            face |= {f"{name}.{member}": signature(held) for member, held in public(value)}
        else:
            face[name] = signature(value)
    return face


def test_same_names() -> None:
    module, stub = set(built()), set(promised())
    assert sorted(stub - module) == [], "promised and not built"
    assert sorted(module - stub) == [], "built and not promised"


def test_same_parameters() -> None:
    module = built()
    differ = {
        name: (expected, module[name])
        for name, expected in promised().items()
        if name in module and module[name] != expected
    }
    assert not differ
