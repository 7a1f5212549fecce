"""WebSocket frames: the server's own are written here, those of clients read. Sans-IO.

No client has a parser for long. Between two messages one of the library's remembers nothing of its
client, but takes 1.1 KB. So a connection borrows one for a read and gives it back afterwards. It
keeps the parser only while it is inside of a frame or of a fragmented message, or while its frames
wait for room in its control queue.
"""

import logging
import struct
from typing import TYPE_CHECKING

from websockets.protocol import OPEN, SERVER, Protocol

from gateway.session.place import Place

if TYPE_CHECKING:
    from websockets.frames import Frame

REASON_BYTES_MAX = 123
quiet = logging.getLogger("gateway.websockets")  # the library's, here and in the handshake
quiet.setLevel(logging.ERROR)


def frame_close(code: int, reason: str) -> bytes:
    """A close frame of the server's; the reason is cut to what fits (RFC 6455 section 5.5)."""
    text = reason.encode()[:REASON_BYTES_MAX].decode("utf-8", "ignore").encode()
    return struct.pack("!BBH", 0x88, 2 + len(text), code) + text


class Parser(Protocol):
    """The library's, of an open connection; it knows whether it stands between two messages."""

    def __init__(self, message_bytes: int) -> None:
        super().__init__(SERVER, max_size=message_bytes, logger=quiet)
        self.message_bytes = message_bytes
        self._place = Place.in_(self)

    def frames(self, data: bytes) -> "list[Frame]":
        """The frames that these bytes complete."""
        self.receive_data(data)
        return self.events_received()  # type: ignore[return-value]

    @property
    def between_frames(self) -> bool:
        """Whether the last byte was the last of a frame."""
        return self._place.between_frames

    @property
    def at_rest(self) -> bool:
        """Whether nothing in it is of this client, so that the next one may have it."""
        between = self.between_frames and self.current_size is None
        return between and self.state is OPEN and not self.writes


class Parsers:
    """Those of one worker. One lies ready: a read gives its own back before the next begins.

    Attributes:
        message_bytes: the largest message, of those that begin from now on.
    """

    __slots__ = ("_spare", "message_bytes")

    def __init__(self, message_bytes: int) -> None:
        self.message_bytes = message_bytes
        self._spare: Parser | None = None

    def take(self) -> Parser:
        """A parser at the start of a message."""
        parser, self._spare = self._spare, None
        if parser is None or parser.message_bytes != self.message_bytes:
            return Parser(self.message_bytes)
        return parser

    def give_back(self, parser: Parser) -> None:
        """The next client may have it; it must be at rest."""
        assert parser.at_rest
        self._spare = parser
