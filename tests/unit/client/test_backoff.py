"""Close codes that allow a reconnect, and the waits between attempts."""

import pytest

from gateway.client.backoff import Backoff, reconnects


@pytest.mark.parametrize(
    "code", [1001, 1006, 1011, 1012, 1013, 4000, 4001, 4008, 4012, 4029, 4030, 4499]
)
def test_codes_that_reconnect(code: int) -> None:
    assert reconnects(code)


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1007, 1008, 1009, 4500, 4502, 4505, 4999])
def test_codes_that_do_not(code: int) -> None:
    assert not reconnects(code)


def test_the_range_doubles_up_to_the_cap_and_begins_at_zero() -> None:
    ranges: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        ranges.append((low, high))
        return high

    backoff = Backoff(0.5, 3.0, uniform)
    assert [backoff.next_s() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert {low for low, _ in ranges} == {0.0}
    backoff.reset()
    assert backoff.next_s() == 0.5
    assert [backoff.jitter_s() for _ in range(3)] == [0.5] * 3, "it does not grow"
    assert backoff.next_s() == 1.0


def test_jitter_is_spread_over_the_whole_range() -> None:
    waits = [Backoff(1.0).next_s() for _ in range(200)]
    assert min(waits) < 0.2
    assert max(waits) > 0.8
    assert all(0 <= wait <= 1 for wait in waits)
