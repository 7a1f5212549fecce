"""The tenants of one worker: which one a client is of, and how much of one may be there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from gateway import log

if TYPE_CHECKING:
    from gateway.options import TenantOptions

UNSAID: Final = -1
"""The place of a client that has yet to say who it is: it counts for nobody's limits, and the data
plane has it as one of the first tenant's."""
TOLD_MAX: Final = 64
"""Unknown tenants that the log names: issuers of tokens can make up any number."""

_log = log.get("server")


class Tenants:
    """Places are those of the configuration, as the data plane has them; without any, all are 0."""

    def __init__(self, options: Sequence["TenantOptions"]) -> None:
        self._options = options
        self._places = {tenant.name: place for place, tenant in enumerate(options)}
        count = max(1, len(options)) + 1  # the last is UNSAID
        self._clients = [0] * count
        self._subscriptions = [0] * count
        self._told: set[str] = set()

    def place(self, name: str | None = None) -> int:
        """Of a client's tenant: the first one's where nobody says, or nobody knows it."""
        if not name or not self._options:
            return 0
        place = self._places.get(name)
        if place is None and name not in self._told and len(self._told) < TOLD_MAX:
            self._told.add(name)
            _log.warning("tenant.unknown", tenant=name, instead=self._options[0].name)
        return place or 0

    def full(self, place: int) -> str:
        """Why no more clients of a tenant may come in; empty where they may."""
        if not self._options or place == UNSAID:
            return ""
        tenant = self._options[place]
        if not tenant.connections_max or self._clients[place] < tenant.connections_max:
            return ""
        return (
            f"tenants.{place}.connections_max: {tenant.connections_max} of {tenant.name} are open"
        )

    def room(self, place: int) -> int | None:
        """How many more subscriptions a tenant's clients may have; None: as many as they want."""
        limit = self._options[place].subscriptions_max if self._options and place >= 0 else 0
        return max(limit - self._subscriptions[place], 0) if limit else None

    def came(self, place: int) -> None:
        """One more is open."""
        self._clients[place] += 1

    def left(self, place: int) -> None:
        """One less."""
        self._clients[place] -= 1

    def subscribed(self, place: int, more: int) -> None:
        """A client has so many subscriptions more."""
        self._subscriptions[place] += more

    def moved(self, old: int, new: int, subscriptions: int) -> None:
        """An open client with so many subscriptions is another tenant's from now on."""
        self.left(old)
        self.came(new)
        self.subscribed(old, -subscriptions)
        self.subscribed(new, subscriptions)
