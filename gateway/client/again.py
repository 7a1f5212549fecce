"""What a client asks for again: after a reconnect, a refusal, a hole, or a wait for data in vain.

Theory of operation. All of it goes through one queue, in the order of what is wanted and no faster
than `Pace` allows: a client of 100,000 names that lost its gateway must not be sent away for
asking. Strings that were lossless ask for what they missed: a name alone by its last number, others
by a moment, which is the newest receipt of the connection on which they were last served, less a
second. That moment stays theirs until the gateway says that they had everything, however many
connections it takes; what comes twice is dropped by number (`continuity`).

A subscription whose state exists has to be served within a time, or it is asked for again, a few
times. Times are MONOTONIC ns, and given.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice, takewhile
from typing import Any, Final, NamedTuple, TypeAlias

from gateway.client.continuity import Topic
from gateway.client.requests import Asked, Key, chunks
from gateway.client.wanted import Wanted
from gateway.model.topic import is_pattern, match_pattern, meant

SECOND_NS: Final = 1_000_000_000
RECOVER_BEFORE_NS: Final = SECOND_NS
"""Records may reach the gateway's feeds by so much later than newer ones of others."""
FIRST_DATA_TRIES_MAX: Final = 3


class Pace:
    """How many requests a client makes by itself: so many at once, then so many a second, which is
    a third and half of what a gateway takes of one client by default."""

    def __init__(self, burst: int = 64, per_s: int = 25) -> None:
        self._burst, self._per_s = burst, per_s
        self._tokens = float(burst)
        self._at_ns = 0

    def take(self, now_ns: int) -> bool:
        """Takes one, if there is one."""
        passed_s = max(0, now_ns - self._at_ns) / SECOND_NS
        self._tokens = min(self._burst, self._tokens + passed_s * self._per_s)
        self._at_ns = now_ns
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


Position: TypeAlias = Callable[[Topic], tuple[str, int] | None]
"""The epoch and the last number of a topic, where they are known."""


class Ask(NamedTuple):
    """A request to make, and what it says of what was missed."""

    asked: Asked
    since: dict[str, Any] | None


def asks(
    method: str, channel: str, symbols: Iterable[str], params: dict[str, Any]
) -> Iterator[Ask]:
    """As many requests as so many strings take."""
    for chunk in chunks(symbols):
        yield Ask(Asked(method, channel, tuple(chunk), params), None)


class _Awaited:
    """A subscription whose first frame has to come."""

    __slots__ = ("due_ns", "tries")

    def __init__(self, due_ns: int, tries: int) -> None:
        self.due_ns: int | None = due_ns  # None: until the reply to the next try
        self.tries = tries


class Again:
    """The queue of one client.

    Args:
        wanted: what may be asked for.
        first_data_ns: how long the first frame of a subscription may take.
    """

    def __init__(self, wanted: Wanted, first_data_ns: int) -> None:
        self._wanted = wanted
        self._first_data_ns = first_data_ns
        self._pace = Pace()
        self._queue: dict[Key, None] = {}
        self._later: dict[Key, int] = {}  # refused until this time
        self._awaited: dict[Key, _Awaited] = {}
        self._awaited_patterns: set[Key] = set()  # those of them
        self._since: dict[Key, int] = {}  # REALTIME ns: missed what came from then on

    # --- what is to be asked for ------------------------------------------------------------------

    def connected(self, lossless: set[Key], newest_ns: int) -> None:
        """A new connection: everything wanted is to be asked for.

        Args:
            lossless: what was in force on the connection before, and lossless.
            newest_ns: the greatest `ts_recv`; 0: there was no record.
        """
        self._later.clear()
        self._awaited.clear()
        self._awaited_patterns.clear()
        self._queue = dict.fromkeys(self._wanted)
        if newest_ns:
            for key in lossless:
                self._since.setdefault(key, newest_ns - RECOVER_BEFORE_NS)
        self._since = {key: ns for key, ns in self._since.items() if key in self._wanted}

    def add(self, key: Key) -> None:
        """Asks for it, once there is room for a request."""
        if key in self._wanted:
            self._queue[key] = None

    def add_later(self, key: Key, at_ns: int) -> None:
        """Asks for it, but not before this time."""
        self._later[key] = at_ns

    def drop(self, key: Key) -> None:
        """It was asked for otherwise, or is not wanted any more."""
        self._queue.pop(key, None)
        self._later.pop(key, None)
        self._since.pop(key, None)
        self.had(key)

    def missed_since(self, key: Key, ns: int) -> None:
        """What it missed comes, from this moment on: so the next connection would ask for it."""
        self._since.setdefault(key, ns)

    def complete(self, key: Key) -> None:
        """It has everything, or never will."""
        self._since.pop(key, None)

    # --- asking -----------------------------------------------------------------------------------

    def due(self, now_ns: int, position: Position) -> Iterator[Ask]:
        """What may be asked for now, in order; `position` is a topic's last number, if known."""
        for key in [key for key, at_ns in self._later.items() if at_ns <= now_ns]:
            del self._later[key]
            self.add(key)
        while self._queue and self._pace.take(now_ns):
            yield self._next(self._queue, position)

    def flush(self, first: Callable[[Key], bool], position: Position) -> Iterator[Ask]:
        """Those of the queue that have to be asked for before the request which follows."""
        queue = {key: None for key in self._queue if first(key)}
        while queue:
            yield self._next(queue, position)

    def _next(self, queue: dict[Key, None], position: Position) -> Ask:
        """The first one and those behind it that fit into the same request."""
        first = next(iter(queue))
        params = self._wanted[first]
        recovers = first in self._since

        def alike(key: Key) -> bool:
            return (
                key.channel == first.channel
                and (key in self._since) == recovers
                and self._wanted[key] == params
            )

        names = (key.symbol for key in takewhile(alike, queue))
        symbols = next(chunks(names, recovers=recovers))
        keys = list(islice(queue, len(symbols)))
        for key in keys:
            del queue[key]
            self._queue.pop(key, None)
        asked = Asked("subscribe", first.channel, tuple(symbols), params, recovers=recovers)
        return Ask(asked, self._from(keys, position) if recovers else None)

    def _from(self, keys: list[Key], position: Position) -> dict[str, Any]:
        """From where on these missed something."""
        if len(keys) == 1 and not is_pattern(keys[0].symbol):
            had = position(keys[0].topic._replace(symbol=meant(keys[0].symbol)))
            if had is not None:
                return dict(zip(("epoch", "seq"), had, strict=True))
        return {"ts": max(0, min(self._since[key] for key in keys))}

    # --- the first frame --------------------------------------------------------------------------

    def expect(self, key: Key, now_ns: int) -> None:
        """Its state exists, and has to come in time; not awaited any more after so many tries."""
        tries = self._awaited[key].tries if key in self._awaited else 0
        if tries >= FIRST_DATA_TRIES_MAX:
            self.had(key)
            return
        self._awaited[key] = _Awaited(now_ns + self._first_data_ns, tries)
        if is_pattern(key.symbol):
            self._awaited_patterns.add(key)

    def came(self, topic: Topic, key: Key | None) -> None:
        """A first frame of this topic has come; `key` is the string that covers it."""
        if not self._awaited:
            return
        if key is not None:
            self.had(key)
        for pattern in [*self._awaited_patterns]:
            if pattern.channel == topic.channel and match_pattern(pattern.symbol, topic.symbol):
                self.had(pattern)

    def touch(self, now_ns: int) -> None:
        """Nothing was read for a while: what had to come may still be on its way to be read."""
        for one in self._awaited.values():
            if one.due_ns is not None:
                one.due_ns = max(one.due_ns, now_ns + self._first_data_ns)

    def had(self, key: Key) -> None:
        """A frame of it has come, or there is none that could."""
        self._awaited.pop(key, None)
        self._awaited_patterns.discard(key)

    def overdue(self, now_ns: int) -> list[Key]:
        """Those whose first frame did not come in time; they are asked for again."""
        missed = [
            key
            for key, one in self._awaited.items()
            if one.due_ns is not None and one.due_ns <= now_ns
        ]
        for key in missed:
            one = self._awaited[key]
            one.due_ns = None
            one.tries += 1
            self.add(key)
        return missed
