"""Names of instruments and the patterns that cover them (PROTOCOL.md section 1)."""

import re
from typing import Final, NamedTuple

SYMBOL_MAX: Final = 48
"""Characters of a symbol: room for an option's full name."""

VENUE_MAX: Final = 16
"""Characters of a venue: an ISO 10383 code and what we add to tell markets apart."""

NAME_MAX: Final = SYMBOL_MAX + 1 + VENUE_MAX
"""Characters of an instrument, dot included; a pattern is no longer than what it may match."""

# Printable ASCII but space, star, quote, backslash and comma: never escaped in JSON, in a list
# separated by commas, or in a log line.
_CHARACTER: Final = r"[!#-)+\-./0-\[\]-~]"
_INSTRUMENT: Final = re.compile(rf"({_CHARACTER}{{1,{SYMBOL_MAX}}})\.([A-Z0-9_]{{1,{VENUE_MAX}}})")
_SYMBOL_BAD: Final = re.compile(rf"(?!{_CHARACTER}).", re.DOTALL)


class Instrument(NamedTuple):
    """A name in its two parts: `BRK.B.XNAS` is symbol `BRK.B` at venue `XNAS`."""

    symbol: str
    venue: str


def split_instrument(name: str) -> Instrument:
    """The parts of SYMBOL.VENUE, split at the last dot.

    Raises:
        ValueError: what is wrong with the name, in at most 100 characters.
    """
    found = _INSTRUMENT.fullmatch(name)
    if found is None:
        raise ValueError(_why_no_instrument(name))
    return Instrument(found[1], found[2])


def is_pattern(name: str) -> bool:
    """Whether the string covers names by a `*` instead of being one."""
    return "*" in name


def check_pattern(pattern: str) -> None:
    """Accepts the characters of a name and `*`, at most NAME_MAX of them.

    Raises:
        ValueError: what is wrong with the pattern, in at most 100 characters.
    """
    if not 1 <= len(pattern) <= NAME_MAX:
        raise ValueError(f"a pattern has 1 to {NAME_MAX} characters, not {len(pattern)}")
    bad = _SYMBOL_BAD.search(pattern.replace("*", ""))
    if bad is not None:
        raise ValueError(f"a pattern may not contain {bad[0]!a}")


def match_pattern(pattern: str, name: str) -> bool:
    """Whether the pattern covers the name: `*` is any run of characters, the rest itself.

    Each literal part is taken where it first fits, so that the time is at most the product of both
    lengths whatever a client sends; a regular expression would backtrack.
    """
    head, *middle = pattern.split("*")
    if not middle:
        return pattern == name
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


def _why_no_instrument(name: str) -> str:
    symbol, dot, _ = name.rpartition(".")
    if not dot:
        return "an instrument is SYMBOL.VENUE: there is no dot"
    if not 1 <= len(symbol) <= SYMBOL_MAX:
        return f"a symbol has 1 to {SYMBOL_MAX} characters, not {len(symbol)}"
    bad = _SYMBOL_BAD.search(symbol)
    if bad is not None:
        return f"a symbol may not contain {bad[0]!a}"
    return f"a venue has 1 to {VENUE_MAX} of A-Z, 0-9 and _"
