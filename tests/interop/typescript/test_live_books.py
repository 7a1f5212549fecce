"""Order books of a real gateway, in Node and in Chromium: over the end of a worker, and resumed.

The venue is a random walk of two books. The client checks each frame's number, sum and order; what
it holds at the end must be the venue's own, in the venue's digits.
"""

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.books import Level, NaiveBook
from support.fleet import position
from support.serving import Serving, kill_worker, settled, until
from support.site import site
from support.typescript import node
from support.udp import Venue
from support.visit import Visit

from gateway.feeds.venues.message import BookMessage

DEPTHS = {"A": 5, "B": 0}
LEVELS = 20
REACHED = 8  # so deep do changes reach


class Market:
    """Two books that walk at random; each change is told to the gateway and to a naive book."""

    def __init__(self, served: Serving, venue: Venue) -> None:
        self._served = served
        self._venue = venue
        self._dice = random.Random(5)
        self._books = {symbol: NaiveBook() for symbol in DEPTHS}
        self.number = 0

    def open(self) -> None:
        """The first state of each."""
        self._tell("snapshot", {symbol: self._sides(range(LEVELS)) for symbol in DEPTHS})
        until(self._published)

    def walk(self, steps: int) -> None:
        """So many changes of each; all are published when it returns."""
        for _ in range(steps):
            sides = {symbol: self._sides(self._some()) for symbol in DEPTHS}
            for bids, _asks in sides.values():
                bids.append((price(0, -1), f"{self.number}.50"))  # no window is without a change
            self._tell("update", sides)
            if self.number % 10 == 0:  # the feed's socket must have room for all
                until(self._published)
        until(self._published)

    def delivered(self) -> None:
        """Waits until the clients' kernels have all of it."""
        books = [f"{symbol}.SIM" for symbol in DEPTHS]
        url = self._served.url
        until(lambda: all(position(url, "book", one) == self.number for one in books))
        until(lambda: settled(self._served))

    def levels(self, symbol: str) -> tuple[list[Level], list[Level]]:
        """What a client of it has."""
        book, depth = self._books[symbol], DEPTHS[symbol] or None
        return book.bids(depth), book.asks(depth)

    def _some(self) -> list[int]:
        return self._dice.sample(range(1, REACHED), self._dice.randrange(1, 4))

    def _sides(self, places: "range | list[int]") -> tuple[list[Level], list[Level]]:
        """New quantities there; of a snapshot none is a deletion."""
        quantities = ("1.50", "2", "0.125") if isinstance(places, range) else ("0", "1.50", "3")
        bids, asks = (
            [(price(place, side), self._dice.choice(quantities)) for place in places]
            for side in (-1, 1)
        )
        return bids, asks

    def _tell(self, kind: Any, sides: dict[str, tuple[list[Level], list[Level]]]) -> None:
        self.number += 1
        for symbol, (bids, asks) in sides.items():
            self._books[symbol].apply(BookMessage(symbol, kind, bids, asks))  # type: ignore[arg-type]
            record = {"channel": "book", "symbol": symbol, "type": kind, "bids": bids, "asks": asks}
            self._venue.send(record | {"first": self.number, "last": self.number})

    def _published(self) -> bool:
        published = self._served.metrics().of("published_total", "book")
        return published == self.number * len(DEPTHS)


def price(place: int, side: int) -> str:
    cents = 10_000 + side * (5 + 10 * place)
    return f"{cents // 100}.{cents % 100:02d}"


Ask = Callable[[str], dict[str, Any]]
"""Gives a client under test an order (`watch_books.ts`), and gets its answer."""


def follow(served: Serving, market: Market, ask: Ask) -> None:
    """The worker dies and is missed; then the client leaves a book, and resumes it."""
    market.walk(100)
    market.delivered()
    kill_worker(served)
    market.walk(10)
    until(lambda: served.metrics().total("subscriptions") == len(DEPTHS))
    market.walk(100)
    market.delivered()
    left = ask("leave")["last"]
    assert left == market.number
    market.walk(7)
    market.delivered()
    assert ask("resume") == {"recovery": "replaying", "seq": left, "to": market.number}
    market.walk(30)
    market.delivered()
    check(market, ask("end"))


def check(market: Market, seen: dict[str, Any]) -> None:
    """Each update was a frame or merged into one, and the books are the venue's."""
    assert seen["wrong"] == []
    assert (seen["mismatches"], seen["malformed"]) == (0, 0)
    assert (seen["kinds"]["hello"], seen["kinds"]["replay_completed"]) == (2, 1)
    for symbol in DEPTHS:
        topic, book = seen["topics"][f"{symbol}.SIM"], seen["books"][f"{symbol}.SIM"]
        assert (topic["first"], topic["last"]) == (1, market.number)
        assert topic["frames"] + topic["skipped"] == market.number
        assert topic["frames"] > 20
        bids, asks = ([list(level) for level in side] for side in market.levels(symbol))
        assert book == {"bids": bids, "asks": asks, "ready": True}


@pytest.mark.parametrize(
    ("encoding", "socket"), [("json", "platform"), ("sbe", "platform"), ("sbe", "ws")]
)
def test_books_in_node(
    package: Path, served: Serving, venue: Venue, encoding: str, socket: str
) -> None:
    market = Market(served, venue)
    market.open()
    command, whose = node(socket)
    command += ["build/test/live_books.js", served.url, encoding, whose]
    with subprocess.Popen(
        command, cwd=package, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        pipe, answers = program.stdin, program.stdout
        assert pipe is not None
        assert answers is not None

        def ask(order: str) -> dict[str, Any]:
            pipe.write(f"{order}\n")
            pipe.flush()
            answer: dict[str, Any] = json.loads(answers.readline())
            return answer

        try:
            assert answers.readline() == "ready\n"
            follow(served, market, ask)
            pipe.close()
            assert program.wait(60) == 0
        finally:
            program.kill()


PAGE = """
async ([url, encoding]) => {
  const { Client } = await import("/dist/tickgate.min.js");
  const { watch } = await import("/build/test/watch_books.js");
  window.orders = await watch(new Client(url, { encoding, wait_s: 10 }));
}
"""


@pytest.mark.parametrize("encoding", ["json", "sbe"])
def test_books_in_chromium(
    package: Path, served: Serving, venue: Venue, visit: Visit, encoding: str
) -> None:
    market = Market(served, venue)
    market.open()

    def ask(order: str) -> dict[str, Any]:
        answer: dict[str, Any] = visit.page.evaluate("order => orders[order]()", order)
        return answer

    with site(package) as page:
        visit.page.goto(page)
        visit.page.evaluate(PAGE, [served.url, encoding])
        follow(served, market, ask)
    wrong = [one for one in visit.wrong if "WebSocket connection" not in one]
    assert wrong == [], "but for the connections that the browser could not make"
