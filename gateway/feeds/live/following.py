"""Which of a venue's instruments a feed follows: those that the configuration names, or matches."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.feeds.venues.message import Instrument
from gateway.model.topic import match_pattern


class Change(NamedTuple):
    """What a new list of instruments means.

    Attributes:
        told: instruments that are followed and are new, or are otherwise than before.
        statuses: those of them whose status is another.
        begun: symbols to follow from now on.
        ended: symbols that the venue has delisted.
        unknown: names of the configuration that the venue does not list.
    """

    told: list[Instrument]
    statuses: list[Instrument]
    begun: list[str]
    ended: list[str]
    unknown: list[str]


class Following:
    """What is followed; `wanted` are names, and patterns where there is a star in them."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self._patterns = [one for one in wanted if "*" in one]
        self._names = dict.fromkeys(one for one in wanted if "*" not in one)
        self._known: dict[str, Instrument] = {}
        self.symbols: dict[str, None] = {}

    def names(self) -> list[str]:
        """Of the venue's list nothing is known: the names are followed as they are."""
        begun = [name for name in self._names if name not in self.symbols]
        self.symbols.update(dict.fromkeys(begun))
        return begun

    def take(self, listed: Iterable[Instrument]) -> Change:
        """The venue's list."""
        change = Change([], [], [], [], [])
        there = set()
        for one in listed:
            if not self._wants(one.symbol):
                continue
            there.add(one.symbol)
            before = self._known.get(one.symbol)
            delisted = one.status == "delisted"
            if before == one or (delisted and one.symbol not in self.symbols):
                continue
            self._known[one.symbol] = one
            change.told.append(one)
            if one.status and (before is None or before.status != one.status):
                change.statuses.append(one)
            if delisted:
                self._forget(one.symbol, change)
            elif one.symbol not in self.symbols:
                self.symbols[one.symbol] = None
                change.begun.append(one.symbol)
        for symbol in [one for one in self._known if one not in there]:
            self._forget(symbol, change)
        for symbol in [one for one in self.symbols if one not in there]:
            del self.symbols[symbol]
            change.ended.append(symbol)
        change.unknown.extend(name for name in self._names if name not in there)
        return change

    def _wants(self, symbol: str) -> bool:
        return symbol in self._names or any(match_pattern(one, symbol) for one in self._patterns)

    def _forget(self, symbol: str, change: Change) -> None:
        self._known.pop(symbol, None)
        if self.symbols.pop(symbol, ...) is not ...:
            change.ended.append(symbol)
