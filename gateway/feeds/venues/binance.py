"""Binance combined streams, spot and USD-M futures: `trade` and `bookTicker`. Pure.

Field names: Binance's "Spot WebSocket Streams" and "USDⓈ-M Futures WebSocket Market Streams" pages.
Times are milliseconds. `ts_event` is `T`, when the matching engine traded or changed the book; `E`,
when the message was made, comes later by an unknown delay. A spot bookTicker bears no time at all.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, field

from gateway.feeds.venues.message import Message
from gateway.feeds.venues.number import quoted

T = TypeVar("T")

Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Milliseconds = Annotated[int, Meta(ge=0, le=(2**63 - 1) // 1_000_000)]


class _Envelope(msgspec.Struct, gc=False):
    """A combined stream's wrapper; a REST depth snapshot stands bare among them in captures."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    last_update_id: int | None = field(name="lastUpdateId", default=None)


class _Trade(msgspec.Struct, gc=False):
    symbol: str = field(name="s")
    number: Number = field(name="t")
    price: str = field(name="p")
    qty: str = field(name="q")
    time_ms: Milliseconds = field(name="T")
    buyer_is_maker: bool = field(name="m")


class _BookTicker(msgspec.Struct, gc=False):
    symbol: str = field(name="s")
    update: Number = field(name="u")
    bid: str | None = field(name="b", default=None)
    bid_qty: str | None = field(name="B", default=None)
    ask: str | None = field(name="a", default=None)
    ask_qty: str | None = field(name="A", default=None)
    time_ms: Milliseconds = field(name="T", default=0)


_CHANNELS: Final = {"trade": "trade", "bookTicker": "bbo"}
"""Of the kinds of message that are records."""

_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_trade = msgspec.json.Decoder(_Trade).decode
_decode_book_ticker = msgspec.json.Decoder(_BookTicker).decode


def decode(payload: bytes) -> Message | None:
    """One message. None where it is well-formed but no record that we publish (depth, snapshots).

    Raises:
        ValueError: it is no JSON, nor of these shapes.
    """
    try:
        envelope = _decode_envelope(payload)
        kind = envelope.stream.partition("@")[2]
        if kind == "trade":
            return _trade(_decode(_decode_trade, envelope.data, "pq"))
        if kind == "bookTicker":
            return _book_ticker(_decode(_decode_book_ticker, envelope.data, "bBaA"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not kind and envelope.last_update_id is None:
        raise ValueError("neither a stream's message nor a depth snapshot")
    return None


def _decode(decoder: Callable[[msgspec.Raw | bytes], T], data: msgspec.Raw, decimals: str) -> T:
    """Binance sends texts; stand-ins and copies that were written anew may have numbers."""
    try:
        return decoder(data)
    except msgspec.ValidationError:
        return decoder(quoted(data, decimals))


def _trade(trade: _Trade) -> Message:
    # The taker is the other side of the maker: where the buyer made the price, the taker sold.
    side = "sell" if trade.buyer_is_maker else "buy"
    fields = (trade.time_ms * 1_000_000, trade.price, trade.qty, side, str(trade.number))
    return Message("trade", trade.symbol, trade.number, True, fields)


def _book_ticker(quote: _BookTicker) -> Message:
    bid, ask = _side(quote.bid, quote.bid_qty), _side(quote.ask, quote.ask_qty)
    return Message(
        "bbo", quote.symbol, quote.update, False, (quote.time_ms * 1_000_000, *bid, *ask)
    )


def _side(price: str | None, qty: str | None) -> tuple[str | None, str | None]:
    """Nothing at the price of nothing is how Binance says that a side is empty."""
    return (None, None) if _zero(price) and _zero(qty) else (price, qty)


def _zero(text: str | None) -> bool:
    return text is not None and text[:1] == "0" and not text.strip("0.")


def identify(message: Any) -> tuple[str, str, Mapping[str, Any]]:
    """Channel, symbol and members of a message that may be none of ours; "" where they are not."""
    envelope = message if isinstance(message, dict) else {}
    data, stream = envelope.get("data", envelope), envelope.get("stream", "")
    members = data if isinstance(data, dict) else {}
    kind = stream.partition("@")[2] if isinstance(stream, str) else ""
    symbol = members.get("s")
    return _CHANNELS.get(kind, ""), symbol if isinstance(symbol, str) else "", members
