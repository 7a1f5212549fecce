"""Events on their way to the consumer."""

import asyncio
from collections import deque
from collections.abc import Callable

from gateway.client.events import Event


class Inbox:
    """A queue that is filled with many events at once; None stands for the end.

    Attributes:
        events: those that wait, the next one first.
        add: stores an event without waking the consumer, who could not run before its filler waits
            for something: `wake` comes before that.
    """

    __slots__ = ("_arrived", "add", "events")

    def __init__(self) -> None:
        self.events: deque[Event | None] = deque()
        self.add: Callable[[Event | None], None] = self.events.append
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self.events)

    def put(self, event: Event | None) -> None:
        """Stores an event, and wakes the consumer."""
        self.events.append(event)
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
