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

from gateway import log
from gateway.errors import TickgateError
from gateway.supervisor import signals
from gateway.supervisor.channel import Channel, Received, Refused
from gateway.supervisor.messages import Drain, Failed, FeedStart, Start, WorkerStart, type_of

ORPHAN_EXIT_S = 5.0
"""An orphan that has not drained by then exits the hard way."""

_log = log.get("child")


class Child:
    """A child process's link to its supervisor.

    Attributes:
        channel: the control channel.
        drain: set when the child should finish and exit 0.
        window_ms: over how long its clients are to come back then; 0: as it thinks.
        first: the first message, sent by the supervisor at the start.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.drain = asyncio.Event()
        self.window_ms = 0
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signals.ignore()
        # The supervisor blocks these around the start, so that a Ctrl-C meant for the whole group
        # can't hit the interpreter before the line above.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.HELD)
        self.first: Start = _first(channel)
        threading.Thread(target=self._exit_once_orphaned, name="orphan", daemon=True).start()

    async def listen(self, on_message: Callable[[Received], None]) -> None:
        """Reads the channel until end of file, and handles SIGTERM: run it as a task.

        Every message but `Drain` goes to `on_message`, which owns its descriptors. What comes and
        is no message is logged.
        """
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.drain.set)
        signals.tell("it is for the supervisor")
        signals.at_limit(self.drain.set)
        while (received := await self.channel.receive()) is not None:
            match received:
                case Refused(type, problem):
                    refuse(type, problem)
                case Received(Drain(window_ms=window_ms)):
                    self.window_ms = window_ms
                    self.drain.set()
                case _:
                    on_message(received)
        self.drain.set()

    def _exit_once_orphaned(self) -> None:
        # No events asked for: poll returns at hang-up only. Descriptors of our own are not
        # closed before the process ends, so the number can't come to mean something else.
        poll = select.poll()
        poll.register(self.channel.fileno(), 0)
        poll.poll()
        time.sleep(ORPHAN_EXIT_S)
        os._exit(1)


def refuse(type: str, problem: str) -> None:
    """Logs what came from the supervisor and can't be used: it changes nothing."""
    _log.error("message.refused", type=type, problem=problem)


def _first(channel: Channel) -> Start:
    """The first message; the process ends where there is none that it understands.

    Raises:
        SystemExit: the supervisor is gone, or of a version that starts its children otherwise.
    """
    match channel.receive_now():
        case None:
            raise SystemExit(TickgateError.exit_code)
        case Received(FeedStart() | WorkerStart() as start):
            return start
        case Received(message):
            why = f"the first message was {type_of(message)!r}"
        case Refused(type, problem):
            why = f"the first message, {type!r}, was refused: {problem}"
    channel.send(Failed(exit=TickgateError.exit_code, message=why))
    raise SystemExit(TickgateError.exit_code)
