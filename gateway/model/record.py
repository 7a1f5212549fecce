"""What a feed publishes and a client subscribes to: channels, and the rows of each."""

from typing import Final, NamedTuple


class Channel(NamedTuple):
    """A kind of record and how its topics are delivered unless the client says otherwise.

    Attributes:
        name: as in every message, and the label of the metrics.
        number: the record's kind in the ring (gw_record.h) and the index into per-channel counters.
        lossless: the default mode; False conflates.
        priority: the default class, 0 is served first (PROTOCOL.md section 2).
    """

    name: str
    number: int
    lossless: bool
    priority: int

    @property
    def own(self) -> bool:
        """Whether the gateway speaks of itself on it: see CHANNELS_OWN."""
        return self.number == 0


HEALTH: Final = "health"
"""Of instruments among CHANNELS, of the gateway itself among CHANNELS_OWN."""

CHANNELS: Final[dict[str, Channel]] = {
    "trade": Channel("trade", 1, lossless=True, priority=0),
    "bbo": Channel("bbo", 2, lossless=False, priority=1),
    HEALTH: Channel(HEALTH, 7, lossless=False, priority=1),
}
"""The channels that exist. `health` is that of instruments; feeds publish the others."""

CHANNELS_FED: Final = ("trade", "bbo")
"""Channels whose records feeds bring."""

CHANNELS_OWN: Final[dict[str, Channel]] = {
    name: Channel(name, 0, lossless=False, priority=0) for name in ("slo", HEALTH)
}
"""Channels on which the gateway speaks of itself: no records, no topics, and one name, `*`.
Number 0 is no record's: the data plane never hears of them."""

CHANNELS_PLANNED: Final = ("book", "candle", "instrument", "status")
"""Channels of the protocol that this version does not have: refused by name."""

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

Row = TradeRow | BboRow
"""One record on its way into the ring."""
