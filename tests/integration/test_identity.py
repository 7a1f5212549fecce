"""Who may come in, how they say who they are, when that ends: a gateway with keys of its own."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.https import https
from support.identity import Issuer, rule, tg
from support.serving import Serving, serving, until
from support.stage import Stage
from support.udp import Venue
from support.wire import Response, Wire, request, text

Header = tuple[str, str]


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path, "EdDSA", "ES256", "RS256", "HS256")


def bearer(token: str) -> Header:
    return ("Authorization", f"Bearer {token}")


def answer(gateway: Serving, *more: Header, target: str = "/v1") -> Response:
    with Wire(gateway.url) as wire:
        wire.send(request(target, more=more))
        return wire.response()


@contextmanager
def opened(gateway: Serving, *more: Header) -> Iterator[Wire]:
    with Wire(gateway.url) as wire:
        wire.open(more=more)
        yield wire


def subscribe(wire: Wire, *symbols: str, channel: str = "trade", **params: Any) -> dict[str, Any]:
    what = {"channel": channel, "symbol": list(symbols), **params}
    return wire.ask({"method": "subscribe", "req_id": 1, "params": what})


def auth(wire: Wire, token: str) -> dict[str, Any]:
    return wire.ask({"method": "auth", "req_id": 9, "params": {"token": token}})


def system(wire: Wire, kind: str, timeout_s: float = 15.0) -> dict[str, Any]:
    while (message := wire.message(timeout_s)).get("type") != kind:
        pass
    found: dict[str, Any] = message["data"][0]
    return found


# --- before the upgrade ---------------------------------------------------------------------------


@pytest.mark.threat("S1")
def test_each_way_in_and_each_that_is_none(stage: Stage, issuer: Issuer) -> None:
    key = issuer.api_key("robot")
    issuer.write("grants", '["*"]\ngrants = [{channels=["*"], instruments=["*"]}]\n')
    gateway = stage.serve(*issuer.sets("api_keys", "grants"))
    token = issuer.token()
    for one in (token, *(issuer.token(key=number) for number in range(1, 4))):
        assert answer(gateway, bearer(one)).status == 101
    assert answer(gateway, ("X-Api-Key", key)).status == 101
    offered = answer(gateway, ("Sec-WebSocket-Protocol", f"tickgate.v1.sbe, bearer.{token}"))
    assert offered.status == 101
    assert offered.headers["sec-websocket-protocol"] == "tickgate.v1.sbe"  # the first alone

    missing = answer(gateway)
    assert (missing.status, missing.headers["www-authenticate"]) == (
        401,
        'Bearer realm="tickgate"',
    )
    assert missing.body == b"credentials: missing\n"
    others = Issuer(issuer.directory / "others")
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    unknown = "tg_nobody_" + key[-32:]
    texts = set()
    for header in (
        bearer(others.token()),
        ("X-Api-Key", wrong),
        ("X-Api-Key", unknown),
        ("X-Api-Key", "x"),
        ("Authorization", "Basic YTpi"),
        ("Authorization", "Bearer"),
    ):
        refused = answer(gateway, header)
        assert refused.status == 401
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
        texts.add(refused.body)
    assert texts == {b"credentials: not accepted\n"}  # the same, whatever was wrong
    both = answer(gateway, bearer(token), ("X-Api-Key", key))
    assert both.status == 401
    expired = answer(gateway, bearer(issuer.token(ttl_s=-1)))
    assert expired.status == 401
    assert b"expired" in expired.body
    until(lambda: gateway.metrics().of("handshakes_total", "unauthorized") == 9)
    metrics = gateway.metrics()
    assert metrics.of("auth_total", "jwt", "ok") == 4
    assert metrics.of("auth_total", "jwt", "cached") == 1  # the same as one before
    assert metrics.of("auth_total", "jwt", "expired") == 1
    assert metrics.of("auth_total", "api_key", "ok") == 1
    assert metrics.of("auth_total", "api_key", "invalid") == 3
    assert metrics.of("auth_total", "anonymous", "missing") == 1
    assert token not in gateway.lines()
    assert key not in gateway.lines()
    assert wrong not in gateway.lines()


def test_f08_neither_cookies_nor_queries_authenticate(stage: Stage, issuer: Issuer) -> None:
    gateway = stage.serve(*issuer.sets())
    token = issuer.token()
    for header in (("Cookie", f"token={token}"), ("Cookie", f"Authorization=Bearer {token}")):
        assert answer(gateway, header).status == 401
    for query in (f"token={token}", f"access_token={token}", f"bearer={token}"):
        assert answer(gateway, target=f"/v1?{query}").status == 401
    page = answer(gateway, target="/v1/schema.xml")  # no WebSocket: open to all
    assert page.status == 200
    assert answer(gateway, ("Origin", "https://evil.test"), bearer(token)).status == 403


def test_an_address_that_fails_often_is_not_looked_at(stage: Stage, issuer: Issuer) -> None:
    gateway = stage.serve(*issuer.sets(failures_per_minute="5"))
    good = issuer.token()
    assert answer(gateway, bearer(good)).status == 101
    for _ in range(5):
        assert answer(gateway, bearer("a.b.c")).status == 401
    limited = answer(gateway, bearer("a.b.c"))
    assert limited.status == 429
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    assert answer(gateway, bearer(issuer.token("bob"))).status == 429
    assert answer(gateway, bearer(good)).status == 101  # known: no signature is looked at
    metrics = gateway.metrics()
    assert metrics.of("auth_total", "jwt", "limited") == 2
    assert metrics.of("auth_total", "jwt", "cached") == 1


def test_f13_keys_come_from_elsewhere(tmp_path: Path, issuer: Issuer) -> None:
    def answer_jwks(_: str) -> tuple[int, dict[str, str], bytes]:
        keys = [key for key in json.loads(issuer.jwks())["keys"] if key["kty"] != "oct"]
        return 200, {}, json.dumps({"keys": keys}).encode()

    with https(tmp_path, answer_jwks) as (port, _):
        sets = [
            "auth.mode=required",
            f"auth.jwt_keys=https://localhost:{port}/jwks",
            "auth.jwks_private=true",
        ]
        trust = {"SSL_CERT_FILE": str(tmp_path / "server.pem")}
        with serving(tmp_path / "log", *sets, environ=trust) as gateway:
            until(lambda: answer(gateway, bearer(issuer.token())).status == 101)
            assert answer(gateway, bearer(issuer.token(key=3))).status == 401
    with serving(tmp_path / "log", *sets, environ=trust) as gateway:
        until(lambda: "identity.not_fetched" in gateway.lines())
        closed = answer(gateway, bearer(issuer.token()))
        assert (closed.status, closed.headers["retry-after"]) == (503, "5")


# --- in a message ---------------------------------------------------------------------------------


@pytest.mark.alone
def test_a_client_that_says_who_it_is_in_a_message(stage: Stage, issuer: Issuer) -> None:
    gateway = stage.serve(*issuer.sets(in_band="true", deadline_s="4"))
    with opened(gateway) as wire:
        for message in (
            {"method": "list", "req_id": 1},
            {"method": "subscribe", "req_id": 2, "params": {"channel": "trade", "symbol": ["*"]}},
        ):
            refused = wire.ask(message)
            assert refused["error"]["code"] == "unauthorized"
        assert wire.ask({"method": "ping", "req_id": 3})["success"]
        reply = auth(wire, issuer.token())
        assert reply["success"]
        assert abs(reply["expires_at"] - (time.time() + 3600) * 1e9) < 5e9
        assert subscribe(wire, "*")["success"]
    with opened(gateway) as wire:
        reply = auth(wire, "a.b.c")
        assert reply["error"]["code"] == "unauthorized"
        assert reply["error"]["message"] == "credentials: not accepted"
        assert wire.closed()[0] == 4500
    with opened(gateway) as wire:
        began = time.monotonic()
        assert wire.closed()[0] == 4505
        assert 3.9 <= time.monotonic() - began < 6
    with opened(gateway) as wire:
        wire.send(text({"method": "ping", "req_id": "x" * 7000}))
        assert wire.closed()[0] == 1009
    assert answer(gateway, bearer("a.b.c")).status == 401  # wrong ones always


@pytest.mark.alone
def test_f11_a_refresh_and_an_end(stage: Stage, issuer: Issuer) -> None:
    gateway = stage.serve(*issuer.sets())
    with opened(gateway, bearer(issuer.token(ttl_s=3))) as wire:
        until_ns = system(wire, "auth_expiring")["expires_at"]
        reply = auth(wire, issuer.token(ttl_s=5))
        assert reply["success"]
        assert reply["expires_at"] >= until_ns + 1_000_000_000
        assert system(wire, "auth_expiring")["expires_at"] == reply["expires_at"]
        assert wire.closed()[0] == 4001
        assert abs(time.time() - reply["expires_at"] / 1e9) < 1.0
    with opened(gateway, bearer(issuer.token("alice"))) as wire:
        assert not auth(wire, issuer.token("bob"))["success"]
        assert wire.closed()[0] == 4500
    with opened(gateway, bearer(issuer.token("alice"))) as wire:
        assert not auth(wire, "a.b.c")["success"]
        assert wire.closed()[0] == 4500


def test_who_is_nobody_in_particular(stage: Stage, issuer: Issuer) -> None:
    issuer.write("grants", '[anonymous]\ngrants = [{channels=["bbo"], instruments=["*"]}]\n')
    gateway = stage.serve(*issuer.sets("grants", mode="optional"), "feeds.0.type=synthetic")
    with opened(gateway) as wire:
        assert subscribe(wire, "SYM001.SIM")["results"][0]["error"]["code"] == "forbidden"
        assert subscribe(wire, "SYM001.SIM", channel="bbo")["success"]
        assert auth(wire, issuer.token())["error"]["code"] == "unauthorized"  # in_band is false
        assert subscribe(wire, "SYM002.SIM", channel="bbo")["success"]  # it stays
    assert answer(gateway, bearer("a.b.c")).status == 401


# --- what is withdrawn ----------------------------------------------------------------------------


@pytest.mark.alone
@pytest.mark.parametrize("what", ["jti", "key", "sub"])
def test_f12_a_revocation_counts_within_a_second(what: str, stage: Stage, issuer: Issuer) -> None:
    gateway = stage.serve(*issuer.sets())
    token = issuer.token("alice", jti="one", iat=int(time.time()) - 10)
    other = issuer.token("bob", key=1, jti="two", iat=int(time.time()) - 10)
    with opened(gateway, bearer(token)) as wire, opened(gateway, bearer(other)) as bystander:
        change: dict[str, dict[str, Any]] = {
            "jti": {"jti": "one"},
            "key": {"key": "EdDSA-0"},
            "sub": {"sub": "alice", "before": int(time.time())},
        }
        issuer.revoke(**change[what])
        began = time.monotonic()
        assert wire.closed()[0] == 4501
        assert time.monotonic() - began < 1.5
        assert answer(gateway, bearer(token)).status == 401
        assert bystander.ask({"method": "ping", "req_id": 1})["success"]
        assert answer(gateway, bearer(other)).status == 101
    if what == "sub":  # what is issued later counts
        assert answer(gateway, bearer(issuer.token("alice", iat=int(time.time())))).status == 101


def test_files_are_read_again_and_bad_ones_change_nothing(stage: Stage, issuer: Issuer) -> None:
    key = issuer.api_key("robot")
    gateway = stage.serve(*issuer.sets("api_keys"))
    token = issuer.token()
    with opened(gateway, ("X-Api-Key", key)) as robot, opened(gateway, bearer(token)) as wire:
        issuer.write("jwt_keys", b"{")
        until(lambda: "identity.kept" in gateway.lines())
        assert answer(gateway, bearer(issuer.token("late"))).status == 101
        issuer.write("api_keys", '{"keys":[]}')
        assert robot.closed()[0] == 4501
        assert answer(gateway, ("X-Api-Key", key)).status == 401
        del issuer.keys[0]
        issuer.write("jwt_keys", issuer.jwks())
        assert wire.closed()[0] == 4500
        assert answer(gateway, bearer(token)).status == 401


def test_f12_grants_change_under_those_who_are_there(stage: Stage, issuer: Issuer) -> None:
    def grants(*channels: str) -> None:
        names = ",".join(f'"{name}"' for name in channels)
        issuer.write(
            "grants", f'[sub.alice]\ngrants = [{{channels=[{names}], instruments=["*.SIM"]}}]\n'
        )

    grants("trade", "bbo")
    with Venue() as venue:
        gateway = stage.serve(*issuer.sets("grants"), *venue.sets)
        with opened(gateway, bearer(issuer.token(tg=None))) as wire:
            venue.trades("A", 1)
            venue.quotes("A", 1)
            assert subscribe(wire, "A.SIM")["success"]
            assert subscribe(wire, "*", channel="bbo")["success"]
            grants("trade")
            with venue.ticking("A"):
                until(lambda: subscribe(wire, "B.SIM", channel="bbo")["failed"] == 1)
                for _ in range(50):
                    assert wire.message().get("channel") != "bbo"
                grants("bbo")
                assert system(wire, "forbidden") == {"channel": "trade", "symbol": "A.SIM"}
                while (message := wire.message())["channel"] != "bbo":  # the pattern gains it
                    assert message["channel"] != "trade"
        until(lambda: gateway.metrics().total("forbidden_total") >= 1)


def test_connections_of_one_identity_are_limited(stage: Stage, issuer: Issuer) -> None:
    gateway = stage.serve(*issuer.sets())
    token = issuer.token(tg=tg(rule("trade", "*"), connections=2))
    with opened(gateway, bearer(token)) as first, opened(gateway, bearer(token)):
        with opened(gateway, bearer(token)) as third:
            assert third.closed()[0] == 4030
        first.send(b"\x88\x80\0\0\0\0")
        first.ended()
        until(lambda: gateway.metrics().total("connections") == 1)
        with opened(gateway, bearer(token)) as again:
            assert again.ask({"method": "ping", "req_id": 1})["success"]


def test_connections_of_one_identity_are_limited_over_all_workers(
    stage: Stage, issuer: Issuer
) -> None:
    gateway = stage.serve(*issuer.sets(), "cluster.workers=2")
    token = issuer.token(tg=tg(rule("trade", "*"), connections=12))

    def refused() -> bool:
        with opened(gateway, bearer(token)) as one:
            return one.closed()[0] == 4030

    with ExitStack() as there:
        for _ in range(12):
            there.enter_context(opened(gateway, bearer(token)))
        until(lambda: sum(one["connections"] for one in gateway.status()["workers"]) == 12)
        lost = gateway.status()["workers"][0]["connections"]
        assert 0 < lost < 12  # the kernel spreads them by their ports
        assert all(refused() for _ in range(8))  # whichever worker they come to
        os.kill(gateway.pid("worker-0"), signal.SIGKILL)
        until(lambda: gateway.metrics().total("connections") == 12 - lost)
        for _ in range(lost):
            again = there.enter_context(opened(gateway, bearer(token)))
            assert again.ask({"method": "ping", "req_id": 1})["success"]
        assert all(refused() for _ in range(4))


# --- rights ---------------------------------------------------------------------------------------


def test_what_is_not_granted_is_forbidden_before_it_exists(stage: Stage, issuer: Issuer) -> None:
    with Venue() as venue:
        gateway = stage.serve(*issuer.sets(), *venue.sets)
        mine = tg(rule("trade", "A*.SIM", max_hz=5, **{"class": 2}), rule("bbo", "B.SIM"))
        for name in ("A1", "A2", "B", "C"):
            venue.trades(name, 1)
            venue.quotes(name, 1)
        until(lambda: gateway.metrics().of("topics", "live") == 8)
        with opened(gateway, bearer(issuer.token(tg=mine))) as wire:
            reply = subscribe(wire, "A1.SIM", "B.SIM", "NO.SIM", "NO.WHERE", "bad name", max_hz=50)
            first, *others = reply["results"]
            assert (first["max_hz"], first["mode"], first["class"]) == (5, "conflate", 2)
            assert {one["error"]["code"] for one in others} == {"forbidden"}
            assert {one["error"]["message"] for one in others} == {"not granted"}
            (pattern,) = subscribe(wire, "*")["results"]
            assert (pattern["matched"], pattern["max_hz"]) == (2, 5)
            (none,) = subscribe(wire, "C*")["results"]
            assert none["success"]
            assert none["matched"] == 0
            listed = wire.ask({"method": "list", "req_id": 2})["instruments"]
            assert listed == [
                {"symbol": "A1.SIM", "channels": ["trade"]},
                {"symbol": "A2.SIM", "channels": ["trade"]},
                {"symbol": "B.SIM", "channels": ["bbo"]},
            ]
            for own in ("slo", "health"):
                (refused,) = subscribe(wire, "*", channel=own)["results"]
                assert refused["error"]["code"] == "forbidden"
        until(lambda: gateway.metrics().total("forbidden_total") == 6)
