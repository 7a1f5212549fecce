"""Pages of `list` and `stats`: pure functions from what there is to encoded rows.

A page ends at `page_bytes_max`, whatever the size of the whole, so that no reply crowds a client's
control queue. Its second value becomes `next`: the `after` of the following page, None at the end.
"""

from bisect import bisect_right
from collections.abc import Sequence
from heapq import nsmallest
from operator import itemgetter
from typing import Final

import msgspec
from msgspec import UNSET

from gateway.model.record import CHANNELS
from gateway.model.topic import match_pattern
from gateway.session.actions import StatsRow
from gateway.session.delivery import limits_of
from gateway.session.messages import ListParams
from gateway.session.options import Options
from gateway.session.subscriptions import Subscriptions

_NAME: Final = itemgetter(0)
_STATS_FIELDS: Final = ("routed", "delivered", "conflated", "filtered", "dropped", "pending")
_STATS_ROW_MIN: Final = 64  # bytes: fewer than the names of its fields alone


def instruments_page(
    instruments: Sequence[tuple[str, list[str]]], params: ListParams, options: Options
) -> tuple[list[bytes], str | None]:
    """Instruments by name, of this channel and covered by one of the strings, where given.

    Ends also after `list_scan_max` comparisons, so that a filter that matches nothing can't hold up
    the loop: a page may have few rows, or none, and yet not be the last.
    """
    patterns = ("*",) if params.symbol is UNSET else params.symbol
    at = 0 if params.after is UNSET else bisect_right(instruments, params.after, key=_NAME)
    end = min(len(instruments), at + max(1, options.list_scan_max // len(patterns)))
    rows: list[bytes] = []
    size = 0
    while at < end and size < options.page_bytes_max:
        name, channels = instruments[at]
        at += 1
        if not _listed(params, channels):
            continue
        if any(match_pattern(pattern, name) for pattern in patterns):
            rows.append(msgspec.json.encode({"symbol": name} | _channels(channels)))
            size += len(rows[-1])
    return rows, instruments[at - 1][0] if 0 < at < len(instruments) else None


def _listed(params: ListParams, channels: Sequence[str]) -> bool:
    """Whether an instrument that has these channels is asked for."""
    if params.channel is UNSET:
        return True
    return any(
        CHANNELS[one].name == params.channel and params.interval in (UNSET, CHANNELS[one].interval)
        for one in channels
    )


def _channels(keys: Sequence[str]) -> dict[str, list[str]]:
    """Names of channels, and the intervals of candles, where there are any."""
    intervals = [CHANNELS[key].interval for key in keys if CHANNELS[key].interval]
    said = {"channels": list(dict.fromkeys(CHANNELS[key].name for key in keys))}
    return said | ({"intervals": intervals} if intervals else {})


def stats_page(
    rows: Sequence[StatsRow], subscriptions: Subscriptions, after: int, options: Options
) -> tuple[list[bytes], int | None]:
    """Rows by subscription id, those above `after`; without those that ended since, and without
    what the gateway says of itself."""
    left = [
        row
        for row in rows
        if row[0] > after and (one := subscriptions.by_id(row[0])) is not None and not one.own
    ]
    encoded: list[bytes] = []
    size = 0
    for row in nsmallest(options.page_bytes_max // _STATS_ROW_MIN + 1, left):
        if size >= options.page_bytes_max:
            break
        one = subscriptions.by_id(row[0])
        assert one is not None
        counts = dict(zip(_STATS_FIELDS, row[1:], strict=True))
        channel = CHANNELS[one.channel]
        names: dict[str, object] = {"channel": channel.name, "symbol": one.name}
        if channel.interval:
            names["interval"] = channel.interval
        names["class"] = one.priority
        encoded.append(msgspec.json.encode(names | limits_of(one.delivery) | counts))
        size += len(encoded[-1])
        after = row[0]
    return encoded, after if len(encoded) < len(left) else None
