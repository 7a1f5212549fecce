"""Writes docs/bench-result.md: every field of a load test's result, with its type and unit.

The fields and their meaning are those of gateway/loadtest/result.py; what stands above the mark is
written by hand and stays. Run it after changing a field.
"""

from collections.abc import Iterator
from pathlib import Path

from msgspec import inspect

from gateway.loadtest.result import Result

PAGE = Path(__file__).parents[2] / "docs" / "bench-result.md"
MARK = "<!-- From here on tests/support/bench_result_page.py writes this page. -->\n"

_WORDS: dict[type[inspect.Type], str] = {
    inspect.FloatType: "number",
    inspect.IntType: "integer",
    inspect.StrType: "string",
    inspect.BoolType: "boolean",
    inspect.NoneType: "null",
    inspect.AnyType: "anything",
}
_UNITS = (("per_s", "1/s"), ("_us", "µs"), ("_ns", "ns"), ("_s", "s"), ("_mb", "MB"))
_OTHER_UNITS = {
    **dict.fromkeys(("reach", "busy", "run_delay", "still"), "0 to 1"),
    **dict.fromkeys(("rate", "passed", "failed", "invalid"), "ticks/s"),
    **{
        "cpu_us_per_delivery": "µs",
        "rss_mb_max": "MB",
        "pss_mb_max": "MB",
        "still_max_us": "µs",
        "server_cpu": "s/s",
    },
}

Places = dict[type, list[str]]


def places() -> Places:
    """Where each part of a result stands in it: `groups.NAME.latency`; the whole at no place."""
    found: Places = {}
    _place(inspect.type_info(Result), "", found)
    return found


def render() -> str:
    """The page as it should be.

    Raises:
        ValueError: it has no mark, so that what is written by hand can't be told.
    """
    text = PAGE.read_text()
    by_hand = text[: text.index(MARK)] + MARK
    lines = ["", "## Fields", ""]
    lines += ["A field that is an object has its own table; `NAME` is any name, `[]` each of many."]
    for part, where in places().items():
        lines += ["", f"### {part.__name__}", "", " ".join((part.__doc__ or "").split())]
        if len(where) > 1:
            lines += ["", f"At {', '.join(f'`{place}`' for place in where)}."]
        lines += ["", "| field | type | unit | meaning |", "|---|---|---|---|"]
        lines += _rows(part, where[0] if len(where) == 1 else "")
    return by_hand + "\n".join(lines) + "\n"


def _rows(part: type, place: str) -> Iterator[str]:
    kind = inspect.type_info(part)
    assert isinstance(kind, inspect.StructType)
    for field in kind.fields:
        assert isinstance(field.type, inspect.Metadata), field.name
        meaning = (field.type.extra_json_schema or {})["description"]
        path, unit = _joined(place, field.encode_name), _unit(field.encode_name)
        yield f"| `{path}` | {_word(field.type)} | {unit} | {meaning} |".replace("|  |", "| |")


def _place(kind: inspect.Type, place: str, found: Places) -> None:
    """Parts in the order in which a reader of the JSON meets them."""
    if isinstance(kind, inspect.Metadata):
        _place(kind.type, place, found)
    elif isinstance(kind, inspect.UnionType):
        for one in kind.types:
            _place(one, place, found)
    elif isinstance(kind, inspect.ListType):
        _place(kind.item_type, f"{place}[]", found)
    elif isinstance(kind, inspect.DictType):
        _place(kind.value_type, f"{place}.NAME", found)
    elif isinstance(kind, inspect.StructType):
        found.setdefault(kind.cls, []).append(place)
        for field in kind.fields:
            _place(field.type, _joined(place, field.encode_name), found)


def _word(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.Metadata):
        return _word(kind.type)
    if isinstance(kind, inspect.UnionType):
        return " or ".join(_word(one) for one in kind.types)
    if isinstance(kind, inspect.ListType):
        return f"array of {_word(kind.item_type)}"
    if isinstance(kind, inspect.DictType):
        return f"object of {_word(kind.value_type)}"
    if isinstance(kind, inspect.LiteralType):
        return " or ".join(f'`"{value}"`' for value in kind.values)
    if isinstance(kind, inspect.StructType):
        return f"[{kind.cls.__name__}](#{kind.cls.__name__.lower()})"
    return _WORDS[type(kind)]


def _unit(name: str) -> str:
    by_suffix = (unit for suffix, unit in _UNITS if name.endswith(suffix))
    return _OTHER_UNITS.get(name) or next(by_suffix, "")


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


if __name__ == "__main__":
    PAGE.write_text(render())
