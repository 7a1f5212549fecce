"""A client over TLS, as a transport: OpenSSL's connection has one owner at a time.

The loop has it for the handshake, in steps of one signature at most, and for the request. Before
that it keeps the bytes of the first message until that is whole: only then is a connection made,
which takes 70 KB. With the first bytes of the answer it goes over to the plane, which reads as well
then, a record at a time, and tells the loop.
"""

import errno
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from gateway import log
from gateway import tls as certificates
from gateway._native import (
    TLS_HELLO_MAX,
    TlsConnection,
    TlsContext,
    TlsFileError,
    tls_hello,
)
from gateway.server.transport import ABORT, RECEIVE_BYTES

if TYPE_CHECKING:
    from gateway._native import Plane
    from gateway.options import TlsOptions
    from gateway.server.admission import Budget
    from gateway.server.readers import Reader, Readers
    from gateway.session.actions import Reply

RECORDS_PER_READ: Final = 4
"""Looked at in one read while the handshake is the loop's: tickets and the like are records too."""
HANDSHAKE_BYTES: Final = 160 << 10
"""What OpenSSL may hold for a handshake: most, with a chain as long as may be."""
CONNECTION_BYTES: Final = 16 << 10
"""What it holds after that, until the plane has it: 14 KB, its buffers being released."""

_log = log.get("server")


class Door:
    """What the handshakes of one listener share.

    Args:
        options: with a certificate.
        name: the listener's.
        tickets_fd: the page of ticket keys; -1: it has keys of its own.
        handshakes_max: that may be unfinished, of those that take memory.
        memory: from which clients take what they hold before the plane has them.
        count: told how each ended, by its place in `TLS_HANDSHAKES`.
    """

    def __init__(
        self,
        options: "TlsOptions",
        name: str,
        tickets_fd: int,
        handshakes_max: int,
        memory: "Budget",
        count: Callable[[str], None],
    ) -> None:
        self._name = name
        self._tickets_fd = tickets_fd
        self._tickets: list[bytes] = []
        self.handshakes_max = handshakes_max
        self.memory = memory
        self.count = count
        self.unfinished = 0
        self._of: Counter[str] = Counter()  # of these, each address'
        self.context = self._made(options)

    def begin(self, address: str) -> bool:
        """Whether one more may take memory: an address has no more than it leaves to all others.

        Args:
            address: as which it is counted; "": it is a proxy's, and many clients'.
        """
        left = self.handshakes_max - self.unfinished
        if left <= (self._of[address] if address else 0):
            return False
        self.unfinished += 1
        self._of[address] += 1
        return True

    def end(self, address: str) -> None:
        """One less."""
        self.unfinished -= 1
        self._of[address] -= 1
        if not self._of[address]:
            del self._of[address]

    def _made(self, options: "TlsOptions") -> TlsContext:
        made = certificates.context(options, self._name)
        if self._tickets_fd >= 0:
            self._tickets = certificates.read_tickets(self._tickets_fd) or self._tickets
        if self._tickets:
            made.tickets(self._tickets)
        return made

    def reload(self, options: "TlsOptions") -> None:
        """Reads the files again, for handshakes from now on; connections keep what they have.

        Raises:
            TlsFileError: one of them is no good, and nothing has changed.
        """
        self.context = self._made(options)
        _log.info("tls.reloaded", listener=self._name, expires_s=self.context.expires_s)

    def refresh(self) -> None:
        """Takes over new keys of tickets, where there are any."""
        keys = certificates.read_tickets(self._tickets_fd) if self._tickets_fd >= 0 else []
        if keys and keys != self._tickets:
            self._tickets = keys
            self.context.tickets(keys)


def reload(door: Door | None, options: "TlsOptions", handshakes_max: int) -> None:
    """Reads the certificates again, for handshakes from now on; nobody is dropped."""
    if door is not None:
        door.handshakes_max = handshakes_max
        try:
            door.reload(options)
        except TlsFileError as error:
            _log.error("tls.not_reloaded", error=str(error), kept="the certificates of before")


def identities(names: Sequence[str]) -> tuple[str, ...]:
    """A certificate's alternative names as names of who may have what.

    A host is named as it is, and has no colon: so it is none of the others, which keep their kind
    before them (`email:`, `uri:`, `ip:`).

    Args:
        names: each with its kind, `dns:` too.
    """
    plain = (name.removeprefix("dns:") for name in names)
    return tuple(
        short for name, short in zip(names, plain, strict=True) if name == short or ":" not in short
    )


class Secure:
    """A socket whose bytes are TLS."""

    __slots__ = (
        "_address",
        "_asked",
        "_door",
        "_handle",
        "_held",
        "_hello",
        "_memory",
        "_plane",
        "_readers",
        "_sock",
        "_tls",
        "_up",
        "peer_names",
    )

    def __init__(self, sock: socket.socket, door: Door, address: str) -> None:
        self._sock = sock
        self._address = address  # as in `Door.begin`
        self._door: Door | None = door  # until its handshake has ended
        self._memory = door.memory
        self._held = 0  # taken from it
        self._hello = b""
        self._tls: TlsConnection | None = None
        self._up = False
        self._plane: Plane | None = None  # once that reads
        self._handle = 0
        self.peer_names: Sequence[str] = ()
        self._asked = False
        self._readers: Readers | None = None

    @property
    def fd(self) -> int:
        """As of any transport, like all that follows."""
        return self._sock.fileno()

    @property
    def costly(self) -> bool:
        return not self._up

    # --- the handshake ---------------------------------------------------------------------------

    def _hold(self, count: int) -> bool:
        """Holds so much from now on, more or less than before; whether there is room for it."""
        if count <= self._held:
            self._memory.give(self._held - count)
        elif not self._memory.take(count - self._held):
            return False
        self._held = count
        return True

    def _end(self, result: str) -> None:
        """Its handshake has ended, in this way."""
        if self._door is not None:
            if self._tls is not None:
                self._door.end(self._address)
            self._door.count(result)
            self._door = None

    def _begin(self) -> bool:
        """Collects the first message; whether the connection is made."""
        try:
            data = self._sock.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return False
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "end of stream")
        self._hello += data
        if not self._hold(len(self._hello)):
            self._end("shed")
            raise OSError(errno.EBUSY, "too much is held for unfinished handshakes")
        whole = tls_hello(self._hello[:TLS_HELLO_MAX])
        if whole < 0:
            self._end("hello")
            raise OSError(errno.EPROTO, "no ClientHello")
        if not whole:
            return False
        door = self._door
        assert door is not None
        if not self._hold(HANDSHAKE_BYTES) or not door.begin(self._address):
            self._end("shed")
            raise OSError(errno.EBUSY, "too many unfinished TLS handshakes")
        try:
            self._tls = TlsConnection(door.context, self.fd)
        except MemoryError:
            door.end(self._address)
            raise
        self._tls.feed(self._hello)
        self._hello = b""
        return True

    def _shake(self, tls: TlsConnection) -> bool:
        """A step of the handshake; whether it is through."""
        try:
            self._up = tls.handshake()
        except OSError as error:
            self._say(tls, lost=True)
            why = error.strerror or ""
            closed = error.errno == errno.ECONNRESET
            kind = "closed" if closed else "certificate" if "certificate" in why else "failed"
            self._end(kind)
            raise
        self._say(tls)
        if self._up:
            self.peer_names = identities(tls.peer_names())
            self._hold(CONNECTION_BYTES)
            self._end("resumed" if tls.resumed else "ok")
        return self._up

    def _say(self, tls: TlsConnection, *, lost: bool = False) -> None:
        """Sends what TLS has to say. While the loop has it, that fits any socket's buffer."""
        said = tls.take_said()
        if not said:
            return
        try:
            sent = self._sock.send(said, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            if not lost:
                raise
            return
        if sent < len(said) and not lost:
            raise OSError(errno.ENOBUFS, "the socket takes no handshake")

    # --- as of any transport ---------------------------------------------------------------------

    def watch(self, readers: "Readers", reader: "Reader") -> None:
        if self._plane is None:
            readers.add_reader(self.fd, reader)
            self._readers = readers
        elif not self._asked:
            self._asked = True
            self._plane.read(self._handle)

    def unwatch(self, readers: "Readers") -> None:
        if self._readers is not None:
            readers.remove_reader(self.fd)
            self._readers = None

    def told(self) -> None:
        self._asked = False

    def receive(self) -> bytes | None:
        if self._tls is None and not self._begin():
            return None
        tls = self._tls
        assert tls is not None
        if not self._up and not self._shake(tls):
            return None
        data = tls.read()
        for _ in range(RECORDS_PER_READ):
            if data is not None or not tls.fed:
                break
            data = tls.read()
        self._say(tls)
        return data

    def answer(self, data: bytes) -> None:
        tls = self._tls
        if tls is None or not self._up:
            self._end("timeout" if data.startswith(b"HTTP/1.1 408") else "shed")
            raise OSError(errno.ENOTCONN, "no TLS yet")
        for at in range(0, len(data), RECEIVE_BYTES):
            tls.write(data[at : at + RECEIVE_BYTES])
        tls.close()
        self._say(tls)
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
        tls = self._tls
        assert tls is not None
        message, slots = (None, ()) if hello is None else (hello.payload, hello.slots)
        handle = plane.add(
            self.fd, first, message, slots, format=form, grant=grant, tenant=tenant, tls=tls
        )
        if self._readers is not None:
            self.unwatch(self._readers)
        self._plane, self._handle, self._asked, self._tls = plane, handle, True, None
        self._hold(0)
        return handle

    def abort(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)

    def close(self) -> None:
        self._end("closed")
        self._tls = None
        self._hold(0)
        self._sock.close()
