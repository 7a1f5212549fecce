"""One WebSocket of the ops listener: messages wait to be served, sends wait for the kernel.

What bytes mean is `gateway.wire`'s, as for clients. The transport holds nothing back: a send is
over when the kernel has taken it all. While some messages wait the socket is not read. The first
end wins: a close frame is sent, then nothing more; what still comes is discarded until the client
hangs up or its time is over.
"""

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import Final

from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from gateway.wire.events import Answer, Control, End, Event, failure
from gateway.wire.server_side import ServerSide

MESSAGES_QUEUED_MAX: Final = 4
"""Requests that wait for the one before them; meanwhile the socket is not read."""
MESSAGE_TIMEOUT_S: Final = 10.0
"""From a message's first byte to its last, as `limits.message_timeout_s` is on the clients'
listener."""
CLOSE_TIMEOUT_S: Final = 5.0
"""From our close frame, or the client's end, to that of the connection; then it is cut."""
ABNORMAL: Final = 1006
"""RFC 6455 section 7.4.1: no close frame was received."""
_PING: Final = Frame(Opcode.PING, b"").serialize(mask=False)


def write_last(transport: asyncio.Transport, data: bytes) -> None:
    """Nothing more is said; what still comes is to be discarded, until the client hangs up."""
    transport.write(data)
    if not transport.can_write_eof():  # TLS: its end is that of both sides
        transport.close()
        return
    with suppress(OSError):  # a client that has reset it has no end that could be closed
        transport.write_eof()
    transport.resume_reading()


class Connection:
    """What sessions and streams have of a client. All that waits raises when it has ended.

    Attributes:
        request: the one that it began with.
        close_code: why it ended; None while it is open.
    """

    def __init__(self, transport: asyncio.Transport, wire: ServerSide, request: Request) -> None:
        self.request = request
        self.close_code: int | None = None
        self._transport = transport
        self._wire = wire
        self._messages: deque[str] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._pong = asyncio.Event()
        self._gone = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None  # of an unfinished message, or of the end
        self._room.set()
        transport.set_write_buffer_limits(0)

    # --- for those who serve it -------------------------------------------------------------------

    def __aiter__(self) -> "Connection":
        """Its messages, without end."""
        return self

    async def __anext__(self) -> str:
        """The next message.

        Raises:
            ConnectionError: as all below, when it has ended.
        """
        while not self._messages:
            self._check()
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        self.read()
        return message

    async def send(self, payload: bytes, *, text: bool = False) -> None:
        """Returns when the kernel has taken it."""
        self._check()
        opcode = Opcode.TEXT if text else Opcode.BINARY
        self._transport.write(Frame(opcode, payload).serialize(mask=False))
        await self._room.wait()
        self._check()

    async def ping(self) -> None:
        """Returns when a pong has come."""
        self._check()
        self._pong.clear()
        self._transport.write(_PING)
        await self._pong.wait()
        self._check()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Ends it, if nothing else did, and returns when the client has hung up or is cut."""
        self._end(failure(code, reason))
        await self._gone.wait()

    def abort(self) -> None:
        """Cuts it, with all that the kernel has not taken yet."""
        self._transport.abort()

    def _check(self) -> None:
        if self.close_code is not None:
            raise ConnectionError(f"the connection has ended: {self.close_code}")

    # --- for its transport ------------------------------------------------------------------------

    def receive(self, data: bytes) -> bool:
        """Takes what the client sent; False where it is discarded."""
        if self.close_code is not None:
            return False
        self._wire.receive(data)
        self.read()
        return True

    def read(self) -> None:
        """Goes on with what was received, then with the socket, as far as there is room."""
        while self.close_code is None:
            if len(self._messages) >= MESSAGES_QUEUED_MAX:
                self._transport.pause_reading()
                return
            event = self._wire.next_event(time.monotonic_ns())
            if event is None:
                break
            self._tell(event)
        self._transport.resume_reading()
        if self.close_code is None and self._wire.unfinished and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(MESSAGE_TIMEOUT_S, self._too_late)

    def _tell(self, event: Event) -> None:
        if isinstance(event, str):
            self._messages.append(event)
            self._arrived.set()
            self._stop_timer()
        elif isinstance(event, Control):
            if event is Control.PONG:
                self._pong.set()
            if not self._wire.in_message:
                self._stop_timer()  # what was begun is finished
        elif isinstance(event, Answer):
            self._transport.write(event.frame)
        else:
            assert isinstance(event, End)
            self._end(event)

    def hold(self, *, back: bool) -> None:
        """Whether the kernel takes no more for now."""
        if back and self.close_code is None:
            self._room.clear()
        else:
            self._room.set()

    def hung_up(self) -> None:
        """The client says no more, without a goodbye."""
        self._over(ABNORMAL)

    def lost(self) -> None:
        """Nothing more comes or goes."""
        self._over(ABNORMAL)
        self._stop_timer()
        self._gone.set()

    # --- the end ----------------------------------------------------------------------------------

    def _too_late(self) -> None:
        self._end(failure(1008, f"message not finished within {MESSAGE_TIMEOUT_S:g} s"))

    def _end(self, end: End) -> None:
        if self._over(end.code):
            write_last(self._transport, end.frame)

    def _over(self, code: int) -> bool:
        if self.close_code is not None:
            return False
        self.close_code = code
        self._messages.clear()
        for waited in (self._arrived, self._room, self._pong):
            waited.set()
        self._stop_timer()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(CLOSE_TIMEOUT_S, self._transport.abort)
        return True

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
