"""What no longer counts although it is signed: a file of lines, to which `revoke` appends.

A line revokes one token by its `jti`; all that a key has signed, by its `kid`, or an API key, by
its id (`key`); or all that a `sub` was given before a time (`before`, seconds): a token without
`iat` was always given before. A line is JSON, so that half of one is told from a whole one.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from gateway.identity.issue import append

BYTES_MAX: Final = 16 << 20

_Name = Annotated[str, Meta(min_length=1, max_length=128)]


class Revocation(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """One line: `jti`, `key`, or `sub` with `before`."""

    jti: _Name | None = None
    key: _Name | None = None
    sub: _Name | None = None
    before: Annotated[int, Meta(ge=0, le=1 << 40)] | None = None

    def __post_init__(self) -> None:
        given = (self.jti is not None) + (self.key is not None) + (self.sub is not None)
        if given != 1 or (self.sub is None) != (self.before is None):
            raise ValueError("a line has `jti`, or `key`, or `sub` and `before`")


_decoder: Final = msgspec.json.Decoder(Revocation)


class Revoked:
    """All lines of a file."""

    __slots__ = ("_befores", "_jtis", "_keys")

    def __init__(self, revocations: Iterable[Revocation] = ()) -> None:
        self._jtis: set[str] = set()
        self._keys: set[str] = set()
        self._befores: dict[str, int] = {}
        for one in revocations:
            if one.jti is not None:
                self._jtis.add(one.jti)
            elif one.key is not None:
                self._keys.add(one.key)
            elif one.sub is not None and one.before is not None:
                self._befores[one.sub] = max(one.before, self._befores.get(one.sub, 0))

    def __len__(self) -> int:
        return len(self._jtis) + len(self._keys) + len(self._befores)

    def has(self, sub: str, jti: str | None, key: str, issued_s: int | None) -> bool:
        """Whether this no longer counts."""
        if key in self._keys or (jti is not None and jti in self._jtis):
            return True
        before = self._befores.get(sub)
        return before is not None and (issued_s is None or issued_s < before)


def read(data: bytes) -> Revoked:
    """The lines of a file; empty ones and those that begin with `#` say nothing.

    Raises:
        ValueError: which line is none.
    """
    if len(data) > BYTES_MAX:
        raise ValueError(f"a file of {len(data)} bytes, limit {BYTES_MAX}")
    found = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        try:
            found.append(_decoder.decode(line))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number}: {error}") from None
    return Revoked(found)


def encode(one: Revocation) -> bytes:
    """A line of the file."""
    return msgspec.json.encode(one) + b"\n"


def add(path: Path, one: Revocation) -> None:
    """Adds a line, and sees that gateways can read the file.

    Raises:
        OSError: the disk did not take it.
        ValueError: it is no line of such a file, or another one is none: then none counts that
            came after that.
    """
    line = encode(one)
    read(line)
    append(path, line)
    try:
        read(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"the line is there, but no gateway reads the file: {error}") from None
