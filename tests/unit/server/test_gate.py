"""The gate of a worker: rights that are one grant, who is counted, who is walked after a change."""

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.identity import Issuer, rule, tg
from websockets.datastructures import Headers
from websockets.http11 import Request

from gateway._native import create_memory
from gateway.identity.authenticator import Identity
from gateway.identity.keeper import load
from gateway.identity.seats import PART_BYTES, Seats
from gateway.model.outcomes import ADMISSION, AUTHS
from gateway.options import AuthOptions, TenantOptions
from gateway.server import gate as module
from gateway.server.gate import Door, Gate
from gateway.server.tenants import UNSAID, Tenants
from gateway.session.access import Access, Admitted, Rejected

TRADES = tg(rule("trade", "*"))
QUOTES = tg(rule("bbo", "*"))


class Plane:
    """Knows who has a grant, as the tests say."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.loaded: dict[int, list[Any]] = {}

    def grant(self, number: int, rules: list[Any], topics_max: int = 0) -> None:
        if number in self.held:
            raise ValueError(f"grant {number} is in use")
        self.loaded[number] = rules


class Client:
    """A connection, as far as the gate sees one."""

    def __init__(self, peer: str = "10.0.0.1", names: tuple[str, ...] = ()) -> None:
        self.identity: Identity | None = None
        self.peer = peer
        self.name = "c-1"
        self.peer_names = names
        self.closed: list[int] = []
        self.regranted: list[Any] = []
        self.tenant = 0

    def move(self, tenant: int) -> None:
        self.tenant = tenant

    @property
    def user(self) -> str:
        return "" if self.identity is None else self.identity.sub

    def fail(self, code: int, reason: str) -> None:
        self.closed.append(code)

    def regrant(self, rights: Any) -> None:
        self.regranted.append(rights)


class Audit:
    """Keeps what it is told."""

    on = True

    def __init__(self) -> None:
        self.auths: list[tuple[str, str, str]] = []
        self.grants: list[tuple[str, str, str]] = []
        self.ends: list[int] = []

    def auth(self, client: Client, method: str, result: str) -> None:
        self.auths.append((client.user, method, result))

    def grant(self, change: str, user: str, product: str, **terms: Any) -> None:
        self.grants.append((change, user, product))
        self.ends.append(terms["until_ns"])


class Site:
    """A gate with a plane and a clock of the test's."""

    def __init__(self, issuer: Issuer, seats: Seats | None = None, **options: Any) -> None:
        paths = {name: str(issuer.path(name)) for name in ("jwt_keys", "grants", "revoked")}
        paths = {name: path for name, path in paths.items() if Path(path).exists()}
        self.options = msgspec.convert({"mode": "required", **paths, **options}, AuthOptions)
        self.plane = Plane()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.refused: list[str] = []
        self.later: list[Callable[[], Any]] = []
        self.mono_ns = 0
        desks = (TenantOptions(name="desk-a"), TenantOptions(name="desk-b", connections_max=1))
        self.tenants = Tenants(desks)
        self.audit = Audit()
        self.seats = seats or Seats()
        self.gate = Gate(
            self.options,
            self.plane,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            lambda call, *args: self.later.append(lambda: call(*args)),
            lambda: self.mono_ns,
            time.time_ns,
            self.tenants,
            self.audit,  # type: ignore[arg-type]
            {"SIM": False, "LATE": True},
            self.seats,
        )

    def add(self, name: str, index: int) -> None:
        if name != "auth":
            self.refused.append(ADMISSION[index])
            return
        self.counts[AUTHS[index]] += 1

    def come(self, *headers: tuple[str, str], client: Client | None = None) -> Client | int:
        """A client that was let in, or the status of its refusal."""
        client = client or Client()
        refused = self.gate.request(client, Request("/v1", Headers(headers), "GET"))
        return client if refused is None else refused.status

    def enter(self, token: str, encoding: Any = "json") -> tuple[Client, Access, Door]:
        client = self.come(("Authorization", f"Bearer {token}"))
        assert isinstance(client, Client)
        access, _, error = self.gate.open(client, encoding)
        assert error is None
        (door,) = [one for one in self.gate._doors if one.client is client]
        return client, access, door

    def renew(self) -> None:
        """All that the change of a file has done."""
        self.gate.renew(load(self.options))
        while self.later:
            self.later.pop(0)()


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


def test_equal_rights_are_one_grant(issuer: Issuer) -> None:
    site = Site(issuer)
    one, two = (site.enter(issuer.token(sub, tg=TRADES))[1].rights for sub in ("a", "b"))
    other = site.enter(issuer.token("c", tg=QUOTES))[1].rights
    binary = site.enter(issuer.token("d", tg=TRADES), "sbe")[1].rights
    assert one is two
    assert [one.number, other.number, binary.number] == [1, 2, 3]
    limited = site.enter(issuer.token("e", tg={**TRADES, "connections": 3}))[1].rights
    assert limited is one  # how many connections is no right of the plane's
    fewer = site.enter(issuer.token("f", tg={**TRADES, "subscriptions": 3}))[1].rights
    assert fewer.topics_max == 3


def test_grants_are_given_to_others_when_nobody_has_them(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRANTS_MAX", 4)
    site = Site(issuer)

    def number(n: int) -> int:
        mine = tg(rule("trade", f"N{n}.SIM"))
        return site.enter(issuer.token(f"s{n}", tg=mine))[1].rights.number

    assert [number(n) for n in range(3)] == [1, 2, 3]
    site.plane.held = {1, 3}
    assert number(3) == 2
    assert site.plane.loaded[2][0][1] == "N3.SIM"
    assert number(0) == 1
    site.plane.held = {1, 2, 3}
    with pytest.raises(OverflowError):
        number(9)
    site.plane.held = {2, 3}
    assert number(9) == 1
    site.plane.held = set()
    assert number(0) != 1  # what 1 was is forgotten


def test_connections_of_an_identity_are_counted_until_they_are_gone(issuer: Issuer) -> None:
    site = Site(issuer)
    token = issuer.token("a", tg={**TRADES, "connections": 2})
    first = site.enter(token)
    site.enter(token)
    client = site.come(("Authorization", f"Bearer {token}"))
    assert isinstance(client, Client)
    access, _, error = site.gate.open(client, "json")
    assert error is not None
    access.end()
    site.enter(issuer.token("b", tg={**TRADES, "connections": 1}))
    first[1].end()
    first[1].end()  # once
    site.enter(token)
    assert site.seats.here() == {"a": 2, "b": 1}


def test_connections_of_an_identity_are_counted_over_all_workers(issuer: Issuer) -> None:
    fd = create_memory("seats", 2 * PART_BYTES)
    one, two = (Site(issuer, Seats(fd, index, 2)) for index in range(2))
    token = issuer.token("a", tg={**TRADES, "connections": 2})
    first, second = one.enter(token), two.enter(token)
    for site in (one, two):
        client = site.come(("Authorization", f"Bearer {token}"))
        assert isinstance(client, Client)
        access, _, error = site.gate.open(client, "json")
        assert error is not None
        assert error.message == "connections: 2 of this identity are open"
        assert site.refused == ["identity"]
        access.end()  # it never counted
    second[1].end()
    one.enter(token)
    first[1].end()
    two.enter(token)
    assert (one.seats.here(), two.seats.here()) == ({"a": 1}, {"a": 1})
    os.close(fd)


def test_one_credential_at_a_time(issuer: Issuer) -> None:
    site = Site(issuer)
    token = issuer.token("a")
    header = ("Authorization", f"Bearer {token}")
    assert isinstance(site.come(header), Client)
    protocol = ("Sec-WebSocket-Protocol", f"tickgate.v1.json, bearer.{token}")
    assert isinstance(site.come(protocol), Client)
    for headers in (
        (header, header),
        (header, protocol),
        (header, ("X-Api-Key", "tg_a_b")),
        (("Authorization", "Negotiate x"),),
        (("Sec-WebSocket-Protocol", f"bearer.{token}, bearer.{token}"),),
    ):
        assert site.come(*headers) == 401
    assert site.come() == 401
    assert site.counts["jwt", "ok"] == site.counts["jwt", "cached"] == 1


@pytest.mark.threat("S1")
def test_a_certificate_is_an_identity_by_its_names(issuer: Issuer) -> None:
    issuer.write("grants", '[sub."desk.test"]\ngrants=[{channels=["trade"],instruments=["*"]}]\n')
    site = Site(issuer)
    client = Client(names=("", "desk.test"))
    assert site.come(client=client) is client
    assert client.identity is not None
    assert (client.identity.sub, client.identity.method) == ("desk.test", "certificate")
    assert site.gate.open(client, "json")[1].rules
    assert site.come(client=Client(names=("\n",))) == 401


def test_a_first_message_and_a_refresh(issuer: Issuer) -> None:
    site = Site(issuer, in_band=True)
    client = site.come()
    assert isinstance(client, Client)
    access, nothing, _ = site.gate.open(client, "json")
    assert access.due_ns == 5_000_000_000
    assert nothing.rules == []
    now = {"mono_ns": 0, "real_ns": time.time_ns()}
    assert isinstance(access.authenticate("a.b.c", **now), Rejected)
    admitted = access.authenticate(issuer.token("a", tg=TRADES), **now)
    assert isinstance(admitted, Admitted)
    assert not access.waiting
    assert access.rights.number == 2
    refused = access.authenticate(issuer.token("b", tg=TRADES), **now)
    assert isinstance(refused, Rejected)
    assert refused.code == 4500
    again = access.authenticate(issuer.token("a", tg=QUOTES, ttl_s=60), **now)
    assert isinstance(again, Admitted)
    assert site.seats.here() == {"a": 1}
    access.end()
    assert site.seats.here() == {}


def test_failures_in_messages_are_limited_by_address(issuer: Issuer) -> None:
    site = Site(issuer, in_band=True, failures_per_minute=2)
    codes = []
    for peer in ("10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2"):
        client = Client(peer)
        site.come(client=client)
        access, _, _ = site.gate.open(client, "json")
        outcome = access.authenticate("a.b.c", mono_ns=site.mono_ns, real_ns=time.time_ns())
        assert isinstance(outcome, Rejected)
        codes.append(outcome.code)
    assert codes == [4500, 4500, 4029, 4500]
    site.mono_ns = 60_000_000_000
    assert site.come(("Authorization", f"Bearer {issuer.token('a')}")) != 429


def test_a_change_walks_those_who_are_there(issuer: Issuer) -> None:
    def grants(channel: str) -> None:
        issuer.write("grants", f'["*"]\ngrants=[{{channels=["{channel}"],instruments=["*"]}}]\n')

    grants("trade")
    issuer.write("revoked", "")
    site = Site(issuer)
    clients = [site.enter(issuer.token(f"s{n}", tg=None, jti=f"j{n}"))[0] for n in range(20)]
    site.renew()
    assert not any(one.closed or one.regranted for one in clients)
    issuer.revoke(jti="j3")
    grants("bbo")
    site.mono_ns = 1
    site.gate._now_ns = iter(range(1, 10**12, 300_000)).__next__  # each look takes longer
    site.renew()
    assert [one.closed for one in clients if one.closed] == [[4501]]
    assert clients[3].closed
    assert sum(len(one.regranted) for one in clients) == 19
    assert len({id(one.regranted[0]) for one in clients if one.regranted}) == 1
    site.gate._now_ns = lambda: 0
    site.renew()
    assert sum(len(one.regranted) for one in clients) == 19


def test_a_walk_is_cut_into_steps(issuer: Issuer) -> None:
    issuer.write("grants", "")
    site = Site(issuer)
    for n in range(10):
        site.enter(issuer.token(f"s{n}", tg=None))
    looks = iter(range(0, 10**9, 150_000))
    site.gate._now_ns = looks.__next__
    site.gate.renew(load(site.options))
    steps = 0
    while site.later:
        steps += 1
        site.later.pop(0)()
    assert steps == 4  # two clients in 200 us, at 150 us a look


def test_whose_tenant_a_client_is_says_its_token_or_later_its_message(issuer: Issuer) -> None:
    site = Site(issuer, in_band=True)
    now = {"mono_ns": 0, "real_ns": time.time_ns()}
    desk_b = issuer.token("b", tg={**TRADES, "tenant": "desk-b"})
    client, _, _ = site.enter(desk_b)
    assert site.gate.tenant(client) == 1
    waits = site.come()
    assert isinstance(waits, Client)
    waits.tenant = site.gate.tenant(waits)
    assert waits.tenant == UNSAID
    access, _, _ = site.gate.open(waits, "json")
    site.tenants.came(1)
    rejected = access.authenticate(desk_b, **now)
    assert isinstance(rejected, Rejected)
    assert rejected.code == 4030
    assert (site.refused, waits.tenant, waits.identity) == (["tenant"], UNSAID, None)
    site.tenants.left(1)
    assert isinstance(access.authenticate(desk_b, **now), Admitted)
    assert waits.tenant == 1


def test_grants_that_change_move_clients(issuer: Issuer) -> None:
    issuer.write("grants", '["*"]\ngrants = []\n')
    site = Site(issuer)
    client, _, _ = site.enter(issuer.token("a", tg=None))
    assert client.tenant == site.gate.tenant(client) == 0
    issuer.write("grants", '[sub.a]\ntenant = "desk-b"\ngrants = []\n')
    site.renew()
    assert client.tenant == 1
