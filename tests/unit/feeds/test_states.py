"""A feed's state, which its own thread changes while the loop judges it."""

import time
from typing import TYPE_CHECKING

import pytest

from gateway.feeds import feed as feeds
from gateway.feeds.feed import Counters
from gateway.feeds.refusals import Refusal
from gateway.model.status import LastRefused

if TYPE_CHECKING:
    from unit.feeds.conftest import FakeStats


def refusing(stats: "FakeStats", monkeypatch: pytest.MonkeyPatch) -> Counters:
    """A feed that has refused enough, and for long enough, to be judged."""
    now_ns = 10**12
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns)
    counters = Counters("udp:9700", "udp", "SIM", 3, stats)
    counters.change("up")
    for _ in range(feeds.FAILING_REFUSALS_MIN):
        counters.refused(Refusal("line", "no JSON", value="x"))
    now_ns += feeds.FAILING_AFTER_NS
    return counters


def test_why_it_is_failing(stats: "FakeStats", monkeypatch: pytest.MonkeyPatch) -> None:
    status = refusing(stats, monkeypatch).status()
    assert (status.state, status.message) == ("failing", "refused all of the last 2: no JSON")


def test_what_it_has_become_meanwhile_stays(
    stats: "FakeStats", monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = refusing(stats, monkeypatch)

    def finishes(_: object) -> str:  # its thread, between the judgement and what comes of it
        counters.change("done", "played nothing")
        return "no JSON"

    monkeypatch.setattr(LastRefused, "words", property(finishes))
    status = counters.status()
    assert (status.state, status.message) == ("done", "played nothing")


def test_what_is_lost_stays_a_number_that_can_be_told(stats: "FakeStats") -> None:
    counters = Counters("replay:x", "replay", "SIM", 3, stats)
    for _ in range(3):
        counters.gap((1 << 63) - 2)
    assert counters.status().lost == (1 << 63) - 1
    assert counters.status().gaps == 3
