"""Clients with something to read, some in each iteration of the loop.

An event loop calls the reader of every socket that is ready before it does anything else: of a
thousand clients that died at once, each at 20 us. So the clients' sockets are in an epoll instance
of their own. The loop has that one for a descriptor, which stays readable while any of them is, and
takes a few at a time. The kernel gives them in turn (epoll_wait(2)): a client that was told goes
behind the others, however much it sends.
"""

import select
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

READS_PER_TURN = 64
"""Sockets read in one iteration; one that ends costs most, 20 us."""
SIGNATURES_PER_TURN = 2
"""Of these, those that may take as long as a signature of TLS: 0.3 ms, or 1 ms with RSA."""


class Reader(Protocol):
    """Reads one socket: no bound method, which would take more than its slot here."""

    @property
    def costly(self) -> bool: ...

    def readable(self) -> None: ...


class Readers:
    """The clients' sockets of one worker."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Reader] = {}

    def start(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Reads from now on."""
        loop.add_reader(self._epoll.fileno(), self.turn)

    def add_reader(self, fd: int, reader: Reader) -> None:
        """Tells `reader` while the descriptor is readable; it must be taken out before it closes.

        Raises:
            OSError: the host gives no memory for it, or its limit of watches is reached.
        """
        self._epoll.register(fd, select.EPOLLIN)
        self._readers[fd] = reader

    def remove_reader(self, fd: int) -> None:
        """Tells its reader no more."""
        del self._readers[fd]
        self._epoll.unregister(fd)

    def turn(self) -> None:
        """One iteration's work; who is left is told in the next."""
        signatures = SIGNATURES_PER_TURN
        for fd, _ in self._epoll.poll(0, READS_PER_TURN):
            # A client may have been ended by the one before it.
            if (reader := self._readers.get(fd)) is None:
                continue
            if reader.costly:
                if not signatures:
                    continue
                signatures -= 1
            reader.readable()
