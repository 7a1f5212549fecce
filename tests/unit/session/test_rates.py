"""`max_hz` and `max_age_ms`: what is taken, what is refused, what is in force and shown."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from unit.session.conftest import fill

from gateway.session.delivery import interval_ms
from gateway.session.replies import TAILS_MAX, _tail

if TYPE_CHECKING:
    from unit.session.conftest import Client, Connect

BBO: dict[str, Any] = {"channel": "bbo", "symbol": ["ETH*"]}
HZ_BAD: list[object] = [0, -1, 0.09, 1000.1, 1e300, True, "20", []]
AGES_BAD: list[object] = [0, -1, 2.5, 3_600_001, False, "9", {}]
TRADE: dict[str, Any] = {"channel": "trade", "symbol": ["ETH*", "BTCUSDT.BINANCE"]}


@pytest.mark.parametrize(
    ("max_hz", "cells_ms"),
    [
        (None, 0),
        (0.1, 10_000),
        (0.3, 3334),
        (1, 1000),
        (3, 334),
        (20, 50),
        (1000 / 7, 7),
        (999.9, 2),
        (1000, 1),
    ],
)
def test_cells_are_whole_milliseconds_and_never_shorter_than_the_rate(
    max_hz: float | None, cells_ms: int
) -> None:
    assert interval_ms(max_hz) == cells_ms


@pytest.mark.parametrize("channel", ["bbo", "trade", "health"])
def test_a_rate_makes_it_conflated_and_changes_nothing_else(client: "Client", channel: str) -> None:
    params = {"channel": channel, "symbol": ["ETH*", "BTCUSDT.BINANCE"]}
    before = client.ask("subscribe", params)["results"]
    after = client.ask("subscribe", params | {"max_hz": 20})["results"]
    assert [item[3:] for item in client.last.items] == [
        (False, True, True, before[0]["class"], 50, 0)
    ] * 2
    for was, now in zip(before, after, strict=True):
        assert now == was | {"mode": "conflate", "max_hz": 20}


def test_both_are_in_results_and_in_stats_and_absent_where_there_are_none(client: "Client") -> None:
    limits = {"max_hz": 0.5, "max_age_ms": 250}
    (result,) = client.ask("subscribe", BBO | limits)["results"]
    assert {name: result[name] for name in limits} == limits
    assert client.last.items[0][7:] == (2000, 250)
    client.subscribe("BTC*")
    client.send({"method": "stats", "req_id": 1})
    rows = [(0, 9, 4, 2, 3, 0, 0), (1, 1, 1, 0, 0, 0, 0)]
    page = client.session.stats(client.last.token, rows)
    with_limits, without = json.loads(fill(page.payload, page.slots))["subscriptions"]
    assert {name: with_limits[name] for name in limits} == limits
    assert with_limits["filtered"] == 3
    assert not limits.keys() & without.keys()


def test_an_update_changes_them_alone_and_a_subscribe_takes_them_away(client: "Client") -> None:
    client.ask("subscribe", TRADE | {"max_hz": 20, "class": 1})
    for result in client.ask("update", TRADE | {"max_hz": 5})["results"]:
        assert (result["mode"], result["class"], result["max_hz"]) == ("conflate", 1, 5)
    assert [item[5:] for item in client.last.items] == [(False, 1, 200, 0)] * 2
    for result in client.ask("update", TRADE | {"max_age_ms": 40})["results"]:
        assert (result["max_hz"], result["max_age_ms"]) == (5, 40)
    for result in client.ask("update", TRADE | {"max_hz": None, "class": 2})["results"]:
        assert (result["max_hz"], result["max_age_ms"]) == (5, 40)
    for result in client.ask("subscribe", TRADE)["results"]:
        assert result["mode"] == "lossless"
        assert not {"max_hz", "max_age_ms"} & result.keys()
    assert [item[3:] for item in client.last.items] == [(True, True, True, 0, 0, 0)] * 2


@pytest.mark.parametrize("method", ["subscribe", "update"])
@pytest.mark.parametrize(
    ("name", "value", "limits"),
    [
        *[("max_hz", one, "0.1 to 1000") for one in HZ_BAD],
        *[("max_age_ms", one, "1 to 3600000") for one in AGES_BAD],
    ],
)
def test_what_is_out_of_range_is_refused_by_name(
    client: "Client", method: str, name: str, value: object, limits: str
) -> None:
    client.ask("subscribe", BBO)
    error = client.ask(method, BBO | {name: value})["error"]
    assert error["code"] == "bad_request"
    assert error["message"].startswith(f"params.{name}: {limits}")
    assert error["message"].endswith(f"not {value!r}")


@pytest.mark.parametrize("method", ["subscribe", "update"])
@pytest.mark.parametrize("name", ["max_hz", "max_age_ms"])
def test_neither_is_of_what_is_lossless(client: "Client", method: str, name: str) -> None:
    client.ask("subscribe", BBO)
    error = client.ask(method, BBO | {name: 20, "mode": "lossless"})["error"]
    assert error["code"] == "bad_request"
    assert error["message"] == f"params.{name}: only of mode conflate, not lossless"


def test_an_update_to_lossless_fails_where_there_is_a_rate_and_there_alone(
    client: "Client",
) -> None:
    client.subscribe("ETH*", max_hz=20)
    client.subscribe("BTCUSDT.BINANCE", mode="conflate")
    low, high = client.ask("update", TRADE | {"mode": "lossless"})["results"]
    assert low["error"]["code"] == "bad_request"
    assert "params.max_hz" in low["error"]["message"]
    assert high["mode"] == "lossless"


def test_a_limit_of_age_makes_nothing_conflated(client: "Client") -> None:
    for result in client.ask("subscribe", TRADE | {"max_age_ms": 250})["results"]:
        assert result["error"]["code"] == "bad_request"
        assert "params.max_age_ms" in result["error"]["message"]
    assert client.session.subscriptions == 0
    for more in ({"mode": "conflate"}, {"max_hz": 20}, {"class": 2}):
        for result in client.ask("subscribe", TRADE | {"max_age_ms": 250} | more)["results"]:
            assert (result["mode"], result["max_age_ms"]) == ("conflate", 250)


@pytest.mark.parametrize("name", ["max_hz", "max_age_ms"])
@pytest.mark.parametrize("channel", ["slo", "health"])
def test_what_the_gateway_says_of_itself_takes_none(
    client: "Client", channel: str, name: str
) -> None:
    error = client.ask("subscribe", {"channel": channel, "symbol": ["*"], name: 1})["error"]
    assert error["code"] == "bad_request"
    assert error["message"].startswith(f"params.{name}: {channel} has one message a second")


def test_rates_that_clients_choose_do_not_pile_up(connect: "Connect") -> None:
    client = connect(requests_burst=10_000)
    for i in range(TAILS_MAX + 10):
        client.ask("subscribe", BBO | {"max_hz": 0.1 + i / 100})
    assert _tail.cache_info().currsize <= TAILS_MAX
