"""One request's bytes, from the first to the answer: the server's side of a handshake."""

import re
from collections.abc import Collection, Generator, Sequence
from typing import NamedTuple

from websockets.exceptions import InvalidHandshake
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.streams import StreamReader
from websockets.typing import Subprotocol

from gateway.text import escaped
from gateway.wire.head import Head
from gateway.wire.parser import Limits, quiet
from gateway.wire.request import choose_subprotocol
from gateway.wire.response import Response, refusal

CAUSE_CHARACTERS_MAX = 100
"""Of what is told of a request that is none: some of it is the client's own text."""
_SWITCHING = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
_BODY = re.compile(rb"content-length:(?![ \t]*0[ \t]*\r\n)|transfer-encoding:", re.IGNORECASE)


class Accepted(NamedTuple):
    """A request that becomes a WebSocket.

    Attributes:
        door: where it came in, of those of the endpoint.
        response: the 101, to be written before all else.
        subprotocol: what was chosen; None where the client offered none.
    """

    door: str
    response: bytes
    subprotocol: str | None


def _told(error: Exception) -> str:
    if error.__cause__ is None:
        return str(error)
    return f"{error}: {escaped(str(error.__cause__))[:CAUSE_CHARACTERS_MAX]}"


class _Server(ServerProtocol):
    """The library's; which subprotocols are known depends on what is asked for."""

    known: Collection[str] = ()

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        return choose_subprotocol(subprotocols, self.known)


class _Bodiless(StreamReader):
    """A protocol's reader without the lines that announce a body, for which the library refuses.

    Attributes:
        found: whether there were any.
    """

    def __init__(self, protocol: ServerProtocol) -> None:
        super().__init__()
        self.found = False
        # Before it has read anything: what it made of the reader that it had is begun anew.
        protocol.reader = self
        protocol.parser = protocol.parse()
        next(protocol.parser)

    def read_line(
        self, m: int, too_long_exc_type: type[Exception] = RuntimeError
    ) -> Generator[None, None, bytearray]:
        while _BODY.match(line := (yield from super().read_line(m, too_long_exc_type))):
            self.found = True
        return line


class Handshake:
    """The library's, of one request: it keeps more than all that an open connection takes.

    Args:
        bodies: whether a request that becomes no WebSocket may have a body, which is not read.
        limit: of the request's bytes.
    """

    __slots__ = ("_body", "_event", "_head", "_limit", "_protocol", "_request")

    waiting = in_message = unfinished = False

    def __init__(self, *, bodies: bool, limit: int) -> None:
        self._protocol = _Server(logger=quiet)
        self._body = _Bodiless(self._protocol) if bodies else None
        self._limit = limit
        self._head = Head(limit)
        self._request: Request | None = None
        self._event: Request | Response | None = None

    @property
    def rest(self) -> bytes:
        """What came behind the request; frames, if it is accepted."""
        return self._head.rest

    def receive(self, data: bytes) -> None:
        """Reads on; not between a request and its answer."""
        assert self._event is None
        assert self._request is None
        # Before the 101 the library would answer the frames behind the head wrongly.
        self._read(self._head.take(data))

    def _read(self, head: bytes) -> None:
        protocol = self._protocol
        protocol.receive_data(head)
        if events := protocol.events_received():
            (request,) = events
            assert isinstance(request, Request)
            self._event = self._request = request
        elif protocol.handshake_exc is not None:
            out = b"".join(protocol.data_to_send())
            status = int(out[9:12]) if out.startswith(b"HTTP/1.1 ") else 400
            result = {414: "too_large", 431: "too_large"}.get(status, "bad_request")
            self._event = refusal(status, result, _told(protocol.handshake_exc))
        elif self._head.too_long:
            text = f"a request of more than {self._limit} bytes"
            self._event = refusal(431, "too_large", text)

    @property
    def target(self) -> str:
        """What was asked for; empty before the request is whole."""
        return self._request.path if self._request is not None else ""

    def next_event(self, _: Limits) -> Request | Response | None:
        """The request, once it is whole, or why it will never be one."""
        event, self._event = self._event, None
        return event

    def accept(self, door: str, subprotocols: Collection[str]) -> Accepted | Response:
        """The answer to the request, which nothing else speaks against.

        Args:
            door: where it came in.
            subprotocols: those that are known there.
        """
        request = self._request
        assert request is not None
        if self._body is not None and self._body.found:
            return refusal(400, "bad_request", "the request of a WebSocket has no body")
        self._protocol.known = subprotocols
        try:
            accept, _, subprotocol = self._protocol.process_request(request)
        except InvalidHandshake:
            return self._refuse(request)
        # As the library's `accept` and `send_response` would, without a date that no client reads:
        # a fifth of what a connection costs. Nothing in it is the client's own text.
        lines = [*_SWITCHING, f"Sec-WebSocket-Accept: {accept}"]
        if subprotocol is not None:
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
        return Accepted(door, "\r\n".join([*lines, "", ""]).encode("ascii"), subprotocol)

    def _refuse(self, request: Request) -> Response:
        response = self._protocol.accept(request)
        result = "upgrade_required" if response.status_code == 426 else "bad_request"
        text = response.body.decode("ascii", "replace").replace("\ufffd", "?").strip()
        drop = {"date", "connection", "content-length", "content-type"}
        kept = tuple((k, v) for k, v in response.headers.raw_items() if k.lower() not in drop)
        return refusal(response.status_code, result, text, kept)
