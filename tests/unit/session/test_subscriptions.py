"""The table of subscriptions and the admission to it."""

from typing import TYPE_CHECKING

from gateway.model.record import CHANNELS
from gateway.session.codes import LIMIT_EXCEEDED, Error
from gateway.session.delivery import Delivery
from gateway.session.subscriptions import Admission, Subscription, Subscriptions

if TYPE_CHECKING:
    from unit.session.conftest import Client

ID_MAX = 2**32 - 1
TRADE = CHANNELS["trade"]


def admit(client: "Client", table: Subscriptions, *names: str) -> list[Subscription]:
    admission = Admission(table, client.catalog, client.shared)
    admitted = []
    for name in names:
        one = admission.decide(TRADE, name, Delivery(True, True, 0))
        assert not isinstance(one, Error)
        admitted.append(one)
    return admitted


def test_ids_begin_anew_after_the_last_and_pass_those_in_use(client: "Client") -> None:
    table = Subscriptions(client.shared.waiting)
    table.put(admit(client, table, "A.SIM", "B.SIM"))
    table.next_id = ID_MAX
    table.put(admit(client, table, "C.SIM", "D.SIM", "E.SIM"))
    ids = {name: one.id for name in "ABCDE" if (one := table.find(TRADE, f"{name}.SIM"))}
    assert ids == {"A": 0, "B": 1, "C": ID_MAX, "D": 2, "E": 3}
    assert table.next_id == 4


def test_deciding_leaves_the_table_as_it_is(client: "Client") -> None:
    table = Subscriptions(client.shared.waiting)
    (one,) = admit(client, table, "ETH*")
    assert (len(table), table.topics, table.patterns, table.next_id) == (0, 0, 0, 0)
    table.put([one])
    assert (len(table), table.topics, table.patterns, table.next_id) == (1, 2, 1, 1)
    assert table.by_id(one.id) is table.find(TRADE, "ETH*") is one
    table.remove([one])
    assert (len(table), table.topics, table.patterns, table.next_id) == (0, 0, 0, 1)
    assert table.by_id(one.id) is None


def test_what_the_data_plane_refused_is_no_subscription(client: "Client") -> None:
    client.subscribe("BTCUSDT.BINANCE", "ETHUSDT.BINANCE")
    refused = client.last.items[0][0]
    client.session.forbidden(refused)
    client.session.forbidden(refused)  # it may have been ended meanwhile
    assert client.session.subscriptions == 1
    reply = client.ask(
        "unsubscribe", {"channel": "trade", "symbol": ["BTCUSDT.BINANCE", "ETHUSDT.BINANCE"]}
    )
    assert [one["success"] for one in reply["results"]] == [False, True]


def test_a_tenant_s_room_limits_new_subscriptions_alone(client: "Client") -> None:
    table = Subscriptions(client.shared.waiting, lambda: 1)
    admission = Admission(table, client.catalog, client.shared)
    how = Delivery(True, True, 0)
    first = admission.decide(TRADE, "BTCUSDT.BINANCE", how)
    assert isinstance(first, Subscription)
    second = admission.decide(TRADE, "*.BINANCE", how)
    assert isinstance(second, Error)
    assert (second.code, second.message) == (
        LIMIT_EXCEEDED,
        "subscriptions: your tenant has all it may have",
    )
    table.put([first])
    table.room = lambda: 0
    again = Admission(table, client.catalog, client.shared).decide(TRADE, "BTCUSDT.BINANCE", how)
    assert isinstance(again, Subscription)
