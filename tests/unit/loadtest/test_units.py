"""Figures in words: three digits, the unit that suits them, and no share better than it is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.loadtest import units


@pytest.mark.parametrize(
    ("us", "words"),
    [
        (0, "0 µs"),
        (0.0004, "0 µs"),
        (0.001, "1.00 ns"),
        (0.5, "500 ns"),
        (0.9995, "1.00 µs"),
        (1, "1.00 µs"),
        (9.994, "9.99 µs"),
        (9.996, "10.0 µs"),
        (99.95, "100 µs"),
        (99.96, "100 µs"),
        (999.4, "999 µs"),
        (999.5, "1.00 ms"),
        (1704, "1.70 ms"),
        (999_500, "1.00 s"),
        (61_000_000, "61.0 s"),
        (1.5e9, "1,500 s"),
        (-250, "-250 µs"),
        (-1704, "-1.70 ms"),
    ],
)
def test_durations(us: float, words: str) -> None:
    assert units.duration(us) == words


@given(st.floats(0.001, 9.99e8))
def test_a_duration_has_three_digits_and_reads_back(us: float) -> None:
    number, unit = units.duration(us).split()
    assert re.fullmatch(r"\d\.\d\d|\d\d\.\d|\d\d\d", number)
    assert float(number) * units.DURATIONS_US[unit] == pytest.approx(us, rel=0.0051)


@pytest.mark.parametrize(
    ("per_s", "words"),
    [
        (0, "0 /s"),
        (0.00025, "0.00025 /s"),
        (0.25, "0.250 /s"),
        (7, "7.00 /s"),
        (99.95, "100 /s"),
        (999.4, "999 /s"),
        (999.5, "1.00 k/s"),
        (20_000, "20.0 k/s"),
        (999_500, "1.00 M/s"),
        (2_000_000, "2.00 M/s"),
        (1.5e9, "1,500 M/s"),
    ],
)
def test_rates(per_s: float, words: str) -> None:
    assert units.rate(per_s) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.5, "50 %"),
        (0.999, "99.9 %"),
        (0.9991, "99.91 %"),
        (0.999999, "99.999 %"),
        (120_000_000 / 120_000_001, "99.999 %"),
        (0.00001, "0.001 %"),
        (0.000009, "0 %"),
        (0.29, "29 %"),  # 0.29 * 100 is a little less than 29
    ],
)
def test_shares_are_cut_and_not_rounded(value: float, words: str) -> None:
    assert units.share(value) == words


@given(st.integers(1, 10**8), st.integers(1, 10**8))
def test_only_all_of_it_is_all(part: int, more: int) -> None:
    assert units.share(part / (part + more)) != "100 %"
    assert units.share(part / part) == "100 %"


@pytest.mark.parametrize(
    ("megabytes", "words"),
    [
        (0, "0 MB"),
        (0.5, "0.500 MB"),
        (61, "61.0 MB"),
        (99.95, "100 MB"),
        (64_500, "64,500 MB"),
    ],
)
def test_memory(megabytes: float, words: str) -> None:
    assert units.memory(megabytes) == words
