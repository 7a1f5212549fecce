"""Kraken's WebSocket API v2: `book`, `trade`, `ticker`, `instrument`. Pure.

Field names: Kraken's "WebSocket API v2" pages. A message of the market has `channel`, `type` and a
list `data`, a reply `method` and `success`. Prices and quantities are JSON numbers, taken by their
digits and written with the pair's: a CRC32 is of texts with all of these. So they come first, by
the channel `instrument` or with the list of pairs; of a pair whose digits are not known the numbers
stay as they came, and no checksum is compared.

A book has no numbers. Each message bears a CRC32 of its best ten levels a side, which the book
itself checks (native/gw_book_sum.h). It is as deep as was asked for, which the reply tells; what an
update pushes beyond that is not told, and leaves the book. Trades have numbers of their pair.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.feeds.venues import kraken
from gateway.feeds.venues.arrays import text
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
from gateway.feeds.venues.number import Number
from gateway.feeds.venues.reference import Status, step
from gateway.feeds.venues.times import of_text

DEPTHS: Final = (10, 25, 100, 500, 1000)
PAIRS_MAX: Final = 16_384
_ABSENT: Final = msgspec.Raw()


class _Envelope(msgspec.Struct, gc=False):
    channel: str = ""
    type: str = ""
    data: msgspec.Raw = _ABSENT
    method: str = ""
    success: bool = True
    error: str = ""
    symbol: str = ""
    result: msgspec.Raw = _ABSENT


class _Level(msgspec.Struct, gc=False):
    price: msgspec.Raw
    qty: msgspec.Raw


class _Book(msgspec.Struct, gc=False):
    symbol: str
    bids: list[_Level] = []
    asks: list[_Level] = []
    checksum: Number | None = None
    timestamp: str = ""


class _Trade(msgspec.Struct, gc=False):
    symbol: str
    side: str
    price: msgspec.Raw
    qty: msgspec.Raw
    trade_id: Number
    timestamp: str


class _Ticker(msgspec.Struct, gc=False):
    symbol: str
    bid: msgspec.Raw
    bid_qty: msgspec.Raw
    ask: msgspec.Raw
    ask_qty: msgspec.Raw
    timestamp: str = ""


class _Pair(msgspec.Struct, gc=False):
    symbol: str
    base: str = ""
    quote: str = ""
    status: str = ""
    price_precision: int = -1
    qty_precision: int = -1
    price_increment: msgspec.Raw = msgspec.Raw(b'""')
    qty_increment: msgspec.Raw = msgspec.Raw(b'""')


class _Pairs(msgspec.Struct, gc=False):
    pairs: list[_Pair] = []


class _Asked(msgspec.Struct, gc=False):
    channel: str = ""
    symbol: str = ""
    depth: int = 0


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_books = msgspec.json.Decoder(list[_Book]).decode
_decode_trades = msgspec.json.Decoder(list[_Trade]).decode
_decode_tickers = msgspec.json.Decoder(list[_Ticker]).decode
_decode_pairs = msgspec.json.Decoder(_Pairs).decode
_decode_asked = msgspec.json.Decoder(_Asked).decode

_CHANNELS: Final = {"book": "book", "trade": "trade", "ticker": "bbo"}
_SKIPPED: Final = {"ohlc": "kline", "status": "control"}
_STATES: Final[dict[str, Status]] = {
    "online": "trading",
    "delisted": "delisted",
    "work_in_progress": "closed",
}
_NAMES: Final = {"XBT": "BTC", "XDG": "DOGE"}
_ERROR: Final = "error reply"
_OTHER: Final = "another kind of event"
_DIGITS_MAX: Final = 18


class Digits(dict[str, tuple[int, int]]):
    """Pair → digits behind the point of its prices and quantities; within bounds."""

    def learn(self, symbol: str, price: int, qty: int) -> None:
        """A pair's; where they are others than before, its checksum will show that it is to be had
        anew."""
        good = 0 <= price <= _DIGITS_MAX and 0 <= qty <= _DIGITS_MAX
        if good and (symbol in self or len(self) < PAIRS_MAX):
            self[symbol] = price, qty


class Connection:
    """The decoder of one connection's messages, in their order.

    Args:
        known: digits of pairs, shared with whoever learns them elsewhere.
    """

    def __init__(self, known: Digits | None = None) -> None:
        self._digits = Digits() if known is None else known
        self._depths: dict[str, int] = {}

    def decode(self, payload: bytes) -> Decoded:
        """What a message is; a text where there is nothing to publish. ValueError: it is none."""
        try:
            envelope = _decode_envelope(payload)
            if envelope.method:
                return self._reply(envelope)
            return self._market(envelope)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    def _reply(self, envelope: _Envelope) -> Decoded:
        if envelope.method == "pong":
            return Heartbeat()
        if not envelope.success:
            return _ERROR
        if envelope.method not in ("subscribe", "unsubscribe") or envelope.result is _ABSENT:
            return _OTHER
        asked = _decode_asked(envelope.result)
        if asked.channel == "book" and asked.symbol and len(self._depths) < PAIRS_MAX:
            self._depths[asked.symbol] = asked.depth
        symbols = (asked.symbol,) if asked.symbol else ()
        return Subscription(asked.channel, symbols, envelope.method == "subscribe")

    def _market(self, envelope: _Envelope) -> Decoded:
        channel, data = envelope.channel, envelope.data
        if channel == "book":
            return [self._book(one, envelope.type) for one in _decode_books(data)]
        if channel == "trade":
            return [self._trade(one) for one in _decode_trades(data)]
        if channel == "ticker":
            return [self._ticker(one) for one in _decode_tickers(data)]
        if channel == "heartbeat":
            return Heartbeat()
        if channel == "instrument":
            return [self._pair(one) for one in _decode_pairs(data).pairs] or _OTHER
        if not channel:
            raise ValueError("neither a channel's message nor a reply")
        return _SKIPPED.get(channel, _OTHER)

    def _book(self, book: _Book, kind: str) -> BookMessage:
        if kind not in ("snapshot", "update"):
            raise Malformed("neither a snapshot nor an update", "type", kind)
        symbol, known = book.symbol, self._digits.get(book.symbol)
        bids = [self._level(one, known, "bids") for one in book.bids]
        asks = [self._level(one, known, "asks") for one in book.asks]
        if symbol not in self._depths and kind == "snapshot" and len(self._depths) < PAIRS_MAX:
            size = max(len(bids), len(asks))
            self._depths[symbol] = next((one for one in DEPTHS if one >= size), 0)
        return BookMessage(
            symbol,
            "snapshot" if kind == "snapshot" else "update",
            bids,
            asks,
            of_text(book.timestamp, "timestamp") if book.timestamp else 0,
            checksum=None if known is None else book.checksum,
            depth=self._depths.get(symbol, 0),
        )

    def _level(self, level: _Level, known: tuple[int, int] | None, name: str) -> Level:
        price, qty = text(level.price, name), text(level.qty, name)
        return (price, qty) if known is None else (_padded(price, known[0]), _padded(qty, known[1]))

    def _trade(self, trade: _Trade) -> Message:
        if trade.side not in ("buy", "sell"):
            raise Malformed('neither "buy" nor "sell"', "side", trade.side)
        price, qty = self._written(trade.symbol, trade.price, trade.qty, "price")
        number = trade.trade_id
        at_ns = of_text(trade.timestamp, "timestamp")
        fields = (at_ns, price, qty, trade.side, str(number))
        return Message("trade", trade.symbol, number, number, "exact", fields)

    def _ticker(self, ticker: _Ticker) -> Message:
        bid = _half(*self._written(ticker.symbol, ticker.bid, ticker.bid_qty, "bid"))
        ask = _half(*self._written(ticker.symbol, ticker.ask, ticker.ask_qty, "ask"))
        at_ns = of_text(ticker.timestamp, "timestamp") if ticker.timestamp else 0
        return Message("bbo", ticker.symbol, -1, -1, "none", (at_ns, *bid, *ask))

    def _written(
        self, symbol: str, price: msgspec.Raw, qty: msgspec.Raw, name: str
    ) -> tuple[str, str]:
        known = self._digits.get(symbol)
        texts = text(price, name), text(qty, f"{name}_qty")
        return (
            texts if known is None else (_padded(texts[0], known[0]), _padded(texts[1], known[1]))
        )

    def _pair(self, pair: _Pair) -> Instrument:
        self._digits.learn(pair.symbol, pair.price_precision, pair.qty_precision)
        price, qty = pair.price_precision, pair.qty_precision
        tick, lot = _step(pair.price_increment, price), _step(pair.qty_increment, qty)
        state = _STATES.get(pair.status, "halted")
        return Instrument(pair.symbol, pair.base, pair.quote, tick, lot, price, qty, state)


def _step(increment: msgspec.Raw, places: int) -> str:
    """A smallest step, which as a number may have an exponent."""
    found = text(increment, "increment")
    return step(places) if "e" in found or "E" in found else found


def instruments(payload: bytes) -> list[Instrument]:
    """The pairs of `AssetPairs`, which has names of v1, by those of v2. ValueError: it is none."""
    found = []
    for one in kraken.instruments(payload):
        base, quote = _NAMES.get(one.base, one.base), _NAMES.get(one.quote, one.quote)
        found.append(one._replace(symbol=f"{base}/{quote}", base=base, quote=quote))
    return found


def _padded(number: str, places: int) -> str:
    """The number with so many digits behind the point, where it has fewer; never cut."""
    whole, _, fraction = number.partition(".")
    if len(fraction) >= places or "e" in number or "E" in number:
        return number
    return f"{whole}.{fraction}{'0' * (places - len(fraction))}"


def _half(price: str, qty: str) -> tuple[str | None, str | None]:
    """Nothing at the price of nothing is an empty side."""
    return (price, qty) if price.strip("0.") or qty.strip("0.") else (None, None)


def identify(message: Any) -> tuple[str, str, Mapping[str, Any]]:
    """Channel, symbol and members of a message that may be none of ours; "" where they are not."""
    envelope = message if isinstance(message, dict) else {}
    data = envelope.get("data")
    members = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
    channel, symbol = envelope.get("channel"), members.get("symbol")
    return (
        _CHANNELS.get(channel, "") if isinstance(channel, str) else "",
        symbol if isinstance(symbol, str) else "",
        members,
    )
