"""The session's transitions: what each request does to the subscriptions, and what it answers."""

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.session import REJECTIONS, REQUESTS, Close, Query, Reply, Subscribe, Unsubscribe
from gateway.session.actions import FROM_LAST, FROM_SEQ, FROM_TS, SLOT_RECOVERY

if TYPE_CHECKING:
    from unit.session.conftest import Client, Connect

DEFAULTS = {"trade": (True, "lossless", 0), "bbo": (False, "conflate", 1)}


@pytest.mark.parametrize("channel", DEFAULTS)
def test_a_name_is_attached_with_the_channels_defaults(client: "Client", channel: str) -> None:
    reply = client.subscribe("BTCUSDT.BINANCE", channel=channel)
    lossless, mode, priority = DEFAULTS[channel]
    item = (0, channel, "BTCUSDT.BINANCE", lossless, True, True, priority, 0, 0)
    assert client.last.items == (item,)
    assert reply["failed"] == 0
    assert reply["time_in"] == client.real_ns
    (result,) = reply["results"]
    assert (result["mode"], result["class"], result["snapshot"]) == (mode, priority, True)


@pytest.mark.parametrize("channel", DEFAULTS)
@pytest.mark.parametrize("mode", ["conflate", "lossless"])
@pytest.mark.parametrize("snapshot", [True, False])
def test_parameters_of_the_request_are_in_force(
    client: "Client", channel: str, mode: str, snapshot: bool
) -> None:
    reply = client.subscribe("ETH*", channel=channel, mode=mode, snapshot=snapshot)
    priority = DEFAULTS[channel][2]
    assert client.last.items == (
        (0, channel, "ETH*", mode == "lossless", snapshot, True, priority, 0, 0),
    )
    (result,) = reply["results"]
    assert (result["mode"], result["snapshot"]) == (mode, snapshot)
    assert "seq" not in result


@pytest.mark.parametrize(
    ("channel", "name", "message"),
    [
        ("trade", "BTCUSDT.BINANCE", None),
        ("trade", "LATER.BINANCE", None),
        ("trade", "X.SIM", None),
        ("trade", "BRK.B.XNAS", None),
        ("trade", "AAPL.XNAS", "the list of XNAS is closed"),
        ("trade", "LATER.XNAS", None),
        ("bbo", "LATER.XNAS", "the list of XNAS is closed"),
        ("trade", "BTCUSDT.NOPE", "no venue NOPE"),
        ("trade", "BTCUSDT", "SYMBOL.VENUE"),
        ("trade", "", "SYMBOL.VENUE"),
        ("trade", "A B.SIM", None),
        ("trade", "币安人生USDT.SIM", None),
        ("trade", "BAC-I~*.SIM", None),
        ("trade", "é*", None),
        ("trade", " A.SIM", "may not begin or end with a space"),
        ("trade", "A\u200b*", "may not contain"),
        ("bbo", "NOTHING*", None),
        ("bbo", "*", None),
    ],
)
def test_names_that_are_taken_and_names_that_are_not(
    client: "Client", channel: str, name: str, message: str | None
) -> None:
    reply = client.subscribe(name, channel=channel)
    (result,) = reply["results"]
    assert result["symbol"] == name
    assert reply["success"] is result["success"] is (message is None)
    if message is not None:
        assert result["error"]["code"] == "unknown_symbol"
        assert message in result["error"]["message"]
        assert isinstance(client.last, Reply)
        assert client.session.subscriptions == 0


@pytest.mark.parametrize("method", ["subscribe", "update", "unsubscribe"])
def test_a_tilde_that_escapes_nothing_is_a_bad_request(client: "Client", method: str) -> None:
    reply = client.ask(method, {"channel": "trade", "symbol": ["A~B.SIM", "~"]})
    assert not reply["success"]
    for result, named in zip(reply["results"], ("'~B'", "'~'"), strict=True):
        assert result["error"]["code"] == "bad_request"
        assert result["error"]["message"].startswith(f"{named}: a star")


def test_escaped_names_are_plain_names_to_the_plane_and_the_account(client: "Client") -> None:
    """A name that is waited for is one, whatever it looks like; a pattern beside it is another."""
    client.subscribe("A~*.SIM", "A*.SIM")
    assert client.session._subscriptions.waiting._names == {("trade", "A*.SIM"): None}
    client.ask("unsubscribe", {"channel": "trade", "symbol": ["A*.SIM"]})
    assert client.session._subscriptions.waiting._names == {("trade", "A*.SIM"): None}
    client.ask("unsubscribe", {"channel": "trade", "symbol": ["A~*.SIM"]})
    assert client.session._subscriptions.waiting._names == {}


def test_one_bad_symbol_never_fails_the_others(client: "Client") -> None:
    reply = client.subscribe("NOPE.X", "BTCUSDT.BINANCE", "bad", "ETH*")
    assert reply["success"]
    assert reply["failed"] == 2
    assert [result["success"] for result in reply["results"]] == [False, True, False, True]
    assert [item[2] for item in client.last.items] == ["BTCUSDT.BINANCE", "ETH*"]
    # Slots name their item, not their result.
    assert [arg for _, kind, arg in client.last.slots if kind in (1, 2)] == [0, 1]


def test_a_string_that_comes_twice_has_one_result(client: "Client") -> None:
    reply = client.subscribe("ETH*", "BTCUSDT.BINANCE", "ETH*")
    assert [result["symbol"] for result in reply["results"]] == ["ETH*", "BTCUSDT.BINANCE"]
    assert client.session.subscriptions == 2


def test_subscribing_again_replaces_the_parameters_and_resyncs(client: "Client") -> None:
    client.subscribe("ETH*", mode="conflate", snapshot=False)
    client.subscribe("ETH*")
    assert client.last.items == ((0, "trade", "ETH*", True, True, True, 0, 0, 0),)
    assert client.session.subscriptions == 1
    assert client.session.statistics().topics == 2


def test_ids_name_channel_and_string_while_they_live(client: "Client") -> None:
    client.subscribe("ETH*", "BTC*")
    client.subscribe("ETH*", channel="bbo")
    assert client.last.items[0][0] == 2
    client.ask("unsubscribe", {"channel": "trade", "symbol": ["ETH*"]})
    assert client.last.ids == (0,)
    client.subscribe("BTC*", "ETH*")
    assert [item[0] for item in client.last.items] == [1, 3]


@pytest.mark.parametrize(
    ("since", "item"),
    [
        ({"epoch": "k3f9aaaa", "seq": 8812}, (FROM_SEQ, 8812, "k3f9aaaa")),
        ({"last": 5}, (FROM_LAST, 5, "")),
        ({"ts": 12}, (FROM_TS, 12, "")),
    ],
)
def test_what_was_missed_is_asked_of_the_plane(
    client: "Client", since: dict[str, Any], item: tuple[int, int, str]
) -> None:
    params = {"channel": "trade", "symbol": ["BTCUSDT.BINANCE"], "snapshot": False}
    reply = client.ask("subscribe", params | {"from": since})
    (result,) = reply["results"]
    assert result["snapshot"] is False
    assert client.last.items[0][9:] == (item,)
    assert [slot[1] for slot in client.last.slots].count(SLOT_RECOVERY) == 1


def test_a_pattern_takes_a_moment_alone(client: "Client") -> None:
    params = {"channel": "trade", "symbol": ["BTC*", "BTCUSDT.BINANCE"]}
    reply = client.ask("subscribe", params | {"from": {"last": 3}})
    pattern, name = reply["results"]
    assert "`ts` alone" in pattern["error"]["message"]
    assert name["success"]
    reply = client.ask("subscribe", params | {"from": {"ts": 3}})
    assert all(one["success"] for one in reply["results"])
    assert client.last.items[0][9:] == ((FROM_TS, 3, ""),)


def test_update_changes_what_it_names_and_nothing_else(client: "Client") -> None:
    client.subscribe("ETH*", snapshot=False)
    reply = client.ask("update", {"channel": "trade", "symbol": ["ETH*"], "mode": "conflate"})
    assert client.last.items == ((0, "trade", "ETH*", False, False, False, 0, 0, 0),)
    (result,) = reply["results"]
    assert (result["mode"], result["snapshot"], result["matched"]) == ("conflate", False, 3)
    client.ask("update", {"channel": "trade", "symbol": ["ETH*"], "snapshot": True})
    assert client.last.items == ((0, "trade", "ETH*", False, True, False, 0, 0, 0),)


def test_update_of_what_is_not_subscribed(client: "Client") -> None:
    reply = client.ask("update", {"channel": "trade", "symbol": ["ETH*"], "mode": "conflate"})
    assert not reply["success"]
    assert reply["results"][0]["error"]["code"] == "not_subscribed"
    assert isinstance(client.last, Reply)


def test_unsubscribe(client: "Client") -> None:
    client.subscribe("ETH*", "BTCUSDT.BINANCE")
    params = {"channel": "trade", "symbol": ["ETH*", "NOPE.X", "BTCUSDT.BINANCE", "ETH*"]}
    reply = client.ask("unsubscribe", params)
    assert isinstance(client.last, Unsubscribe)
    assert client.last.ids == (0, 1)
    assert (reply["success"], reply["failed"]) == (True, 1)
    assert reply["results"][1]["error"]["code"] == "not_subscribed"
    assert client.session.statistics().topics == 0
    reply = client.ask("unsubscribe", params)
    assert isinstance(client.last, Reply)
    assert (reply["success"], reply["failed"]) == (False, 3)


def test_channels_are_apart(client: "Client") -> None:
    client.subscribe("ETH*")
    reply = client.ask("unsubscribe", {"channel": "bbo", "symbol": ["ETH*"]})
    assert reply["results"][0]["error"]["code"] == "not_subscribed"


@pytest.mark.parametrize("method", ["subscribe", "update", "unsubscribe"])
@pytest.mark.parametrize("channel", ["nope", ""])
def test_channels_that_there_are_not(client: "Client", method: str, channel: str) -> None:
    reply = client.ask(method, {"channel": channel, "symbol": ["*"]})
    assert reply["error"]["code"] == "unknown_channel"


def test_what_the_ops_listener_says_is_to_be_had_there(client: "Client") -> None:
    error = client.ask("subscribe", {"channel": "ops", "symbol": ["*"]})["error"]
    assert error["code"] == "unknown_channel"
    assert error["message"] == "ops: only on the ops listener"


def test_a_book_has_a_depth(client: "Client") -> None:
    def asked(method: str, **params: object) -> object:
        reply = client.ask(method, {"channel": "book", "symbol": ["ETH*"], **params})
        return reply["results"][0]["depth"] if reply["success"] else reply["error"]["message"]

    assert asked("subscribe") == 10
    assert asked("update", depth=0) == 0
    assert asked("update", snapshot=False) == 0
    assert asked("subscribe", depth=1000) == 1000
    assert asked("subscribe") == 10  # asked for again, the parameters are new ones
    of = "1, 5, 10, 25, 100, 500, 1000, 0"
    assert asked("subscribe", depth=2) == f"params.depth: one of {of}, not 2"
    assert asked("subscribe", depth=True) == f"params.depth: one of {of}, not True"
    assert asked("update", mode="lossless") == "params.mode: book is always conflate"


def test_no_other_channel_has_a_depth(client: "Client") -> None:
    reply = client.ask("subscribe", {"channel": "trade", "symbol": ["ETH*"], "depth": 10})
    assert reply["error"]["message"] == "params.depth: trade has none, book has"
    reply = client.ask("subscribe", {"channel": "trade", "symbol": ["ETH*"]})
    assert "depth" not in reply["results"][0]


@pytest.mark.parametrize("method", ["subscribe", "update"])
@pytest.mark.parametrize(
    ("channel", "params", "in_force"),
    [
        ("trade", {"class": 0}, ("lossless", 0)),
        ("trade", {"class": 1}, ("lossless", 1)),
        ("trade", {"class": 2}, ("conflate", 2)),
        ("trade", {"class": 3}, ("conflate", 3)),
        ("trade", {"class": 1, "mode": "lossless"}, ("lossless", 1)),
        ("trade", {"class": 3, "mode": "conflate"}, ("conflate", 3)),
        ("bbo", {"class": 1, "mode": "lossless"}, ("lossless", 1)),
        ("bbo", {"class": 2}, ("conflate", 2)),
    ],
)
def test_a_subscription_can_be_moved_down(
    client: "Client",
    method: str,
    channel: str,
    params: dict[str, Any],
    in_force: tuple[str, int],
) -> None:
    client.subscribe("ETH*", channel=channel)
    reply = client.ask(method, {"channel": channel, "symbol": ["ETH*"], **params})
    (result,) = reply["results"]
    assert (result["mode"], result["class"]) == in_force
    (item,) = client.last.items
    assert (item[3], item[6]) == (in_force[0] == "lossless", in_force[1])


@pytest.mark.parametrize("method", ["subscribe", "update"])
@pytest.mark.parametrize(
    ("channel", "value", "limits"),
    [
        ("bbo", 0, "1 to 3, not 0"),
        ("trade", -1, "0 to 3, not -1"),
        ("trade", 4, "0 to 3, not 4"),
        ("trade", 1 << 70, "0 to 3, not 1"),
        ("trade", 2.0, "0 to 3, not 2.0"),
        ("trade", True, "0 to 3, not True"),
        ("trade", "2", "0 to 3, not '2'"),
        ("trade", {"a": [2]}, "0 to 3, not {'a': [2]}"),
    ],
)
def test_a_class_that_there_is_not(
    client: "Client", method: str, channel: str, value: object, limits: str
) -> None:
    client.subscribe("ETH*", channel=channel)
    reply = client.ask(method, {"channel": channel, "symbol": ["ETH*"], "class": value})
    assert reply["error"]["code"] == "bad_request"
    assert reply["error"]["message"].startswith(f"params.class: {channel} takes {limits}")


@pytest.mark.parametrize("method", ["subscribe", "update"])
@pytest.mark.parametrize("priority", [2, 3])
def test_what_may_be_thinned_out_is_never_lossless(
    client: "Client", method: str, priority: int
) -> None:
    client.subscribe("ETH*")
    params = {"channel": "trade", "symbol": ["ETH*"], "class": priority, "mode": "lossless"}
    reply = client.ask(method, params)
    assert reply["error"]["code"] == "bad_request"
    assert "params.mode: lossless" in reply["error"]["message"]
    assert f"params.class {priority}" in reply["error"]["message"]


def test_an_update_to_lossless_fails_where_the_class_is_low_and_there_alone(
    client: "Client",
) -> None:
    client.ask("subscribe", {"channel": "trade", "symbol": ["ETH*"], "class": 2})
    client.subscribe("BTC*", mode="conflate")
    params = {"channel": "trade", "symbol": ["ETH*", "BTC*"], "mode": "lossless"}
    low, high = client.ask("update", params)["results"]
    assert low["error"]["code"] == "bad_request"
    assert "params.mode: lossless cannot be of params.class 2" in low["error"]["message"]
    assert (high["mode"], high["class"]) == ("lossless", 0)
    assert dict(zip(REJECTIONS, client.shared.rejections, strict=True))["bad_request"] == 1
    low, high = client.ask("update", params | {"class": 0})["results"]
    assert (low["mode"], low["class"]) == ("lossless", 0)


def test_subscribing_again_moves_up_again(client: "Client") -> None:
    client.ask("subscribe", {"channel": "trade", "symbol": ["ETH*"], "class": 3})
    (result,) = client.subscribe("ETH*")["results"]
    assert (result["mode"], result["class"]) == ("lossless", 0)


def test_auth_is_not_built(client: "Client") -> None:
    reply = client.ask("auth", {"token": "secret"})
    assert reply["error"]["code"] == "bad_request"
    assert "auth" in reply["error"]["message"]
    assert b"secret" not in client.last.payload


def test_ping(client: "Client") -> None:
    reply = client.ask("ping", {"t0": 1_700_000_000_000_000_001}, req_id="p")
    assert reply == {
        "method": "ping",
        "req_id": "p",
        "success": True,
        "t0": 1_700_000_000_000_000_001,
        "t1": client.real_ns,
        "t2": 1_700_000_000_000_000_123,
    }
    assert "t0" not in client.ask("ping")


def test_a_request_without_id_has_a_reply_without(client: "Client") -> None:
    (action,) = client.send({"method": "ping"})
    assert "req_id" not in client.message(action)


def test_statistics_are_a_snapshot(client: "Client") -> None:
    client.subscribe("ETH*", "BTCUSDT.BINANCE")
    client.ask("nope")
    client.send({"method": "stats"})
    before = client.session.statistics()
    assert (before.connection_id, before.subscriptions, before.patterns) == ("c-17", 2, 1)
    assert (before.topics, before.requests, before.errors, before.queries) == (3, 3, 1, 1)
    client.subscribe("X.SIM")
    assert before.topics == 3


def test_requests_and_refused_symbols_are_counted(client: "Client") -> None:
    client.subscribe("ETH*", "NOPE.X")
    client.subscribe("NOPE.X")
    client.ask("nope")
    client.send("{")
    client.subscribe("*", channel="nope")
    counts = dict(zip(REQUESTS, client.shared.requests, strict=True))
    assert {pair: n for pair, n in counts.items() if n} == {
        ("subscribe", "ok"): 1,
        ("subscribe", "failed"): 1,
        ("subscribe", "unknown_channel"): 1,
        ("unknown", "unknown_method"): 1,
        ("unknown", "bad_request"): 1,
    }
    assert dict(zip(REJECTIONS, client.shared.rejections, strict=True))["unknown_symbol"] == 2


def test_counters_fit_their_arrays() -> None:
    assert len(REQUESTS) <= 64  # gw_stats.h: requests
    assert len(REJECTIONS) <= 16  # gw_stats.h: subscribe_rejected


def test_a_reply_too_large_changes_nothing(connect: "Connect") -> None:
    client = connect(reply_bytes_max=1024)
    reply = client.subscribe(*(f"SYM{i:03}.SIM" for i in range(10)))
    assert reply["error"]["code"] == "bad_request"
    assert "params.symbol" in reply["error"]["message"]
    assert "1024" in reply["error"]["message"]
    assert client.session.subscriptions == 0
    assert client.session.statistics().topics == 0
    client.subscribe(*(f"SYM{i:03}.SIM" for i in range(5)))
    assert [item[0] for item in client.last.items] == [0, 1, 2, 3, 4]
    assert len(client.last.payload) <= 1024


@given(texts=st.lists(st.text() | st.binary().map(lambda b: b.decode("latin1")), max_size=5))
def test_no_text_makes_a_session_raise(connect: "Connect", texts: list[str]) -> None:
    client = connect()
    for text in texts:
        for action in client.send(text):
            assert isinstance(action, Reply | Close | Query | Subscribe | Unsubscribe)
