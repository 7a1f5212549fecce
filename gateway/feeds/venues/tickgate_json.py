"""Records of the `udp` feed: newline-separated JSON objects (PROTOCOL.md, section 6). Pure.

A member that is missing takes its default, an unknown one is ignored, a wrong type is an error. A
price or quantity is a text, or a number that is taken by its digits. A `ts` in s, ms or us is
recognised.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from gateway.feeds.refusals import Refusal, of_input
from gateway.feeds.stamps import UNITS, scaled
from gateway.feeds.venues import reference
from gateway.feeds.venues.arrays import levels
from gateway.feeds.venues.message import BookMessage
from gateway.feeds.venues.number import quoted
from gateway.model.record import CHANNELS, CHANNELS_FED

Digits = Annotated[int, msgspec.Meta(ge=0, le=127)]
Nanoseconds = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Trade(msgspec.Struct, tag_field="channel", tag="trade", gc=False):
    """A trade; `side` is the taker's, `ts` 0 where the sender gave none."""

    symbol: str
    price: str
    qty: str
    side: Literal["buy", "sell"] | None = None
    id: str = ""
    ts: Nanoseconds = 0


class Quote(msgspec.Struct, tag_field="channel", tag="bbo", gc=False):
    """Best bid and offer; None for both values of a side that is not there."""

    symbol: str
    bid: str | None = None
    bid_qty: str | None = None
    ask: str | None = None
    ask_qty: str | None = None
    ts: Nanoseconds = 0


class Book(msgspec.Struct, tag_field="channel", tag="book", gc=False):
    """A whole book, or what changed in one; `first` and `last` number the sender's changes."""

    symbol: str
    type: Literal["snapshot", "update"]
    bids: msgspec.Raw = msgspec.Raw(b"[]")
    asks: msgspec.Raw = msgspec.Raw(b"[]")
    first: Nanoseconds | None = None
    last: Nanoseconds | None = None
    ts: Nanoseconds = 0

    def message(self) -> BookMessage:
        """Malformed: a side is no array of levels."""
        return BookMessage(
            self.symbol,
            self.type,
            levels(self.bids, "bids"),
            levels(self.asks, "asks"),
            self.ts,
            self.first,
            self.last,
        )


class Status(msgspec.Struct, tag_field="channel", tag="status", gc=False):
    """How an instrument is, and why; what is delisted has ended."""

    symbol: str
    status: reference.Status
    reason: str = ""
    ts: Nanoseconds = 0


class Reference(msgspec.Struct, tag_field="channel", tag="instrument", gc=False):
    """What is to be known of an instrument; None, or an empty text, is not told."""

    symbol: str
    tick: str | None = None
    lot: str | None = None
    price_digits: Digits | None = None
    qty_digits: Digits | None = None
    base: str = ""
    quote: str = ""
    delay_s: Annotated[int, msgspec.Meta(ge=0, le=604_800)] = 0
    status: Literal[reference.Status, ""] = ""
    venue_symbol: str = ""
    ts: Nanoseconds = 0


class Beat(msgspec.Struct, tag_field="channel", tag="heartbeat", gc=False):
    """The sender lives, and will say so again within `interval_ms`; 0: it promises nothing."""

    interval_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]
    symbol: str = ""
    ts: Nanoseconds = 0


Item = Trade | Quote | Status | Reference | BookMessage | Beat | Refusal


class Batch(NamedTuple):
    """What the lines of datagrams held, in order: good records, and why a line was refused.

    `datagrams` has for each the index of its datagram.
    """

    items: list[Item]
    datagrams: list[int]


_BOM = b"\xef\xbb\xbf"
_UNIT_FIRST, _NANOSECONDS_FIRST = UNITS[-1][0], UNITS[0][0]

_DECIMALS: Final = tuple(
    field.name
    for name in CHANNELS_FED
    for field in CHANNELS[name].fields
    if field.type == "decimal"
)
Line = Trade | Quote | Book | Status | Reference | Beat
_decoder: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)


def _decode_line(line: bytes) -> Line:
    try:
        return _decoder.decode(line)
    except msgspec.ValidationError:
        return _decoder.decode(quoted(line, _DECIMALS))


def decode(datagrams: Iterable[bytes]) -> Batch:
    """Decodes every line of every datagram; blank lines are nothing. Raises nothing."""
    items: list[Item] = []
    indices: list[int] = []
    for index, datagram in enumerate(datagrams):
        lines = datagram.split(b"\n") if b"\n" in datagram else (datagram,)
        for line in lines:
            if line[:1] == _BOM[:1]:
                line = line.removeprefix(_BOM)
            if not line:
                continue  # at once: a datagram of such has 65,536
            try:
                item = _timed(_decode_line(line))
                items.append(item.message() if isinstance(item, Book) else item)
            except (ValueError, RecursionError) as error:
                # msgspec refuses by DecodeError and UnicodeDecodeError, both ValueErrors, and very
                # deep nesting by RecursionError.
                if line.isspace():
                    continue
                items.append(of_input(line, error, identify))
            indices.append(index)
    return Batch(items, indices)


def _timed(item: Line) -> Line | Refusal:
    """The record with its time in nanoseconds, whatever unit it came in.

    A time before 2001 in every unit passes as it is: some clocks start at 0.
    """
    if not _UNIT_FIRST <= item.ts < _NANOSECONDS_FIRST:
        return item
    try:
        item.ts = scaled(item.ts)
    except ValueError as error:
        channel = item.__struct_config__.tag
        assert isinstance(channel, str)
        return Refusal("value", str(error), channel, item.symbol, "ts", str(item.ts))
    return item


def identify(message: Any) -> tuple[str, str, Mapping[str, Any]]:
    """Channel, symbol and members of a line that may be none of ours; "" where they are not."""
    members = message if isinstance(message, dict) else {}
    channel, symbol = members.get("channel"), members.get("symbol")
    return (
        channel if isinstance(channel, str) and channel in CHANNELS_FED else "",
        symbol if isinstance(symbol, str) else "",
        members,
    )
