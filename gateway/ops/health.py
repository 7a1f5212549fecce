"""Readiness: whether new clients should be sent here, and if not, why not."""

from gateway.model.outcomes import ACCEPT_ERRORS
from gateway.ops.subject import Subject

DESCRIPTORS_QUIET_S = 2.0
"""How long after an accept that failed for want of descriptors we are not ready."""

_DESCRIPTORS = tuple(ACCEPT_ERRORS.index(name) for name in ("EMFILE", "ENFILE"))


class Health:
    """Judges readiness from the supervisor's snapshot and the workers' counters."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._refused = self._refused_now()
        self._refused_s = float("-inf")

    def sample(self, now_s: float) -> None:
        """Notes whether descriptors ran out since the last call: call it a few times a second."""
        refused = self._refused_now()
        if refused != self._refused:
            self._refused, self._refused_s = refused, now_s

    def problems(self, now_s: float) -> list[str]:
        """Why the gateway is not ready, in words; empty when it is. `now_s` is monotonic."""
        words = list(self._subject.supervision().problems)
        self.sample(now_s)
        if now_s - self._refused_s < DESCRIPTORS_QUIET_S:
            words.append("out of file descriptors")
        return words

    def _refused_now(self) -> int:
        return sum(
            page.get("accept_errors", index)
            for page in self._subject.pages.values()
            for index in _DESCRIPTORS
        )
