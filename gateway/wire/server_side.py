"""The server's side of one WebSocket: bytes in, events out.

Its stages are the handshake, which ends with an answer (`answer`); at rest, where it keeps nothing;
inside of a read or of a message, with a borrowed parser; and over. No input makes it raise. However
the bytes are cut, the events are the same, but that in fewer reads more pongs share an `Answer`,
and that the text about a line that is too long tells how much of it had come.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from websockets.http11 import Request

from gateway.wire.events import Control, End, Event, failure
from gateway.wire.handshake import Accepted, Handshake
from gateway.wire.parser import Limits, Parser, Parsers
from gateway.wire.request import Origins, check, door_of, path_of
from gateway.wire.response import Response


class Endpoint:
    """What the clients of one listener share: what a request must say, how much is read of each.

    Args:
        doors: the subprotocols that are known at each path, of which the client's first is
            chosen; a path that ends with `/*` stands for all below it.
        origins: of the pages that may come.
        limits: of one client.
        pages: by path, answers to requests for no WebSocket.
        binary: whether binary messages are taken.
        bodies: whether a request that becomes no WebSocket may have a body, which is not read.
    """

    def __init__(
        self,
        doors: Mapping[str, Collection[str]],
        origins: Sequence[str],
        limits: Limits,
        pages: Mapping[str, Callable[[], Response]] | None = None,
        *,
        binary: bool = False,
        bodies: bool = False,
    ) -> None:
        self.doors = doors
        self.bodies = bodies
        self._pages = pages or {}
        self.origins = Origins(origins)
        self.limits = limits
        self.parsers = Parsers(limits.message_bytes, binary=binary)

    def reconfigure(self, origins: Sequence[str], limits: Limits) -> None:
        """Of requests and messages that begin from now on; fragments and floods at once."""
        self.origins = Origins(origins)
        self.limits = limits
        self.parsers.message_bytes = limits.message_bytes

    def check(self, request: Request) -> Response | None:
        """What speaks against a request, before the library has its say (`ServerSide.answer`)."""
        return check(request, self.doors, self.origins, self._pages)

    def page(self, request: Request) -> Response | None:
        """The answer to a request that asks for no WebSocket, which nothing speaks against."""
        page = self._pages.get(path_of(request.path))
        return None if page is None else page()


class _Over:
    """The last stage; of a flood the end is told behind its last frame."""

    __slots__ = ("_end",)

    waiting = in_message = unfinished = False

    def __init__(self, end: End | None = None) -> None:
        self._end = end

    def receive(self, data: bytes) -> None:
        """Discards it."""

    def next_event(self, _: Limits) -> End | None:
        end, self._end = self._end, None
        return end


class ServerSide:
    """One client's; it writes nothing itself."""

    __slots__ = ("_controls", "_endpoint", "_second", "_stage")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._stage: Handshake | Parser | _Over | None = Handshake(
            bodies=endpoint.bodies, limit=endpoint.limits.handshake_bytes
        )
        self._controls = self._second = 0

    @property
    def at_rest(self) -> bool:
        """Whether it keeps nothing of what its client said."""
        return self._stage is None

    @property
    def waiting(self) -> bool:
        """Whether frames were read that are not told yet."""
        return self._stage is not None and self._stage.waiting

    @property
    def in_message(self) -> bool:
        """Whether what was told ends inside of a fragmented message."""
        return self._stage is not None and self._stage.in_message

    @property
    def unfinished(self) -> bool:
        """Whether the client owes the rest of a message or of a frame."""
        return self._stage is not None and self._stage.unfinished

    def receive(self, data: bytes) -> None:
        """Takes what the client sent; what it means is told by `next_event`."""
        stage = self._stage
        if stage is None:
            stage = self._stage = self._endpoint.parsers.take()
        stage.receive(data)

    def next_event(self, now_ns: int) -> Event | None:
        """What the bytes so far mean, one after the other.

        Args:
            now_ns: when the last of them came, on a clock that never goes back.

        Returns:
            A `Request`, to be answered before all else (`answer`), or the `Response` to what is
            none; then messages and control frames, an `Answer` behind the pings that follow one
            another, and one `End`. None where the next bytes must be awaited.
        """
        stage = self._stage
        if stage is None:
            return None
        event = stage.next_event(self._endpoint.limits)
        kind = type(event)
        if kind is str:
            return event
        if event is None:
            if isinstance(stage, Parser) and stage.at_rest:
                self._stage = None
                self._endpoint.parsers.give_back(stage)
        elif kind is Control:
            self._count(now_ns // 1_000_000_000)
        elif kind is End or kind is Response:
            self._stage = _Over()
        return event

    def answer(self, other: Response | None) -> Accepted | Response:
        """The answer to the request that the last event was; frames may follow.

        Args:
            other: what speaks against it, or what it asks for; None leaves it to the library.
        """
        handshake = self._stage
        assert isinstance(handshake, Handshake)
        answer = other or self._accept(handshake)
        if not isinstance(answer, Accepted):
            self._stage = _Over()
        else:
            self._stage = None
            if handshake.rest:
                self.receive(handshake.rest)
        return answer

    def _accept(self, handshake: Handshake) -> Accepted | Response:
        doors = self._endpoint.doors
        door = door_of(path_of(handshake.target), doors)
        assert door is not None, "nothing but what the endpoint has checked"
        return handshake.accept(door, doors[door])

    def _count(self, second: int) -> None:
        if second != self._second:
            self._second, self._controls = second, 0
        self._controls += 1
        limit = self._endpoint.limits.control_frames_per_s
        if self._controls > limit:
            reason = f"control frames: more than {limit} a second"
            self._stage = _Over(failure(4029, reason))
