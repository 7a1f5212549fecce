"""Messages in Simple Binary Encoding (FIX SBE 1.0), by the schema that the package ships.

The schema, `schema/tickgate-sbe.xml`, is the one place that says what a message has: it is read
here into layouts, and `read` and `write` follow those. They test the native reader, and read and
write all messages that come too seldom to have native code.

A message is a header, a block of fixed fields, then groups, then texts. A newer version's block may
be longer: what follows the known fields is skipped by the header's length. Only what the schema
uses is understood: integers, composites of them, enums, sets, groups of fields, and texts of up to
255 bytes.
"""

import functools
import struct
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final, NamedTuple
from xml.etree import ElementTree

import msgspec

UNKNOWN: Final = "unknown"
"""An enum's value that this version of the schema does not have."""

_HEADER: Final = struct.Struct("<HHHH")
_DIMENSIONS: Final = struct.Struct("<HH")
_SBE: Final = "{http://fixprotocol.io/2016/sbe}"
_FORMATS: Final = {
    "uint8": "B", "int8": "b", "uint16": "H", "uint32": "I", "uint64": "Q", "int64": "q",
}  # fmt: skip

Values = dict[str, Any]
"""Fields by name: an integer, None (null), an enum's name, a set's names, a composite's tuple, a
text; of a group a list of the same."""


def schema() -> bytes:
    """The schema as XML, for programs that generate their codecs from it."""
    return files(__package__).joinpath("schema", "tickgate-sbe.xml").read_bytes()


class _Type(NamedTuple):
    """A type that takes one integer of the block: of an enum with names, of a set with choices."""

    format: str
    null: int | None = None
    names: Mapping[int, str] | None = None
    choices: Mapping[int, str] | None = None

    def take(self, value: int) -> Any:
        if value == self.null:
            return None
        if self.names is not None:
            return self.names.get(value, UNKNOWN)
        if self.choices is not None:
            return frozenset(name for bit, name in self.choices.items() if value >> bit & 1)
        return value

    def give(self, value: Any) -> int:
        if value is None:
            if self.null is None:
                raise ValueError("has no null")
            return self.null
        if self.names is not None:
            return _number(self.names, value)
        if self.choices is not None:
            return sum(1 << bit for bit, name in self.choices.items() if name in value)
        return int(value)


def _number(names: Mapping[int, str], value: object) -> int:
    for number, name in names.items():
        if name == value:
            return number
    raise ValueError("no such name")


class Field(NamedTuple):
    """A field of a block: where it is, and the types that it has there.

    Attributes:
        name: as in the schema.
        offset: from the block's begin.
        size: bytes.
        type: its name in the schema.
    """

    name: str
    offset: int
    size: int
    type: str
    parts: tuple[_Type, ...]
    composite: bool


class Block(NamedTuple):
    """Fixed fields, one behind the other."""

    fields: tuple[Field, ...]
    packed: struct.Struct

    def take(self, data: bytes, at: int) -> Values:
        values = iter(self.packed.unpack_from(data, at))
        return {field.name: _take(field, values) for field in self.fields}

    def give(self, values: Mapping[str, Any]) -> bytes:
        integers: list[int] = []
        for field in self.fields:
            value = values.get(field.name)
            try:
                integers += _give(field, value)
            except (TypeError, ValueError):
                raise ValueError(f"{field.name}: {value!r} is no {field.type}") from None
        try:
            return self.packed.pack(*integers)
        except struct.error as error:
            raise ValueError(f"a number that does not fit: {error}") from None


class Layout(NamedTuple):
    """A message of the schema.

    Attributes:
        name: as in the schema.
        number: its template id.
        block: its fixed fields.
        groups: what follows them, any number of times: name and block.
        texts: what follows those: name and encoding.
    """

    name: str
    number: int
    block: Block
    groups: tuple[tuple[str, Block], ...]
    texts: tuple[tuple[str, str], ...]

    def names(self) -> set[str]:
        """Everything that it has."""
        fields = {field.name for field in self.block.fields}
        return fields | {name for name, _ in self.groups} | {name for name, _ in self.texts}


class Schema(NamedTuple):
    """The schema's messages by template id and by name."""

    number: int
    version: int
    by_number: Mapping[int, Layout]
    by_name: Mapping[str, Layout]


def _take(field: Field, values: Iterator[int]) -> Any:
    if not field.composite:
        return field.parts[0].take(next(values))
    return tuple(kind.take(next(values)) for kind in field.parts)


def _give(field: Field, value: Any) -> list[int]:
    values = value if field.composite else (value,)
    return [kind.give(part) for kind, part in zip(field.parts, values, strict=True)]


# --- the schema's text ----------------------------------------------------------------------------


def _null(primitive: str) -> int:
    """What stands for null where the schema does not say: the largest, of signed ones the least."""
    bits = int(primitive.lstrip("uint"))
    return (1 << bits) - 1 if primitive[0] == "u" else -(1 << (bits - 1))


def _simple(element: ElementTree.Element, optional: bool) -> _Type:
    primitive = element.get("primitiveType") or element.get("encodingType") or ""
    null = element.get("nullValue")
    absent = int(null) if null else _null(primitive)
    optional = optional or element.get("presence") == "optional"
    if element.tag == "set":
        choices = {int(one.text or ""): one.get("name", "") for one in element}
        return _Type(_FORMATS[primitive], choices=choices)
    names = {int(one.text or ""): one.get("name", "") for one in element} or None
    return _Type(_FORMATS[primitive], absent if optional else None, names)


def _block(elements: Sequence[ElementTree.Element], types: Mapping[str, Any]) -> Block:
    fields, offset, formats = [], 0, "<"
    for element in elements:
        name, type_name = element.get("name", ""), element.get("type", "")
        kind = types[type_name]
        composite = kind.tag == "composite"
        optional = element.get("presence") == "optional"
        parts = tuple(_simple(one, optional) for one in (kind if composite else (kind,)))
        form = "".join(part.format for part in parts)
        size = struct.calcsize("<" + form)
        fields.append(Field(name, offset, size, type_name, parts, composite))
        offset += size
        formats += form
    return Block(tuple(fields), struct.Struct(formats))


@functools.cache
def load() -> Schema:
    """Reads the shipped schema, once."""
    root = ElementTree.fromstring(schema())
    types = {element.get("name", ""): element for element in root.findall("types/*")}
    encodings = {"utf8": "utf-8", "ascii": "ascii"}
    layouts = [
        Layout(
            message.get("name", ""),
            int(message.get("id", "")),
            _block(message.findall("field"), types),
            tuple(
                (group.get("name", ""), _block(group.findall("field"), types))
                for group in message.findall("group")
            ),
            tuple(
                (text.get("name", ""), encodings[text.get("type", "")])
                for text in message.findall("data")
            ),
        )
        for message in root.findall(f"{_SBE}message")
    ]
    return Schema(
        int(root.get("id", "")),
        int(root.get("version", "")),
        {layout.number: layout for layout in layouts},
        {layout.name: layout for layout in layouts},
    )


# --- messages -------------------------------------------------------------------------------------


def write(name: str, values: Mapping[str, Any]) -> bytes:
    """Encodes a message of the schema.

    Raises:
        ValueError: a field lacks its value, or the value does not fit it; it is named.
    """
    known = load()
    layout = known.by_name[name]
    if unknown := values.keys() - layout.names():
        raise ValueError(f"{name} has no {', '.join(sorted(unknown))}")
    parts = [
        _HEADER.pack(layout.block.packed.size, layout.number, known.number, known.version),
        layout.block.give(values),
    ]
    for group, block in layout.groups:
        rows = values.get(group, ())
        parts.append(_DIMENSIONS.pack(block.packed.size, len(rows)))
        parts += map(block.give, rows)
    for text, encoding in layout.texts:
        value = values.get(text)
        if not isinstance(value, str):
            raise ValueError(f"{text}: {value!r} is no text")
        encoded = value.encode(encoding)
        if len(encoded) > 255:
            raise ValueError(f"{text}: {len(encoded)} bytes, 255 at most")
        parts.append(bytes((len(encoded),)) + encoded)
    return b"".join(parts)


def read(frame: bytes, at: int) -> tuple[str, Values, int] | None:
    """Decodes the message that begins at `at`: its name, its fields, and where the next begins.

    None for a message of a template that the schema lacks: as where it ends is not known, it is the
    last of its frame that can be read.

    Raises:
        msgspec.DecodeError: the frame ends inside it, it is of another schema or shorter than its
            template says, or a text is not of its encoding.
    """
    known = load()
    length, number, schema_id, _ = _HEADER.unpack(_slice(frame, at, _HEADER.size))
    if schema_id != known.number:
        raise msgspec.DecodeError(f"a message of schema {schema_id}, not {known.number}")
    at += _HEADER.size
    block = _slice(frame, at, length)
    at += length
    layout = known.by_number.get(number)
    if layout is None:
        return None
    values = _read_block(layout.block, block)
    for group, members in layout.groups:
        size, count = _DIMENSIONS.unpack(_slice(frame, at, _DIMENSIONS.size))
        at += _DIMENSIONS.size
        rows = _slice(frame, at, size * count) if size else b""
        values[group] = [
            _read_block(members, rows[start : start + size])
            for start in range(0, max(len(rows), count), max(size, 1))
        ]
        at += len(rows)
    for text, encoding in layout.texts:
        size = _slice(frame, at, 1)[0]
        try:
            values[text] = _slice(frame, at + 1, size).decode(encoding)
        except UnicodeDecodeError:
            raise msgspec.DecodeError(f"{layout.name}.{text} is not {encoding}") from None
        at += 1 + size
    return layout.name, values, at


def _read_block(block: Block, data: bytes) -> Values:
    if len(data) < block.packed.size:
        raise msgspec.DecodeError(f"a block of {len(data)} bytes, not {block.packed.size}")
    return block.take(data, 0)


def _slice(frame: bytes, at: int, size: int) -> bytes:
    part = frame[at : at + size]
    if len(part) < size:
        raise msgspec.DecodeError(f"the frame of {len(frame)} bytes ends inside a message")
    return part
