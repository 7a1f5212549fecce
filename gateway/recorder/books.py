"""Order books of the last minute: what a recording begins with.

The segment has each book as it is now, and the ring's records say what changed: from a state and
the records behind it a reader has the book at each of them. But a recording begins seconds before
it is written, when its books are others already. So the recorder copies them every few seconds, and
keeps the copies packed; a book that has not changed since is not copied again.

A copy is a step, on a thread: the next one waits until it has taken a small part of the time. What
the memory does not hold goes, the oldest first: then a recording's book begins later.
"""

import threading
import time
from collections import deque
from collections.abc import Generator
from typing import Final

from gateway.recorder.ring import BookReader, State

ROUND_S: Final = 5.0
"""From the beginning of one round through all books to that of the next, at least."""
SPAN_NS: Final = 60_000_000_000
"""As far back as a recording may begin, and some more."""
BYTES_MAX: Final = 32 << 20
"""Packed, of all copies: six rounds of a million levels, all of which moved."""
STEP_LEVELS: Final = 20_000
"""Copied in a step, or one book that has more: 2 ms, packed."""
STEP_PLACES: Final = 4096
"""Looked at in a step."""
SHARE: Final = 0.05
"""Of the time that steps may take."""


class Books:
    """Copies of books. One thread at a time goes round; any may ask for what there is.

    Of a book there is always its newest copy, however old it is, and so much of the others as the
    span and the room allow.
    """

    def __init__(self, *, span_ns: int = SPAN_NS, bytes_max: int = BYTES_MAX) -> None:
        self._span_ns = span_ns
        self._bytes_max = bytes_max
        self._lock = threading.Lock()  # of what follows
        self._epoch = ""
        self._held: dict[int, deque[State]] = {}  # by owner, the oldest first
        self._order: deque[State] = deque()  # all of them, and some that are no longer held
        self._newest: dict[int, tuple[int, int]] = {}  # by place: (owner, seq)
        self._missed: dict[int, int] = {}  # by place: the first round that could not look there
        self._rounds: deque[tuple[int, int, int]] = deque()  # number, ns and position of its start
        self._round = 0
        self._bytes = 0

    @property
    def held_bytes(self) -> int:
        """Held now."""
        return self._bytes

    def since(self, epoch: str, since_ns: int) -> list[State]:
        """Of each book of this segment the last state before that moment, and all since, in the
        order of the ring.

        What a later round found unchanged counts from that round's start: a book that seldom moves
        needs no records from the time when it was copied.
        """
        found: list[State] = []
        with self._lock:
            for states in self._held.values() if epoch == self._epoch else ():
                first = max(sum(state.copied_ns <= since_ns for state in states) - 1, 0)
                found.append(self._confirmed(states, first, since_ns))
                found += list(states)[first + 1 :]
        return sorted(found, key=lambda state: state.position)

    def round(self, reader: BookReader) -> Generator[None]:
        """Copies what has changed, and yields after each step; closes the reader."""
        try:
            if reader.epoch != self._epoch:
                self._forget(reader.epoch)
            self._round += 1
            started = self._round, time.monotonic_ns(), reader.position
            levels = 0
            for place in range(reader.places):
                levels += self._copy(reader, place)
                if levels >= STEP_LEVELS or place % STEP_PLACES == STEP_PLACES - 1:
                    yield
                    levels = 0
            with self._lock:
                self._rounds.append(started)
                while started[1] - self._rounds[0][1] > self._span_ns:
                    self._rounds.popleft()
        finally:
            reader.close()

    def _forget(self, epoch: str) -> None:
        with self._lock:
            self._epoch = epoch
            self._held.clear()
            self._order.clear()
            self._newest.clear()
            self._missed.clear()
            self._rounds.clear()
            self._bytes = 0

    def _copy(self, reader: BookReader, place: int) -> int:
        """How many levels were copied."""
        now_ns = time.monotonic_ns()
        owner, seq = self._newest.get(place, (0, 0))
        try:
            found = reader.at(place, owner, seq)
        except BlockingIOError:  # the next round has it
            with self._lock:
                self._missed.setdefault(place, self._round)
            return 0
        if seq and (found is None or found.owner != owner):
            with self._lock:
                self._let_go(owner, place, None if found else now_ns - self._span_ns)
        with self._lock:
            number = self._missed.pop(place, self._round)
        if found is None or not found.parts:
            return 0
        state = found.state(now_ns, place, number)
        with self._lock:
            self._newest[place] = found.owner, found.seq
            self._add(state)
        return found.levels

    # --- under the lock ---------------------------------------------------------------------------

    def _confirmed(self, states: deque[State], at: int, since_ns: int) -> State:
        """The state as of the last whole round before that moment that found it unchanged."""
        state = states[at]
        end = self._missed.get(state.place, self._round + 1)
        if at + 1 < len(states):
            end = states[at + 1].round
        for number, started_ns, position in reversed(self._rounds):
            if number < end and started_ns <= since_ns:
                if started_ns > state.copied_ns:
                    state = state._replace(copied_ns=started_ns, position=position)
                break
        return state

    def _add(self, state: State) -> None:
        states = self._held.setdefault(state.owner, deque())
        states.append(state)
        self._order.append(state)
        self._bytes += state.size
        while len(states) > 1 and state.copied_ns - states[1].copied_ns > self._span_ns:
            self._bytes -= states.popleft().size
        while self._bytes > self._bytes_max:
            self._drop(self._order.popleft())
        while self._order and not self._is_held(self._order[0]):
            self._order.popleft()

    def _is_held(self, state: State) -> bool:
        states = self._held.get(state.owner)
        return states is not None and states[0].copied_ns <= state.copied_ns

    def _drop(self, state: State) -> None:
        """One for which there is no room; a book that loses its only one is copied again."""
        if not self._is_held(state):
            return
        states = self._held[state.owner]
        self._bytes -= states.popleft().size
        if not states:
            del self._held[state.owner]
            if self._newest.get(state.place, (0, 0))[0] == state.owner:
                del self._newest[state.place]

    def _let_go(self, owner: int, place: int, old_ns: int | None) -> None:
        """The book has ended: it goes when its newest copy is old, or its place is another's."""
        states = self._held.get(owner)
        if states is None or old_ns is None or states[-1].copied_ns < old_ns:
            for state in self._held.pop(owner, ()):
                self._bytes -= state.size
            self._newest.pop(place, None)
