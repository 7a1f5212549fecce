"""Binance as it speaks: spot, USD-M and COIN-M."""

import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.standin.market import Book, books
from support.standin.server import StandIn


class BinanceStandIn(StandIn):
    """One market of Binance."""

    def __init__(self, *symbols: str, market: str = "spot", seed: int = 1) -> None:
        super().__init__(books(symbols, seed, 1 if market == "spot" else 3))
        self.market = market
        self.statuses = dict.fromkeys(symbols, "TRADING")

    def request(self, text: str) -> tuple[list[str], set[str], set[str]]:
        asked = json.loads(text)
        number = asked["id"] + 1000 * self.faults.wrong_id
        if self.faults.refuse:
            error = {"code": 2, "msg": self.faults.refuse}
            return [json.dumps({"error": error, "id": number})], set(), set()
        streams = set(asked["params"])
        reply = json.dumps({"result": None, "id": number})
        if asked["method"] == "UNSUBSCRIBE":
            return [reply], set(), streams
        return [reply], streams, set()

    def messages(self, book: Book) -> list[tuple[str, str, bool]]:
        trades, change = book.tick()
        name, now_ms = book.symbol.lower(), time.time_ns() // 1_000_000
        futures = self.market != "spot"
        found = []
        for trade in trades:
            data: dict[str, Any] = {"e": "trade", "E": now_ms, "T": now_ms, "s": book.symbol}
            data |= {"t": trade.id, "p": trade.price, "q": trade.qty, "m": trade.sell}
            data |= {"X": "MARKET"} if futures else {"M": True}
            found.append(_combined(f"{name}@trade", data))
        bid, ask = book.top()
        quote: dict[str, Any] = {"u": change.last, "s": book.symbol}
        quote |= {"b": bid[0], "B": bid[1], "a": ask[0], "A": ask[1]}
        quote |= {"e": "bookTicker", "T": now_ms, "E": now_ms} if futures else {}
        found.append(_combined(f"{name}@bookTicker", quote))
        depth: dict[str, Any] = {"e": "depthUpdate", "E": now_ms, "s": book.symbol}
        depth |= {"U": change.first, "u": change.last, "b": change.bids, "a": change.asks}
        depth |= {"T": now_ms, "pu": change.previous} if futures else {}
        return [*found, (*_combined(f"{name}@depth@100ms", depth)[:2], True)]

    def rest(self, path: str) -> tuple[int, Any]:
        parts = urlsplit(path)
        if parts.path.endswith("/exchangeInfo"):
            return 200, {"symbols": [self._listed(one) for one in self.books]}
        symbol = parse_qs(parts.query).get("symbol", [""])[0]
        book = self.books.get(symbol)
        if not parts.path.endswith("/depth") or book is None:
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        bids, asks = book.levels()
        return 200, {"lastUpdateId": book.update, "bids": bids, "asks": asks}

    def _listed(self, symbol: str) -> dict[str, Any]:
        state = "status" if self.market != "coinm" else "contractStatus"
        filters = [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "stepSize": "0.00001000"},
        ]
        base = {"symbol": symbol, "baseAsset": symbol[:-4], "quoteAsset": symbol[-4:]}
        return base | {state: self.statuses[symbol], "filters": filters}


def _combined(stream: str, data: dict[str, Any]) -> tuple[str, str, bool]:
    return stream, json.dumps({"stream": stream, "data": data}), False
