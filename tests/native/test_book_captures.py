"""Books of real venues, against what the venues themselves say of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.captures import Message, binance, bybit, coinbase, kraken

from gateway._native import BOOK_DEPTHS, BOOK_LEVELS_MAX, Book, BookLink

if TYPE_CHECKING:
    from gateway._native import BookFrame, BookRow

Capture = Callable[[str], Path]
Venue = Callable[[Path], Iterator[tuple[str, Message]]]


def take(book: Book, message: Message) -> None:
    (book.replace if message.snapshot else book.apply)(message.bids, message.asks)


@pytest.mark.parametrize(("market", "updates"), [("spot", 3449), ("usdm", 6547)])
def test_binance_has_the_best_prices_that_it_says(
    capture: Capture, market: str, updates: int
) -> None:
    book = Book(levels_max=8192)
    said, compared, equal = None, 0, 0
    for message in binance(capture(f"binance/{market}_btcusdt_20240808.jsonl.gz")):
        if message.top is not None:
            said = message.top
            continue
        take(book, message)
        bid, ask = book.top()
        assert bid is not None
        assert ask is not None
        assert Decimal(bid[0]) < Decimal(ask[0]), f"crossed at {message.last}"
        if not message.snapshot:
            compared += said is not None
            equal += said == (bid, ask)
    assert (compared, equal) == (updates, updates)


def test_kraken_has_the_checksums_that_it_says(capture: Capture) -> None:
    books: dict[str, Book] = {}
    equal = 0
    for pair, message in kraken(capture("kraken/KRAKEN.jsonl.zst")):
        book = books.setdefault(pair, Book(depth=1000))
        take(book, message)
        if message.checksum is not None:
            assert book.checksum() == message.checksum, f"{pair} at {book.seq}"
            equal += 1
    assert (len(books), equal) == (10, 4269)


# --- clients that get some frames only ------------------------------------------------------------


class Side:
    """What a client has of one side: by price, cut to its depth after each level."""

    def __init__(self, sign: int, depth: int) -> None:
        self.rows: dict[Decimal, BookRow] = {}
        self._sign, self._depth = sign, depth

    def apply(self, rows: Iterable[BookRow]) -> None:
        for row in rows:
            price = Decimal(row[0])
            if Decimal(row[1]) == 0:
                del self.rows[price]  # one that it does not have is an error
                continue
            self.rows[price] = row
            if self._depth and len(self.rows) > self._depth:
                del self.rows[min(self.rows, key=lambda at: at * self._sign)]

    def best(self) -> list[BookRow]:
        return [self.rows[at] for at in sorted(self.rows, key=lambda at: -at * self._sign)]


class Client:
    """A strict one, which looks now and then, and of whose frames some never leave."""

    def __init__(self, book: Book, depth: int, chance: random.Random) -> None:
        self.book, self.depth, self.link = book, depth, BookLink(book, depth)
        self.seq, self.updates = 0, 0
        self._chance, self._due = chance, 0
        self._bids, self._asks = Side(1, depth), Side(-1, depth)

    def look(self) -> None:
        if self._due > self.book.seq:
            return
        place = self.link.place
        frame = self.link.render()
        if frame is not None and self._chance.random() < 0.2:
            self.link.take_back(place)
            return
        most = self._chance.choice((1, 1, 1, 4, 40, 400))
        self._due = self.book.seq + self._chance.randint(1, most)
        if frame is not None:
            self._apply(frame)
        assert self._bids.best() == self.book.levels("bid", self.depth)
        assert self._asks.best() == self.book.levels("ask", self.depth)

    def _apply(self, frame: BookFrame) -> None:
        kind, seq, skipped, bids, asks = frame
        if kind == "snapshot":
            self._bids.rows.clear()
            self._asks.rows.clear()
        assert self.seq == 0 or seq == self.seq + 1 + skipped
        self.seq = seq
        self.updates += kind == "update"
        self._bids.apply(bids)
        self._asks.apply(asks)


def watched(messages: list[Message], book: Book, seed: int) -> list[Client]:
    chance = random.Random(seed)
    clients = [Client(book, depth, chance) for depth in BOOK_DEPTHS]
    for message in messages:
        take(book, message)
        for client in clients:
            client.look()
    return clients


@pytest.mark.parametrize("market", ["spot", "usdm"])
def test_clients_of_binance_have_the_book(capture: Capture, market: str) -> None:
    messages = binance(capture(f"binance/{market}_btcusdt_20240808.jsonl.gz"))
    books = [message for message in messages if message.top is None]
    clients = watched(books[:2000], Book(levels_max=8192), 1)
    assert min(client.updates for client in clients) > 10


@pytest.mark.parametrize(
    ("name", "venue", "depth"),
    [
        # Its depth is 1,000, so that levels leave it that no message names.
        ("kraken/KRAKEN.jsonl.zst", kraken, 1000),
        # Levels differ in the digits of their prices; one side has 27,000.
        ("coinbase/advanced_trade.jsonl.zst", coinbase, 0),
        ("bybit/BYBIT.jsonl.zst", bybit, 0),
    ],
    ids=["kraken", "coinbase", "bybit"],
)
def test_clients_of_other_venues_have_the_book(
    capture: Capture, name: str, venue: Venue, depth: int
) -> None:
    books: dict[str, list[Message]] = {}
    for instrument, message in venue(capture(name)):
        books.setdefault(instrument, []).append(message)
    updates = 0
    for seed, messages in enumerate(books.values()):
        clients = watched(messages, Book(depth=depth, levels_max=BOOK_LEVELS_MAX), seed)
        updates += sum(client.updates for client in clients)
    assert updates > 50
