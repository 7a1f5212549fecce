"""A client of `gateway.wire` without a socket: sends what it is told, and shows what it meant."""

import io
from collections.abc import Iterable

from websockets.http11 import Request

from gateway.dialects.tickgate import PATH
from gateway.options import LimitsOptions
from gateway.wire.events import Answer, Control, End, Event
from gateway.wire.handshake import Accepted
from gateway.wire.parser import Limits
from gateway.wire.response import Response
from gateway.wire.server_side import Endpoint, ServerSide
from support.wire import ACCEPT, CLOSE, PONG, read_frame, request

SECOND = 1_000_000_000


def endpoint(
    limits: Limits | None = None, *, binary: bool = False, bodies: bool = False
) -> Endpoint:
    """One that knows our JSON, with the usual limits."""
    limits = LimitsOptions() if limits is None else limits
    return Endpoint({PATH: ["tickgate.v1.json"]}, [], limits, binary=binary, bodies=bodies)


class Sans:
    """One client's stream of bytes, as the server's side sees it.

    Attributes:
        events: all so far; a request that becomes a WebSocket is its `Accepted`, one that does not
            its `Response`.
        now_ns: when what is sent comes.
    """

    def __init__(self, shared: Endpoint | None = None) -> None:
        self._shared = shared or endpoint()
        self.side = ServerSide(self._shared)
        self.events: list[Event | Accepted] = []
        self.now_ns = 5 * SECOND

    def open(self) -> "Sans":
        """The whole handshake, which `events` has nothing of."""
        self.send(request())
        (accepted,) = self.events
        assert isinstance(accepted, Accepted)
        assert f"Sec-WebSocket-Accept: {ACCEPT}\r\n".encode() in accepted.response
        self.events.clear()
        return self

    def send(self, *pieces: bytes) -> "Sans":
        """Each in a read of its own."""
        for piece in pieces:
            self.side.receive(piece)
            while (event := self.side.next_event(self.now_ns)) is not None:
                assert not self.over, "events after the last one"
                self.events.append(self._judged(event))
        return self

    def _judged(self, event: Event) -> Event | Accepted:
        if isinstance(event, Request):
            return self.side.answer(self._shared.check(event) or self._shared.page(event))
        return event

    # --- what it meant ----------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether the last event was told."""
        return bool(self.events) and isinstance(self.events[-1], End | Response)

    @property
    def messages(self) -> list[str | bytes]:
        """Texts and binary messages, in order."""
        return [event for event in self.events if isinstance(event, str | bytes)]

    @property
    def controls(self) -> list[Control]:
        """Pings and pongs, in order."""
        return [event for event in self.events if isinstance(event, Control)]

    @property
    def pongs(self) -> list[bytes]:
        """Payloads of those that are to be written."""
        answers = [event for event in self.events if isinstance(event, Answer)]
        return [payload for answer in answers for payload in pongs(answer)]

    @property
    def closed(self) -> tuple[int, str]:
        """Code and reason, as the close frame says and the books have it; 0 while it is open."""
        if not self.over:
            return 0, ""
        end = self.events[-1]
        assert isinstance(end, End)
        opcode, payload = whole(end.frame)
        assert opcode == CLOSE
        code, reason = 1005, ""
        if payload:
            code, reason = int.from_bytes(payload[:2], "big"), payload[2:].decode()
        assert (end.code, end.reason) == (code, reason)
        return code, reason


def controls(data: bytes) -> list[tuple[int, bytes]]:
    """Opcodes and payloads of the control frames that these bytes are."""
    stream, frames = io.BytesIO(data), []
    while stream.tell() < len(data):
        frame = read_frame(stream.read)
        assert frame.fin
        assert len(frame.payload) <= 125
        frames.append((frame.opcode, frame.payload))
    return frames


def whole(data: bytes) -> tuple[int, bytes]:
    """Opcode and payload of the one control frame that these bytes are."""
    (frame,) = controls(data)
    return frame


def pongs(answer: Answer) -> list[bytes]:
    """Payloads of those that an answer is."""
    frames = controls(answer.frame)
    assert frames
    assert all(opcode == PONG for opcode, _ in frames)
    return [payload for _, payload in frames]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The bytes in pieces that end at these places, and at the end."""
    ends = sorted({place for place in places if 0 < place < len(data)} | {len(data)})
    starts = [0, *ends[:-1]]
    return [data[start:end] for start, end in zip(starts, ends, strict=True)]
