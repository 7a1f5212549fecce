"""Kraken's WebSocket API v2 as it speaks, with a CRC32 in every message of a book."""

import json
import time
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from support.standin.market import Book, books
from support.standin.server import StandIn

CHECKED = 10
PRICE_DIGITS, QTY_DIGITS = 2, 8


class KrakenStandIn(StandIn):
    """Pairs by their names of v2: `BTC/USD`.

    Attributes:
        wrong_sums: so many of the next checksums are wrong.
        snapshots: the pairs whose book was sent whole, in order.
    """

    def __init__(self, *symbols: str, seed: int = 1) -> None:
        super().__init__(books(symbols, seed))
        self.wrong_sums = 0
        self.snapshots: list[str] = []

    def request(self, text: str) -> tuple[list[str], set[str], set[str]]:
        asked = json.loads(text)
        method, params = asked["method"], asked["params"]
        number = asked["req_id"] + 1000 * self.faults.wrong_id
        replies, streams = [], set()
        for symbol in params["symbol"]:
            reply: dict[str, Any] = {"method": method, "req_id": number, "success": True}
            if self.faults.refuse:
                reply |= {"success": False, "error": self.faults.refuse, "symbol": symbol}
            else:
                streams.add(f"{params['channel']}:{symbol}")
                reply["result"] = params | {"symbol": symbol}
            replies.append(json.dumps(reply))
            if params["channel"] == "book" and method == "subscribe" and not self.faults.refuse:
                replies.append(self._snapshot(self.books[symbol]))
        return (replies, streams, set()) if method == "subscribe" else (replies, set(), streams)

    def messages(self, book: Book) -> list[tuple[str, str, bool]]:
        trades, change = book.tick()
        name, at = book.symbol, _now()
        found = []
        if trades:
            data = [
                {"symbol": name, "side": "sell" if one.sell else "buy", "price": _number(one.price)}
                | {"qty": _number(one.qty), "trade_id": one.id, "timestamp": at}
                for one in trades
            ]
            found.append((f"trade:{name}", _message("trade", "update", data), False))
        bid, ask = book.top()
        quote: dict[str, Any] = {"symbol": name, "bid": _number(bid[0]), "bid_qty": _number(bid[1])}
        quote |= {"ask": _number(ask[0]), "ask_qty": _number(ask[1]), "timestamp": at}
        found.append((f"ticker:{name}", _message("ticker", "update", [quote]), False))
        levels: dict[str, Any] = {
            "symbol": name,
            "bids": _levels(change.bids),
            "asks": _levels(change.asks),
        }
        levels |= {"checksum": self._sum(book), "timestamp": at}
        return [*found, (f"book:{name}", _message("book", "update", [levels]), True)]

    def rest(self, path: str) -> tuple[int, Any]:
        more: dict[str, Any] = {
            "pair_decimals": PRICE_DIGITS,
            "lot_decimals": QTY_DIGITS,
            "status": "online",
        }
        pairs = {
            name.replace("/", ""): more
            | {"wsname": name.replace("BTC", "XBT"), "tick_size": "0.01"}
            for name in self.books
        }
        return 200, {"error": [], "result": pairs}

    def _snapshot(self, book: Book) -> str:
        self.snapshots.append(book.symbol)
        bids, asks = book.levels()
        data: dict[str, Any] = {"symbol": book.symbol, "bids": _levels(bids), "asks": _levels(asks)}
        return _message("book", "snapshot", [data | {"checksum": self._sum(book)}])

    def _sum(self, book: Book) -> int:
        wrong = self.wrong_sums > 0
        self.wrong_sums -= wrong
        bids, asks = book.levels()
        text = "".join(_digits(*level) for level in [*asks[:CHECKED], *bids[:CHECKED]])
        return zlib.crc32(text.encode()) ^ wrong


def _digits(price: str, qty: str) -> str:
    one, other = f"{Decimal(price):.{PRICE_DIGITS}f}", f"{Decimal(qty):.{QTY_DIGITS}f}"
    return one.replace(".", "").lstrip("0") + other.replace(".", "").lstrip("0")


def _number(text: str) -> Any:
    """As Kraken writes numbers: without the zeros at their end."""
    return f"#{Decimal(text).normalize():f}#"


def _levels(levels: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"price": _number(price), "qty": _number(qty)} for price, qty in levels]


def _message(channel: str, kind: str, data: list[Any]) -> str:
    text = json.dumps({"channel": channel, "type": kind, "data": data})
    return text.replace('"#', "").replace('#"', "")


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
