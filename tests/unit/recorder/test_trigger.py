"""When a breach becomes a recording: a table of looks."""

import pytest

from gateway.recorder.trigger import Trigger

# Looks: (state, time) and what each gives, with 60 between recordings and 2 after a breach.
TABLES = {
    "nothing happens": [("ok", 0, None), ("at_risk", 1, None), ("ok", 9, None)],
    "a breach is written later": [
        ("ok", 0, None),
        ("breached", 1, None),
        ("breached", 2, None),
        ("breached", 3, 1),
        ("breached", 4, None),
    ],
    "also when it is over by then": [("breached", 0, None), ("ok", 1, None), ("ok", 2, 0)],
    "infeasible is worse": [("at_risk", 0, None), ("infeasible", 1, None), ("ok", 3, 1)],
    "from one bad state to another is one breach": [
        ("breached", 0, None),
        ("infeasible", 1, None),
        ("breached", 2, 0),
        ("breached", 90, None),
    ],
    "too soon after the last": [
        ("breached", 0, None),
        ("ok", 2, 0),
        ("breached", 59, None),
        ("ok", 61, None),
        ("breached", 62, None),
        ("ok", 64, 62),
    ],
}


@pytest.mark.parametrize("looks", TABLES.values(), ids=TABLES)
def test_looks(looks: list[tuple[str, int, int | None]]) -> None:
    trigger = Trigger(60, 2)
    assert [trigger.look(state, now) for state, now, _ in looks] == [due for *_, due in looks]


def test_what_came_too_soon_is_counted() -> None:
    trigger = Trigger(60, 2)
    for now in range(0, 40, 4):
        trigger.look("breached", now)
        trigger.look("ok", now + 2)
    assert trigger.suppressed == 9
