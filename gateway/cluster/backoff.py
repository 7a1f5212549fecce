"""How long to wait before the next try: exponential, capped, with jitter. No clock, no sleep."""

from random import Random


class Backoff:
    """Delays that double from `first_s` to `most_s`, each shortened by up to half at random.

    The jitter keeps processes that died together from coming back together.
    """

    def __init__(self, first_s: float, most_s: float, random: Random | None = None) -> None:
        assert 0 < first_s <= most_s
        self._first_s = first_s
        self._most_s = most_s
        self._random = random or Random()
        self._next_s = first_s

    def next(self) -> float:
        """The delay before the next try, in seconds."""
        delay_s = self._next_s * self._random.uniform(0.5, 1.0)
        self._next_s = min(self._next_s * 2, self._most_s)
        return delay_s

    def reset(self) -> None:
        """Starts again from the first delay, after a spell of health."""
        self._next_s = self._first_s
