"""What the audit is told of who is entitled to what: changes, and those alone."""

from collections.abc import Callable
from typing import Any

import pytest
from support.identity import PEPPER, rule, tg

from gateway.identity import api_keys, grants, revoked
from gateway.identity import entitled as module
from gateway.identity.authenticator import Identity, Material
from gateway.identity.entitled import Entitlements, Terms, standing
from gateway.identity.entry import Entry, convert
from gateway.identity.grants import Granted

SECOND = 1_000_000_000
NOW = 77
FOR_EVER = Terms(True, True, False, 0)


class Ledger:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []
        self.ends: list[int] = []
        self.terms: list[dict[str, Any]] = []

    def grant(self, change: str, user: str, product: str, **terms: Any) -> None:
        assert terms.pop("since_ns") == NOW
        self.lines.append((change, user, product))
        self.ends.append(terms["until_ns"])
        self.terms.append(terms)

    def taken(self) -> list[tuple[str, str, str]]:
        lines, self.lines = self.lines, []
        self.ends.clear()
        return lines


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def make(ledger: Ledger) -> Callable[[], Entitlements]:
    return lambda: Entitlements(ledger, {"SIM": False, "LATE": True, "XNAS": False}, lambda: NOW)


def granted(*lists: list[dict[str, Any]], **named: Any) -> Granted:
    entries: list[Entry] = [convert({"grants": one}, Entry) for one in lists]
    lists_ = tuple(one.grants or () for one in entries)
    return Granted(lists_, None, None, None)._replace(**named)


Make = Callable[[], Entitlements]


@pytest.mark.parametrize(
    ("lists", "products"),
    [
        ([[rule("*", "*")]], "LATE SIM XNAS"),
        ([[rule("trade", "*.SIM")]], "SIM"),
        ([[rule("trade", "A.SIM"), rule("bbo", "B*")]], "LATE SIM XNAS"),
        ([[rule("trade", "B.XNAS")]], "XNAS"),
        ([[rule("trade", "A.B")]], ""),
        ([[rule("ops", "*")]], ""),  # what a gateway says of itself is no product
        ([[rule("recordings slo health", "*")]], ""),
        ([[rule("slo trade", "*.LATE")]], "LATE"),
        ([[rule("*", "*")], [rule("trade", "*.SIM")]], "SIM"),  # each list has to grant
        ([[rule("*", "*.XNAS")], [rule("trade", "*.SIM")]], ""),
        ([[]], ""),
    ],
)
def test_products_are_the_venues_that_something_is_granted_of(
    make: Make, lists: Any, products: str
) -> None:
    assert list(make().terms(granted(*lists))) == products.split()


def test_terms_say_how(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    entitlements = make()
    mine = granted([rule("trade", "*.LATE *.SIM")], professional=False)
    assert entitlements.terms(mine, 9) == {
        "LATE": Terms(False, True, True, 9),
        "SIM": Terms(False, True, False, 9),
    }
    monkeypatch.setattr(module, "LISTS_MAX", 2)
    for n in range(5):
        entitlements.terms(granted([rule("trade", f"A{n}.SIM")]))
        assert len(entitlements._products) <= 2


def test_what_has_not_changed_is_not_told(make: Make, ledger: Ledger) -> None:
    entitlements = make()
    now = {"SIM": FOR_EVER, "XNAS": FOR_EVER}
    assert entitlements.put("a", now) == 2
    assert ledger.taken() == [("given", "a", "SIM"), ("given", "a", "XNAS")]
    assert entitlements.put("a", now) == 0
    assert entitlements.put("a", {"SIM": FOR_EVER._replace(display=False)}) == 2
    assert ledger.terms[-2]["display"] is False
    assert ledger.taken() == [("changed", "a", "SIM"), ("withdrawn", "a", "XNAS")]
    assert entitlements.users == ["a"]
    assert entitlements.put("a", {}) == 1
    assert ledger.taken() == [("withdrawn", "a", "SIM")]
    assert entitlements.users == []


def test_of_several_tokens_the_latest_end_counts(make: Make, ledger: Ledger) -> None:
    entitlements = make()
    one, two = ({"SIM": FOR_EVER._replace(until_ns=end)} for end in (10, 20))
    assert entitlements.change("a", {}, one) == 1
    assert entitlements.change("a", {}, two) == 1  # another connection
    assert ledger.ends == [10, 20]
    assert entitlements.change("a", {}, one) == 0
    assert entitlements.change("a", {}, {"SIM": FOR_EVER}) == 1
    assert ledger.ends == [10, 20, 0]
    assert entitlements.change("a", {}, two) == 0
    assert entitlements.put("a", two) == 1  # by what the files say, it ends after all
    assert ledger.ends[-1] == 20


def test_what_is_withdrawn_twice_is_told_once(make: Make, ledger: Ledger) -> None:
    entitlements = make()
    entitlements.change("a", {}, {"SIM": FOR_EVER})
    assert entitlements.change("a", {"SIM": FOR_EVER}, {}) == 1
    assert entitlements.change("a", {"SIM": FOR_EVER}, {}) == 0
    assert ledger.taken() == [("given", "a", "SIM"), ("withdrawn", "a", "SIM")]


def test_users_are_bounded_and_who_is_forgotten_is_told_again(
    make: Make, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "USERS_MAX", 2)
    entitlements = make()
    for user in ("a", "b", "a", "c"):
        entitlements.change(user, {}, {"SIM": FOR_EVER})
    assert entitlements.users == ["a", "c"]  # b was not heard of for longest
    ledger.taken()
    assert entitlements.put("b", {"SIM": FOR_EVER}) == 1
    assert ledger.taken() == [("given", "b", "SIM")]


# --- whom files name ------------------------------------------------------------------------------


def material(text: str, *keys: dict[str, Any], lines: str = "") -> Material:
    kept = [api_keys.make(PEPPER, created=5, **one)[1] for one in keys]
    return Material(
        api_keys=api_keys.read(api_keys.encode(kept), PEPPER),
        grants=grants.read(text.encode()),
        revoked=revoked.read(lines.encode()),
    )


GRANTS = """
[sub.alice]
grants = [{channels=["trade"], instruments=["*.SIM"]}]
[tenant.desk]
grants = [{channels=["trade"], instruments=["*.XNAS"]}]
["*"]
grants = []
"""


def test_whom_files_name_are_entitled_whether_they_come_or_not(make: Make) -> None:
    found = dict(
        standing(
            make(),
            material(
                GRANTS,
                {"sub": "robot", "tenant": "desk", "expires": 100},
                {"sub": "robot", "tenant": "desk", "expires": 200},
                {"sub": "alice", "expires": 100},
                {"sub": "nobody"},
                {"sub": "gone", "tenant": "desk"},
                lines='{"sub":"gone","before":6}\n',
            ),
        )
    )
    assert found == {
        "alice": {"SIM": FOR_EVER},  # by the grants, which have no end
        "robot": {"XNAS": FOR_EVER._replace(until_ns=200 * SECOND)},
        "nobody": {},
    }


def test_a_key_without_an_end_has_none_whatever_others_have(make: Make) -> None:
    for ends in ((100, None), (None, 100)):
        keys = [{"sub": "robot", "tenant": "desk", "expires": end} for end in ends]
        found = dict(standing(make(), material(GRANTS, *keys)))
        assert found["robot"] == {"XNAS": FOR_EVER}


def test_a_bearer_has_what_files_do_not_say_of_them(make: Make) -> None:
    entitlements = make()
    own: Entry = convert(tg(rule("*", "*")), Entry)

    def bears(sub: str, text: str, expires_s: int | None = 100) -> dict[str, Terms]:
        known = material(text)
        identity = Identity(sub, "jwt", expires_s, own=own)
        return entitlements.bearer(identity, known.grants.of(sub, own), known)

    until = FOR_EVER._replace(until_ns=100 * SECOND)
    late = until._replace(delayed=True)
    assert bears("bob", "") == {"LATE": late, "SIM": until, "XNAS": until}
    assert bears("bob", "", None)["SIM"] == FOR_EVER
    assert bears("alice", GRANTS) == {}  # told by the supervisor already
    assert bears("", "") == {}
