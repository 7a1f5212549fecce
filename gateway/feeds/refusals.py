"""Input that a feed refuses: which symbol, field and value, and why. `outlet.py` tells of it."""

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from gateway.feeds.venues.message import Malformed
from gateway.model.record import CHANNELS
from gateway.text import escaped

if TYPE_CHECKING:
    from gateway._native import Row

VALUE_CHARACTERS_MAX: Final = 80
"""What is shown of a refused value, escapes included: it is anybody's."""

TALLIED_MAX: Final = 16
"""Instruments whose refusals are counted one by one ..."""
TALLIED_UNKNOWN_MAX: Final = 8
"""... of which so many may be unknown names, so that a flood of those hides no known one."""
OTHERS: Final = "others"
"""All instruments beyond. No name of an instrument: it has no venue."""
TALLY_CHARACTERS_MAX: Final = 200
"""Of a tally in words: the log cuts values behind 256."""

LOOKED_AT_BYTES: Final = 16_384
"""Of a message that was refused: a snapshot of 5 MB would hold the interpreter for 40 ms."""

_STRUCTURE: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)
_CLOSING: Final = {b"[": b"]", b"{": b"}"}
_BEYOND: Final = ("more than", "longer than", "an exponent beyond")
_lenient: Final = json.JSONDecoder().raw_decode
_FIELD: Final = re.compile(r"field `(\w+)`|`\$(?:\.\w+|\[\d+\])*?\.(\w+)(?:\[\d+\])*`")
"""The member that a decoder names, the last one of a path as `$[0].trades[1].price`."""
_LATER: Final = re.compile(r"\[0*[1-9]")
"""Of such a path: an element that is not the first, which is all that `identify` gives."""


class Refusal(NamedTuple):
    """One input that was refused; what is not known is empty.

    Attributes:
        reason: one of `outcomes.REFUSALS`.
        why: in words, with the limit where there is one.
        symbol: without its venue.
        field: as the sender spells it, or as a row's field is called.
        value: what stood there: printable ASCII, at most VALUE_CHARACTERS_MAX.
    """

    reason: str
    why: str
    channel: str = ""
    symbol: str = ""
    field: str = ""
    value: str = ""

    @property
    def words(self) -> str:
        """Channel, field and why, for people and for the reason in `health`."""
        where = " ".join(filter(None, (self.channel, self.field)))
        return f"{where}: {self.why}" if where else self.why


Identify = Callable[[Any], tuple[str, str, Mapping[str, Any]]]
"""(channel, symbol, members) of a message as decoded JSON, each empty where it can't be told."""


def shown_symbol(symbol: str) -> str:
    """A symbol as it is, but for what is not printable; cut."""
    text = escaped(symbol[:VALUE_CHARACTERS_MAX])
    return text if len(text) <= VALUE_CHARACTERS_MAX else text[: VALUE_CHARACTERS_MAX - 3] + "..."


def shown(value: object) -> str:
    """The value as printable ASCII, escaped and cut."""
    if isinstance(value, bytes):
        value = value[:VALUE_CHARACTERS_MAX].rstrip(b"\r\n").decode("latin-1")
    text = (value if isinstance(value, str) else repr(value))[:VALUE_CHARACTERS_MAX]
    text = "".join(c if c.isascii() and c.isprintable() else _escape(c) for c in text)
    return text if len(text) <= VALUE_CHARACTERS_MAX else text[: VALUE_CHARACTERS_MAX - 3] + "..."


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def of_input(payload: bytes, error: Exception, identify: Identify) -> Refusal:
    """Why a decoder refused these bytes, by its error and a second, lenient look at them."""
    why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    head = _head(payload)
    try:
        channel, symbol, members = identify(msgspec.json.decode(head))
    except (ValueError, RecursionError):
        channel, symbol = _about(head, identify)
        return Refusal("line", shown(why), channel, symbol, value=shown(payload))
    if head is not payload and type(error) is msgspec.DecodeError:
        return Refusal("line", shown(why), channel, symbol, value=shown(payload))
    if isinstance(error, Malformed):
        return Refusal("shape", shown(why), channel, symbol, shown(error.field), shown(error.value))
    found = _FIELD.search(why)
    field = (found[1] or found[2]) if found else ""
    if field in members and not _LATER.search(why):
        value = shown(members[field])
    else:
        value = "" if symbol else shown(payload)
    return Refusal("shape", shown(why), channel, symbol, shown(field), value)


def _head(payload: bytes) -> bytes:
    """The first elements of a long message, with what is open closed behind them.

    An array ends as it does: that is where Kraken names channel and pair.
    """
    if len(payload) <= LOOKED_AT_BYTES:
        return payload
    end = max(payload.rfind(b"},", 0, LOOKED_AT_BYTES), payload.rfind(b"],", 0, LOOKED_AT_BYTES))
    closing: list[bytes] = []
    for found in _STRUCTURE.finditer(payload, 0, end + 1):
        mark = found[0]
        if mark in _CLOSING:
            closing.append(_CLOSING[mark])
        elif mark in (b"]", b"}") and closing:
            closing.pop()
    if closing and payload[:1] == b"[":
        closing[0] = _ending(payload)
    return payload[: end + 1] + b"".join(reversed(closing))


def _ending(array: bytes) -> bytes:
    """Of a JSON array: what stands behind its last element that is one of elements."""
    end = max(array.rfind(b"]"), 0)
    inner = max(array.rfind(mark, 0, end) for mark in (b"]", b"}"))
    return array[max(inner + 1, len(array) - LOOKED_AT_BYTES) :]


def _about(payload: bytes, identify: Identify) -> tuple[str, str]:
    """Channel and symbol of what is no JSON, but nearly: with NaN in it, or something behind it."""
    try:
        message, _ = _lenient(payload.decode("utf-8", "replace").lstrip())
    except (ValueError, RecursionError):
        return "", ""
    channel, symbol, _ = identify(message)
    return channel, symbol


def of_row(channel: str, symbol: str, row: "Row", why: str) -> Refusal:
    """Which field of a row it was that the ring refused; `why` as RingWriter.publish gives it."""
    if why.startswith("ts_event"):
        return Refusal("value", why, channel, symbol, "ts", shown(row[1]))
    field, _, rest = why.partition(": ")
    names = [one.name for one in CHANNELS[channel].fields]
    if field not in names:
        return Refusal("value", shown(why), channel, symbol)
    told = rest.partition(": ")[0]  # without the value, which is shown apart
    reason = "value"
    if told.startswith(_BEYOND):
        reason = "limit"
    elif told == "not a decimal":
        reason = "number"
    value = row[2 + names.index(field)]
    return Refusal(reason, told, channel, symbol, field, shown(value))


class Tally:
    """Refusals by instrument, within bounds: `counts`, those beyond as OTHERS."""

    __slots__ = ("_unknown", "counts")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._unknown = 0

    def add(self, instrument: str, known: bool, inputs: int) -> None:
        if instrument not in self.counts and instrument != OTHERS:
            room = len(self.counts) - (OTHERS in self.counts) < TALLIED_MAX
            if not room or not (known or self._unknown < TALLIED_UNKNOWN_MAX):
                instrument = OTHERS
            elif not known:
                self._unknown += 1
        self.counts[instrument] = self.counts.get(instrument, 0) + inputs

    def __str__(self) -> str:
        """ "A.SIM 5, B.SIM 2, others 9": the most refused first, as many as there is room for."""
        others = self.counts.get(OTHERS, 0)
        words: list[str] = []
        length = 0
        for name, count in sorted(self.counts.items(), key=lambda item: -item[1]):
            if name == OTHERS:
                continue
            word = f"{name} {count}"
            length += len(word) + 2
            if length > TALLY_CHARACTERS_MAX:
                others += count
            else:
                words.append(word)
        return ", ".join(words + [f"{OTHERS} {others}"] * (others > 0))
