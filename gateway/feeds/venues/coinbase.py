"""Coinbase Advanced Trade streams: `l2_data`, `market_trades` and `ticker`. Pure, but for counting.

Field names: Coinbase's "Advanced Trade WebSocket Channels" page. A message has events, and those
have trades, tickers or levels of one product or more. Times are RFC 3339 with nine digits;
`ts_event` of a quote is the message's `timestamp`, of a book the newest `event_time` in it.

`sequence_num` counts the messages of a connection, so a hole means that anything may be missing: of
trades their own numbers tell which, books are in doubt until their next snapshot. A message that
comes again, or late, brings no state.

`side` of a trade is the maker's: at the price of the best ask it says SELL. Trades come newest
first, and with a subscription's first message come a hundred old ones.
"""

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, Final, Literal, NamedTuple, TypeVar

import msgspec

from gateway.feeds.sequencing import Gap, Sequence
from gateway.feeds.venues.arrays import SLICE_BYTES, elements, in_pieces, sliced
from gateway.feeds.venues.message import (
    BookMessage,
    Decode,
    Decoded,
    Heartbeat,
    Instrument,
    Item,
    Level,
    Lost,
    Malformed,
    Message,
    Subscription,
)
from gateway.feeds.venues.number import Number, half, quoted
from gateway.feeds.venues.reference import Status, digits
from gateway.feeds.venues.times import of_text

T = TypeVar("T")

_NO_ELEMENTS: Final = msgspec.Raw(b"[]")


class _Envelope(msgspec.Struct, gc=False):
    channel: str = ""
    timestamp: str = ""
    number: Number | None = msgspec.field(name="sequence_num", default=None)
    events: msgspec.Raw = _NO_ELEMENTS
    type: str = ""


class _Trade(msgspec.Struct, gc=False):
    product_id: str
    trade_id: str
    price: str
    size: str
    time: str
    side: str


class _Trades(msgspec.Struct, gc=False):
    trades: list[_Trade] = []


class _Ticker(msgspec.Struct, gc=False):
    product_id: str
    best_bid: str | None = None
    best_bid_quantity: str | None = None
    best_ask: str | None = None
    best_ask_quantity: str | None = None


class _Tickers(msgspec.Struct, gc=False):
    tickers: list[_Ticker] = []


class _Level(msgspec.Struct, gc=False):
    side: str
    price_level: str
    new_quantity: str
    event_time: str = ""


class _Book(msgspec.Struct, gc=False):
    type: str
    product_id: str
    updates: msgspec.Raw = _NO_ELEMENTS


class _Heartbeat(msgspec.Struct, gc=False):
    number: int = msgspec.field(name="heartbeat_counter", default=-1)


class _Subscriptions(msgspec.Struct, gc=False):
    subscriptions: dict[str, list[str]] = {}


class _Sides(NamedTuple):
    """Levels by their side, and the times in them."""

    bids: list[Level]
    asks: list[Level]
    times: set[str]


_CHANNELS: Final = {"l2_data": "book", "market_trades": "trade", "ticker": "bbo"}
_SIDES: Final = {"SELL": "buy", "BUY": "sell"}
"""The maker's side → the taker's."""
_SKIPPED: Final = {
    **{"candles": "kline", "status": "product status", "ticker_batch": "ticker"},
    **{"user": "account", "futures_balance_summary": "account"},
}
OTHER: Final = "another kind of event"
ERROR: Final = "error reply"
_UPDATES: Final = b'"updates":['
NO_QUOTES: Final = "ticker without quotes"
LATE: Final = "late message"
DUPLICATE: Final = "duplicate message"
_DECIMALS: Final = {
    "trades": ("price", "size"),
    "tickers": ("best_bid", "best_bid_quantity", "best_ask", "best_ask_quantity"),
    "updates": ("price_level", "new_quantity"),
}

_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_trades = msgspec.json.Decoder(list[_Trades]).decode
_decode_tickers = msgspec.json.Decoder(list[_Tickers]).decode
_decode_books = msgspec.json.Decoder(list[_Book]).decode
_decode_levels = msgspec.json.Decoder(list[_Level]).decode
_decode_heartbeats = msgspec.json.Decoder(list[_Heartbeat]).decode
_decode_subscriptions = msgspec.json.Decoder(list[_Subscriptions]).decode
_decode_level = msgspec.json.Decoder(_Level).decode
_decode_members = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


def connect(address: str) -> Decode:
    """The decoder of one connection's messages."""
    return _Connection().decode


class _Connection:
    def __init__(self) -> None:
        self._numbers = Sequence("exact")
        self._lost: Lost | None = None  # to be told with the next good message

    def decode(self, payload: bytes) -> Decoded:
        try:
            if len(payload) > 2 * SLICE_BYTES and (cut := _without_levels(payload)):
                envelope, updates = cut
            else:
                envelope, updates = _decode_envelope(payload), None
            if not envelope.channel:
                if envelope.type == "error":
                    return ERROR
                raise ValueError("neither a channel's message nor an error")
            ts_ns = of_text(envelope.timestamp, "timestamp") if envelope.timestamp else 0
            if useless := self._count(envelope, ts_ns):
                return useless
            try:
                items = _items(envelope, ts_ns, updates)
            except ValueError:
                self._refused(envelope)
                raise
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        if self._lost is None:
            return items
        lost, self._lost = self._lost, None
        return [lost, *(items if isinstance(items, list) else [items])]

    def _count(self, envelope: _Envelope, ts_ns: int) -> str:
        """Why the message is of no use, by its number; "" where it is."""
        number = envelope.number
        if number is None:
            return ""
        outcome = self._numbers.observe(number, number, ts_ns)
        if outcome == "reset":
            self._lost = Lost(None, number)
        elif isinstance(outcome, Gap):
            self._lose(outcome.lost, number)
        if outcome == "late":
            return "" if envelope.channel == "market_trades" else LATE
        return DUPLICATE if outcome == "duplicate" else ""

    def _lose(self, count: int, number: int) -> None:
        """So many messages more are missing before this number."""
        before = self._lost.messages if self._lost else 0
        self._lost = Lost(None if before is None else before + count, number)

    def _refused(self, envelope: _Envelope) -> None:
        """A message of several books is missing in each, and its refusal names but the first."""
        several = bytes(envelope.events).count(b'"product_id"') > 1
        if several and envelope.channel == "l2_data" and envelope.number is not None:
            self._lose(1, envelope.number + 1)


def _without_levels(payload: bytes) -> tuple[_Envelope, list[_Sides]] | None:
    """A long book message without its levels, and those; None where it is no such.

    It is cut where a message of one event has them; of any other the pieces are ill-formed.
    """
    start = payload.find(_UPDATES, 0, SLICE_BYTES) + len(_UPDATES) - 1
    end = payload.rfind(b"]", 0, max(payload.rfind(b"]"), 0)) + 1
    if start < len(_UPDATES) or end <= start:
        return None
    try:
        envelope = _decode_envelope(payload[:start] + b"[]" + payload[end:])
        return envelope, sliced(payload[start:end], _sides, b"},{")
    except (ValueError, RecursionError):
        return None


def _items(envelope: _Envelope, ts_ns: int, updates: list[_Sides] | None) -> Decoded:
    channel, events = envelope.channel, envelope.events
    if channel == "l2_data":
        return _books(events, envelope.number, updates)
    if channel == "market_trades":
        trades = _told(events, _decode_trades, "trades")
        records = [_trade(one) for event in trades for one in event.trades]
        records.sort(key=lambda record: record.first)  # the newest comes first
        return [*records]
    if channel == "ticker":
        tickers = _told(events, _decode_tickers, "tickers")
        return [_ticker(one, ts_ns) for event in tickers for one in event.tickers]
    if channel == "heartbeats":
        return [Heartbeat(one.number) for one in _decode_heartbeats(events)]
    if channel == "subscriptions":
        return [
            Subscription(name, tuple(symbols), active=True)
            for event in _decode_subscriptions(events)
            for name, symbols in event.subscriptions.items()
        ]
    return _SKIPPED.get(channel, OTHER)


def _told(events: msgspec.Raw, decode: Callable[[bytes], list[T]], word: str) -> list[T]:
    """The events; decimals that are numbers in their `word` are taken by their digits."""
    try:
        return decode(events)
    except msgspec.ValidationError:
        found = _decode_members(events)
        for event in found:
            rows = [
                msgspec.Raw(quoted(row, _DECIMALS[word]))
                for row in elements(event.get(word, b"[]"))
            ]
            event[word] = msgspec.Raw(msgspec.json.encode(rows))
        return decode(msgspec.json.encode(found))


def _trade(trade: _Trade) -> Message:
    side = _SIDES.get(trade.side)
    if side is None:
        raise ValueError("neither BUY nor SELL - at `$.side`")
    if not trade.trade_id.isascii() or not trade.trade_id.isdecimal() or len(trade.trade_id) > 18:
        raise ValueError("no number of a trade - at `$.trade_id`")
    number = int(trade.trade_id)
    fields = (of_text(trade.time, "time"), trade.price, trade.size, side, trade.trade_id)
    return Message("trade", trade.product_id, number, number, "exact", fields)


def _ticker(ticker: _Ticker, ts_ns: int) -> Message | str:
    if ticker.best_bid is ticker.best_ask is None:
        return NO_QUOTES
    bid = half(ticker.best_bid, ticker.best_bid_quantity)
    ask = half(ticker.best_ask, ticker.best_ask_quantity)
    return Message("bbo", ticker.product_id, -1, -1, "none", (ts_ns, *bid, *ask))


def _books(events: msgspec.Raw, number: int | None, updates: list[_Sides] | None) -> list[Item]:
    found: list[Item] = []
    for event in _decode_books(events):
        try:
            sides = updates or sliced(event.updates, _sides, b"},{")
        except msgspec.ValidationError:
            rows = [_level(raw, at) for at, raw in enumerate(elements(event.updates))]
            sides = [_sorted(rows)]
        found.append(_book(event, sides, number))
    return found


def _level(raw: msgspec.Raw, at: int) -> _Level:
    try:
        return _decode_level(quoted(raw, _DECIMALS["updates"]))
    except msgspec.DecodeError as error:
        raise Malformed(str(error), f"updates[{at}]", bytes(raw)) from None


def _sides(array: bytes) -> list[_Sides]:
    """Of a slice of the levels. They are taken apart here, since to free all of a whole book at
    once takes the interpreter as long as to decode them.
    """
    return [_sorted(_decode_levels(array))]


def _sorted(rows: list[_Level]) -> _Sides:
    sides = _Sides([], [], set())
    for row in rows:
        if row.side == "bid":
            sides.bids.append((row.price_level, row.new_quantity))
        elif row.side in ("offer", "ask"):
            sides.asks.append((row.price_level, row.new_quantity))
        else:
            raise Malformed("neither bid nor offer", "updates.side", row.side)
        sides.times.add(row.event_time)
    return sides


def _book(event: _Book, sides: list[_Sides], number: int | None) -> BookMessage:
    if event.type not in ("snapshot", "update"):
        raise ValueError("neither a snapshot nor an update - at `$.type`")
    kind: Literal["snapshot", "update"] = "snapshot" if event.type == "snapshot" else "update"
    bids: list[Level] = []
    asks: list[Level] = []
    times: set[str] = set()
    for each in sides:
        bids += each.bids
        asks += each.asks
        times |= each.times
    # Fractions have no zeros at their end: without the zone the texts are in the order of time.
    newest = max(times, key=lambda time: time.rstrip("Z"), default="")
    ts_event = of_text(newest, "updates") if newest else 0
    return BookMessage(event.product_id, kind, bids, asks, ts_event, last=number)


def identify(message: Any) -> tuple[str, str, Mapping[str, Any]]:
    """Channel, symbol and members of a message that may be none of ours; "" where they are not."""
    envelope = message if isinstance(message, dict) else {}
    channel = envelope.get("channel")
    members: dict[str, Any] = dict(envelope)
    symbol: Any = ""
    # Down to the first product: an event, and its first trade, ticker or level.
    for word in ("events", "trades", "tickers", "updates"):
        inner = members.get(word)
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            members |= inner[0]
            symbol = members.get("product_id", symbol)
    kind = _CHANNELS.get(channel, "") if isinstance(channel, str) else ""
    return kind, symbol if isinstance(symbol, str) else "", members


class _Product(msgspec.Struct, gc=False):
    product_id: str
    base: str = msgspec.field(name="base_currency_id", default="")
    quote: str = msgspec.field(name="quote_currency_id", default="")
    lot: str = msgspec.field(name="base_increment", default="")
    quote_step: str = msgspec.field(name="quote_increment", default="")
    tick: str = msgspec.field(name="price_increment", default="")
    status: str = ""
    trading_disabled: bool = False
    auction_mode: bool = False


class _Products(msgspec.Struct, gc=False):
    products: list[_Product]


_decode_products = msgspec.json.Decoder(_Products).decode
_decode_some = msgspec.json.Decoder(list[_Product]).decode


def instruments(payload: bytes) -> list[Instrument]:
    """The products of `products`. ValueError: it is none."""
    pieces, last = in_pieces(payload, "products", _decode_products, _decode_some)
    found = []
    for one in chain(*pieces, last.products):
        tick = one.tick or one.quote_step
        state: Status = "trading" if one.status in ("", "online") else "delisted"
        if one.auction_mode:
            state = "auction"
        elif one.trading_disabled:
            state = "halted"
        places = digits(tick), digits(one.lot)
        found.append(Instrument(one.product_id, one.base, one.quote, tick, one.lot, *places, state))
    return found
