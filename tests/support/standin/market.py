"""A made-up market that knows the truth: each book after each change, and every trade."""

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

TICK = Decimal("0.01")
LEVELS = 20
"""A side, at first; at most a few more."""


class Trade(NamedTuple):
    id: int
    price: str
    qty: str
    sell: bool


class Change(NamedTuple):
    """What one tick did to a book: numbers `first` to `last` behind number `previous`."""

    first: int
    last: int
    previous: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class Book:
    """One instrument; `numbered_by` more than 1 leaves numbers out, as futures do."""

    def __init__(self, symbol: str, seed: int, numbered_by: int = 1) -> None:
        self.symbol = symbol
        self._random = random.Random(f"{symbol}{seed}")
        self._step = numbered_by
        self.update = 1000
        self.bids = {self._price(9999 - n): self._qty() for n in range(LEVELS)}
        self.asks = {self._price(10001 + n): self._qty() for n in range(LEVELS)}
        self.trades: list[Trade] = []
        self._mid = 10000

    def tick(self) -> tuple[list[Trade], Change]:
        """Some trades, and a few changes that leave the book uncrossed."""
        trades = [self._trade() for _ in range(self._random.randrange(3))]
        previous, first = self.update, self.update + self._step
        self._mid += self._random.choice((-1, 0, 0, 1))
        bids: dict[str, str] = {}
        asks: dict[str, str] = {}
        for price in [p for p in self.bids if Decimal(p) >= self._mid * TICK]:
            bids[price] = "0.00000000"
        for price in [p for p in self.asks if Decimal(p) <= self._mid * TICK]:
            asks[price] = "0.00000000"
        bids[self._price(self._mid - 1)] = self._qty()
        asks[self._price(self._mid + 1)] = self._qty()
        for changes, sign in ((bids, -1), (asks, 1)):
            price = self._price(self._mid + sign * self._random.randrange(2, LEVELS))
            changes[price] = self._random.choice((self._qty(), "0.00000000"))
        for side, changes in ((self.bids, bids), (self.asks, asks)):
            for price, qty in changes.items():
                if Decimal(qty):
                    side[price] = qty
                else:
                    side.pop(price, None)
        self.update = first + self._step * (len(bids) + len(asks) - 1)
        change = Change(first, self.update, previous, [*bids.items()], [*asks.items()])
        return trades, change

    def levels(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Both sides, the best first."""
        bids = sorted(self.bids.items(), key=lambda one: -Decimal(one[0]))
        return bids, sorted(self.asks.items(), key=lambda one: Decimal(one[0]))

    def top(self) -> tuple[tuple[str, str], tuple[str, str]]:
        bids, asks = self.levels()
        return bids[0], asks[0]

    def _trade(self) -> Trade:
        price = self._price(self._mid)
        trade = Trade(len(self.trades) + 1, price, self._qty(), self._random.random() < 0.5)
        self.trades.append(trade)
        return trade

    def _price(self, ticks: int) -> str:
        return f"{ticks * TICK:.8f}"

    def _qty(self) -> str:
        return f"{self._random.randrange(1, 10**7) * Decimal('0.00001'):.8f}"


def books(symbols: Sequence[str], seed: int, numbered_by: int = 1) -> dict[str, Book]:
    return {symbol: Book(symbol, seed, numbered_by) for symbol in symbols}
