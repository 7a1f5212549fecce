"""Assembles the parts' options into one `Config`: defaults, TOML file, environment, `--set`.

Every layer writes into one plain document (the last wins); the document is then read against the
option structs, field by field, so that all errors are found at once, each with its key, what was
found, what is allowed and where the value came from. Contradictions between good values come last.
"""

import copy
import difflib
import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import inspect

from gateway.errors import ConfigurationError, Problem
from gateway.feeds import options as feed_options
from gateway.feeds.options import FeedOptions, ReplayOptions, SyntheticOptions
from gateway.options import (
    ClusterOptions,
    LimitsOptions,
    ListenOptions,
    LogOptions,
    OpsOptions,
    Options,
    PlaneOptions,
    RingOptions,
    SloOptions,
)

ENVIRONMENT_PREFIX = "TICKGATE_"

T = TypeVar("T", bound=msgspec.Struct)


class Config(Options, frozen=True, kw_only=True):
    """The whole configuration; each field is a table of the file."""

    listen: ListenOptions = ListenOptions()
    ops: OpsOptions = OpsOptions()
    ring: RingOptions = RingOptions()
    plane: PlaneOptions = PlaneOptions()
    slo: SloOptions = SloOptions()
    cluster: ClusterOptions = ClusterOptions()
    limits: LimitsOptions = LimitsOptions()
    log: LogOptions = LogOptions()
    feeds: tuple[FeedOptions, ...] = ()


def load(path: str | Path | None, environ: Mapping[str, str], sets: Sequence[str] = ()) -> Config:
    """Reads the file (None: defaults only), then the environment, then `--set` texts.

    Raises:
        ConfigurationError: with every problem in `.problems`. Only an unreadable file or a TOML
            syntax error stands alone, since nothing else can be judged then.
    """
    document: dict[str, Any] = {}
    if path is not None:
        try:
            document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise _failure([Problem(str(path), f"cannot be read: {error.strerror}")]) from None
        except RecursionError:
            raise _failure([Problem(str(path), "values are nested too deeply")]) from None
        except ValueError as error:  # TOML syntax (the text names line and column) or not UTF-8
            raise _failure([Problem(str(path), f"is not valid TOML: {error}")]) from None
    return assemble(document, environ, sets, origin="" if path is None else str(path))


def assemble(
    document: Mapping[str, Any],
    environ: Mapping[str, str],
    sets: Sequence[str] = (),
    *,
    origin: str = "",
) -> Config:
    """Lays environment and `--set` texts over a document (as from TOML) and reads the result.

    Raises:
        ConfigurationError: with every problem in `.problems`.
    """
    reader = _Reader(origin)
    merged = copy.deepcopy(dict(document))
    for where, path, text in _overrides(environ, sets, reader.problems):
        key = ".".join(path)
        wrong = _put(merged, path, _literal(text))
        if wrong is None:
            reader.origins[key] = where
        else:
            reader.problems.append(Problem(key, wrong, where))
    config = reader.table(Config, merged, "")
    if config is not None:
        bad = {problem.key for problem in reader.problems}
        for keys, message in _contradictions(config):
            if not any(_touches(key, other) for key in keys for other in bad):
                reader.problem(keys[0], message)
    if reader.problems or config is None:
        raise _failure(reader.problems)
    return config


def _failure(problems: Sequence[Problem]) -> ConfigurationError:
    count = f"{len(problems)} errors" if len(problems) > 1 else "an error"
    return ConfigurationError(f"the configuration has {count}", problems)


# --- the layers -----------------------------------------------------------------------------------


def _overrides(
    environ: Mapping[str, str], sets: Sequence[str], problems: list[Problem]
) -> Iterator[tuple[str, list[str], str]]:
    """(origin, key path, value's text) of each override, in the order of precedence."""
    variables = [
        (name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"), name)
        for name in environ
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name
    ]
    # The environment has no order: a list's entries must come one after the other to extend it.
    for path, name in sorted(variables, key=lambda item: [(_index(p), p) for p in item[0]]):
        yield name, path, environ[name]
    for text in sets:
        key, equals, value = text.partition("=")
        path = key.strip().split(".")
        if equals and all(path):
            yield "--set", path, value
        else:
            problems.append(Problem("--set", f"found {_found(text)}; expected section.key=value"))


def _literal(text: str) -> Any:
    """A TOML value where the text is one, else the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _index(part: str) -> int:
    """The array index that a part of a key path is, or -1."""
    return int(part) if part.isascii() and part.isdigit() and len(part) <= 4 else -1


def _put(document: dict[str, Any], path: Sequence[str], value: Any) -> str | None:
    """Sets the value at the path, making tables and list entries on the way, or says why not."""
    node: Any = document
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        fresh: Any = value if last else [] if _index(path[depth + 1]) >= 0 else {}
        if isinstance(node, dict):
            if last or part not in node:
                node[part] = fresh
            node = node[part]
        elif isinstance(node, list):
            index = _index(part)
            if not 0 <= index <= len(node):
                return f"found index {_found(part)}; expected at most {len(node)}, which adds one"
            if index == len(node):
                node.append(fresh)
            elif last:
                node[index] = value
            node = node[index]
        else:
            return f"{'.'.join(path[:depth])} is {_found(node)}, not a table"
    return None


# --- reading a document against the structs -------------------------------------------------------


class _Reader:
    """Reads tables into structs and collects the problems, with the origin of each value."""

    def __init__(self, origin: str) -> None:
        self.problems: list[Problem] = []
        self.origins: dict[str, str] = {"": origin}

    def problem(self, key: str, message: str) -> None:
        prefix = key
        while prefix and prefix not in self.origins:
            prefix = prefix.rpartition(".")[0]
        # A table that only overrides have made is known by what they set in it.
        inside = (where for other, where in self.origins.items() if other.startswith(f"{key}."))
        origin = self.origins[prefix] if prefix else next(inside, self.origins[""])
        self.problems.append(Problem(key, message, origin))

    def table(self, cls: type[T], raw: Any, key: str) -> T | None:
        """The struct, with defaults in place of bad values; None where there can be none."""
        if not isinstance(raw, dict):
            self.problem(key, f"found {_found(raw)}; expected a table")
            return None
        fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
        names = [*fields, *filter(None, [cls.__struct_config__.tag_field])]
        for name in raw:
            if name not in names:
                self.problem(_join(key, name), "unknown key" + _did_you_mean(name, names, key))
        values = {}
        for name, field in fields.items():
            if name in raw:
                value = self.value(field.type, raw[name], _join(key, name))
                if value is not None:
                    values[field.name] = value
            if field.required and name not in raw:
                self.problem(_join(key, name), f"missing; expected {_expected(field.type)}")
        if any(field.required and field.name not in values for field in fields.values()):
            return None
        return cls(**values)

    def value(self, kind: Any, raw: Any, key: str) -> Any:
        """The value as the field's type, or None after noting why not."""
        tables = _tables(kind)
        if tables and not isinstance(raw, dict):
            self.problem(key, f"found {_found(raw)}; expected a table")
            return None
        if len(tables) > 1:
            return self.tagged(tables, raw, key)
        if tables:
            return self.table(tables[0], raw, key)
        array = _bare(kind)
        if get_origin(array) is tuple and isinstance(raw, list):
            item = get_args(array)[0]
            values = tuple([self.value(item, value, f"{key}.{n}") for n, value in enumerate(raw)])
            if _tables(item) or None in values:
                return values
        try:
            value = msgspec.convert(raw, kind)
        except msgspec.ValidationError:
            value = None
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            self.problem(key, f"found {_found(raw)}; expected {_expected(kind)}")
            return None
        return value

    def tagged(self, tables: Sequence[type[msgspec.Struct]], raw: dict[str, Any], key: str) -> Any:
        """The table whose struct its tag names."""
        field = str(tables[0].__struct_config__.tag_field)
        tags = {str(cls.__struct_config__.tag): cls for cls in tables}
        tag = raw.get(field)
        if isinstance(tag, str) and tag in tags:
            return self.table(tags[tag], raw, key)
        found = "missing" if tag is None else f"found {_found(tag)}"
        hint = _did_you_mean(tag, tags) if isinstance(tag, str) else ""
        allowed = _alternatives([json.dumps(name) for name in tags])
        self.problem(_join(key, field), f"{found}; expected {allowed}{hint}")
        return None


def _tables(kind: Any) -> list[type[msgspec.Struct]]:
    """The structs that a field's type names: none for a plain value, several for a tagged union."""
    kind = _bare(kind)
    members = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return [m for m in members if isinstance(m, type) and issubclass(m, msgspec.Struct)]


def _bare(kind: Any) -> Any:
    """A field's type without its bounds."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _did_you_mean(name: str, names: Sequence[str] | Mapping[str, Any], section: str = "") -> str:
    near = difflib.get_close_matches(name.lower(), names, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    elsewhere = [f"{other.name}.{name}" for other in _sections() if name in _names(other.type)]
    if elsewhere:
        return f"; did you mean {elsewhere[0]}?"
    return f"; {section or 'the configuration'} has {', '.join(names)}" if names else ""


def _sections() -> Iterator[msgspec.structs.FieldInfo]:
    return (field for field in msgspec.structs.fields(Config) if _tables(field.type))


def _names(cls: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(cls)]


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _found(value: Any) -> str:
    """A value in words, short and without control characters."""
    if isinstance(value, list):
        return "an array"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, int) and value.bit_length() > 63:
        return "an integer beyond 64 bits"
    if isinstance(value, bool | int | float | str):
        text = json.dumps(value)
        return text if len(text) <= 60 else text[:56] + '..."'
    return f"a date or time ({value})"


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
        case inspect.VarTupleType():
            return _some(info, "an array of " + _describe(info.item_type))
        case inspect.UnionType():
            members = [m for m in info.types if not isinstance(m, inspect.NoneType)]
            return _alternatives([_describe(member) for member in members])
        case _:
            return "a table"


def _some(info: inspect.StrType | inspect.VarTupleType, noun: str) -> str:
    return f"{noun}, not empty" if info.min_length else noun


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    if info.ge is not None and info.le is not None:
        return f" from {info.ge} to {info.le}"
    bounds = (("at least", info.ge), ("above", info.gt), ("at most", info.le), ("below", info.lt))
    texts = [f"{word} {bound}" for word, bound in bounds if bound is not None]
    return " " + " and ".join(texts) if texts else ""


def _alternatives(texts: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


# --- contradictions -------------------------------------------------------------------------------


def _touches(key: str, other: str) -> bool:
    return key == other or key.startswith(f"{other}.")


def _contradictions(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """(keys, message) of values that are good only alone; the first key is the one to name."""
    capacity = config.ring.capacity_bytes
    if capacity & (capacity - 1):
        below = 1 << (capacity.bit_length() - 1)
        near = f"{below} or {below * 2}"
        yield ("ring.capacity_bytes",), f"found {capacity}; expected a power of two ({near})"
    if config.listen.port and config.listen.port == config.ops.port:
        message = f"found {config.ops.port}, which is listen.port too; expected a port of its own"
        yield ("ops.port", "listen.port"), message
    limits = config.limits
    if limits.requests_per_s > limits.worker_requests_per_s:
        message = (
            f"found {limits.worker_requests_per_s}; expected at least what one client may ask, "
            f"limits.requests_per_s = {limits.requests_per_s}"
        )
        yield ("limits.worker_requests_per_s", "limits.requests_per_s"), message
    yield from _feed_contradictions(config)


def _feed_contradictions(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    feeds = config.feeds
    if None in feeds:  # a feed that could not be read at all: what it clashes with is not known
        return
    yield from (((key,), message) for key, message in feed_options.problems(feeds))
    synthetic = [feed for feed in feeds if isinstance(feed, SyntheticOptions)]
    topics = sum(feed.symbols * len(feed.channels) for feed in synthetic)
    if topics > config.ring.topics_max:
        message = f"found {config.ring.topics_max}; the synthetic feeds publish {topics} topics"
        yield ("ring.topics_max",), message
    clients_max = config.limits.max_connections * config.cluster.workers
    for n, feed in enumerate(feeds):
        if not isinstance(feed, ReplayOptions):
            continue
        if not Path(feed.path).is_file():
            message = f"found {_found(feed.path)}; expected a file that exists"
            yield (f"feeds.{n}.path",), message
        if 0 < clients_max < feed.start_after_clients:
            message = (
                f"found {feed.start_after_clients}; expected at most {clients_max}, "
                "the clients that limits.max_connections lets in"
            )
            yield (f"feeds.{n}.start_after_clients", "limits.max_connections"), message


# --- showing --------------------------------------------------------------------------------------


def to_toml(config: Config) -> str:
    """The whole configuration as TOML that `load` reads back to the same value."""
    blocks = []
    for name, value in msgspec.to_builtins(config, builtin_types=(tuple,)).items():
        tables = [(f"[{name}]", value)] if isinstance(value, dict) else []
        if not isinstance(value, dict):
            tables = [(f"[[{name}]]", item) for item in value]
        for head, table in tables:
            lines = [f"{key} = {_toml(item)}" for key, item in table.items()]
            blocks.append("\n".join([head, *lines, ""]))
    return "\n".join(blocks)


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    # JSON's texts, numbers and booleans are TOML's, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
