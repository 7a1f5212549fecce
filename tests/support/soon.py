"""Waiting on a loop for what has no event to wait for."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object]) -> None:
    """Waits until the condition gives something true.

    Raises:
        AssertionError: it never does.
    """
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to be")
