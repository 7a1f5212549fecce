"""Reference data of instruments of which nobody tells any: from their names, and the digits seen.

A venue pads its numbers ("61837.63000000"), so the zeros at their ends say nothing, and each number
may show that the smallest step is finer than it seemed. What is known of an instrument is told when
there have been some messages of it, and whenever it changes, until many in a row have brought
nothing new. Quantities at rest may be finer than an order's can be, being what is left of one: of
an instrument that trades, those of its trades are taken.
"""

from collections.abc import Iterable
from typing import Final

from gateway.feeds.venues.message import BookMessage, Instrument, Message
from gateway.feeds.venues.reference import Assets, step

INSTRUMENTS_MAX: Final = 65_536
"""Nothing is inferred of more."""
MESSAGES_MIN: Final = 16
"""Messages of an instrument before anything is told: of fewer the digits say too little."""
MESSAGES_MAX: Final = 4096
"""Messages of an instrument in a row that show nothing new; then it is looked at no more."""
LEVELS_MAX: Final = 8
"""Of a message of a book, a side."""


class _Seen:
    __slots__ = ("messages", "news", "price", "qty", "traded")

    def __init__(self) -> None:
        self.price = self.qty = -1  # digits behind the point
        self.messages = -MESSAGES_MIN  # since something was new
        self.news = False  # that is not told yet
        self.traded = False


class Inferred:
    """What one feed's records show of its instruments.

    Args:
        assets: what a symbol shows.
    """

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        self._seen: dict[str, _Seen | None] = {}

    def told(self, symbol: str) -> None:
        """Somebody tells, or there is no room for it: nothing more is inferred."""
        if symbol in self._seen or len(self._seen) < INSTRUMENTS_MAX:
            self._seen[symbol] = None

    def see(self, message: Message | BookMessage) -> Instrument | None:
        """What is known of the message's instrument, where the message shows something new."""
        seen = self._seen.get(message.symbol)
        if seen is None:
            if message.symbol in self._seen or len(self._seen) >= INSTRUMENTS_MAX:
                return None
            seen = self._seen[message.symbol] = _Seen()
        seen.messages += 1
        prices, quantities = _numbers(message)
        trades = isinstance(message, Message) and message.channel == "trade"
        if trades and not seen.traded:
            seen.traded, seen.qty = True, -1
        price = digits(prices)
        qty = digits(quantities) if trades or not seen.traded else -1
        if price > seen.price or qty > seen.qty:
            seen.price, seen.qty, seen.news = max(price, seen.price), max(qty, seen.qty), True
            seen.messages = min(seen.messages, 0)
        if seen.messages < 0 or not seen.news:
            if seen.messages >= MESSAGES_MAX:
                self._seen[message.symbol] = None
            return None
        seen.news = False
        base, quote = self._assets(message.symbol)
        steps = step(seen.price), step(seen.qty)
        return Instrument(message.symbol, base, quote, *steps, seen.price, seen.qty)


def _numbers(message: Message | BookMessage) -> tuple[Iterable[object], Iterable[object]]:
    if isinstance(message, BookMessage):
        levels = message.bids[:LEVELS_MAX] + message.asks[:LEVELS_MAX]
        return [level[0] for level in levels], [level[1] for level in levels]
    fields = message.fields
    if message.channel == "trade":
        return fields[1:2], fields[2:3]
    return fields[1::2], fields[2::2]


def digits(numbers: Iterable[object]) -> int:
    """The most digits behind the point that one of them needs; -1: there is none.

    One with an exponent shows nothing: no venue writes its steps so.
    """
    most = -1
    for number in numbers:
        if isinstance(number, str) and "e" not in number and "E" not in number:
            _, point, fraction = number.partition(".")
            most = max(most, len(fraction.rstrip("0")) if point else 0)
    return most
