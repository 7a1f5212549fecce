"""The instruments that sessions ask for: the segment's directory, and the configured venues."""

from collections.abc import Mapping
from typing import Final, Literal

from gateway._native import Right, Segment
from gateway.model.record import HEALTH
from gateway.model.topic import ClosedList

MATCHES_MAX = 4096
"""Patterns whose counts are kept: more than clients with an honest use have between them."""
RIGHTS_MAX = 16
"""Rights whose lists of instruments are kept, of those that were asked for last."""


_NEVER: Final = (-1, -1)


class Catalog:
    """What the worker's control plane knows of names. Each segment replaces the one before.

    Args:
        venues: every configured venue; of one whose list of instruments is closed, that list.
    """

    def __init__(self, venues: Mapping[str, ClosedList | None]) -> None:
        self._venues = venues
        self._segment: Segment | None = None
        # (directory's state, count, steps)
        self._matches: dict[tuple[str, str, Right | None], tuple[tuple[int, int], int, int]] = {}
        self._instruments: dict[
            Right | None, tuple[tuple[int, int], list[tuple[str, list[str]]]]
        ] = {}

    def follow(self, fd: int) -> None:
        """Reads names from this segment from now on; the caller keeps owning `fd`."""
        previous, self._segment = self._segment, Segment(fd)
        self._matches.clear()
        self._instruments.clear()
        if previous is not None:
            previous.close()

    @property
    def epoch(self) -> str:
        return self._segment.epoch if self._segment else ""

    def venue(self, venue: str) -> Literal["unknown", "open", "closed"]:
        if venue not in self._venues:
            return "unknown"
        return "open" if self._venues[venue] is None else "closed"

    def listed(self, channel: str, name: str, venue: str) -> bool:
        known = self._venues.get(venue)
        return known is not None and name in known.get(channel, ())

    def __len__(self) -> int:
        return len(self._segment) if self._segment else 0

    def _state(self) -> tuple[int, int]:
        """Another one: other names."""
        return (len(self._segment), self._segment.changes) if self._segment else (0, 0)

    @property
    def full(self) -> int:
        return self._segment.full if self._segment else 0

    def find(self, channel: str, name: str) -> bool:
        return self._segment is not None and self._segment.find(channel, name) >= 0

    def match(self, channel: str, pattern: str, right: Right | None = None) -> tuple[int, int]:
        """How many topics the pattern covers; counted again only once the directory has changed.

        The steps are those of the data plane, which holds the pattern against all names each time.
        """
        if self._segment is None:
            return 0, 0
        asked = (channel, pattern, right)
        state, count, steps = self._matches.get(asked, (_NEVER, 0, 0))
        if state != self._state():
            if len(self._matches) >= MATCHES_MAX:
                self._matches.clear()
            state = self._state()
            count, steps = self._segment.match(channel, pattern, right)
            self._matches[asked] = (state, count, steps)
        return count, steps

    def instruments(self, right: Right | None = None) -> list[tuple[str, list[str]]]:
        """Every instrument with its channels, sorted by name; of what a right grants alone."""
        state = self._state()
        known, found = self._instruments.pop(right, (_NEVER, []))
        if known != state:
            found = self._list(right)
        while len(self._instruments) >= RIGHTS_MAX:
            del self._instruments[next(iter(self._instruments))]
        self._instruments[right] = (state, found)
        return found

    def _list(self, right: Right | None) -> list[tuple[str, list[str]]]:
        if self._segment is None:
            return []
        topics = self._segment.topics() if right is None else self._segment.granted(right)
        found: dict[str, list[str]] = {}
        for channel, name in topics:
            if channel in (HEALTH, ""):
                continue  # every instrument has health, topic or not; no name: it has ended
            found.setdefault(name, []).append(channel)
        return sorted(found.items())
