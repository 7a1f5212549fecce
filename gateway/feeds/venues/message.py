"""What a venue's decoder makes of one message."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from gateway.feeds.sequencing import Numbering
from gateway.feeds.venues.reference import Status

Fields = (
    tuple[int, str, str, str | None, str]
    | tuple[int, str | None, str | None, str | None, str | None]
    | tuple[int, str, str]
    | tuple[int, str | None, str | None, int | None, int | None, str, str, bool, int, str, str]
)
"""(ts_event, price, qty, side, id), or (ts_event, bid, bid_qty, ask, ask_qty), where None is for
both values of a side that is not there, or (ts_event, status, reason), or what
`record.InstrumentRow` has."""

Top = tuple[str | None, str | None, str | None, str | None]
"""(bid, bid_qty, ask, ask_qty), None for both values of a side that is not there."""

Level = tuple[str, ...]
"""(price, qty), or (price, qty, orders): texts with the venue's digits; a qty of 0 deletes."""


class Message(NamedTuple):
    """One record, still without a topic: `(topic, *fields)` is the row to publish."""

    channel: Literal["trade", "bbo"]
    symbol: str
    first: int
    last: int
    """The venue's own numbers of it, for the sequence check; mostly one."""
    numbering: Numbering
    fields: Fields
    skip: str = ""
    """Why this is no record to publish, though its number counts; a text fixed in the code."""


class BookMessage(NamedTuple):
    """A whole book, or what changed in one: applied as a whole or not at all.

    Attributes:
        symbol: empty where the message does not tell it, as Binance's depth over REST.
        bids, asks: in the venue's order; of a level that comes twice the last one holds.
        first, last: the venue's numbers of the changes in it, None where it has none.
        previous: the number before `first`, where numbers are left out and the venue tells it.
        checksum: CRC32 of the book behind the message, where the venue sends one.
        depth: levels a side that the venue's book has at most; 0: all, or not told.
        top: what the venue's quotes say of the book behind the message; None: nothing.
        doubted: of a message that is played again, whether its book was in doubt behind it: it is
            not judged anew. None: of a venue's.
    """

    symbol: str
    type: Literal["snapshot", "update"]
    bids: list[Level]
    asks: list[Level]
    ts_event: int = 0
    first: int | None = None
    last: int | None = None
    previous: int | None = None
    checksum: int | None = None
    depth: int = 0
    top: Top | None = None
    doubted: bool | None = None


class Instrument(NamedTuple):
    """Reference data; empty or -1 where the venue does not tell it.

    `tick` and `lot` are the smallest steps of price and quantity, as texts; `own` is the venue's
    name of it, where that is not `symbol`.
    """

    symbol: str
    base: str
    quote: str
    tick: str
    lot: str
    price_digits: int
    qty_digits: int
    status: Status | Literal[""] = ""
    own: str = ""


class Heartbeat(NamedTuple):
    """The connection lives; the venue's number of it, or -1."""

    number: int = -1


class Subscription(NamedTuple):
    """The venue's answer to a request; `why` in its words where it refused."""

    channel: str
    symbols: tuple[str, ...]
    active: bool
    why: str = ""


class Lost(NamedTuple):
    """So many of this connection's messages are missing before `number`; None: it numbers anew."""

    messages: int | None
    number: int


Item = Message | BookMessage | Instrument | Heartbeat | Subscription | Lost | str
"""A text is the name of the message's kind, of which there is nothing to publish."""
Decoded = Item | list[Item]
Decode = Callable[[bytes], Decoded]
"""Raises ValueError where the bytes are no message of the venue's, and nothing else."""


class Malformed(ValueError):
    """A part of a message is not what it should be: which one, and what stands there."""

    def __init__(self, why: str, field: str, value: object) -> None:
        super().__init__(f"{why} - at `$.{field}`")
        self.field = field
        self.value = value
