"""The clients that follow what the gateway says of itself, and the sending of each report to them.

A report is framed once for all. It is sent to a few clients at a time, since each costs the data
plane a system call that ticks wait for; and to nobody who has bytes waiting: a slow client gets a
newer report later, instead of many old ones. Nor is it sent twice: what the supervisor repeats goes
only to those that have not had it.

Nothing here runs while nobody follows: the supervisor sends no reports then.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final, Protocol

from gateway import log

CLIENTS_PER_SLICE = 64
SLICE_S = 0.005
"""Between slices: 12,800 clients a second, at 5 % of the data plane's time."""
RETRIES = 3
RETRY_S = 0.05
"""Who had bytes waiting is tried again: often it was no more than the reply to its last request."""

_log = log.get("server")

Message = Callable[[str, bool], bytes]
"""What a client is sent for a report; True: the first since it subscribed."""


def slo_message(report: str, _first: bool) -> bytes:
    """The report is the message: the window of the last seconds, the same for all."""
    return report.encode()


def health_message(report: str, first: bool) -> bytes:
    """The report is a state: whoever is new to it gets it as a snapshot."""
    kind, now_ns = "snapshot" if first else "update", time.time_ns()
    text = f'{{"channel":"health","type":"{kind}","ts_send":{now_ns},"data":[{report}]}}'
    return text.encode()


MESSAGES: Final[dict[str, Message]] = {"slo": slo_message, "health": health_message}
"""Of each channel on which the gateway speaks of itself."""


class Client(Protocol):
    """What is used of a connection: its name at the plane."""

    handle: int


class Plane(Protocol):
    """What is used of the data plane."""

    def pending(self, handle: int) -> bool: ...
    def send(self, handle: int, message: bytes) -> int: ...


class Followers:
    """Who follows one channel, in one worker.

    Args:
        plane: sends.
        reports: where the supervisor's come in, one at most.
        message: what a client gets for a report.
        changed: called when the first one comes and when the last one goes.
    """

    def __init__(
        self,
        plane: Plane,
        reports: "asyncio.Queue[str]",
        message: Message,
        changed: Callable[[], None],
    ) -> None:
        self._plane = plane
        self._reports = reports
        self._message = message
        self._changed = changed
        self._clients: dict[Client, str] = {}  # the report that each has had, "" for none yet
        self._latest = ""  # none that is older than the first of them

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, client: Client) -> None:
        """It follows from now on; twice is as if for the first time."""
        self._clients[client] = ""
        if self._latest and self._reports.empty():
            self._reports.put_nowait(self._latest)
        elif len(self._clients) == 1:
            self._changed()

    def discard(self, client: Client) -> None:
        """It no longer does, if it did: nothing more is sent to it."""
        if client in self._clients:
            del self._clients[client]
            if not self._clients:
                self._latest = ""
                self._changed()

    async def run(self) -> None:
        """Sends each report, until cancelled."""
        while True:
            report = await self._reports.get()
            if self._clients:
                self._latest = report
                try:
                    await self._send(report)
                except Exception:
                    # One report fails; the next ones must not end with it.
                    _log.exception("report.failed")

    async def _send(self, report: str) -> None:
        message = cache(lambda first: self._message(report, first))
        waiting = await self._round(report, message, list(self._clients))
        for _ in range(RETRIES):
            if not waiting or not self._reports.empty():
                return
            await asyncio.sleep(RETRY_S)
            waiting = await self._round(report, message, waiting)

    async def _round(
        self, report: str, message: Callable[[bool], bytes], clients: Iterable[Client]
    ) -> list[Client]:
        """Sends to all that have not had it and can take it now; those that can't."""
        waiting = []
        sent = 0
        for client in clients:
            had = self._clients.get(client, report)  # one that has left needs no more
            if had == report:
                continue
            if self._plane.pending(client.handle):
                waiting.append(client)
            else:
                # It fits: nothing else is queued there.
                self._clients[client] = report
                self._plane.send(client.handle, message(not had))
            sent += 1
            if sent % CLIENTS_PER_SLICE == 0:
                await asyncio.sleep(SLICE_S)
        return waiting
