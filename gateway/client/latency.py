"""How old ticks are where they are read, by channel and by where the time went."""

from typing import NamedTuple

from gateway._native import TickLatencies
from gateway.clock import Offset
from gateway.latency.histogram import Histogram


class Latency(NamedTuple):
    """Of the updates of one channel, in ns; `value_at_percentile(99)` of each reads it.

    Snapshots are not counted, and of what is replayed `wire` and `delivery` alone. What a
    difference of two hosts' clocks makes less than zero is counted apart, as `negative`.

    Attributes:
        wire: from the venue's time to the gateway's host.
        gateway: from there to when the gateway encoded it.
        delivery: from there to when this client read it.
        age: from the gateway's host to this client: both of them.
    """

    wire: Histogram
    gateway: Histogram
    delivery: Histogram
    age: Histogram


class LatencyRecorder:
    """The counts of one client.

    Attributes:
        record: counts a tick; and whether records of before are coming.
        record_rows: the same of rows of a channel, which came at a time.
    """

    def __init__(self) -> None:
        self._counts = TickLatencies()
        self.record = self._counts.record
        self.record_rows = self._counts.record_rows

    def correct(self, offset: Offset | None) -> None:
        """What comes from now on is held against the gateway's clock; within the offset's error
        the two are one host's."""
        known = offset is not None and abs(offset.offset_ns) > offset.error_ns
        self._counts.correct(offset.offset_ns if offset is not None and known else 0)

    def channels(self) -> dict[str, Latency]:
        """What was counted so far."""
        return {channel: self._latency(channel) for channel in self._counts.channels}

    def _latency(self, channel: str) -> Latency:
        return Latency(*(self._histogram(channel, stage) for stage in Latency._fields))

    def _histogram(self, channel: str, stage: str) -> Histogram:
        totals = self._counts.totals(channel, stage)
        return Histogram(self._counts.counts(channel, stage), *totals)
