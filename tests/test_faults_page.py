"""docs/faults.md says what the tests show, and each row that is built has one."""

import pytest
from support.faults_page import PAGE, functions, render

BUILT = {
    *range(1, 6),
    *range(7, 28),
    *range(31, 35),
    *(36, 37, 38, 40, 44, 45, 46, 48, 49, 50, 53, 54, 56, 57, 59, 60, 61, 62),
}


def test_the_page_is_what_the_tests_show() -> None:
    assert PAGE.read_text() == render(), "run tests/support/faults_page.py"


@pytest.mark.parametrize("row", sorted(BUILT))
def test_each_row_has_a_test(row: int) -> None:
    assert any(node.name.startswith(f"test_f{row:02}_") for _, node in functions())
