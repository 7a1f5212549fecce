"""Bybit v5 public streams: `orderbook`, `publicTrade` and `tickers`. Pure, but for each ticker.

Field names: Bybit's "V5 API" pages, "Websocket Stream", "Public". A topic is a kind, for a book its
depth, and a symbol. `ts_event` is `cts`, when the matching engine did it; `ts`, when the message
was made, where there is no `cts`.

The updates `u` of a book are counted by one; a snapshot comes first, and again with `u` 1 when the
venue's service began anew. A ticker's `delta` has only what changed, so that the best prices of the
ones before are kept; spot's tickers have no prices to quote. Trades have no number that could be
checked: ids of derivatives are random, and `seq` is that of the taker's order, which many share.

One symbol may be of two markets, each with addresses of its own: BTCUSDT is a perpetual and a pair
of spot. Where the address is known, symbols of spot end in SPOT_SUFFIX, so that two markets never
make one instrument.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import field

from gateway.feeds.venues.arrays import depth_of, elements, in_pieces, levels
from gateway.feeds.venues.message import (
    BookMessage,
    Decode,
    Decoded,
    Heartbeat,
    Instrument,
    Message,
    Subscription,
)
from gateway.feeds.venues.number import Number, half, quoted
from gateway.feeds.venues.reference import Status, by_suffix, digits
from gateway.feeds.venues.times import of_number

SPOT_SUFFIX: Final = "-SPOT"
TICKERS_MAX: Final = 4096
"""Symbols of one connection whose best prices are kept; of those beyond it no quotes are read."""

_NO_LEVELS: Final = msgspec.Raw(b"[]")
_ABSENT: Final = msgspec.Raw()


class _Envelope(msgspec.Struct, gc=False):
    topic: str = ""
    type: str = ""
    data: msgspec.Raw = _ABSENT
    ts: Number = 0
    cts: Number = 0
    cs: Number | None = None
    op: str = ""
    success: bool | None = None
    ret_msg: str = ""


class _Book(msgspec.Struct, gc=False):
    symbol: str = field(name="s")
    update: Number = field(name="u")
    bids: msgspec.Raw = field(name="b", default=_NO_LEVELS)
    asks: msgspec.Raw = field(name="a", default=_NO_LEVELS)


class _Trade(msgspec.Struct, gc=False):
    symbol: str = field(name="s")
    side: str = field(name="S")
    price: str = field(name="p")
    qty: str = field(name="v")
    time: Number = field(name="T")
    id: str = field(name="i", default="")


class _Ticker(msgspec.Struct, gc=False):
    symbol: str
    bid: str | None = field(name="bid1Price", default=None)
    bid_qty: str | None = field(name="bid1Size", default=None)
    ask: str | None = field(name="ask1Price", default=None)
    ask_qty: str | None = field(name="ask1Size", default=None)


_CHANNELS: Final = {"orderbook": "book", "publicTrade": "trade", "tickers": "bbo"}
_SIDES: Final = {"Buy": "buy", "Sell": "sell"}
_SKIPPED: Final = {
    **{"kline": "kline", "kline_lt": "kline", "tickers_lt": "ticker", "lt": "leveraged token"},
    **dict.fromkeys(("liquidation", "allLiquidation"), "liquidation"),
    **{"priceLimit": "price limit", "insurance": "insurance fund", "adlAlert": "control"},
}
OTHER: Final = "another kind of event"
ERROR: Final = "error reply"
NO_QUOTES: Final = "ticker without quotes"
LATE: Final = "late ticker"
_BEST: Final = ("bid1Price", "bid1Size", "ask1Price", "ask1Size")

_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_book = msgspec.json.Decoder(_Book).decode
_decode_trades = msgspec.json.Decoder(list[_Trade]).decode
_decode_trade = msgspec.json.Decoder(_Trade).decode
_decode_ticker = msgspec.json.Decoder(_Ticker).decode


def suffix(address: str) -> str:
    """What symbols end in that come from this address; of one that is none, nothing can be told.

    Messages do not have it.
    """
    try:
        path = urlsplit(address).path
    except ValueError:
        return ""
    return SPOT_SUFFIX if path.rstrip("/").endswith("/spot") else ""


def connect(address: str) -> Decode:
    """The decoder of one connection's messages; `address` as in `suffix`."""
    return _Connection(suffix(address)).decode


class _Connection:
    def __init__(self, suffix: str) -> None:
        self._suffix = suffix
        self._tickers: dict[str, tuple[int, _Ticker]] = {}  # (cs, the best prices)

    def decode(self, payload: bytes) -> Decoded:
        try:
            envelope = _decode_envelope(payload)
            kind, _, rest = envelope.topic.partition(".")
            if kind == "orderbook":
                return self._book(envelope, rest)
            if kind == "publicTrade":
                return self._trades(envelope)
            if kind == "tickers":
                return self._ticker(envelope, rest)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        if kind:
            return _SKIPPED.get(kind, OTHER)
        if envelope.op in ("ping", "pong"):
            return Heartbeat()
        if envelope.op or envelope.success is not None:
            active = envelope.success is not False
            return Subscription("", (), active, "" if active else envelope.ret_msg)
        raise ValueError("neither a topic's message nor a reply")

    def _book(self, envelope: _Envelope, rest: str) -> BookMessage:
        book = _decode_book(envelope.data)
        whole = envelope.type == "snapshot" or book.update == 1
        return BookMessage(
            book.symbol + self._suffix,
            "snapshot" if whole else "update",
            levels(book.bids, "b"),
            levels(book.asks, "a"),
            of_number(envelope.cts, "cts") or of_number(envelope.ts, "ts"),
            book.update,
            book.update,
            depth=depth_of(rest.partition(".")[0]),
        )

    def _trades(self, envelope: _Envelope) -> Decoded:
        try:
            trades = _decode_trades(envelope.data)
        except msgspec.ValidationError:
            trades = [_decode_trade(quoted(raw, "pv")) for raw in elements(envelope.data)]
        return [self._trade(trade) for trade in trades]

    def _trade(self, trade: _Trade) -> Message:
        side = _SIDES.get(trade.side)
        if side is None:
            raise ValueError("neither Buy nor Sell - at `$.S`")
        fields = (of_number(trade.time, "T"), trade.price, trade.qty, side, trade.id)
        return Message("trade", trade.symbol + self._suffix, -1, -1, "none", fields)

    def _ticker(self, envelope: _Envelope, symbol: str) -> Message | str:
        try:
            ticker = _read(envelope.data)
        except ValueError:
            # What it changed is not known: each price waits until it is told again.
            self._tickers.pop(symbol, None)
            raise
        number, delta = envelope.cs, envelope.type == "delta"
        before = self._tickers.get(ticker.symbol)
        if delta and before is not None and number is not None and number < before[0]:
            return LATE
        if ticker.bid is ticker.bid_qty is ticker.ask is ticker.ask_qty is None:
            if not delta:
                self._tickers.pop(ticker.symbol, None)
            return NO_QUOTES
        if before is None and len(self._tickers) >= TICKERS_MAX:
            return NO_QUOTES
        if delta and before is not None:
            ticker = _merged(before[1], ticker)
        self._tickers[ticker.symbol] = (number or 0, ticker)
        if None in (ticker.bid, ticker.bid_qty, ticker.ask, ticker.ask_qty):
            return NO_QUOTES  # yet
        bid, ask = half(ticker.bid, ticker.bid_qty), half(ticker.ask, ticker.ask_qty)
        fields = (of_number(envelope.ts, "ts"), *bid, *ask)
        symbol = ticker.symbol + self._suffix
        if number is None:
            return Message("bbo", symbol, -1, -1, "none", fields)
        return Message("bbo", symbol, number, number, "rising", fields)


def _read(data: msgspec.Raw) -> _Ticker:
    try:
        return _decode_ticker(data)
    except msgspec.ValidationError:
        return _decode_ticker(quoted(data, _BEST))


def _merged(before: _Ticker, delta: _Ticker) -> _Ticker:
    def either(new: str | None, old: str | None) -> str | None:
        return old if new is None else new

    return _Ticker(
        delta.symbol,
        either(delta.bid, before.bid),
        either(delta.bid_qty, before.bid_qty),
        either(delta.ask, before.ask),
        either(delta.ask_qty, before.ask_qty),
    )


def identify(message: Any) -> tuple[str, str, Mapping[str, Any]]:
    """Channel, symbol and members of a message that may be none of ours; "" where they are not."""
    envelope = message if isinstance(message, dict) else {}
    topic, data = envelope.get("topic"), envelope.get("data")
    if isinstance(data, list):
        data = next((one for one in data if isinstance(one, dict)), None)
    members = envelope | data if isinstance(data, dict) else envelope
    if not isinstance(topic, str):
        return "", "", members
    kind, _, rest = topic.partition(".")
    return _CHANNELS.get(kind, ""), rest.rpartition(".")[2], members


class _Steps(msgspec.Struct, gc=False):
    tick: str = field(name="tickSize", default="")
    lot: str = field(name="qtyStep", default="")
    precision: str = field(name="basePrecision", default="")


class _Listed(msgspec.Struct, gc=False):
    symbol: str
    base: str = field(name="baseCoin", default="")
    quote: str = field(name="quoteCoin", default="")
    status: str = ""
    price: _Steps = field(name="priceFilter", default_factory=_Steps)
    size: _Steps = field(name="lotSizeFilter", default_factory=_Steps)


class _List(msgspec.Struct, gc=False):
    category: str = ""
    listed: list[_Listed] = field(name="list", default=[])


class _Instruments(msgspec.Struct, gc=False):
    result: _List


_decode_instruments = msgspec.json.Decoder(_Instruments).decode
_decode_listed = msgspec.json.Decoder(list[_Listed]).decode
_STATES: Final[dict[str, Status]] = {
    "Trading": "trading",
    "PreLaunch": "closed",
    "Delivering": "closed",
    "Settling": "closed",
    "Closed": "delisted",
}


QUOTES: Final = (
    *("USDT", "USDC", "USDE", "USDR", "USD1", "DAI", "USD", "BTC", "ETH", "MNT", "SOL"),
    *("EUR", "BRL", "BRZ", "PLN", "TRY"),
)
"""In which its markets quote."""


def assets(symbol: str) -> tuple[str, str]:
    """Base and quote of a pair or a perpetual."""
    return by_suffix(QUOTES, symbol.removesuffix(SPOT_SUFFIX))


def instruments(payload: bytes) -> list[Instrument]:
    """The instruments of `instruments-info`. ValueError: it is none."""
    pieces, last = in_pieces(payload, "list", _decode_instruments, _decode_listed)
    result = last.result
    market = SPOT_SUFFIX if result.category == "spot" else ""
    found = []
    for one in chain(*pieces, result.listed):
        tick, lot = one.price.tick, one.size.lot or one.size.precision
        state = _STATES.get(one.status, "halted")
        places = digits(tick), digits(lot)
        found.append(
            Instrument(
                one.symbol + market,
                one.base,
                one.quote,
                tick,
                lot,
                *places,
                state,
                one.symbol if market else "",
            )
        )
    return found
