"""Binance's markets, live: spot, USD-M and COIN-M futures. Pure.

Pages of Binance's: "WebSocket Streams" (spot), "Websocket Market Streams" (futures), "Important
WebSocket Change Notice" of 2026, which split USD-M by kind of stream: quotes, books and trades are
`/public`. Spot takes 5 messages a second on a connection and 1,024 streams, futures 10 and 1,024;
both take 300 connections in 5 minutes from an address, and end each after 24 hours. A snapshot of
1,000 levels costs 50 of 6,000 a minute (spot) or 20 of 2,400: the pace here leaves half of that.

A stream that does not exist is acknowledged all the same and stays silent: which symbols there are
is asked of `exchangeInfo` first.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from gateway.feeds.live.venue import Facts, Leaving, Reply
from gateway.feeds.options import Market
from gateway.feeds.venues.table import VENUES

_SPOT: Final = Facts(
    url="wss://stream.binance.com:9443",
    rest="https://api.binance.com",
    streams_max=1000,
    batch_max=100,
    messages_per_s=3,
    connects_per_s=0.5,
    snapshots_per_s=1.0,
)
FACTS: Final[dict[Market, Facts]] = {
    "spot": _SPOT,
    "usdm": _SPOT._replace(
        url="wss://fstream.binance.com/public", rest="https://fapi.binance.com", messages_per_s=6
    ),
    "coinm": _SPOT._replace(
        url="wss://dstream.binance.com", rest="https://dapi.binance.com", messages_per_s=6
    ),
}
SNAPSHOT_LEVELS: Final = 1000

_STREAMS: Final = {"trade": "trade", "bbo": "bookTicker", "book": "depth@100ms"}
_PATHS: Final[dict[Market, str]] = {"spot": "/api/v3", "usdm": "/fapi/v1", "coinm": "/dapi/v1"}
_WORDS_MAX: Final = 200


class _Error(msgspec.Struct, gc=False):
    code: int = 0
    msg: str = ""


class _Control(msgspec.Struct, gc=False):
    id: int | str | None = None
    error: _Error | None = None
    code: int = 0
    msg: str = ""
    event: str = msgspec.field(name="e", default="")


class Binance:
    """One of its markets.

    Args:
        channels: those wanted of `trade`, `bbo`, `book`.
        url: of another place that speaks the same; "": the venue's.
        rest: likewise.
    """

    decoding = VENUES["binance"]

    def __init__(
        self, market: Market, channels: Sequence[str], url: str = "", rest: str = ""
    ) -> None:
        self.facts = FACTS[market].at(url, rest)
        self._path = _PATHS[market]
        self._names = [_STREAMS[channel] for channel in channels]
        self._book = "book" in channels
        # A symbol's lists of permissions are most of spot's answer, and nothing is made of them.
        self._query = "?showPermissionSets=false" if market == "spot" else ""

    def url(self) -> str:
        return f"{self.facts.url.rstrip('/')}/stream"

    def streams(self, symbol: str) -> tuple[str, ...]:
        return tuple(f"{symbol.lower()}@{name}" for name in self._names)

    def book_stream(self, symbol: str) -> str:
        return f"{symbol.lower()}@{_STREAMS['book']}" if self._book else ""

    def kind(self, stream: str) -> str:
        return ""

    def subscribe(self, streams: Sequence[str], number: int) -> str:
        return _request("SUBSCRIBE", streams, number)

    def unsubscribe(self, streams: Sequence[str], number: int) -> str:
        return _request("UNSUBSCRIBE", streams, number)

    def ping(self) -> str:
        return ""

    def control(self, payload: bytes) -> Reply | Leaving | None:
        try:
            message = msgspec.json.decode(payload, type=_Control)
        except msgspec.DecodeError:
            return None
        if message.event:
            left = message.event == "serverShutdown"
            return Leaving("the venue shuts this server down") if left else None
        number = message.id if isinstance(message.id, int) else None
        error = message.error or _Error(message.code, message.msg)
        return Reply(number, _words(error) if error.code or error.msg else "")

    def reference(self) -> str:
        return f"{self.facts.rest.rstrip('/')}{self._path}/exchangeInfo{self._query}"

    def snapshot(self, symbol: str) -> str:
        query = f"symbol={quote(symbol)}&limit={SNAPSHOT_LEVELS}"
        return f"{self.facts.rest.rstrip('/')}{self._path}/depth?{query}"

    def refused(self, status: int, body: bytes) -> str:
        try:
            return _words(msgspec.json.decode(body, type=_Error))
        except msgspec.DecodeError:
            return ""


def _request(method: str, streams: Sequence[str], number: int) -> str:
    request = {"method": method, "params": list(streams), "id": number}
    return msgspec.json.encode(request).decode()


def _words(error: _Error) -> str:
    return f"{error.msg} ({error.code})"[:_WORDS_MAX] if error.code or error.msg else ""
