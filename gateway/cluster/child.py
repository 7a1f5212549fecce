"""The child's side of supervision: its first message, orders to drain, signs of life, no orphans.

A child lives exactly as long as its control channel: end of file there means that the supervisor is
gone, and the child drains at once. A watchdog thread backs that up where the loop itself hangs.
"""

import asyncio
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from gateway.cluster.channel import Channel, Message

ORPHAN_EXIT_S = 5.0
"""An orphan that has not drained by then exits the hard way."""
ALIVE_INTERVAL_S = 0.05
"""How often a loop stamps that it turns: a pause of 50 ms can't pass unseen between two stamps."""
LAG_WINDOW_S = 5.0
"""`loop_lag_ns` shows the longest pause of the last one to two windows."""


class Page(Protocol):
    """What is used of the process's statistics page."""

    def set(self, name: str, index: int = 0, value: int = 0) -> None: ...
    def get(self, name: str, index: int = 0) -> int: ...


class Child:
    """A child process's link to its supervisor.

    Attributes:
        channel: the control channel.
        drain: set when the child should finish and exit 0.
        first: the first message, sent by the supervisor at the start.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.drain = asyncio.Event()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # The supervisor blocks SIGINT around the start, so that a Ctrl-C meant for the whole
        # group can't hit the interpreter before the line above.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        first = channel.receive_now()
        if first is None:
            raise SystemExit(1)
        self.first: dict[str, Any] = first.body
        threading.Thread(target=self._watchdog, name="orphan-watchdog", daemon=True).start()

    async def listen(self, on_message: Callable[[Message], None]) -> None:
        """Reads the channel until end of file, and handles SIGTERM: run it as a task.

        Every message but `drain` goes to `on_message`, which owns its descriptors.
        """
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.drain.set)
        while (message := await self.channel.receive()) is not None:
            if message.type == "drain":
                self.drain.set()
            else:
                on_message(message)
        self.drain.set()

    def _watchdog(self) -> None:
        # No events asked for: poll returns at hang-up only. Descriptors of our own are not
        # closed before the process ends, so the number can't come to mean something else.
        poll = select.poll()
        poll.register(self.channel.fileno(), 0)
        poll.poll()
        time.sleep(ORPHAN_EXIT_S)
        os._exit(1)


async def stamp_alive(
    stats: Page,
    *,
    dropped_logs: Callable[[], int] = lambda: 0,
    interval_s: float = ALIVE_INTERVAL_S,
) -> None:
    """Stamps `loop_alive_ns`, and measures how late the loop runs its timers, until cancelled."""
    stamps = _Stamps(stats, dropped_logs, interval_s)
    try:
        await asyncio.Event().wait()
    finally:
        stamps.stop()


class _Stamps:
    """A timer callback, not a task: it runs often beside the data plane, on cold caches."""

    def __init__(self, stats: Page, dropped_logs: Callable[[], int], interval_s: float) -> None:
        self._stats = stats
        self._loop = asyncio.get_running_loop()
        self._interval_s = interval_s
        self._dropped_logs = dropped_logs
        self._dropped_before = stats.get("log_dropped")
        self._dropped = 0
        self._worst_s = self._previous_s = 0.0
        self._shown_s = -1.0
        self._window_ends = self._loop.time() + LAG_WINDOW_S
        self._due = self._loop.time() + interval_s
        self._timer = self._loop.call_at(self._due, self._stamp)

    def stop(self) -> None:
        self._timer.cancel()

    def _stamp(self) -> None:
        now = self._loop.time()
        lag_s = now - self._due
        self._due = now + self._interval_s
        self._timer = self._loop.call_at(self._due, self._stamp)
        self._stats.set("loop_alive_ns", 0, time.monotonic_ns())
        if now > self._window_ends:
            self._window_ends = now + LAG_WINDOW_S
            self._previous_s, self._worst_s = self._worst_s, 0.0
        if lag_s > self._worst_s:
            self._worst_s = lag_s
        self._show(max(self._worst_s, self._previous_s))

    def _show(self, longest_s: float) -> None:
        if longest_s != self._shown_s:
            self._shown_s = longest_s
            longest_ns = int(longest_s * 1e9)
            self._stats.set("loop_lag_ns", 0, longest_ns)
            if longest_ns > self._stats.get("loop_lag_max_ns"):
                self._stats.set("loop_lag_max_ns", 0, longest_ns)
        dropped = self._dropped_logs()
        if dropped != self._dropped:
            self._dropped = dropped
            self._stats.set("log_dropped", 0, self._dropped_before + dropped)
