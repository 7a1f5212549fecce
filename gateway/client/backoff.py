"""When to connect again: which closes allow it, and how long to wait."""

import random
from collections.abc import Callable

# RFC 6455 section 7.4.1: the server says that this client is wrong; it would be wrong again.
_CLIENT_FAULTS = frozenset({1002, 1003, 1007, 1008, 1009})


def reconnects(code: int) -> bool:
    """Whether a client may connect again after this close code (PROTOCOL section 5).

    4000-4499 yes, 4500-4999 no; 1000 is the end; of the others all but the client's own faults.
    1006 stands for a connection that ended without a close frame.
    """
    return code != 1000 and code not in _CLIENT_FAULTS and not 4500 <= code <= 4999


class Backoff:
    """Exponential backoff with full jitter: uniform in 0 .. min(cap, base * 2**failures).

    Full jitter (Brooker, "Exponential Backoff And Jitter", 2015) spreads a crowd of clients that
    lost the same server at the same moment over the whole interval. The base is several times the
    0.2 s that a worker takes to start again: clients that come before wait in the kernel's queue,
    and are then taken all at once.
    """

    def __init__(
        self,
        base_s: float = 1.0,
        cap_s: float = 30.0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._uniform = uniform
        self._ceiling_s = base_s

    def next_s(self) -> float:
        """Seconds to wait before the next attempt; the range doubles with each call."""
        ceiling_s = min(self._cap_s, self._ceiling_s)
        self._ceiling_s = min(self._cap_s, ceiling_s * 2)
        return self._uniform(0.0, ceiling_s)

    def jitter_s(self) -> float:
        """Seconds to add to a time that was asked for: at most the base, however often."""
        return self._uniform(0.0, self._base_s)

    def reset(self) -> None:
        """The connection held: begin again at the base."""
        self._ceiling_s = self._base_s
