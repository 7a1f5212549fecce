"""The `publisher` feed: lines of other programs of this host over a Unix socket, none of them lost.

A program that the feed has no time for waits, since nothing is read of it meanwhile. The feed's
thread takes at most LINES_MAX lines of one program (`program.py`), then looks at the others.
"""

import contextlib
import selectors
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from gateway import log
from gateway.feeds.feed import Counters, Publisher, ThreadFeed, Topics
from gateway.feeds.lines import Lines
from gateway.feeds.options import PublisherOptions
from gateway.feeds.program import Hello, Program, Refused

READ_BYTES: Final = 16_384
"""Of one program at once: some 150 usual lines."""
PROGRAMS_MAX: Final = 32
"""Connected at once."""
REMEMBERED_MAX: Final = 256
"""Programs of which the feed knows how many lines it has taken, connected or not."""
HELLO_TIMEOUT_S: Final = 5.0
TURN_S: Final = 1.0
_CREDENTIALS: Final = struct.Struct("3i")

_log = log.get("feeds")


class _Connection:
    __slots__ = ("deadline_s", "peer", "program", "sock")

    def __init__(self, sock: socket.socket, program: Program) -> None:
        self.sock = sock
        self.program = program
        self.deadline_s = time.monotonic() + HELLO_TIMEOUT_S
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        self.peer = dict(zip(("pid", "uid", "gid"), _CREDENTIALS.unpack(credentials), strict=True))


class PublisherFeed(ThreadFeed):
    """Serves the programs of one listening socket, which it closes in the end."""

    def __init__(
        self,
        name: str,
        index: int,
        options: PublisherOptions,
        publisher: Publisher,
        counters: Counters,
        topics: Mapping[str, Topics],
        listener: socket.socket,
    ) -> None:
        super().__init__(name, index, counters)
        derived = options.bbo == "derived"
        self._lines = Lines(name, index, counters, publisher, topics, derived=derived)
        self._instruments = options.instruments
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._connections: dict[str, _Connection] = {}  # by the program's name
        self._unnamed: dict[_Connection, None] = {}
        self._ready: dict[_Connection, None] = {}  # that have whole lines left
        self._taken: OrderedDict[str, tuple[str, int]] = OrderedDict()  # by name: stream, number
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)

    def _work(self) -> None:
        self._lines.tell_instruments(self._instruments)
        self._counters.change("connecting", "no program has come yet")
        with contextlib.ExitStack() as stack:
            stack.callback(self._close)
            self._selector.register(self._listener, selectors.EVENT_READ)
            self._selector.register(self._woken, selectors.EVENT_READ)
            while not self._stopping:
                for key, events in self._selector.select(self._wait_s()):
                    if isinstance(key.data, _Connection):
                        self._turn(key.data, events)
                    elif key.fileobj is self._listener:
                        self._accept()
                for connection in [*self._ready]:
                    self._turn(connection, 0)
                self._end_silent()

    def _interrupt(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def _wait_s(self) -> float:
        if self._ready:
            return 0.0
        oldest = next(iter(self._unnamed), None)
        return TURN_S if oldest is None else max(0.0, oldest.deadline_s - time.monotonic())

    # --- connections ------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:  # no descriptors: it stays in the queue
            self._counters.skip("connection that the host has no room for")
            _log.warning("publisher.accept_failed", feed=self.name, message=error.strerror)
            self._pause(0.05)
            return
        sock.setblocking(False)
        connection = _Connection(sock, Program(self._came))
        self._unnamed[connection] = None
        self._selector.register(sock, selectors.EVENT_READ, connection)
        if len(self._unnamed) + len(self._connections) > PROGRAMS_MAX:
            self._end(connection, f"{PROGRAMS_MAX} programs are connected: no more may be")

    def _came(self, program: Program, hello: Hello) -> int:
        """It has said who it is; up to which number its lines were taken."""
        name, before_next = hello.publisher, hello.next - 1
        (connection,) = (one for one in self._unnamed if one.program is program)
        del self._unnamed[connection]
        if (before := self._connections.pop(name, None)) is not None:
            self._end(before, f"another program came as {name}")
            self._counters.reconnected()
        self._connections[name] = connection
        stream, taken = self._taken.get(name, ("", 0))
        if stream != hello.stream:  # another one, or it knows what an earlier gateway took
            taken = before_next
        said = {"publisher": name, "stream": hello.stream, "next": hello.next}
        _log.info("publisher.came", feed=self.name, **said, **connection.peer)
        if before_next > taken:
            self._counters.gap(before_next - taken)
            self._lines.lose(f"lines of publisher {name} are missing")
        self._remember(program, max(taken, before_next))
        self._counters.change("up")
        return taken

    def _remember(self, program: Program, taken: int) -> None:
        self._taken[program.name] = program.stream, taken
        self._taken.move_to_end(program.name)
        if len(self._taken) > REMEMBERED_MAX:
            forgotten = next(one for one in self._taken if one not in self._connections)
            del self._taken[forgotten]

    def _turn(self, connection: _Connection, events: int) -> None:
        if connection in self._ready:
            self._take(connection)
        elif events & selectors.EVENT_READ:
            try:
                data = connection.sock.recv(READ_BYTES)
            except BlockingIOError:
                data = None
            except OSError:
                data = b""
            if data == b"":
                self._gone(connection)
                return
            if data:
                connection.program.receive(data)
                self._take(connection)
        self._send(connection)

    def _take(self, connection: _Connection) -> None:
        program = connection.program
        self._ready.pop(connection, None)
        try:
            some = program.take()
        except Refused as error:
            _log.warning("publisher.refused", feed=self.name, why=str(error), **connection.peer)
            self._end(connection, str(error))
            return
        if program.more:
            self._ready[connection] = None
        if some is None:
            return
        before = self._counters.refused_inputs
        if some.lines:
            self._lines.publish([some.text], [0], time.time_ns(), time.monotonic_ns())
        refused = self._counters.refused_inputs - before
        self._remember(program, max(program.number, self._taken[program.name][1]))
        program.acknowledge(refused, self._counters.last_refused if refused else None)

    def _send(self, connection: _Connection) -> None:
        """What leaves at once; a program that does not read has the newest word waiting alone."""
        program = connection.program
        if connection.sock.fileno() < 0:
            return
        while unsent := program.unsent:
            try:
                program.sent(connection.sock.send(unsent, socket.MSG_NOSIGNAL))
            except BlockingIOError:
                break
            except OSError:
                self._gone(connection)
                return
        more = selectors.EVENT_WRITE if program.unsent else 0
        self._selector.modify(connection.sock, selectors.EVENT_READ | more, connection)

    def _end(self, connection: _Connection, why: str) -> None:
        """Tells it why, as far as it takes that now, and closes."""
        connection.program.end(why)
        with contextlib.suppress(OSError):
            connection.sock.send(connection.program.unsent, socket.MSG_NOSIGNAL)
        self._gone(connection)

    def _gone(self, connection: _Connection) -> None:
        if connection.sock.fileno() < 0:
            return
        self._selector.unregister(connection.sock)
        connection.sock.close()
        self._unnamed.pop(connection, None)
        self._ready.pop(connection, None)
        name = connection.program.name
        if self._connections.get(name) is not connection:
            return
        del self._connections[name]
        _log.info("publisher.went", feed=self.name, publisher=name, **connection.peer)
        if not self._connections:
            self._counters.change("down", f"no program is connected; the last one was {name}")

    def _end_silent(self) -> None:
        now_s = time.monotonic()
        while (oldest := next(iter(self._unnamed), None)) and oldest.deadline_s <= now_s:
            _log.warning("publisher.refused", feed=self.name, why="no hello", **oldest.peer)
            self._end(oldest, f"no hello within {HELLO_TIMEOUT_S:.0f} s")

    def _close(self) -> None:
        for connection in [*self._unnamed, *self._connections.values()]:
            connection.sock.close()
        self._selector.close()
        for sock in (self._listener, self._waker, self._woken):
            sock.close()
