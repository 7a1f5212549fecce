"""Records of the `udp` feed: newline-separated JSON objects (PROTOCOL.md, section 6). Pure.

A member that is missing takes its default, an unknown one is ignored, a wrong type is an error:
a price sent as a number has already lost the venue's digits.
"""

from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

import msgspec

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
    """Best bid and offer."""

    symbol: str
    bid: str
    bid_qty: str
    ask: str
    ask_qty: str
    ts: Nanoseconds = 0


class Batch(NamedTuple):
    """What datagrams held: the good records in order, the count of bad lines, why the last was.

    `datagrams` has for each record the index of its datagram.
    """

    records: list[Trade | Quote]
    datagrams: list[int]
    refused: int
    why: str


_decode_line = msgspec.json.Decoder(Trade | Quote).decode


def decode(datagrams: Iterable[bytes]) -> Batch:
    """Decodes every line of every datagram; blank lines are nothing. Raises nothing."""
    records: list[Trade | Quote] = []
    indices: list[int] = []
    refused = 0
    why = ""
    for index, datagram in enumerate(datagrams):
        lines = datagram.split(b"\n") if b"\n" in datagram else (datagram,)
        for line in lines:
            try:
                records.append(_decode_line(line))
                indices.append(index)
            except (ValueError, RecursionError) as error:
                # msgspec refuses by DecodeError and UnicodeDecodeError, both ValueErrors, and very
                # deep nesting by RecursionError.
                if line and not line.isspace():
                    refused += 1
                    why = str(error)
    return Batch(records, indices, refused, why)
