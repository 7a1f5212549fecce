"""Which channel a request means: its name, the scope of health and the interval of candles."""

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET, UnsetType

from gateway.model.record import (
    CANDLE,
    CANDLES,
    CHANNELS,
    CHANNELS_OPS,
    CHANNELS_OWN,
    HEALTH,
    INTERVAL_DEFAULT,
    INTERVALS,
    Channel,
)
from gateway.session import codes
from gateway.session.codes import Error
from gateway.session.messages import DeliveryParams, ListParams, UnsubscribeParams

_CHANNELS: Final = {one.name: one for one in (*CHANNELS.values(), *CHANNELS_OWN.values())}
"""By name; which candles are meant, the interval says."""
_SCOPES: Final = {"gateway": CHANNELS_OWN[HEALTH], "instruments": CHANNELS[HEALTH]}


def meant(params: DeliveryParams | UnsubscribeParams, candles: Sequence[str]) -> Channel | Error:
    """The channel that is meant; `health` is the gateway's, or that of instruments.

    `candles` are the intervals of which the gateway makes candles.
    """
    if params.scope is not UNSET and params.channel in _CHANNELS and params.channel != HEALTH:
        text = f"params.scope: {params.channel} has none, {HEALTH} has"
        return Error(codes.BAD_REQUEST, text)
    if params.channel == CANDLE:
        return _candles(params.interval, candles)
    channel = _CHANNELS.get(params.channel)
    if channel is None:
        return _unknown(params.channel)
    if params.interval is not UNSET:
        return _no_interval(params.channel)
    if params.channel != HEALTH:
        return channel
    own = "gateway" if params.symbol == ["*"] else "instruments"
    return _SCOPES[own if params.scope is UNSET else params.scope]


def check(params: ListParams, candles: Sequence[str]) -> Error | None:
    """Why a list can't be asked for like this."""
    if params.channel is not UNSET and params.channel not in _CHANNELS:
        return _unknown(params.channel)
    if params.interval is UNSET:
        return None
    if params.channel != CANDLE:
        return _no_interval("list" if params.channel is UNSET else params.channel)
    found = _candles(params.interval, candles)
    return found if isinstance(found, Error) else None


def _candles(interval: str | UnsetType, made: Sequence[str]) -> Channel | Error:
    """Those of an interval, where the gateway makes them."""
    if not made:
        return Error(codes.UNKNOWN_CHANNEL, f"{CANDLE}: none here, candles.intervals is empty")
    asked = INTERVAL_DEFAULT if interval is UNSET else interval
    if asked in made:
        return CANDLES[asked]
    where, there = ("here are", made) if asked in INTERVALS else ("are", INTERVALS)
    text = f"candles {where} of {', '.join(there)}, not {asked!r}"
    return Error(codes.BAD_REQUEST, f"params.interval: {text}")


def _unknown(name: str) -> Error:
    if name in CHANNELS_OPS:
        return Error(codes.UNKNOWN_CHANNEL, f"{name}: only on the ops listener")
    return Error(codes.UNKNOWN_CHANNEL, f"channels are {', '.join(_CHANNELS)}")


def _no_interval(name: str) -> Error:
    return Error(codes.BAD_REQUEST, f"params.interval: {name} has none, {CANDLE} has")
