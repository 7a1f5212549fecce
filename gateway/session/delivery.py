"""How the records of a subscription are delivered: what was asked for, and what is in force. Pure.

A class says what gives way first under load: 3, then 2, then 1. Each channel has one, and a
subscription may only be moved down from there, out of the way of others. From class 2 on the data
plane may thin out what it sends, which lossless forbids: there the mode is conflate.

A rate (`max_hz`) makes the mode conflate, too. A limit of age (`max_age_ms`) is for what is
conflated anyway: asking for it makes nothing conflated that was not.
"""

import math
from typing import Any, Final, NamedTuple

from msgspec import UNSET

from gateway.model.record import BOOK, HEALTH, Channel
from gateway.session import codes
from gateway.session.actions import FROM_LAST, FROM_SEQ, FROM_TS, Since
from gateway.session.codes import Error
from gateway.session.messages import DeliveryParams, From

CLASS_MAX: Final = 3
"""Bulk: the first to be paused."""
CLASS_CONFLATED: Final = 2
"""From this class on nothing is lossless."""
HZ_MIN: Final = 0.1
"""An update in ten seconds; the data plane's wheel holds intervals of up to 16 s."""
HZ_MAX: Final = 1000
"""Cells of a millisecond: what its timing wheel can tell apart."""
AGE_MS_MAX: Final = 3_600_000
"""An hour: older than that is no news of any market."""

DEPTHS: Final = (1, 5, 10, 25, 100, 500, 1000, 0)
"""Levels of a book's side that a subscription may have; 0 is all."""
DEPTH: Final = 10
"""Unless its client says otherwise."""


class Delivery(NamedTuple):
    """The parameters in force; `priority` is the class. None: no rate, no limit of age, no book."""

    lossless: bool
    snapshot: bool
    priority: int
    max_hz: float | None = None
    max_age_ms: int | None = None
    depth: int | None = None


class Limits(NamedTuple):
    """What a right allows at most; None: as much as there is.

    Attributes:
        depth: levels of a book.
        priority: the most urgent class.
    """

    max_hz: float | None = None
    depth: int | None = None
    priority: int = 0


def clamp(channel: Channel, wanted: Delivery, limits: Limits) -> Delivery:
    """What of it a right allows."""
    if channel.own or limits == _UNLIMITED:
        return wanted
    priority = max(wanted.priority, limits.priority)
    max_hz = wanted.max_hz
    if limits.max_hz is not None:
        max_hz = limits.max_hz if max_hz is None else min(max_hz, limits.max_hz)
    depth = wanted.depth
    if depth is not None and limits.depth and not 0 < depth <= limits.depth:
        depth = max(one for one in DEPTHS if 0 < one <= limits.depth)
    lossless = wanted.lossless and max_hz is None and priority < CLASS_CONFLATED
    return wanted._replace(lossless=lossless, priority=priority, max_hz=max_hz, depth=depth)


def interval_ms(max_hz: float | None) -> int:
    """The cells of a rate, in whole milliseconds, so that it is never exceeded; 0: no rate."""
    # What is whole by its decimals may be a little more by its bits: 1000 / (1000 / 7).
    return 0 if max_hz is None else math.ceil(1000 / max_hz - 1e-9)


def limits_of(delivery: Delivery) -> dict[str, float]:
    """Depth, rate and limit of age by name, as far as there are any: what replies show of them."""
    limits = {
        "depth": delivery.depth,
        "max_hz": delivery.max_hz,
        "max_age_ms": delivery.max_age_ms,
    }
    return {name: value for name, value in limits.items() if value is not None}


_UNLIMITED: Final = Limits()


def default(channel: Channel) -> Delivery:
    """What a channel's subscription has unless its client says otherwise."""
    snapshot = not channel.own  # such a channel has none that could be asked for
    depth = DEPTH if channel.name == BOOK else None
    return Delivery(channel.lossless, snapshot, channel.priority, depth=depth)


def check(channel: Channel, params: DeliveryParams) -> Error | None:
    """Why the parameters can be those of no subscription to the channel."""
    own, lossless = channel.own, params.mode == "lossless"
    if lossless and (own or channel.name in (HEALTH, BOOK)):
        return Error(codes.BAD_REQUEST, f"params.mode: {channel.name} is always conflate")
    for error in (_check_limits(channel, params), _check_depth(channel, params.depth)):
        if error is not None:
            return error
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
    max_hz = base.max_hz if params.max_hz is UNSET else params.max_hz
    max_age_ms = base.max_age_ms if params.max_age_ms is UNSET else params.max_age_ms
    if params.mode is UNSET:
        lossless = base.lossless and priority < CLASS_CONFLATED and max_hz is None
    elif params.mode == "lossless" and priority >= CLASS_CONFLATED:
        return _conflict(priority)  # an update of a subscription that was moved down before
    else:
        lossless = params.mode == "lossless"
    if lossless and (error := _lossless_limits(max_hz, max_age_ms)) is not None:
        return error
    keep = params.snapshot is UNSET or channel.own
    snapshot = base.snapshot if keep else params.snapshot is True
    depth = base.depth if params.depth is UNSET else params.depth
    return Delivery(lossless, snapshot, priority, max_hz, max_age_ms, depth)


def _check_limits(channel: Channel, params: DeliveryParams) -> Error | None:
    hz, age_ms = params.max_hz, params.max_age_ms
    for name, value in (("max_hz", hz), ("max_age_ms", age_ms)):
        if channel.own and value is not UNSET:
            text = f"{channel.name} has one message a second, and takes none"
            return Error(codes.BAD_REQUEST, f"params.{name}: {text}")
    # Not `isinstance`: JSON's true is no number.
    if hz is not UNSET and not (type(hz) in (int, float) and HZ_MIN <= hz <= HZ_MAX):
        return _out_of_range("max_hz", f"{HZ_MIN} to {HZ_MAX}", hz)
    if age_ms is not UNSET and not (type(age_ms) is int and 1 <= age_ms <= AGE_MS_MAX):
        return _out_of_range("max_age_ms", f"1 to {AGE_MS_MAX}, a whole number", age_ms)
    if params.mode == "lossless":
        return _lossless_limits(hz, age_ms)
    return None


def _check_depth(channel: Channel, asked: Any) -> Error | None:
    if asked is UNSET:
        return None
    if channel.name != BOOK:
        return Error(codes.BAD_REQUEST, f"params.depth: {channel.name} has none, {BOOK} has")
    if type(asked) is not int or asked not in DEPTHS:
        return _out_of_range("depth", f"one of {', '.join(map(str, DEPTHS))}", asked)
    return None


def _lossless_limits(max_hz: Any, max_age_ms: Any) -> Error | None:
    for name, value in (("max_hz", max_hz), ("max_age_ms", max_age_ms)):
        if value is not UNSET and value is not None:
            return Error(codes.BAD_REQUEST, f"params.{name}: only of mode conflate, not lossless")
    return None


def _out_of_range(name: str, limits: str, asked: Any) -> Error:
    return Error(codes.BAD_REQUEST, f"params.{name}: {limits}, not {asked!r}")


def since(asked: From) -> Since:
    """From where on what was missed is wanted, as the data plane has it."""
    if asked.last is not UNSET:
        return FROM_LAST, asked.last, ""
    if asked.ts is not UNSET:
        return FROM_TS, asked.ts, ""
    assert asked.seq is not UNSET
    assert asked.epoch is not UNSET
    return FROM_SEQ, asked.seq, asked.epoch


def _conflict(priority: int) -> Error:
    text = f"params.mode: lossless cannot be of params.class {priority}, only of one below"
    return Error(codes.BAD_REQUEST, f"{text} {CLASS_CONFLATED}")
