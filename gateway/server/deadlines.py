"""When a client's time is up: of its handshake, close, message and session, its sign of life.

A sweep, four times a second, finds those that may be late; each is judged when it is its turn, some
in each iteration of the loop, since many deadlines pass at once.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from gateway.server.connection import Connection, State

if TYPE_CHECKING:
    from gateway.options import LimitsOptions

SWEEP_INTERVAL_S = 0.25
JUDGED_PER_TURN = 64
"""Deadlines looked at in one iteration: one that has passed ends a client, at 20 us."""
KEEPALIVE_SLICES = 4
"""Parts of the clients that one sweep looks at: each is seen once a second."""


class Plane(Protocol):
    """What is used of the data plane."""

    def pending(self, handle: int) -> bool: ...


class Deadlines:
    """Those of one worker's clients.

    Args:
        limits: how long each may take.
        clients: the open ones, by handle.
        plane: asked what waits for a client.
        now_ns: MONOTONIC, now.
        soon: calls in the loop's next iteration.

    Attributes:
        handshake_ns: for a request.
        close_ns: for the end of a refused or closing client.
    """

    def __init__(
        self,
        limits: "LimitsOptions",
        clients: Mapping[int, Connection],
        plane: Plane,
        now_ns: Callable[[], int],
        soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self._clients = clients
        self._plane = plane
        self._now_ns = now_ns
        self._soon = soon
        self._waiting: dict[Connection, None] = {}  # those with a deadline of their state
        self._messages: dict[Connection, None] = {}  # those with an unfinished message
        self._sessions: dict[Connection, None] = {}  # those whose session is to be woken
        self._due: deque[Connection] = deque()  # to be judged in this iteration and the next ones
        self._keepalive_slice = 0
        self.reconfigure(limits)

    def reconfigure(self, limits: "LimitsOptions") -> None:
        """Of states and messages that begin from now on; keepalive at once."""
        self._limits = limits
        self.handshake_ns = int(limits.handshake_timeout_s * 1e9)
        self.close_ns = int(limits.close_timeout_s * 1e9)

    def __len__(self) -> int:
        """How many clients have a deadline of their state."""
        return len(self._waiting)

    def watch(self, connection: Connection) -> None:
        """Lets it expire at its deadline, which is the only one then."""
        self.forget(connection)
        self._waiting[connection] = None

    def watch_message(self, connection: Connection) -> None:
        """Its message has to be finished in time."""
        self._messages[connection] = None

    def watch_session(self, connection: Connection) -> None:
        """Wakes its session at the time that it has asked for; 0: no more."""
        if connection.wake_ns:
            self._sessions[connection] = None
        else:
            self._sessions.pop(connection, None)

    def forget(self, connection: Connection) -> None:
        """It has no deadline any more."""
        self._messages.pop(connection, None)
        self._sessions.pop(connection, None)
        self._waiting.pop(connection, None)

    # --- sweeps ----------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Finds who may be late, unless those of the last time are not all judged yet."""
        if not self._due:
            self._due.extend(self._find_due(self._now_ns()))
            self._judge_some()

    def _find_due(self, now: int) -> Iterator[Connection]:
        """Those whose deadlines may have passed; a quarter of the silent ones."""
        yield from [c for c in self._waiting if c.deadline_ns <= now]
        yield from [c for c in self._messages if not c.message_ns or self._holds_open(c, now)]
        yield from [c for c in self._sessions if c.wake_ns <= now]
        self._keepalive_slice = (self._keepalive_slice + 1) % KEEPALIVE_SLICES
        clients = itertools.islice(
            self._clients.values(), self._keepalive_slice, None, KEEPALIVE_SLICES
        )
        quiet = now - int(self._limits.ping_interval_s * 1e9)
        yield from [c for c in clients if c.heard_ns <= quiet]

    def _judge_some(self) -> None:
        now = self._now_ns()
        for _ in range(min(len(self._due), JUDGED_PER_TURN)):
            self._judge(self._due.popleft(), now)
        if self._due:
            self._soon(self._judge_some)

    def _judge(self, connection: Connection, now: int) -> None:
        """Ends what is past its deadline, now that it is its turn; asks for a sign of life."""
        if connection in self._waiting and connection.deadline_ns <= now:
            self.forget(connection)
            connection.expire()
        elif connection.state is not State.OPEN:
            return
        elif self._holds_open(connection, now):
            limit_s = self._limits.message_timeout_s
            connection.fail(1008, f"message not finished within {limit_s:g} s")
        elif connection in self._sessions and connection.wake_ns <= now:
            self._sessions.pop(connection)
            connection.wake()
        else:
            if not connection.message_ns:
                self._messages.pop(connection, None)
            self._keep_alive(connection, now)

    def _holds_open(self, connection: Connection, now: int) -> bool:
        """Whether its message took too long; one that is not read has time."""
        since = connection.message_ns if connection.reading else 0
        return since > 0 and now - since > self._limits.message_timeout_s * 1e9

    def _keep_alive(self, connection: Connection, now: int) -> None:
        if connection.heard_ns > now - int(self._limits.ping_interval_s * 1e9):
            return
        if connection.pinged_ns < connection.heard_ns:  # whatever came since is a sign of life
            connection.ping()
        elif self._plane.pending(connection.handle):
            # Bytes wait for it: it is slow, not silent, and the plane judges it by age. The
            # ping itself may wait behind them, so its deadline runs from their end on.
            connection.pinged_ns = now
        elif now - connection.pinged_ns > int(self._limits.pong_timeout_s * 1e9):
            connection.fail(4012, f"no pong within {self._limits.pong_timeout_s:g} s")
