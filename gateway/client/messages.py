"""A gateway's messages as values of the client's types."""

from typing import Any, Final, TypeVar

import msgspec

from gateway.client.books import frame_of
from gateway.client.events import (
    Error,
    Health,
    Instrument,
    Record,
    Reply,
    Report,
    Result,
    Slo,
)
from gateway.client.ticks import (
    Bbo,
    Candle,
    InstrumentData,
    InstrumentHealth,
    RawTick,
    Status,
    Trade,
)
from gateway.model.record import BOOK, HEALTH

_Any = TypeVar("_Any")


class Wire(msgspec.Struct):
    """Every field that a message may have; unknown ones are ignored, as the protocol demands."""

    channel: str = ""
    method: str = ""
    kind: str = msgspec.field(default="", name="type")
    symbol: str = ""
    seq: int = 0
    ts_event: int = 0
    ts_recv: int = 0
    ts_send: int = 0
    skipped: int = 0
    data: tuple[dict[str, Any], ...] = ()
    req_id: int | str | None = None
    success: bool = False
    results: tuple[Result, ...] = ()
    error: Error | None = None
    instruments: tuple[Instrument, ...] = ()
    subscriptions: tuple[dict[str, Any], ...] = ()
    next: int | str | None = None
    t0: int = 0
    t1: int = 0
    t2: int = 0
    points: tuple[dict[str, Any], ...] = ()
    part: tuple[int, int] | None = None

    def one(self, kind: type[_Any]) -> _Any:
        """The first element of data; msgspec.ValidationError: it is none of the kind."""
        return msgspec.convert(self.data[0] if self.data else {}, kind)

    def all(self, kind: type[_Any]) -> list[_Any]:
        """Each element of data."""
        return [msgspec.convert(row, kind) for row in self.data]

    def own(self, row: dict[str, Any]) -> Slo | Health:
        """What the gateway says of itself, in one element of data."""
        kind: type[Slo] | type[Health] = OWN[self.channel]
        return msgspec.convert(row | {"type": self.kind, "ts_send": self.ts_send}, kind)

    def report(self) -> Report:
        """What another channel of the gateway's own says."""
        return Report(self.channel, self.kind, self.ts_send, self.data)

    def reply(self, real_ns: int) -> Reply:
        """The answer to a request, received then."""
        return Reply(
            method=self.method,
            req_id=self.req_id,
            success=self.success,
            results=self.results,
            error=self.error,
            instruments=self.instruments,
            subscriptions=self.subscriptions,
            next=self.next,
            t0=self.t0,
            t1=self.t1,
            t2=self.t2,
            points=self.points,
            ts_client=real_ns,
        )

    def tick(self, real_ns: int) -> Record:
        """A record, received then; raw where there is no type for it, or it does not fit that."""
        frame: dict[str, Any] = {
            "channel": self.channel,
            "type": self.kind,
            "symbol": self.symbol,
            "seq": self.seq,
            "ts_event": self.ts_event,
            "ts_recv": self.ts_recv,
            "ts_send": self.ts_send,
            "ts_client": real_ns,
            "skipped": self.skipped,
        }
        kind = _TICKS.get(self.channel)
        if kind is None and self.channel != BOOK:
            return RawTick(**frame, data=self.data)
        try:
            if len(self.data) != 1:
                raise msgspec.ValidationError(f"{len(self.data)} elements, expected one")
            if kind is None:
                return frame_of(frame, self.data[0], self.part)
            return msgspec.convert(self.data[0] | frame, kind)
        except msgspec.ValidationError as error:
            return RawTick(**frame, data=self.data, problem=str(error))


class Epoch(msgspec.Struct):
    """The numbering in force from now on."""

    epoch: str


_TICKS: Final[
    dict[str, type[Trade | Bbo | Candle | InstrumentData | Status | InstrumentHealth]]
] = {
    "trade": Trade,
    "bbo": Bbo,
    "candle": Candle,
    "instrument": InstrumentData,
    "status": Status,
    HEALTH: InstrumentHealth,
}
"""The types of records, by channel."""

OWN: Final[dict[str, type[Slo] | type[Health]]] = {"slo": Slo, HEALTH: Health}
"""What the gateway says of itself, by channel."""
