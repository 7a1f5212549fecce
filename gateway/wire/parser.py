"""An open connection's bytes become messages, for either side of it.

A whole message in one frame, as most are, is taken from the bytes as it stands. All else is the
library's to read and to judge: fragments, control frames, what breaks a rule, and a frame that the
end of a read cuts. It gets one frame at a time, so that what follows is looked at here again. The
library is strict about frames, but checks no UTF-8 and counts no fragments: that is here.

No client of a server's has a parser for long. Between two messages one remembers nothing of its
client, but takes 1.1 KB. So a connection borrows one for a read and gives it back afterwards. It
keeps the parser only while it is inside of a frame or of a fragmented message, or while its frames
wait to be told.
"""

import codecs
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from typing import Protocol as Interface

from websockets.frames import Frame, Opcode
from websockets.frames import apply_mask as unmask  # type: ignore[attr-defined]  # in C, if it is built
from websockets.protocol import CLIENT, OPEN, SERVER, Protocol, Side

from gateway.wire.events import Answer, Control, End, Event, failure, fitting

quiet = logging.getLogger("gateway.websockets")  # the library's, here and in the handshakes
quiet.setLevel(logging.ERROR)

# A look-up in an enumeration costs as much as a message's other tests.
_TEXT, _BINARY, _CONT = Opcode.TEXT, Opcode.BINARY, Opcode.CONT
_PING, _PONG, _CLOSE = Opcode.PING, Opcode.PONG, Opcode.CLOSE
_PING_SEEN, _PONG_SEEN = Control.PING, Control.PONG
# The first byte of a message in one frame.
_WHOLE_TEXT, _WHOLE_BINARY = 0x80 | _TEXT, 0x80 | _BINARY
_PLAIN_TEXT, _PLAIN = frozenset({_WHOLE_TEXT}), frozenset({_WHOLE_TEXT, _WHOLE_BINARY})
_HEADER_BYTES_MAX = 10  # without the mask
_UTF8: Final[Callable[[], codecs.IncrementalDecoder]] = codecs.getincrementaldecoder("utf-8")


class MessageLimits(Interface):
    """How much is read of a message in fragments."""

    @property
    def fragments_max(self) -> int: ...


class Limits(MessageLimits, Interface):
    """How much is read of one client."""

    @property
    def handshake_bytes(self) -> int: ...
    @property
    def message_bytes(self) -> int: ...
    @property
    def control_frames_per_s(self) -> int: ...


class Parser(Protocol):
    """The library's, of an open connection; it knows whether it stands between two messages.

    Args:
        message_bytes: the largest message.
        side: whose it is; what it reads is the other side's.
        binary: whether binary messages are taken; else the first frame of one is a failure.
    """

    def __init__(self, message_bytes: int, *, side: Side = SERVER, binary: bool = False) -> None:
        super().__init__(side, max_size=message_bytes, logger=quiet)
        self.message_bytes = message_bytes
        self._binary = binary
        self._masked = 128 if side is SERVER else 0  # the bit in the header of each frame
        self._plain = _PLAIN if binary else _PLAIN_TEXT
        self._head = b""  # of a frame that has not told its length yet
        self._owed = 0  # bytes that come before the next frame
        self._read: deque[Any] = deque()  # frames, and what was made of some; not told yet
        self._parts: list[Any] | None = None  # of a fragmented message
        self._decoder: codecs.IncrementalDecoder | None = None  # of one of text
        self._closed = False  # by this side, first
        self._over = self._end_told = False  # the library discards what comes; this was told

    # --- reading ----------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Reads the frames that these bytes complete."""
        at, size = 0, len(data)
        while at < size and not self._over:
            between = not self._owed and not self._head and self.current_size is None
            if between and data[at] in self._plain:
                at = self._messages(data, at)
            if at < size:
                at = self._frame(data, at)

    def _messages(self, data: bytes, at: int) -> int:
        """Takes whole messages, each in one frame; where something else stands.

        What breaks a rule about frames is something else.
        """
        masked, limit, tell = self._masked, self.message_bytes, self._read.append
        size, mask_bytes, plain = len(data), 4 if masked else 0, self._plain
        try:
            while size - at > 3 and (first := data[at]) in plain:
                length, start = data[at + 1] ^ masked, at + 2
                if length == 126:
                    length, start = data[at + 2] << 8 | data[at + 3], at + 4
                elif length > 126:
                    break  # longer than most reads, or the mask is wrong
                end = start + mask_bytes + length
                if length > limit or end > size:
                    break
                payload = data[start:end]
                if masked:
                    payload = unmask(payload[4:], payload[:4])
                tell(str(payload, "utf-8") if first == _WHOLE_TEXT else payload)
                at = end
        except UnicodeDecodeError as error:
            tell(self._no_text(error))
            return size
        return at

    def _frame(self, data: bytes, at: int) -> int:
        """Gives the library what came of the frame that stands there; where that ends."""
        if not self._owed:
            head = self._head + data[at : at + _HEADER_BYTES_MAX]
            extent = _extent(head)
            self._owed = extent - len(self._head) if extent else len(data) - at
            self._head = b"" if extent else head
        end = min(at + self._owed, len(data))
        self._owed -= end - at
        self.receive_data(data[at:end])
        if self.events:
            self._read += self.events_received()
        self._over = self.close_rcvd is not None or self.parser_exc is not None
        if self.writes and not self._over:
            self._pong(*self.data_to_send())
        return end

    def recv_frame(self, frame: Frame) -> None:
        """The library's, which reads no close frame inside of a message.

        RFC 6455 section 5.4 lets it stand there; what was begun counts for nothing.
        """
        if frame.opcode is _CLOSE:
            self.current_size = None
        super().recv_frame(frame)

    def _pong(self, frame: bytes) -> None:
        """Puts the answer to the ping that was just read behind it, and before what follows.

        A server's answers to pings that follow one another are one write. A client, whose server
        may send as many as it likes, answers the last one.
        """
        read = self._read
        if len(read) > 1 and type(read[-2]) is Answer:
            if self.side is SERVER:
                frame = read[-2].frame + frame
            del read[-2]
        read.append(Answer(frame))

    @property
    def waiting(self) -> bool:
        """Whether there are frames that were not told yet."""
        return bool(self._read)

    @property
    def in_message(self) -> bool:
        """Whether what was told ends inside of a fragmented message."""
        return self._parts is not None

    @property
    def unfinished(self) -> bool:
        """Whether the other side owes the rest of a message or of a frame."""
        return self._parts is not None or self._owed > 0 or self._head != b""

    @property
    def at_rest(self) -> bool:
        """Whether nothing in it is of this connection, so that the next one may have it."""
        between = not self._owed and not self._head and self.current_size is None
        return between and self.state is OPEN and not self.writes and not self._read

    def close(self, code: int, reason: str) -> bytes:
        """The close frame of this side's, once; the other side's is still told."""
        self._closed = True
        self.send_close(code, fitting(reason))
        return b"".join(self.data_to_send())

    # --- telling ----------------------------------------------------------------------------------

    def next_event(self, limits: MessageLimits) -> Event | None:
        """What the next frames say, and the answers to pings, each behind its ping."""
        while self._read:
            read = self._read.popleft()
            event: Event | None = self._judged(read, limits) if type(read) is Frame else read
            if event is not None:
                return event
        return self._end() if self._over else None

    def take(self, limits: MessageLimits) -> tuple[list[str | bytes], Answer | End | None]:
        """All of it at once, but that control frames were seen: messages, then what is answered.

        Of several answers to pings that is the last one. What was read behind an `End` counts for
        nothing.
        """
        messages: list[str | bytes] = []
        answer: Answer | None = None
        for read in self._read:
            event = self._judged(read, limits) if type(read) is Frame else read
            if type(event) is str or type(event) is bytes:
                messages.append(event)
            elif type(event) is Answer:
                answer = event
            elif type(event) is End:
                self._read.clear()
                return messages, event
        self._read.clear()
        return messages, self._end() if self._over else answer

    def _judged(self, frame: Frame, limits: MessageLimits) -> Event | None:
        opcode = frame.opcode
        if opcode is _PING:
            return _PING_SEEN
        if opcode is _PONG:
            return _PONG_SEEN
        return None if opcode is _CLOSE else self._data(frame, limits)

    def _data(self, frame: Frame, limits: MessageLimits) -> Event | None:
        opcode = frame.opcode
        if opcode is _BINARY and not self._binary:
            return self._failure(1003, "binary frame: requests are text")
        try:
            if frame.fin and opcode is not _CONT:
                return str(frame.data, "utf-8") if opcode is _TEXT else bytes(frame.data)
            return self._fragment(frame, limits.fragments_max)
        except UnicodeDecodeError as error:
            return self._no_text(error)

    def _fragment(self, frame: Frame, fragments_max: int) -> Event | None:
        if frame.opcode is not _CONT:
            self._parts = []
            self._decoder = _UTF8() if frame.opcode is _TEXT else None
        parts, decoder = self._parts, self._decoder
        assert parts is not None
        if len(parts) >= fragments_max:
            return self._failure(1009, f"message of more than {fragments_max} fragments")
        data = bytes(frame.data)
        parts.append(data if decoder is None else decoder.decode(data, frame.fin))
        if not frame.fin:
            return None
        self._parts = self._decoder = None
        return b"".join(parts) if decoder is None else "".join(parts)

    def _no_text(self, error: UnicodeDecodeError) -> End:
        return self._failure(1007, f"text is not UTF-8: {error.reason} at byte {error.start}")

    def _failure(self, code: int, reason: str) -> End:
        end = failure(code, reason, mask=self.side is CLIENT)
        return end._replace(frame=b"") if self._closed else end

    def _end(self) -> End | None:
        if self._end_told:
            return None
        self._end_told = True
        failed = self.parser_exc is not None
        close = self.close_sent if failed else self.close_rcvd
        assert close is not None
        frame = next((data for data in reversed(self.data_to_send()) if data), b"")
        return End(close.code, close.reason, frame, failed)


def _extent(head: bytes) -> int:
    """Bytes of the frame that begins so; 0 where that is not told yet."""
    if len(head) < 2:
        return 0
    length, size = head[1] & 127, 2 if head[1] < 128 else 6
    if length < 126:
        return size + length
    extended = 2 if length == 126 else 8
    if len(head) < 2 + extended:
        return 0
    return size + extended + int.from_bytes(head[2 : 2 + extended], "big")


class Parsers:
    """Those of one listener. One lies ready: a read gives its own back before the next begins.

    Attributes:
        message_bytes: the largest message, of those that begin from now on.
    """

    __slots__ = ("_binary", "_spare", "message_bytes")

    def __init__(self, message_bytes: int, *, binary: bool = False) -> None:
        self.message_bytes = message_bytes
        self._binary = binary
        self._spare: Parser | None = None

    def take(self) -> Parser:
        """A parser at the start of a message."""
        parser, self._spare = self._spare, None
        if parser is None or parser.message_bytes != self.message_bytes:
            return Parser(self.message_bytes, binary=self._binary)
        return parser

    def give_back(self, parser: Parser) -> None:
        """The next client may have it; it must be at rest."""
        assert parser.at_rest
        self._spare = parser
