"""Our JSON in pure Python: what a client reads, and the twin that tests the native encoder."""

import json
from typing import Any, Final, Literal, TypeAlias

import msgspec

from gateway.model.record import CHANNELS, CandleRow, Row


class Trade(msgspec.Struct, frozen=True):
    """One trade; price and quantity keep the venue's digits. `side` is the taker's, where known."""

    id: str
    price: str
    qty: str
    side: Literal["buy", "sell"] | None


class Quote(msgspec.Struct, frozen=True):
    """The best bid and ask with their quantities, digits as the venue sent them.

    A side that is not there has None for both.
    """

    bid: str | None
    bid_qty: str | None
    ask: str | None
    ask_qty: str | None


class Candle(msgspec.Struct, frozen=True):
    """What an instrument's trades come to in one interval of the venue's time.

    `closed`: it is over; `revised`: it had been told as closed before; not `complete`: some of its
    trades are not known.
    """

    interval: str
    start: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    trades: int
    closed: bool
    revised: bool = False
    complete: bool = True


class Instrument(msgspec.Struct, frozen=True):
    """What the venue says of an instrument: None, or an empty text, is what it does not tell."""

    tick: str | None = None
    lot: str | None = None
    price_digits: int | None = None
    qty_digits: int | None = None
    base: str = ""
    quote: str = ""
    bbo: str = "venue"
    delay_s: int = 0
    status: str = ""
    venue_symbol: str = ""


class Status(msgspec.Struct, frozen=True):
    """How an instrument is at its venue: trading, halted, auction, closed or delisted; why."""

    status: str
    reason: str = ""


class Level(msgspec.Struct, frozen=True, array_like=True):
    """A level of an order book, with the venue's digits; quantity "0" deletes it."""

    price: str
    qty: str


class Book(msgspec.Struct, frozen=True, omit_defaults=True):
    """What changed of an order book, or all of it: of each side deletions, then levels, best first.

    `depth`: of a side, 0 for all; `first_id` and `last_id`: the venue's numbers of the messages
    that it stands for; `maybe_bad`: the venue's book is in doubt; `checksum`: of the book
    afterwards.
    """

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    depth: int = 0
    first_id: str | None = None
    last_id: str | None = None
    maybe_bad: bool = False
    checksum: int | None = None


class _Data(msgspec.Struct, frozen=True, kw_only=True):
    type: Literal["update", "snapshot"]
    symbol: str
    seq: int
    ts_event: int
    ts_recv: int
    ts_send: int
    skipped: int = 0


class TradeMessage(_Data, frozen=True, tag_field="channel", tag="trade"):
    """A frame of channel `trade`. Times are nanoseconds since the Unix epoch."""

    data: tuple[Trade, ...]


class BboMessage(_Data, frozen=True, tag_field="channel", tag="bbo"):
    """A frame of channel `bbo`. Times are nanoseconds since the Unix epoch."""

    data: tuple[Quote, ...]


class CandleMessage(_Data, frozen=True, tag_field="channel", tag="candle"):
    """A frame of channel `candle`. Times are nanoseconds since the Unix epoch."""

    data: tuple[Candle, ...]


class InstrumentMessage(_Data, frozen=True, tag_field="channel", tag="instrument"):
    """A frame of channel `instrument`. Times are nanoseconds since the Unix epoch."""

    data: tuple[Instrument, ...]


class StatusMessage(_Data, frozen=True, tag_field="channel", tag="status"):
    """A frame of channel `status`. Times are nanoseconds since the Unix epoch."""

    data: tuple[Status, ...]


class BookMessage(_Data, frozen=True, kw_only=True, tag_field="channel", tag="book"):
    """A frame of channel `book`, or one of its parts: the how manieth of how many."""

    data: tuple[Book, ...]
    part: tuple[int, int] | None = None


Record: TypeAlias = (
    TradeMessage | BboMessage | BookMessage | CandleMessage | InstrumentMessage | StatusMessage
)
Message: TypeAlias = Record | dict[str, Any]


class _Head(msgspec.Struct):
    channel: str = ""


_head: Final = msgspec.json.Decoder(_Head)
_any: Final = msgspec.json.Decoder(dict[str, Any])
_typed: Final[
    dict[
        str,
        msgspec.json.Decoder[TradeMessage]
        | msgspec.json.Decoder[BboMessage]
        | msgspec.json.Decoder[BookMessage]
        | msgspec.json.Decoder[CandleMessage]
        | msgspec.json.Decoder[InstrumentMessage]
        | msgspec.json.Decoder[StatusMessage],
    ]
] = {
    "trade": msgspec.json.Decoder(TradeMessage),
    "bbo": msgspec.json.Decoder(BboMessage),
    "book": msgspec.json.Decoder(BookMessage),
    "candle": msgspec.json.Decoder(CandleMessage),
    "instrument": msgspec.json.Decoder(InstrumentMessage),
    "status": msgspec.json.Decoder(StatusMessage),
}


def decode(payload: bytes | str) -> Message:
    """Reads one message of the gateway: data as structs, replies and all else as the object it is.

    Unknown fields and channels are no errors (PROTOCOL.md, section 1).

    Raises:
        msgspec.DecodeError: no JSON object, or a data frame without the fields of its channel.
    """
    typed = _typed.get(_head.decode(payload).channel)
    return typed.decode(payload) if typed is not None else _any.decode(payload)


def encode(
    channel: str,
    kind: Literal["update", "snapshot"],
    symbol: str,
    row: Row | CandleRow,
    *,
    seq: int,
    ts_recv: int,
    ts_send: int,
    skipped: int = 0,
) -> bytes:
    """Encodes one row (see `_native.Row`) as the native core does with our programs.

    `channel` is a key.
    """
    _, ts_event, *texts = row
    names = (field.name for field in CHANNELS[channel].fields)
    element = dict(zip(names, texts, strict=True))
    if "id" in element:
        element = {"id": element.pop("id"), **element}  # first in messages, last in rows
    if interval := CHANNELS[channel].interval:
        revised, partial = element.pop("revised"), element.pop("partial")
        element = {"interval": interval, **element}
        element |= {"revised": True} if revised else {}
        element |= {"complete": False} if partial else {}
    message = {
        "channel": CHANNELS[channel].name,
        "type": kind,
        "symbol": symbol,
        "seq": seq,
        "ts_event": ts_event or ts_recv,
        "ts_recv": ts_recv,
        "ts_send": ts_send,
        "data": [element],
    }
    if skipped:
        message["skipped"] = skipped
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
