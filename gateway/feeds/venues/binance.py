"""Binance streams, spot and futures: `trade`, `aggTrade`, `bookTicker` and `depth`. Pure.

Field names: Binance's "Spot WebSocket Streams" and "USDⓈ-M Futures WebSocket Market Streams" pages.
A message comes in a combined stream's wrapper or without one. Times are milliseconds, or
microseconds where the connection asked for them. `ts_event` is `T`, when the matching engine traded
or changed the book; `E`, when the message was made, comes later by an unknown delay. A spot
bookTicker bears no time at all.

An aggregate trade bears the numbers of the trades in it, so one stream of numbers holds for both
kinds: of a capture that has both, what comes later is a duplicate. `X` marks futures. Its other
values than MARKET are the insurance fund's and auto-deleveraging records, no trades of the market;
their numbers count, and futures leave numbers out without a loss.

A book is the stream of its differences on top of a snapshot that is fetched over REST, which tells
no symbol but in its URL. Spot numbers each change, so that `U` goes on from the `u` before; futures
leave numbers out, and tell that `u` as `pu`. The streams of the best 5, 10 or 20 levels are other
books, which the whole one makes superfluous.
"""

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import field

from gateway.feeds.sequencing import Numbering
from gateway.feeds.stamps import scaled
from gateway.feeds.venues.arrays import in_pieces, levels
from gateway.feeds.venues.message import BookMessage, Decoded, Instrument, Malformed, Message
from gateway.feeds.venues.number import Number, quoted
from gateway.feeds.venues.reference import Status, by_suffix, digits

T = TypeVar("T")

_ABSENT: Final = msgspec.Raw()
_NO_LEVELS: Final = msgspec.Raw(b"[]")


class _Envelope(msgspec.Struct, gc=False):
    """A combined stream's wrapper, or what a bare message is told by."""

    stream: str = ""
    data: msgspec.Raw = _ABSENT
    event: str = field(name="e", default="")
    update: msgspec.Raw = field(name="u", default=_ABSENT)
    ask_qty: msgspec.Raw = field(name="A", default=_ABSENT)
    depth_update: msgspec.Raw = field(name="lastUpdateId", default=_ABSENT)
    result: msgspec.Raw = _ABSENT
    error: msgspec.Raw = _ABSENT
    code: msgspec.Raw = _ABSENT
    message: msgspec.Raw = field(name="msg", default=_ABSENT)


class _Trade(msgspec.Struct, gc=False):
    symbol: str = field(name="s")
    number: Number = field(name="t")
    price: str = field(name="p")
    qty: str = field(name="q")
    time: Number = field(name="T")
    buyer_is_maker: bool = field(name="m")
    execution: str | None = field(name="X", default=None)


class _AggTrade(msgspec.Struct, gc=False):
    symbol: str = field(name="s")
    number: Number = field(name="a")
    first: Number = field(name="f")
    last: Number = field(name="l")
    price: str = field(name="p")
    qty: str = field(name="q")
    time: Number = field(name="T")
    buyer_is_maker: bool = field(name="m")
    spot: bool | None = field(name="M", default=None)


class _BookTicker(msgspec.Struct, gc=False):
    symbol: str = field(name="s")
    update: Number = field(name="u")
    bid: str | None = field(name="b", default=None)
    bid_qty: str | None = field(name="B", default=None)
    ask: str | None = field(name="a", default=None)
    ask_qty: str | None = field(name="A", default=None)
    time: Number = field(name="T", default=0)


class _Depth(msgspec.Struct, gc=False):
    symbol: str = field(name="s", default="")
    first: Number | None = field(name="U", default=None)
    last: Number | None = field(name="u", default=None)
    previous: int | None = field(name="pu", default=None)
    made: Number = field(name="E", default=0)
    time: Number = field(name="T", default=0)
    bids: msgspec.Raw = field(name="b", default=_NO_LEVELS)
    asks: msgspec.Raw = field(name="a", default=_NO_LEVELS)


class _Snapshot(msgspec.Struct, gc=False):
    last: Number = field(name="lastUpdateId")
    bids: msgspec.Raw = _ABSENT
    asks: msgspec.Raw = _ABSENT
    made: Number = field(name="E", default=0)
    time: Number = field(name="T", default=0)


_CHANNELS: Final = {
    **{"trade": "trade", "aggTrade": "trade", "bookTicker": "bbo"},
    **{"depth": "book", "depthUpdate": "book"},
}
"""Of the kinds of message that are records, or make a book."""

_SKIPPED: Final = {
    **dict.fromkeys(("kline", "continuousKline", "continuous", "indexPriceKline"), "kline"),
    **dict.fromkeys(("ticker", "24hrTicker", "1hTicker", "4hTicker", "1dTicker"), "ticker"),
    **dict.fromkeys(("miniTicker", "24hrMiniTicker"), "mini ticker"),
    **dict.fromkeys(("markPrice", "markPriceUpdate", "indexPriceUpdate"), "mark price"),
    **dict.fromkeys(("forceOrder",), "liquidation"),
    **dict.fromkeys(("avgPrice",), "average price"),
    **dict.fromkeys(("serverShutdown", "listenKeyExpired", "eventStreamTerminated"), "control"),
}
"""Kind of stream or event → the name by which it is skipped."""
DEPTH: Final = "depth"
"""Of the best levels, or without numbers: no part of a whole book."""
OTHER: Final = "another kind of event"
REPLY: Final = "reply"
ERROR: Final = "error reply"
SNAPSHOT: Final = "depth snapshot"
_EXECUTIONS: Final = {
    "INSURANCE_FUND": "insurance fund",
    "ADL": "auto-deleveraging",
    "NA": "no trade (X is NA)",
}
OFF_MARKET: Final = "not of the market (X)"
NOTHING: Final = "trade of nothing"

_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_trade = msgspec.json.Decoder(_Trade).decode
_decode_agg_trade = msgspec.json.Decoder(_AggTrade).decode
_decode_book_ticker = msgspec.json.Decoder(_BookTicker).decode
_decode_depth = msgspec.json.Decoder(_Depth).decode
_decode_snapshot = msgspec.json.Decoder(_Snapshot).decode


def decode(payload: bytes) -> Message | BookMessage | str:
    """One message; the name of its kind where it is well-formed but nothing that we publish.

    Raises:
        ValueError: it is no JSON, nor of these shapes.
    """
    try:
        if payload[:1] == b"[":
            return _of_all(payload)
        envelope = _decode_envelope(payload)
        if envelope.data is _ABSENT:
            return _bare(envelope, payload)
        kind = envelope.stream.partition("@")[2].partition("@")[0]
        if not kind or envelope.stream[0] == "!":
            kind = envelope.stream.removeprefix("!").partition("@")[0]
        if kind not in _CHANNELS and kind not in _SKIPPED:
            if kind.startswith("depth"):
                return DEPTH
            kind = _peeked(envelope.data) or kind
        if not kind:
            raise ValueError("neither a stream's message nor an event")
        return _event(kind, envelope.data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _bare(envelope: _Envelope, payload: bytes) -> Message | BookMessage | str:
    """What came without a stream's wrapper."""
    if envelope.event:
        return _event(envelope.event, payload)
    if envelope.update is not _ABSENT and envelope.ask_qty is not _ABSENT:
        return _book_ticker(_decode(_decode_book_ticker, payload, "bBaA"))
    if envelope.depth_update is not _ABSENT:
        return _snapshot(payload, "")
    if envelope.error is not _ABSENT or envelope.code is not _ABSENT:
        return ERROR
    if envelope.result is not _ABSENT:
        return REPLY
    raise ValueError("neither a stream's message, nor an event, a reply or a depth snapshot")


def _event(kind: str, data: "msgspec.Raw | bytes") -> Message | BookMessage | str:
    if kind == "trade":
        return _trade(_decode(_decode_trade, data, "pq"))
    if kind == "bookTicker":
        return _book_ticker(_decode(_decode_book_ticker, data, "bBaA"))
    if kind == "aggTrade":
        return _agg_trade(_decode(_decode_agg_trade, data, "pq"))
    if kind in ("depth", "depthUpdate"):
        return _depth(_decode_depth(data))
    return _SKIPPED.get(kind) or _SKIPPED.get(kind.partition("_")[0].rstrip("0123456789"), OTHER)


def _of_all(payload: bytes) -> str:
    """An array: a bare stream of all symbols (`!ticker@arr`), of which none is a record."""
    events = msgspec.json.decode(payload, type=list[_Envelope])
    if not events or not events[0].event or events[0].event in _CHANNELS:
        raise ValueError("an array that is no stream of all symbols")
    return _SKIPPED.get(events[0].event, OTHER)


def _peeked(data: msgspec.Raw) -> str:
    """The kind of event by its own word; "" for an array, or where there is none."""
    return "" if bytes(data)[:1] != b"{" else _decode_envelope(data).event


def _time(value: int, name: str = "T") -> int:
    # As `times.of_number`, but for small ones; that call would cost each trade 1 % more.
    try:
        return value * 1_000_000 if value < 10**9 else scaled(value)
    except ValueError as error:
        raise ValueError(f"{error} - at `$.{name}`") from None


def _decode(
    decoder: Callable[[msgspec.Raw | bytes], T], data: msgspec.Raw | bytes, decimals: str
) -> T:
    """Binance sends texts; stand-ins and copies that were written anew may have numbers."""
    try:
        return decoder(data)
    except msgspec.ValidationError:
        return decoder(quoted(data, decimals))


def _trade(trade: _Trade) -> Message:
    x = trade.execution
    # No kind of execution is told of spot trades, of which each has a number of its own.
    numbering: Numbering = "exact" if x is None else "sparse"
    skip = "" if x in (None, "MARKET") else _EXECUTIONS.get(x or "", OFF_MARKET)
    if not skip and _zero(trade.price) and _zero(trade.qty):
        skip = NOTHING
    return Message(
        "trade", trade.symbol, trade.number, trade.number, numbering, _fields(trade), skip
    )


def _agg_trade(trade: _AggTrade) -> Message:
    if trade.last < trade.first:
        raise ValueError("the last trade is before the first - at `$.l`")
    numbering: Numbering = "exact" if trade.spot is not None else "sparse"
    return Message("trade", trade.symbol, trade.first, trade.last, numbering, _fields(trade))


def _fields(trade: _Trade | _AggTrade) -> tuple[int, str, str, str, str]:
    # The taker is the other side of the maker: where the buyer made the price, the taker sold.
    side = "sell" if trade.buyer_is_maker else "buy"
    return _time(trade.time), trade.price, trade.qty, side, str(trade.number)


def _book_ticker(quote: _BookTicker) -> Message:
    bid, ask = _half(quote.bid, quote.bid_qty), _half(quote.ask, quote.ask_qty)
    fields = (_time(quote.time), *bid, *ask)
    return Message("bbo", quote.symbol, quote.update, quote.update, "rising", fields)


def _depth(depth: _Depth) -> BookMessage | str:
    if depth.last is None:
        return DEPTH
    if not depth.symbol:
        raise Malformed("an update of no symbol", "s", "")
    if depth.first is None:
        raise Malformed("an update without its first number", "U", "")
    return BookMessage(
        depth.symbol,
        "update",
        levels(depth.bids, "b"),
        levels(depth.asks, "a"),
        _time(depth.time) or _time(depth.made, "E"),
        depth.first,
        depth.last,
        depth.previous,
    )


def _snapshot(payload: bytes, symbol: str) -> BookMessage | str:
    snapshot = _decode_snapshot(payload)
    if snapshot.bids is _ABSENT or snapshot.asks is _ABSENT:
        return SNAPSHOT
    bids, asks = levels(snapshot.bids, "bids"), levels(snapshot.asks, "asks")
    ts_event = _time(snapshot.time) or _time(snapshot.made, "E")
    return BookMessage(symbol, "snapshot", bids, asks, ts_event, last=snapshot.last)


def respond(url: str, payload: bytes) -> Decoded | None:
    """What a REST response holds: a book's snapshot; None: nothing for a market's records.

    Raises:
        ValueError: as in `decode`.
    """
    channel, symbol = _about(url)
    if not channel:
        return None
    try:
        if not symbol or _decode_envelope(payload).depth_update is _ABSENT:
            return ERROR
        return _snapshot(payload, symbol)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def requested(url: str) -> tuple[str, str]:
    """Channel and symbol that a REST request is about, "" where it does not say."""
    try:
        return _about(url)
    except ValueError:
        return "", ""


def _about(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    if not parts.path.endswith("/depth"):
        return "", ""
    return "book", parse_qs(parts.query).get("symbol", [""])[0]


class _Filter(msgspec.Struct, gc=False):
    type: str = field(name="filterType")
    tick: str = field(name="tickSize", default="")
    step: str = field(name="stepSize", default="")


class _Symbol(msgspec.Struct, gc=False):
    symbol: str
    base: str = field(name="baseAsset", default="")
    quote: str = field(name="quoteAsset", default="")
    status: str = ""
    contract_status: str = field(name="contractStatus", default="")
    filters: list[_Filter] = []


class _ExchangeInfo(msgspec.Struct, gc=False):
    symbols: list[_Symbol]


_decode_exchange_info = msgspec.json.Decoder(_ExchangeInfo).decode
_decode_symbols = msgspec.json.Decoder(list[_Symbol]).decode
_STATES: Final[dict[str, Status]] = {
    "TRADING": "trading",
    "AUCTION_MATCH": "auction",
    **dict.fromkeys(("PRE_TRADING", "PENDING_TRADING", "POST_TRADING", "END_OF_DAY"), "closed"),
    **dict.fromkeys(("PRE_DELIVERING", "PRE_SETTLE", "SETTLING"), "closed"),
    **dict.fromkeys(("DELIVERED", "DELIVERING", "CLOSE"), "delisted"),
}
"""The venue's word → ours; of others it is known that they are not trading."""


QUOTES: Final = (
    *("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USD1", "USDS", "DAI", "UST", "VAI", "PAX"),
    *("BTC", "ETH", "BNB", "TRX", "XRP", "SOL", "DOGE", "DOT", "IDRT", "BIDR", "BKRW", "BVND"),
    *("USD", "EUR", "EURI", "AEUR", "GBP", "AUD", "JPY", "TRY", "BRL", "RUB", "UAH", "NGN", "ZAR"),
    *("PLN", "RON", "ARS", "MXN", "CZK", "COP", "IDR"),
)
"""In which its markets quote, or did."""


def assets(symbol: str) -> tuple[str, str]:
    """Base and quote; what is behind a `_` says until when a future runs."""
    return by_suffix(QUOTES, symbol.partition("_")[0])


def instruments(payload: bytes) -> list[Instrument]:
    """The instruments of `exchangeInfo`. ValueError: it is none."""
    pieces, last = in_pieces(payload, "symbols", _decode_exchange_info, _decode_symbols)
    found = []
    for one in chain(*pieces, last.symbols):
        steps = {each.type: each for each in one.filters}
        tick = steps["PRICE_FILTER"].tick if "PRICE_FILTER" in steps else ""
        lot = steps["LOT_SIZE"].step if "LOT_SIZE" in steps else ""
        state = _STATES.get(one.status or one.contract_status, "halted")
        places = digits(tick), digits(lot)
        found.append(Instrument(one.symbol, one.base, one.quote, tick, lot, *places, state))
    return found


def _half(price: str | None, qty: str | None) -> tuple[str | None, str | None]:
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
    if kind not in _CHANNELS:
        bare = "bookTicker" if "B" in members and "A" in members else ""
        bare = "depth" if "lastUpdateId" in envelope else bare
        kind = members.get("e", bare)
    symbol = members.get("s")
    return (
        _CHANNELS.get(kind, "") if isinstance(kind, str) else "",
        symbol if isinstance(symbol, str) else "",
        members,
    )
