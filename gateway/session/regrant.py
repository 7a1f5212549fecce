"""What a right allows of a subscription that is asked for, and of all when it changes. Pure."""

from collections import deque
from typing import Any, Final

import msgspec

from gateway.model.record import CHANNELS, CHANNELS_OWN, Channel
from gateway.model.topic import is_pattern, unescape
from gateway.session import codes
from gateway.session.access import WITHDRAWN_MAX, Rights, withdrawn
from gateway.session.actions import Action, Review, Subscribe, Unsubscribe
from gateway.session.codes import Error
from gateway.session.delivery import Delivery, Limits, clamp
from gateway.session.subscriptions import Subscription, Subscriptions

STEP_UNITS: Final = 64
"""What one step looks at: some 200 us."""
UNITS_NAME: Final = 1
UNITS_PATTERN: Final = 16
"""Its limits are those of all rules that may have something of it."""


def allow(rights: Rights | None, channel: Channel, name: str, wanted: Delivery) -> Delivery | Error:
    """What of it is in force, or why nothing is: asked before whether there is such a name.

    A pattern that covers nothing that is granted is no error: it covers nothing.
    """
    if rights is None:
        return wanted
    limits = _limits(rights, channel, name)
    if limits is None:
        return Error(codes.FORBIDDEN, "not granted")
    return clamp(channel, wanted, limits)


class Reviewing:
    """Holds a client's subscriptions against other rights, some in each step.

    The data plane has the other right already: it sends nothing of what that does not grant, and
    tells of each name that it ended so. A step finds the same names by itself, and those that go on
    with less. Subscriptions that come meanwhile were asked of the other rights. The client is told
    in one message, once all is looked at and the plane has no more to tell.

    Args:
        subscriptions: the client's.
    """

    __slots__ = ("_count", "_due", "_left", "_names", "_news", "_subscriptions")

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._left: deque[int] = deque()  # ids that are not looked at yet
        self._due = False  # a step was asked for
        self._news = False  # the plane told something since the last one
        self._names: list[dict[str, Any]] = []  # to be told, the first of them
        self._count = 0

    def begin(self, rights: Rights) -> list[Action]:
        """The first step; one that goes on is begun anew."""
        self._left = deque(self._subscriptions.ids())
        return self._step(rights)

    def ended(self, one: Subscription) -> list[Action]:
        """The plane has ended a subscription; it may have been asked for again meanwhile."""
        self._end([one])
        self._news = True
        return [Unsubscribe(b"", (), (one.id,)), *self._again()]

    def step(self, rights: Rights) -> list[Action]:
        """One more, as it was asked for."""
        self._due = False
        if self._news:  # there may be more where that came from: not a message for each
            self._news = False
            return [*self._look(rights), *self._again()]
        return self._step(rights)

    def stop(self) -> None:
        """The client is gone."""
        self._left.clear()

    def _step(self, rights: Rights) -> list[Action]:
        actions = self._look(rights)
        return [*actions, *(self._again() if self._left else self._told())]

    def _look(self, rights: Rights) -> list[Action]:
        ended: list[Subscription] = []
        changed: list[Subscription] = []
        units = 0
        while self._left and units < STEP_UNITS:
            one = self._subscriptions.by_id(self._left.popleft())
            units += UNITS_PATTERN if one is not None and one.pattern else UNITS_NAME
            if one is None:  # it has ended meanwhile
                continue
            channel = _channel(one)
            limits = _limits(rights, channel, one.name)
            if limits is None:
                ended.append(one)
            elif (less := clamp(channel, one.delivery, limits)) != one.delivery:
                changed.append(msgspec.structs.replace(one, **less._asdict()))
        self._end(ended)
        self._subscriptions.put(changed)
        actions: list[Action] = []
        if ended:
            actions.append(Unsubscribe(b"", (), tuple(one.id for one in ended)))
        if changed:
            items = tuple(one.item(resync=False) for one in changed)
            actions.append(Subscribe(b"", (), items))
        return actions

    def _again(self) -> list[Action]:
        if self._due:
            return []
        self._due = True
        return [Review()]

    def _end(self, ended: list[Subscription]) -> None:
        self._subscriptions.remove(ended)
        self._count += len(ended)
        for one in ended[: WITHDRAWN_MAX - len(self._names)]:
            channel = _channel(one)
            interval = {"interval": channel.interval} if channel.interval else {}
            self._names.append({"channel": channel.name, "symbol": one.name, **interval})

    def _told(self) -> list[Action]:
        """The message that tells the client of subscriptions that have ended."""
        names, count = self._names, self._count
        self._names, self._count = [], 0
        return [withdrawn(names, count - len(names))] if count else []


def _channel(one: Subscription) -> Channel:
    return CHANNELS_OWN[one.channel] if one.own else CHANNELS[one.channel]


def _limits(rights: Rights, channel: Channel, name: str) -> Limits | None:
    if is_pattern(name) and not channel.own:
        return rights.of_pattern(channel, name) or Limits()
    return rights.of_name(channel, name if channel.own else unescape(name))
