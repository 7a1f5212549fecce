"""What a venue's quotes say of its books: for venues whose quotes bear the numbers of their books.

A quote of number u is the top of the book from the change u on. So behind a message whose last
change is n, the book's top is the quote of the greatest number up to n. A book's messages come a
while after the quotes that they cover, of which there may be hundreds.
"""

from collections import deque
from typing import Final

from gateway.feeds.venues.message import Top

QUOTES_MAX: Final = 1024
"""Of one symbol, that are newer than its book; of more the oldest are forgotten."""


class Tops:
    """The newest quotes of a feed's symbols."""

    def __init__(self) -> None:
        self._quotes: dict[str, deque[tuple[int, Top]]] = {}

    def quote(self, symbol: str, number: int, top: Top) -> None:
        quotes = self._quotes.get(symbol)
        if quotes is None:
            quotes = self._quotes[symbol] = deque(maxlen=QUOTES_MAX)
        elif quotes and number <= quotes[-1][0]:
            if number == quotes[-1][0]:
                return
            quotes.clear()  # the venue numbers anew
        quotes.append((number, top))

    def of(self, symbol: str, last: int) -> Top | None:
        """What the top is behind the change `last`; None: not known."""
        quotes = self._quotes.get(symbol)
        if not quotes:
            return None
        while len(quotes) > 1 and quotes[1][0] <= last:
            quotes.popleft()
        number, top = quotes[0]
        return top if number <= last else None
