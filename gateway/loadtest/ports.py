"""Ports that are chosen before they are bound, for servers that have to be told one."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

FIRST: Final = 10_000
TRIES: Final = 100
_GIVEN: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_udp_port() -> int:
    """A port of this host that nobody has at the moment."""
    return _free_port(socket.SOCK_DGRAM)


def free_tcp_port() -> int:
    """As `free_udp_port`, for a server to listen at."""
    return _free_port(socket.SOCK_STREAM)


def free_port() -> int:
    """One that nobody has, by TCP or UDP."""
    while True:
        port = free_tcp_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def _free_port(kind: socket.SocketKind) -> int:
    """One below those that the kernel gives to sockets that ask for any (ip(7)): each connection
    and each server at port 0 would be another that could have it before it is bound."""
    given = int(_GIVEN.read_text().split()[0])
    tries = [FIRST + secrets.randbelow(given - FIRST) for _ in range(TRIES if given > FIRST else 0)]
    for wanted in (*tries, 0):
        with socket.socket(socket.AF_INET, kind) as sock, suppress(OSError):
            sock.bind(("127.0.0.1", wanted))
            port: int = sock.getsockname()[1]
            return port
    raise OSError("no port is free")
