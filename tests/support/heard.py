"""What a client of Python hears, until that is enough."""

import asyncio
from collections.abc import Callable

from gateway.client import Client, Event

WAIT_S = 60.0
"""Far beyond what it takes, also on a machine that does much else."""


async def heard(client: Client, enough: Callable[[list[Event]], bool]) -> list[Event]:
    """The events up to and with the one that makes them enough; TimeoutError: it did not come."""
    events: list[Event] = []

    async def listen() -> None:
        async for event in client:
            events.append(event)
            if enough(events):
                return

    await asyncio.wait_for(listen(), WAIT_S)
    return events
