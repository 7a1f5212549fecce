"""A second dialect, for tests alone: trades as a small JSON, by the venue's own name, and silence.

`/raw/<symbol>` has that symbol's trades at once; at `/raw` a client asks with `["btcusdt"]`, gets
the number of names that it has now, and has two seconds for it. There is no hello, no heartbeat, no
other notice, and no word of what was skipped. It differs from ours wherever a dialect can.
"""

import json
from collections.abc import Sequence
from typing import Final

from gateway.codec.formats import Format
from gateway.dialects.dialect import Arrival, Dialect
from gateway.session.access import Rights
from gateway.session.actions import Action, Close, Reply, StatsRow, Subscribe, Wake
from gateway.session.catalog import Catalog
from gateway.session.options import Shared

VENUE: Final = "TEST"
ASK_WITHIN_S: Final = 2.0

_TRADE: Final = '{"s":"<symbol:bare_lower>","p":"<price>","q":"<qty>","t":"<id>"}<skipped:>'
RAW: Final = Format("raw", {("trade", kind): _TRADE for kind in ("update", "snapshot")}, {})


class RawSession:
    """Trades of names that only grow in number."""

    def __init__(self) -> None:
        self._names: list[str] = []

    @property
    def subscriptions(self) -> int:
        return len(self._names)

    def begin(self, arrival: Arrival) -> list[Action]:
        """What its path asks for."""
        symbol = arrival.target.removeprefix("/raw").removeprefix("/")
        if symbol:
            return [self._subscribe([symbol], b"")]
        return [Wake(arrival.mono_ns + int(ASK_WITHIN_S * 1e9))]

    def receive(self, text: str, *, mono_ns: int, real_ns: int) -> list[Action]:
        try:
            symbols = json.loads(text)
        except ValueError:
            return [Close(1008, "no JSON")]
        count = len(self._names) + len(symbols)
        return [Wake(0), self._subscribe(symbols, str(count).encode())]

    def wake(self, mono_ns: int) -> list[Action]:
        return [Close(1008, "asked for nothing")]

    def stats(self, token: int, rows: Sequence[StatsRow]) -> Reply:
        raise AssertionError("it never asks")

    def forbidden(self, identity: int) -> list[Action]:
        raise AssertionError("it may have everything")

    def regranted(self, rights: Rights) -> list[Action]:
        raise AssertionError("it may have everything")

    def review(self) -> list[Action]:
        raise AssertionError("it may have everything")

    def end(self) -> None:
        """It has nothing to let go of."""

    def _subscribe(self, symbols: list[str], payload: bytes) -> Subscribe:
        items = tuple(
            (number, "trade", f"{symbol.upper()}.{VENUE}", True, True, True, 0, 0, 0)
            for number, symbol in enumerate(symbols, len(self._names))
        )
        self._names += symbols
        return Subscribe(payload, (), items)


def _open(arrival: Arrival, _: Catalog, __: Shared) -> tuple[RawSession, list[Action]]:
    session = RawSession()
    return session, session.begin(arrival)


RAW_DIALECT: Final = Dialect({"/raw": {None: RAW}, "/raw/*": {None: RAW}}, _open)
