"""What a client may have, as the session asks it and as the data plane is given it.

Of a name the first rule that matches decides, in each list. A pattern may cover names of several
rules, but has one set of parameters, as its result says: the strictest of all rules that it may
have names of. Who wants more for some asks for those alone. Which names a pattern covers is decided
name by name, in the plane.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from gateway._native import LOCAL, Right
from gateway.identity.entry import ANY, Rule
from gateway.identity.grants import Granted
from gateway.model.encoding import Encoding
from gateway.model.record import CHANNELS, CHANNELS_OWN, Channel
from gateway.model.topic import is_pattern, match_pattern, unescape
from gateway.session.delivery import Limits

if TYPE_CHECKING:
    from gateway._native import Rule as NativeRule

PATTERNS_MAX: Final = 4096
"""Patterns whose limits are kept."""


class Rights:
    """Those of all clients with the same rules and encoding.

    Attributes:
        right: for the catalog's counts and lists.
        rules: for the data plane.
        topics_max: of a connection; None: no limit of its own.
        number: of the plane's grant; who interns rights sets it.
    """

    __slots__ = ("_lists", "_patterns", "_places", "number", "right", "rules", "topics_max")

    def __init__(self, lists: Sequence[Sequence[Rule]], topics_max: int | None = None) -> None:
        self._lists = lists
        self._places: list[Rule] = []
        self._patterns: dict[tuple[str, str], Limits | None] = {}
        self.topics_max = topics_max
        self.number = 0
        rules: list[NativeRule] = []
        for number, each in enumerate(lists):
            before = len(rules)
            for rule in each:
                found = [*_native(rule, number)]
                rules += found
                self._places += [rule] * len(found)
            if len(rules) == before:  # a list that grants nothing: all have to
                rules.clear()
                self._places.clear()
                break
        self.rules = rules
        self.right = Right(rules)

    def of_name(self, channel: Channel, name: str) -> Limits | None:
        """The limits of a name; None: it is not granted."""
        found = self.right.decide(LOCAL if channel.own else channel.key, _own(channel, name))
        return None if found is None else _strictest(self._places[place] for place in found)

    def of_pattern(self, channel: Channel, pattern: str) -> Limits | None:
        """The limits of a pattern; None: it can cover nothing that is granted."""
        asked = (channel.key, pattern)
        if asked not in self._patterns:
            if len(self._patterns) >= PATTERNS_MAX:
                self._patterns.clear()
            self._patterns[asked] = self._limits(channel.name, pattern)
        return self._patterns[asked]

    def _limits(self, channel: str, pattern: str) -> Limits | None:
        concerned: list[Rule] = []
        for each in self._lists:
            mine = [*_concerned(each, channel, pattern)]
            if not mine:
                return None
            concerned += mine
        return _strictest(concerned) if concerned else None


def rights(granted: Granted, encoding: Encoding) -> Rights:
    """Those of clients that are granted this and speak this encoding."""
    lists = [
        [rule for rule in each if rule.encodings is None or encoding in rule.encodings]
        for each in granted.lists
    ]
    return Rights(lists, granted.subscriptions)


def _own(channel: Channel, name: str) -> str:
    return channel.name if channel.own else name


def _native(rule: Rule, number: int) -> "Iterable[NativeRule]":
    """What the gateway says of itself has the symbol `*`, so that a rule of all symbols has it."""
    everything = ANY in rule.channels
    names = set(rule.channels)
    keys = [key for key, one in CHANNELS.items() if everything or one.name in names]
    for text in rule.instruments:
        if keys:
            yield keys, text, True, number
    if ANY in rule.instruments:
        for name in CHANNELS_OWN:
            if everything or name in names:
                yield LOCAL, name, True, number


def _strictest(rules: Iterable[Rule]) -> Limits:
    limits = Limits()
    for rule in rules:
        limits = Limits(
            min((hz for hz in (limits.max_hz, rule.max_hz) if hz is not None), default=None),
            min((depth for depth in (limits.depth, rule.depth) if depth), default=None),
            max(limits.priority, rule.class_),
        )
    return limits


def _concerned(rules: Iterable[Rule], channel: str, pattern: str) -> Iterable[Rule]:
    """The rules that may decide of a name that the pattern covers, in order."""
    for rule in rules:
        if ANY not in rule.channels and channel not in rule.channels:
            continue
        if any(may_share(text, pattern) for text in rule.instruments):
            yield rule
        if any(covers(text, pattern) for text in rule.instruments):
            return  # nothing of it is left for those behind


def covers(wider: str, pattern: str) -> bool:
    """Whether all that the pattern covers is covered by the other one; False where in doubt."""
    # A star of the pattern is matched by a star alone: as a character it is in no literal.
    return is_pattern(wider) and "~" not in wider + pattern and match_pattern(wider, pattern)


def may_share(text: str, pattern: str) -> bool:
    """Whether both may cover the same name; True where in doubt."""
    if not is_pattern(text):
        return match_pattern(pattern, unescape(text))
    if "~" in text + pattern:
        return True
    one, other = text.split("*"), pattern.split("*")
    heads = one[0].startswith(other[0]) or other[0].startswith(one[0])
    return heads and (one[-1].endswith(other[-1]) or other[-1].endswith(one[-1]))
