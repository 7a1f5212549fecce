"""What the runner makes of the suite's index, since the suite ends with 0 whatever it finds."""

import pytest
from conformance.autobahn import NON_STRICT_MAX, find_wstest, judge


def case(behavior: str = "OK", closing: str = "OK") -> dict[str, str]:
    return {"behavior": behavior, "behaviorClose": closing}


GOOD = {
    "1.1.1": case(),
    "7.13.1": case("INFORMATIONAL", "INFORMATIONAL"),
    "6.4.3": case("NON-STRICT"),
}


def test_a_good_index() -> None:
    verdict = judge(GOOD)
    assert verdict.good
    assert verdict.told == ["6.4.3: NON-STRICT, close OK"]
    assert verdict.counts == {"OK": 1, "INFORMATIONAL": 1, "NON-STRICT": 1}


@pytest.mark.parametrize(
    ("number", "behavior", "closing"),
    [
        ("2.10", "FAILED", "OK"),
        ("2.10", "UNIMPLEMENTED", "OK"),
        ("2.10", "OK", "WRONG CODE"),
        ("2.10", "OK", "UNCLEAN"),
        ("2.10", "OK", "FAILED BY CLIENT"),
        ("12.1.1", "FAILED", "OK"),
    ],
)
def test_a_bad_case(number: str, behavior: str, closing: str) -> None:
    verdict = judge({**GOOD, number: case(behavior, closing)})
    assert not verdict.good
    assert f"{number}: {behavior}, close {closing}" in verdict.told


def test_compression_may_be_unimplemented() -> None:
    assert judge({**GOOD, "12.1.1": case("UNIMPLEMENTED")}).good


@pytest.mark.parametrize(("count", "good"), [(NON_STRICT_MAX, True), (NON_STRICT_MAX + 1, False)])
def test_few_may_be_not_strict(count: int, good: bool) -> None:
    assert judge({f"1.1.{n}": case("NON-STRICT") for n in range(count)}).good is good


def test_an_empty_index_is_bad() -> None:
    assert not judge({}).good


def test_a_suite_that_is_named_is_taken() -> None:
    assert find_wstest("/there/wstest") == "/there/wstest"
