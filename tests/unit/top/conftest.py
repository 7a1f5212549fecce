import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from support import ops_now
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed


class Ops:
    """An ops listener made up: says hello, takes subscriptions, tells what the test gives it."""

    def __init__(self) -> None:
        self.document: Any = ops_now.now()
        self.error: dict[str, Any] | None = None
        self.points: list[dict[str, Any]] | None = [ops_now.point()]
        self.sent = asyncio.Event()
        """A document was."""
        self._peers: set[ServerConnection] = set()
        self._server: Server | None = None

    async def __aenter__(self) -> "Ops":
        protocols: Any = ["tickgate.v1.json"]
        self._server = await serve(self._handle, "127.0.0.1", 0, subprotocols=protocols)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def tell(self, document: Any) -> None:
        """One update to all."""
        self.document = document
        for peer in tuple(self._peers):
            await self._send(peer, "update")

    async def close(self, code: int) -> None:
        """Sends everybody away."""
        for peer in tuple(self._peers):
            await peer.close(code, "as the test said")

    async def _send(self, peer: ServerConnection, kind: str) -> None:
        message = {"channel": "ops", "type": kind, "ts_send": 1, "data": [self.document]}
        await peer.send(json.dumps(message))
        self.sent.set()

    async def _handle(self, peer: ServerConnection) -> None:
        hello = {"version": "1", "connection_id": "o-1", "epoch": "k3f9", "now": ops_now.TS}
        await peer.send(json.dumps({"channel": "system", "type": "hello", "data": [hello]}))
        with suppress(ConnectionClosed):
            async for text in peer:
                request = json.loads(text)
                await self._answer(peer, request)
        self._peers.discard(peer)

    async def _answer(self, peer: ServerConnection, request: dict[str, Any]) -> None:
        reply = {"method": request["method"], "req_id": request["req_id"], "success": True}
        if request["method"] == "history":
            if self.points is None:
                reply |= {"success": False, "error": {"code": "unknown_method", "message": "no"}}
            await peer.send(json.dumps(reply | {"points": self.points or []}))
            return
        assert request["params"]["channel"] == "ops"
        result: dict[str, Any] = {"symbol": "*", "success": self.error is None}
        if self.error is not None:
            result["error"] = self.error
        await peer.send(json.dumps(reply | {"results": [result]}))
        if self.error is None:
            self._peers.add(peer)
            await self._send(peer, "snapshot")


@pytest.fixture
async def ops() -> AsyncIterator[Ops]:
    async with Ops() as one:
        yield one
