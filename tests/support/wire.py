"""A WebSocket client of bare bytes: it sends what it is told, right or wrong, and shows what came.

Nothing stands between a test and the socket, so that a test can be as wrong as an attacker.
"""

import base64
import itertools
import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = base64.b64encode(bytes(range(16))).decode()
ACCEPT = "Bz3qJYTGdOe8gUSpLosEdiLKDrk="
"""What RFC 6455 section 4.2.2 makes of KEY."""
MASK = b"\x37\xfa\x21\x3d"
TIMEOUT_S = 60.0
"""Far beyond what any answer takes, also on a machine that does much else."""


@dataclass(frozen=True)
class Frame:
    """One frame of the server's."""

    fin: bool
    opcode: int
    payload: bytes


@dataclass(frozen=True)
class Response:
    """An HTTP response; `headers` has lower-case names."""

    status: int
    head: bytes
    headers: dict[str, str]
    body: bytes


def mask(payload: bytes, key: bytes = MASK) -> bytes:
    """The payload exclusive-ored with the key (RFC 6455 section 5.3)."""
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
    width: int | None = None,
) -> bytes:
    """The bytes of one client frame.

    Args:
        opcode: 0 to 15.
        payload: before masking.
        fin: whether it ends its message.
        rsv: the three reserved bits, 0 to 7.
        masked: a client must, an attacker need not.
        length: said in the header in place of the payload's own.
        width: bytes of the extended length (0, 2 or 8) in place of the shortest.
    """
    size = len(payload) if length is None else length
    if width is None:
        width = 0 if size < 126 else 2 if size < 65536 else 8
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    second = (0x80 if masked else 0) | {0: size & 0x7F, 2: 126, 8: 127}[width]
    head = bytes((first, second)) + (size.to_bytes(width, "big") if width else b"")
    return head + MASK + mask(payload) if masked else head + payload


def text(message: object) -> bytes:
    """A text frame: a string as it is, anything else as JSON."""
    payload = message if isinstance(message, str) else json.dumps(message)
    return frame(TEXT, payload.encode())


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def subscribe(
    symbols: Sequence[str], channel: str = "trade", req_id: int = 1, **params: object
) -> bytes:
    """A subscribe request, as a frame."""
    all_params = {"channel": channel, "symbol": list(symbols), **params}
    return text({"method": "subscribe", "req_id": req_id, "params": all_params})


def request(
    target: str = "/v1",
    *,
    line: str = "",
    without: Iterable[str] = (),
    more: Iterable[tuple[str, str]] = (),
) -> bytes:
    """The opening handshake; `without` leaves headers out, `more` adds some (Latin-1)."""
    headers = [
        ("Host", "gateway.test"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ]
    left_out = {name.lower() for name in without}
    kept = [(name, value) for name, value in headers if name.lower() not in left_out]
    lines = [line or f"GET {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in [*kept, *more]]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def read_frame(exactly: Callable[[int], bytes]) -> Frame:
    """The server's next frame: unmasked, in the shortest form, without extensions.

    Args:
        exactly: gives so many bytes.
    """
    first, second = exactly(2)
    assert not first & 0x70, "reserved bits"
    assert not second & 0x80, "masked"
    length = second
    if second == 126:
        length = int.from_bytes(exactly(2), "big")
        assert length > 125
    elif second == 127:
        length = int.from_bytes(exactly(8), "big")
        assert length > 65535
    return Frame(bool(first & 0x80), first & 0x0F, exactly(length))


class Wire:
    """One connection to a gateway.

    Args:
        url: its WebSocket URL.
        receive_bytes: of the kernel's receive buffer; small ones make slow clients.
        reads: how many bytes each read takes at most, one after the other.
        tls: of `wss` URLs. An end of the stream without close_notify is an error then.
    """

    def __init__(
        self,
        url: str,
        *,
        receive_bytes: int = 0,
        reads: Iterator[int] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        self.sock = socket.socket()
        if receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect((parts.hostname, parts.port))
        if tls is not None:
            self.sock = tls.wrap_socket(
                self.sock, server_hostname=parts.hostname, suppress_ragged_eofs=False
            )
        self._buffer = bytearray()
        self._reads = reads or itertools.repeat(65536)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    # --- sending ----------------------------------------------------------------------------------

    def send(self, *data: bytes) -> None:
        """Everything in one call: one segment, where it fits."""
        self.sock.sendall(b"".join(data))

    def send_anyway(self, data: bytes) -> None:
        """As `send`, to a server that may hang up in the middle."""
        try:
            self.sock.sendall(data)
        except (ConnectionError, TimeoutError):
            return

    def end(self) -> None:
        """Half-close: nothing more is sent."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection by RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # --- receiving --------------------------------------------------------------------------------

    def _more(self, deadline: float) -> bool:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("nothing came")
        self.sock.settimeout(left_s)
        data = self.sock.recv(next(self._reads))
        self._buffer += data
        return bool(data)

    def exactly(self, size: int, timeout_s: float = TIMEOUT_S) -> bytes:
        """The next bytes.

        Raises:
            EOFError: the stream ended before.
            TimeoutError: they did not come.
        """
        deadline = time.monotonic() + timeout_s
        while len(self._buffer) < size:
            if not self._more(deadline):
                raise EOFError(f"{len(self._buffer)} bytes of {size}, then the end")
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def unread(self, data: bytes | bytearray) -> None:
        """Puts bytes back, to be read again as the next ones."""
        self._buffer[:0] = data

    def response(self, timeout_s: float = TIMEOUT_S) -> Response:
        """The HTTP response; its body by Content-Length."""
        deadline = time.monotonic() + timeout_s
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not self._more(deadline):
                raise EOFError(f"no response, but {bytes(self._buffer)!r}")
        head = self.exactly(end + 4)
        status, *lines = head[:-4].decode("ascii").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), f"a header came twice: {head!r}"
        body = self.exactly(int(headers.get("content-length", 0)))
        return Response(int(status.split(" ")[1]), head, headers, body)

    def open(self, **options: Any) -> dict[str, Any]:
        """The whole handshake; the hello's data. `options` are those of `request`."""
        self.send(request(**options))
        response = self.response()
        assert response.status == 101, response
        assert response.headers["sec-websocket-accept"] == ACCEPT
        hello = self.message()
        assert hello["type"] == "hello"
        data: dict[str, Any] = hello["data"][0]
        return data

    def frame(self, timeout_s: float = TIMEOUT_S) -> Frame:
        """The next frame."""
        return read_frame(lambda size: self.exactly(size, timeout_s))

    def message(self, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """The next text message; pings on the way are answered, pongs passed over."""
        while (one := self.frame(timeout_s)).opcode in (PING, PONG):
            if one.opcode == PING:
                self.send_anyway(frame(PONG, one.payload))
        assert one.opcode == TEXT, one
        assert one.fin
        message: dict[str, Any] = json.loads(one.payload)
        return message

    def reply(self, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """The next reply to a request; data on the way is passed over."""
        deadline = time.monotonic() + timeout_s
        while "method" not in (message := self.message()) and "success" not in message:
            assert time.monotonic() < deadline, "only data came"
        return message

    def ask(self, message: object) -> dict[str, Any]:
        """Sends one request; its reply."""
        self.send(text(message))
        return self.reply()

    def closed(self, timeout_s: float = TIMEOUT_S) -> tuple[int, str]:
        """Code and reason of the close frame, after which the stream has to end.

        What came before is passed over; 1005 stands for a close frame without a code.
        """
        deadline = time.monotonic() + timeout_s
        while (one := self.frame(deadline - time.monotonic())).opcode != CLOSE:
            continue
        assert one.fin
        assert len(one.payload) <= 125
        assert self.ended(deadline - time.monotonic()) == b"", "bytes after the close frame"
        if not one.payload:
            return 1005, ""
        return int.from_bytes(one.payload[:2], "big"), one.payload[2:].decode()

    def ended(self, timeout_s: float = TIMEOUT_S) -> bytes:
        """What comes until the end of the stream, be it orderly or not."""
        deadline = time.monotonic() + timeout_s
        try:
            while self._more(deadline):
                continue
        except ConnectionError:
            pass
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest


def connected(url: str, **options: Any) -> Wire:
    """A connection with the handshake done."""
    wire = Wire(url, **options)
    try:
        wire.open()
    except BaseException:
        wire.sock.close()
        raise
    return wire
