"""A capture read as the replay feed reads it, without the feed: what it would tell, in order."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gateway.feeds.feed import Counters, Publisher, Stats, Topics
from gateway.feeds.options import Format, ReplayOptions
from gateway.feeds.tape import open_tape
from gateway.feeds.venues.message import Message

if TYPE_CHECKING:
    from gateway.feeds.reading import Told


def unnumbered(channel: Literal["trade", "bbo"], symbol: str, *fields: Any) -> Message:
    """A record of a venue that numbers none."""
    return Message(channel, symbol, -1, -1, "none", fields)


class Pass:
    """One pass; afterwards `counters` has what was skipped and refused."""

    def __init__(
        self, path: str | Path, format: Format, publisher: Publisher, stats: Stats
    ) -> None:
        options = ReplayOptions(path=str(path), format=format, speed=0)
        self.counters = Counters("replay", "replay", options.venue, 1, stats)
        owners: dict[str, int] = {}
        self.topics = {
            channel: Topics(channel, options.venue, 1, publisher, owners)
            for channel in ("trade", "bbo")
        }
        self._tape = open_tape(options, self.counters, self.topics)

    def told(self) -> "Iterator[Told]":
        for read in self._tape.records():
            if read is not None:
                yield read[1]  # type: ignore[misc]
