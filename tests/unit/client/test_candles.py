"""Candles at the client: each interval has its own numbers, and is asked for again as it was."""

import json
from decimal import Decimal
from typing import Any

from support.said import ack, hello, receive

from gateway.client.events import Gap, Retired
from gateway.client.session import ClientSession
from gateway.client.tail import line
from gateway.client.ticks import Candle, RawTick

START = 1_700_006_400_000_000_000
ROW = {
    "interval": "1m",
    "start": START,
    "open": "1.10",
    "high": "2",
    "low": "1.0",
    "close": "1.5",
    "volume": "0.250",
    "trades": 3,
    "closed": True,
}


def frame(seq: int, interval: str = "1m", **more: Any) -> dict[str, Any]:
    head = {"channel": "candle", "type": "update", "symbol": "A.SIM", "seq": seq}
    times = {"ts_event": START, "ts_recv": START, "ts_send": START}
    return head | times | {"data": [ROW | {"interval": interval} | more]}


def good(interval: str) -> dict[str, Any]:
    result = {"symbol": "A.SIM", "success": True, "channel": "candle", "interval": interval}
    return result | {"mode": "lossless", "seq": 0}


def test_values() -> None:
    (candle,) = receive(ClientSession(), frame(1, revised=True, complete=False))
    assert isinstance(candle, Candle)
    assert (candle.open, candle.high, candle.low) == (Decimal("1.10"), Decimal(2), Decimal(1))
    assert (candle.close, candle.volume, candle.trades) == (Decimal("1.5"), Decimal("0.250"), 3)
    assert (candle.closed, candle.revised, candle.complete) == (True, True, False)
    (candle,) = receive(ClientSession(), frame(1))
    assert isinstance(candle, Candle)
    assert (candle.revised, candle.complete) == (False, True)
    (raw,) = receive(ClientSession(), frame(1, open="none"))
    assert isinstance(raw, RawTick)


def test_intervals_are_numbered_apart_and_asked_for_again() -> None:
    session = ClientSession()
    session.connected(0)
    receive(session, hello())
    for interval in ("1m", "1d"):
        (request,) = session.subscribe("candle", "A.SIM", interval=interval, mode="lossless")
        receive(session, ack(request, good(interval)))
    assert len(receive(session, frame(1))) == 1
    assert len(receive(session, frame(5, "1d"))) == 1
    assert len(receive(session, frame(2))) == 1
    gap, _ = receive(session, frame(9, "1d"))
    assert gap == Gap("candle", "A.SIM", "sequence", 6, 8, 3, interval="1d")
    assert isinstance(gap, Gap)
    (again,) = session.resync(gap)
    assert json.loads(again.text)["params"]["interval"] == "1d"
    (retired,) = receive(
        session,
        {
            "channel": "system",
            "type": "retired",
            "data": [{"channel": "candle", "symbol": "A.SIM", "interval": "1d"}],
        },
    )
    assert retired == Retired("candle", "A.SIM", "1d")
    assert session.statistics().topics == 1
    asked = [json.loads(request.text)["params"] for request in session.connected(0)]
    assert [params["interval"] for params in asked] == ["1m", "1d"]
    session.unsubscribe("candle", "A.SIM", interval="1d")
    session.unsubscribe("candle", "A.SIM")  # of a minute, as the gateway understands it
    assert session.connected(0) == []


def test_a_gap_that_is_told() -> None:
    row = {"channel": "candle", "symbol": "A.SIM", "interval": "1h", "reason": "lapped"}
    message = {"channel": "system", "type": "gap", "data": [row | {"from": 3, "to": 4}]}
    assert receive(ClientSession(), message) == [
        Gap("candle", "A.SIM", "lapped", 3, 4, 2, interval="1h")
    ]


def test_a_line_of_tail() -> None:
    (candle,) = receive(ClientSession(), frame(1, complete=False))
    assert isinstance(candle, Candle)
    shown = line(candle, None, colour=False)
    assert "1.10 2 1.0 1.5 x 0.250 3 trades closed incomplete" in shown
    assert " 1m " in shown
