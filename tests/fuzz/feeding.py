"""A feed with the real ring behind it, and nothing around it: what fuzzed input goes through."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway._native import RingWriter

RING_BYTES: Final = 1 << 16
TOPICS_MAX: Final = 16
BOOK_LEVELS_MAX: Final = 1 << 12

logging.disable()  # each refusal is a line


class NoStats:
    """A page of counts that are looked up by nobody."""

    def add(self, name: str, index: int = 0, n: int = 1) -> None:
        """Counts nothing."""

    def set(self, name: str, index: int = 0, value: int = 0) -> None:
        """Keeps nothing."""

    def get(self, name: str, index: int = 0) -> int:
        return 0


class NoIntake:
    """An intake that takes nothing."""

    def learn(self, channel: str, symbol: str, topic: int) -> None:
        """Learns nothing."""

    def forget(self, channel: str, symbol: str) -> None:
        """Knows nothing."""


@contextmanager
def ring() -> Iterator[RingWriter]:
    """A small one."""
    writer = RingWriter(RING_BYTES, TOPICS_MAX, book_levels_max=BOOK_LEVELS_MAX)
    try:
        yield writer
    finally:
        writer.close()
