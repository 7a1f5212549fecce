"""What operators ask of the clients of one worker: who is there, and to close some.

Clients are looked at some in each iteration of the loop, as they were when the question came. One
that comes meanwhile is not among them; one that has gone is passed over.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from gateway.model.admin import Answer, Ask, ConnectionRow
from gateway.server.control import unacknowledged

if TYPE_CHECKING:
    from gateway.server.connection import Connection

LOOKED_PER_TURN: Final = 200
"""Clients looked at in one iteration: some 3 us each, a close 20."""
KICKED: Final = (1008, "closed by an operator")
"""1008 says that the same client should not come back by itself."""


class Plane(Protocol):
    """What is used of the data plane."""

    def pending(self, handle: int) -> bool: ...
    def sent_ns(self, handle: int) -> int: ...


class Roster:
    """Those of one worker.

    Args:
        clients: the open ones by handle.
        plane: asked what waits for a client.
        now_ns: MONOTONIC, now.
    """

    def __init__(
        self, clients: "Mapping[int, Connection]", plane: Plane, now_ns: Callable[[], int]
    ) -> None:
        self._clients = clients
        self._plane = plane
        self._now_ns = now_ns

    async def answer(self, ask: Ask, say: Callable[[Answer], Awaitable[None]]) -> None:
        """Answers in parts, each as soon as there is one."""
        handles, left = list(self._clients), ask.limit
        parts = range(0, max(len(handles), 1), LOOKED_PER_TURN)
        for start in parts:
            meant = list(self._meant(ask, handles[start : start + LOOKED_PER_TURN]))
            rows: tuple[ConnectionRow, ...] = ()
            if ask.call == "list":
                rows = tuple(map(self._row, meant[:left]))
                left -= len(rows)
            else:
                for client in meant:
                    client.fail(*KICKED)
            last = start == parts[-1]
            if last or rows or meant:
                await say(Answer(token=ask.token, rows=rows, count=len(meant), last=last))
            await asyncio.sleep(0)

    def _meant(self, ask: Ask, handles: Sequence[int]) -> "Iterator[Connection]":
        for handle in handles:
            client = self._clients.get(handle)
            if client is None or client.close_code:
                continue
            if ask.id in ("", client.name) and ask.user in ("", client.user):
                yield client

    def _row(self, client: "Connection") -> ConnectionRow:
        lag_ns = 0
        if self._plane.pending(client.handle):
            lag_ns = max(self._now_ns() - self._plane.sent_ns(client.handle), 0)
        return ConnectionRow(
            id=client.name,
            address=client.peer,
            user=client.user,
            subscriptions=client.subscriptions,
            pending_bytes=unacknowledged(client.fd),
            lag_ms=round(lag_ns / 1e6, 1),
        )
