"""Python libraries as clients: `websockets` (asyncio and threads) and picows."""

import asyncio
import json
from typing import Any

import pytest
import websockets.asyncio.client
import websockets.sync.client
from support.serving import Serving

COUNT = 200
SUBPROTOCOL = websockets.Subprotocol("tickgate.v1.json")


class Conversation:
    """What a client says and expects, whoever carries it: some ticks, a clean close."""

    def __init__(self) -> None:
        self.greeted = False
        self.seqs: list[int] = []

    def requests(self) -> list[str]:
        params = {"channel": "trade", "symbol": ["A.SIM"]}
        subscribe = {"method": "subscribe", "req_id": 1, "params": params}
        return [json.dumps(subscribe), json.dumps({"method": "ping", "req_id": "two"})]

    def take(self, text: str | bytes) -> bool:
        """Whether it has all that it wanted."""
        message: dict[str, Any] = json.loads(text)
        if not self.greeted:
            assert message["type"] == "hello"
            self.greeted = True
        elif "method" in message:
            assert message["success"]
        elif message["channel"] == "trade":
            assert not self.seqs or message["seq"] == self.seqs[-1] + 1
            self.seqs.append(message["seq"])
        return len(self.seqs) >= COUNT


async def test_websockets_asyncio(gateway: Serving) -> None:
    talk = Conversation()
    async with websockets.asyncio.client.connect(gateway.url, subprotocols=[SUBPROTOCOL]) as client:
        assert client.subprotocol == SUBPROTOCOL
        assert not client.protocol.extensions  # its offer of permessage-deflate is declined
        for request in talk.requests():
            await client.send(request)
        async with asyncio.timeout(30):
            while not talk.take(await client.recv()):
                continue
        await (await client.ping())
    assert client.close_code == 1000


def test_websockets_threads(gateway: Serving) -> None:
    talk = Conversation()
    with websockets.sync.client.connect(gateway.url) as client:
        assert client.subprotocol is None  # none was asked for
        for request in talk.requests():
            client.send(request)
        while not talk.take(client.recv(timeout=90)):
            continue
    assert client.close_code == 1000


async def test_picows(gateway: Serving) -> None:
    picows = pytest.importorskip("picows")
    talk = Conversation()
    done = asyncio.get_running_loop().create_future()

    class Listener(picows.WSListener):  # type: ignore[misc, name-defined]
        def on_ws_connected(self, transport: Any) -> None:
            for request in talk.requests():
                transport.send(picows.WSMsgType.TEXT, request.encode())

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            if frame.msg_type == picows.WSMsgType.CLOSE:
                if not done.done():
                    done.set_result(frame.get_close_code())
                transport.disconnect()
            elif talk.take(frame.get_payload_as_bytes()):
                transport.send_close(picows.WSCloseCode.OK)

    transport, _ = await picows.ws_connect(Listener, gateway.url)
    async with asyncio.timeout(30):
        assert await done == 1000
        await transport.wait_disconnected()
    assert talk.seqs
