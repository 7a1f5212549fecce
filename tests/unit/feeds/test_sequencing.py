"""Sequence checks: tables, and naive models that remember everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds.sequencing import (
    HOLES_MAX,
    RUN_FAR,
    RUN_NEAR,
    Gap,
    Numbering,
    Outcome,
    Sequence,
)


def outcomes(
    numbering: Numbering, numbers: list[int], times: list[int] | None = None
) -> list[Outcome]:
    sequence = Sequence(numbering)
    times = times or [0] * len(numbers)
    return [sequence.observe(n, n, time) for n, time in zip(numbers, times, strict=True)]


@pytest.mark.parametrize(
    ("numbering", "numbers", "expected"),
    [
        ("exact", [7, 8, 9], ["next", "next", "next"]),
        ("exact", [7, 8, 11, 12], ["next", "next", Gap(2), "next"]),
        ("exact", [7, 7, 8], ["next", "duplicate", "next"]),
        ("exact", [7, 9, 8, 10], ["next", Gap(1), "late", "next"]),
        ("exact", [7, 9, 8, 8], ["next", Gap(1), "late", "duplicate"]),
        ("exact", [7, 12, 9, 8, 10, 11, 9], ["next", Gap(4), *["late"] * 4, "duplicate"]),
        ("exact", [0, 2**63 - 1], ["next", Gap(2**63 - 2)]),
        ("exact", [1000, 1001, 1, 2, 3], ["next", "next", "reset", "next", "next"]),
        ("exact", [5, 6, 7, 1, 2], ["next", "next", "next", "reset", "next"]),
        ("exact", [1000, 999, 1001], ["next", "duplicate", "next"]),  # two that were swapped
        ("exact", [0, 0, 1], ["next", "duplicate", "next"]),
        ("sparse", [7, 9, 1000, 500, 500], ["next", "next", "next", "late", "duplicate"]),
        ("sparse", [9, 9, 3, 4], ["next", "duplicate", "reset", "next"]),
        ("rising", [7, 9, 1000], ["next", "next", "next"]),
        ("rising", [7, 9, 9, 8], ["next", "next", "duplicate", "late"]),
        ("rising", [500, 501, 1, 2, 3], ["next", "next", "reset", "next", "next"]),
    ],
)
def test_f42_outcomes(numbering: Numbering, numbers: list[int], expected: list[Outcome]) -> None:
    assert outcomes(numbering, numbers) == expected


@pytest.mark.parametrize("numbering", ["exact", "sparse", "rising"])
def test_a_later_time_shows_a_restart_and_an_older_one_none(numbering: Numbering) -> None:
    assert outcomes(numbering, [90, 91, 80, 81], [5, 6, 7, 8])[2:] == ["reset", "next"]
    old = outcomes(numbering, [90, 91, 1, 2], [5, 6, 4, 4])[2:]
    assert old == ["late" if numbering == "rising" else "duplicate"] * 2


@pytest.mark.parametrize(
    ("start", "run"), [(1, RUN_FAR), (60_000, RUN_NEAR)], ids=["below half", "near"]
)
def test_old_numbers_without_an_end_are_a_restart(start: int, run: int) -> None:
    seen = list(range(100_000))
    again = list(range(start, start + run + 5))
    found = outcomes("exact", seen + again)[len(seen) :]
    assert (
        found
        == [
            *["duplicate"] * (run - 1),
            "reset",
            *["next"] * 5,
        ][: len(again)]
    )


def test_a_collector_that_lags_shows_no_restart() -> None:
    numbers = [n for k in range(2000) for n in (50_000 + k, 50_000 + k - 30) if n >= 50_000]
    found = outcomes("exact", numbers)
    assert found.count("next") == 2000
    assert found.count("duplicate") == 2000 - 30
    burst = [*range(50_000, 50_400), *range(50_100, 50_100 + RUN_NEAR - 1), 50_400]
    assert "reset" not in outcomes("rising", burst)


def test_aggregates_and_their_trades_share_the_numbers() -> None:
    sequence = Sequence("exact")
    ranges = [
        (1, 3),
        (4, 4),
        (2, 2),
        (5, 9),
        (5, 5),
        (9, 9),
        (12, 14),
        (10, 10),
        (10, 11),
        (11, 11),
    ]
    assert [sequence.observe(*one) for one in ranges] == [
        *("next", "next", "duplicate", "next", "duplicate", "duplicate"),
        *(Gap(2), "late", "duplicate", "late"),
    ]
    assert sequence.observe(14, 16) == "duplicate"  # in part: never twice
    assert sequence.observe(15, 16) == "next"


def test_holes_are_forgotten_within_bounds() -> None:
    sequence = Sequence("exact")
    for number in range(0, 20 * HOLES_MAX, 2):
        sequence.observe(number, number)
    assert len(sequence._holes) == HOLES_MAX
    wide = Sequence("exact")
    for number in (0, 10_000, *range(2, 8000, 2)):
        wide.observe(number, number)
    assert len(wide._holes) == HOLES_MAX


@given(st.lists(st.integers(0, 30), min_size=1))
def test_f42_lost_are_the_numbers_never_passed_on(numbers: list[int]) -> None:
    """Against a model that remembers all: nothing is passed on twice but after a reset."""
    sequence = Sequence("exact")
    passed: set[int] = set()
    lost = late = 0
    for number in numbers:
        outcome = sequence.observe(number, number)
        if outcome == "reset":
            passed, lost, late = set(), 0, 0
        if isinstance(outcome, Gap):
            lost += outcome.lost
        late += outcome == "late"
        if isinstance(outcome, Gap) or outcome in ("next", "late", "reset"):
            assert number not in passed
            passed.add(number)
        else:
            assert number in passed or number < min(passed)
    assert lost - late == max(passed) + 1 - min(passed) - len(passed)
