"""The black box: the last minute in memory, bounded in time and in bytes. Pure.

Entries are encoded when they come, so that their size is known and a recording costs no encoding.
"""

from collections import deque
from collections.abc import Iterator

SPAN_NS = 60_000_000_000
"""What a recording can tell of at most."""
BYTES_MAX = 16 << 20
"""Usual are 2 MB: ten samples of 2 KB a second for four processes, and histograms of 10 KB."""


class BlackBox:
    """Entries of the last `span_ns`, the oldest dropped for want of room."""

    def __init__(self, span_ns: int = SPAN_NS, bytes_max: int = BYTES_MAX) -> None:
        self._span_ns = span_ns
        self._bytes_max = bytes_max
        self._entries: deque[tuple[int, bytes, bytes]] = deque()
        self._bytes = 0

    @property
    def held_bytes(self) -> int:
        """Held now."""
        return self._bytes

    def add(self, now_ns: int, kind: bytes, data: bytes) -> None:
        """Puts in an entry of this moment (MONOTONIC); one that has no room at all is dropped."""
        self._entries.append((now_ns, kind, data))
        self._bytes += len(data)
        while self._entries and (
            self._bytes > self._bytes_max or now_ns - self._entries[0][0] > self._span_ns
        ):
            self._bytes -= len(self._entries.popleft()[2])

    def since(self, start_ns: int, kind: bytes) -> Iterator[bytes]:
        """Entries of a kind from that moment on, oldest first."""
        return (data for at_ns, one, data in self._entries if one == kind and at_ns >= start_ns)
