"""Books of captures, from the file to clients that trust nothing: a websocket library of another
hand with its usual limit of 1 MiB a message, a book made of dictionaries, sums of another's."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import zstandard
from support import captures
from support.book_client import FRAME_MAX, PlainBook
from support.serving import Serving, until
from support.stage import Stage
from websockets.sync.client import ClientConnection, connect

from gateway.codec.decode import BookMessage, decode

MESSAGE_MAX = 1 << 20
TIMEOUT_S = 60.0
COINBASE = "coinbase/advanced_trade.jsonl.zst"
PRODUCTS = ("BTC-USD", "ETH-USD")
BYBIT = "bybit/BYBIT.jsonl.zst"
MARKETS = {"BYBIT.ws.2": "", "BYBIT.ws.3": "-SPOT"}

Levels = list[tuple[str, str]]
Sides = tuple[Levels, Levels]


class Follower:
    """Makes books of what one connection says, and checks each frame."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._parts: defaultdict[str, list[BookMessage]] = defaultdict(list)
        self.books: dict[str, PlainBook] = {}
        self.seqs: dict[str, int] = {}
        self.gaps: list[tuple[str, str]] = []
        self.counts: defaultdict[str, list[int]] = defaultdict(lambda: [0])  # of frames, by gaps
        self.health: defaultdict[str, list[str]] = defaultdict(list)
        self.frames = self.parts_most = self.longest = 0

    def take(self, text: str) -> None:
        self.longest = max(self.longest, len(text))
        message = json.loads(text)
        if message.get("type") == "gap":
            self.gaps += [(one["symbol"], one["reason"]) for one in message["data"]]
            for one in message["data"]:
                self.counts[one["symbol"]].append(0)
        elif message.get("channel") == "health":
            self.health[message["symbol"]].append(message["data"][0]["state"])
        elif message.get("channel") == "book":
            assert len(text) <= FRAME_MAX
            frame = decode(text.encode())
            assert isinstance(frame, BookMessage)
            self._frame(frame)

    def _frame(self, frame: BookMessage) -> None:
        parts = self._parts[frame.symbol]
        parts.append(frame)
        part, of = frame.part or (1, 1)
        assert part == len(parts)
        assert all((one.seq, one.type) == (frame.seq, frame.type) for one in parts)
        if part < of:
            return
        self.parts_most = max(self.parts_most, of)
        self.frames += 1
        symbol = frame.symbol
        if symbol in self.seqs:
            assert frame.seq == self.seqs[symbol] + 1 + frame.skipped
        else:
            assert frame.type == "snapshot"
        bids = [level for one in parts for level in one.data[0].bids]
        asks = [level for one in parts for level in one.data[0].asks]
        book = self.books.setdefault(symbol, PlainBook(self._depth))
        book.take(frame.type, bids, asks)
        parts.clear()
        self.seqs[symbol] = frame.seq
        assert frame.data[0].checksum == book.checksum()
        assert not frame.data[0].maybe_bad, "one in doubt takes nothing, so that no frame shows it"
        self.counts[symbol][-1] += 1
        (bid,), (ask,) = book.bids.best(1), book.asks.best(1)
        assert Decimal(bid.price) < Decimal(ask.price)

    def sides(self, symbol: str, count: int) -> Sides:
        """The best levels of a book."""
        bids, asks = (
            [(level.price, level.qty) for level in side.best(count)]
            for side in (self.books[symbol].bids, self.books[symbol].asks)
        )
        return bids, asks


def oracle(messages: Iterable[captures.Message]) -> Sides:
    """What a capture's book ends as."""
    sides: list[dict[Decimal, tuple[str, str]]] = [{}, {}]
    for message in messages:
        for side, rows in zip(sides, (message.bids, message.asks), strict=True):
            if message.snapshot:
                side.clear()
            for price, qty, *_ in rows:
                side.pop(Decimal(price), None)
                if Decimal(qty):
                    side[Decimal(price)] = price, qty
    bids, asks = sides
    return [bids[key] for key in sorted(bids, reverse=True)], [asks[key] for key in sorted(asks)]


def feed(path: Path, format: str, speed: float) -> list[str]:
    options: dict[str, Any] = {
        "type": "replay",
        "path": str(path),
        "format": format,
        "speed": speed,
        "start_after_clients": 1,
    }
    return [f"feeds.0.{key}={json.dumps(value)}" for key, value in options.items()]


def ask(client: ClientConnection, channel: str, symbols: list[str], **params: Any) -> None:
    params = {"channel": channel, "symbol": symbols, **params}
    client.send(json.dumps({"method": "subscribe", "req_id": channel, "params": params}))


def follow(gateway: Serving, follower: Follower, symbols: list[str], depth: int) -> None:
    """Until the feed has ended, and the follower has all that came of it."""
    deadline = time.monotonic() + TIMEOUT_S
    with connect(gateway.url, max_size=MESSAGE_MAX) as client:
        ask(client, "health", symbols)
        ask(client, "book", symbols, depth=depth)
        while True:
            assert time.monotonic() < deadline
            try:
                text = client.recv(timeout=0.3)
            except TimeoutError:
                if gateway.status()["feeds"][0]["state"] == "done":
                    client.send('{"method":"stats"}')
                continue
            assert isinstance(text, str)
            if '"method":"stats"' not in text[:30]:
                follower.take(text)
            elif not any(one["pending"] for one in json.loads(text)["subscriptions"]):
                return


def test_five_megabytes_of_snapshot_reach_a_client_that_takes_one(
    capture: Callable[[str], Path], stage: Stage
) -> None:
    path = capture(COINBASE)
    gateway = stage.serve(*feed(path, "coinbase", 0))
    follower = Follower(0)
    follow(gateway, follower, [f"{product}.COINBASE" for product in PRODUCTS], 0)
    assert follower.parts_most > 50
    assert follower.longest <= FRAME_MAX
    assert not follower.gaps
    said = [*captures.coinbase(path)]
    for product in PRODUCTS:
        bids, asks = oracle(message for name, message in said if name == product)
        assert len(bids) + len(asks) > 20_000
        assert follower.sides(f"{product}.COINBASE", 1 << 20) == (bids, asks)


def damaged(path: Path, to: Path, later_s: float) -> None:
    """The capture without one line in its middle, and behind that the whole, as of a connection
    that began so much later."""
    with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as plain:
        entries = [json.loads(line) for line in TextIOWrapper(plain)]
    levels = [
        number
        for number, entry in enumerate(entries)
        if entry["t"] == "recv" and entry["data"].startswith('{"channel":"l2_data"')
    ]
    removed = levels[len(levels) // 2]
    again = [entry for entry in entries if entry["t"] != "header"]
    with to.open("w") as file:
        for number, entry in enumerate(entries):
            if number != removed:
                file.write(json.dumps(entry) + "\n")
        for entry in again:
            entry["ts"] = str(float(entry["ts"]) + later_s)
            file.write(json.dumps(entry) + "\n")


def test_a_line_that_is_missing_is_told_and_the_next_snapshot_mends_it(
    capture: Callable[[str], Path], stage: Stage, tmp_path: Path
) -> None:
    path, without = capture(COINBASE), tmp_path / "without.jsonl"
    damaged(path, without, 30)
    gateway = stage.serve(*feed(without, "coinbase", 10))
    follower = Follower(25)
    symbols = [f"{product}.COINBASE" for product in PRODUCTS]
    follow(gateway, follower, symbols, 25)
    assert sorted(follower.gaps) == [(symbol, "feed") for symbol in symbols]
    said = [*captures.coinbase(path)]
    for product, symbol in zip(PRODUCTS, symbols, strict=True):
        before, behind = follower.counts[symbol]
        assert 20 < before < behind, "the first half of the capture, then all of it"
        assert "gap" in follower.health[symbol]
        assert "ok" in follower.health[symbol][follower.health[symbol].index("gap") :]
        bids, asks = oracle(message for name, message in said if name == product)
        assert follower.sides(symbol, 25) == (bids[:25], asks[:25])
    metrics = gateway.metrics()
    assert metrics.total("feed_gaps_total") >= 1


def test_books_of_two_markets_are_right_to_their_end(
    capture: Callable[[str], Path], stage: Stage
) -> None:
    path = capture(BYBIT)
    said: defaultdict[str, list[captures.Message]] = defaultdict(list)
    for name, message in captures.bybit(path):
        connection, _, symbol = name.partition(" ")
        said[f"{symbol}{MARKETS[connection]}.BYBIT"].append(message)
    gateway = stage.serve(*feed(path, "bybit", 10))
    follower = Follower(25)
    follow(gateway, follower, sorted(said), 25)
    assert len(follower.books) == 6
    assert follower.frames > 300
    assert not follower.gaps
    for symbol, messages in said.items():
        bids, asks = oracle(messages)
        assert follower.sides(symbol, 25) == (bids[:25], asks[:25])
    until(lambda: gateway.metrics().total("books_missing") == 0)
