"""Events on their way to the consumer."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from gateway.client.events import Event


class Inbox:
    """A queue that is filled with many events at once; None stands for the end.

    Attributes:
        events: those that wait, the next one first, as this inbox keeps them.
        add: stores an event without waking the consumer, who could not run before its filler waits
            for something: `wake` comes before that.
        take: the next event, where one waits.
        conflated: events that were merged into later ones of their topic or kind.
        dropped: records of lossless topics that were dropped.
    """

    __slots__ = ("_arrived", "add", "conflated", "dropped", "events", "take")

    def __init__(self) -> None:
        self.events: deque[Any] = deque()
        self.add: Callable[[Event | None], None] = self.events.append
        self.take: Callable[[], Event | None] = self.events.popleft
        self.conflated = self.dropped = 0
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self.events)

    def put(self, event: Event | None) -> None:
        """Stores an event, and wakes the consumer."""
        self.add(event)
        self._arrived.set()

    def wake(self) -> None:
        """Wakes the consumer, if there is something for it."""
        if self.events:
            self._arrived.set()

    async def filled(self) -> None:
        """Waits until there is an event."""
        while not self.events:
            self._arrived.clear()
            await self._arrived.wait()
