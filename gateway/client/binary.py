"""Binary data frames as what a session takes: the same ticks and messages as the JSON has.

Imported where the encoding is asked for, since it needs the native core, and JSON does not.
"""

from typing import Any, Final, TypeAlias

import msgspec

from gateway.client.book import Book
from gateway.client.books import frame_of, made
from gateway.client.ticks import Bbo, Candle, InstrumentData, Status, Trade
from gateway.codec.decode import (
    BboMessage,
    BookMessage,
    CandleMessage,
    InstrumentMessage,
    StatusMessage,
    TradeMessage,
)
from gateway.codec.sbe import Decoder
from gateway.model.record import BOOK

State: TypeAlias = Candle | InstrumentData | Status
Found: TypeAlias = Trade | Bbo | Book | State | dict[str, Any]

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
        if record is not None and record[0] == "book":
            return [_book(record, real_ns)]
        found: list[Found] = []
        for message in self._decoder.messages(record, frame):
            # What comes most comes first; by its very type, which costs a third of isinstance.
            if type(message) is TradeMessage:
                (trade,) = message.data
                found.append(
                    Trade(
                        channel="trade",
                        type=message.type,
                        symbol=message.symbol,
                        seq=message.seq,
                        ts_event=message.ts_event,
                        ts_recv=message.ts_recv,
                        ts_send=message.ts_send,
                        ts_client=real_ns,
                        skipped=message.skipped,
                        id=trade.id,
                        side=trade.side,
                        price_text=trade.price,
                        qty_text=trade.qty,
                    )
                )
            elif type(message) is BboMessage:
                (quote,) = message.data
                found.append(
                    Bbo(
                        channel="bbo",
                        type=message.type,
                        symbol=message.symbol,
                        seq=message.seq,
                        ts_event=message.ts_event,
                        ts_recv=message.ts_recv,
                        ts_send=message.ts_send,
                        ts_client=real_ns,
                        skipped=message.skipped,
                        bid_text=quote.bid,
                        bid_qty_text=quote.bid_qty,
                        ask_text=quote.ask,
                        ask_qty_text=quote.ask_qty,
                    )
                )
            elif isinstance(message, dict):
                found.append(message)
            elif isinstance(message, BookMessage):
                found.append(_slow_book(message, real_ns))
            else:
                assert isinstance(message, CandleMessage | InstrumentMessage | StatusMessage)
                found.append(_state(message, real_ns))
        return found


def _book(record: tuple[Any, ...], real_ns: int) -> Book:
    """Of a frame that the native core has read: its levels go on as they are."""
    *values, part = record
    return made(dict(zip(_BOOK_VALUES, values, strict=True)) | {"ts_client": real_ns}, part)


def _slow_book(message: BookMessage, real_ns: int) -> Book:
    """Of a frame that has more than the book."""
    (data,) = message.data
    head = _head(message, real_ns) | {"channel": BOOK}
    return frame_of(head, msgspec.to_builtins(data), message.part)


def _state(message: CandleMessage | InstrumentMessage | StatusMessage, real_ns: int) -> State:
    """Of channels that tell little: `read` makes each tick in one call, which is faster."""
    head = _head(message, real_ns)
    if isinstance(message, StatusMessage):
        (said,) = message.data
        return Status(channel="status", **head, status=said.status, reason=said.reason)
    if isinstance(message, InstrumentMessage):
        (one,) = message.data
        return InstrumentData(
            channel="instrument",
            **head,
            tick_text=one.tick,
            lot_text=one.lot,
            price_digits=one.price_digits,
            qty_digits=one.qty_digits,
            base=one.base,
            quote=one.quote,
            bbo=one.bbo,
            delay_s=one.delay_s,
            status=one.status,
            venue_symbol=one.venue_symbol,
        )
    (candle,) = message.data
    return Candle(
        channel="candle",
        **head,
        interval=candle.interval,
        start=candle.start,
        trades=candle.trades,
        closed=candle.closed,
        revised=candle.revised,
        complete=candle.complete,
        open_text=candle.open,
        high_text=candle.high,
        low_text=candle.low,
        close_text=candle.close,
        volume_text=candle.volume,
    )


def _head(
    message: BookMessage | CandleMessage | InstrumentMessage | StatusMessage, real_ns: int
) -> dict[str, Any]:
    """What each tick has, but for its channel."""
    return {
        "type": message.type,
        "symbol": message.symbol,
        "seq": message.seq,
        "ts_event": message.ts_event,
        "ts_recv": message.ts_recv,
        "ts_send": message.ts_send,
        "ts_client": real_ns,
        "skipped": message.skipped,
    }
