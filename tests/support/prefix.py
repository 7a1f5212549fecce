"""A proxy that shows a server below a path, as a site does that has many: it strips the prefix."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

HEAD_BYTES_MAX = 1 << 16


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@contextmanager
def below(prefix: str, url: str) -> Iterator[str]:
    """Serves `url` at a new address and `prefix`, which begins and ends with a slash.

    Every other path is a 404 of the proxy's own. Yields the URL to visit.
    """
    parts = urlsplit(url)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        method, target, rest = head.split(b" ", 2)
        if not target.startswith(prefix.encode()):
            body = b"not found by the proxy\n"
            writer.write(
                b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)
            )
            writer.close()
            return
        there_reader, there = await asyncio.open_connection(parts.hostname, parts.port)
        there.write(b" ".join((method, b"/" + target[len(prefix) :], rest)))
        await asyncio.gather(_pipe(reader, there), _pipe(there_reader, writer))

    loop = asyncio.new_event_loop()
    listening = threading.Event()
    ports: list[int] = []
    stop = asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=HEAD_BYTES_MAX)
        ports.append(server.sockets[0].getsockname()[1])
        listening.set()
        await stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    listening.wait(10)
    try:
        yield f"http://127.0.0.1:{ports[0]}{prefix}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
