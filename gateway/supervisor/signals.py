"""Signals that mean nothing here, or not to this process: told, where they would kill by default.

A terminal that is closed, a log rotation that hits the wrong pid, a Ctrl-\\ in the wrong window:
none of them may cost all clients their connections.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable
from typing import Final

from gateway import log

TOLD: Final = (
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGPWR,
    signal.SIGSTKFLT,
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
)
"""All that end a process by default, but for those that mean that it shall end, those of its own
faults (SIGSEGV, SIGABRT), and SIGPIPE and SIGXFSZ, which Python ignores: a write tells of them."""
HELD: Final = (signal.SIGINT, signal.SIGXCPU, *TOLD)
"""What must not hit a child before it can ignore it: they are blocked while it starts."""

_log = log.get("signals")


def has_terminal() -> bool:
    """Whether there is a terminal whose Ctrl-C we get."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def inherit_nothing() -> None:
    """Undoes what a launcher may leave behind: blocked signals, which would never stop us, and an
    ignored SIGCHLD, with which no child's end has a status.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def name_of(number: int) -> str:
    """SIGUSR1, SIGRTMIN+3: as kill(1) has them."""
    if signal.SIGRTMIN < number < signal.SIGRTMAX:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
    return signal.Signals(number).name


def ignore(numbers: Iterable[int] = (signal.SIGXCPU, *TOLD)) -> None:
    """From now on they do nothing, until the loop handles them."""
    for number in _free(numbers):
        signal.signal(number, signal.SIG_IGN)


def tell(why: str, numbers: Iterable[int] = TOLD) -> None:
    """From now on each is a line in the log; on the running loop."""
    loop = asyncio.get_running_loop()
    for number in _free(numbers):
        loop.add_signal_handler(number, _told, name_of(number), why)


def _free(numbers: Iterable[int]) -> list[int]:
    """Those without a handler: a debugger or a profiler that was loaded first keeps its own."""
    nobodys = (signal.SIG_DFL, signal.SIG_IGN)
    return [number for number in numbers if signal.getsignal(number) in nobodys]


def _told(name: str, why: str) -> None:
    _log.warning("signal.ignored", signal=name, why=why)


def at_limit(end: Callable[[], None]) -> None:
    """Calls `end` once, at SIGXCPU: it comes each second from the soft limit on, to the hard one.

    There SIGKILL follows, without a word to anybody.
    """
    loop = asyncio.get_running_loop()

    def handle() -> None:
        loop.remove_signal_handler(signal.SIGXCPU)
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        _log.error("cpu.limit", what="ends in good order", cure="raise the limit: ulimit -t")
        end()

    loop.add_signal_handler(signal.SIGXCPU, handle)


def last(numbers: Iterable[int]) -> None:
    """Ends the loop's handling: from here on the process ends by itself, in a moment."""
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
