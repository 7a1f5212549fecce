"""What the controllers' pages say, one worker's and all together."""

from typing import Any

import pytest

from gateway._native import PAUSED, STATS
from gateway.latency import control
from gateway.latency.control import Control, Together


class FakePage:
    """Arrays by name; what is not set is 0."""

    def __init__(self, **arrays: Any) -> None:
        for name in arrays:
            assert name in STATS
        self._arrays = arrays

    def get(self, name: str, index: int = 0) -> int:
        assert index < STATS[name][1]
        values = self._arrays.get(name, 0)
        return int(values[index] if isinstance(values, tuple) else values)


def test_a_page_of_zeros_is_a_controller_at_rest() -> None:
    assert control.read("worker-0", FakePage(), 5) == Control("worker-0")


def test_a_page_is_read_in_our_units() -> None:
    page = FakePage(
        ladder_step=4,
        conflation_interval_ns=(0, 0, 20_000_000, PAUSED),
        overload_since_ns=7_000_000_000,
        infeasible=1,
        ladder_highest=1,
        plane_busy_ppm=430_000,
        delivered_per_s=140_000,
        sweep_ns=640_000,
        sweep_clients=120,
        write_fixed_ns=5200,
        write_each_ps=130_500,
        delivery_cost_ns=4300,
        fan_out_ns=1_200_000,
        audience_max=400,
        ring_age_ns=90_000,
        class_links=(1, 2, 3, 4),
    )
    found = control.read("worker-1", page, 9_500_000_000)
    assert found == Control(
        worker="worker-1",
        step=4,
        intervals_ns=(0, 0, 20_000_000, PAUSED),
        overload_s=2.5,
        infeasible=True,
        busy=0.43,
        highest=True,
        delivered_per_s=140_000,
        sweep_ns=640_000,
        sweep_clients=120,
        write_fixed_ns=5200,
        write_each_ns=130.5,
        delivery_cost_ns=4300,
        fan_out_ns=1_200_000,
        audience_max=400,
        ring_age_ns=90_000,
        class_links=(1, 2, 3, 4),
    )
    assert control.read("worker-1", page, 6_999_999_999).overload_s == 0, "a moment ago, then"


@pytest.mark.parametrize(
    ("intervals_ns", "action"),
    [
        ((0, 0, 0, 0), "none"),
        ((0, 0, 0, PAUSED), "pause"),
        ((0, 0, 5_000_000, PAUSED), "conflate"),
        ((0, 500_000, 250_000_000, PAUSED), "conflate"),
        ((0, 0, 0, 5_000_000), "conflate"),
        ((0, 0, PAUSED, PAUSED), "conflate"),
    ],
)
def test_an_action_is_a_word_for_the_intervals(intervals_ns: tuple[int, ...], action: str) -> None:
    assert Together(intervals_ns=intervals_ns).action == action


def test_together_is_the_worst_of_everything() -> None:
    assert control.together([]) == Together()
    first = Control("worker-0", step=3, intervals_ns=(0, 0, 5, PAUSED), fan_out_ns=10)
    second = Control("worker-1", step=1, intervals_ns=(0, 0, 20, 0), fan_out_ns=30)
    assert control.together([first, second]) == Together(3, (0, 0, 20, PAUSED), 30)


def test_intervals_are_told_in_milliseconds() -> None:
    told = control.intervals_ms((0, 500_000, 20_000_000, PAUSED))
    assert repr(told) == "[0, 0.5, 20, None]"


def test_every_gauge_is_in_the_page() -> None:
    assert set(control.GAUGES) <= set(STATS)
