"""How the records of a subscription are delivered: what was asked for, and what is in force. Pure.

A class says what gives way first under load: 3, then 2, then 1. Each channel has one, and a
subscription may only be moved down from there, out of the way of others. From class 2 on the data
plane may thin out what it sends, which lossless forbids: there the mode is conflate.
"""

from typing import Final, NamedTuple

from msgspec import UNSET

from gateway.model.record import HEALTH, Channel
from gateway.session import codes
from gateway.session.codes import Error
from gateway.session.messages import UNBUILT, DeliveryParams

CLASS_MAX: Final = 3
"""Bulk: the first to be paused."""
CLASS_CONFLATED: Final = 2
"""From this class on nothing is lossless."""


class Delivery(NamedTuple):
    """The parameters in force; `priority` is the class."""

    lossless: bool
    snapshot: bool
    priority: int


def default(channel: Channel) -> Delivery:
    """What a channel's subscription has unless its client says otherwise."""
    snapshot = not channel.own  # such a channel has none that could be asked for
    return Delivery(channel.lossless, snapshot, channel.priority)


def check(channel: Channel, params: DeliveryParams) -> Error | None:
    """Why the parameters can be those of no subscription to the channel."""
    for name in UNBUILT:
        if getattr(params, name) is not UNSET:
            return Error(codes.BAD_REQUEST, f"params.{name}: not built yet")
    own, lossless = channel.own, params.mode == "lossless"
    if lossless and (own or channel.name == HEALTH):
        return Error(codes.BAD_REQUEST, f"params.mode: {channel.name} is always conflate")
    asked = params.class_
    if asked is UNSET:
        return None
    lowest = channel.priority if own else CLASS_MAX
    # Not `isinstance`: JSON's true is no number.
    if type(asked) is not int or not channel.priority <= asked <= lowest:
        limits = f"{channel.priority} to {lowest}" if lowest > channel.priority else f"{lowest}"
        text = f"{channel.name} takes {limits}, not {asked!r}"
        return Error(codes.BAD_REQUEST, f"params.class: {text}")
    return _conflict(asked) if lossless and asked >= CLASS_CONFLATED else None


def change(channel: Channel, base: Delivery, params: DeliveryParams) -> Delivery | Error:
    """What is in force after `base`, by parameters that `check` has passed."""
    priority = base.priority if params.class_ is UNSET else params.class_
    if params.mode is UNSET:
        lossless = base.lossless and priority < CLASS_CONFLATED
    elif params.mode == "lossless" and priority >= CLASS_CONFLATED:
        return _conflict(priority)  # an update of a subscription that was moved down before
    else:
        lossless = params.mode == "lossless"
    keep = params.snapshot is UNSET or channel.own
    return Delivery(lossless, base.snapshot if keep else params.snapshot is True, priority)


def _conflict(priority: int) -> Error:
    text = f"params.mode: lossless cannot be of params.class {priority}, only of one below"
    return Error(codes.BAD_REQUEST, f"{text} {CLASS_CONFLATED}")
