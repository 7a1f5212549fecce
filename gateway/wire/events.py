"""What the other side's bytes mean.

A text message is its `str`, a binary one its `bytes`: most events are messages, and each costs no
more than itself.
"""

import struct
from enum import Enum
from typing import NamedTuple

from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from gateway.wire.response import Response

REASON_BYTES_MAX = 123
"""What RFC 6455 section 5.5 leaves of a control frame behind the code."""


class Control(Enum):
    """A control frame that was seen; what it asks for is an `Answer` of its own."""

    PING = 9
    PONG = 10


class Answer(NamedTuple):
    """The protocol's own answer, to be written: pongs, one behind the other.

    A server's are all told, each behind what was read before its ping; a client's last one of a
    read is.
    """

    frame: bytes


class End(NamedTuple):
    """The last event: what still comes is discarded.

    Attributes:
        code: as it goes into the books; 1005 where the other side gave none.
        reason: the other side's, or why it is failed.
        frame: the close frame to be written; empty where ours went before.
        failed: whether the other side broke a rule; else it said goodbye.
    """

    code: int
    reason: str
    frame: bytes
    failed: bool = False


Event = Request | Response | str | bytes | Control | Answer | End


def fitting(reason: str) -> str:
    """A close frame's reason, cut to what fits, at a whole character."""
    return reason.encode()[:REASON_BYTES_MAX].decode("utf-8", "ignore")


def frame_close(code: int, reason: str, *, mask: bool = False) -> bytes:
    """A close frame, masked if it is a client's; the reason is cut to what fits."""
    payload = struct.pack("!H", code) + fitting(reason).encode()
    return Frame(Opcode.CLOSE, payload).serialize(mask=mask)


def failure(code: int, reason: str, *, mask: bool = False) -> End:
    """The end of one that broke a rule."""
    return End(code, reason, frame_close(code, reason, mask=mask), failed=True)
