"""What a gateway that runs is told to do: by signals, and by operators over the admin socket."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from gateway import log
from gateway.admin.server import AdminServer, Powers
from gateway.errors import ResourceError
from gateway.supervisor import signals
from gateway.supervisor.messages import Drain, Reopen

if TYPE_CHECKING:
    from gateway.audit.audit import Audit
    from gateway.config import Config
    from gateway.reload import Reloading
    from gateway.supervisor.supervisor import Supervisor

STOPS = (signal.SIGTERM, signal.SIGINT)
TOGETHER_S = 0.1
"""Within it a second signal to stop is the first one's echo and kills nobody: timeout(1) and some
service managers signal the process, and then its group."""

_log = log.get("app")


class Orders(NamedTuple):
    """What signals mean to a gateway.

    Attributes:
        reload: reads the configuration again, for SIGHUP; None where there is nothing to read.
        stops: those that end it.
        terminal: whether it was started in one; then SIGHUP ends it as well once that is closed.
    """

    reload: "Callable[[], Config] | None" = None
    stops: Sequence[signal.Signals] = STOPS
    terminal: bool = False


def obey(
    orders: Orders, supervisor: "Supervisor", reloading: "Reloading", handler: log.LogHandler
) -> None:
    """What each signal does, from now on."""

    def hang_up() -> None:
        if orders.terminal and not signals.has_terminal():
            _log.warning("terminal.closed", what="stops, as nothing else would stop it")
            supervisor.stop()
        else:
            reloading.reload()

    def reopen() -> None:
        log.reopen(handler)
        supervisor.tell_all(Reopen())

    signals.tell("it means nothing here; SIGTERM stops")
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    loop.add_signal_handler(signal.SIGUSR1, reopen)
    asked_s = float("-inf")

    def stop() -> None:
        nonlocal asked_s
        if loop.time() - asked_s >= TOGETHER_S:
            asked_s = loop.time()
            supervisor.stop()

    signals.at_limit(partial(supervisor.stop, ResourceError.exit_code))
    for number in orders.stops:
        loop.add_signal_handler(number, stop)


def admin(
    config: "Config",
    supervisor: "Supervisor",
    reloading: "Reloading",
    audit: "Audit",
    revoke: Callable[[str, str, str], str] | None = None,
) -> AdminServer:
    """The admin socket: what operators may ask is done to the supervisor and its workers."""

    def workers() -> list[str]:
        children = supervisor.statistics().children
        return [child.name for child in children if child.role == "worker" and child.pid]

    def drain(worker: str, window_ms: int) -> str:
        if supervisor.statistics().draining:  # a second stop would cut all clients at once
            return "it drains already"
        if not worker:
            supervisor.stop(window_ms=window_ms)
            return ""
        told = worker in workers() and supervisor.tell(worker, Drain(window_ms=window_ms))
        return "" if told else f"no worker {worker!r} runs"

    powers = Powers(
        workers=workers,
        ask=supervisor.tell,
        drain=drain,
        reload=reloading.reload,
        level=reloading.level,
        revoke=revoke,
    )
    return AdminServer(config.admin.unix, powers, audit)
