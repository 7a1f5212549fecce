"""Latencies of a client's ticks: counted as the histograms of the plane are."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gateway._native import HDR_COUNTS, TICK_CHANNELS_MAX, TICK_STAGES, TickLatencies
from gateway.codec.sbe import batch, encode_record, encode_topic
from gateway.latency.histogram import Histogram, index_of


def tick(**more: Any) -> SimpleNamespace:
    base = {"type": "update", "channel": "trade", "ts_event": 100, "ts_recv": 107, "ts_send": 130}
    return SimpleNamespace(**base | {"ts_client": 1130} | more)


def sums(one: TickLatencies, channel: str = "trade") -> dict[str, int]:
    return {stage: one.totals(channel, stage)[0] for stage in TICK_STAGES}


def test_each_stage_has_its_part_and_snapshots_have_none() -> None:
    one = TickLatencies()
    one.record(tick())
    one.record(tick(type="snapshot", ts_recv=0))
    assert sums(one) == {"wire": 7, "gateway": 23, "delivery": 1000, "age": 1023}
    counts = one.counts("trade", "age")
    assert counts.shape == (HDR_COUNTS,)
    assert np.flatnonzero(counts).tolist() == [index_of(1023)]
    assert Histogram(counts, *one.totals("trade", "age")).max_ns == 1023
    with pytest.raises(KeyError):
        one.counts("bbo", "age")
    with pytest.raises(KeyError, match="nope"):
        one.counts("trade", "nope")


def test_of_what_is_replayed_only_what_is_not_old_counts() -> None:
    one = TickLatencies()
    one.record(tick(), True)
    assert sums(one) == {"wire": 7, "gateway": 0, "delivery": 1000, "age": 0}


def test_a_clock_that_is_ahead_is_counted_apart_until_it_is_corrected() -> None:
    one = TickLatencies()
    one.record(tick(ts_client=120))
    assert one.totals("trade", "delivery") == (0, 0, 1)
    one.correct(50)
    one.record(tick(ts_client=120))
    assert one.totals("trade", "delivery") == (40, 0, 1)


def test_channels_are_counted_apart_and_are_bounded() -> None:
    one = TickLatencies()
    for number in range(2 * TICK_CHANNELS_MAX):
        one.record(tick(channel=f"c{number}"))
    assert len(one.channels) == TICK_CHANNELS_MAX
    with pytest.raises(AttributeError):
        one.record(SimpleNamespace(type="update", channel="c0"))
    with pytest.raises(TypeError):
        one.record(tick(type=5))


def test_times_may_be_anything() -> None:
    one = TickLatencies()
    least, most = -(1 << 63), (1 << 63) - 1
    one.record(tick(ts_event=most, ts_recv=least, ts_send=most, ts_client=least))
    one.correct(most)
    one.record(tick(ts_event=least, ts_recv=most, ts_client=most))
    one.record(tick(ts_event=1 << 63))
    for stage in TICK_STAGES:
        negative = one.totals("trade", stage)[2]
        assert int(one.counts("trade", stage).sum()) + negative == 2


def test_rows_count_as_ticks_do() -> None:
    frames = [encode_topic(1, "trade", "A.SIM")]
    for seq, kind in enumerate(("snapshot", "update", "update"), 1):
        row = (0, 100, "1", "2", None, "")
        times = {"seq": seq, "ts_recv": 107, "ts_send": 130}
        frames.append(encode_record("trade", kind, 1, row, **times))  # type: ignore[arg-type]
    rows = batch(frames, {}).trades
    one, other = TickLatencies(), TickLatencies()
    one.record_rows("trade", rows, 1130)
    for _ in range(2):
        other.record(tick())
    assert sums(one) == sums(other)
    one.record_rows("bbo", rows[:0], 5)
    assert one.totals("bbo", "age") == (0, 0, 0)
