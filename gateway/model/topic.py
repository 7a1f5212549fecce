"""Names of instruments and the patterns that cover them (PROTOCOL.md section 1).

Requests write a star that is itself as `~*` and a tilde as `~~`, in patterns and in names;
everything else (the ring, data frames, logs) has names as they are.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

ClosedList = Mapping[str, frozenset[str]]
"""By channel, the names of all instruments that a venue will ever have."""

SYMBOL_MAX: Final = 96
"""Bytes of a symbol in UTF-8: an option's full name, a prediction market's token number."""

VENUE_MAX: Final = 16
"""Characters of a venue: an ISO 10383 code and what we add to tell markets apart."""

NAME_MAX: Final = SYMBOL_MAX + 1 + VENUE_MAX
"""Bytes of an instrument, dot included; a pattern is no longer than what it may match."""

_VENUE: Final = re.compile(f"[A-Z0-9_]{{1,{VENUE_MAX}}}")
_ESCAPE: Final = re.compile("~(.?)", re.DOTALL)
_TOKEN: Final = re.compile(r"~[*~]|\*|[^*~]+")


class BadEscape(ValueError):
    """A tilde before anything but a star or a tilde, in a name or a pattern of a request."""


class Instrument(NamedTuple):
    """A name in its two parts: `BRK.B.XNAS` is symbol `BRK.B` at venue `XNAS`."""

    symbol: str
    venue: str


def split_instrument(name: str) -> Instrument:
    """The parts of SYMBOL.VENUE, split at the last dot.

    Raises:
        ValueError: what is wrong with the name, in at most 100 characters.
    """
    symbol, dot, venue = name.rpartition(".")
    if not dot:
        raise ValueError("an instrument is SYMBOL.VENUE: there is no dot")
    size = _size(symbol)
    if not 1 <= size <= SYMBOL_MAX:
        raise ValueError(f"a symbol has 1 to {SYMBOL_MAX} bytes, not {size}")
    if (bad := _bad(symbol)) is not None:
        raise ValueError(f"a symbol may not contain {bad!a}")
    if symbol[0] == " " or symbol[-1] == " ":
        raise ValueError("a symbol may not begin or end with a space")
    if _VENUE.fullmatch(venue) is None:
        raise ValueError(f"a venue has 1 to {VENUE_MAX} of A-Z, 0-9 and _")
    return Instrument(symbol, venue)


def escape(name: str) -> str:
    """The name as requests write it."""
    return name.replace("~", "~~").replace("*", "~*")


def unescape(text: str) -> str:
    """The name that a request's text means.

    Raises:
        BadEscape: naming the tilde's neighbour.
    """
    return _ESCAPE.sub(_meant, text) if "~" in text else text


def meant(text: str) -> str:
    """As `unescape`, of what may be none: then the text is taken as it is."""
    try:
        return unescape(text)
    except BadEscape:
        return text


def _meant(escaped: "re.Match[str]") -> str:
    if escaped[1] in ("*", "~"):
        return escaped[1]
    raise BadEscape(f"{escaped[0]!a}: a star that is itself is '~*', a tilde is '~~'")


def is_pattern(name: str) -> bool:
    """Whether the string of a request covers names by a `*` instead of being one."""
    return "*" in name and ("~" not in name or "*" in _ESCAPE.sub("", name))


def check_pattern(pattern: str) -> None:
    """Accepts the characters of a name and `*`, at most NAME_MAX bytes of them.

    Raises:
        BadEscape: a tilde that escapes nothing.
        ValueError: what is wrong with the pattern, in at most 100 characters.
    """
    text = unescape(pattern)
    size = _size(text)
    if not 1 <= size <= NAME_MAX:
        raise ValueError(f"a pattern has 1 to {NAME_MAX} bytes, not {size}")
    if (bad := _bad(text)) is not None:
        raise ValueError(f"a pattern may not contain {bad!a}")


def match_pattern(pattern: str, name: str) -> bool:
    """Whether a request's pattern covers the name: `*` is any run of characters, the rest itself.

    Each literal part is taken where it first fits, so that the time is at most the product of both
    lengths whatever a client sends; a regular expression would backtrack.
    """
    head, *middle = _literals(pattern)
    if not middle:
        return head == name
    tail = middle.pop()
    end = len(name) - len(tail)
    position = len(head)
    if end < position or not name.startswith(head) or not name.endswith(tail):
        return False
    for part in middle:
        position = name.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True


def _literals(pattern: str) -> list[str]:
    """What stands before, between and behind the stars."""
    if "~" not in pattern:
        return pattern.split("*")
    literals = [""]
    for token in _TOKEN.findall(pattern):
        if token == "*":
            literals.append("")
        else:
            literals[-1] += token[1:] if token[0] == "~" else token
    return literals


def _size(text: str) -> int:
    """Bytes of UTF-8; what it cannot hold is found as a character."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _bad(text: str) -> str | None:
    """The first character that no name may have: what is not printable, and what JSON, lists or
    configuration would have to escape."""
    if text.isprintable() and not ('"' in text or "\\" in text or "," in text):
        return None
    return next(c for c in text if c in '"\\,' or not c.isprintable())
