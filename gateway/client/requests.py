"""What a client asks for, as the parameters and the lengths that a gateway takes."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from gateway.client.continuity import Topic
from gateway.model.record import CANDLE, HEALTH, INTERVAL_DEFAULT

# The gateway takes 16 KiB a message and 1000 symbols a request by default: stay below both.
REQUEST_BYTES_MAX = 8192
REQUEST_SYMBOLS_MAX = 250
# With `from` results are longer, and must fit into one reply all the same.
RECOVERED_MAX = 120

# Channels that are lossless unless a client asks for less (PROTOCOL section 2).
LOSSLESS: Final = frozenset({"trade", "status"})

# What `health` is about (docs/protocol.md, "Health").
GATEWAY: Final = "gateway"
INSTRUMENTS: Final = "instruments"


class Request(NamedTuple):
    """A text to send; the reply bears the same `req_id`."""

    req_id: int
    text: str


class Key(NamedTuple):
    """One subscription: its string and, of health, whether it is the gateway's or instruments', of
    candles the interval."""

    channel: str
    symbol: str
    scope: str = ""

    @property
    def topic(self) -> Topic:
        """The topics that it is about, the string as it was asked for."""
        return Topic(self.channel, self.symbol, self.scope if self.channel == CANDLE else "")


def key_of(asked: Topic) -> Key:
    """Of the subscription to a string of topics that are instruments'."""
    scope = INSTRUMENTS if asked.channel == HEALTH else asked.interval
    return Key(asked.channel, asked.symbol, scope)


def scope_of(params: dict[str, Any]) -> str:
    """What of a subscription's parameters is not how, but what is sent."""
    return str(params.get("scope", params.get("interval", "")))


class Asked(NamedTuple):
    """A request about subscriptions that has no reply yet."""

    method: str
    channel: str
    symbols: tuple[str, ...]
    params: dict[str, Any]
    recovers: bool = False  # by itself, after a reconnect

    def key(self, symbol: str) -> Key:
        """Of one of its strings."""
        return Key(self.channel, symbol, scope_of(self.params))


class Outstanding:
    """The requests about subscriptions whose replies have not come."""

    def __init__(self) -> None:
        self._asked: dict[int | str | None, Asked] = {}
        self._subscribes: dict[Key, int] = {}  # by the newest request for it

    def add(self, req_id: int, asked: Asked) -> None:
        """It was sent."""
        self._asked[req_id] = asked
        if asked.method == "subscribe":
            self._subscribes |= dict.fromkeys(map(asked.key, asked.symbols), req_id)

    def take(self, req_id: int | str | None) -> Asked:
        """Its reply has come; an empty one where none was sent that is known here."""
        asked = self._asked.pop(req_id, Asked("", "", (), {}))
        for key in map(asked.key, asked.symbols):
            if self._subscribes.get(key) == req_id:
                del self._subscribes[key]
        return asked

    def subscribes(self, key: Key) -> bool:
        """Whether the string will begin anew, with the reply that is on its way."""
        return key in self._subscribes

    def clear(self) -> list[Asked]:
        """The connection has ended; those that it took along."""
        left = [*self._asked.values()]
        self._asked.clear()
        self._subscribes.clear()
        return left


def names_of(symbols: str | Iterable[str]) -> list[str]:
    """A string is one name, not the names of its letters."""
    return [symbols] if isinstance(symbols, str) else list(symbols)


def on_the_wire(channel: str, names: list[str], params: dict[str, Any]) -> dict[str, Any]:
    """`class_` and `from_` without the underscore that Python needs; None is left out.

    Of health the scope is always said: by itself `*` means the gateway, and in the company in which
    it is asked for again, instruments. Nor is the interval of candles left to the gateway.
    """
    wire = {name.rstrip("_"): value for name, value in params.items() if value is not None}
    if channel == HEALTH:
        wire.setdefault("scope", GATEWAY if names == ["*"] else INSTRUMENTS)
    elif channel == CANDLE:
        wire.setdefault("interval", INTERVAL_DEFAULT)
    return wire


def mode_asked(channel: str, params: dict[str, Any]) -> str:
    """The mode of a subscription that was asked for so."""
    thinned = params.get("class") in (2, 3) or "max_hz" in params
    usual = "lossless" if channel in LOSSLESS and not thinned else "conflate"
    return str(params.get("mode", usual))


def chunks(symbols: Iterable[str], *, recovers: bool = False) -> Iterator[list[str]]:
    """Lists of symbols, each small enough for one request; which asks for what was missed."""
    most = RECOVERED_MAX if recovers else REQUEST_SYMBOLS_MAX
    chunk: list[str] = []
    size = 0
    for symbol in symbols:
        more = len(symbol.encode(errors="replace")) + 3  # quotes and comma
        if chunk and (size + more > REQUEST_BYTES_MAX or len(chunk) == most):
            yield chunk
            chunk, size = [], 0
        chunk.append(symbol)
        size += more
    if chunk:
        yield chunk
