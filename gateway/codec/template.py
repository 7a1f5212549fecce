"""Messages declared as templates, and compiled to programs that the native core runs.

A template is the message itself with its fields in angle brackets:

    "symbol":"<symbol>","seq":<seq>,"ts_event":<ts_event:ns>,"price":"<price>"

`<symbol>`, `<seq>`, `<age_ms>` (ts_send - ts_recv) and the fields of the channel's records
(JSON-escaped) stand by their name; a symbol may say how it is spelled (`bare`: without its venue,
`lower`, `bare_lower`), a time says its form (`ns`, `us`, `ms`, `rfc3339`);
`<side:none|buy|sell>` gives a text for each side, `<closed:no|yes>` for a flag; and
`<skipped:literal>` is where the literal and their number go when this client missed updates
(`<skipped:>`: clients are not told). Of a book
`<bids:before|behind>` is a side's levels between two texts, and `asks`, `depth`, `first_id`,
`last_id`, `maybe_bad` (the texts alone), `checksum` and `part` are the same; where there is no such
value nothing is written. In a notice its numbers
and words stand by their name, `<name:or_null>` is a number that may be null, `<channel>` is its
topic's, `<interval:before|behind>` that of its topic's channel between those texts, where it has
one.

A binary message is declared as its parts: bytes as they are, and fields by name, `u64 seq`: an
integer of so many bits (`topic`, `seq`, `channel`, `skipped`, a time, a notice's number);
`flags 1`: that byte, and bit 1 + i where the record's decimal i is a zero with a minus sign;
`price`: a field of the record, a decimal as low u64, high i64, exponent i8, a number of its size,
`side 255 1 2` as one byte for none, buy and sell, `closed 0 1` for no and yes; `symbol` and a
notice's words, as a length u8 and the text. Of a book `bids`, `asks` and `wides` (quantities that
do not fit their level) are groups, `first_id` and `last_id` such texts, `u16 depth`, `u16 part`,
`u16 parts`, `u32 checksum` integers, and `book_flags 1` is that byte, with bit 1 where it may be
bad and bit 2 where it has a checksum.

The compiled form is laid down in `native/gw_template.c`, which checks it again when it is loaded.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from gateway.model.notice import NOTICES
from gateway.model.record import BOOK, CHANNELS

_VERSION = 2
_NOTICE_KIND = 0x80
_TIMES: Final = ("ts_event", "ts_recv", "ts_send")
_LITERAL, _SYMBOL, _FIELD_OF_KIND, _NUMBER, _NUMBER_OR_NULL, _WORD, _CHANNEL = (
    0,
    1,
    8,
    9,
    10,
    11,
    12,
)
_PLAIN: Final = {"seq": 2, "age_ms": 7}
_FORMS: Final = {"ns": 3, "us": 4, "ms": 5, "rfc3339": 6}
_INTEGER, _FIELD_BINARY, _SYMBOL_BINARY, _WORD_BINARY, _FLAGS = 13, 14, 15, 16, 17
_SYMBOL_SPELLED: Final = 18
_INTERVAL: Final = 19
_TEXTS: Final = {"side": 3, "flag": 2}
"""How many texts say what a field is."""
_BOOK_VALUE: Final = 20
_BOOK_VALUES: Final = (
    "bids", "asks", "depth", "first_id", "last_id", "maybe_bad", "checksum", "part",
)  # fmt: skip
_BOOK_BINARY: Final = 21
_BOOK_PARTS: Final = {
    ("bids",): 0, ("asks",): 1, ("u16", "depth"): 2, ("first_id",): 3, ("last_id",): 4,
    ("u32", "checksum"): 6, ("u16", "part"): 7, ("wides",): 8, ("u16", "parts"): 9,
}  # fmt: skip
_BOOK_FLAGS: Final = 10
_SPELLINGS: Final = {"bare": 1, "lower": 2, "bare_lower": 3}
_SOURCES: Final = {
    "ts_event": "u64", "ts_recv": "u64", "ts_send": "u64", "topic": "u32", "seq": "u64",
    "channel": "u8", "skipped": "u64",
}  # fmt: skip
"""With the room that each needs; a notice's numbers are as large as the notice says."""
_BITS: Final = {f"u{bits}": bits // 8 for bits in (8, 16, 32, 64)}
_TEXT_MAX = 255
_FIELD = re.compile("<(?P<name>[a-z_]+)(?::(?P<argument>[^<>]*))?>")

Template = str | Sequence[bytes | str]
"""Of a text message its text, of a binary one its parts."""


def compile_template(channel: str, template: Template) -> bytes:
    """Compiles a template of the channel's records to a program for the native core.

    Raises:
        ValueError: the template is not ASCII, has no `<skipped:...>` or a field after it, names a
            field that the channel's records lack, or has a bracket that belongs to no field.
    """
    if channel not in CHANNELS:
        raise ValueError(f"no channel {channel!r}")
    number = CHANNELS[channel].number
    if not isinstance(template, str):
        if list(template).count("u64 skipped") != 1:
            raise ValueError("a binary template of records has one `u64 skipped`")
        return _compile_parts(number, template, lambda words: _field_binary(channel, words))
    return _compile(number, template, lambda *field: _field(channel, *field), skips=True)


def compile_notice(notice: str, template: Template) -> bytes:
    """As `compile_template`, of a notice; it tells of no skipped updates."""
    if notice not in NOTICES:
        raise ValueError(f"no notice {notice!r}")
    number = _NOTICE_KIND + NOTICES[notice].number
    if not isinstance(template, str):
        return _compile_parts(number, template, lambda words: _notice_binary(notice, words))
    return _compile(number, template, lambda *field: _notice_field(notice, *field), skips=False)


def _compile(
    kind: int, template: str, compiled: Callable[[str, str], bytes], *, skips: bool
) -> bytes:
    skip, body, tail = b"", bytearray(), b""
    closed = False
    for literal, name, argument in _parts(template):
        if closed and name:
            raise ValueError(f"field {name!r} after the place of <skipped:...>")
        if closed:
            tail = literal
            continue
        for start in range(0, len(literal), _TEXT_MAX):
            body.append(_LITERAL)
            body += _text(literal[start : start + _TEXT_MAX])
        if name == "skipped" and skips:
            skip, closed = argument.encode("ascii"), True
        elif name:
            body += compiled(name, argument)
    if skips and not closed:
        raise ValueError("the template has no <skipped:...>")
    return bytes((_VERSION, kind)) + _text(skip) + _text(tail) + bytes(body)


def _compile_parts(
    kind: int, parts: Sequence[bytes | str], compiled: Callable[[list[str]], bytes]
) -> bytes:
    body = bytearray()
    for part in parts:
        if isinstance(part, bytes):
            body += bytes((_LITERAL,)) + _text(part)
        else:
            body += compiled(part.split())
    return bytes((_VERSION, kind, 0, 0)) + bytes(body)


def _field_binary(channel: str, words: list[str]) -> bytes:
    fields = {field.name: field.type for field in CHANNELS[channel].fields}
    names = list(fields)
    if channel == BOOK and tuple(words) in _BOOK_PARTS:
        return bytes((_BOOK_BINARY, _BOOK_PARTS[tuple(words)]))
    match words:
        case ["book_flags", ("0" | "1") as base] if channel == BOOK:
            return bytes((_BOOK_BINARY, _BOOK_FLAGS, int(base)))
        case [bits, source] if _SOURCES.get(source) == bits:
            return _integer(source)
        case ["flags", ("0" | "1") as base]:
            return bytes((_FLAGS, int(base)))
        case ["symbol"]:
            return bytes((_SYMBOL_BINARY,))
        case [name, *said] if name in names and len(said) == _TEXTS.get(fields[name], 0):
            texts = (b"\1" + bytes((int(text),)) for text in said)
            return bytes((_FIELD_BINARY, names.index(name))) + b"".join(texts)
    raise ValueError(f"a {channel} has no {' '.join(words)!r}")


def _notice_binary(notice: str, words: list[str]) -> bytes:
    numbers = NOTICES[notice].numbers
    match words:
        case [bits, name] if bits in _BITS and name in numbers:
            return bytes((_INTEGER, len(_SOURCES) + numbers.index(name), _BITS[bits]))
        case [bits, ("ts_send" | "topic" | "channel") as source] if _SOURCES[source] == bits:
            return _integer(source)
        case ["symbol"]:
            return bytes((_SYMBOL_BINARY,))
        case [word] if word in NOTICES[notice].words:
            return bytes((_WORD_BINARY, NOTICES[notice].words.index(word)))
    raise ValueError(f"a notice of {notice} has no {' '.join(words)!r}")


def _integer(source: str) -> bytes:
    return bytes((_INTEGER, list(_SOURCES).index(source), _BITS[_SOURCES[source]]))


def _parts(template: str) -> Iterator[tuple[bytes, str, str]]:
    """Each literal with the field after it; the last one with no field."""
    at = 0
    for match in _FIELD.finditer(template):
        yield _literal(template[at : match.start()]), match["name"], match["argument"] or ""
        at = match.end()
    yield _literal(template[at:]), "", ""


def _literal(text: str) -> bytes:
    if "<" in text or ">" in text:
        raise ValueError(f"a bracket that belongs to no field: {text!r}")
    return text.encode("ascii")


def _text(literal: bytes) -> bytes:
    if len(literal) > _TEXT_MAX:
        raise ValueError(f"a text of {len(literal)} bytes, {_TEXT_MAX} at most")
    return bytes((len(literal),)) + literal


def _field(channel: str, name: str, argument: str) -> bytes:
    if name == "symbol":
        return _symbol(argument)
    if name in _TIMES:
        if argument not in _FORMS:
            raise ValueError(f"<{name}:{argument}> is not one of {', '.join(_FORMS)}")
        return bytes((_FORMS[argument], _TIMES.index(name)))
    if channel == BOOK and name in _BOOK_VALUES:
        return bytes((_BOOK_VALUE, _BOOK_VALUES.index(name))) + _around(name, argument)
    fields = CHANNELS[channel].fields
    index = next((i for i, field in enumerate(fields) if field.name == name), None)
    if index is not None and (count := _TEXTS.get(fields[index].type)):
        texts = argument.encode("ascii").split(b"|")
        if len(texts) != count:
            meant = "three texts: none|buy|sell" if count == 3 else "two texts: no|yes"
            raise ValueError(f"<{name}:{argument}> needs {meant}")
        return bytes((_FIELD_OF_KIND, index)) + b"".join(map(_text, texts))
    if argument:
        raise ValueError(f"<{name}> takes no argument: {argument!r}")
    if index is not None:
        return bytes((_FIELD_OF_KIND, index))
    if name not in _PLAIN:
        raise ValueError(f"a {channel} has no field {name!r}")
    return bytes((_PLAIN[name],))


def _around(name: str, argument: str) -> bytes:
    """The texts before and behind a value."""
    texts = argument.encode("ascii").split(b"|")
    if len(texts) != 2:
        raise ValueError(f"<{name}:{argument}> needs two texts: before|behind")
    return b"".join(map(_text, texts))


def _notice_field(notice: str, name: str, argument: str) -> bytes:
    numbers, words = NOTICES[notice].numbers, NOTICES[notice].words
    if name == "ts_send" and argument in _FORMS:
        return bytes((_FORMS[argument], _TIMES.index(name)))
    if name == "symbol":
        return _symbol(argument)
    if name == "interval":
        return bytes((_INTERVAL,)) + _around(name, argument)
    if name in numbers:
        if argument not in ("", "or_null"):
            raise ValueError(f"<{name}:{argument}> is not or_null")
        return bytes((_NUMBER_OR_NULL if argument else _NUMBER, numbers.index(name)))
    if argument:
        raise ValueError(f"<{name}> takes no argument: {argument!r}")
    if name in words:
        return bytes((_WORD, words.index(name)))
    if name != "channel":
        raise ValueError(f"a notice of {notice} has no field {name!r}")
    return bytes((_CHANNEL,))


def _symbol(spelling: str) -> bytes:
    if not spelling:
        return bytes((_SYMBOL,))
    if spelling not in _SPELLINGS:
        raise ValueError(f"<symbol:{spelling}> is not one of {', '.join(_SPELLINGS)}")
    return bytes((_SYMBOL_SPELLED, _SPELLINGS[spelling]))
