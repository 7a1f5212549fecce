"""What the data plane's latency controller did lately: log lines, and rows for the worker's report.

The plane decides (native/gw_control.c, gw_level.c); here its decisions are told. Lines about single
clients may come by the thousand: the log itself gives each event ten a second and counts the rest.
"""

import fcntl
import struct
import termios
import time
from collections import deque
from collections.abc import Callable, Mapping
from heapq import nlargest
from itertools import islice
from typing import Final, NamedTuple, Protocol

from gateway import log
from gateway.model.status import LadderStep, SlowClient

STEPS_MAX: Final = 100
"""Steps of the ladder that are remembered."""
SLOWEST_MAX: Final = 10
SCANNED_MAX: Final = 2000
"""Clients looked at in one pass for those whose sockets are full: half a millisecond."""
PASS_NS: Final = 1_000_000_000
"""From one pass to the next at the soonest."""

_log = log.get("server")


class Client(Protocol):
    """What is used of a connection."""

    name: str
    peer: str

    @property
    def fd(self) -> int: ...


class Plane(Protocol):
    """What is used of the data plane."""

    def pending(self, handle: int) -> bool: ...
    def sent_ns(self, handle: int) -> int: ...


class _Level(NamedTuple):
    level: int
    reason: str


class Control:
    """One worker's view of its controller.

    Args:
        worker: its name, for the log.
        plane: asked what waits for a client.
        clients: by handle.
        stalled: told how long the plane stood still, in ns, and why.
        followed: called when the gateway's own reports have a first follower, or none any more.
        real_ns: REALTIME, now.
    """

    def __init__(
        self,
        worker: str,
        plane: Plane,
        clients: Mapping[int, Client],
        stalled: Callable[[int, str], None],
        followed: Callable[[], None],
        *,
        real_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._worker = worker
        self._plane = plane
        self._clients = clients
        self._stalled = stalled
        self.followed = followed
        self._real_ns = real_ns
        self._steps: deque[LadderStep] = deque(maxlen=STEPS_MAX)
        self._levels: dict[int, _Level] = {}  # by handle, those that are not served live
        self._slowest: tuple[SlowClient, ...] = ()
        self._passed_ns = -PASS_NS
        self._scanned = 0  # where the next pass begins

    # --- the plane's events -----------------------------------------------------------------------

    def ladder(self, step: int, was: int, reason: str) -> None:
        """The ladder went to a step."""
        say = _log.warning if step > was else _log.info
        say("ladder.step", worker=self._worker, step=step, was=was, reason=reason)
        self._steps.append(LadderStep(ts=self._real_ns(), step=step, was=was, reason=reason))

    def level(self, handle: int, level: int, was: int, reason: str) -> None:
        """A client is served at another level."""
        client = self._clients.get(handle)
        if client is None:
            return
        if level:
            self._levels[handle] = _Level(level, reason)
        else:
            self._levels.pop(handle, None)
        words = {"level": level, "was": was, "reason": reason}
        _log.info("client.level", connection_id=client.name, address=client.peer, **words)

    def stall(self, duration_ns: int, words: str) -> None:
        """The plane stood still: named and logged with the process's other stalls."""
        self._stalled(duration_ns, words)

    def forget(self, handle: int) -> None:
        """The client is gone."""
        self._levels.pop(handle, None)

    # --- the worker's report ----------------------------------------------------------------------

    def steps(self) -> tuple[LadderStep, ...]:
        """Recent ones, oldest first."""
        return tuple(self._steps)

    def slowest(self, now_ns: int, blocked: int) -> tuple[SlowClient, ...]:
        """The clients that are furthest behind now, the slowest first.

        Args:
            now_ns: MONOTONIC.
            blocked: how many clients have full sockets, as the plane counts them.
        """
        if now_ns - self._passed_ns >= PASS_NS:
            self._passed_ns = now_ns
            self._slowest = self._pass(now_ns, blocked)
        return self._slowest

    def _pass(self, now_ns: int, blocked: int) -> tuple[SlowClient, ...]:
        found = dict.fromkeys(islice(self._levels, SCANNED_MAX))
        if blocked:
            found |= dict.fromkeys(filter(self._plane.pending, self._some()))
        ages = ((self._age_ns(handle, now_ns), handle) for handle in found)
        return tuple(self._row(age_ns, handle) for age_ns, handle in nlargest(SLOWEST_MAX, ages))

    def _some(self) -> list[int]:
        """Handles of the clients that it is the turn of."""
        if self._scanned >= len(self._clients):
            self._scanned = 0
        start, self._scanned = self._scanned, self._scanned + SCANNED_MAX
        return list(islice(self._clients, start, self._scanned))

    def _age_ns(self, handle: int, now_ns: int) -> int:
        """How long its socket has taken nothing of what waits for it."""
        if not self._plane.pending(handle):
            return 0
        return max(now_ns - self._plane.sent_ns(handle), 0)

    def _row(self, age_ns: int, handle: int) -> SlowClient:
        client, level = self._clients[handle], self._levels.get(handle)
        why = [] if level is None else [f"level {level.level}: {level.reason}"]
        if age_ns:
            why.append(f"its socket is full and took nothing for {age_ns / 1e6:.0f} ms")
        return SlowClient(
            connection_id=client.name,
            address=client.peer,
            level=0 if level is None else level.level,
            age_ms=round(age_ns / 1e6, 1),
            pending_bytes=unacknowledged(client.fd),
            why="; ".join(why) or "its socket was full a moment ago",
        )


def unacknowledged(fd: int) -> int | None:
    """Bytes that the kernel holds for the peer (tcp(7), SIOCOUTQ); None where it does not say."""
    try:
        data = fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0\0\0\0")
    except OSError:
        return None
    (size,) = struct.unpack("i", data)
    return int(size)
