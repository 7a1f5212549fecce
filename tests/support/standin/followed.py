"""A live feed against a stand-in, and what it published: books, trades, quotes, states."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gateway.feeds.feed import Counters
from gateway.feeds.live.feed import LiveFeed
from gateway.feeds.live.venue import LiveVenue

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeStats

    from support.standin.market import Book


WAIT_S = 20.0
HURRY: dict[str, Any] = {"first_data_s": 1.0, "reply_s": 1.0, "ping_s": 0.5, "messages_per_s": 20.0}
HURRY |= {"connects_per_s": 50.0, "snapshots_per_s": 50.0}
"""Facts of a venue that is next door."""


class Followed:
    """What a feed made of its venue."""

    def __init__(self, feed: LiveFeed, publisher: "FakePublisher", code: str) -> None:
        self.feed = feed
        self.publisher = publisher
        self._code = code
        self.states: list[str] = []

    async def until(self, holds: Callable[[], object], what: str = "") -> None:
        end_s = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < end_s, (what, self.feed.statistics())
            await asyncio.sleep(0.01)

    @property
    def state(self) -> tuple[str, str]:
        status = self.feed.statistics()
        return status.state, status.message

    def book(self, symbol: str) -> tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] | None:
        """The book as published; None: there is none, or it is in doubt."""
        topic = self._topic("book", symbol)
        sides: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] | None = None
        for number, *message in self.publisher.books:
            if number != topic:
                continue
            if len(message) == 1:  # a doubt
                sides = None
                continue
            snapshot, bids, asks, _ = message
            if snapshot:
                sides = {}, {}
            if sides is not None:
                for side, levels in zip(sides, (bids, asks), strict=True):
                    _apply(side, levels)
        return sides

    def agrees(self, book: "Book") -> bool:
        """Whether the book as published is the truth."""
        mine = self.book(book.symbol)
        truth: tuple[dict[Decimal, Decimal], ...] = ({}, {})
        for side, levels in zip(truth, book.levels(), strict=True):
            _apply(side, levels)
        return mine == truth

    async def stands(self, *symbols: str) -> None:
        """Waits until the books of all these do, and the feed is up."""
        await self.until(lambda: all(map(self.book, symbols)) and self.state[0] == "up", "books")

    async def agree(self, *books: "Book") -> None:
        """Waits, the market being at rest, until all books are the truth."""
        await self.until(lambda: all(map(self.agrees, books)), "the truth")

    def trades(self, symbol: str) -> list[tuple[int, str, str, bool]]:
        """Number, price, quantity, whether the taker sold."""
        topic = self._topic("trade", symbol)
        rows: list[Any] = [row for row in self.publisher.rows if row[0] == topic]
        return [(int(row[5]), row[2], row[3], row[4] == "sell") for row in rows]

    def lost(self, symbol: str) -> int:
        """Trades of which its subscribers were told that they are missing."""
        topic = self._topic("trade", symbol)
        return sum(count for row, _, count in self.publisher.gaps if row[0] == topic)

    def doubts(self, symbol: str) -> list[tuple[str, str]]:
        """State and reason of each."""
        topic = self._topic("book", symbol)
        books = [one[1] for one in self.publisher.books if len(one) == 2 and one[0] == topic]
        return [(one["state"], one["reason"]) for one in books]

    def _topic(self, channel: str, symbol: str) -> int:
        return self.publisher.topics.get((channel, f"{symbol}.{self._code}"), -1)


def _apply(side: dict[Decimal, Decimal], levels: Sequence[tuple[str, ...]]) -> None:
    for price, qty, *_ in levels:
        if Decimal(qty):
            side[Decimal(price)] = Decimal(qty)
        else:
            side.pop(Decimal(price), None)


@contextlib.asynccontextmanager
async def followed(
    venue: LiveVenue,
    wanted: tuple[str, ...],
    publisher: "FakePublisher",
    stats: "FakeStats",
    **facts: Any,
) -> AsyncIterator[Followed]:
    """The feed runs within; behind it, its thread has ended."""
    venue.facts = venue.facts._replace(**(HURRY | facts))
    counters = Counters("binance:X", "binance", "X", 1, stats)
    feed = LiveFeed("binance:X", 1, venue, "X", wanted, publisher, counters, {})
    running = asyncio.create_task(feed.run())
    try:
        yield Followed(feed, publisher, "X")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
