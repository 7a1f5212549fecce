"""docs/sbe.md says byte by byte what the schema says."""

import re
from collections.abc import Iterator
from pathlib import Path

from support.binary import ANNOUNCED, TRADE

from gateway.codec.schema import Block, load

PAGE = (Path(__file__).parents[3] / "docs" / "sbe.md").read_text()
NULLS = {
    2**64 - 1: "u64, null 2^64 - 1",
    2**32 - 1: "u32, null 2^32 - 1",
    -(2**63): "i64, null -2^63",
}
TYPES = {"B": "u8", "b": "i8", "H": "u16", "I": "u32", "Q": "u64", "q": "i64"}


def rows(block: Block, prefix: str = "") -> Iterator[str]:
    for field in block.fields:
        (first, *_) = field.parts
        kind = "decimal" if field.composite else NULLS.get(first.null or 0, TYPES[first.format])
        yield f"| {prefix}{field.offset} | {field.size} | {kind} | `{field.name}` |"


def expected() -> dict[str, list[str]]:
    """The rows of each message's table, by its headline."""
    return {
        f"{layout.name} (template {layout.number}, block {layout.block.packed.size})": [
            *rows(layout.block),
            *(row for name, block in layout.groups for row in rows(block, f"{name} ")),
            *(f"| | 1 + n | text | `{name}` |" for name, _ in layout.texts),
        ]
        for layout in load().by_number.values()
    }


def test_tables() -> None:
    found = {}
    for part in re.split("^### ", PAGE, flags=re.MULTILINE)[1:]:
        headline, body = part.split("\n", 1)
        found[headline] = re.findall(r"^\| (?:\w+ [0-9]|\| 1|[0-9]).*\|$", body, re.MULTILINE)
    assert found == expected()


def test_scalars_lie_at_multiples_of_their_size() -> None:
    for layout in load().by_number.values():
        for block in (layout.block, *(one for _, one in layout.groups)):
            assert [f.name for f in block.fields if f.offset % f.size and not f.composite] == []
            assert sum(field.size for field in block.fields) == block.packed.size


def test_the_example() -> None:
    lines = re.findall(r"^ *[0-9]+  ((?:[0-9a-f]{2} ?)+)$", PAGE, re.MULTILINE)
    assert bytes.fromhex(" ".join(lines)) == ANNOUNCED + TRADE
