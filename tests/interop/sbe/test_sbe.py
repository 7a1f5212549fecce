"""Codecs that another's tool generates from our schema read what we write, from a WebSocket."""

import json
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from support.binary import ANNOUNCED, FRAMES, NOW, STAMPS, head, longer
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from gateway.codec import sbe

NUMBERS = ("0", "0.00", "-0", "-0.00", "-0.015", "9" * 38, "-" + "9" * 38, "0." + "0" * 126 + "7")
FEW = "1" + "0" * 60


def trade(price: str, qty: str = FEW, side: str | None = "buy", trade_id: str = "") -> bytes:
    row: Any = (0, NOW, price, qty, side, trade_id)
    return sbe.encode_record("trade", "update", 7, row, seq=1, **STAMPS)


STREAM = [
    ANNOUNCED,
    sbe.encode_topic(8, "bbo", "币 安.X"),
    sbe.encode_topic(9, "candle_1h", "A.X"),
    sbe.encode_topic(10, "status", "A.X"),
    sbe.encode_topic(11, "book", "A.X"),
    sbe.encode_topic(12, "instrument", "A.X"),
    *FRAMES,
    *map(trade, NUMBERS),
    trade("1", side=None, trade_id="".join(map(chr, range(0x20, 0x7F)))[:80]),
    trade("1", trade_id='"\\~'),
    # What a newer version may send.
    *(longer(frame) for frame in FRAMES),
    ANNOUNCED + head(2, 60, 3) + b"ab" + b"an unknown message's rest",
    head(26, 32) + b"\xff" * 24 + b"\1\x63\3A.X",
]


def expected() -> list[Any]:
    """What our own reader makes of the stream."""
    decoder = sbe.Decoder()
    messages = [one for frame in STREAM for one in decoder.decode(frame)]
    return [json.loads(msgspec.json.encode(one)) for one in messages]


class Server:
    """Speaks as the gateway does, to one client after the other; keeps what they asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self._server = serve(
            self._talk, "127.0.0.1", 0, subprotocols=[Subprotocol(sbe.SUBPROTOCOL)]
        )
        host, port = self._server.socket.getsockname()
        self.url = f"ws://{host}:{port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def _talk(self, connection: ServerConnection) -> None:
        connection.send('{"channel":"system","type":"hello","data":[{"epoch":"mwp2b06e"}]}')
        self.asked.append(json.loads(connection.recv(timeout=60)))
        connection.send('{"method":"subscribe","req_id":1,"success":true,"results":[]}')
        for index, frame in enumerate(STREAM):
            # Now and then in fragments, as a proxy on the way may.
            connection.send(frame if index % 5 else [frame[:9], frame[9:]])

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.mark.parametrize("language", ["java", "cpp"])
def test_a_stream(server: Server, language: str, request: pytest.FixtureRequest) -> None:
    command: list[str] = request.getfixturevalue(language)
    done = subprocess.run(
        [*command, server.url], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected()
    assert [request["method"] for request in server.asked] == ["subscribe"]
