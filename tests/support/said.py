"""What a gateway says to a client, and what the client's sans-IO session makes of it."""

import json
from typing import Any

from gateway.client.events import Event, Gap
from gateway.client.requests import Request
from gateway.client.session import ClientSession

Missing = tuple[int | None, int | None, int | None]
"""First, last and count of a gap."""
UNKNOWN: Missing = (None, None, None)


def receive(session: ClientSession, message: dict[str, Any], mono_ns: int = 0) -> list[Event]:
    """What the session makes of one message."""
    return session.receive(json.dumps(message), mono_ns=mono_ns, real_ns=5)


def tick(seq: int, symbol: str = "A.SIM", **more: Any) -> dict[str, Any]:
    """A trade, unless `more` says otherwise."""
    base = {"channel": "trade", "type": "update", "symbol": symbol, "seq": seq}
    times = {"ts_event": 1, "ts_recv": 2, "ts_send": 3}
    return base | times | {"data": [{"id": "1", "price": "1.0", "qty": "2", "side": "buy"}]} | more


def hello(epoch: str = "e1", heartbeat_ms: int = 1000) -> dict[str, Any]:
    """A connection's first message."""
    data = {"version": "0.1.0", "connection_id": "c-1", "epoch": epoch, "now": 1}
    return {
        "channel": "system",
        "type": "hello",
        "data": [data | {"heartbeat_ms": heartbeat_ms, "slo": {}}],
    }


def ack(request: Request, *results: dict[str, Any]) -> dict[str, Any]:
    """The reply that accepts a request, with these results."""
    method = json.loads(request.text)["method"]
    return {"method": method, "req_id": request.req_id, "success": True, "results": list(results)}


def good(symbol: str) -> dict[str, Any]:
    """A result: accepted."""
    return {"symbol": symbol, "success": True, "channel": "trade", "seq": 0}


def missing(events: list[Event]) -> list[tuple[Any, ...]]:
    """Reason, first, last and count of each gap."""
    return [(e.reason, e.from_seq, e.to_seq, e.lost) for e in events if isinstance(e, Gap)]
