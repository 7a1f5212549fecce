"""Tenants in a gateway that runs: their limit, and what is counted of each."""

from pathlib import Path

from support.fleet import Client
from support.identity import Issuer, rule, tg
from support.serving import serving, until
from support.udp import Venue
from support.wire import Wire, request

TENANTS = (
    "tenants.0.name=desk-a",
    "tenants.0.weight=3",
    "tenants.0.connections_max=2",
    "tenants.1.name=desk-b",
)


def test_a_tenant_has_a_limit_and_counters_of_its_own(tmp_path: Path) -> None:
    with (
        Venue() as venue,
        serving(tmp_path / "log", *TENANTS, *venue.sets) as gateway,
        Client(gateway.url) as one,
    ):
        with Client(gateway.url) as two, venue.ticking("A"):
            for client in (one, two):
                client.subscribe("trade", "A.SIM")
            with Wire(gateway.url) as wire:
                wire.send(request())
                answer = wire.response()
                assert answer.status == 503
                assert b"tenants.0.connections_max: 2 of desk-a are open" in answer.body
            until(lambda: gateway.metrics().of("tenant_sends_total", "desk-a") > 20)
            until(lambda: gateway.metrics().of("tenant_clients", "desk-a") == 2)
            until(lambda: gateway.metrics().of("tenant_sent_bytes_total", "desk-a") > 2000)
            assert gateway.metrics().of("tenant_sends_total", "desk-b") == 0
            until(lambda: gateway.metrics().of("admission_refused_total", "tenant") == 1)
        until(lambda: gateway.metrics().of("tenant_clients", "desk-a") == 1)
        with Client(gateway.url):
            pass


def test_no_rows_without_tenants(tmp_path: Path) -> None:
    with serving(tmp_path / "log") as gateway, Client(gateway.url):
        assert not [key for key in gateway.metrics() if key[0].startswith("tickgate_tenant_")]


def test_a_client_is_its_token_s_tenant_s_from_when_it_says_so(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    rights = {**tg(rule("trade", "*")), "tenant": "desk-b"}
    sets = [
        "auth.mode=required",
        "auth.in_band=true",
        f"auth.jwt_keys={issuer.path('jwt_keys')}",
        "tenants.1.connections_max=2",
        "tenants.1.subscriptions_max=1",
    ]
    token = ("Authorization", f"Bearer {issuer.token('one', tg=rights)}")
    with (
        Venue() as venue,
        serving(tmp_path / "log", *TENANTS, *venue.sets, *sets) as gateway,
        Wire(gateway.url) as one,
        Wire(gateway.url) as two,
        Wire(gateway.url) as three,
    ):
        one.open(more=[token])
        until(lambda: gateway.metrics().of("tenant_clients", "desk-b") == 1)
        two.open()
        until(lambda: gateway.metrics().of("tenant_clients", "desk-a") == 1)
        late = issuer.token("two", tg=rights)
        two.ask({"method": "auth", "req_id": 9, "params": {"token": late}})
        until(lambda: gateway.metrics().of("tenant_clients", "desk-b") == 2)
        until(lambda: gateway.metrics().of("tenant_clients", "desk-a") == 0)
        three.send(request(more=[token]))
        assert three.response().status == 503
        wanted = {"channel": "trade", "symbol": ["A.SIM", "B.SIM"]}
        reply = two.ask({"method": "subscribe", "req_id": 1, "params": wanted})
        assert "your tenant has all it may have" in str(reply)
