"""The control channel between supervisor and child: messages, some with descriptors.

One SOCK_SEQPACKET pair per child. The kernel keeps message borders, so there is no framing; end of
file means that the other side is gone, however it died. Nothing here blocks a loop: a send that
finds the buffer full says so, and the caller decides whether the message may be lost. What comes
and is no message of `messages.py` is a value too: its reader logs it and goes on.
"""

import asyncio
import os
import select
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.supervisor.messages import Message, MessageError, decode, encode

MESSAGE_BYTES_MAX = 1 << 17
"""Largest message: a configuration with all its feeds is a few KiB; the kernel's default buffer
takes 208 KiB."""
DESCRIPTORS_MAX = 4
"""Descriptors in one message: a segment is one."""
RETRY_S = 0.05
"""How often `deliver` tries a full buffer again."""


@dataclass(frozen=True)
class Received:
    """One message; the receiver owns the descriptors, as many as `messages.DESCRIPTORS` says."""

    message: Message
    fds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Refused:
    """What came is no message: what type it says it is, and which member is wrong and why."""

    type: str
    problem: str


def fits(message: Message) -> bool:
    """Whether a message is small enough to be sent."""
    return len(encode(message)) <= MESSAGE_BYTES_MAX


class Channel:
    """One end of a control channel, on the running event loop's thread."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._peer_gone = False

    @staticmethod
    def pair() -> tuple["Channel", socket.socket]:
        """A channel and the other side's socket, to be inherited by a child."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return Channel(ours), theirs

    def send(self, message: Message, fds: Sequence[int] = ()) -> bool:
        """Sends one message with copies of `fds`; False: the buffer is full or the peer gone.

        Raises:
            ValueError: the message is larger than MESSAGE_BYTES_MAX.
        """
        data = encode(message)
        if len(data) > MESSAGE_BYTES_MAX:
            raise ValueError(f"control message of {len(data)} bytes, at most {MESSAGE_BYTES_MAX}")
        try:
            socket.send_fds(self._socket, [data], fds, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return False
        except ConnectionError:
            self._peer_gone = True
            return False
        return True

    async def deliver(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Sends a message that must not be lost: waits out a full buffer while the peer lives."""
        while not self.send(message, fds) and not self._peer_gone:  # noqa: ASYNC110 (a full buffer has no event)
            await asyncio.sleep(RETRY_S)

    async def receive(self) -> Received | Refused | None:
        """What comes next; None at end of file (the peer closed, exited or was killed)."""
        await asyncio.sleep(0)  # what comes without a pause leaves others their turn
        while True:
            try:
                return self._take()
            except BlockingIOError:
                await readable(self._socket.fileno())

    def receive_now(self) -> Received | Refused | None:
        """As `receive`, blocking the thread: the first message, before a loop runs."""
        self._socket.setblocking(True)
        try:
            return self._take()
        finally:
            self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def _ended(self) -> bool:
        """Whether the peer sends no more: to a reader, its end looks like an empty message."""
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    def _take(self) -> Received | Refused | None:
        # Not socket.recv_fds: it ignores its flags, and a descriptor must not leak into a child.
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(
                MESSAGE_BYTES_MAX,
                socket.CMSG_SPACE(DESCRIPTORS_MAX * struct.calcsize("i")),
                socket.MSG_CMSG_CLOEXEC,
            )
        except ConnectionError:
            return None
        if not data and not ancillary and self._ended():
            return None
        fds = [
            fd
            for level, kind, payload in ancillary
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            for (fd,) in struct.iter_unpack("i", payload)
        ]
        try:
            if not data:
                raise MessageError("", "it is empty")
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise MessageError("", f"cut off: over {MESSAGE_BYTES_MAX} bytes or descriptors")
            return Received(decode(data, len(fds)), tuple(fds))
        except MessageError as error:
            for fd in fds:
                os.close(fd)
            return Refused(error.type, str(error))


async def readable(fd: int) -> None:
    """Returns once the descriptor is readable."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
