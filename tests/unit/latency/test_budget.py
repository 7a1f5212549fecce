"""Budgets and burn rates over simulated days."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.latency.budget import (
    BURN_RULES,
    COARSE_S,
    DAY_S,
    FINE_S,
    HOUR_S,
    WINDOWS_S,
    Budget,
    window_name,
)

EVENTS = st.lists(
    st.tuples(
        st.one_of(st.floats(0.5, 30), st.floats(30, 2 * DAY_S)),
        st.integers(0, 2000),
        st.integers(0, 50),
    ),
    max_size=40,
)


@given(EVENTS, st.sampled_from(WINDOWS_S))
def test_counts_equal_a_naive_model(events: list[tuple[float, int, int]], span_s: int) -> None:
    budget = Budget(0.01, 1000)
    width_s = FINE_S if span_s <= HOUR_S else COARSE_S
    happened: list[tuple[int, int, int]] = []
    now_s = 1e6
    for gap_s, good, bad in events:
        now_s += gap_s
        budget.add(now_s, good, bad)
        happened.append((int(now_s // width_s), good, bad))
        oldest = int(now_s // width_s) - span_s // width_s
        inside = [one for one in happened if one[0] > oldest]
        expected = (sum(one[1] for one in inside), sum(one[2] for one in inside))
        assert budget.counts(now_s, span_s) == expected


def test_time_alone_empties_a_window() -> None:
    budget = Budget(0.01, 1000)
    budget.add(5.0, 0, 500)
    assert budget.burn(5.0, HOUR_S) == 50
    assert budget.burn(5.0 + HOUR_S - 2 * FINE_S, HOUR_S) == 50
    assert budget.burn(5.0 + HOUR_S, HOUR_S) == 0
    assert budget.burn(5.0 + HOUR_S, 6 * HOUR_S) == 50
    assert budget.burn(5.0 + 30 * DAY_S, 3 * DAY_S) == 0


@pytest.mark.parametrize(
    ("good", "bad", "burn"),
    [
        (0, 0, 0.0),
        (9_900, 100, 1.0),  # exactly what is allowed
        (98_560, 1_440, 1.44),
        (0, 1, 0.1),  # one bad one of the first ones is no 100
        (0, 1_000, 100.0),
    ],
)
def test_burn_is_the_share_of_bad_ones_over_the_allowed_one(
    good: int, bad: int, burn: float
) -> None:
    budget = Budget(0.01, 1000)
    budget.add(0.0, good, bad)
    assert budget.burn(0.0, HOUR_S) == pytest.approx(burn)
    assert budget.remaining(0.0) == pytest.approx(1 - burn)


def test_the_period_is_an_argument_with_an_end() -> None:
    budget = Budget(0.01, 1000, period_s=600)
    budget.add(0.0, 0, 5)
    assert budget.remaining(0.0) == pytest.approx(0.5)
    assert budget.remaining(600.0) == 1
    for wrong in (0, 3 * DAY_S + 1):
        with pytest.raises(ValueError, match="up to 259200 s"):
            Budget(0.01, 1000, period_s=wrong)


def test_names_of_windows_and_rules() -> None:
    assert [window_name(s) for s in (*WINDOWS_S, 90)] == ["5m", "30m", "1h", "6h", "3d", "90s"]
    assert [rule.name for rule in BURN_RULES] == ["1h/5m", "6h/30m", "3d/6h"]
