"""Kraken's WebSocket API v1: `book`, `trade` and `ticker`. Pure.

Field names: Kraken's "WebSockets API v1" pages. A message of the market is an array: number, one or
two payloads, name of the channel, pair; everything else is an object with an `event`. Times are
texts of seconds.

A book's messages have no numbers. Each update bears a CRC32 of the best ten levels a side that the
book has behind it, which the book itself checks (native/gw_book_sum.h). The book is as deep as
was asked for (the channel is called book-1000): what an update pushes beyond that is not told, and
leaves the book.
Trades have neither numbers nor ids; the side is the taker's.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any, Final

import msgspec
from msgspec import field

from gateway.feeds.venues.arrays import depth_of, elements, in_pieces, rows, text
from gateway.feeds.venues.message import (
    BookMessage,
    Decoded,
    Heartbeat,
    Instrument,
    Level,
    Malformed,
    Message,
    Subscription,
)
from gateway.feeds.venues.reference import Status, digits, step
from gateway.feeds.venues.times import of_text

LEVEL_VALUES_MAX: Final = 4
"""Price, quantity, time, and "r" where a level comes again that had left the book."""

TRADE_VALUES_MAX: Final = 8
"""Price, volume, time, side, type of the order and something else; room for more to come."""

_ABSENT: Final = msgspec.Raw()
_NO_LEVELS: Final = msgspec.Raw(b"[]")


class _Event(msgspec.Struct, gc=False):
    event: str = ""
    pair: str = ""
    status: str = ""
    channel: str = field(name="channelName", default="")
    error: str = field(name="errorMessage", default="")


class _Levels(msgspec.Struct, gc=False):
    bids_all: msgspec.Raw = field(name="bs", default=_ABSENT)
    asks_all: msgspec.Raw = field(name="as", default=_ABSENT)
    bids: msgspec.Raw = field(name="b", default=_NO_LEVELS)
    asks: msgspec.Raw = field(name="a", default=_NO_LEVELS)
    checksum: str | int | None = field(name="c", default=None)


class _Ticker(msgspec.Struct, gc=False):
    bid: tuple[msgspec.Raw, msgspec.Raw, msgspec.Raw] = field(name="b")
    ask: tuple[msgspec.Raw, msgspec.Raw, msgspec.Raw] = field(name="a")


_CHANNELS: Final = {"book": "book", "trade": "trade", "ticker": "bbo"}
_SKIPPED: Final = {"ohlc": "kline", "spread": "spread"}
_SIDES: Final = {"b": "buy", "s": "sell"}
_CONTROL: Final = "control"
_OTHER: Final = "another kind of event"
_ERROR: Final = "error reply"

_decode_event = msgspec.json.Decoder(_Event).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_levels = msgspec.json.Decoder(_Levels).decode
_decode_ticker = msgspec.json.Decoder(_Ticker).decode


def decode(payload: bytes) -> Decoded:
    """What a message is; a text where there is nothing to publish. ValueError: it is none."""
    try:
        if payload[:1] == b"[":
            return _market(elements(payload))
        return _event(_decode_event(payload))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _event(event: _Event) -> Decoded:
    if event.event == "heartbeat" or event.event == "pong":
        return Heartbeat()
    if event.event == "subscriptionStatus":
        active = event.status == "subscribed"
        symbols = (event.pair,) if event.pair else ()
        return Subscription(event.channel, symbols, active, event.error)
    if event.event == "systemStatus":
        return _CONTROL
    if event.event == "error" or event.error:
        return _ERROR
    if event.event:
        return _OTHER
    raise ValueError("an object that is no event")


def _market(parts: list[msgspec.Raw]) -> Decoded:
    if not 4 <= len(parts) <= 5:
        raise ValueError(f"an array of {len(parts)}; a channel's message has 4 or 5")
    *payloads, named, pair = parts[1:]
    name, symbol = _decode_text(named), _decode_text(pair)
    kind, _, depth = name.partition("-")
    if kind == "book":
        return _book(payloads, symbol, depth)
    if kind == "trade":
        return [
            _trade(row, symbol) for one in payloads for row in rows(one, "data", TRADE_VALUES_MAX)
        ]
    if kind == "ticker":
        return _ticker(payloads[0], symbol)
    return _SKIPPED.get(kind, _OTHER)


def _book(payloads: list[msgspec.Raw], symbol: str, depth: str) -> BookMessage:
    parts = [_decode_levels(one) for one in payloads]
    whole = any(one.bids_all is not _ABSENT or one.asks_all is not _ABSENT for one in parts)
    bids: list[Level] = []
    asks: list[Level] = []
    for one in parts:
        if whole:
            bids += _levels(one.bids_all, "bs")
            asks += _levels(one.asks_all, "as")
        else:
            bids += _levels(one.bids, "b")
            asks += _levels(one.asks, "a")
    newest = max((level[2] for level in (*bids, *asks) if len(level) > 2), default="")
    checksums = [_crc(one.checksum) for one in parts if one.checksum is not None]
    return BookMessage(
        symbol,
        "snapshot" if whole else "update",
        [level[:2] for level in bids],
        [level[:2] for level in asks],
        of_text(newest, "b") if newest else 0,
        checksum=checksums[-1] if checksums else None,
        depth=depth_of(depth),
    )


def _levels(array: msgspec.Raw, name: str) -> list[Level]:
    return [] if array is _ABSENT else rows(array, name, LEVEL_VALUES_MAX)


def _crc(value: str | int) -> int:
    number = int(value) if isinstance(value, int) or (value.isdecimal() and len(value) < 20) else -1
    if not 0 <= number < 2**32:
        raise Malformed("no CRC32", "c", value)
    return number


def _trade(row: Level, symbol: str) -> Message:
    if len(row) < 4:
        raise Malformed(f"{len(row)} values; a trade has 4 or more", "data", row)
    side = _SIDES.get(row[3])
    if side is None:
        raise Malformed('neither "b" nor "s"', "data", row[3])
    fields = (of_text(row[2], "data"), row[0], row[1], side, "")
    return Message("trade", symbol, -1, -1, "none", fields)


def _ticker(payload: msgspec.Raw, symbol: str) -> Message:
    ticker = _decode_ticker(payload)
    # The second value is the quantity cut to whole units.
    bid = _side(text(ticker.bid[0], "b"), text(ticker.bid[2], "b"))
    ask = _side(text(ticker.ask[0], "a"), text(ticker.ask[2], "a"))
    return Message("bbo", symbol, -1, -1, "none", (0, *bid, *ask))


def _side(price: str, qty: str) -> tuple[str | None, str | None]:
    """Nothing at the price of nothing is an empty side."""
    return (price, qty) if price.strip("0.") or qty.strip("0.") else (None, None)


def identify(message: Any) -> tuple[str, str, Mapping[str, Any]]:
    """Channel, symbol and members of a message that may be none of ours; "" where they are not."""
    if not isinstance(message, list) or len(message) < 4:
        return "", "", message if isinstance(message, dict) else {}
    name, pair = message[-2:]
    members: dict[str, Any] = {"data": message[1]}
    for one in message[1:-2]:
        if isinstance(one, dict):
            members |= one
    kind = name.partition("-")[0] if isinstance(name, str) else ""
    return _CHANNELS.get(kind, ""), pair if isinstance(pair, str) else "", members


class _Pair(msgspec.Struct, gc=False):
    name: str = field(name="wsname", default="")
    price_digits: int = field(name="pair_decimals", default=-1)
    qty_digits: int = field(name="lot_decimals", default=-1)
    tick: str = field(name="tick_size", default="")
    status: str = "online"


class _Pairs(msgspec.Struct, gc=False):
    result: dict[str, _Pair]


_decode_pairs = msgspec.json.Decoder(_Pairs).decode
_decode_some = msgspec.json.Decoder(dict[str, _Pair]).decode
_STATES: Final[dict[str, Status]] = {"online": "trading", "delisted": "delisted"}


def instruments(payload: bytes) -> list[Instrument]:
    """The pairs of `AssetPairs` that have a name in the streams. ValueError: it is none."""
    found = []
    pieces, last = in_pieces(payload, "result", _decode_pairs, _decode_some)
    for own, one in chain(*(piece.items() for piece in pieces), last.result.items()):
        if one.name:
            base, _, quote = one.name.partition("/")
            tick, lot = one.tick or step(one.price_digits), step(one.qty_digits)
            state = _STATES.get(one.status, "halted")
            places = digits(tick), digits(lot)
            found.append(Instrument(one.name, base, quote, tick, lot, *places, state, own))
    return found
