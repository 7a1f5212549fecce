"""What other rights make of a client's subscriptions, step by step."""

from typing import TYPE_CHECKING, Any

import pytest
from unit.session.test_access import ALL, NOTHING, granted, make, rule

from gateway.identity.rights import Rights
from gateway.session.actions import Action, Regrant, Reply, Review, Subscribe, Unsubscribe
from gateway.session.regrant import STEP_UNITS

if TYPE_CHECKING:
    from unit.session.conftest import Connect

LESS = make(rule("trade", "*", max_hz=10))


class Reviewed:
    """A client with many names, whose review is carried out step by step."""

    def __init__(self, connect: "Connect", names: int) -> None:
        self.client = granted(connect, ALL, topics_max=names)
        for first in range(0, names, 100):
            self.client.subscribe(*(f"N{n}.SIM" for n in range(first, first + 100)))
        self.session = self.client.session
        self.live = set(range(names))  # as the plane has them
        self.due = 0
        self.longest = 0  # of what one step ended or clamped
        self.steps = 0
        self.told: list[dict[str, Any]] = []

    def act(self, actions: list[Action]) -> None:
        count = 0
        for action in actions:
            match action:
                case Unsubscribe(_, _, ids):
                    self.live.difference_update(ids)
                    count += len(ids)
                case Subscribe(_, _, items):
                    self.live.update(item[0] for item in items)
                    count += len(items)
                case Review():
                    self.due += 1
                case Reply():
                    self.told.append(self.client.message(action))
        self.longest = max(self.longest, count)

    def regrant(self, rights: Rights) -> None:
        actions = self.session.regranted(rights)
        assert isinstance(actions[0], Regrant)  # before anything is looked at
        assert not any(isinstance(action, Regrant) for action in actions[1:])
        self.act(actions)

    def step(self) -> None:
        assert self.due == 1
        self.due = 0
        self.steps += 1
        self.act(self.session.review())

    def run(self) -> None:
        while self.due:
            self.step()

    @property
    def counted(self) -> int:
        """Names that the messages have told of."""
        data = [one for message in self.told for one in message["data"]]
        return sum(one.get("more", 1) for one in data)


@pytest.mark.parametrize("other", [NOTHING, LESS])
def test_a_review_of_many_names_is_cut_into_steps(connect: "Connect", other: Rights) -> None:
    reviewed = Reviewed(connect, 1000)
    reviewed.regrant(other)
    assert reviewed.longest == STEP_UNITS
    assert reviewed.told == []
    reviewed.run()
    assert reviewed.longest == STEP_UNITS
    assert reviewed.steps == -(-1000 // STEP_UNITS) - 1  # the first came with the change
    if other is NOTHING:
        (told,) = reviewed.told
        assert len(told["data"]) == 201
        assert told["data"][-1] == {"more": 800}
        assert (reviewed.session.subscriptions, reviewed.live) == (0, set())
    else:
        assert (reviewed.session.subscriptions, reviewed.told) == (1000, [])


def test_a_step_looks_at_few_patterns(connect: "Connect") -> None:
    client = granted(connect, ALL)
    client.subscribe(*(f"N{n}*" for n in range(9)))
    actions = client.session.regranted(LESS)
    sizes = []
    while True:
        sizes += [len(one.items) for one in actions if isinstance(one, Subscribe)]
        if not isinstance(actions[-1], Review):
            break
        actions = client.session.review()
    assert sizes == [4, 4, 1]


def test_a_change_in_the_middle_of_a_review_begins_anew(connect: "Connect") -> None:
    reviewed = Reviewed(connect, 300)
    reviewed.regrant(make(rule("trade", "N1*")))
    reviewed.regrant(make(rule("trade", "N2*")))
    reviewed.run()
    left = {n for n in range(300) if str(n).startswith("2")}
    ended = {n for n in range(STEP_UNITS) if not str(n).startswith("1")}  # by the first one
    assert reviewed.live == left - ended
    assert reviewed.session.subscriptions == len(left - ended)
    assert reviewed.counted == 300 - len(left - ended)
    assert len(reviewed.told) == 1


def test_a_review_sees_who_came_and_went_meanwhile(connect: "Connect") -> None:
    reviewed = Reviewed(connect, 300)
    reviewed.regrant(make(rule("trade", "N2*"), rule("trade", "M*")))
    (gone,) = reviewed.client.send(
        {"method": "unsubscribe", "req_id": 5,
         "params": {"channel": "trade", "symbol": ["N299.SIM", "N298.SIM"]}}
    )  # fmt: skip
    assert isinstance(gone, Unsubscribe)
    reviewed.act([gone])
    results = reviewed.client.subscribe("M1.SIM", "N150.SIM", "N250.SIM")["results"]
    assert [one["success"] for one in results] == [True, False, True]
    reviewed.run()
    left = {n for n in range(298) if str(n).startswith("2")}
    assert reviewed.live == left
    assert reviewed.session.subscriptions == len(left) + 1
    assert reviewed.counted == 298 - len(left)


def test_what_the_plane_tells_in_the_middle_is_told_with_the_rest(connect: "Connect") -> None:
    reviewed = Reviewed(connect, 300)
    reviewed.regrant(NOTHING)
    for identity in range(299, 199, -1):  # it has ended them; the walk comes to them later
        reviewed.act(reviewed.session.forbidden(identity))
    assert reviewed.due == 1
    reviewed.run()
    assert reviewed.session.forbidden(250) == []
    assert (len(reviewed.told), reviewed.counted) == (1, 300)


def test_what_was_withdrawn_and_given_back_is_ended_where_the_plane_ended_it(
    connect: "Connect",
) -> None:
    reviewed = Reviewed(connect, 300)
    reviewed.regrant(NOTHING)
    reviewed.regrant(ALL)
    reviewed.run()
    kept = reviewed.session.subscriptions
    assert kept == 300 - STEP_UNITS
    reviewed.told.clear()
    for identity in range(200, 300):  # late: nothing is looked at any more
        reviewed.act(reviewed.session.forbidden(identity))
        assert identity not in reviewed.live  # who asked for it again has none, too
        if identity % 10 == 0:
            reviewed.step()  # more comes in each iteration
    assert reviewed.told == []
    reviewed.run()
    assert reviewed.session.subscriptions == kept - 100
    assert (len(reviewed.told), reviewed.counted) == (1, 100)


def test_who_leaves_in_the_middle_of_a_review_is_not_looked_at(connect: "Connect") -> None:
    reviewed = Reviewed(connect, 300)
    reviewed.regrant(NOTHING)
    reviewed.session.end()
    before = reviewed.session.subscriptions
    reviewed.step()
    assert reviewed.due == 0
    assert reviewed.session.subscriptions == before
