"""Many WebSocket clients in one test: small and fast, about a million frames a second in all.

Server frames are unmasked and, but for pings and closes, single text frames (RFC 6455 section 5.2),
so that a client is a socket, a buffer and a loop over lengths. It checks what it relies on and
fails the test where a byte is not as it should be: nothing torn goes unseen.
"""

import base64
import json
import os
import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
READ_BYTES = 1 << 18
TIMEOUT_S = 60.0

Json = dict[str, Any]


@lru_cache(4096)
def decode(payload: bytes) -> Json:
    """A message. Clients get the same bytes of a record: what one has decoded serves all."""
    message: Json = json.loads(payload)
    return message


class Client:
    """One connection. `closed` is (code, reason) once the gateway has closed it.

    Attributes:
        messages: payloads read and not yet taken, oldest first.
    """

    def __init__(
        self,
        url: str,
        *,
        receive_buffer_bytes: int = 0,
        tls: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
        unix: str = "",
    ) -> None:
        """Connects and shakes hands; a small receive buffer makes a slow client of it sooner.

        `tls` is for `wss` URLs, with a session to resume; `unix` a path in place of the address.
        """
        where = urlsplit(url)
        self.socket = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        if receive_buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(unix or (where.hostname, where.port))
        if not unix:  # or what follows a handshake's last message waits for its delayed ACK
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(
                self.socket, server_hostname=where.hostname, session=session
            )
        self.messages: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.ended = False
        self._rest = b""
        self._shake_hands(where.netloc, where.path)

    def _shake_hands(self, host: str, path: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: tickgate.v1.json",
        )
        self.socket.sendall("\r\n".join((*lines, "", "")).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = self.socket.recv(4096)
            assert more, f"no handshake: {answer!r}"
            answer += more
        head, _, self._rest = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        self._parse(b"")

    # --- writing ----------------------------------------------------------------------------------

    def send(self, *requests: Json) -> None:
        """Sends these as text frames, in one write."""
        self.socket.sendall(b"".join(_frame(TEXT, json.dumps(r).encode()) for r in requests))

    def subscribe(self, channel: str, *symbols: str, **params: Any) -> None:
        """Sends one `subscribe`, whose `req_id` is the channel."""
        params |= {"channel": channel, "symbol": list(symbols)}
        self.send({"method": "subscribe", "req_id": channel, "params": params})

    # --- reading ----------------------------------------------------------------------------------

    def fileno(self) -> int:
        """For selectors."""
        return self.socket.fileno()

    def read(self) -> None:
        """Takes what the socket has (waits where it has nothing) into `messages`."""
        try:
            data = self.socket.recv(READ_BYTES)
        except ConnectionResetError:
            data = b""
        if data:
            self._parse(data)
        else:
            self.ended = True
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
            assert not self._rest, f"torn frame: {self._rest[:80]!r}"

    def _parse(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at, size, messages = 0, len(data), self.messages
        while at + 4 <= size:
            length = data[at + 1]
            start = at + 2
            if length == 126:
                length = data[at + 2] << 8 | data[at + 3]
                start = at + 4
            elif length == 127:
                if at + 10 > size:
                    break
                length = int.from_bytes(data[at + 2 : at + 10], "big")
                start = at + 10
            end = start + length
            if end > size:
                break
            if data[at] == TEXT:
                messages.append(data[start:end])
            else:
                self._control(data[at], data[start:end])
            at = end
        self._rest = data[at:]
        if self._rest[:2] == b"\x89\x00":  # an empty ping is shorter than the loop looks at
            self._control(PING, b"")
            self._rest = self._rest[2:]

    def _control(self, first: int, payload: bytes) -> None:
        if first == PING:
            self.socket.sendall(_frame(PONG, payload))
        elif first == CLOSE:
            (code,) = struct.unpack_from("!H", payload)
            self.closed = code, payload[2:].decode()
            self.socket.sendall(_frame(CLOSE, payload[:2]))
        else:
            assert first == PONG, f"unexpected frame {first:#x}: {payload[:80]!r}"

    def take(self) -> list[bytes]:
        """The messages read so far, which are the caller's from now on."""
        messages, self.messages = self.messages[:], []
        return messages

    def each(self, timeout_s: float = TIMEOUT_S) -> Iterator[Json]:
        """Messages as they come, until the connection ends or time is up (which fails)."""
        deadline = time.monotonic() + timeout_s
        while True:
            while self.messages:
                yield json.loads(self.messages.pop(0))
            if self.ended:
                return
            left = deadline - time.monotonic()
            assert left > 0, f"nothing more within {timeout_s} s"
            self.socket.settimeout(left)
            try:
                self.read()
            except TimeoutError:
                continue

    def next(self, **wanted: Any) -> Json:
        """The next message with these members; those before it are dropped."""
        for message in self.each():
            if wanted.items() <= message.items():
                return message
        raise AssertionError(f"the connection ended: {self.closed}")

    def follow(self, symbol: str, seq: int) -> list[Json]:
        """An instrument's data frames up to this number, with the seq rule held against each."""
        frames: list[Json] = []
        for message in self.each():
            if message.get("symbol") != symbol:
                assert message.get("type") != "gap", message
                continue
            if frames:
                assert message["seq"] == frames[-1]["seq"] + 1 + message.get("skipped", 0)
            frames.append(message)
            if message["seq"] == seq:
                return frames
        raise AssertionError(f"the connection ended: {self.closed}")

    def ask(self, method: str, **params: Any) -> Json:
        """One request and its reply; what comes in between stays in `messages`, in order."""
        req_id = f"{method}-{time.monotonic_ns()}"
        self.send({"method": method, "req_id": req_id} | ({"params": params} if params else {}))
        kept: list[bytes] = []
        for reply in self.each():
            if reply.get("req_id") == req_id:
                self.messages[:0] = kept
                return reply
            kept.append(json.dumps(reply).encode())
        raise AssertionError(f"the connection ended: {self.closed}")

    # --- ending -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Closes the socket at once, without a closing handshake."""
        self.socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _frame(first: int, payload: bytes) -> bytes:
    """A client's frame; its mask is zero, which leaves the payload as it is."""
    size = len(payload)
    head = bytes((first, 0x80 | size)) if size < 126 else struct.pack("!BBH", first, 0xFE, size)
    return head + bytes(4) + payload


def position(url: str, channel: str, symbol: str) -> int:
    """The last number of an instrument that the worker has come to: what is in the ring may be
    further, and what it has come to may still wait for its clients."""
    with Client(url) as client:
        client.subscribe(channel, symbol, snapshot=False)
        (result,) = client.next(method="subscribe")["results"]
        seq: int = result["seq"]
        return seq


def pump(
    clients: Collection[Client],
    done: Callable[[Client], bool],
    timeout_s: float = 120.0,
) -> None:
    """Reads from all until `done` of each (asked after each read of it) or it has ended.

    Those that are done are read from as long as others are not: they answer pings.
    """
    deadline = time.monotonic() + timeout_s
    waiting = {client for client in clients if not done(client)}
    with selectors.DefaultSelector() as selector:
        for client in clients:
            if not client.ended:
                selector.register(client, selectors.EVENT_READ, client)
        while waiting:
            left = deadline - time.monotonic()
            assert left > 0, f"{len(waiting)} clients are not done in {timeout_s} s"
            for key, _ in selector.select(left):
                client = key.data
                client.read()
                if client.ended:
                    selector.unregister(client)
                if client in waiting and (done(client) or client.ended):
                    waiting.remove(client)
