"""What a client wants: each string subscribed to, in the order that decides which is in force."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from gateway.client.continuity import Topic
from gateway.client.events import Result
from gateway.client.requests import LOSSLESS, Key, key_of, mode_asked
from gateway.model.record import HEALTH
from gateway.model.topic import escape, is_pattern, match_pattern

HELD_BACK_ABOVE: Final = 1
"""Classes above it get less, or nothing, while a gateway has too much to do."""
_LOOKED_UP_MAX: Final = 1 << 16
"""Topics of which it is remembered whether they are lossless."""


class Wanted:
    """The subscriptions of one client, across its connections, and their modes on this one."""

    def __init__(self) -> None:
        self._params: dict[Key, dict[str, Any]] = {}
        self._patterns: dict[Key, None] = {}  # those of them, in their order
        self._names: Counter[tuple[str, str]] = Counter()  # by channel and scope
        self._modes: dict[Key, str] = {}  # of those in force on this connection
        self._lossless: dict[Topic, bool] = {}  # as it was looked up

    def __len__(self) -> int:
        return len(self._params)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._params)

    def __contains__(self, key: Key) -> bool:
        return key in self._params

    def __getitem__(self, key: Key) -> dict[str, Any]:
        return self._params[key]

    def add(self, key: Key, params: dict[str, Any]) -> None:
        """Wants it, behind all others: a later pattern's parameters win over an earlier one's."""
        self.remove(key)
        self._params[key] = params
        self._lossless.clear()
        if is_pattern(key.symbol):
            self._patterns[key] = None
        else:
            self._names[key.channel, key.scope] += 1

    def remove(self, key: Key) -> None:
        """No longer wants it. Its mode is in force until the gateway says that it ended."""
        if self._params.pop(key, None) is None:
            return
        if is_pattern(key.symbol):
            del self._patterns[key]
        else:
            self._names[key.channel, key.scope] -= 1
        self._lossless.clear()

    def change(self, key: Key, params: dict[str, Any]) -> None:
        """Other parameters for what is wanted, in its place."""
        if key in self._params:
            self._params[key] = self._params[key] | params

    def accepted(self, key: Key, mode: str) -> None:
        """The gateway's word for the mode that is in force."""
        self._modes[key] = mode
        self._lossless.clear()

    def ended(self, key: Key) -> None:
        """The subscription to this string has ended."""
        self._modes.pop(key, None)
        self._lossless.clear()

    def connected(self) -> set[Key]:
        """The connection is a new one; those that are lossless, by their replies on the one before
        or, where none came, as they were asked for."""
        modes = {key: mode_asked(key.channel, params) for key, params in self._params.items()}
        lossless = {key for key, mode in (modes | self._modes).items() if mode == "lossless"}
        self._modes.clear()
        self._lossless.clear()
        return lossless

    def covering(self, topic: Topic) -> Key | None:
        """The string whose parameters are in force: the name, else the latest pattern."""
        exact = key_of(topic._replace(symbol=escape(topic.symbol)))
        if exact in self._params:
            return exact
        channel, _, scope = exact
        for key in reversed(self._patterns):
            same = key.channel == channel and key.scope == scope
            if same and match_pattern(key.symbol, topic.symbol):
                return key
        return None

    def is_wanted(self, topic: Topic) -> bool:
        """Whether a string covers it."""
        return self.covering(topic) is not None

    def names(self, channel: str, scope: str) -> int:
        """How many names of a channel are wanted, whose own parameters win over any pattern's."""
        return self._names[channel, scope]

    def has_state(self, key: Key, result: Result) -> bool:
        """Whether what a string was subscribed to with this result has a state that is never held
        back: its first frame has to come in time."""
        if is_pattern(key.symbol):
            # Of health a pattern brings what is not well alone.
            names = self.names(key.channel, key.scope)
            exists = key.channel != HEALTH and (result.matched or 0) > names
        else:
            exists = bool(result.seq)
        held = result.snapshot is False or result.max_age_ms is not None
        return exists and not held and (result.class_ or 0) <= HELD_BACK_ABOVE

    def lossless(self, topic: Topic) -> bool:
        """Whether every record of the topic should come, by the reply that is in force."""
        known = self._lossless.get(topic)
        if known is None:
            key = self.covering(topic)
            mode = self._modes.get(key) if key is not None else None
            known = topic.channel in LOSSLESS if mode is None else mode == "lossless"
            if len(self._lossless) >= _LOOKED_UP_MAX:
                self._lossless.clear()
            self._lossless[topic] = known
        return known
