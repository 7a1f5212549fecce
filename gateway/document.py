"""Reads a document (tables and arrays, as from TOML) against structs, all errors at once.

A document is plain dictionaries and lists. It is read field by field, so that one bad value hides
no other: each error has the key's path, what was found, what is allowed, where the value came from,
and what may have been meant. What a value alone can't tell (contradictions) is for the caller.
"""

import difflib
import json
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import inspect

from gateway.errors import Problem

T = TypeVar("T", bound=msgspec.Struct)
Root = TypeVar("Root", bound=msgspec.Struct)

FILE_CHARACTERS_MAX = 1 << 20
"""Of a document: a gateway that runs reads one while its supervisor has other work."""


def read_toml(path: str | Path) -> dict[str, Any] | Problem:
    """The file's document, or the one problem that keeps it from being read at all."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(FILE_CHARACTERS_MAX + 1)
        if len(text) > FILE_CHARACTERS_MAX:
            return Problem(str(path), f"has more than {FILE_CHARACTERS_MAX} characters")
        return tomllib.loads(text)
    except OSError as error:
        return Problem(str(path), f"cannot be read: {error.strerror}")
    except RecursionError:
        return Problem(str(path), "values are nested too deeply")
    except ValueError as error:  # TOML syntax (the text names line and column) or not UTF-8
        return Problem(str(path), f"is not valid TOML: {error}")


def in_words(value: Any) -> str:
    """A value in words, short and without control characters."""
    if isinstance(value, list):
        return "an array" if value else "an empty array"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, int) and value.bit_length() > 63:
        return "an integer beyond 64 bits"
    if isinstance(value, bool | int | float | str):
        text = json.dumps(value)
        return text if len(text) <= 60 else text[:56] + '..."'
    return f"a date or time ({value})"


def toml_literal(value: Any) -> str:
    """A text, number, boolean, array or table of such as TOML writes it in one line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {toml_literal(item)}' for key, item in value.items())}}}"
    # JSON's texts, numbers and booleans are TOML's, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


class Reader(Generic[Root]):
    """Reads a document into a struct and collects the problems, with the origin of each value.

    `noun` is what the whole document is called in texts. `origins` maps keys to where their values
    came from; a key that is not in it has the origin of the table around it.
    """

    def __init__(self, root: type[Root], noun: str, origin: str = "") -> None:
        self.problems: list[Problem] = []
        self.origins: dict[str, str] = {"": origin}
        self._root = root
        self._noun = noun

    def read(self, document: dict[str, Any]) -> Root | None:
        """The struct, with defaults in place of bad values; None where there can be none."""
        return self._table(self._root, document, "")

    def problem(self, key: str, message: str) -> None:
        """Notes one problem."""
        prefix = key
        while prefix and prefix not in self.origins:
            prefix = prefix.rpartition(".")[0]
        # A table that only overrides have made is known by what they set in it.
        inside = (where for other, where in self.origins.items() if other.startswith(f"{key}."))
        origin = self.origins[prefix] if prefix else next(inside, self.origins[""])
        self.problems.append(Problem(key, message, origin))

    def contradictions(self, known: Iterable[tuple[tuple[str, ...], str]]) -> None:
        """Notes (keys, message) of values that are good only alone; the first key is named.

        Where one of the keys has a problem of its own, the rest is not worth telling.
        """
        bad = {problem.key for problem in self.problems}
        for keys, message in known:
            if not any(_touches(key, other) for key in keys for other in bad):
                self.problem(keys[0], message)

    def _table(self, cls: type[T], raw: Any, key: str) -> T | None:
        if not isinstance(raw, dict):
            self.problem(key, f"found {in_words(raw)}; expected a table")
            return None
        fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
        names = [*fields, *filter(None, [cls.__struct_config__.tag_field])]
        for name in raw:
            if name not in names:
                self.problem(_join(key, name), "unknown key" + self._did_you_mean(name, names, key))
        values = {}
        for name, field in fields.items():
            if name in raw:
                value = self._value(field.type, raw[name], _join(key, name))
                if value is not None:
                    values[field.name] = value
            if field.required and name not in raw:
                self.problem(_join(key, name), f"missing; expected {_expected(field.type)}")
        if any(field.required and field.name not in values for field in fields.values()):
            return None
        return cls(**values)

    def _value(self, kind: Any, raw: Any, key: str) -> Any:
        """The value as the field's type, or None after noting why not."""
        tables = _tables(kind)
        if tables and not isinstance(raw, dict):
            self.problem(key, f"found {in_words(raw)}; expected a table")
            return None
        if len(tables) > 1:
            return self._tagged(tables, raw, key)
        if tables:
            return self._table(tables[0], raw, key)
        array = _bare(kind)
        is_array = get_origin(array) in (list, tuple)
        if is_array and _tables(get_args(array)[0]) and not isinstance(raw, list):
            self.problem(key, f"found {in_words(raw)}; expected an array of tables, [[{key}]]")
            return None
        if is_array and isinstance(raw, list) and raw:
            item = get_args(array)[0]
            values = [self._value(item, value, f"{key}.{n}") for n, value in enumerate(raw)]
            if _tables(item):
                return get_origin(array)(values)
            if None in values:  # the others may contradict each other, too
                return get_origin(array)(value for value in values if value is not None)
        try:
            value = msgspec.convert(raw, kind)
        except msgspec.ValidationError:
            value = None
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            self.problem(key, f"found {in_words(raw)}; expected {_expected(kind)}")
            return None
        return value

    def _tagged(self, tables: Sequence[type[msgspec.Struct]], raw: dict[str, Any], key: str) -> Any:
        """The table whose struct its tag names."""
        field = str(tables[0].__struct_config__.tag_field)
        tags = {str(cls.__struct_config__.tag): cls for cls in tables}
        tag = raw.get(field)
        if isinstance(tag, str) and tag in tags:
            return self._table(tags[tag], raw, key)
        found = "missing" if tag is None else f"found {in_words(tag)}"
        hint = self._did_you_mean(tag, tags) if isinstance(tag, str) else ""
        allowed = _alternatives([json.dumps(name) for name in tags])
        self.problem(_join(key, field), f"{found}; expected {allowed}{hint}")
        return None

    def _did_you_mean(
        self, name: str, names: Sequence[str] | Mapping[str, Any], section: str = ""
    ) -> str:
        near = difflib.get_close_matches(name.lower(), names, n=1)
        if near:
            return f"; did you mean {near[0]}?"
        elsewhere = [f"{table}.{name}" for table, keys in sections(self._root) if name in keys]
        if elsewhere:
            return f"; did you mean {elsewhere[0]}?"
        return f"; {section or self._noun} has {', '.join(names)}" if names else ""


def _tables(kind: Any) -> list[type[msgspec.Struct]]:
    """The structs that a field's type names: none for a plain value, several for a tagged union."""
    kind = _bare(kind)
    members = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return [m for m in members if isinstance(m, type) and issubclass(m, msgspec.Struct)]


def _bare(kind: Any) -> Any:
    """A field's type without its bounds."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def sections(root: type[msgspec.Struct]) -> Iterator[tuple[str, list[str]]]:
    """The tables of a document and their keys."""
    for field in msgspec.structs.fields(root):
        for table in _tables(field.type):
            yield field.name, [inner.encode_name for inner in msgspec.structs.fields(table)]


def _touches(key: str, other: str) -> bool:
    return key == other or key.startswith(f"{other}.")


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _expected(kind: Any) -> str:
    """What a field's type allows, in words."""
    return _describe(inspect.type_info(kind))


def _describe(info: inspect.Type) -> str:
    match info:
        case inspect.Metadata():
            return _describe(info.type)
        case inspect.IntType():
            return "an integer" + _range(info)
        case inspect.FloatType():
            return "a number" + _range(info)
        case inspect.BoolType():
            return "true or false"
        case inspect.StrType():
            return f"text that matches {info.pattern}" if info.pattern else _some(info, "text")
        case inspect.LiteralType():
            return _alternatives([json.dumps(value) for value in info.values])
        case inspect.VarTupleType() | inspect.ListType():
            return _some(info, "array of " + _describe(info.item_type))
        case inspect.UnionType():
            members = [m for m in info.types if not isinstance(m, inspect.NoneType)]
            return _alternatives([_describe(member) for member in members])
        case _:
            return "a table"


def _some(info: inspect.StrType | inspect.VarTupleType | inspect.ListType, noun: str) -> str:
    if noun == "text":
        return "text that is not empty" if info.min_length else noun
    return f"a non-empty {noun}" if info.min_length else f"an {noun}"


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    if info.ge is not None and info.le is not None:
        return f" from {info.ge} to {info.le}"
    bounds = (("at least", info.ge), ("above", info.gt), ("at most", info.le), ("below", info.lt))
    texts = [f"{word} {bound}" for word, bound in bounds if bound is not None]
    return " " + " and ".join(texts) if texts else ""


def _alternatives(texts: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))
