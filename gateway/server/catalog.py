"""The instruments that sessions ask for: the segment's directory, and the configured venues."""

from collections.abc import Mapping
from typing import Literal

from gateway._native import Segment
from gateway.model.topic import split_instrument


class Catalog:
    """What the worker's control plane knows of names. Each segment replaces the one before.

    Args:
        venues: every configured venue, and whether its list of instruments is closed.
    """

    def __init__(self, venues: Mapping[str, bool]) -> None:
        self._venues = venues
        self._segment: Segment | None = None

    def follow(self, fd: int) -> None:
        """Reads names from this segment from now on; the caller keeps owning `fd`."""
        previous, self._segment = self._segment, Segment(fd)
        if previous is not None:
            previous.close()

    @property
    def epoch(self) -> str:
        return self._segment.epoch if self._segment else ""

    def venue(self, venue: str) -> Literal["unknown", "open", "closed"]:
        if venue not in self._venues:
            return "unknown"
        return "closed" if self._venues[venue] else "open"

    def find(self, channel: str, name: str) -> bool:
        return self._segment is not None and self._segment.find(channel, name) >= 0

    def match(self, channel: str, pattern: str) -> int:
        return self._segment.match(channel, pattern) if self._segment else 0

    def __len__(self) -> int:
        return len(self._segment) if self._segment else 0

    def instruments(self) -> list[tuple[str, list[str]]]:
        """Every instrument with its channels, by venue, then symbol."""
        found: dict[str, list[str]] = {}
        for channel, name in self._segment.topics() if self._segment else ():
            found.setdefault(name, []).append(channel)
        return sorted(found.items(), key=lambda entry: split_instrument(entry[0])[::-1])
