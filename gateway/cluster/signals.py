"""Signals that mean nothing here, or not to this process: told, where they would kill by default.

A terminal that is closed, a log rotation that hits the wrong pid, a Ctrl-\\ in the wrong window:
none of them may cost all clients their connections.
"""

import asyncio
import os
import signal
from collections.abc import Iterable

from gateway import log

HELD = (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""What people and programs send. They are blocked while a child starts, as SIGINT is."""
TOLD = (*HELD, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR)
"""All that end a process by default, but for those that mean that it shall end."""

_log = log.get("signals")


def has_terminal() -> bool:
    """Whether there is a terminal whose Ctrl-C we get."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def ignore(numbers: Iterable[signal.Signals] = TOLD) -> None:
    """From now on they do nothing, until `tell` is called."""
    for number in _free(numbers):
        signal.signal(number, signal.SIG_IGN)


def tell(why: str, numbers: Iterable[signal.Signals] = TOLD) -> None:
    """From now on each is a line in the log; on the running loop."""
    loop = asyncio.get_running_loop()
    for number in _free(numbers):
        loop.add_signal_handler(number, _told, number.name, why)


def _free(numbers: Iterable[signal.Signals]) -> list[signal.Signals]:
    """Those without a handler: a debugger or a profiler that was loaded first keeps its own."""
    nobodys = (signal.SIG_DFL, signal.SIG_IGN)
    return [number for number in numbers if signal.getsignal(number) in nobodys]


def _told(name: str, why: str) -> None:
    _log.warning("signal.ignored", signal=name, why=why)


def last(numbers: Iterable[signal.Signals]) -> None:
    """Ends the loop's handling: from here on the process ends by itself, in a moment."""
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
