"""Our JSON frames (PROTOCOL.md, section 4), declared as templates and compiled for the native core.

A template is the message itself with its fields in angle brackets:

    "symbol":"<symbol>","seq":<seq>,"ts_event":<ts_event:ns>,"price":"<price>"

`<symbol>`, `<seq>`, a trade's `<id>`, health's `<state>` and `<reason>` (JSON-escaped), `<age_ms>`
(ts_send - ts_recv) and every decimal stand by their name; a time
says its form (`ns`, `us`, `ms`, `rfc3339`); `<side:none|buy|sell>` gives a text for each side; and
`<skipped:literal>` is where the literal and their number go when this client missed updates.
Another venue's dialect is another few templates.

The compiled form is laid down in `native/gw_template.c`, which checks it again when it is loaded.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

_VERSION = 1
_KINDS: Final = {"trade": 1, "bbo": 2, "health": 7}
_DECIMALS: Final = {"trade": ("price", "qty"), "bbo": ("bid", "bid_qty", "ask", "ask_qty")}
_WORDS: Final = ("state", "reason")
_TIMES: Final = ("ts_event", "ts_recv", "ts_send")
_LITERAL, _SYMBOL, _SEQ, _DECIMAL, _ID, _SIDE, _STATE, _AGE_MS = 0, 1, 2, 3, 8, 9, 10, 11
_FORMS: Final = {"ns": 4, "us": 5, "ms": 6, "rfc3339": 7}
_TEXT_MAX = 255
_FIELD = re.compile("<(?P<name>[a-z_]+)(?::(?P<argument>[^<>]*))?>")

_HEAD = (
    '{"channel":"<channel>","type":"<type>","symbol":"<symbol>","seq":<seq>,'
    '"ts_event":<ts_event:ns>,"ts_recv":<ts_recv:ns>,"ts_send":<ts_send:ns>,"data":['
)
_TAIL = ']<skipped:,"skipped":>}'
JSON: Final[Mapping[str, str]] = {
    "trade": _HEAD
    + '{"id":"<id>","price":"<price>","qty":"<qty>","side":<side:null|"buy"|"sell">}'
    + _TAIL,
    "bbo": _HEAD
    + '{"bid":"<bid>","bid_qty":"<bid_qty>","ask":"<ask>","ask_qty":"<ask_qty>"}'
    + _TAIL,
    "health": _HEAD + '{"state":"<state>","reason":"<reason>","age_ms":<age_ms>}' + _TAIL,
}
"""The templates by channel; `<channel>` and `<type>` are filled in before compiling."""


def programs() -> dict[tuple[str, str], bytes]:
    """Compiles our JSON: the program for each (channel, "update" or "snapshot")."""
    return {
        (channel, kind): compile_template(
            channel, text.replace("<channel>", channel).replace("<type>", kind)
        )
        for channel, text in JSON.items()
        for kind in ("update", "snapshot")
    }


def compile_template(channel: str, template: str) -> bytes:
    """Compiles a template of the channel's records to a program for `_native.Template`.

    Raises:
        ValueError: the template is not ASCII, has no `<skipped:...>` or a field after it, names a
            field that the channel's records lack, or has a bracket that belongs to no field.
    """
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
        if name == "skipped":
            skip, closed = argument.encode("ascii"), True
        elif name:
            body += _field(channel, name, argument)
    if not closed:
        raise ValueError("the template has no <skipped:...>")
    return bytes((_VERSION, _KINDS[channel])) + _text(skip) + _text(tail) + bytes(body)


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
    if name in _TIMES:
        if argument not in _FORMS:
            raise ValueError(f"<{name}:{argument}> is not one of {', '.join(_FORMS)}")
        return bytes((_FORMS[argument], _TIMES.index(name)))
    if name == "side" and channel == "trade":
        texts = argument.encode("ascii").split(b"|")
        if len(texts) != 3:
            raise ValueError(f"<side:{argument}> needs three texts: none|buy|sell")
        return bytes((_SIDE,)) + b"".join(map(_text, texts))
    if argument:
        raise ValueError(f"<{name}> takes no argument: {argument!r}")
    if channel == "health" and name in _WORDS:
        return bytes((_STATE, _WORDS.index(name)))
    if name in _DECIMALS.get(channel, ()):
        return bytes((_DECIMAL, _DECIMALS[channel].index(name)))
    plain = {"symbol": _SYMBOL, "seq": _SEQ, "age_ms": _AGE_MS}
    plain |= {"id": _ID} if channel == "trade" else {}
    if name not in plain:
        raise ValueError(f"a {channel} has no field {name!r}")
    return bytes((plain[name],))
