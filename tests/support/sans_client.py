"""`ClientSide` against a server without a socket: it gets what it is told, and shows what it makes
of that.
"""

from collections.abc import Sequence

from websockets.utils import accept_key

from gateway.wire.client_handshake import Opened, Refused
from gateway.wire.client_side import ClientLimits, ClientSide
from gateway.wire.events import Answer, End
from support.from_server import FRAGMENTS_MAX, MESSAGE_BYTES_MAX
from support.wire import CLOSE, PONG, mask

URL = "ws://gateway.test:8765/v1"
LIMITS = ClientLimits(MESSAGE_BYTES_MAX, FRAGMENTS_MAX)


def key_of(request: bytes) -> str:
    """The key that a request asks with."""
    lines = request.decode().split("\r\n")
    (key,) = [line.split(": ")[1] for line in lines if line.startswith("Sec-WebSocket-Key: ")]
    return key


def upgrade(request: bytes, *more: str, accept: str | None = None, status: str = "101 X") -> bytes:
    """The answer that lets a request in; `more` are lines of its head."""
    accept = accept_key(key_of(request)) if accept is None else accept
    lines = [f"HTTP/1.1 {status}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Accept: {accept}", *more, "", ""]
    return "\r\n".join(lines).encode()


def sent(data: bytes) -> tuple[int, bytes]:
    """Opcode and payload of the one masked control frame that these bytes are."""
    assert data[0] & 0x80
    assert data[1] & 0x80, "a client has to mask"
    size = data[1] & 0x7F
    assert len(data) == 6 + size
    return data[0] & 0x0F, mask(data[6:], data[2:6])


class SansClient:
    """One client.

    Attributes:
        answer: to its request, once it is there.
        messages: all so far.
        pongs: payloads of those to be written.
        end: the last event, once it is told.
    """

    def __init__(
        self, subprotocols: Sequence[str] = ("tickgate.v1.json",), limits: ClientLimits = LIMITS
    ) -> None:
        self.side = ClientSide(URL, subprotocols, limits)
        self.answer: Opened | Refused | None = None
        self.messages: list[str | bytes] = []
        self.pongs: list[bytes] = []
        self.end: End | None = None

    def open(self) -> "SansClient":
        """The whole handshake."""
        self.get(upgrade(self.side.request))
        assert self.answer == Opened(None)
        return self

    def get(self, *pieces: bytes) -> "SansClient":
        """Each in a read of its own."""
        for piece in pieces:
            answer, messages, last = self.side.receive(piece)
            over = self.end is not None or isinstance(self.answer, Refused)
            assert not over or (answer, messages, last) == (None, [], None)
            self.answer = answer or self.answer
            self.messages += messages
            if isinstance(last, Answer):
                opcode, payload = sent(last.frame)
                assert opcode == PONG
                self.pongs.append(payload)
            elif last is not None:
                self.end = last
        return self

    @property
    def closed(self) -> int:
        """The code of the close frame to be written, 1005 of one without; 0: it is open."""
        if self.end is None:
            return 0
        opcode, payload = sent(self.end.frame)
        assert opcode == CLOSE
        return int.from_bytes(payload[:2]) if payload else 1005
