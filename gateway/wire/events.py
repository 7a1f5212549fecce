"""What a client's bytes mean.

A text message is its `str`, a binary one its `bytes`: most events are messages, and each costs no
more than itself.
"""

import struct
from enum import Enum
from typing import NamedTuple

from websockets.http11 import Request

from gateway.wire.response import Response

REASON_BYTES_MAX = 123
"""What RFC 6455 section 5.5 leaves of a control frame behind the code."""


class Control(Enum):
    """A control frame that was seen; what it asks for is an `Answer` of its own."""

    PING = 9
    PONG = 10


class Answer(NamedTuple):
    """The protocol's own answer, to be written. Of several pongs the last one counts."""

    frame: bytes


class End(NamedTuple):
    """The last event: what still comes is discarded.

    Attributes:
        code: as it goes into the books; 1005 where the client gave none.
        reason: the client's, or why it is failed.
        frame: the close frame to be written.
    """

    code: int
    reason: str
    frame: bytes


Event = Request | Response | str | bytes | Control | Answer | End


def frame_close(code: int, reason: str) -> bytes:
    """A close frame of the server's; the reason is cut to what fits, at a whole character."""
    text = reason.encode()[:REASON_BYTES_MAX].decode("utf-8", "ignore").encode()
    return struct.pack("!BBH", 0x88, 2 + len(text), code) + text


def failure(code: int, reason: str) -> End:
    """The end of a client that broke a rule."""
    return End(code, reason, frame_close(code, reason))
