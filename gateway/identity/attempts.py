"""Failed attempts of each address: who tries many is not looked at for the rest of the minute."""

import ipaddress
from typing import Final

ADDRESSES_MAX: Final = 10_000
MINUTE_NS: Final = 60_000_000_000


class Attempts:
    """Counts by address, of the minute that began with the first one; the oldest are forgotten.

    Attributes:
        limit: of failures.
    """

    __slots__ = ("_counts", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._counts: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def wait_s(self, peer: str, now_ns: int) -> int:
        """For how long nothing of it is looked at; 0: it may try."""
        count, since_ns = self._counts.get(network(peer), (0, 0))
        left_ns = since_ns + MINUTE_NS - now_ns
        return -(-left_ns // 1_000_000_000) if count >= self.limit and left_ns > 0 else 0

    def failed(self, peer: str, now_ns: int) -> None:
        """One more."""
        who = network(peer)
        count, since_ns = self._counts.pop(who, (0, now_ns))
        if now_ns - since_ns >= MINUTE_NS:
            count, since_ns = 0, now_ns
        while len(self._counts) >= ADDRESSES_MAX:
            del self._counts[next(iter(self._counts))]
        self._counts[who] = (count + 1, since_ns)


def network(peer: str) -> str:
    """Of IPv6 the first 64 bits: who has one address there has them all."""
    if ":" not in peer:
        return peer
    try:
        address = ipaddress.IPv6Address(peer.partition("%")[0])
    except ValueError:
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
