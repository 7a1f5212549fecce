"""After a reconnect lossless strings ask for what was missed; what comes twice is dropped."""

import json
from typing import Any

from support.said import ack, good, hello, missing, receive, tick

from gateway.client.again import RECOVER_BEFORE_NS
from gateway.client.events import Gap, ReplayCompleted, Reply
from gateway.client.requests import RECOVERED_MAX
from gateway.client.session import ClientSession
from gateway.client.ticks import Trade

NOW = 1_790_000_000_000_000_000


def at(seq: int, symbol: str = "A.SIM", **more: Any) -> dict[str, Any]:
    return tick(seq, symbol=symbol, ts_recv=NOW + seq, **more)


def lossless(*symbols: str, channel: str = "trade") -> ClientSession:
    """One that is subscribed to these, and had a record of A.SIM, its fifth."""
    session = ClientSession()
    session.connected(0)
    receive(session, hello("e1"))
    for request in session.subscribe(channel, symbols):
        asked = json.loads(request.text)["params"]["symbol"]
        receive(session, ack(request, *(good(one) | {"mode": "lossless"} for one in asked)))
    receive(session, at(5))
    return session


def asked(session: ClientSession) -> list[dict[str, Any]]:
    return [json.loads(request.text)["params"] for request in session.connected(0)]


def replaying(session: ClientSession, *, seq: int | None = None, epoch: str = "e1") -> None:
    """The new connection's one request is answered."""
    (request,) = session.connected(0)
    receive(session, hello(epoch))
    symbol = json.loads(request.text)["params"]["symbol"][0]
    result = good(symbol) | {"mode": "lossless", "recovery": "replaying", "epoch": "e1"}
    (reply,) = receive(session, ack(request, result | ({"seq": seq} if seq else {})))
    assert isinstance(reply, Reply)


def test_a_name_alone_asks_by_its_last_number_and_goes_on_without_a_gap() -> None:
    session = lossless("A.SIM")
    assert asked(session)[0]["from"] == {"epoch": "e1", "seq": 5}
    session = lossless("A.SIM")
    replaying(session, seq=5)
    for seq in (6, 7):
        (event,) = receive(session, at(seq))
        assert isinstance(event, Trade)
    data = {"channel": "trade", "symbol": "A.SIM", "from": 6, "to": 7}
    (end,) = receive(session, {"channel": "system", "type": "replay_completed", "data": [data]})
    assert end == ReplayCompleted("trade", "A.SIM", 6, 7)
    assert missing(receive(session, at(9))) == [("sequence", 8, 8, 1)]


def test_several_and_patterns_ask_by_the_newest_time_less_a_second() -> None:
    for symbols in (("A.SIM", "B.SIM"), ("*.SIM",), ("B.SIM",)):
        (params,) = asked(lossless(*symbols))
        assert params["from"] == {"ts": NOW + 5 - RECOVER_BEFORE_NS}
    session = lossless("*.SIM")
    replaying(session)
    assert [receive(session, at(seq)) for seq in (3, 4, 5)] == [[], [], []]  # it had these
    (event,) = receive(session, at(6))
    assert isinstance(event, Trade)
    data = {"channel": "trade", "symbol": "*.SIM"}
    (end,) = receive(session, {"channel": "system", "type": "replay_completed", "data": [data]})
    assert end == ReplayCompleted("trade", "*.SIM", None, None)
    assert session.statistics().gaps == 0


def test_what_is_no_longer_there_is_told_once_with_its_number() -> None:
    session = lossless("A.SIM")
    (request,) = session.connected(0)
    receive(session, hello("e1"))
    result = good("A.SIM") | {"mode": "lossless", "recovery": "insufficient_state"}
    events = receive(session, ack(request, result | {"epoch": "e1", "seq": 9, "oldest": 8}))
    assert not [one for one in events if isinstance(one, Gap)]
    assert missing(receive(session, at(9, type="snapshot"))) == [("reconnect", 6, 8, 3)]


def test_conflated_ones_and_those_without_a_record_ask_for_nothing() -> None:
    session = ClientSession()
    session.subscribe("trade", "A.SIM")
    assert "from" not in asked(session)[0]
    session.connected(0)
    receive(session, hello("e1"))
    (request,) = session.subscribe("bbo", "A.SIM")
    receive(session, ack(request, good("A.SIM") | {"mode": "conflate"}))
    receive(session, at(5))
    bbo = [one for one in asked(session) if one["channel"] == "bbo"]
    assert "from" not in bbo[0]


def test_a_connection_that_ends_before_the_reply_has_it_asked_for_again() -> None:
    session = lossless("A.SIM")
    for _ in range(2):
        assert asked(session)[0]["from"] == {"epoch": "e1", "seq": 5}
        receive(session, hello("e1"))
    session = lossless("A.SIM")
    session.subscribe("trade", "*", mode="conflate")
    session.subscribe("trade", "B*", class_=2)
    session.subscribe("trade", "C*", max_hz=5)
    assert ["from" in one for one in asked(session)] == [True, False, False, False]


def test_results_of_one_request_fit_a_reply() -> None:
    names = [f"S{number:04}.SIM" for number in range(2 * RECOVERED_MAX + 1)]
    params = asked(lossless(*names))
    assert [len(one["symbol"]) for one in params] == [RECOVERED_MAX, RECOVERED_MAX, 1]
    assert all("from" in one for one in params)


def test_without_a_replay_no_frame_is_dropped_for_its_number() -> None:
    session = lossless("A.SIM")
    (request,) = session.connected(0)
    receive(session, hello("e1"))
    receive(session, ack(request, good("A.SIM") | {"mode": "lossless"}))  # it knows no `from`
    gap, trade = receive(session, at(3))
    assert missing([gap]) == [("reconnect", None, None, None)]
    assert isinstance(trade, Trade)
    session = lossless("*.SIM")
    replaying(session)
    receive(session, at(6))
    assert len(receive(session, at(4))) == 2  # behind the first new one all are new


def test_who_asks_for_the_past_has_it_again() -> None:
    session = lossless("A.SIM")
    (request,) = session.subscribe("trade", "A.SIM", from_={"last": 3})
    result = good("A.SIM") | {"mode": "lossless", "recovery": "replaying", "epoch": "e1"}
    receive(session, ack(request, result | {"seq": 2, "to": 5}))
    for seq in (3, 4, 5, 6):
        (event,) = receive(session, at(seq))
        assert isinstance(event, Trade)
    assert missing(receive(session, at(8))) == [("sequence", 7, 7, 1)]


def test_a_hole_in_a_replay_is_told() -> None:
    session = lossless("A.SIM", "B.SIM")
    (request,) = session.connected(0)
    receive(session, hello("e1"))
    more = {"mode": "lossless", "recovery": "replaying", "epoch": "e1", "seq": 7}
    receive(session, ack(request, good("A.SIM") | more, good("B.SIM") | more))
    assert missing(receive(session, at(8))) == [("sequence", 6, 7, 2)]
