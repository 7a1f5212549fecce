"""Figures in words: three digits, the unit that suits them, and no share better than it is."""

import json
import re
from pathlib import Path

import pytest
import support
from hypothesis import given
from hypothesis import strategies as st

from gateway.loadtest import units

CASES = json.loads((Path(support.__file__).with_name("figures.json")).read_text())
"""What the dashboard's scripts must say too: tests/browser/scripts.test.mjs."""


@pytest.mark.parametrize(("us", "beside_us", "words"), CASES["durations"])
def test_durations(us: float, beside_us: float | None, words: str) -> None:
    assert units.duration(us, beside_us) == words


@given(st.floats(0.5, 9.99e8), st.floats(999.5, 6e7))
def test_a_duration_beside_milliseconds_is_in_milliseconds(us: float, beside_us: float) -> None:
    number, unit = units.duration(us, beside_us).replace(",", "").split()
    assert unit == "ms"
    assert float(number) * 1000 == pytest.approx(us, rel=0.0051, abs=0.5)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        *(("1.00 ms", "1 ms"), ("0.050 ms", "0.05 ms"), ("10.0 µs", "10 µs"), ("100 ms", "100 ms")),
        *(("1,500 ms", "1,500 ms"), ("0 /s", "0 /s"), ("2.50 k/s", "2.5 k/s"), ("20", "20")),
    ],
)
def test_a_tick_has_no_zeros_at_its_end(words: str, shown: str) -> None:
    assert units.tick(words) == shown


@given(st.floats(0.001, 9.99e8))
def test_a_duration_has_three_digits_and_reads_back(us: float) -> None:
    number, unit = units.duration(us).split()
    assert re.fullmatch(r"\d\.\d\d|\d\d\.\d|\d\d\d", number)
    assert float(number) * units.DURATIONS_US[unit] == pytest.approx(us, rel=0.0051)


@pytest.mark.parametrize(("per_s", "words"), CASES["rates"])
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
