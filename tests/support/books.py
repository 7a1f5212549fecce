"""A book of the simplest kind, as an oracle: dictionaries, decimals, and a sort for each look.

It shares nothing with the gateway but the shape of a message: anything with `type`, `bids`, `asks`
and `depth`, whose levels begin with price and quantity as texts, can be applied.
"""

import heapq
import zlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Protocol

Level = tuple[str, str]
"""Price and quantity as the venue wrote them."""


class Change(Protocol):
    """A whole book, or what changed in one."""

    @property
    def type(self) -> str: ...
    @property
    def bids(self) -> Sequence[Sequence[str]]: ...
    @property
    def asks(self) -> Sequence[Sequence[str]]: ...
    @property
    def depth(self) -> int: ...


CHECKSUM_LEVELS: Final = 10


def checksum_text(bids: Sequence[Level], asks: Sequence[Level]) -> str:
    """The text of which Kraken's checksum of a book is the CRC32; each side is given best first.

    The best ten asks, then bids: of each level price and quantity without point and leading zeros
    (Kraken's "Book Checksum" page).
    """
    best = (*asks[:CHECKSUM_LEVELS], *bids[:CHECKSUM_LEVELS])
    return "".join(value.replace(".", "").lstrip("0") for level in best for value in level)


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """The CRC32 of `checksum_text`."""
    return zlib.crc32(checksum_text(bids, asks).encode())


class NaiveBook:
    """The levels of both sides; `unknown` counts deletions of levels that are not there."""

    def __init__(self) -> None:
        self._bids: dict[Decimal, Level] = {}
        self._asks: dict[Decimal, Level] = {}
        self.unknown = 0

    def apply(self, change: Change) -> None:
        """A snapshot replaces all; then each side is cut to the depth of the venue's book."""
        if change.type == "snapshot":
            self._bids, self._asks = {}, {}
        for side, levels in ((self._bids, change.bids), (self._asks, change.asks)):
            for price, qty, *_ in levels:
                if Decimal(qty):
                    side[Decimal(price)] = (price, qty)
                elif side.pop(Decimal(price), None) is None:
                    self.unknown += 1
        if change.depth:
            for worst in heapq.nsmallest(len(self._bids) - change.depth, self._bids):
                del self._bids[worst]
            for worst in heapq.nlargest(len(self._asks) - change.depth, self._asks):
                del self._asks[worst]

    def bids(self, count: int | None = None) -> list[Level]:
        """The best ones, or all, best first."""
        most = len(self._bids) if count is None else count
        return [self._bids[price] for price in heapq.nlargest(most, self._bids)]

    def asks(self, count: int | None = None) -> list[Level]:
        most = len(self._asks) if count is None else count
        return [self._asks[price] for price in heapq.nsmallest(most, self._asks)]

    @property
    def crossed(self) -> bool:
        return bool(self._bids and self._asks) and max(self._bids) >= min(self._asks)

    def checksum(self) -> int:
        """Kraken's."""
        return checksum(self.bids(CHECKSUM_LEVELS), self.asks(CHECKSUM_LEVELS))
