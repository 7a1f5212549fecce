"""A small gateway in the test's own process, for the asyncio client: it follows a script."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from gateway.client import Backoff, Client

TIMEOUT_S = 60.0
Script = Callable[["Gateway", ServerConnection, int], Awaitable[None]]


class Gateway:
    """Says hello, answers requests, then does what the test's script says."""

    def __init__(self, script: Script | None = None, *, heartbeat_ms: int = 1000) -> None:
        self.script = script
        self.heartbeat_ms = heartbeat_ms
        self.connections = self.connected = 0
        self.requests: list[dict[str, Any]] = []
        self.refuse_with: int | None = None
        self.retry_after: str | None = None
        self._server: Server | None = None

    async def __aenter__(self) -> "Gateway":
        self._server = await serve(
            self.handle,
            "127.0.0.1",
            0,
            subprotocols=["tickgate.v1.json"],  # type: ignore[list-item]
            process_request=self.admit,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    def admit(self, connection: ServerConnection, _: HttpRequest) -> Response | None:
        if self.refuse_with is None:
            return None
        response = connection.respond(self.refuse_with, "no")
        if self.retry_after is not None:
            response.headers["Retry-After"] = self.retry_after
        return response

    async def handle(self, peer: ServerConnection) -> None:
        number = self.connections
        self.connections += 1
        greeting = {"version": "0", "connection_id": f"c-{number}", "epoch": "e", "now": 1}
        greeting |= {"heartbeat_ms": self.heartbeat_ms}
        await peer.send(json.dumps({"channel": "system", "type": "hello", "data": [greeting]}))
        script = asyncio.create_task(self.run(peer, number))
        self.connected += 1
        try:
            async for text in peer:
                await self.reply(peer, json.loads(text))
        finally:
            self.connected -= 1
            script.cancel()

    async def run(self, peer: ServerConnection, number: int) -> None:
        if self.script is not None:
            await self.script(self, peer, number)

    async def reply(self, peer: ServerConnection, request: dict[str, Any]) -> None:
        self.requests.append(request)
        params = request.get("params", {})
        reply = {"method": request["method"], "req_id": request["req_id"], "success": True}
        match request["method"]:
            case "subscribe" | "unsubscribe" if params["channel"] == "nope":
                error = {"code": "unknown_channel", "message": "no such channel"}
                reply |= {"success": False, "error": error}
            case "subscribe" | "update" | "unsubscribe":
                reply["results"] = [{"symbol": s, "success": True} for s in params["symbol"]]
            case "ping":
                now = time.time_ns() + 3_600_000_000_000  # an hour ahead
                reply |= {"t0": params["t0"], "t1": now, "t2": now}
            case "list":
                last = params.get("after") == "A.SIM"
                symbol = "B.SIM" if last else "A.SIM"
                reply["instruments"] = [{"symbol": symbol, "channels": ["trade"]}]
                reply |= {} if last else {"next": symbol}
            case "stats":
                reply["subscriptions"] = [{"symbol": "A.SIM", "routed": 3}]
        await peer.send(json.dumps(reply))

    async def asked(self, count: int) -> None:
        """Waits until so many requests have come."""
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.requests) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


def tick(seq: int, symbol: str = "A.SIM") -> str:
    message = {"channel": "trade", "type": "update", "symbol": symbol, "seq": seq}
    times = {"ts_event": 1, "ts_recv": 2, "ts_send": 3}
    return json.dumps(message | times | {"data": [{"price": "1.5", "qty": "2"}]})


def client(gateway: Gateway, **more: Any) -> Client:
    return Client(gateway.url, backoff=Backoff(0.01, 0.02), **more)


async def take(events: Client, count: int) -> list[Any]:
    async with asyncio.timeout(TIMEOUT_S):
        return [await anext(events) for _ in range(count)]


async def drain(events: Client) -> list[Any]:
    async with asyncio.timeout(TIMEOUT_S):
        return [event async for event in events]
