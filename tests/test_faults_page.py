"""docs/faults.md says what the tests show: each row has one, or names the work that brings it."""

import pytest
from support.faults_page import PAGE, PENDING, functions, render

ROWS_MAX = 80


def test_the_page_is_what_the_tests_show() -> None:
    assert PAGE.read_text() == render(), "run tests/support/faults_page.py"


@pytest.mark.parametrize("row", range(1, ROWS_MAX + 1))
def test_each_row_has_a_test_or_is_pending_by_name(row: int) -> None:
    shown = any(one.name.startswith(f"test_f{row:02}_") for one in functions())
    pending = [what for what, rows in PENDING.items() if row in rows]
    assert [shown, bool(pending)].count(True) == 1, "a test, or what brings it"
