"""What the Python peers share: the command line, lines from UDP, and the end on SIGTERM."""

import argparse
import asyncio
import signal
from collections.abc import Callable

BACKLOG = 1024
"""A swarm connects by the hundred at once; with asyncio's 100 it would wait for SYN retries."""


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
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Lines(broadcast), local_addr=("127.0.0.1", udp_port)
    )
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()
    transport.close()
