"""Records as a client gets them: numbers with the venue's own digits, exact and as floats."""

from decimal import Decimal
from typing import Annotated, Any

import msgspec

from gateway.clock import Offset

Text = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^-?[0-9]+(\.[0-9]+)?\Z")]
"""A number with the venue's own digits; longer ones than the gateway carries are not read."""


class Tick(msgspec.Struct, frozen=True):
    """What every record has: `Trade`, `Bbo`, `Book`, `Candle`, `InstrumentData`, `Status`,
    `InstrumentHealth` and `RawTick` are ticks.

    Times are REALTIME ns.

    Attributes:
        channel: `trade`, `bbo`, ...
        type: "snapshot": the state as it is (of trades the last one), after a subscription or a
            loss; "update": a new record.
        symbol: the instrument, `SYMBOL.VENUE`.
        seq: number of the record among those of its channel and symbol.
        ts_event: the venue's time, or `ts_recv` where it sends none.
        ts_recv: the record reached the gateway's host.
        ts_send: the gateway encoded it.
        ts_client: this client read it, by its own host's clock.
        skipped: updates before this one that did not come: the gateway merged them into it, or, of
            conflated topics, they were published while this client was not connected.
    """

    channel: str
    type: str
    symbol: str
    seq: int
    ts_event: int
    ts_recv: int
    ts_send: int
    ts_client: int
    skipped: int = 0

    @property
    def age_ms(self) -> float:
        """How old it was as it came: from the gateway's receipt to this client's.

        It compares two hosts' clocks as they are; `age_ns` corrects it.
        """
        return (self.ts_client - self.ts_recv) / 1e6

    def age_ns(self, offset: Offset) -> int:
        """The same by the gateway's clock (`Client.offset`), right within `offset.error_ns`."""
        return self.ts_client + offset.offset_ns - self.ts_recv


class Trade(Tick, frozen=True, kw_only=True):
    """A trade. `price` and `qty` are exact; for arithmetic in floats there is `price_float`.

    Attributes:
        id: the venue's name of it.
        side: the taker's, "buy" or "sell"; None where the feed does not say.
        price_text: the digits as the venue sent them.
        qty_text: likewise.
    """

    id: str = ""
    side: str | None = None
    price_text: Text = msgspec.field(name="price")
    qty_text: Text = msgspec.field(name="qty")

    @property
    def price(self) -> Decimal:
        """The price, exactly."""
        return Decimal(self.price_text)

    @property
    def qty(self) -> Decimal:
        """The quantity, exactly."""
        return Decimal(self.qty_text)

    @property
    def price_float(self) -> float:
        """The nearest float: 15 to 17 digits of the price."""
        return float(self.price_text)

    @property
    def qty_float(self) -> float:
        """The nearest float: 15 to 17 digits of the quantity."""
        return float(self.qty_text)


class Bbo(Tick, frozen=True, kw_only=True):
    """The best bid and offer; a side that nobody quotes is None, in price and quantity.

    Attributes:
        bid_text: the digits as the venue sent them, None without a bid; so for the others.
    """

    bid_text: Text | None = msgspec.field(default=None, name="bid")
    bid_qty_text: Text | None = msgspec.field(default=None, name="bid_qty")
    ask_text: Text | None = msgspec.field(default=None, name="ask")
    ask_qty_text: Text | None = msgspec.field(default=None, name="ask_qty")

    @property
    def bid(self) -> Decimal | None:
        """The best bid's price, exactly."""
        return _decimal(self.bid_text)

    @property
    def bid_qty(self) -> Decimal | None:
        """The quantity at the best bid, exactly."""
        return _decimal(self.bid_qty_text)

    @property
    def ask(self) -> Decimal | None:
        """The best offer's price, exactly."""
        return _decimal(self.ask_text)

    @property
    def ask_qty(self) -> Decimal | None:
        """The quantity at the best offer, exactly."""
        return _decimal(self.ask_qty_text)

    @property
    def bid_float(self) -> float | None:
        """The nearest float to the best bid's price."""
        return _float(self.bid_text)

    @property
    def bid_qty_float(self) -> float | None:
        """The nearest float to the quantity at the best bid."""
        return _float(self.bid_qty_text)

    @property
    def ask_float(self) -> float | None:
        """The nearest float to the best offer's price."""
        return _float(self.ask_text)

    @property
    def ask_qty_float(self) -> float | None:
        """The nearest float to the quantity at the best offer."""
        return _float(self.ask_qty_text)


class Candle(Tick, frozen=True, kw_only=True):
    """What an instrument's trades come to in one interval of the venue's time.

    `ts_event` is the time of its newest trade, or its end where it has none; `ts_recv` is when the
    gateway made this record. Prices and volume are exact.

    Attributes:
        interval: "1s", "1m", "5m", "15m", "1h" or "1d".
        start: when it began, ns by the venue's clock.
        trades: how many; without any, all prices are the close of the one before.
        closed: it is over.
        revised: a trade came late: it had been told as closed before.
        complete: whether all its trades are known. Not of the first one after the gateway's start,
            and of none in which trades were lost.
        open_text: the digits; so for the others.
    """

    interval: str
    start: int
    trades: int
    closed: bool
    revised: bool = False
    complete: bool = True
    open_text: Text = msgspec.field(name="open")
    high_text: Text = msgspec.field(name="high")
    low_text: Text = msgspec.field(name="low")
    close_text: Text = msgspec.field(name="close")
    volume_text: Text = msgspec.field(name="volume")

    @property
    def open(self) -> Decimal:
        """The first trade's price, exactly."""
        return Decimal(self.open_text)

    @property
    def high(self) -> Decimal:
        """The highest price, exactly."""
        return Decimal(self.high_text)

    @property
    def low(self) -> Decimal:
        """The lowest price, exactly."""
        return Decimal(self.low_text)

    @property
    def close(self) -> Decimal:
        """The last trade's price, exactly."""
        return Decimal(self.close_text)

    @property
    def volume(self) -> Decimal:
        """The quantity of all trades, exactly."""
        return Decimal(self.volume_text)


class Status(Tick, frozen=True, kw_only=True):
    """How an instrument is at its venue, since `ts_event`.

    Attributes:
        status: "trading", "halted", "auction", "closed" or "delisted"; newer gateways may have
            other words.
        reason: the venue's words, where it has any.
    """

    status: str
    reason: str = ""


class InstrumentHealth(Tick, frozen=True, kw_only=True):
    """What the gateway thinks of an instrument's data.

    Attributes:
        state: "ok", "suspect", ...; newer gateways may have other words.
        reason: why it is not ok.
        input_age_ms: since the input that made it so.
    """

    state: str
    reason: str = ""
    input_age_ms: int = msgspec.field(default=0, name="age_ms")


class InstrumentData(Tick, frozen=True, kw_only=True):
    """What the venue says of an instrument; None, or an empty text, is what it does not tell.

    Attributes:
        tick_text: the smallest step of prices, with the venue's digits.
        lot_text: that of quantities.
        price_digits: digits of prices behind the point.
        qty_digits: of quantities.
        base: the asset that is traded.
        quote: the asset of its prices.
        bbo: where its quotes come from: "venue", or "derived" from its book.
        delay_s: how late its data is by contract.
        status: as in `Status`, when it was told.
        venue_symbol: the venue's own name of it, where it is not that of the symbol.
    """

    tick_text: Text | None = msgspec.field(name="tick", default=None)
    lot_text: Text | None = msgspec.field(name="lot", default=None)
    price_digits: int | None = None
    qty_digits: int | None = None
    base: str = ""
    quote: str = ""
    bbo: str = "venue"
    delay_s: int = 0
    status: str = ""
    venue_symbol: str = ""

    @property
    def tick(self) -> Decimal | None:
        """The smallest step of prices, exactly."""
        return _decimal(self.tick_text)

    @property
    def lot(self) -> Decimal | None:
        """The smallest step of quantities, exactly."""
        return _decimal(self.lot_text)


class RawTick(Tick, frozen=True, kw_only=True):
    """A record of a channel that this client has no type for, or that does not fit its type.

    Attributes:
        data: its elements, as they came.
        problem: why it does not fit; empty where there is no type.
    """

    data: tuple[dict[str, Any], ...]
    problem: str = ""


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _float(text: str | None) -> float | None:
    return None if text is None else float(text)
