"""A worker that echoes, for tests alone: every message comes back as it was.

It is the real one, its listener, connections, parser and data plane included. What differs is given
to it: a dialect whose session says what it hears, limits that let 16 MiB through, and binary
messages, which no dialect of ours takes. `python -m support.echo` serves until it is interrupted,
for WebSocket test suites that run on their own; with a certificate over TLS.
"""

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final
from unittest.mock import patch

import uvloop
from websockets.frames import Frame, Opcode

from gateway._native import STATS_SIZE, WAIT_SIZE, RingWriter, StatsPage, create_memory
from gateway.codec.formats import Format
from gateway.config import Config
from gateway.dialects.dialect import Arrival, Dialect
from gateway.options import LimitsOptions, TlsOptions
from gateway.server import worker
from gateway.server.connection import Connection
from gateway.server.parts import WorkerParts
from gateway.session.access import Rights
from gateway.session.actions import Action, Reply, StatsRow
from gateway.session.catalog import Catalog
from gateway.session.options import Shared
from gateway.wire.events import Event
from gateway.wire.server_side import Endpoint, ServerSide

PATH: Final = "/echo"
MESSAGE_BYTES_MAX: Final = 16 << 20
"""The largest message of the Autobahn test suite."""
LIMITS: Final = LimitsOptions(
    message_bytes=MESSAGE_BYTES_MAX, fragments_max=1 << 20, message_timeout_s=120
)
START_S: Final = 30.0


class EchoSession:
    """Says what it hears."""

    subscriptions = 0

    def receive(self, text: str, *, mono_ns: int, real_ns: int) -> list[Action]:
        return [Reply(text.encode())]

    def stats(self, token: int, rows: Sequence[StatsRow]) -> Reply:
        raise AssertionError("it never asks")

    def forbidden(self, identity: int) -> list[Action]:
        raise AssertionError("it subscribes to nothing")

    def regranted(self, rights: Rights) -> list[Action]:
        raise AssertionError("nobody has to say who they are")

    def review(self) -> list[Action]:
        raise AssertionError("nobody has to say who they are")

    def wake(self, mono_ns: int) -> list[Action]:
        raise AssertionError("it never sleeps")

    def end(self) -> None:
        """It has nothing to let go of."""


def _open(_: Arrival, __: Catalog, ___: Shared) -> tuple[EchoSession, list[Action]]:
    return EchoSession(), []


ECHO: Final = Dialect({PATH: {None: Format("echo", {}, {})}}, _open)


class EchoConnection(Connection):
    """Takes binary messages, too."""

    __slots__ = ()

    def _tell(self, event: Event, wire: ServerSide) -> None:
        if isinstance(event, bytes):
            self.message_ns = 0
            frame = Frame(Opcode.BINARY, event).serialize(mask=False)
            self._queued(self._owner.plane.write(self.handle, frame))
        else:
            super()._tell(event, wire)


def _patched() -> ExitStack:
    stack = ExitStack()
    stack.enter_context(patch("gateway.server.listener.Connection", EchoConnection))
    stack.enter_context(patch("gateway.server.listener.Endpoint", partial(Endpoint, binary=True)))
    # Half of it takes the largest message, so that reading is never paused for good.
    stack.enter_context(
        patch("gateway.server.plane.CONTROL_BYTES_MAX", 2 * MESSAGE_BYTES_MAX + (1 << 10))
    )
    return stack


@asynccontextmanager
async def echoing(port: int = 0, cert: str = "", key: str = "") -> AsyncIterator[str]:
    """Serves on the loopback, over TLS where it has a certificate; the URL."""
    config = Config(limits=LIMITS, tls=TlsOptions(cert=cert, key=key))
    fds = [create_memory("stats", STATS_SIZE), create_memory("wait", WAIT_SIZE)]
    writer = RingWriter(1 << 16, 16)
    listening = socket.create_server(("127.0.0.1", port))
    listening.setblocking(False)
    scheme = "wss" if cert else "ws"
    url = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}{PATH}"
    segments: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    segments.put_nowait((writer.epoch, os.dup(writer.fd)))  # the worker closes it
    ready, drain = asyncio.Event(), asyncio.Event()
    parts = WorkerParts(
        index=0,
        config=config,
        venues={},
        listen_socket=listening,
        stats=StatsPage(fds[0], writable=True),
        wait_fd=fds[1],
        event_fd=-1,
        segments=segments,
        configs=asyncio.Queue(),
        reports=lambda _: None,
        drain=drain,
        ready=ready.set,
        status=lambda _: None,
        dialects=(ECHO,),
    )
    with _patched():
        running = asyncio.create_task(worker.run(parts))
        try:
            async with asyncio.timeout(START_S):
                await ready.wait()
            yield url
        finally:
            drain.set()
            async with asyncio.timeout(START_S):
                await running
            writer.close()
            for fd in fds:
                os.close(fd)


@contextmanager
def echo_process(cert: str = "", key: str = "") -> Iterator[str]:
    """Serves in a process of its own, over TLS where it has a certificate; the URL."""
    words = [sys.executable, "-m", "support.echo"]
    words += ["--cert", cert, "--key", key] if cert else []
    tests = Path(__file__).parents[1]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=tests) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
            process.terminate()
            assert process.wait(START_S) == 0
        finally:
            process.kill()


async def _serve(port: int, cert: str, key: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with echoing(port, cert, key) as url:
        print(url, flush=True)
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cert", default="", help="PEM file: it serves over TLS")
    parser.add_argument("--key", default="", help="of the certificate")
    given = parser.parse_args()
    uvloop.run(_serve(given.port, given.cert, given.key))
