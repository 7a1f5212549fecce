"""The search for the highest rate: against oracles that are certain, noisy, and overloaded."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.loadtest.limit import RATIO_MIN, Search, Verdict, in_words
from gateway.loadtest.result import LimitResult
from gateway.loadtest.scenario import Limit


def search(
    oracle: Callable[[float], Verdict], low: float, high: float, steps: int, retries: int = 0
) -> LimitResult:
    state = Search(Limit(rate_min=low, rate_max=high, steps=steps, retries=retries))
    for _ in range(steps * (retries + 1)):
        if state.rate is None:
            break
        state.tell(oracle(state.rate))
    assert state.rate is None, "the search is longer than its steps"
    return state.found


def below(limit: float) -> Callable[[float], Verdict]:
    return lambda rate: "pass" if rate < limit else "fail"


RATES = st.floats(1, 1e6)
WIDTHS = st.floats(1.1, 1e4)


@given(low=RATES, width=WIDTHS, at=st.floats(0, 1), steps=st.integers(1, 40))
def test_the_limit_is_between_what_passed_and_what_failed(
    low: float, width: float, at: float, steps: int
) -> None:
    limit = low * width**at
    found = search(below(limit), low, low * width, steps)
    passed, failed = found.passed or low, found.failed or low * width
    assert passed <= limit * 1.01
    assert limit <= failed * 1.01
    # Three digits move the middle by half a per cent at most, of each of the steps.
    assert failed / passed <= max(RATIO_MIN, width ** (0.5**steps) * 1.02)
    assert all(low * 0.99 <= trial.rate <= low * width * 1.01 for trial in found.trials)


@pytest.mark.parametrize("seed", range(20))
def test_a_noisy_oracle(seed: int) -> None:
    """Within 10 % of the limit chance decides, and anywhere one run in ten fails for no reason."""
    chance, limit = random.Random(seed), 23_000.0

    def noisy(rate: float) -> Verdict:
        if chance.random() < 0.1:
            return "fail"
        return below(limit * chance.uniform(0.9, 1.1))(rate)

    found = search(noisy, 1000, 100_000, 12, retries=3)
    assert found.passed is not None
    assert 0.85 * limit < found.passed < 1.1 * limit
    assert found.passed == max(trial.rate for trial in found.trials if trial.verdict == "pass")
    assert found.failed is not None
    assert found.failed > found.passed


def test_a_failure_is_tried_again_before_it_counts() -> None:
    state = Search(Limit(rate_min=100, rate_max=10_000, steps=2, retries=2))
    rates = []
    for outcome in ("fail", "fail", "pass", "fail", "fail", "fail"):
        assert state.rate is not None
        rates.append(state.rate)
        state.tell(outcome)
    assert rates == [1000, 1000, 1000, 3160, 3160, 3160]
    assert state.rate is None
    assert (state.found.passed, state.found.failed) == (1000, 3160)
    assert len(state.found.trials) == 6


def test_nothing_higher_is_tried_than_where_the_client_was_overloaded() -> None:
    found = search(lambda rate: "pass" if rate < 5000 else "invalid", 100, 1_000_000, 20)
    overloaded = math.inf
    for trial in found.trials:
        assert trial.rate < overloaded
        overloaded = min(overloaded, trial.rate if trial.verdict == "invalid" else math.inf)
    assert found.failed is None
    assert found.invalid is not None
    assert found.passed is not None
    assert 1 < found.invalid / found.passed <= RATIO_MIN
    assert found.shown == (
        f"{found.passed:,.0f} ticks/s passed; at {found.invalid:,.0f} the client itself was "
        "overloaded: the server's limit may be higher"
    )


def test_an_overloaded_client_above_the_servers_limit_does_not_matter() -> None:
    found = search(lambda rate: "invalid" if rate > 9000 else below(2000)(rate), 100, 1e6, 20)
    assert found.invalid is not None
    assert found.failed is not None
    assert 2000 <= found.failed < found.invalid
    assert found.shown.endswith("failed")


@pytest.mark.parametrize(
    ("oracle", "text"),
    [
        (below(math.inf), "982 ticks/s passed and none failed: raise rate_max"),
        (below(0), "no rate passed; 101 failed"),
        (lambda _: "invalid", "no rate passed; at 101 the client itself was overloaded"),
    ],
)
def test_a_limit_beyond_the_ends(oracle: Callable[[float], Verdict], text: str) -> None:
    assert search(oracle, 100, 1000, 10).shown == text


def test_large_rates_are_shown_in_full() -> None:
    assert "1,230,000" in in_words(1_230_000.0, None, None)


def test_nothing_can_be_told_when_it_is_over() -> None:
    state = Search(Limit(rate_min=1, rate_max=2, steps=1))
    state.tell("pass")
    with pytest.raises(ValueError, match="the search is over"):
        state.tell("pass")
