"""Sequence checks: a table, and a naive model that remembers everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds.sequencing import Gap, Outcome, Sequence


@pytest.mark.parametrize(
    ("contiguous", "numbers", "outcomes"),
    [
        (True, [7, 8, 9], ["next", "next", "next"]),
        (True, [7, 8, 11, 12], ["next", "next", Gap(2), "next"]),
        (True, [7, 7, 8], ["next", "duplicate", "next"]),
        (True, [7, 9, 8, 10], ["next", Gap(1), "late", "next"]),
        (True, [0, 2**63 - 1], ["next", Gap(2**63 - 2)]),
        (False, [7, 9, 1000], ["next", "next", "next"]),
        (False, [7, 9, 9, 8], ["next", "next", "duplicate", "late"]),
    ],
)
def test_f42_outcomes(contiguous: bool, numbers: list[int], outcomes: list[Outcome]) -> None:
    sequence = Sequence(contiguous=contiguous)
    assert [sequence.observe(number) for number in numbers] == outcomes


@given(st.lists(st.integers(0, 30), min_size=1))
def test_f42_lost_are_the_numbers_never_passed_on(numbers: list[int]) -> None:
    sequence = Sequence(contiguous=True)
    passed: list[int] = []
    lost = 0
    for number in numbers:
        outcome = sequence.observe(number)
        if isinstance(outcome, Gap):
            lost += outcome.lost
        if isinstance(outcome, Gap) or outcome == "next":
            passed.append(number)
    assert passed == sorted(set(passed))
    assert lost == passed[-1] - passed[0] + 1 - len(passed)
