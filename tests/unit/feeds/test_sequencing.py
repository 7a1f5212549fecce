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


@pytest.mark.parametrize("repeats", [1, 3])
def test_f43_two_lines_of_one_feed_give_each_number_once(repeats: int) -> None:
    line = [*range(1, 200)]
    both = [n for n in line for _ in range(1 + repeats)]
    late = outcomes("exact", [1, 4, *both[1 + repeats :]])
    assert outcomes("exact", both).count("next") == len(line)
    assert outcomes("exact", both).count("duplicate") == repeats * len(line)
    assert late.count("late") == 2  # 2 and 3 fill the hole that 4 left ...
    assert late.count(Gap(2)) == 1
    assert late.count("next") == 1 + len(range(5, 200))
    assert late.count("duplicate") == 2 * repeats + 1 + repeats + repeats * len(range(5, 200))


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


BILLION = 1_000_000_000


@pytest.mark.parametrize(
    ("numbering", "late", "again"),
    [("exact", "late", "duplicate"), ("sparse", "late", "duplicate"), ("rising", "late", "late")],
)
@pytest.mark.parametrize("timed", [True, False], ids=["with times", "without"])
def test_f42_old_numbers_behind_a_restart_are_no_hole(
    numbering: Numbering, late: Outcome, again: Outcome, timed: bool
) -> None:
    """On the way from before it: one never seen, one that came, one that was missing."""
    old = [BILLION, BILLION + 1, BILLION + 4]
    behind = [BILLION + 5, BILLION + 5, BILLION + 1, BILLION + 3]
    numbers = [*old, 1, 2, behind[0], 3, behind[1], 4, behind[2], 5, behind[3], 6, 8]
    times = [(5 if n >= BILLION else 5 + n) * timed for n in numbers]
    found = outcomes(numbering, numbers, times)[len(old) :]
    gap: Outcome = Gap(1) if numbering == "exact" else "next"
    of_new = ["reset", "next", "next", "next", "next", "next", gap]
    assert [found[n] for n in (0, 1, 3, 5, 7, 9, 10)] == of_new
    assert [found[n] for n in (2, 4, 6, 8)] == [late, again, again, late]


def test_a_venue_that_goes_on_with_the_count_of_before_has_restarted_again() -> None:
    """One bogus low number: what follows is no loss of a billion."""
    numbers = [BILLION, BILLION + 1, 7, *range(BILLION + 2, BILLION + 5)]
    assert outcomes("exact", numbers, [1, 2, 3, 4, 5, 6])[2:] == ["reset", "reset", "next", "next"]
    numbers = [BILLION, BILLION + 1, 7, *range(BILLION + 2, BILLION + 12)]
    found = outcomes("exact", numbers)[2:]
    assert found == ["reset", *["late"] * (RUN_FAR - 1), "reset", "next", "next"]


def test_old_numbers_between_new_ones_are_no_restart_however_many() -> None:
    numbers = [BILLION, BILLION + 1000]
    for n in range(1, 3 * RUN_FAR):
        numbers += [n, BILLION + 1000 + n]
    found = outcomes("exact", numbers)[2:]
    assert found[::2] == ["reset", *["next"] * (3 * RUN_FAR - 2)]
    assert found[1::2] == ["late"] * (3 * RUN_FAR - 1)


def test_a_count_that_reaches_the_one_before_goes_through_it() -> None:
    seen = [*range(5000, 5010)]
    near = [*range(4600, 5020)]
    found = outcomes("exact", [*seen, *near], [*range(1, 1 + len(seen) + len(near))])
    assert found[len(seen) :] == ["reset", *["next"] * (len(near) - 1)]
    # A small hole there is one, by the time; what is far is no loss of all between.
    assert outcomes("exact", [*seen, 4600, 4999], [*range(1, 13)])[-2:] == ["reset", "reset"]
    assert outcomes("exact", [*seen, 4750, 4999, 5000], [*range(1, 14)])[-3:] == [
        *("reset", Gap(248), "next"),
    ]


def test_a_hole_that_ends_before_the_count_of_before_is_one() -> None:
    assert outcomes("exact", [BILLION, 1, 1000])[-2:] == ["reset", Gap(998)]


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


@given(st.lists(st.one_of(st.integers(0, 30), st.integers(BILLION, BILLION + 30)), max_size=60))
def test_f42_no_loss_of_what_was_never_published(numbers: list[int]) -> None:
    """Whatever comes of two counts that are far from each other, no hole is told between them."""
    for outcome in outcomes("exact", [BILLION, *numbers]):
        assert not isinstance(outcome, Gap) or outcome.lost <= 30
