"""Books that are to be had anew: which are wanted, which are asked for, when again.

From beside the stream a book is asked for once an update of it is held: a snapshot that is older
than the stream's first update would be of no use. One that turns out to be too old, or does not
come, is asked for again, each time later. Sans-IO.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from gateway.backoff import Backoff
from gateway.feeds.live.pace import Pace

AGAIN_BASE_S: Final = 1.0
AGAIN_CAP_S: Final = 60.0
LOOKED_AT_MAX: Final = 256
"""Books looked at in one step."""


class _Want:
    __slots__ = ("asked", "backoff", "not_before_s")

    def __init__(self) -> None:
        self.asked = False
        self.backoff = Backoff(AGAIN_BASE_S, AGAIN_CAP_S, least=0.5)
        self.not_before_s = 0.0


class BookRequests:
    """The books that are to be had anew.

    Args:
        waits: whether it is of use to ask for the symbol's book now.
    """

    def __init__(self, pace: Pace, waits: Callable[[str], bool]) -> None:
        self._pace = pace
        self._waits = waits
        self._wants: dict[str, _Want] = {}

    def __len__(self) -> int:
        return len(self._wants)

    def want(self, symbol: str) -> None:
        """The symbol's book is not there, or in doubt."""
        self._wants.setdefault(symbol, _Want())

    def have(self, symbol: str) -> None:
        """It stands, or is not wanted any more."""
        self._wants.pop(symbol, None)

    def due(self, now_s: float, most: int) -> Iterator[str]:
        """Symbols to ask for now, which count as asked; those looked at go behind the others."""
        for symbol in [*islice(self._wants, LOOKED_AT_MAX)]:
            if most <= 0:
                return
            want = self._wants.pop(symbol)
            self._wants[symbol] = want
            ready = not want.asked and now_s >= want.not_before_s and self._waits(symbol)
            if ready and self._pace.take(now_s):
                want.asked = True
                most -= 1
                yield symbol

    def answered(
        self, symbol: str, now_s: float, wait_s: float = 0.0, *, least_s: float = 0.0
    ) -> None:
        """An answer came; where the book is wanted still, it is asked for again, but later.

        Args:
            wait_s: that long the venue wants no request at all.
            least_s: that long this one's answer may still take.
        """
        if wait_s:
            self._pace.not_before_s = max(self._pace.not_before_s, now_s + wait_s)
        want = self._wants.get(symbol)
        if want is not None:
            want.asked = False
            want.not_before_s = now_s + max(want.backoff.next_s(), wait_s, least_s)
