"""An open connection's bytes become messages: the library reads frames, what it leaves is here.

The library is strict about frames, but checks no UTF-8 and counts no fragments.

No client has a parser for long. Between two messages one of the library's remembers nothing of its
client, but takes 1.1 KB. So a connection borrows one for a read and gives it back afterwards. It
keeps the parser only while it is inside of a frame or of a fragmented message, or while its frames
wait to be told.
"""

import codecs
import logging
from collections.abc import Callable
from typing import Any, Final
from typing import Protocol as Interface

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol

from gateway.wire.events import Answer, Control, End, Event, failure
from gateway.wire.place import Place

quiet = logging.getLogger("gateway.websockets")  # the library's, here and in the handshake
quiet.setLevel(logging.ERROR)

# A look-up in an enumeration costs as much as a message's other tests.
_TEXT, _BINARY, _CONT = Opcode.TEXT, Opcode.BINARY, Opcode.CONT
_PING, _PONG, _CLOSE = Opcode.PING, Opcode.PONG, Opcode.CLOSE
_PING_SEEN, _PONG_SEEN = Control.PING, Control.PONG
_UTF8: Final[Callable[[], codecs.IncrementalDecoder]] = codecs.getincrementaldecoder("utf-8")


class Limits(Interface):
    """How much is read of one client."""

    @property
    def message_bytes(self) -> int: ...
    @property
    def fragments_max(self) -> int: ...
    @property
    def control_frames_per_s(self) -> int: ...


class Parser(Protocol):
    """The library's, of an open connection; it knows whether it stands between two messages.

    Args:
        message_bytes: the largest message.
        binary: whether binary messages are taken; else the first frame of one ends the client.
    """

    def __init__(self, message_bytes: int, *, binary: bool = False) -> None:
        super().__init__(SERVER, max_size=message_bytes, logger=quiet)
        self.message_bytes = message_bytes
        self._binary = binary
        self._place = Place(self)
        self._frames: list[Any] = []  # that are not told yet, the next one last
        self._parts: list[Any] | None = None  # of a fragmented message
        self._decoder: codecs.IncrementalDecoder | None = None  # of one of text

    def receive(self, data: bytes) -> None:
        """Reads the frames that these bytes complete."""
        self.receive_data(data)
        frames = self.events_received()
        frames.reverse()
        self._frames = frames + self._frames if self._frames else frames

    @property
    def waiting(self) -> bool:
        """Whether there are frames that were not told yet."""
        return bool(self._frames)

    @property
    def in_message(self) -> bool:
        """Whether what was told ends inside of a fragmented message."""
        return self._parts is not None

    @property
    def unfinished(self) -> bool:
        """Whether the client owes the rest of a message or of a frame."""
        return self._parts is not None or not self._place.between_frames

    @property
    def at_rest(self) -> bool:
        """Whether nothing in it is of this client, so that the next one may have it."""
        between = self._place.between_frames and self.current_size is None
        return between and self.state is OPEN and not self.writes and not self._frames

    def next_event(self, limits: Limits) -> Event | None:
        """What the next frames say; then the library's own answer, if there is one."""
        while self._frames:
            frame = self._frames.pop()
            opcode = frame.opcode
            if opcode is _PING:
                return _PING_SEEN
            if opcode is _PONG:
                return _PONG_SEEN
            if opcode is not _CLOSE and (event := self._data(frame, limits)) is not None:
                return event
        return self._answer() if self.writes else None

    def _data(self, frame: Frame, limits: Limits) -> Event | None:
        opcode = frame.opcode
        if opcode is _BINARY and not self._binary:
            return failure(1003, "binary frame: requests are text")
        try:
            if frame.fin and opcode is not _CONT:
                return str(frame.data, "utf-8") if opcode is _TEXT else bytes(frame.data)
            return self._fragment(frame, limits.fragments_max)
        except UnicodeDecodeError as error:
            return failure(1007, f"text is not UTF-8: {error.reason} at byte {error.start}")

    def _fragment(self, frame: Frame, fragments_max: int) -> Event | None:
        if frame.opcode is not _CONT:
            self._parts = []
            self._decoder = _UTF8() if frame.opcode is _TEXT else None
        parts, decoder = self._parts, self._decoder
        assert parts is not None
        if len(parts) >= fragments_max:
            return failure(1009, f"message of more than {fragments_max} fragments")
        data = bytes(frame.data)
        parts.append(data if decoder is None else decoder.decode(data, frame.fin))
        if not frame.fin:
            return None
        self._parts = self._decoder = None
        return b"".join(parts) if decoder is None else "".join(parts)

    def _answer(self) -> Event:
        out = self.data_to_send()
        if self.state is OPEN:
            return Answer(out[-1])
        close = self.close_sent
        assert close is not None
        return End(close.code, close.reason, next(data for data in reversed(out) if data))


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
