"""What is new in lists of recent events, which processes report again and again. Pure."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any


class News:
    """Remembers which entries of each list it was shown last, by their `ts`.

    By all their times rather than the latest: a clock that is set back is an event itself, and
    hides none of those that follow.
    """

    def __init__(self) -> None:
        self._seen: dict[Hashable, set[int]] = {}

    def of(self, key: Hashable, entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The entries of this list that were not in it the last time."""
        every = list(entries)
        seen = self._seen.get(key, set())
        self._seen[key] = {moment(entry) for entry in every}
        return [entry for entry in every if moment(entry) not in seen]


def moment(entry: Mapping[str, Any]) -> int:
    """When it was, in ns; 0 where it does not say."""
    return int(entry.get("ts", 0))
