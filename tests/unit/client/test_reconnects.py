"""Close codes that allow a reconnect."""

import pytest

from gateway.client import reconnects


@pytest.mark.parametrize(
    "code", [1001, 1006, 1011, 1012, 1013, 4000, 4001, 4008, 4012, 4029, 4030, 4499]
)
def test_codes_that_reconnect(code: int) -> None:
    assert reconnects(code)


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1007, 1008, 1009, 4500, 4502, 4505, 4999])
def test_codes_that_do_not(code: int) -> None:
    assert not reconnects(code)
