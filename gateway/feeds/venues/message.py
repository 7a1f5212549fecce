"""What a venue's decoder makes of one message that is a record."""

from typing import Literal, NamedTuple


class Message(NamedTuple):
    """One record, still without a topic: `(topic, *fields)` is the row to publish."""

    channel: Literal["trade", "bbo"]
    symbol: str
    sequence: int
    """The venue's own number of it, for the sequence check."""
    contiguous: bool
    """Whether that number rises by exactly one within channel and symbol, or only rises."""
    fields: (
        tuple[int, str, str, str | None, str]
        | tuple[int, str | None, str | None, str | None, str | None]
    )
    """(ts_event, price, qty, side, id), or (ts_event, bid, bid_qty, ask, ask_qty), where None is
    for both values of a side that is not there."""
