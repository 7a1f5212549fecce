"""A made-up order book around the quotes of one symbol: what the `synthetic` feed has of books.

Both sides have LEVELS levels, a tick apart, from the quote's prices outwards. A quote that moves
takes levels away and adds others; one that stays changes the best quantities and one level deeper.
"""

from random import Random
from typing import Final

LEVELS: Final = 20
"""Of a side."""

Levels = list[tuple[str, ...]]


class Ladder:
    """The same seed and the same quotes are the same book."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._best: tuple[int, int] | None = None

    def quote(self, bid: str, bid_qty: str, ask: str, ask_qty: str) -> tuple[bool, Levels, Levels]:
        """Whether it is the whole book, else what changed in it; bids and asks."""
        decimals = len(bid.partition(".")[2])
        best = int(bid.replace(".", "")), int(ask.replace(".", ""))
        before, self._best = self._best, best
        levels: list[Levels] = []
        for side, qty in enumerate((bid_qty, ask_qty)):
            step = 2 * side - 1  # outwards
            new = range(best[side], best[side] + step * LEVELS, step)
            old = range(0)
            if before is not None:
                old = range(before[side], before[side] + step * LEVELS, step)
            changed = {tick: "0" for tick in old if tick not in new}
            changed |= {tick: self._qty() for tick in new if tick not in old}
            changed[self._random.choice(new)] = self._qty()
            changed[best[side]] = qty
            levels.append([(_text(tick, decimals), qty) for tick, qty in changed.items()])
        return before is None, levels[0], levels[1]

    def _qty(self) -> str:
        return f"{self._random.randint(1, 50_000) / 1000:.3f}"


def _text(tick: int, decimals: int) -> str:
    digits = f"{tick:0{decimals + 1}d}"
    return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
