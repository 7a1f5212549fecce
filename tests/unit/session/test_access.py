"""Who a client is, until when, and what it may have: the session's part."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.identity.entry import Entry, convert
from gateway.identity.grants import Granted
from gateway.identity.rights import Rights, covers, rights
from gateway.model.notice import NOTICES
from gateway.model.record import CHANNELS
from gateway.session import codes
from gateway.session.access import EXPIRING_NS, Access, Admitted, Rejected
from gateway.session.actions import Close, Regrant, Reply, Subscribe, Tell, Unsubscribe, Wake
from gateway.session.codes import Error
from gateway.session.delivery import Delivery, Limits, clamp

if TYPE_CHECKING:
    from unit.session.conftest import Client, Connect

SECOND = 1_000_000_000
BTC, ETH = "BTCUSDT.BINANCE", "ETHUSDT.BINANCE"


def make(*rules: dict[str, Any], subscriptions: int | None = None) -> Rights:
    entry: Entry = convert({"grants": list(rules)}, Entry)
    return rights(Granted((entry.grants or (),), None, subscriptions, None), "json")


def rule(channels: str, instruments: str, **limits: Any) -> dict[str, Any]:
    return {"channels": channels.split(), "instruments": instruments.split(), **limits}


class Door:
    """Takes a token that it knows."""

    def __init__(self, **tokens: Admitted | Rejected) -> None:
        self.tokens = tokens
        self.ended = 0

    def authenticate(self, token: str, *, mono_ns: int, real_ns: int) -> Admitted | Rejected:
        return self.tokens.get(token, Rejected(Error(codes.UNAUTHORIZED, "not accepted")))

    def end(self) -> None:
        self.ended += 1


ALL = make(rule("*", "*"))
NOTHING = make()


def granted(connect: "Connect", mine: Rights, **limits: Any) -> "Client":
    return connect(access=Access(Door(), mine), **limits)


# --- saying who it is -----------------------------------------------------------------------------


def test_a_client_that_waits_is_answered_auth_and_ping_alone(connect: "Connect") -> None:
    client = connect(access=Access(Door(good=Admitted(ALL)), NOTHING, deadline_ns=50 * SECOND))
    assert client.session.begin() == [Wake(50 * SECOND)]
    for method, params in (
        ("subscribe", {"channel": "trade", "symbol": ["*"]}),
        ("unsubscribe", {"channel": "trade", "symbol": ["*"]}),
        ("list", None),
        ("stats", None),
    ):
        assert client.ask(method, params)["error"]["code"] == "unauthorized"
    assert client.ask("ping")["success"]
    reply, *_ = client.send({"method": "auth", "params": {"token": "good"}})
    assert isinstance(reply, Regrant)
    assert reply.grant == ALL.number
    assert client.message(reply) == {"method": "auth", "success": True}
    assert client.subscribe(BTC)["success"]
    assert client.session.wake(50 * SECOND) == []


def test_a_client_that_waits_too_long_or_says_too_much(connect: "Connect") -> None:
    access = Access(Door(), NOTHING, deadline_ns=50 * SECOND)
    client = connect(access=access)
    assert client.session.wake(50 * SECOND - 1) == [Wake(50 * SECOND)]
    (close,) = client.session.wake(50 * SECOND)
    assert isinstance(close, Close)
    assert close.code == 4505
    assert client.send({"method": "ping"}) == []  # it is over
    for size, text in ((6144, "x"), (3072, "é")):
        client = connect(access=Access(Door(), NOTHING, deadline_ns=50 * SECOND))
        fits = json.dumps({"method": "ping"}, ensure_ascii=False)
        fits += " " * (6144 - len(fits))
        assert client.send(fits) != [Close(1009, "message too big: 6144 bytes before auth")]
        (close,) = client.send(text * (size + 1))
        assert isinstance(close, Close)
        assert close.code == 1009


def test_a_credential_that_is_none_ends_it(connect: "Connect") -> None:
    client = connect(access=Access(Door(), NOTHING, deadline_ns=50 * SECOND))
    refused, close = client.send({"method": "auth", "req_id": 1, "params": {"token": "bad"}})
    assert client.message(refused)["error"]["code"] == "unauthorized"
    assert isinstance(close, Close)
    assert close.code == 4500
    soft = Rejected(Error(codes.UNAUTHORIZED, "not here"), 0)
    client = connect(access=Access(Door(soft=soft), ALL))
    (refused,) = client.send({"method": "auth", "params": {"token": "soft"}})
    assert not client.message(refused)["success"]
    assert client.ask("ping")["success"]


def test_without_identities_nobody_has_to_say_anything(client: "Client") -> None:
    assert client.ask("auth", {"token": "x"})["error"]["code"] == "bad_request"
    assert client.session.begin() == []
    assert client.session.wake(1) == []
    assert client.session.regranted(NOTHING) == []


@pytest.mark.parametrize(("ttl_s", "told_s"), [(600, 540), (120, 60), (60, 30), (2, 1)])
def test_an_end_is_told_before_it_comes(connect: "Connect", ttl_s: int, told_s: int) -> None:
    access = Access(Door(), ALL)
    mono_ns, real_ns = 7 * SECOND, 1_700_000_000 * SECOND
    expires_ns = real_ns + ttl_s * SECOND
    access.admit(Admitted(ALL, expires_ns), mono_ns=mono_ns, real_ns=real_ns)
    session = connect(access=access).session
    told_ns, ends_ns = mono_ns + told_s * SECOND, mono_ns + ttl_s * SECOND
    assert session.begin() == [Wake(told_ns)]
    assert session.wake(told_ns - 1) == [Wake(told_ns)]
    tell = Tell(NOTICES["auth_expiring"].number, (expires_ns,))
    assert session.wake(told_ns) == [tell, Wake(ends_ns)]
    assert session.wake(ends_ns - 1) == [Wake(ends_ns)]
    (close,) = session.wake(ends_ns)
    assert isinstance(close, Close)
    assert close.code == 4001
    assert EXPIRING_NS == 60 * SECOND


def test_a_refresh_prolongs(connect: "Connect") -> None:
    later = Admitted(ALL, 1_600_000_000_000_000_000 + 900 * SECOND)
    access = Access(Door(later=later), ALL)
    client = connect(access=access)
    access.admit(
        Admitted(ALL, client.real_ns + 10 * SECOND), mono_ns=SECOND, real_ns=client.real_ns
    )
    reply, wake = client.send({"method": "auth", "req_id": 2, "params": {"token": "later"}})
    assert isinstance(reply, Reply)  # the same rights: the plane has nothing to do
    assert client.message(reply)["expires_at"] == later.expires_ns
    assert isinstance(wake, Wake)
    assert wake.at_ns == client.mono_ns + 840 * SECOND
    client.session.end()
    assert access._door.ended == 1  # type: ignore[attr-defined]


# --- what it may have -----------------------------------------------------------------------------


def test_a_right_is_asked_before_existence(connect: "Connect") -> None:
    client = granted(connect, make(rule("trade", "BTC*")))
    before = client.catalog.finds
    reply = client.subscribe(ETH, "NOPE.BINANCE", "NOPE.NOWHERE", "BRK.B.XNAS", "no dot")
    assert {json.dumps(one["error"]) for one in reply["results"]} == {
        json.dumps({"code": "forbidden", "message": "not granted", "retryable": False})
    }
    assert client.catalog.finds == before
    assert client.shared.rejections[-1] == 5
    assert client.subscribe("NOPE.BINANCE", channel="bbo")["failed"] == 1
    (own,) = client.subscribe("*", channel="slo")["results"]
    assert own["error"]["code"] == "forbidden"
    (wide,) = granted(connect, make(rule("slo", "*"))).subscribe("*", channel="slo")["results"]
    assert wide["success"]
    (narrow,) = granted(connect, make(rule("*", "*.SIM"))).subscribe("*", channel="slo")["results"]
    assert not narrow["success"]


def test_patterns_and_lists_count_what_is_granted(connect: "Connect") -> None:
    client = granted(connect, make(rule("trade", "ETH*"), rule("bbo", BTC)), topics_max=2)
    assert client.subscribe("*")["success"]  # two of four topics: the limit is not met
    listed = client.ask("list")["instruments"]
    assert [one["symbol"] for one in listed] == [BTC, "ETHBTC.BINANCE", ETH]
    assert listed[0]["channels"] == ["bbo"]
    refused = client.subscribe("ETH*")["results"][0]["error"]
    assert refused["message"] == "topics: 2 in use and 2 more, of 2"
    fewer = granted(connect, make(rule("trade", "*"), subscriptions=3))
    assert "of 3" in fewer.subscribe("*")["results"][0]["error"]["message"]
    scans = granted(connect, ALL, pattern_scan_max=1)
    assert "is" not in scans.subscribe("*")["error"]["message"].split()[3:4]
    assert "6" not in scans.subscribe("*")["error"]["message"]


@pytest.mark.parametrize(
    ("limits", "asked", "given"),
    [
        ({"max_hz": 10}, {}, {"max_hz": 10, "mode": "conflate"}),
        ({"max_hz": 10}, {"max_hz": 50}, {"max_hz": 10}),
        ({"max_hz": 10}, {"max_hz": 5}, {"max_hz": 5}),
        ({"max_hz": 10}, {"mode": "lossless"}, {"max_hz": 10, "mode": "conflate"}),
        ({"class": 2}, {}, {"class": 2, "mode": "conflate"}),
        ({"class": 1}, {"class": 3}, {"class": 3}),
        ({"class": 1}, {}, {"class": 1, "mode": "lossless"}),
    ],
)
def test_what_is_asked_is_clamped_and_said(
    connect: "Connect", limits: dict[str, Any], asked: dict[str, Any], given: dict[str, Any]
) -> None:
    client = granted(connect, make(rule("trade", "*", **limits)))
    for name in (BTC, "*"):
        (result,) = client.subscribe(name, **asked)["results"]
        assert given.items() <= result.items()
        params = {"channel": "trade", "symbol": [name], "max_hz": 900}
        (result,) = client.ask("update", params)["results"]
        assert result["max_hz"] <= limits.get("max_hz", 900)


@pytest.mark.parametrize(
    ("limit", "asked", "given"),
    [(10, 0, 10), (10, 25, 10), (10, 5, 5), (7, 10, 5), (3, 1000, 1), (0, 0, 0), (2000, 0, 1000)],
)
def test_depth_is_clamped_to_one_that_there_is(limit: int, asked: int, given: int) -> None:
    wanted = Delivery(False, True, 1, depth=asked)
    limits = Limits(depth=limit or None, priority=1)
    assert clamp(CHANNELS["book"], wanted, limits).depth == given


def test_a_pattern_over_several_rules_has_the_strictest_limits() -> None:
    mine = make(
        rule("trade", "*.BINANCE", max_hz=10),
        rule("trade", "BTC*.KRAKEN", max_hz=5, **{"class": 2}),
        rule("trade", "*", max_hz=1),
    )
    trade = CHANNELS["trade"]
    for pattern, hz in (("*.BINANCE", 10), ("BTC*.BINANCE", 10), ("*.XNAS", 1), ("*", 1)):
        found = mine.of_pattern(trade, pattern)
        assert found is not None
        assert found.max_hz == hz, pattern
    assert mine.of_pattern(trade, "*.KRAKEN") == Limits(1, None, 2)
    assert mine.of_pattern(CHANNELS["bbo"], "*") is None
    assert mine.of_name(trade, "BTCUSD.KRAKEN") == Limits(5, None, 2)
    assert mine.of_name(trade, BTC) == Limits(10, None, 0)
    assert mine.of_name(CHANNELS["bbo"], BTC) is None


@pytest.mark.parametrize(
    ("wider", "pattern", "covered"),
    [("*", "A*", True), ("A*", "A*", True), ("A*", "*", False), ("*.X", "A*.X", True),
     ("A*B", "A*C*B", True), ("A", "A*", False), ("~**", "~*A*", False)],
)  # fmt: skip
def test_which_patterns_cover_others(wider: str, pattern: str, covered: bool) -> None:
    assert covers(wider, pattern) == covered


def test_other_rights_end_some_clamp_some_and_tell(connect: "Connect") -> None:
    client = granted(connect, ALL)
    client.subscribe(BTC, ETH)
    client.subscribe("*", channel="bbo")
    narrow = make(rule("trade", BTC, max_hz=10))
    narrow.number = 7
    regrant, ended, clamped, told = client.session.regranted(narrow)
    assert regrant == Regrant(b"", (), 7)
    assert ended == Unsubscribe(b"", (), (1,))
    assert isinstance(clamped, Subscribe)
    ((_, _, name, lossless, _, resync, *_),) = clamped.items
    assert (name, lossless, resync) == (BTC, False, False)
    assert client.message(told)["data"] == [{"channel": "trade", "symbol": ETH}]
    assert client.session.subscriptions == 2  # the pattern stays, and covers nothing
    assert client.session.regranted(narrow) == []
    (regrant,) = client.session.regranted(ALL)
    assert isinstance(regrant, Regrant)
