"""Tokens that were verified: a reconnect costs a look-up in place of a signature.

Only successes are kept, by the token's hash and the key set that they were verified by; whether the
claims still hold and are not revoked is asked each time. What is here can be taken out of no
memory dump: the hash is no token.
"""

import hashlib
from typing import Final

from gateway.identity.claims import Claims

ENTRIES_MAX: Final = 50_000


class Verified:
    """A bounded table; the oldest entries go first."""

    __slots__ = ("_entries", "_generation", "limit")

    def __init__(self, limit: int = ENTRIES_MAX) -> None:
        self.limit = limit
        self._generation = b""
        self._entries: dict[bytes, tuple[Claims, str]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, token: str, generation: bytes) -> tuple[Claims, str] | None:
        """Claims and `kid` of a token that was verified by this very set of keys."""
        if generation != self._generation:
            self._entries.clear()
            self._generation = generation
            return None
        return self._entries.get(_digest(token))

    def add(self, token: str, generation: bytes, claims: Claims, kid: str) -> None:
        """Keeps a success."""
        if generation != self._generation:
            self._entries.clear()
            self._generation = generation
        while len(self._entries) >= self.limit:
            del self._entries[next(iter(self._entries))]
        self._entries[_digest(token)] = (claims, kid)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
