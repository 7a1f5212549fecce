from random import Random

import pytest

from gateway.backoff import Backoff


def test_doubles_up_to_the_cap_and_never_waits_less_than_half() -> None:
    backoff = Backoff(0.1, 5.0, Random(7).uniform, least=0.5)
    bounds = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    for bound in bounds:
        assert bound / 2 <= backoff.next_s() <= bound


def test_reset_starts_from_the_first_delay() -> None:
    backoff = Backoff(0.1, 5.0, Random(7).uniform, least=0.5)
    for _ in range(6):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() <= 0.1


def test_two_that_died_together_do_not_come_back_together() -> None:
    one, other = (Backoff(1, 8, Random(n).uniform) for n in (1, 2))
    assert one.next_s() != pytest.approx(other.next_s(), abs=1e-6)


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
