"""Who is let in, and who is told to come back later: one worker's limits on clients at the door.

A client passes, in this order:

1. `accepted`: its socket is there. It counts for the worker's memory and rate, and for its
   address, unless that is a trusted proxy's: then its own address is not known yet.
2. `received`: bytes before its handshake is over; they are charged for what they make us hold.
3. `located`: its request is read, so that behind a proxy its address is known.
4. `request`: may one more come in? And once it is known whose it is, `of_tenant`.
5. `handshake_ended`, whatever came of it, and `left` where it was let in.

What is refused is counted by reason, and told in one line of the log for each reason in ten
seconds. 429 is for what an address asks too much, 503 for what the worker has no room for; both say
when to come back, at different times for each client.
"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from gateway import log
from gateway.model.outcomes import ADMISSION
from gateway.networks import Networks, shared_by
from gateway.server.addresses import Address, Addresses
from gateway.session.quota import SECOND_NS, Bucket, Rate
from gateway.wire.forwarded import client_of
from gateway.wire.response import Response, refusal

if TYPE_CHECKING:
    from websockets.datastructures import Headers

    from gateway._native import StatsPage
    from gateway.config import Config
    from gateway.options import LimitsOptions
    from gateway.session.capacity import Capacity

HANDSHAKE_BYTES: Final = 4096
"""What an unfinished handshake makes us hold beside its own bytes: 2.1 KB of the reader, its
connection, the kernel's."""
HELD_PER_BYTE: Final = 3
"""For each byte of a request: as it came, as a line, and as text. Measured: 2.6 to 3.2."""
LINGERING_MAX: Final = 1000
"""Refused clients that are given time to read why; others are cut off at once."""
EXPIRED_PER_SWEEP: Final = 1000
"""Addresses that a sweep looks at."""
RETRY_AFTER_S: Final = (3, 8)
"""A client that is refused for want of room comes back after one of these, not all at once."""
LINE_INTERVAL_S: Final = 10
"""From a line of the log about a reason to the next."""

_log = log.get("server")


class Client(Protocol):
    """What is used of a connection, which keeps what is counted of it."""

    peer: str
    address: Address | None
    charged: int


class Budget:
    """Bytes that may be held at once."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, count: int) -> bool:
        """Whether there was room for so many more, which are taken then."""
        if self.used + count > self.limit:
            return False
        self.used += count
        return True

    def give(self, count: int) -> None:
        """Gives back what was taken."""
        self.used -= count


class Admission:
    """One worker's.

    Args:
        config: of the limits and of who is trusted.
        stats: where refusals are counted.
        capacity: whether another client would break the promise to the others.
        connections_max: how many may be open.
        connections: how many are.
        now_ns: MONOTONIC, now.

    Attributes:
        draining: nobody is let in any more.
        memory: what those hold that are not let in yet. Whoever makes it hold more before a
            client is known (a TLS handshake) takes that here, too.
        proxies: the trusted ones.
    """

    def __init__(
        self,
        config: "Config",
        stats: "StatsPage",
        capacity: "Capacity",
        connections_max: int,
        connections: Callable[[], int],
        now_ns: Callable[[], int],
    ) -> None:
        self.draining = False
        self.connections_max = connections_max
        self.memory = Budget(0)
        self._stats = stats
        self._capacity = capacity
        self._connections = connections
        self._now_ns = now_ns
        self._addresses = Addresses(config.limits)
        self._lingering = 0
        self._told = Told(now_ns)
        self._bucket: Bucket | None = None
        self.reconfigure(config)

    def reconfigure(self, config: "Config") -> None:
        """Of clients that come from now on; those that are there stay."""
        self._limits: LimitsOptions = config.limits
        self.proxies = Networks(config.listen.trusted_proxies)
        # With PROXY headers no request need say where its client is.
        self._forwarding = Networks(()) if config.listen.proxy_protocol else self.proxies
        self.memory.limit = config.limits.handshake_memory_bytes
        self._addresses.reconfigure(config.limits)
        per_s = config.limits.worker_connects_per_s
        if not per_s:
            self._bucket = None
        elif self._bucket is None or self._bucket.rate.per_s != per_s:
            self._bucket = Bucket(Rate(per_s, per_s))

    # --- on the way in ----------------------------------------------------------------------------

    def accepted(self, client: Client) -> Response | None:
        """Counts one whose handshake begins; what speaks against it at once."""
        if self.memory.take(HANDSHAKE_BYTES):
            client.charged = HANDSHAKE_BYTES
        else:
            return self._no_memory(client)
        if self._bucket is not None and (wait_ns := self._bucket.take(self._now_ns())):
            per_s = self._bucket.rate.per_s
            return self._shed("rate", f"worker_connects_per_s: {per_s}", client, wait_ns)
        if not self.counted_as(client.peer):
            return None  # whose it is comes with its request
        address = client.address = self._addresses.of(client.peer)
        address.handshakes += 1
        limit = self._limits.handshakes_per_address
        if address.handshakes > limit:
            return self._limited("address", f"handshakes_per_address: {limit}", client)
        return self._too_often(client, address)

    def counted_as(self, peer: str) -> str:
        """The address that unfinished handshakes count for; "": there is none, or a proxy's."""
        return "" if self._forwarding and peer in self._forwarding else shared_by(peer)

    def _too_often(self, client: Client, address: Address) -> Response | None:
        wait_ns = self._addresses.wait_ns(address, self._now_ns())
        if not wait_ns:
            return None
        limit = self._limits.connects_per_address_per_s
        return self._limited("rate", f"connects_per_address_per_s: {limit}", client, wait_ns)

    def preface(self, peer: str) -> bool:
        """Whether a proxy may say whose this connection is; `preface_ended` gives that back."""
        if self.draining or not self.proxies or peer not in self.proxies:
            self.refused("proxy", peer)
            return False
        if not self.memory.take(HANDSHAKE_BYTES):
            self.refused("memory", peer)
            return False
        return True

    def preface_ended(self) -> None:
        """The header has come, or will not."""
        self.memory.give(HANDSHAKE_BYTES)

    def received(self, client: Client, count: int) -> Response | None:
        """Charges bytes that came before the end of a handshake."""
        held = count * HELD_PER_BYTE
        if not self.memory.take(held):
            return self._no_memory(client)
        client.charged += held
        return None

    def located(self, client: Client, headers: "Headers") -> Response | None:
        """Learns where a client behind a proxy is: from now on its peer is itself."""
        if not self._forwarding or client.address is not None or not client.peer:
            return None
        client.peer = client_of(headers, self._forwarding, client.peer)
        address = client.address = self._addresses.of(client.peer)
        address.handshakes += 1
        return self._too_often(client, address)

    def request(self, client: Client) -> Response | None:
        """What speaks against one more client, whose request is a good one."""
        if self.draining:
            return self._shed("shutdown", "the gateway is shutting down", client)
        if self._connections() >= self.connections_max:
            return self.full(client)
        limit = self._limits.connections_per_address
        address = client.address
        if limit and address is not None and address.connections >= limit:
            return self._limited("connections", f"connections_per_address: {limit}", client)
        if (why := self._capacity.refusal(self._now_ns())) is None:
            return None
        self.refused("overload", client.peer)
        retry_after_s = -(-self._capacity.retry_after_ms() // 1000)
        return refusal(503, "overload", why, (("Retry-After", str(retry_after_s)),))

    def of_tenant(self, client: Client, why: str) -> Response | None:
        """What speaks against one more client of its tenant; empty: nothing."""
        return self._shed("tenant", why, client) if why else None

    def full(self, client: Client) -> Response:
        """The refusal of a client beyond the limit of all."""
        why = f"max_connections: {self.connections_max} are open"
        return self._shed("max_connections", why, client)

    # --- and out of it ----------------------------------------------------------------------------

    def handshake_ended(self, client: Client, *, opened: bool) -> None:
        """It is one of the open ones, or refused, or gone: its charge is given back."""
        self.memory.give(client.charged)
        client.charged = 0
        if client.address is not None:
            client.address.handshakes -= 1
            client.address.connections += opened
            self._addresses.settle(client.address, self._now_ns())

    def left(self, client: Client) -> None:
        """It was one of the open ones."""
        if client.address is not None:
            client.address.connections -= 1
            self._addresses.settle(client.address, self._now_ns())

    def linger(self) -> bool:
        """Whether one more refused client is given time; `lingered` ends it."""
        self._lingering += 1
        return self._lingering <= LINGERING_MAX

    def lingered(self) -> None:
        """A refused client is gone."""
        self._lingering -= 1

    def sweep(self) -> None:
        """Forgets addresses that do not matter any more: call it some times a second."""
        self._addresses.expire(self._now_ns(), EXPIRED_PER_SWEEP)

    # --- refusals ---------------------------------------------------------------------------------

    def _no_memory(self, client: Client) -> Response:
        why = f"handshake_memory_bytes: {self.memory.used} are held for unfinished handshakes"
        return self._shed("memory", why, client)

    def _limited(self, reason: str, why: str, client: Client, wait_ns: int = 0) -> Response:
        self.refused(reason, client.peer)
        return refusal(429, "limited", why, (_retry_after(wait_ns),))

    def _shed(self, reason: str, why: str, client: Client, wait_ns: int = 0) -> Response:
        self.refused(reason, client.peer)
        return refusal(503, "shed", why, (_retry_after(wait_ns),))

    def refused(self, reason: str, peer: str) -> None:
        """Counts and tells that somebody was not let in."""
        self._stats.add("admission_refused", ADMISSION.index(reason))
        self._told.note(reason, peer)


def _retry_after(wait_ns: int) -> tuple[str, str]:
    return "Retry-After", str(-(-wait_ns // SECOND_NS) + random.randint(*RETRY_AFTER_S))


class Told:
    """Lines of the log about refusals: one for each reason in LINE_INTERVAL_S."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._last: dict[str, tuple[int, int]] = {}  # when, how many more since

    def note(self, reason: str, peer: str) -> None:
        """Logs it, or counts it for the next line."""
        now_ns = self._now_ns()
        told_ns, more = self._last.get(reason, (-LINE_INTERVAL_S * SECOND_NS, 0))
        if now_ns - told_ns < LINE_INTERVAL_S * SECOND_NS:
            self._last[reason] = told_ns, more + 1
            return
        self._last[reason] = now_ns, 0
        _log.warning("client.refused", reason=reason, peer=peer, more_since_last=more)
