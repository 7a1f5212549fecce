"""How long to wait before the next try: exponential, capped, with jitter. No clock, no sleep."""

import random
from collections.abc import Callable


class Backoff:
    """Waits that are drawn uniformly below a bound, which doubles from `base_s` to `cap_s`.

    The jitter keeps those that failed together from coming back together. Without a `least` it is
    full jitter (Brooker, "Exponential Backoff And Jitter", 2015), which spreads a crowd of clients
    that lost the same server at the same moment over the whole interval. The defaults are for such
    clients: the base is several times the 0.2 s that a worker takes to start again, since clients
    that come before wait in the kernel's queue and are then taken all at once.

    Args:
        base_s: the first bound.
        cap_s: the last bound.
        uniform: draws from a range.
        least: the share of its bound that each wait has at least, 0 to 1.
    """

    def __init__(
        self,
        base_s: float = 1.0,
        cap_s: float = 30.0,
        uniform: Callable[[float, float], float] = random.uniform,
        *,
        least: float = 0.0,
    ) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._uniform = uniform
        self._least = least
        self._bound_s = base_s

    def next_s(self) -> float:
        """Seconds to wait before the next attempt; the range doubles with each call."""
        bound_s = min(self._cap_s, self._bound_s)
        self._bound_s = min(self._cap_s, bound_s * 2)
        return self._uniform(bound_s * self._least, bound_s)

    def jitter_s(self) -> float:
        """Seconds to add to a time that was asked for: at most the base, however often."""
        return self._uniform(0.0, self._base_s)

    def reset(self) -> None:
        """Begins again at the base, after a spell of health."""
        self._bound_s = self._base_s
