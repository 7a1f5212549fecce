"""Binary data frames as what a session takes: the same ticks and messages as the JSON has.

Imported where the encoding is asked for, since it needs the native core, and JSON does not.
"""

from typing import Any, Final, TypeAlias

import msgspec

from gateway.client.book import Book
from gateway.client.books import made
from gateway.client.ticks import Bbo, Candle, Trade
from gateway.codec.sbe import Decoder, decode
from gateway.model.record import CANDLE, CHANNELS

Found: TypeAlias = Trade | Bbo | Book | Candle | dict[str, Any]

_BOOK_VALUES: Final = (
    *("channel", "type", "symbol", "seq", "ts_event", "ts_recv", "ts_send", "skipped", "levels"),
    *("depth", "first_id", "last_id", "maybe_bad", "checksum"),
)
"""Of `SbeBook`, up to its part."""


class Reader:
    """Reads the frames of one connection, whose topics are announced on it.

    Attributes:
        topics: those, by number.
    """

    def __init__(self) -> None:
        self._decoder = Decoder()
        self.topics = self._decoder.topics

    def read(self, frame: bytes, real_ns: int) -> list[Found]:
        """The ticks of a frame, which came at `real_ns`, and what else it says, as its JSON is.

        Raises:
            msgspec.DecodeError: it is no frame of ours.
        """
        record = self._decoder.record(frame)
        if record is not None:
            return [tick_of(record, real_ns)]
        return [msgspec.to_builtins(one) for one in decode(frame, self.topics)]


def tick_of(record: tuple[Any, ...], real_ns: int) -> Trade | Bbo | Book | Candle:
    """Of a frame that the native core has read; what comes most comes first."""
    channel = record[0]
    if channel == "trade":
        _, kind, symbol, seq, event, recv, sent, skipped, name, price, qty, side = record
        return Trade(
            channel, kind, symbol, seq, event, recv, sent, real_ns, skipped,
            id=name, side=side, price_text=price, qty_text=qty,
        )  # fmt: skip
    if channel == "bbo":
        _, kind, symbol, seq, event, recv, sent, skipped, bid, bid_qty, ask, ask_qty = record
        return Bbo(
            channel, kind, symbol, seq, event, recv, sent, real_ns, skipped,
            bid_text=bid, bid_qty_text=bid_qty, ask_text=ask, ask_qty_text=ask_qty,
        )  # fmt: skip
    if channel == "book":  # its levels go on as they are
        *values, part = record
        return made(dict(zip(_BOOK_VALUES, values, strict=True)) | {"ts_client": real_ns}, part)
    _, kind, symbol, seq, event, recv, sent, skipped, *values = record
    start, first, high, low, last, volume, trades, closed, revised, complete = values
    return Candle(
        CANDLE, kind, symbol, seq, event, recv, sent, real_ns, skipped,
        interval=CHANNELS[channel].interval, start=start, trades=trades,
        closed=closed, revised=revised, complete=complete,
        open_text=first, high_text=high, low_text=low, close_text=last, volume_text=volume,
    )  # fmt: skip
