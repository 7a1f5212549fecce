"""What each address has at this worker: unfinished handshakes, connections, how often it comes.

An address is kept while it has anything, and as long as how often it came matters. So their number
is bounded: by connections, and by ADDRESSES_MAX of those that have left; of these the ones that are
not heard of for longest are forgotten first.
"""

from typing import TYPE_CHECKING, Final

from gateway.networks import shared_by
from gateway.session.quota import Rate

if TYPE_CHECKING:
    from gateway.options import LimitsOptions

ADDRESSES_MAX: Final = 65_536
"""Addresses without a connection that are remembered for their rate: 10 MB."""
BURST_S: Final = 10
"""So many seconds' connections may come at once: a page with its frames, an office that starts."""


class Address:
    """One of them.

    Attributes:
        name: how it is counted.
        handshakes: those that are not over.
        connections: the open ones.
    """

    __slots__ = ("connections", "full_ns", "handshakes", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.handshakes = self.connections = 0
        self.full_ns = 0  # of its bucket of new connections: see `session.quota`


class Addresses:
    """All of one worker."""

    def __init__(self, limits: "LimitsOptions") -> None:
        self._known: dict[str, Address] = {}
        self._idle: dict[str, None] = {}  # those with nothing but a rate, longest idle first
        self.reconfigure(limits)

    def reconfigure(self, limits: "LimitsOptions") -> None:
        """What is there already counts against other limits from now on."""
        per_s = limits.connects_per_address_per_s
        self._rate = Rate(per_s, per_s * BURST_S) if per_s else None

    def __len__(self) -> int:
        return len(self._known)

    def of(self, peer: str) -> Address:
        """The address that a peer is counted as; what is counted of it is the caller's to add."""
        name = shared_by(peer)
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = Address(name)
        self._idle.pop(name, None)
        return known

    def wait_ns(self, address: Address, now_ns: int) -> int:
        """Takes one more connection and answers 0, or answers for how long it comes too soon."""
        rate = self._rate
        if rate is None:
            return 0
        wait_ns = rate.wait_ns(address.full_ns, now_ns)
        if not wait_ns:
            address.full_ns = rate.spend(address.full_ns, now_ns)
        return wait_ns

    def settle(self, address: Address, now_ns: int) -> None:
        """Something of it has ended: it is forgotten once nothing depends on it."""
        if address.handshakes or address.connections:
            return
        if self._rate is None or address.full_ns <= now_ns:
            self._known.pop(address.name, None)
            return
        self._idle.pop(address.name, None)
        self._idle[address.name] = None
        while len(self._idle) > ADDRESSES_MAX:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            self._known.pop(oldest, None)

    def expire(self, now_ns: int, count: int) -> None:
        """Forgets those that came so long ago that it does not matter; looks at so many at most."""
        for _ in range(min(count, len(self._idle))):
            name = next(iter(self._idle))
            if self._rate is not None and self._known[name].full_ns > now_ns:
                return  # those behind it left later
            del self._idle[name]
            del self._known[name]
