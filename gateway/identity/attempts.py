"""Failed attempts of each address: who tries many is not looked at for the rest of the minute."""

from typing import Final

from gateway.networks import shared_by

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
        count, since_ns = self._counts.get(shared_by(peer), (0, 0))
        left_ns = since_ns + MINUTE_NS - now_ns
        return -(-left_ns // 1_000_000_000) if count >= self.limit and left_ns > 0 else 0

    def failed(self, peer: str, now_ns: int) -> None:
        """One more."""
        who = shared_by(peer)
        count, since_ns = self._counts.pop(who, (0, now_ns))
        if now_ns - since_ns >= MINUTE_NS:
            count, since_ns = 0, now_ns
        while len(self._counts) >= ADDRESSES_MAX:
            del self._counts[next(iter(self._counts))]
        self._counts[who] = (count + 1, since_ns)
