"""Kraken, live: WebSocket API v2. Pure.

Page of Kraken's: "WebSocket API v2". An address may open some 150 connections in ten minutes. Each
stream of a request is answered by itself. A connection says every second that it lives. REST's list
of pairs tells the digits of prices and quantities, by which numbers become texts
(`venues/kraken_v2.py`).
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.feeds.live.venue import Facts, Leaving, Reply
from gateway.feeds.venues import kraken_v2
from gateway.feeds.venues.message import Instrument
from gateway.feeds.venues.table import VENUES

FACTS: Final = Facts(
    url="wss://ws.kraken.com/v2",
    rest="https://api.kraken.com",
    streams_max=600,
    batch_max=50,
    messages_per_s=4,
    connects_per_s=0.2,
    snapshots_per_s=2.0,
    stall_s=10.0,
    replies_each=True,
)
DEPTH: Final = 1000
"""Levels a side: as deep as there are."""

_CHANNELS: Final = {"trade": "trade", "bbo": "ticker", "book": "book"}
_MORE: Final[dict[str, dict[str, Any]]] = {
    "trade": {"snapshot": False},
    "ticker": {"event_trigger": "bbo"},
    "book": {"depth": DEPTH},
}
_WORDS_MAX: Final = 200


class _Control(msgspec.Struct, gc=False):
    method: str = ""
    req_id: int | None = None
    success: bool = True
    error: str = ""


class Kraken:
    """The venue.

    Args:
        channels: those wanted of `trade`, `bbo`, `book`.
        url: of another place that speaks the same; "": the venue's.
        rest: likewise.
    """

    def __init__(self, channels: Sequence[str], url: str = "", rest: str = "") -> None:
        self.facts = FACTS.at(url, rest)
        self._channels = [_CHANNELS[channel] for channel in channels]
        self._digits = kraken_v2.Digits()
        self.decoding = VENUES["kraken"]._replace(
            connect=lambda address: kraken_v2.Connection(self._digits).decode,
            instruments=self._instruments,
        )

    def url(self) -> str:
        return self.facts.url

    def streams(self, symbol: str) -> tuple[str, ...]:
        return tuple(f"{channel}:{symbol}" for channel in self._channels)

    def book_stream(self, symbol: str) -> str:
        return f"book:{symbol}" if "book" in self._channels else ""

    def kind(self, stream: str) -> str:
        return stream.partition(":")[0]

    def subscribe(self, streams: Sequence[str], number: int) -> str:
        return self._request("subscribe", streams, number)

    def unsubscribe(self, streams: Sequence[str], number: int) -> str:
        return self._request("unsubscribe", streams, number)

    def ping(self) -> str:
        return ""

    def control(self, payload: bytes) -> Reply | Leaving | None:
        try:
            message = msgspec.json.decode(payload, type=_Control)
        except msgspec.DecodeError:
            return None
        if message.method not in ("subscribe", "unsubscribe") and message.success:
            return None
        why = "" if message.success else message.error or "no reason given"
        return Reply(message.req_id, why[:_WORDS_MAX])

    def reference(self) -> str:
        return f"{self.facts.rest.rstrip('/')}/0/public/AssetPairs"

    def snapshot(self, symbol: str) -> str:
        return ""

    def refused(self, status: int, body: bytes) -> str:
        return ""

    def _request(self, method: str, streams: Sequence[str], number: int) -> str:
        channel = self.kind(streams[0])
        params = {"channel": channel, "symbol": [one.partition(":")[2] for one in streams]}
        more = _MORE[channel]
        if method == "unsubscribe":
            more = {name: value for name, value in more.items() if name != "snapshot"}
        request = {"method": method, "params": params | more, "req_id": number}
        return msgspec.json.encode(request).decode()

    def _instruments(self, payload: bytes) -> list[Instrument]:
        """The list of pairs, whose digits are known from then on."""
        found = kraken_v2.instruments(payload)
        for one in found:
            self._digits.learn(one.symbol, one.price_digits, one.qty_digits)
        return found
