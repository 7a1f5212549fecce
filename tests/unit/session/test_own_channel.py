"""`slo`: what the gateway says of itself. For the data plane a topic of its own."""

from typing import TYPE_CHECKING, Any

import pytest

from gateway.session import Reply, Subscribe, Unsubscribe
from gateway.session.actions import LOCAL

if TYPE_CHECKING:
    from unit.session.conftest import Client, Connect

SLO = {"channel": "slo", "symbol": ["*"]}


def test_it_is_a_topic_of_the_data_plane_s_own(client: "Client") -> None:
    reply = client.ask("subscribe", SLO)
    (action,) = client.actions
    assert isinstance(action, Subscribe)
    assert action.items == ((0, LOCAL, "slo", False, True, True, 0, 0, 0),)
    assert (reply["success"], reply["failed"]) == (True, 0)
    assert reply["results"] == [
        {
            "symbol": "*",
            "success": True,
            "channel": "slo",
            "mode": "conflate",
            "class": 0,
            "snapshot": False,
        }
    ]


@pytest.mark.parametrize("symbol", ["", "BTCUSDT.BINANCE", "BTC*", "**", "*.BINANCE"])
def test_it_has_one_symbol(client: "Client", symbol: str) -> None:
    reply = client.ask("subscribe", {"channel": "slo", "symbol": [symbol]})
    assert reply["results"][0]["error"]["code"] == "unknown_symbol"
    assert reply["success"] is False
    assert all(isinstance(action, Reply) for action in client.actions)
    assert client.session.subscriptions == 0


def test_a_bad_symbol_beside_it_does_not_fail_it(client: "Client") -> None:
    reply = client.ask("subscribe", {"channel": "slo", "symbol": ["X.Y", "*"]})
    assert [one["success"] for one in reply["results"]] == [False, True]
    assert [item[1:3] for item in client.last.items] == [(LOCAL, "slo")]


def test_it_ends_with_the_reply(client: "Client") -> None:
    client.ask("subscribe", SLO)
    reply = client.ask("unsubscribe", SLO)
    assert isinstance(client.last, Unsubscribe)
    assert client.last.ids == (0,)
    assert reply["results"] == [{"symbol": "*", "success": True, "channel": "slo"}]
    assert client.session.subscriptions == 0
    again = client.ask("unsubscribe", SLO)
    assert again["results"][0]["error"]["code"] == "not_subscribed"
    assert isinstance(client.last, Reply)


def test_it_counts_as_one_subscription_and_one_topic(connect: "Connect") -> None:
    client = connect(topics_max=2, patterns_max=0)
    client.ask("subscribe", SLO)
    client.ask("subscribe", SLO)
    statistics = client.session.statistics()
    assert (statistics.subscriptions, statistics.topics, statistics.patterns) == (1, 1, 0)
    reply = client.subscribe("A.SIM", "B.SIM")
    assert [one["success"] for one in reply["results"]] == [True, False]
    assert reply["results"][1]["error"]["code"] == "limit_exceeded"
    full = connect(topics_max=1)
    full.subscribe("A.SIM")
    reply = full.ask("subscribe", SLO)
    assert reply["results"][0]["error"]["code"] == "limit_exceeded"


def test_its_star_is_held_against_no_topic(connect: "Connect") -> None:
    client = connect(pattern_scan_max=0)
    assert client.ask("subscribe", SLO)["success"] is True
    assert client.catalog.matches == 0


def test_other_channels_are_apart_from_it(client: "Client") -> None:
    client.ask("subscribe", SLO)
    client.subscribe("*", channel="bbo")
    assert isinstance(client.last, Subscribe)
    client.ask("unsubscribe", {"channel": "bbo", "symbol": ["*"]})
    assert isinstance(client.last, Unsubscribe)
    assert client.session.subscriptions == 1


@pytest.mark.parametrize("method", ["subscribe", "update"])
def test_it_is_never_lossless(client: "Client", method: str) -> None:
    client.ask("subscribe", SLO)
    reply = client.ask(method, SLO | {"mode": "lossless"})
    assert reply["error"]["message"] == "params.mode: slo is always conflate"


@pytest.mark.parametrize("method", ["subscribe", "update"])
def test_it_has_no_class_but_its_own(client: "Client", method: str) -> None:
    client.ask("subscribe", SLO)
    reply = client.ask(method, SLO | {"class": 1})
    assert reply["error"]["message"] == "params.class: slo takes 0, not 1"


@pytest.mark.parametrize("params", [{}, {"mode": "conflate"}, {"snapshot": True}, {"class": 0}])
def test_an_update_has_nothing_to_change(client: "Client", params: dict[str, Any]) -> None:
    client.ask("subscribe", SLO | {"snapshot": True})
    reply = client.ask("update", SLO | params)
    assert (reply["results"][0]["mode"], reply["results"][0]["snapshot"]) == ("conflate", False)
    assert client.last.items == ((0, LOCAL, "slo", False, True, False, 0, 0, 0),)


HEALTH = {"channel": "health", "symbol": ["*"]}


@pytest.mark.parametrize(
    ("params", "own"),
    [
        ({}, True),
        ({"scope": "gateway"}, True),
        ({"scope": "instruments"}, False),
        ({"symbol": ["*.SIM"]}, False),
        ({"symbol": ["A.SIM"]}, False),
        ({"symbol": ["*", "A.SIM"]}, False),
    ],
)
def test_health_is_the_gateway_s_or_that_of_instruments(
    client: "Client", params: dict[str, Any], own: bool
) -> None:
    reply = client.ask("subscribe", HEALTH | params)
    assert reply["failed"] == 0
    assert all(result["class"] == (0 if own else 1) for result in reply["results"])
    if own:
        assert [item[1:3] for item in client.last.items] == [(LOCAL, "health")]
    else:
        assert isinstance(client.last, Subscribe)
        assert all(item[1] == "health" and not item[3] for item in client.last.items)


def test_both_healths_stand_beside_each_other(client: "Client") -> None:
    client.ask("subscribe", HEALTH)
    client.ask("subscribe", HEALTH | {"scope": "instruments"})
    assert client.session.subscriptions == 2
    client.ask("unsubscribe", HEALTH | {"scope": "instruments"})
    assert isinstance(client.last, Unsubscribe)
    assert client.session.subscriptions == 1
    assert client.ask("unsubscribe", HEALTH)["success"]


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"channel": "trade", "scope": "instruments"}, "params.scope: trade has none"),
        ({"channel": "slo", "scope": "gateway"}, "params.scope: slo has none"),
        ({"scope": "venues"}, "scope"),
        ({"scope": "instruments", "mode": "lossless"}, "health is always conflate"),
    ],
)
def test_a_scope_is_of_health_alone(client: "Client", params: dict[str, Any], why: str) -> None:
    reply = client.ask("subscribe", HEALTH | params)
    assert reply["error"]["code"] == "bad_request"
    assert why in reply["error"]["message"]


def test_what_was_missed_is_not_to_be_had(client: "Client") -> None:
    reply = client.ask("subscribe", SLO | {"from": {"epoch": "k3f9aaaa", "seq": 3}})
    assert reply["results"][0]["recovery"] == "insufficient_state"


def test_it_has_no_instruments(client: "Client") -> None:
    assert client.ask("list", {"channel": "slo"})["instruments"] == []


def test_it_has_no_row_in_stats(client: "Client") -> None:
    client.ask("subscribe", SLO)
    client.subscribe("A.SIM")
    client.send({"method": "stats"})
    rows = [(0, 5, 5, 0, 0, 0, 0), (1, 2, 2, 0, 0, 0, 0)]
    reply = client.message(client.session.stats(client.last.token, rows))
    assert [row["symbol"] for row in reply["subscriptions"]] == ["A.SIM"]
