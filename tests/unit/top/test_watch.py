"""What has been heard, and how old it is, with the time as an argument."""

from typing import Any

from support import ops_now
from support.ops_now import TS

from gateway.client import Disconnected, RawTick, Report
from gateway.top.watch import STALE_S, Watch


def report(document: Any, channel: str = "ops") -> Report:
    return Report(channel, "update", 1, (document,))


def test_nothing_heard_is_no_trouble_yet() -> None:
    watch = Watch()
    assert (watch.now, watch.trouble(100.0)) == (None, "")


def test_silence_makes_what_is_shown_the_past() -> None:
    watch = Watch()
    watch.take(report(ops_now.now()), 10.0)
    assert watch.trouble(10.0 + STALE_S) == ""
    assert watch.trouble(22.0) == "STALE, 12 s old"
    watch.take(report(ops_now.now()), 23.0)
    assert watch.trouble(23.5) == ""


def test_a_lost_connection_says_so_until_a_document_comes() -> None:
    watch = Watch()
    watch.take(report(ops_now.now()), 10.0)
    watch.take(Disconnected(1006, "connection lost", 0.25), 11.0)
    watch.take(Disconnected(1006, "refused", 2.0), 12.0)
    expected = "STALE, 2 s old; disconnected: 1006 refused; again in 2.0 s"
    assert watch.trouble(12.0) == expected
    watch.take(report(ops_now.now()), 13.0)
    assert watch.trouble(13.0) == ""


def test_a_document_that_is_not_understood_leaves_the_last_one() -> None:
    watch = Watch()
    watch.take(report(ops_now.now()), 10.0)
    watch.take(report({"ts": "x"}), 11.0)
    assert watch.now is not None
    assert watch.now.ts == TS
    assert "not understood: Expected `int`" in watch.trouble(11.0)
    watch.take(report(ops_now.now()), 12.0)
    assert watch.trouble(12.0) == ""


def test_other_channels_and_ticks_are_not_looked_at() -> None:
    watch = Watch()
    tick = RawTick("trade", "update", "A.SIM", 1, 1, 1, 1, 1, data=())
    for event in (report(ops_now.now(), "slo"), tick):
        watch.take(event, 1.0)
    assert watch.now is None


def test_the_past_and_the_present_are_one_trail() -> None:
    watch = Watch()
    watch.remember([ops_now.point(TS - n, float(n + 1)) for n in range(4)])
    watch.take(report(ops_now.now()), 1.0)
    assert sorted(point.ts for point in watch.points) == [TS - 3, TS - 2, TS - 1, TS]


def test_a_past_that_is_not_understood_is_none() -> None:
    watch = Watch()
    watch.remember([{"ts": "x"}])
    assert not watch.points


def test_the_trail_is_bounded() -> None:
    watch = Watch()
    for second in range(5000):
        document = ops_now.now(point=ops_now.point(TS + second))
        watch.take(report(document), float(second))
    assert len(watch.points) <= 600
