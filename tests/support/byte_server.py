"""A WebSocket server of bare bytes on the test's own loop: right or wrong, as its script says."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from support.sans_client import upgrade
from support.wire import mask

TIMEOUT_S = 60.0
"""Far beyond what anything takes."""
Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's end of a connection, whose request has come.

    Attributes:
        request: the client's.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.request = b""

    async def asked(self) -> None:
        self.request = await self._reader.readuntil(b"\r\n\r\n")

    async def send(self, *pieces: bytes, pause_s: float = 0.0) -> None:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(pause_s)

    async def open(self, rest: bytes = b"") -> None:
        """Lets the client in; the rest is in the same write."""
        await self.send(upgrade(self.request) + rest)

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the client's next frame."""
        first, second = await self._reader.readexactly(2)
        assert second & 0x80, "a client has to mask"
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
        key = await self._reader.readexactly(4)
        return first & 0x0F, mask(await self._reader.readexactly(size), key)

    async def ended(self) -> bytes:
        """What still comes before the client's end of the stream."""
        return await self._reader.read()

    def half_close(self) -> None:
        self._writer.write_eof()

    def reset(self) -> None:
        self._writer.transport.abort()

    @property
    def sock(self) -> socket.socket:
        sock: socket.socket = self._writer.get_extra_info("socket")
        return sock

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class Server:
    """Follows the script with each client, then closes.

    Attributes:
        done: the scripts that came to their end.
    """

    def __init__(self, script: Script, path: Path | None = None) -> None:
        self._script, self._path = script, path
        self.done = 0
        self._ended = asyncio.Event()
        self.errors: list[BaseException] = []

    async def __aenter__(self) -> "Server":
        if self._path is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        else:
            self._server = await asyncio.start_unix_server(self._serve, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        async with asyncio.timeout(TIMEOUT_S):
            await self._ended.wait()
            await self._server.wait_closed()
        assert not self.errors, self.errors

    @property
    def url(self) -> str:
        if self._path is not None:
            return "ws://gateway.test/v1"
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await peer.asked()
                await self._script(peer)
        except BaseException as error:
            self.errors.append(error)
        finally:
            await peer.close()
            self._ended.set()
