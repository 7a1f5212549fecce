"""A server for the swarm's tests, on a thread of its own: it says what a test wants it to say."""

import asyncio
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Awaitable, Callable

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
REQUEST = (
    b"GET /v1 HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
)


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A server's frame, unmasked."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def message(**members: object) -> bytes:
    """A JSON text frame, without spaces, as the gateway writes."""
    return frame(json.dumps(members, separators=(",", ":")).encode())


def record(
    seq: int,
    *,
    symbol: str = "SYM001.SIM",
    kind: str = "update",
    event: int | None = None,
    wire: int = 1000,
    server: int = 1000,
    skipped: int = 0,
) -> bytes:
    """A trade's frame, stamped now unless `event` says when (ns); stages in ns."""
    event = time.time_ns() if event is None else event
    stamps = {"ts_event": event, "ts_recv": event + wire, "ts_send": event + wire + server}
    data = [{"id": str(seq), "price": "64250.10", "qty": "0.015", "side": "buy"}]
    more = {"skipped": skipped} if skipped else {}
    return message(channel="trade", type=kind, symbol=symbol, seq=seq, **stamps, data=data, **more)


def close(code: int, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(struct.pack("!H", code) + reason, CLOSE)


class Peer(asyncio.Protocol):
    """One connection, as the server sees it.

    Attributes:
        address: the client's.
        index: how many requests there were before its own.
        texts: text messages that came, unmasked.
        pongs: payloads of pongs that came.
        closes: codes of close frames that came.
        ended: the connection is over.
    """

    def __init__(self, server: "SwarmServer") -> None:
        self.address = ""
        self.index = -1
        self.texts: list[bytes] = []
        self.pongs: list[bytes] = []
        self.closes: list[int] = []
        self.ended = False
        self._server = server
        self._buffer = bytearray()
        self._room = asyncio.Event()
        self._room.set()

    # --- for scripts ------------------------------------------------------------------------------

    async def send(self, *frames: bytes) -> None:
        """All in one write, once there is room."""
        await self._room.wait()
        self._transport.write(b"".join(frames))

    def close(self) -> None:
        """Ends the connection."""
        self._transport.close()

    @property
    def segments(self) -> int:
        """TCP segments that came, ACKs included; Linux: `tcpi_segs_in` of struct tcp_info."""
        sock = self._transport.get_extra_info("socket")
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 144)
        return int.from_bytes(told[140:], sys.byteorder)

    # --- asyncio's side ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.address = transport.get_extra_info("peername")[0]
        self._server.made(self)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self.index < 0:
            if not self._buffer.endswith(b"\r\n\r\n"):
                return
            self._buffer.clear()
            self._transport.write(self._server.asked(self))
        while (frame := self._frame()) is not None:
            opcode, payload = frame
            if opcode == CLOSE:
                self.closes.append(int.from_bytes(payload[:2]))
                self.close()
            else:
                (self.texts if opcode == TEXT else self.pongs).append(payload)

    def _frame(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < 2:
            return None
        first, second = self._buffer[:2]
        assert second & 0x80, "a client has to mask"
        size, at = second & 0x7F, 2
        if size > 125:
            at = 4 if size == 126 else 10
            size = int.from_bytes(self._buffer[2:at])
        if len(self._buffer) < at + 4 + size:
            return None
        mask, masked = self._buffer[at : at + 4], self._buffer[at + 4 : at + 4 + size]
        del self._buffer[: at + 4 + size]
        return first & 15, bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked))

    def connection_lost(self, _: Exception | None) -> None:
        self.ended = True
        self._server.lost(self)

    def abort(self) -> None:
        """Ends the connection without waiting for anything."""
        self._transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class SwarmServer:
    """Answers each request with `answer`, then follows `script` with each client.

    Args:
        script: what it does with an open connection; it stays open until the client ends it.
        answer: to the upgrade request; b"": never.

    Attributes:
        peers: every connection that asked, in that order.
        failures: what went wrong in a script.
    """

    def __init__(self, script: Script | None = None, *, answer: bytes = ANSWER) -> None:
        self._script, self._answer = script, answer
        self.peers: list[Peer] = []
        self.failures: list[BaseException] = []
        self._open: dict[Peer, asyncio.Task[None] | None] = {}
        self._ending = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        starting = self._loop.create_server(lambda: Peer(self), "127.0.0.1", 0, backlog=1024)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def target(self) -> tuple[str, int, bytes]:
        """For `Swarm`."""
        return "127.0.0.1", self.port, REQUEST

    # --- for Peer ---------------------------------------------------------------------------------

    def made(self, peer: Peer) -> None:
        """It is connected."""
        self._open[peer] = None
        if self._ending:
            peer.abort()

    def asked(self, peer: Peer) -> bytes:
        """It has sent its request; the answer."""
        peer.index = len(self.peers)
        self.peers.append(peer)
        if self._script is not None and self._answer == ANSWER:
            self._open[peer] = self._loop.create_task(self._follow(self._script, peer))
        return self._answer

    def lost(self, peer: Peer) -> None:
        """Its connection is over."""
        task = self._open.pop(peer)
        if task is not None:
            task.cancel()

    async def _follow(self, script: Script, peer: Peer) -> None:
        try:
            await script(peer)
        except Exception as error:
            self.failures.append(error)

    # --- the end ----------------------------------------------------------------------------------

    def __enter__(self) -> "SwarmServer":
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        assert not self.failures, self.failures

    async def _end(self) -> None:
        self._ending = True
        for peer in list(self._open):
            peer.abort()
        # Those accepted just now are made in the turns that follow, and aborted there; asyncio
        # forgets to close one that is made after its server's end.
        for _ in range(10):
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0)
        assert not self._open
        self._server.close()
