"""Decimals that are sent as JSON numbers: taken by their digits, as if they were texts. Pure."""

from collections.abc import Iterable

import msgspec

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
