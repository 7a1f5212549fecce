"""The clients that follow the objective, and the sending of each report to them.

A report is framed once for all. It is sent to a few clients at a time, since each costs the data
plane a system call that ticks wait for; and to nobody who has bytes waiting: a slow client gets a
newer report later, instead of many old ones.

Nothing here runs while nobody follows: the supervisor sends no reports then.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from gateway.server.connection import frame_text

if TYPE_CHECKING:
    from gateway.server.connection import Connection

CLIENTS_PER_SLICE = 64
SLICE_S = 0.005
"""Between slices: 12,800 clients a second, at 5 % of the data plane's time."""
RETRIES = 3
RETRY_S = 0.05
"""Who had bytes waiting is tried again: often it was no more than the reply to its last request."""


class Plane(Protocol):
    """What is used of the data plane."""

    def pending(self, handle: int) -> bool: ...
    def send(self, handle: int, frames: bytes) -> int: ...


class Followers:
    """Who follows, in one worker.

    Args:
        plane: sends.
        changed: called when the first one comes and when the last one goes.
    """

    def __init__(self, plane: Plane, changed: Callable[[], None]) -> None:
        self._plane = plane
        self._changed = changed
        self._clients: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, client: "Connection") -> None:
        """It follows from now on; twice is once."""
        self._clients[client] = None
        if len(self._clients) == 1:
            self._changed()

    def discard(self, client: "Connection") -> None:
        """It no longer does, if it did: nothing more is sent to it."""
        if client in self._clients:
            del self._clients[client]
            if not self._clients:
                self._changed()

    async def run(self, reports: "asyncio.Queue[str]") -> None:
        """Sends each report, until cancelled."""
        while True:
            await self._send((await reports.get()).encode(), reports)

    async def _send(self, payload: bytes, reports: "asyncio.Queue[str]") -> None:
        frame, _ = frame_text(payload)
        waiting = await self._round(frame, list(self._clients))
        for _ in range(RETRIES):
            if not waiting or not reports.empty():
                return
            await asyncio.sleep(RETRY_S)
            waiting = await self._round(frame, waiting)

    async def _round(self, frame: bytes, clients: "Iterable[Connection]") -> "list[Connection]":
        """Sends to all that can take it now; those that can't."""
        waiting = []
        for number, client in enumerate(clients, start=1):
            if client not in self._clients:
                continue
            if self._plane.pending(client.handle):
                waiting.append(client)
            else:
                # It fits: nothing else is queued there.
                self._plane.send(client.handle, frame)
            if number % CLIENTS_PER_SLICE == 0:
                await asyncio.sleep(SLICE_S)
        return waiting
