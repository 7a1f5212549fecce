from random import Random

import pytest

from gateway.cluster.backoff import Backoff


def test_doubles_up_to_the_cap_and_never_waits_less_than_half() -> None:
    backoff = Backoff(0.1, 5.0, Random(7))
    bounds = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    for bound in bounds:
        assert bound / 2 <= backoff.next() <= bound


def test_reset_starts_from_the_first_delay() -> None:
    backoff = Backoff(0.1, 5.0, Random(7))
    for _ in range(6):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 0.1


def test_two_that_died_together_do_not_come_back_together() -> None:
    one, other = Backoff(1, 8, Random(1)), Backoff(1, 8, Random(2))
    assert one.next() != pytest.approx(other.next(), abs=1e-6)
