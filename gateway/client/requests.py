"""What a client asks for, as the parameters and the lengths that a gateway takes."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from gateway.model.record import HEALTH

# The gateway takes 16 KiB a message and 1000 symbols a request by default: stay below both.
REQUEST_BYTES_MAX = 8192
REQUEST_SYMBOLS_MAX = 250

# What `health` is about (docs/protocol.md, "Health").
GATEWAY: Final = "gateway"
INSTRUMENTS: Final = "instruments"


class Request(NamedTuple):
    """A text to send; the reply bears the same `req_id`."""

    req_id: int
    text: str


def names_of(symbols: str | Iterable[str]) -> list[str]:
    """A string is one name, not the names of its letters."""
    return [symbols] if isinstance(symbols, str) else list(symbols)


def on_the_wire(channel: str, names: list[str], params: dict[str, Any]) -> dict[str, Any]:
    """`class_` and `from_` without the underscore that Python needs; None is left out.

    Of health the scope is always said: by itself `*` means the gateway, and in the company in which
    it is asked for again, instruments.
    """
    wire = {name.rstrip("_"): value for name, value in params.items() if value is not None}
    if channel == HEALTH:
        wire.setdefault("scope", GATEWAY if names == ["*"] else INSTRUMENTS)
    return wire


def chunks(symbols: Iterable[str]) -> Iterator[list[str]]:
    """Lists of symbols, each small enough for one request."""
    chunk: list[str] = []
    size = 0
    for symbol in symbols:
        more = len(symbol.encode(errors="replace")) + 3  # quotes and comma
        if chunk and (size + more > REQUEST_BYTES_MAX or len(chunk) == REQUEST_SYMBOLS_MAX):
            yield chunk
            chunk, size = [], 0
        chunk.append(symbol)
        size += more
    if chunk:
        yield chunk
