"""What a venue's decoder makes of one message that bears a number."""

from typing import Literal, NamedTuple

from gateway.feeds.sequencing import Numbering

Fields = (
    tuple[int, str, str, str | None, str]
    | tuple[int, str | None, str | None, str | None, str | None]
)
"""(ts_event, price, qty, side, id), or (ts_event, bid, bid_qty, ask, ask_qty), where None is for
both values of a side that is not there."""


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
