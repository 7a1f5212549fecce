"""One connection of the ops listener: a request's head, an answer, the end; or a WebSocket.

The library reads a request without a body and takes what follows for frames. A body, chunks and
pipelined requests are therefore cut off here: one answer a connection is HTTP, and `Connection:
close` says so. What follows an upgrade's head waits until the upgrade is through.
"""

import asyncio
import re
import socket
from collections import Counter
from http import HTTPStatus
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State

from gateway import log
from gateway.ops.pages import security_headers
from gateway.text import escaped
from gateway.wire.place import Place

TEXT: Final = "text/plain; charset=utf-8"
CONNECTIONS_MAX = 64
"""People and scrapers; one more is cut at once."""
HEAD_BYTES_MAX = 32 << 10
"""Of a request, as on the clients' listener: the library's own limits add up to 1 MiB."""
EARLY_BYTES_MAX = 64 << 10
"""Frames that came before their upgrade was through; a client that sends more is cut."""
DISCARDED_BYTES_MAX = 1 << 20
"""What a refused or answered client may still send before it is cut off."""
FRAGMENTS_MAX = 64
CONTROL_FRAMES_PER_S = 100
MESSAGE_TIMEOUT_S = 10.0
"""From a message's first byte to its last, as `limits.message_timeout_s` is on the clients'
listener."""
FAIL_TIMEOUT_S = 5.0
NOTSENT_BYTES = 16 << 10
"""What waits in the kernel, beyond what is on its way: the rest waits here, to be replaced."""
TCP_NOTSENT_LOWAT = 25  # not in Python's socket module before 3.14

UNANSWERED: Final = "none"
"""Instead of a code: the connection ended without an answer."""

_log = log.get("ops")

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_BODY = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:[^\r\n]*", re.IGNORECASE)
_UPGRADE = re.compile(rb"\r\nupgrade[ \t]*:", re.IGNORECASE)


def answer(code: HTTPStatus, kind: str, body: bytes, *more: tuple[str, str]) -> Response:
    """A whole response, after which the connection ends."""
    headers = Headers(
        [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            *more,
            *security_headers(),
        ]
    )
    return Response(code.value, code.phrase, headers, body)


class Exchange(ServerConnection):
    """Refuses what is beyond the listener's bounds, and what the library would take without end.

    `answers` counts how requests were answered, by status code or UNANSWERED.
    """

    def __init__(self, *args: Any, answers: Counter[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self._answers = answers
        self._head = bytearray()  # the request's bytes so far
        self._head_ended = False
        self._upgrades = False
        self._peer_ended = False  # before it was answered
        self._refused = False  # answered here; the library never saw the request
        self._early = bytearray()
        self._discarded = 0
        self._fragments = 0
        self._controls = 0
        self._controls_second = 0
        self._place = Place(self.protocol)
        self._inside = False  # of a fragmented message
        self._late: asyncio.TimerHandle | None = None  # while a message is unfinished

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_BYTES
        )
        if len(self.server.handler_tasks) > CONNECTIONS_MAX:
            peer = str((transport.get_extra_info("peername") or ("",))[0])
            _log.warning("ops.full", peer=peer, connections=CONNECTIONS_MAX)
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finished()
        super().connection_lost(exc)
        if self.response is None and not self._refused:
            self._answers[UNANSWERED] += 1

    # --- the request ------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Gives the library a head without a body, and later the frames of a session."""
        if not self._head_ended:
            self._take_head(data)
        elif not self._upgrades:
            self._discard(data)
        elif self.protocol.state is State.CONNECTING:
            self._keep_early(data)
        else:
            self._take_frames(data)

    def _take_frames(self, data: bytes) -> None:
        super().data_received(data)
        if (self._inside or not self._place.between_frames) and self._late is None:
            self._late = self.loop.call_later(MESSAGE_TIMEOUT_S, self._too_late)

    def _finished(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        if self.transport.is_reading():
            self._fail(1008, f"message not finished within {MESSAGE_TIMEOUT_S:g} s")
        elif self.protocol.state is State.OPEN:  # the rest waits for us
            self._late = self.loop.call_later(MESSAGE_TIMEOUT_S, self._too_late)

    def _take_head(self, data: bytes) -> None:
        searched = max(0, len(self._head) - 3)
        self._head += data
        found = _END_OF_HEAD.search(self._head, searched)
        if (len(self._head) if found is None else found.end()) > HEAD_BYTES_MAX:
            self._head_ended = True
            self._head.clear()
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self._refuse(status, f"a request of more than {HEAD_BYTES_MAX} bytes")
            return
        if found is None:
            return
        self._head_ended = True
        head, rest = bytes(self._head[: found.end()]), bytes(self._head[found.end() :])
        self._head.clear()
        self._upgrades = _UPGRADE.search(head) is not None
        # An upgrade has no body: its bytes would be frames. That the library refuses.
        super().data_received(head if self._upgrades else _BODY.sub(b"", head))
        if self.protocol.handshake_exc is not None and self.request is None:
            self._upgrades = False
        if rest:
            self.data_received(rest)

    def send_data(self) -> None:
        """Writes the library's bytes; answers in its place where it could not parse the request."""
        if self.request is None and self.protocol.handshake_exc is not None and self._head_ended:
            said = b"".join(self.protocol.data_to_send())  # the library's own words, or none
            status = int(said[9:12]) if said.startswith(b"HTTP/1.1 ") else 400
            cause = self.protocol.handshake_exc.__cause__ or self.protocol.handshake_exc
            self._refuse(HTTPStatus(status), f"no valid request: {cause}")
            return
        super().send_data()
        if self._peer_ended and self.protocol.eof_sent:
            self.transport.close()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keeps a client that has said all it has to say until it has its answer."""
        answered = self._refused or self.protocol.eof_sent
        if self._head_ended and not self._upgrades and not answered:
            self._peer_ended = True
            return True
        super().eof_received()
        return None

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        if self._refused:
            return
        self._refused = True
        self._answers[str(status.value)] += 1
        # It tells the client's own bytes, which a terminal would obey.
        body = escaped(text).encode("ascii", "backslashreplace") + b"\n"
        self.transport.write(answer(status, TEXT, body).serialize())
        self.transport.write_eof()

    def _discard(self, data: bytes) -> None:
        # It is read, since a socket closed over unread bytes takes the answer with it.
        self._discarded += len(data)
        if self._discarded > DISCARDED_BYTES_MAX:
            self.transport.abort()

    def _keep_early(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > EARLY_BYTES_MAX:
            self.transport.abort()

    async def handshake(self, *args: Any, **options: Any) -> None:
        """The library's, then the frames that came before it was through."""
        await super().handshake(*args, **options)
        if self.response is not None:
            self._answers[str(self.response.status_code)] += 1
        early, self._early = bytes(self._early), bytearray()
        if early and self.protocol.state is State.OPEN:
            self._take_frames(early)

    # --- frames -----------------------------------------------------------------------------------

    def process_event(self, event: Any) -> None:
        """One request, then frames."""
        super().process_event(event)
        if not isinstance(event, Frame):
            return
        if event.opcode in (Opcode.PING, Opcode.PONG):
            second = int(self.loop.time())
            if second != self._controls_second:
                self._controls_second, self._controls = second, 0
            self._controls += 1
            if self._controls > CONTROL_FRAMES_PER_S:
                self._fail(4029, f"control frames: more than {CONTROL_FRAMES_PER_S} a second")
        elif event.opcode is not Opcode.CLOSE:
            self._inside = not event.fin
            self._fragments = self._fragments + 1 if event.opcode is Opcode.CONT else 0
            if self._fragments >= FRAGMENTS_MAX:
                self._fail(1009, f"message of more than {FRAGMENTS_MAX} fragments")
        if not self._inside:
            self._finished()

    def _fail(self, code: int, reason: str) -> None:
        if self.protocol.state is State.OPEN:
            self.protocol.fail(code, reason)
            self.send_data()
            self.loop.call_later(FAIL_TIMEOUT_S, self.transport.abort)
