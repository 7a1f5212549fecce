"""Arrays within messages: long ones in slices, levels of books, lists of instruments. Pure.

A decoder holds the interpreter's lock until it is done, and a snapshot of a whole book can have
5 MB: 10 ms in which no other thread of the process runs. So long arrays are decoded in slices,
between which the interpreter lets others have it. A slice ends between two elements; a cut that was
not there, but within an element or a text, makes both pieces ill-formed, and then the whole is
decoded at once.
"""

import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from gateway.feeds.venues.message import Level, Malformed

T = TypeVar("T")
M = TypeVar("M")

SLICE_BYTES: Final = 16_384
"""Decoded at once: 50 us."""

elements: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
"""The elements of an array, each as it is."""

_FIRST: Final = re.compile(rb'\{\s*("[^"\\]{1,64}")\s*:')
_NEXT_BY_NAME: Final = re.compile(rb'\}\s*,\s*(?="(?:[^"\\]|\\.){0,256}"\s*:\s*\{)')

_decode_rows: Final = msgspec.json.Decoder(list[tuple[str, ...]]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


def sliced(
    array: bytes | msgspec.Raw, decode: Callable[[bytes], list[T]], between: bytes
) -> list[T]:
    """The elements of a JSON array; `between` is what stands between two, as b"},{".

    Raises:
        ValueError: as `decode` of the whole does.
    """
    text = bytes(array)
    if len(text) <= 2 * SLICE_BYTES:
        return decode(text)
    found: list[T] = []
    at = 1
    try:
        while (cut := text.find(between, at + SLICE_BYTES)) >= 0:
            found += decode(b"[%b]" % text[at : cut + 1])
            at = cut + 2
        return found + decode(b"[%b" % text[at:])
    except msgspec.DecodeError:
        return decode(text)


def in_pieces(
    payload: bytes, name: str, whole: Callable[[bytes], M], some: Callable[[bytes], T]
) -> tuple[list[T], M]:
    """A message with the last elements of its long list, and before that the others in pieces.

    Args:
        payload: the message.
        name: the member that is the list: an array of objects, all of which begin with the same
            member, as a venue writes them; or an object of objects that have none within them.
        whole: decodes the message.
        some: decodes such a list by itself.

    Raises:
        ValueError: as `whole` of the message does.
    """
    long = len(payload) > 2 * SLICE_BYTES
    begin = re.search(rb'"%b"\s*:\s*([\[{])\s*' % name.encode(), payload) if long else None
    between = begin and _between(payload, begin)
    if begin is None or between is None:
        return [], whole(payload)
    opening, at = begin[1], begin.end()
    closing = b"]" if opening == b"[" else b"}"
    found: list[T] = []
    try:
        while (cut := between.search(payload, at + SLICE_BYTES)) is not None:
            found.append(some(b"%b%b%b" % (opening, payload[at : cut.start() + 1], closing)))
            at = cut.end()
        return found, whole(payload[: begin.end()] + payload[at:])
    except msgspec.DecodeError:
        return [], whole(payload)


def _between(payload: bytes, begin: "re.Match[bytes]") -> "re.Pattern[bytes] | None":
    """Where one element of a list ends that another one follows, up to that."""
    if begin[1] == b"{":
        return _NEXT_BY_NAME
    first = _FIRST.match(payload, begin.end())
    return first and re.compile(rb"\}\s*,\s*(?=\{\s*%b\s*:)" % re.escape(first[1]))


def depth_of(name: str) -> int:
    """Levels a side of a venue's book, as in its channel's name; 0 where it has no such number."""
    return int(name) if name.isdecimal() and len(name) < 6 else 0


def levels(array: bytes | msgspec.Raw, name: str) -> list[Level]:
    """The levels of an array of arrays of price and quantity, as in `rows`."""
    return rows(array, name, 2)


def rows(array: bytes | msgspec.Raw, name: str, most: int) -> list[Level]:
    """Arrays of 2 to `most` texts within an array, which is called `name`.

    Numbers are taken by their digits.

    Raises:
        ValueError: it is not of this shape; Malformed names the first row that is not.
    """
    try:
        found = sliced(array, _decode_rows, b"],[")
    except msgspec.ValidationError:
        raws = sliced(array, elements, b"],[")
        return [_row(raw, f"{name}[{at}]", most) for at, raw in enumerate(raws)]
    if not {*map(len, found)} <= {*range(2, most + 1)}:
        for at, row in enumerate(found):
            _check(len(row), most, f"{name}[{at}]", row)
    return found


def _row(raw: msgspec.Raw, where: str, most: int) -> Level:
    try:
        values = elements(raw)
    except msgspec.DecodeError:
        raise Malformed("no array of price and quantity", where, bytes(raw)) from None
    _check(len(values), most, where, bytes(raw))
    return tuple(text(value, f"{where}[{at}]") for at, value in enumerate(values))


def _check(count: int, most: int, where: str, row: object) -> None:
    if not 2 <= count <= most:
        limits = "2" if most == 2 else f"2 to {most}"
        raise Malformed(f"{count} values; a level has {limits}", where, row)


def text(value: msgspec.Raw, where: str) -> str:
    """A text, or a number's digits. Malformed: it is neither."""
    raw = bytes(value)
    if raw[:1] == b'"':
        return _decode_text(raw)
    if raw[:1].isdigit() or raw[:1] == b"-":
        return raw.decode()
    raise Malformed("neither a text nor a number", where, raw)
