"""What the gateway says is missing."""

from typing import Any

import msgspec

from gateway.client.events import Gap


class _Told(msgspec.Struct):
    """A gap in the gateway's words."""

    channel: str
    symbol: str
    reason: str = ""
    from_: int | None = msgspec.field(default=None, name="from")
    to: int | None = None
    lost: int | None = None
    interval: str = ""


def told(row: dict[str, Any]) -> Gap:
    """The gap of one element of a `gap` message."""
    one = msgspec.convert(row, _Told)
    lost = one.lost
    if lost is None and one.from_ is not None and one.to is not None and one.to >= one.from_:
        lost = one.to - one.from_ + 1
    seqs = (one.from_, one.to)
    return Gap(one.channel, one.symbol, one.reason, *seqs, lost, interval=one.interval)
