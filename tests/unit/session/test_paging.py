"""Pages of `list` and `stats`: bounded, in order, complete when followed to the end."""

from typing import TYPE_CHECKING, Any

import pytest

from gateway.session import Reply

if TYPE_CHECKING:
    from unit.session.conftest import Client, Connect


def follow(client: "Client", **params: Any) -> list[list[Any]]:
    pages = []
    for _ in range(1000):
        reply = client.ask("list", params)
        pages.append(reply["instruments"])
        if "next" not in reply:
            return pages
        params["after"] = reply["next"]
    raise AssertionError("pages without end")


@pytest.fixture
def many(connect: "Connect") -> "Client":
    client = connect(page_bytes_max=512)
    client.catalog.topics = {
        "trade": [f"SYM{i:03}.SIM" for i in range(100)],
        "bbo": [f"SYM{i:03}.SIM" for i in range(50, 120)],
    }
    return client


def test_list_without_parameters(client: "Client") -> None:
    reply = client.ask("list")
    assert reply["success"]
    assert reply["instruments"][0] == {"symbol": "BRK.B.XNAS", "channels": ["trade", "bbo"]}
    assert len(reply["instruments"]) == 4
    assert "next" not in reply


def test_an_empty_catalog_is_one_empty_page(client: "Client") -> None:
    client.catalog.topics = {"trade": [], "bbo": []}
    assert follow(client) == [[]]


def test_pages_together_are_the_whole(many: "Client") -> None:
    pages = follow(many)
    assert len(pages) > 5
    assert [row["symbol"] for page in pages for row in page] == [
        f"SYM{i:03}.SIM" for i in range(120)
    ]
    assert all(len(action.payload) < 1024 for action in many.actions if isinstance(action, Reply))


def test_list_by_channel_and_pattern(many: "Client") -> None:
    rows = [row for page in follow(many, channel="bbo") for row in page]
    assert [row["symbol"] for row in rows] == [f"SYM{i:03}.SIM" for i in range(50, 120)]
    rows = [row for page in follow(many, symbol=["*7.SIM", "SYM000.SIM"]) for row in page]
    assert [row["symbol"][3:6] for row in rows] == ["000", *(f"{i:03}" for i in range(7, 120, 10))]


def test_a_filter_that_matches_nothing_is_looked_at_in_steps(connect: "Connect") -> None:
    client = connect(list_scan_max=60)
    client.catalog.topics = {"trade": [f"SYM{i:03}.SIM" for i in range(100)], "bbo": []}
    assert follow(client, symbol=["X*", "Y*"]) == [[], [], [], []]


def test_after_need_not_exist(many: "Client") -> None:
    assert many.ask("list", {"after": "SYM009x"})["instruments"][0]["symbol"] == "SYM010.SIM"
    assert many.ask("list", {"after": "ZZZ"})["instruments"] == []


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"channel": "nope"}, "unknown_channel"),
        ({"symbol": []}, "bad_request"),
        ({"symbol": ["*"] * 1001}, "bad_request"),
    ],
)
def test_list_refusals(client: "Client", params: dict[str, Any], code: str) -> None:
    reply = client.ask("list", params)
    assert not reply["success"]
    assert reply["error"]["code"] == code


def test_stats_come_page_by_page(connect: "Connect") -> None:
    client = connect(page_bytes_max=512)
    names = [f"SYM{i:03}.SIM" for i in range(20)]
    client.subscribe(*names)
    ids = [item[0] for item in client.last.items]
    rows = [(identity, 10, 4, 3, 0, 2, 1) for identity in reversed(ids)]
    seen: list[Any] = []
    params: dict[str, Any] = {}
    for _ in range(20):
        (query,) = client.send({"method": "stats", "req_id": "s", "params": params})
        reply = client.session.stats(query.token, rows)  # type: ignore[union-attr]
        assert len(reply.payload) < 1024
        message = client.message(reply)
        assert message["req_id"] == "s"
        seen += message["subscriptions"]
        if "next" not in message:
            break
        params = {"after": message["next"]}
    assert [row["symbol"] for row in seen] == names
    counts = {"routed": 10, "delivered": 4, "conflated": 3, "filtered": 0, "dropped": 2}
    named = {"channel": "trade", "symbol": names[0], "class": 0}
    assert seen[0] == {**named, **counts, "pending": 1}


def test_stats_leave_out_what_has_ended_meanwhile(client: "Client") -> None:
    client.subscribe("BTCUSDT.BINANCE", "ETH*")
    first, second = (item[0] for item in client.last.items)
    (query,) = client.send({"method": "stats"})
    client.ask("unsubscribe", {"channel": "trade", "symbol": ["BTCUSDT.BINANCE"]})
    client.subscribe("BTCUSDT.BINANCE")
    rows = [(first, 1, 1, 0, 0, 0, 0), (second, 2, 2, 0, 0, 0, 0)]
    message = client.message(client.session.stats(query.token, rows))  # type: ignore[union-attr]
    assert [row["symbol"] for row in message["subscriptions"]] == ["ETH*"]


def test_queries_that_wait_are_bounded(connect: "Connect") -> None:
    client = connect(queries_max=2)
    tokens = [client.send({"method": "stats"})[0].token for _ in range(2)]  # type: ignore[union-attr]
    assert len(set(tokens)) == 2
    reply = client.ask("stats")
    assert reply["error"]["code"] == "rate_limited"
    assert reply["error"]["retryable"]
    assert reply["error"]["retry_after_ms"] > 0
    client.session.stats(tokens[0], [])
    client.send({"method": "stats"})
    with pytest.raises(KeyError):
        client.session.stats(tokens[0], [])
