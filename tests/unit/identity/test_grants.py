"""What no star means."""

from typing import Any

import pytest
from support.identity import rule

from gateway.identity.entry import Entry, convert
from gateway.identity.grants import Granted, own_granted


def granted(*lists: list[dict[str, Any]]) -> Granted:
    entries: list[Entry] = [convert({"grants": one}, Entry) for one in lists]
    return Granted(tuple(one.grants or () for one in entries), None, None, None)


@pytest.mark.parametrize(
    ("lists", "may"),
    [
        ([[rule("recordings", "*")]], True),
        ([[rule("ops recordings", "*")]], True),
        ([[rule("trade", "*"), rule("recordings", "* X.SIM")]], True),
        ([[rule("recordings", "*.SIM")]], False),  # there are none of some instruments
        ([[rule("*", "*")]], False),
        ([[rule("ops", "*")]], False),
        ([[]], False),
        ([[rule("recordings", "*")], [rule("*", "*")]], False),  # a token's own, beyond the file
        ([[rule("recordings", "*")], [rule("recordings", "*")]], True),
    ],
)
def test_recordings_are_granted_by_name_and_by_each_list(lists: Any, may: bool) -> None:
    assert own_granted(granted(*lists), "recordings") == may
