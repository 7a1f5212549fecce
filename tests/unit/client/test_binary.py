"""Binary data makes the events that JSON makes, message by message and connection by connection."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.binary import NOW, OBJECTS, QUOTE_ROW, STAMPS, TRADE_ROW, longer
from support.said import ack, good, hello
from websockets.asyncio.server import ServerConnection, serve

from gateway.client import Backoff, Client, Disconnected, Gap, Hello, Malformed, Trade
from gateway.client.events import Event
from gateway.client.session import ClientSession
from gateway.codec import decode, sbe
from gateway.model.encoding import Encoding

TIMEOUT_S = 60.0
ROWS: list[tuple[Any, Any, str, Any]] = [
    ("trade", "update", "BTCUSDT.BINANCE", TRADE_ROW),
    ("trade", "snapshot", "币 安.X", (0, 0, "-0.015", "9" * 38, None, "")),
    ("bbo", "update", "A.X", QUOTE_ROW),
    ("bbo", "snapshot", "A.X", (0, NOW, "0", "0.0", "-0.00", "1" + "0" * 60)),
    ("bbo", "update", "A.X", (0, NOW, None, None, None, None)),
]


def announced(channel: str, symbol: str, number: int = 7) -> bytes:
    return sbe.encode_topic(number, channel, symbol)


def both(text: str | bytes, frame: bytes) -> tuple[list[Event], list[Event]]:
    """What a session of each encoding makes of the same message."""
    found = []
    for encoding, message in (("json", text), ("sbe", frame)):
        session = connected(encoding)  # type: ignore[arg-type]
        found.append(session.receive(message, mono_ns=0, real_ns=5))
    return found[0], found[1]


def connected(encoding: Encoding) -> ClientSession:
    session = ClientSession(encoding)
    session.connected(0)
    session.receive(json.dumps(hello()), mono_ns=0, real_ns=0)
    return session


@pytest.mark.parametrize("message", OBJECTS, ids=lambda one: one.get("type", one["channel"]))
def test_notices_are_the_same_events(message: dict[str, Any]) -> None:
    text, frame = both(json.dumps(message), sbe.encode(message))
    assert frame == text
    assert not any(isinstance(event, Malformed) for event in frame)


@pytest.mark.parametrize("skipped", [0, 3])
@pytest.mark.parametrize(("channel", "kind", "symbol", "row"), ROWS)
def test_records_are_the_same_ticks(
    channel: Any, kind: Any, symbol: str, row: Any, skipped: int
) -> None:
    stamps: Any = STAMPS | {"seq": 8813, "skipped": skipped}
    record = sbe.encode_record(channel, kind, 7, row, **stamps)
    text, frame = both(
        decode.encode(channel, kind, symbol, row, **stamps), announced(channel, symbol) + record
    )
    assert frame == text
    assert len(frame) == 1
    assert both(b"", announced(channel, symbol) + longer(record))[1] == frame


def trade(seq: int, number: int = 7) -> bytes:
    return sbe.encode_record("trade", "update", number, TRADE_ROW, seq=seq, **STAMPS)


def tell(session: ClientSession, message: str | bytes) -> list[Event]:
    return session.receive(message, mono_ns=0, real_ns=5)


def test_what_is_missing_is_found_in_the_same_way() -> None:
    session = ClientSession("sbe")
    session.connected(0)
    tell(session, json.dumps(hello()))
    (request,) = session.subscribe("trade", "A.SIM")
    tell(session, json.dumps(ack(request, good("A.SIM"))))
    assert tell(session, announced("trade", "A.SIM")) == []
    tell(session, trade(1))
    gap, tick = tell(session, trade(4))
    assert gap == Gap("trade", "A.SIM", "sequence", 2, 3, 2)
    assert isinstance(tick, Trade)
    (again,) = session.resync(gap)
    assert json.loads(again.text)["params"]["symbol"] == ["A.SIM"]
    # Another connection: numbers of topics begin anew, those of records do not.
    session.connected(0)
    tell(session, json.dumps(hello()))
    (unknown,) = tell(session, trade(9))
    assert isinstance(unknown, Malformed)
    gap, tick = tell(session, announced("trade", "A.SIM", 1) + trade(9, 1))
    assert gap == Gap("trade", "A.SIM", "reconnect", 5, 8, 4)
    statistics = session.statistics()
    assert (statistics.ticks, statistics.lost, statistics.malformed) == (3, 6, 1)


@given(st.binary(max_size=200), st.booleans())
def test_receive_never_raises(data: bytes, headed: bool) -> None:
    session = connected("sbe")
    session.receive(trade(1)[:8] + data if headed else data, mono_ns=0, real_ns=0)


def test_there_are_two_encodings() -> None:
    with pytest.raises(ValueError, match="neither 'json' nor 'sbe'"):
        Client(encoding="xml")  # type: ignore[arg-type]


def test_a_client_reads_binary_frames_and_comes_back() -> None:
    connections = 0

    async def handle(peer: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        await peer.send(json.dumps(hello()))
        async for text in peer:
            request = json.loads(text)
            reply = {"method": request["method"], "req_id": request["req_id"], "success": True}
            reply["results"] = [good(one) for one in request["params"]["symbol"]]
            await peer.send(json.dumps(reply))
            await peer.send(announced("trade", "A.SIM", connections) + trade(1, connections))
            if connections == 1:
                await peer.close(1012, "restarts")
                return
            await peer.send(trade(5, connections))

    async def main() -> list[Event]:
        protocols: Any = ["tickgate.v1.json", "tickgate.v1.sbe"]
        async with serve(handle, "127.0.0.1", 0, subprotocols=protocols) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            events = []
            async with Client(url, encoding="sbe", backoff=Backoff(base_s=0.01)) as client:
                await client.subscribe("trade", "A.SIM")
                async for event in client:
                    events.append(event)
                    if len(events) == 7:
                        return events
            return events

    events = asyncio.run(asyncio.wait_for(main(), TIMEOUT_S))
    kinds = [type(event) for event in events]
    assert kinds == [Hello, Trade, Disconnected, Hello, Trade, Gap, Trade]
