"""One client: its socket is read here, its bytes are written by the data plane.

States, each left for the next only:

- HANDSHAKE: the request is read; a refusal is written here, since the plane does not know it yet.
- OPEN: the plane writes; frames are read and given to the session.
- CLOSING: a close frame was handed to the plane; what the client still says is discarded.
- LINGER: a refused request; what the client still sends is discarded, so that it can read why.
- CLOSED: the descriptor is closed, once the plane has let go of it.

The first close reason wins, and every connection that got past the handshake ends with exactly one.
"""

import codecs
import socket
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State as WireState
from websockets.server import ServerProtocol

from gateway import log
from gateway.codec.formats import FORMATS
from gateway.model.notice import NOTICES
from gateway.server import answers
from gateway.server.frames import Parser, frame_close, quiet
from gateway.session.actions import Close, Query, Reply, Subscribe, Unsubscribe
from gateway.session.handshake import (
    SCHEMA_PATH,
    SUBPROTOCOL_PREFIX,
    Refusal,
    check,
    path_of,
    select_subprotocol,
)
from gateway.session.session import Session

if TYPE_CHECKING:
    from gateway.server.listener import Listener

RECEIVE_BYTES = 16 << 10
"""Taken in one read: also what may wait here, as frames, for the replies before them to leave."""
HANDSHAKE_BYTES_MAX = 32 << 10
"""Of a request, all lines together: the library's own limits add up to 1 MiB."""
DISCARDED_BYTES_MAX = 1 << 20
"""What a refused or closing client may still send before it is cut off."""
ABNORMAL = 1006
"""RFC 6455 section 7.4.1: no close frame was received."""
_ABORT = struct.pack("ii", 1, 0)
_UTF8 = codecs.getincrementaldecoder("utf-8")
_buffer = bytearray(RECEIVE_BYTES)
_view = memoryview(_buffer)

_SHUTDOWN = NOTICES["shutdown"].number
_FORMATS = {SUBPROTOCOL_PREFIX + one.name: index for index, one in enumerate(FORMATS)} | {None: 0}
_select_subprotocol = select_subprotocol([name for name in _FORMATS if name])

_log = log.get("server")


class State(IntEnum):
    HANDSHAKE = 0
    OPEN = 1
    CLOSING = 2
    LINGER = 3
    CLOSED = 4


class Connection:
    """Reads one socket; all writing is the plane's once the handshake is through."""

    __slots__ = (
        "_decoder",
        "_fragments",
        "_held",
        "_listener",
        "_parser",
        "_protocol",
        "_received",
        "_session",
        "_tail",
        "close_code",
        "close_reason",
        "controls",
        "controls_second",
        "deadline_ns",
        "fd",
        "handle",
        "heard_ns",
        "message_ns",
        "name",
        "peer",
        "pinged_ns",
        "reading",
        "sock",
        "state",
        "subscriptions",
    )  # fmt: skip

    def __init__(self, listener: "Listener", sock: socket.socket, peer: str, now_ns: int) -> None:
        self._listener = listener
        self.sock = sock
        self.fd = sock.fileno()
        self.peer = peer
        self.state = State.HANDSHAKE
        self.handle = 0
        self.name = ""  # the connection's id
        self.close_code = 0
        self.close_reason = ""
        self.heard_ns = now_ns
        self.deadline_ns = now_ns + listener.handshake_timeout_ns
        self.message_ns = 0  # when an unfinished message began
        self.subscriptions = 0  # as the listener has counted them
        self.pinged_ns = 0  # when the pong's deadline began to run; 0: none is awaited
        self.controls = self.controls_second = 0
        self._received = 0
        self._tail = b""  # the request's last bytes so far
        self._fragments = 0
        self._held: list[Frame] | None = None  # frames to be handled, the next one last
        self.reading = True
        self._decoder: Any = None
        self._session: Session | None = None
        # Of the handshake: it keeps the request, which is more than all that an open one takes.
        self._protocol: ServerProtocol | None = ServerProtocol(
            select_subprotocol=_select_subprotocol,
            max_size=listener.limits.message_bytes,
            logger=quiet,
        )
        self._parser: Parser | None = None  # of the message that is being read
        try:
            listener.readers.add_reader(self.fd, self._readable)
        except OSError:
            sock.close()
            raise

    # --- reading ---------------------------------------------------------------------------------

    def _readable(self) -> None:
        self._guarded(self._read)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            _log.exception("connection.failed", peer=self.peer)
            if self.state is State.OPEN:
                self.fail(1011, "internal error")
            else:
                self._lost("internal error")

    def _read(self) -> None:
        try:
            n = self.sock.recv_into(_buffer, RECEIVE_BYTES, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lost(error.strerror or "connection lost")
            return
        if n == 0:
            self._lost("end of stream")
            return
        self.heard_ns = self._listener.now_ns()
        if self.state is State.OPEN:
            self._frames(bytes(_view[:n]))
        elif self.state is State.HANDSHAKE:
            self._handshake(bytes(_view[:n]))
        else:
            self._received += n
            if self._received > DISCARDED_BYTES_MAX:
                self.expire()

    def _pause(self) -> None:
        if self.reading:
            self.reading = False
            self._listener.readers.remove_reader(self.fd)

    def _unpause(self) -> None:
        if not self.reading:
            try:
                self._listener.readers.add_reader(self.fd, self._readable)
            except OSError as error:
                self._lost(error.strerror or "cannot be read")
            else:
                self.reading = True

    def resume(self) -> None:
        """The control queue has room again."""
        if not self.reading and self.state is State.OPEN:
            self._unpause()
            if self._decoder is None:
                self.message_ns = 0  # until now the rest of it waited for us
            self._guarded(self._work)

    def _lost(self, why: str) -> None:
        # A half-closed socket stays readable for ever: the reader goes at once.
        self._pause()
        if self.state in (State.HANDSHAKE, State.LINGER):
            if self.state is State.HANDSHAKE:
                self._listener.handshake_ended(self, "closed")
            self._finish()
        elif self.state in (State.OPEN, State.CLOSING):
            self._decide(ABNORMAL, why)
            self.state = State.CLOSING
            self._listener.remove(self)

    # --- the handshake ---------------------------------------------------------------------------

    def _handshake(self, data: bytes) -> None:
        # Frames may follow in the same read; before the 101 the library would answer them wrongly.
        seen = self._tail + data
        end = seen.find(b"\r\n\r\n") + 4
        rest = seen[end:] if end > 3 else b""
        self._tail = seen[-3:]
        self._received += len(data)
        protocol = self._protocol
        assert protocol is not None
        protocol.receive_data(data[: len(data) - len(rest)])
        events = protocol.events_received()
        if events:
            request = events[0]
            assert isinstance(request, Request)
            self._answer(protocol, request)
            if rest and self.state is State.OPEN:
                self._frames(rest)
        elif protocol.handshake_exc is not None:
            self.refuse(answers.unparsed(protocol))
        elif self._received > HANDSHAKE_BYTES_MAX:
            text = f"a request of more than {HANDSHAKE_BYTES_MAX} bytes"
            self.refuse(Refusal(431, "too_large", text))

    def _answer(self, protocol: ServerProtocol, request: Request) -> None:
        refusal = check(request, self._listener.origins)
        if refusal is None and path_of(request) == SCHEMA_PATH:
            self._end(answers.the_schema())
            return
        refusal = refusal or self._listener.admission()
        if refusal is not None:
            if refusal.result == "origin":
                self._listener.origin_refused(request.headers["Origin"], self.peer)
            self.refuse(refusal)
            return
        try:
            accept, _, subprotocol = protocol.process_request(request)
        except InvalidHandshake:
            self.refuse(answers.as_library(protocol, request))
            return
        self._open(answers.switching(accept, subprotocol), _FORMATS[subprotocol])

    def refuse(self, refusal: Refusal) -> None:
        """Answers with an HTTP error and closes."""
        self._end(answers.refused(refusal))

    def _end(self, answer: answers.Answer) -> None:
        """Answers and closes: beside the plane's, the only bytes that are written."""
        self._listener.handshake_ended(self, answer.result, answer.why)
        self.state = State.LINGER
        self._protocol = None
        self._received = 0
        self.deadline_ns = self._listener.now_ns() + self._listener.close_timeout_ns
        self._listener.watch(self)
        try:
            # A fresh socket has room for all of it.
            self.sock.send(answer.data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._finish()

    def _open(self, response: bytes, form: int) -> None:
        listener = self._listener
        self._session, hello = listener.new_session(self)
        try:
            self.handle = listener.plane.add(
                self.fd, response, hello.payload, hello.slots, format=form
            )
        except OverflowError:
            self.refuse(listener.full())
            return
        self.state = State.OPEN
        self._protocol = None
        listener.opened(self)

    # --- frames ----------------------------------------------------------------------------------

    def _frames(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = self._listener.parsers.take()
        self._held = self._parser.frames(data)[::-1]
        self._work()

    def _work(self) -> None:
        # Stops where replies fill half the control queue, as reading does: whoever sends many
        # requests at once and reads their replies is no slow consumer.
        while self._held and self.reading and self.state is State.OPEN:
            self._frame(self._held.pop())
        if self.state is State.OPEN and not self._held:
            self._held = None
            if self._parser is not None:
                self._outgoing(self._parser)
        if self.state is State.OPEN:
            self._clock_message()

    def _clock_message(self) -> None:
        # What a client holds open has a deadline, from when we could have read the rest of it.
        parser = self._parser
        if self._decoder is None and (parser is None or parser.between_frames):
            self.message_ns = 0
        elif not self.message_ns:
            self.message_ns = self._listener.now_ns()
            self._listener.watch_message(self)

    def _frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self._text(frame)
        elif frame.opcode is Opcode.BINARY:
            self.fail(1003, "binary frame: requests are text")
        elif frame.opcode is not Opcode.CLOSE:
            if self._decoder is None:
                self.message_ns = 0  # what was begun is finished
            self._control()

    def _control(self) -> None:
        self._listener.count("control_frames")
        self.pinged_ns = 0
        second = self.heard_ns // 1_000_000_000
        if second != self.controls_second:
            self.controls_second, self.controls = second, 0
        self.controls += 1
        limit = self._listener.limits.control_frames_per_s
        if self.controls > limit:
            self.fail(4029, f"control frames: more than {limit} a second")

    def _text(self, frame: Frame) -> None:
        try:
            if frame.fin and frame.opcode is Opcode.TEXT:
                self._message(str(frame.data, "utf-8"))
                return
            self._fragment(frame)
        except UnicodeDecodeError as error:
            self.fail(1007, f"text is not UTF-8: {error.reason} at byte {error.start}")

    def _fragment(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            self._decoder = (_UTF8("strict"), [])
            self._fragments = 0
        self._fragments += 1
        limit = self._listener.limits.fragments_max
        if self._fragments > limit:
            self.fail(1009, f"message of more than {limit} fragments")
            return
        decoder, parts = self._decoder
        parts.append(decoder.decode(frame.data, frame.fin))
        if frame.fin:
            self._decoder = None
            self._message("".join(parts))

    def _message(self, text: str) -> None:
        assert self._session is not None
        listener = self._listener
        self.message_ns = 0
        actions = self._session.receive(text, mono_ns=self.heard_ns, real_ns=listener.real_ns())
        for action in actions:
            self._act(action)

    def _act(self, action: Any) -> None:
        if self.state is not State.OPEN:
            return
        plane, handle = self._listener.plane, self.handle
        if isinstance(action, Close):
            self.fail(action.code, action.reason)
        elif isinstance(action, Query):
            plane.query(handle, action.token)
        elif isinstance(action, Subscribe):
            self._count_subscriptions()
            self._queued(plane.subscribe(handle, action.payload, action.slots, action.items))
        elif isinstance(action, Unsubscribe):
            self._count_subscriptions()
            self._queued(plane.unsubscribe(handle, action.payload, action.slots, action.ids))
        else:
            assert isinstance(action, Reply)
            self._queued(plane.send(handle, action.payload, action.slots))

    def _count_subscriptions(self) -> None:
        assert self._session is not None
        self._listener.subscribed(self, self._session.subscriptions)

    def answer_stats(self, token: int, rows: Any) -> None:
        """The plane's answer to a query of this session's."""
        if self.state is State.OPEN and self._session is not None:
            self._act(self._session.stats(token, rows))

    def forbidden(self, identity: int) -> None:
        """The plane refused a name that is not granted to this client."""
        if self.state is State.OPEN and self._session is not None:
            self._session.forbidden(identity)
            self._count_subscriptions()

    def _queued(self, outcome: int) -> None:
        if outcome == 1:
            self._pause()
        elif outcome < 0:
            self.fail(4008, "slow consumer: replies do not fit the control queue; read them")

    def _outgoing(self, parser: Parser) -> None:
        """Hands over what the protocol itself answers. Of several pongs the last one counts."""
        out = parser.data_to_send()
        if parser.state is not WireState.OPEN:
            close = parser.close_sent
            assert close is not None
            self._decide(close.code, close.reason)
            self._begin_close(next(data for data in reversed(out) if data))
            return
        if parser.at_rest:
            self._parser = None
            self._listener.parsers.give_back(parser)
        if out:
            self._queued(self._listener.plane.write(self.handle, out[-1]))

    # --- closing ---------------------------------------------------------------------------------

    def fail(self, code: int, reason: str) -> None:
        """Closes with this code; the first reason given is the one that counts."""
        if self.state is not State.OPEN:
            return
        self._decide(code, reason)
        self._begin_close(frame_close(code, reason))

    def shutdown(self, reconnect_after_ms: int) -> None:
        if self.state is State.OPEN:
            self._listener.plane.notice(self.handle, _SHUTDOWN, (reconnect_after_ms,))
            self.fail(1012, "service restart")

    def ping(self) -> None:
        self.pinged_ns = self._listener.now_ns()
        self._listener.plane.write(self.handle, b"\x89\x00")

    def _decide(self, code: int, reason: str) -> None:
        if not self.close_code:
            self.close_code, self.close_reason = code, reason

    def _begin_close(self, frame: bytes) -> None:
        self.state = State.CLOSING
        self._received = 0
        self._held = self._parser = None
        self.deadline_ns = self._listener.now_ns() + self._listener.close_timeout_ns
        self._listener.closing(self)
        self._listener.plane.close(self.handle, frame)
        # Reading goes on, to see the end of the stream; what comes is discarded.
        self._unpause()

    def gone(self, error: str) -> None:
        """The plane could not write any more."""
        if self.state in (State.OPEN, State.CLOSING):
            self._lost(error)

    def expire(self) -> None:
        """The deadline of the state has passed."""
        if self.state is State.HANDSHAKE:
            self.refuse(Refusal(408, "timeout", "the request took too long"))
        elif self.state is State.LINGER:
            self._pause()
            self._finish()
        elif self.state is State.CLOSING:
            self._listener.count("close_timeouts")
            self._pause()
            # Whatever the kernel still holds for a client that does not read is dropped with it.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            self._listener.remove(self)

    def _finish(self) -> None:
        """Closes a socket that the plane never had."""
        self._pause()
        self._listener.forget(self)
        self.state = State.CLOSED
        self.sock.close()

    def removed(self) -> None:
        """The plane has let go: the descriptor may be used again."""
        if self.state is State.CLOSED:
            return
        self._pause()
        self.state = State.CLOSED
        self.sock.close()
        if self._session is not None:
            self._session.end()
