"""The child's side of supervision: its first message, orders to drain, no orphans.

A child lives exactly as long as its control channel: end of file there means that the supervisor is
gone, and the child drains at once. A thread backs that up where the loop itself hangs.
"""

import asyncio
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from gateway.supervisor import signals
from gateway.supervisor.channel import Channel, Message

ORPHAN_EXIT_S = 5.0
"""An orphan that has not drained by then exits the hard way."""


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
        signals.ignore()
        # The supervisor blocks these around the start, so that a Ctrl-C meant for the whole group
        # can't hit the interpreter before the line above.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.HELD)
        first = channel.receive_now()
        if first is None:
            raise SystemExit(1)
        self.first: dict[str, Any] = first.body
        threading.Thread(target=self._exit_once_orphaned, name="orphan", daemon=True).start()

    async def listen(self, on_message: Callable[[Message], None]) -> None:
        """Reads the channel until end of file, and handles SIGTERM: run it as a task.

        Every message but `drain` goes to `on_message`, which owns its descriptors.
        """
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.drain.set)
        signals.tell("it is for the supervisor")
        signals.at_limit(self.drain.set)
        while (message := await self.channel.receive()) is not None:
            if message.type == "drain":
                self.drain.set()
            else:
                on_message(message)
        self.drain.set()

    def _exit_once_orphaned(self) -> None:
        # No events asked for: poll returns at hang-up only. Descriptors of our own are not
        # closed before the process ends, so the number can't come to mean something else.
        poll = select.poll()
        poll.register(self.channel.fileno(), 0)
        poll.poll()
        time.sleep(ORPHAN_EXIT_S)
        os._exit(1)
