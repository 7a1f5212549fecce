"""What a right allows of a subscription that is asked for, and of all when it changes. Pure."""

from collections.abc import Iterable

import msgspec

from gateway.model.record import CHANNELS, CHANNELS_OWN, Channel
from gateway.model.topic import is_pattern, unescape
from gateway.session import codes
from gateway.session.access import Rights, withdrawn
from gateway.session.actions import Reply
from gateway.session.codes import Error
from gateway.session.delivery import Delivery, Limits, clamp
from gateway.session.subscriptions import Subscription


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


def review(
    subscriptions: Iterable[Subscription], rights: Rights
) -> tuple[list[Subscription], list[Subscription]]:
    """Those that end, and those that go on with less, as they are then."""
    ended: list[Subscription] = []
    changed: list[Subscription] = []
    for one in subscriptions:
        channel = CHANNELS_OWN[one.channel] if one.own else CHANNELS[one.channel]
        limits = _limits(rights, channel, one.name)
        if limits is None:
            ended.append(one)
            continue
        less = clamp(channel, one.delivery, limits)
        if less != one.delivery:
            changed.append(msgspec.structs.replace(one, **less._asdict()))
    return ended, changed


def told(ended: Iterable[Subscription]) -> Reply:
    """The message that tells a client of subscriptions that have ended."""
    names = []
    for one in ended:
        channel = CHANNELS_OWN[one.channel] if one.own else CHANNELS[one.channel]
        interval = {"interval": channel.interval} if channel.interval else {}
        names.append({"channel": channel.name, "symbol": one.name, **interval})
    return withdrawn(names)


def _limits(rights: Rights, channel: Channel, name: str) -> Limits | None:
    if is_pattern(name) and not channel.own:
        return rights.of_pattern(channel, name) or Limits()
    return rights.of_name(channel, name if channel.own else unescape(name))
