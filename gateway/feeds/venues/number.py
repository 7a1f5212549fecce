"""Numbers and decimals within messages; decimals that are JSON numbers are taken by their digits,
as if they were texts. Pure."""

from collections.abc import Iterable
from typing import Annotated

import msgspec

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def quoted(message: bytes | msgspec.Raw, members: Iterable[str]) -> bytes:
    """The object with those of the members that are numbers as texts: a float would round them.

    Raises:
        ValueError: it is no object.
    """
    found = _decode_members(message)
    for name in members:
        value = bytes(found.get(name, b""))
        if value[:1].isdigit() or value[:1] == b"-":
            found[name] = msgspec.Raw(b'"%s"' % value)
    return msgspec.json.encode(found)


def half(price: str | None, qty: str | None) -> tuple[str | None, str | None]:
    """One side of a quote. Empty texts, and nothing at the price of nothing, are how Bybit and
    Coinbase tell that it is empty.
    """
    if not price or not (price.strip("0.") or (qty or "").strip("0.")):
        return None, None
    return price, qty
