"""Who is there: the open clients of one worker by handle, and the counts of all."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from gateway import log
from gateway.model.outcomes import HANDSHAKES
from gateway.server.connection import Connection
from gateway.server.plane import dispatch
from gateway.session.codes import CLOSE_CODES, CLOSES

if TYPE_CHECKING:
    from gateway._native import Plane, StatsPage
    from gateway.audit.audit import Audit
    from gateway.server.control import Control
    from gateway.server.tenants import Tenants

EVENTS_PER_TURN = 64
"""The plane's events that are told in one iteration: each may end a client, at 20 us."""

_UNSPOKEN = ("ok", "closed", "schema")
"""Handshakes' ends of which nobody was refused."""
_REASONS = {row.code: row.name for row in CLOSES}

_log = log.get("server")


class Admission(Protocol):
    """Who counts what a client takes at the door."""

    def handshake_ended(self, client: Connection, *, opened: bool) -> None: ...
    def left(self, client: Connection) -> None: ...


class Registry:
    """The clients of one worker, and its counts of them.

    Args:
        stats: where they are counted.
        soon: calls in the loop's next iteration.
        admission: told of each that is let in, refused or gone.
        audit: told of those that are refused or gone.
        tenants: told of their clients.

    Attributes:
        clients: the open ones by handle, until the plane lets go.
        empty: set when the last one is gone, once that is awaited (`end`).
    """

    def __init__(
        self,
        stats: "StatsPage",
        soon: Callable[[Callable[[], None]], object],
        admission: Admission,
        audit: "Audit",
        tenants: "Tenants",
    ) -> None:
        self.clients: dict[int, Connection] = {}
        self.empty = asyncio.Event()
        self._stats = stats
        self._soon = soon
        self._admission = admission
        self._audit = audit
        self._tenants = tenants
        self._subscriptions = 0  # of all clients
        self._ending = False

    def __len__(self) -> int:
        return len(self.clients)

    def accepted(self) -> None:
        """Counts one whose handshake begins."""
        self._stats.add("accepted")

    def never_began(self, result: str) -> None:
        """Counts one that ended before its handshake."""
        self._stats.add("accepted")
        self._stats.add("handshakes", HANDSHAKES.index(result))

    def handshake_ended(self, connection: Connection, result: str, why: str = "") -> None:
        """Counts how; to be called once, while the connection is in its handshake."""
        self._stats.add("handshakes", HANDSHAKES.index(result))
        if result not in _UNSPOKEN:
            self._audit.refusal(connection, result)
        self._admission.handshake_ended(connection, opened=result == "ok")
        if why:
            _log.debug("handshake.refused", peer=connection.peer, result=result, why=why.strip())

    def opened(self, connection: Connection) -> None:
        """The plane has it, by its handle."""
        self.handshake_ended(connection, "ok")
        self.clients[connection.handle] = connection
        self._tenants.came(connection.tenant)
        self._stats.set("connections", 0, len(self.clients))

    def subscribed(self, connection: Connection, count: int) -> None:
        """It has so many subscriptions now."""
        more = count - connection.subscriptions
        self._subscriptions += more
        self._tenants.subscribed(connection.tenant, more)
        connection.subscriptions = count
        self._stats.set("subscriptions", 0, self._subscriptions)

    def moved(self, connection: Connection, tenant: int) -> None:
        """It is another tenant's from now on."""
        self._tenants.moved(connection.tenant, tenant, connection.subscriptions)
        connection.tenant = tenant

    def end(self) -> None:
        """`empty` is awaited from now on."""
        self._ending = True

    # --- the plane's events ----------------------------------------------------------------------

    def events(self, plane: "Plane", control: "Control") -> None:
        """Tells what the plane has to say, and goes on in the next iteration where it is much."""
        events = plane.events(EVENTS_PER_TURN)
        if len(events) == EVENTS_PER_TURN:
            # The descriptor says nothing of what is left.
            self._soon(lambda: self.events(plane, control))
        for handle in dispatch(events, self.clients, control):  # type: ignore[arg-type]
            self._removed(self.clients.pop(handle))
            control.forget(handle)
        self._stats.set("connections", 0, len(self.clients))
        if self._ending and not self.clients:
            self.empty.set()

    def _removed(self, connection: Connection) -> None:
        self._tenants.left(connection.tenant)
        code = connection.close_code
        # By whom it is known; a reason may be the client's own text.
        self._audit.end(connection, code, _REASONS.get(code, "other"))
        self._admission.left(connection)
        self._stats.add("closes", CLOSE_CODES.index(code if code in CLOSE_CODES else 1000))
        _log.debug("client.closed", peer=connection.peer, code=code, reason=connection.close_reason)
