"""docs/threats.md says what the tests show: each threat has a test, or names what brings it."""

import pytest
from support.threats_page import KINDS, PAGE, PENDING, THREATS, marked, render


def test_the_page_is_what_the_tests_show() -> None:
    assert PAGE.read_text() == render(), "run tests/support/threats_page.py"


def test_every_marked_test_is_of_a_threat() -> None:
    assert marked().keys() <= THREATS.keys()


@pytest.mark.parametrize("row", THREATS)
def test_each_threat_has_a_test_or_is_pending_by_name(row: str) -> None:
    assert row[0] in KINDS
    pending = THREATS[row].pending
    assert bool(pending) != (row in marked()), "a test, or what brings it"
    assert not pending or pending in PENDING
