"""The floor: a server of nothing but WebSocket handshakes and a bare loop of send().

`python -m gateway.loadtest.floor --port P --udp-port U --clients N` says `ready` when both ports of
127.0.0.1 are bound, takes N clients one after the other, and from then on sends each line of each
datagram to all of them. At SIGTERM it prints its counters as one line of JSON. What a server pays
beyond this per delivery is its own doing: the denominator of `cpu_per_delivery<1.1*floor`.
"""

from __future__ import annotations

import argparse
import re
import resource
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import Final

import msgspec

from gateway._native import Floor
from gateway.loadtest.endpoint import accept

BACKLOG: Final = 4096
"""All of a swarm may connect at once."""

RECEIVE_BUFFER_BYTES: Final = 8 << 20
"""As much as the gateway's own feed asks for."""

REQUEST_BYTES_MAX: Final = 16384
REQUEST_TIMEOUT_S: Final = 5.0
"""A client that says nothing holds up those behind it for so long."""

ACCEPT_TIMEOUT_S: Final = 0.1
"""A stop is noticed within this time while clients are awaited."""

SPARE_DESCRIPTORS: Final = 64
"""Of the process beside the clients'."""

DRAINED_MAX: Final = 1 << 20
"""Datagrams that are thrown away before the first one that counts."""

_SO_RCVBUFFORCE: Final = 33  # include/uapi/asm-generic/socket.h; socket(7)

_KEY: Final = re.compile(rb"\r\nsec-websocket-key:[ \t]*([^\r\n]{1,64}?)[ \t]*\r\n", re.IGNORECASE)


def response(request: bytes) -> bytes | None:
    """The 101 to a whole request; None where it asks for no WebSocket."""
    key = _KEY.search(request)
    if key is None or not request.startswith(b"GET "):
        return None
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %s\r\n\r\n" % accept(key[1])
    )


class FloorServer:
    """Binds both ports of 127.0.0.1 when made; `run` serves until `stop`."""

    def __init__(self, port: int, udp_port: int) -> None:
        """Binds; 0 is any port.

        Raises:
            OSError: a port is not to be had.
        """
        self._stopping = threading.Event()
        self._floor: Floor | None = None
        self._clients: list[socket.socket] = []
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._datagrams.bind(("127.0.0.1", udp_port))
            _enlarge(self._datagrams)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", port))
            self._listener.listen(BACKLOG)
        except OSError:
            self._close()
            raise

    @property
    def ports(self) -> tuple[int, int]:
        """Of the clients, and of the datagrams."""
        return self._listener.getsockname()[1], self._datagrams.getsockname()[1]

    def run(self, clients: int) -> dict[str, int]:
        """Takes so many clients, then repeats datagrams to them; counters at the end.

        Raises:
            OSError: of the datagram socket, or no more descriptors are to be had.
        """
        try:
            self._take(clients)
            self._drain()
            self._floor = Floor(self._datagrams.fileno(), [c.fileno() for c in self._clients])
            if not self._stopping.is_set():
                self._floor.run()
            return {"clients": len(self._clients)} | self._floor.counters()
        finally:
            self._close()

    def stop(self) -> None:
        """Ends `run`, from a signal handler or another thread."""
        self._stopping.set()
        if self._floor is not None:
            self._floor.stop()

    def _take(self, count: int) -> None:
        self._listener.settimeout(ACCEPT_TIMEOUT_S)
        while len(self._clients) < count and not self._stopping.is_set():
            with suppress(TimeoutError):
                client, _ = self._listener.accept()
                if _handshake(client):
                    self._clients.append(client)
                else:
                    client.close()

    def _drain(self) -> None:
        """Throws away what was sent before all clients were there."""
        with suppress(BlockingIOError):
            for _ in range(DRAINED_MAX):
                self._datagrams.recv(1, socket.MSG_DONTWAIT)

    def _close(self) -> None:
        for one in (self._datagrams, self._listener, *self._clients):
            one.close()


def _handshake(client: socket.socket) -> bool:
    """Answers a client's request and leaves it non-blocking; False where it is to be closed."""
    request = b""
    client.settimeout(REQUEST_TIMEOUT_S)
    try:
        while b"\r\n\r\n" not in request:
            more = client.recv(REQUEST_BYTES_MAX - len(request))
            if not more:  # It hung up, or the request is too long.
                return False
            request += more
        answer = response(request)
        if answer is None:
            client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return False
        client.sendall(answer)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setblocking(False)
    except OSError:
        return False
    return True


def _enlarge(datagrams: socket.socket) -> None:
    try:
        datagrams.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    except PermissionError:
        datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)


def _allow_descriptors(clients: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main(arguments: list[str] | None = None) -> int:
    """The process; its exit code: 69 where a port is not to be had, 1 where it failed later."""
    parser = argparse.ArgumentParser(prog="gateway.loadtest.floor", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="of the clients, at 127.0.0.1")
    parser.add_argument("--udp-port", type=int, required=True, help="of the ticks, at 127.0.0.1")
    parser.add_argument("--clients", type=int, required=True, help="how many to wait for")
    options = parser.parse_args(arguments)
    _allow_descriptors(options.clients)
    try:
        server = FloorServer(options.port, options.udp_port)
    except (OSError, OverflowError) as error:
        print(f"tickgate floor: {options.port}, {options.udp_port}: {error}", file=sys.stderr)
        return 69
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: server.stop())
    print("ready", flush=True)
    # Signals are handled by the main thread, which therefore can't be the one that runs the loop.
    ended: list[dict[str, int] | OSError] = []
    thread = threading.Thread(target=lambda: ended.append(_run(server, options.clients)))
    thread.start()
    thread.join()
    if isinstance(ended[0], OSError):
        print(f"tickgate floor: {ended[0]}", file=sys.stderr)
        return 1
    print(msgspec.json.encode(ended[0]).decode(), flush=True)
    return 0


def _run(server: FloorServer, clients: int) -> dict[str, int] | OSError:
    try:
        return server.run(clients)
    except OSError as error:
        return error


if __name__ == "__main__":
    sys.exit(main())
