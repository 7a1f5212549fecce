"""How a client's bytes come and go: one class for each kind of connection; TLS is in `secure.py`.

A plain socket, of TCP or of this host (`listen.unix`), is read by the loop; over TLS the plane
reads as well, once it has the client. What is written goes out here only while the plane does not
know the client: then it takes the write side over, from its first bytes on.
"""

import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from gateway.networks import canonical

if TYPE_CHECKING:
    from gateway._native import Plane
    from gateway.server.readers import Reader, Readers
    from gateway.session.actions import Reply

RECEIVE_BYTES: Final = 16 << 10
"""Taken in one read: also what may wait here, as frames, for the replies before them to leave."""
TCP_NOTSENT_LOWAT: Final = 25
NOTSENT_BYTES: Final = 16 << 10
"""Unsent bytes that the kernel may hold: with its defaults a client that never reads hides 4 MB."""
USER_TIMEOUT_S: Final = 10
"""Beyond what the data plane lets a stalled client have: then the kernel gives up as well."""
UNIX_SEND_BYTES: Final = 32 << 10
"""What a client of this host may leave unread in the kernel, which counts some twice as much."""
ABORT: Final = struct.pack("ii", 1, 0)
_CREDENTIALS: Final = struct.Struct("iII")
_buffer = bytearray(RECEIVE_BYTES)
_view = memoryview(_buffer)


class Transport(Protocol):
    """What a connection asks of it."""

    @property
    def fd(self) -> int:
        """The descriptor, until it is closed."""

    @property
    def peer_names(self) -> Sequence[str]:
        """Who the client is by the certificate that it has proved to have (`tls.client_ca`).

        Its alternative names, never a text of its subject: a host as it is, others with their kind
        before them, `email:`, `uri:` or `ip:`. None where no certificate was asked for.
        """

    @property
    def costly(self) -> bool:
        """Whether the next read may take as long as a signature (`Readers`)."""

    def watch(self, readers: "Readers", reader: "Reader") -> None:
        """Has the reader told of what comes, from now on.

        Raises:
            OSError: the host gives no memory for it.
        """

    def unwatch(self, readers: "Readers") -> None:
        """Has it told no more."""

    def told(self) -> None:
        """What the plane had read has been told: the next has to be asked for (`watch`)."""

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
        self,
        plane: "Plane",
        first: bytes,
        hello: "Reply | None",
        form: int,
        grant: int = 0,
        tenant: int = 0,
    ) -> int:
        """Gives the write side to the plane, with its first bytes and message, if any; the handle.

        Raises:
            OverflowError: the plane has no room.
        """

    def abort(self) -> None:
        """Lets the close, which is still to come, drop what the kernel holds for the client."""

    def close(self) -> None:
        """Closes the descriptor."""


def peer_of(sock: socket.socket, address: object) -> str:
    """Whom limits by address count: the address, or of a client of this host its user."""
    if isinstance(address, tuple):
        return canonical(address[0]) if ":" in address[0] else str(address[0])
    size = _CREDENTIALS.size
    _, user, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return f"unix:{user}"


def prepare(listening: socket.socket, stall_max_s: int) -> None:
    """Sets what accepted sockets inherit from the listening one."""
    if listening.family == socket.AF_UNIX:
        return
    timeout_ms = (stall_max_s + USER_TIMEOUT_S) * 1000
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_BYTES)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)


class Plain:
    """A socket as it is."""

    __slots__ = ("_sock",)
    peer_names: Sequence[str] = ()
    costly = False

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        if sock.family == socket.AF_UNIX:  # where there is no TCP_NOTSENT_LOWAT
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNIX_SEND_BYTES)

    @property
    def fd(self) -> int:
        """As of any transport, like all that follows."""
        return self._sock.fileno()

    def watch(self, readers: "Readers", reader: "Reader") -> None:
        readers.add_reader(self.fd, reader)

    def unwatch(self, readers: "Readers") -> None:
        readers.remove_reader(self.fd)

    def told(self) -> None:
        raise AssertionError("the plane does not read plain sockets")

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
        self,
        plane: "Plane",
        first: bytes,
        hello: "Reply | None",
        form: int,
        grant: int = 0,
        tenant: int = 0,
    ) -> int:
        payload, slots = (None, ()) if hello is None else (hello.payload, hello.slots)
        return plane.add(self.fd, first, payload, slots, format=form, grant=grant, tenant=tenant)

    def abort(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)

    def close(self) -> None:
        self._sock.close()
