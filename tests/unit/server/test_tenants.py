"""Whose tenant a client is, and how many of one may be there."""

from types import SimpleNamespace

import pytest

from gateway.options import TenantOptions
from gateway.server import tenants as module
from gateway.server.tenants import UNSAID, Tenants


def test_without_tenants_all_are_of_one_without_a_limit() -> None:
    tenants = Tenants(())
    assert tenants.place("desk-a") == 0
    for _ in range(100):
        tenants.came(0)
        assert tenants.full(0) == ""


def test_a_tenant_s_clients_are_counted_apart() -> None:
    a, b = TenantOptions(name="a", connections_max=2), TenantOptions(name="b")
    tenants = Tenants((a, b))
    assert (tenants.place(), tenants.place("a"), tenants.place("b"), tenants.place("?")) == (
        0,
        0,
        1,
        0,
    )
    for place in (0, 1, 1, 1):
        assert tenants.full(place) == ""
        tenants.came(place)
    tenants.came(0)
    assert tenants.full(0) == "tenants.0.connections_max: 2 of a are open"
    assert tenants.full(1) == ""
    tenants.left(0)
    assert tenants.full(0) == ""


def test_an_unknown_tenant_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        module, "_log", SimpleNamespace(warning=lambda _, tenant, instead: told.append(tenant))
    )
    assert Tenants(()).place("x") == 0
    assert told == []
    tenants = Tenants((TenantOptions(name="a"), TenantOptions(name="b")))
    assert [tenants.place(name) for name in ("x", "x", "y", "b", None)] == [0, 0, 0, 1, 0]
    assert told == ["x", "y"]
    for n in range(100):
        tenants.place(f"z{n}")
    assert len(told) == module.TOLD_MAX


def test_who_has_not_said_who_it_is_counts_for_no_limit() -> None:
    limited = TenantOptions(name="a", connections_max=1, subscriptions_max=5)
    tenants = Tenants((limited, TenantOptions(name="b", connections_max=1)))
    tenants.came(UNSAID)
    tenants.subscribed(UNSAID, 2)
    assert (tenants.full(UNSAID), tenants.room(UNSAID), tenants.full(0)) == ("", None, "")
    assert (tenants.room(0), tenants.room(1)) == (5, None)
    tenants.moved(UNSAID, 0, 2)
    assert tenants.full(0)
    assert tenants.room(0) == 3
    tenants.subscribed(0, 4)
    assert tenants.room(0) == 0
    tenants.moved(0, 1, 6)
    assert (tenants.full(0), tenants.room(0), tenants.room(1)) == ("", 5, None)
