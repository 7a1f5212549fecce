"""The client's side of one WebSocket: bytes in, events out.

Its stages are the handshake, the open connection, and over, where what comes is discarded. No bytes
make it raise. However they are cut, the events are the same, but that fewer reads mean fewer pongs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT
from websockets.uri import parse_uri

from gateway.wire.client_handshake import ClientHandshake, Opened, Refused
from gateway.wire.events import Answer, End
from gateway.wire.parser import Parser


class Received(NamedTuple):
    """What some bytes mean.

    Attributes:
        answer: to the request, once; a `Refused` is the end of all.
        messages: texts and binary ones, in order.
        last: what is to be written, behind all that was read with it; an `End` is the end of all.
    """

    answer: Opened | Refused | None
    messages: list[str | bytes]
    last: Answer | End | None


_NOTHING: Final = Received(None, [], None)


@dataclass(frozen=True)
class ClientLimits:
    """How much is read of a server.

    Attributes:
        message_bytes: of a message.
        fragments_max: likewise.
    """

    message_bytes: int
    fragments_max: int


class ClientSide:
    """A client's connection to one server; it writes nothing itself.

    Args:
        url: of the server, `ws://HOST:PORT/PATH` or `wss://`.
        subprotocols: what the client speaks, the best one first.
        limits: how much is read.
        headers: of the request, beside those of every handshake.

    Raises:
        InvalidURI: the URL is none of a WebSocket's.
        ValueError: likewise.

    Attributes:
        uri: the parts of the URL.
        request: what is to be written before all else.
    """

    __slots__ = ("_handshake", "_limits", "_parser", "request", "uri")

    def __init__(
        self,
        url: str,
        subprotocols: Sequence[str],
        limits: ClientLimits,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.uri = parse_uri(url)
        self._handshake: ClientHandshake | None = ClientHandshake(self.uri, subprotocols, headers)
        self._parser: Parser | None = None
        self._limits = limits
        self.request = self._handshake.request

    def receive(self, data: bytes) -> Received:
        """What these bytes mean."""
        parser = self._parser
        if parser is None:
            return self._shake(data)
        parser.receive(data)
        messages, last = parser.take(self._limits)
        if type(last) is End:
            self._parser = None
        return Received(None, messages, last)

    def _shake(self, data: bytes) -> Received:
        handshake = self._handshake
        if handshake is None or (answer := handshake.receive(data)) is None:
            return _NOTHING
        self._handshake = None
        if isinstance(answer, Refused):
            return Received(answer, [], None)
        self._parser = Parser(self._limits.message_bytes, side=CLIENT, binary=True)
        return self.receive(handshake.rest)._replace(answer=answer)

    def receive_end(self) -> Refused | None:
        """What the end of the stream means: it may refuse the handshake."""
        handshake, self._handshake = self._handshake, None
        self._parser = None
        return None if handshake is None else handshake.receive_end()

    def send(self, text: str) -> bytes:
        """A text message, as it is to be written."""
        return Frame(Opcode.TEXT, text.encode()).serialize(mask=True)

    def ping(self) -> bytes:
        """A ping, as it is to be written."""
        return Frame(Opcode.PING, b"").serialize(mask=True)

    def close(self, code: int, reason: str) -> bytes:
        """The close frame to be written, after which nothing is sent; messages may still come.

        Empty where there is nothing to close. A reason that is too long is cut.
        """
        return b"" if self._parser is None else self._parser.close(code, reason)
