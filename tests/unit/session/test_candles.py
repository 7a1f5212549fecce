"""Candles in requests: the interval is part of what is subscribed to."""

from typing import TYPE_CHECKING

import pytest

from gateway.session import Subscribe, Unsubscribe

if TYPE_CHECKING:
    from unit.session.conftest import Client, Connect

NAME = "BTCUSDT.BINANCE"


@pytest.fixture
def client(connect: "Connect") -> "Client":
    client = connect(candles=("1s", "1m", "1d"))
    client.catalog.topics |= {"candle_1m": [NAME], "candle_1d": [NAME, "ETHBTC.BINANCE"]}
    return client


def test_each_interval_is_a_subscription_of_its_own(client: "Client") -> None:
    for params, interval, identity in (({}, "1m", 0), ({"interval": "1d"}, "1d", 1)):
        (result,) = client.subscribe(NAME, channel="candle", **params)["results"]
        assert (result["channel"], result["interval"]) == ("candle", interval)
        assert (result["mode"], result["class"], result["snapshot"]) == ("conflate", 1, True)
        action = client.last
        assert isinstance(action, Subscribe)
        assert action.items == ((identity, f"candle_{interval}", NAME, False, True, True, 1, 0, 0),)
    (result,) = client.subscribe("*.BINANCE", channel="candle", interval="1d")["results"]
    assert (result["interval"], result["matched"]) == ("1d", 3)
    changed = {"channel": "candle", "symbol": [NAME], "interval": "1d", "class": 2}
    (result,) = client.ask("update", changed)["results"]
    assert (result["interval"], result["class"]) == ("1d", 2)
    reply = client.ask("unsubscribe", {"channel": "candle", "symbol": [NAME], "interval": "1s"})
    assert reply["results"][0]["error"]["code"] == "not_subscribed"
    (result,) = client.ask("unsubscribe", {"channel": "candle", "symbol": [NAME]})["results"]
    assert (result["channel"], result["interval"]) == ("candle", "1m")
    action = client.last
    assert isinstance(action, Unsubscribe)
    assert action.ids == (0,)
    assert client.session.subscriptions == 2


def test_those_that_come_later_are_waited_for(client: "Client") -> None:
    (result,) = client.subscribe("NEW.SIM", channel="candle", interval="1s")["results"]
    assert result["success"]
    assert ("candle_1s", "NEW.SIM") in client.shared.waiting


def test_list_has_the_intervals(client: "Client") -> None:
    rows = client.ask("list", {"channel": "candle"})["instruments"]
    assert rows == [
        {
            "symbol": NAME,
            "channels": ["trade", "bbo", "candle"],
            "intervals": ["1m", "1d"],
        },
        {"symbol": "ETHBTC.BINANCE", "channels": ["trade", "candle"], "intervals": ["1d"]},
    ]
    rows = client.ask("list", {"channel": "candle", "interval": "1m"})["instruments"]
    assert [row["symbol"] for row in rows] == [NAME]


def test_stats_have_the_interval(client: "Client") -> None:
    client.subscribe(NAME, channel="candle", interval="1d")
    client.subscribe(NAME)
    client.send({"method": "stats", "req_id": 1})
    reply = client.message(client.session.stats(0, [(0, 5, 4, 1, 0, 0, 0), (1, 1, 1, 0, 0, 0, 0)]))
    assert [
        (row["channel"], row.get("interval"), row["class"]) for row in reply["subscriptions"]
    ] == [("candle", "1d", 1), ("trade", None, 0)]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"channel": "candle", "interval": "5m"}, "candles here are of 1s, 1m, 1d, not '5m'"),
        (
            {"channel": "candle", "interval": "2m"},
            "candles are of 1s, 1m, 5m, 15m, 1h, 1d, not '2m'",
        ),
        ({"channel": "trade", "interval": "1m"}, "trade has none, candle has"),
        ({"channel": "health", "interval": "1m"}, "health has none, candle has"),
        ({"channel": "slo", "interval": "1m"}, "slo has none, candle has"),
    ],
)
@pytest.mark.parametrize("method", ["subscribe", "update", "unsubscribe", "list"])
def test_refusals(client: "Client", method: str, params: dict[str, str], message: str) -> None:
    reply = client.ask(method, params | {"symbol": ["*"]})
    assert reply["error"]["code"] == "bad_request"
    assert reply["error"]["message"] == f"params.interval: {message}"


def test_an_interval_of_no_channel(client: "Client") -> None:
    reply = client.ask("list", {"interval": "1m"})
    assert reply["error"]["message"] == "params.interval: list has none, candle has"


def test_without_any(connect: "Connect") -> None:
    reply = connect().subscribe(NAME, channel="candle")
    assert reply["error"]["code"] == "unknown_channel"
    assert reply["error"]["message"] == "candle: none here, candles.intervals is empty"
