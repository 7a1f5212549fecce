"""Clients of a plane through the skin, each a pair of sockets."""

import socket
from collections.abc import Iterable

from gateway._native import Plane


def added(plane: Plane) -> tuple[int, list[socket.socket]]:
    """A new client's handle, and both ends of its socket: the plane's, then the client's."""
    pair = socket.socketpair()
    pair[0].setblocking(False)
    return plane.add(pair[0].fileno(), b"", b""), list(pair)


def close(pair: Iterable[socket.socket]) -> None:
    """Closes both ends."""
    for end in pair:
        end.close()
