"""Scripts of what happens to a client of one order book, as `client_scripts` has them of others.

The gateway in them is a made-up one: frames are lost, or have another sum than their book; states
come in parts, of which some are lost too; connections end; and each subscription is answered, and
then by a snapshot.
"""

import json
from typing import Any

from gateway._native import Book as NativeBook
from gateway.client import Event
from gateway.client.requests import Request
from support.client_scripts import SECOND_NS, TIMES, Happening

SCRIPTS = 30
STEPS = 120
SYMBOL = "A.SIM"
DEPTH = 5
Side = list[tuple[str, str]]


class Script(Happening):
    """Of one book."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._book = NativeBook(depth=DEPTH)
        self._seq = self._skipped = 0
        self._lost = False  # the frame before: then this one has no fault of its own

    def _begin(self) -> None:
        super()._begin()
        requests = self._session.subscribe("book", [SYMBOL])
        self._did({"do": "subscribe", "channel": "book", "symbol": SYMBOL}, requests, [])

    def _step(self) -> None:
        if self._unanswered:
            self._reply(self._unanswered.pop(0))
            self._state()
            return
        match self._dice.randrange(40):
            case 0:
                self._epoch += self._dice.random() < 0.3
                self._connect()
            case 1 | 2:
                self._state()
            case 3:
                self._change()
                self._seq += 1
                self._lost = True
            case 4 if not self._lost:
                self._row("update", {"bids": [["x", "1"]], "asks": []})
            case 5:
                self._skipped += 1
                self._seq += 1
            case _:
                bids, asks = self._change()
                self._row("update", {"bids": bids, "asks": asks} | self._said())

    def _change(self) -> tuple[Side, Side]:
        sides: tuple[Side, Side] = ([], [])
        for _ in range(self._dice.randrange(1, 4)):
            side = self._dice.randrange(2)
            price = 100 + self._dice.randrange(1, 9) * (-1, 1)[side]
            qty = self._dice.choice(("0", "1.50", "2", "0.1"))
            sides[side].append((f"{price}.0", qty))
        before = self._book.seq
        self._book.apply(*sides)
        assert self._book.seq <= before + 1
        return sides

    def _said(self) -> dict[str, Any]:
        wrong = self._dice.random() < 0.08 and not self._lost
        return {"depth": DEPTH, "checksum": self._book.checksum() ^ wrong}

    def _state(self) -> None:
        """A snapshot, now and then in parts."""
        bids, asks = self._book.levels("bid"), self._book.levels("ask")
        parts = self._dice.choice((1, 1, 2, 3))
        if parts == 1:
            self._row("snapshot", {"bids": bids, "asks": asks} | self._said())
            return
        levels: list[dict[str, Any]] = [{"bids": [], "asks": [], "depth": DEPTH}] * parts
        levels[0] = levels[0] | {"bids": bids}
        levels[-1] = levels[-1] | {"asks": asks} | self._said()
        skipped, self._skipped = self._skipped, 0
        self._seq += 1
        for number, row in enumerate(levels, start=1):
            if self._dice.random() > 0.05:
                self._frame("snapshot", row, skipped, part=[number, parts])

    def _row(self, kind: str, row: dict[str, Any]) -> None:
        skipped, self._skipped = self._skipped, 0
        self._seq += 1
        self._frame(kind, row, skipped)

    def _frame(self, kind: str, row: dict[str, Any], skipped: int, **more: Any) -> None:
        self._lost = False
        head = {"channel": "book", "type": kind, "symbol": SYMBOL, "seq": self._seq, **TIMES}
        self._message(json.dumps(head | {"data": [row], "skipped": skipped} | more))

    def _reply(self, request: Request) -> None:
        asked = json.loads(request.text)
        result = {"symbol": SYMBOL, "success": True, "mode": "conflate", "depth": DEPTH}
        reply = {"method": asked["method"], "req_id": request.req_id, "success": True}
        self._message(json.dumps(reply | {"results": [result]}))

    def _follows(self, events: list[Event]) -> list[Request]:
        return super()._follows(events) + self._session.due(self._clock_s * SECOND_NS)


def scripts() -> list[dict[str, Any]]:
    """All of them; the same in every run."""
    return [Script(seed).made(STEPS) for seed in range(SCRIPTS)]
