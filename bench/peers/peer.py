"""What the Python peers share: the command line, lines from UDP, and the end on SIGTERM."""

import argparse
import asyncio
import signal
import socket
from collections.abc import Callable

UDP_BUFFER_BYTES = 8 << 20
"""What our own gateway asks for: the same for all, so that none loses ticks by its settings."""

BACKLOG = 1024
"""A swarm connects by the hundred at once; with asyncio's 100 it would wait for SYN retries."""

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h: beyond net.core.rmem_max, where that is allowed


def ports(description: str) -> tuple[int, int]:
    """From the command line: the port of WebSocket clients, and that of ticks."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True, help="WebSocket clients, on 127.0.0.1")
    parser.add_argument("--udp-port", type=int, required=True, help="ticks, on 127.0.0.1")
    given = parser.parse_args()
    return given.port, given.udp_port


class _Lines(asyncio.DatagramProtocol):
    def __init__(self, broadcast: Callable[[bytes], None]) -> None:
        self._broadcast = broadcast

    def datagram_received(self, data: bytes, addr: object) -> None:
        for line in data.splitlines():
            self._broadcast(line)


async def broadcast_lines(udp_port: int, broadcast: Callable[[bytes], None]) -> None:
    """Says `ready`, and calls `broadcast` with every line that comes until SIGTERM."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, UDP_BUFFER_BYTES)
    except PermissionError:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
    udp.bind(("127.0.0.1", udp_port))
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Lines(broadcast), sock=udp)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()
    transport.close()
