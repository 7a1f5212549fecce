"""How often something may be done: a bucket of one turn or several. No clock, no sleep."""


class Pace:
    """So many a second, and at most `burst` at once.

    Attributes:
        not_before_s: no turn before that time, whatever is in the bucket.
    """

    def __init__(self, per_s: float, burst: int = 1) -> None:
        self._per_s = per_s
        self._burst = burst
        self._turns = float(burst)
        self._at_s: float | None = None
        self.not_before_s = 0.0

    def take(self, now_s: float) -> bool:
        """Whether there is a turn now, which is then taken."""
        if self._at_s is not None:
            filled = self._turns + (now_s - self._at_s) * self._per_s
            self._turns = min(float(self._burst), filled)
        self._at_s = now_s
        if self._turns < 1.0 or now_s < self.not_before_s:
            return False
        self._turns -= 1.0
        return True
