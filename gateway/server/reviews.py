"""Clients whose subscriptions are held against other rights: a step in each iteration of the loop.

A client with thousands of names takes many steps, and all clients of a worker take turns.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol


class Client(Protocol):
    """What is used of a connection."""

    def review(self) -> None: ...


class Reviews:
    """Those of one worker, each once at most: a session asks for its next step in the last one.

    Args:
        soon: calls in the loop's next iteration.
    """

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self._soon = soon
        self._waiting: deque[Client] = deque()

    def add(self, client: Client) -> None:
        """It has to be looked at once more."""
        self._waiting.append(client)
        if len(self._waiting) == 1:
            self._soon(self._step)

    def _step(self) -> None:
        client = self._waiting[0]
        client.review()  # one that has gone does nothing
        self._waiting.popleft()
        if self._waiting:
            self._soon(self._step)
