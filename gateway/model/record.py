"""What a feed publishes and a client subscribes to: channels, and the rows of each."""

from typing import Final, Literal, NamedTuple


class Field(NamedTuple):
    """One of the values that a record has.

    Attributes:
        name: in messages, in the lines of the `udp` feed, in refusals.
        type: what it holds; as in native/gw_kind.h.
        optional: whether there may be none, together with the field that goes with it.
    """

    name: str
    type: Literal["decimal", "side", "id", "words", "number", "flag"]
    optional: bool = False


class Channel(NamedTuple):
    """A kind of record and how its topics are delivered unless the client says otherwise.

    Attributes:
        name: as in every message, and the label of the metrics.
        number: the record's kind in the ring (gw_kind.h) and the index into per-channel counters.
        lossless: the default mode; False conflates.
        priority: the default class, 0 is served first (PROTOCOL.md section 2).
        fed: feeds bring its records.
        fields: of a record, in the order of its rows, behind topic and ts_event.
        interval: of candles: a part of the topic that is not in the instrument's name.
    """

    name: str
    number: int
    lossless: bool
    priority: int
    fed: bool = False
    fields: tuple[Field, ...] = ()
    interval: str = ""

    @property
    def key(self) -> str:
        """By what it is among CHANNELS, in the core and in the metrics: unlike the name, one for
        each interval."""
        return f"{self.name}_{self.interval}" if self.interval else self.name

    @property
    def own(self) -> bool:
        """Whether the gateway speaks of itself on it: see CHANNELS_OWN."""
        return self.number == 0


HEALTH: Final = "health"
"""Of instruments among CHANNELS, of the gateway itself among CHANNELS_OWN."""

BOOK: Final = "book"
"""Order books: no rows, but messages of levels (`feeds/venues/message.py`)."""

_TRADE: Final = (
    Field("price", "decimal"),
    Field("qty", "decimal"),
    Field("side", "side"),
    Field("id", "id"),
)
_BBO: Final = tuple(
    Field(name, "decimal", optional=True) for name in ("bid", "bid_qty", "ask", "ask_qty")
)
_STATUS: Final = (Field("status", "words"), Field("reason", "words"))
_INSTRUMENT: Final = (
    Field("tick", "decimal", optional=True),
    Field("lot", "decimal", optional=True),
    Field("pdigits", "number", optional=True),
    Field("qdigits", "number", optional=True),
    Field("base", "words"),
    Field("quote", "words"),
    Field("derived", "flag"),
    Field("delay_s", "number"),
    Field("status", "words"),
    Field("own", "words"),
)
_HEALTH: Final = (Field("state", "words"), Field("reason", "words"))
_CANDLE: Final = (
    Field("start", "number"),
    *(Field(name, "decimal") for name in ("open", "high", "low", "close", "volume")),
    Field("trades", "number"),
    *(Field(name, "flag") for name in ("closed", "revised", "partial")),
)

CANDLE: Final = "candle"
INSTRUMENT: Final = "instrument"
INTERVALS: Final = ("1s", "1m", "5m", "15m", "1h", "1d")
"""Of candles; each is a channel of its own, a kind of record of its own."""
INTERVAL_DEFAULT: Final = "1m"
_CANDLE_FIRST: Final = 8

CANDLES: Final[dict[str, Channel]] = {
    interval: Channel(CANDLE, number, lossless=False, priority=1, fields=_CANDLE, interval=interval)
    for number, interval in enumerate(INTERVALS, start=_CANDLE_FIRST)
}
"""By interval."""

CHANNELS: Final[dict[str, Channel]] = {
    "trade": Channel("trade", 1, lossless=True, priority=0, fed=True, fields=_TRADE),
    "bbo": Channel("bbo", 2, lossless=False, priority=1, fed=True, fields=_BBO),
    BOOK: Channel(BOOK, 3, lossless=False, priority=1, fed=True),
    "instrument": Channel(
        "instrument", 4, lossless=False, priority=1, fed=True, fields=_INSTRUMENT
    ),
    "status": Channel("status", 5, lossless=True, priority=0, fed=True, fields=_STATUS),
    HEALTH: Channel(HEALTH, 7, lossless=False, priority=1, fields=_HEALTH),
    **{channel.key: channel for channel in CANDLES.values()},
}
"""The channels that exist by their keys, with the fields of gw_kinds (a test compares them).
`health` is that of instruments."""

CHANNELS_FED: Final = tuple(name for name, channel in CHANNELS.items() if channel.fed)
"""Channels whose records feeds bring."""

CHANNELS_OWN: Final[dict[str, Channel]] = {
    name: Channel(name, 0, lossless=False, priority=0) for name in ("slo", HEALTH)
}
"""Channels on which the gateway speaks of itself: one name, `*`, and no records of the ring. Number
0 is no record's: for the data plane each is a topic of its own (native/gw_local.c)."""


CHANNELS_OPS: Final = ("ops",)
"""Channels of the ops listener alone (`ops/session.py`): clients are told where to go."""

TradeRow = tuple[int, int, str, str, str | None, str]
"""(topic, ts_event, price, qty, side, id). `ts_event` is REALTIME ns, 0: the venue sends none;
price and qty are decimal texts with the venue's digits (on their way in with an exponent, too);
side is the taker's: "buy", "sell" or None; id is the venue's, at most 80 characters of printable
ASCII."""

BboRow = tuple[int, int, str | None, str | None, str | None, str | None]
"""(topic, ts_event, bid, bid_qty, ask, ask_qty), texts and times as in TradeRow; None for both of a
side that is not there."""

CandleRow = tuple[int, int, int, str, str, str, str, str, int, bool, bool, bool]
"""(topic, ts_event, start, open, high, low, close, volume, trades, closed, revised, partial), as
the data plane has them; no feed brings any."""

StatusRow = tuple[int, int, str, str]
"""(topic, ts_event, status, reason): at most 8 and 48 characters of printable ASCII."""

InstrumentRow = tuple[
    int, int, str | None, str | None, int | None, int | None, str, str, bool, int, str, str
]
"""(topic, ts_event, tick, lot, price_digits, qty_digits, base, quote, derived, delay_s, status,
own): None or empty for what is not told; at most 18 digits a number; of ASCII 16 characters for
base and quote, 8 for the status, 48 for the venue's own symbol. `derived`: its quotes are made of
its book."""

Row = InstrumentRow | TradeRow | BboRow | StatusRow
"""One record on its way into the ring."""
