"""How a client's bytes come and go: one class for each kind of connection, so far plain sockets.

A transport is read by the loop. What is written goes out here only while the data plane does not
know the client: then the plane takes the write side over, from its first bytes on.
"""

import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from gateway._native import Plane
    from gateway.session.actions import Reply

RECEIVE_BYTES: Final = 16 << 10
"""Taken in one read: also what may wait here, as frames, for the replies before them to leave."""
TCP_NOTSENT_LOWAT: Final = 25
NOTSENT_BYTES: Final = 16 << 10
"""Unsent bytes that the kernel may hold: with its defaults a client that never reads hides 4 MB."""
USER_TIMEOUT_S: Final = 10
"""Beyond what the data plane lets a stalled client have: then the kernel gives up as well."""
_ABORT: Final = struct.pack("ii", 1, 0)
_buffer = bytearray(RECEIVE_BYTES)
_view = memoryview(_buffer)


class Transport(Protocol):
    """What a connection asks of it."""

    @property
    def fd(self) -> int:
        """The descriptor, until it is closed."""

    @property
    def peer_names(self) -> Sequence[str]:
        """Who the client is, by the names in a certificate that was verified; none without."""

    def receive(self) -> bytes | None:
        """What came: b"" is the end of the stream, None that nothing came.

        Raises:
            OSError: the connection is lost.
        """

    def answer(self, data: bytes) -> None:
        """Writes the only bytes that the client will get, and ends the write side.

        Raises:
            OSError: the connection is lost.
        """

    def hand_over(
        self, plane: "Plane", first: bytes, hello: "Reply | None", form: int, grant: int = 0
    ) -> int:
        """Gives the write side to the plane, with its first bytes and message, if any; the handle.

        Raises:
            OverflowError: the plane has no room.
        """

    def abort(self) -> None:
        """Lets the close, which is still to come, drop what the kernel holds for the client."""

    def close(self) -> None:
        """Closes the descriptor."""


def prepare(listening: socket.socket, stall_max_s: int) -> None:
    """Sets what accepted TCP sockets inherit from the listening one."""
    timeout_ms = (stall_max_s + USER_TIMEOUT_S) * 1000
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_BYTES)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)


class Plain:
    """A socket as it is."""

    __slots__ = ("_sock",)
    peer_names: Sequence[str] = ()

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    @property
    def fd(self) -> int:
        """As of any transport, like all that follows."""
        return self._sock.fileno()

    def receive(self) -> bytes | None:
        try:
            count = self._sock.recv_into(_buffer, RECEIVE_BYTES, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return None
        return bytes(_view[:count])

    def answer(self, data: bytes) -> None:
        self._sock.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        self._sock.shutdown(socket.SHUT_WR)

    def hand_over(
        self, plane: "Plane", first: bytes, hello: "Reply | None", form: int, grant: int = 0
    ) -> int:
        if hello is None:
            return plane.add(self.fd, first, None, format=form, grant=grant)
        return plane.add(self.fd, first, hello.payload, hello.slots, format=form, grant=grant)

    def abort(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)

    def close(self) -> None:
        self._sock.close()
