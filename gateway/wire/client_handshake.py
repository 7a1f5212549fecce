"""The client's side of a handshake: its request, and what the server's answer means."""

from collections.abc import Sequence
from typing import NamedTuple

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidMessage, InvalidStatus, StatusLineTooLong
from websockets.protocol import OPEN
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from gateway.wire.head import HEAD_BYTES_MAX, Head
from gateway.wire.parser import quiet

NO_HTTP = 0
"""The status of an answer that is none."""


class Opened(NamedTuple):
    """The server's answer is the upgrade that was asked for.

    Attributes:
        subprotocol: the server's choice of those that were offered; None: it made none.
    """

    subprotocol: str | None


class Refused(NamedTuple):
    """The server's answer is no such upgrade.

    Attributes:
        status: of HTTP; 101 for an upgrade to something else, `NO_HTTP` for no answer of HTTP.
        text: why.
        retry_after: each header of this name.
    """

    status: int
    text: str
    retry_after: tuple[str, ...] = ()


class ClientHandshake:
    """The library's, with a bound on the answer's head; that on its body is the library's own.

    Args:
        uri: of the server.
        subprotocols: what the client speaks, the best one first.
        headers: more of the request's.

    Attributes:
        request: what is to be written before all else.
        rest: what came behind the answer; frames, if it is the upgrade.
    """

    __slots__ = ("_head", "_protocol", "request")

    def __init__(
        self,
        uri: WebSocketURI,
        subprotocols: Sequence[str],
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        names = [Subprotocol(name) for name in subprotocols]
        self._protocol = ClientProtocol(uri, subprotocols=names or None, logger=quiet)
        self._head = Head()
        request = self._protocol.connect()
        for name, value in headers:
            request.headers[name] = value
        self._protocol.send_request(request)
        self.request = b"".join(self._protocol.data_to_send())

    @property
    def rest(self) -> bytes:
        return self._head.rest

    def receive(self, data: bytes) -> Opened | Refused | None:
        """What these bytes make of the answer; nothing before it is whole, and nothing after."""
        head = self._head
        if head.whole:
            self._protocol.receive_data(data)
            return self._answer()
        self._protocol.receive_data(head.take(data))
        answer = self._answer()
        if answer is None and head.too_long:
            return Refused(NO_HTTP, f"an answer whose head has more than {HEAD_BYTES_MAX} bytes")
        if answer is None and head.rest:
            self._protocol.receive_data(head.rest)  # the body of a refusal
            answer = self._answer()
        return answer

    def receive_end(self) -> Refused:
        """What the end of the stream makes of it, which may be what a body waited for."""
        self._protocol.receive_eof()
        answer = self._answer()
        assert isinstance(answer, Refused)
        return answer

    def _answer(self) -> Opened | Refused | None:
        protocol = self._protocol
        if protocol.state is OPEN:
            return Opened(protocol.subprotocol)
        why = protocol.handshake_exc
        if why is None:
            return None
        if isinstance(why, InvalidStatus):
            status, headers = why.response.status_code, why.response.headers
            return Refused(status, f"HTTP {status}", tuple(headers.get_all("Retry-After")))
        if isinstance(why, InvalidMessage | StatusLineTooLong):
            return Refused(NO_HTTP, str(why))
        return Refused(101, str(why))
