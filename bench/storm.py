"""A reconnect storm: thousands of clients with tokens come at once. How long until all are served?

    .venv/bin/python bench/storm.py [--clients 5000]

Each client has a token of its own (EdDSA). Three storms, each with all clients at once and without
any of the spreading that our clients do: the first ever (each signature is looked at), the one
after all were cut off (the worker knows the tokens), and the one after the worker was killed (the
next one knows none). Served is a client that has its hello and the reply to a subscription.
Signatures looked at are `tickgate_auth_total{method="jwt",result="ok"}`.
"""

import argparse
import asyncio
import functools
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.identity import Issuer
from support.serving import Serving, serving
from support.wire import request, subscribe

AGAIN_S = 0.05
"""A client whose connection is refused or cut tries again after so long."""
TIMEOUT_S = 120.0


class Client(asyncio.Protocol):
    """Asks for a topic as soon as it is in."""

    def __init__(self, token: str, served: "Storm") -> None:
        self.token = token
        self._request = request(more=[("Authorization", f"Bearer {token}")])
        self._storm = served
        self._asked = self._served = False
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._served:
            return
        self._buffer += data
        if not self._asked and b"\r\n\r\n" in self._buffer:
            self._asked = True
            self._transport.write(subscribe(["SYM001.SIM"]))
        if b'"results"' in self._buffer:
            self._served = True
            self._buffer = b""
            self._storm.served(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._served:
            self._storm.lost(self)


class Storm:
    """All of them at once."""

    def __init__(self, url: str, tokens: list[str]) -> None:
        self._host, self._port = urlsplit(url).hostname or "", urlsplit(url).port or 0
        self._tokens = tokens
        self._left = len(tokens)
        self._done = asyncio.Event()
        self._again: asyncio.Queue[str] = asyncio.Queue()
        self.transports: list[asyncio.Transport] = []
        self.tries = 0

    def served(self, transport: asyncio.Transport) -> None:
        self.transports.append(transport)
        self._left -= 1
        if not self._left:
            self._done.set()

    def lost(self, client: Client) -> None:
        asyncio.get_running_loop().call_later(AGAIN_S, self._again.put_nowait, client.token)

    async def run(self) -> float:
        """Seconds until all are served."""
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        workers = [asyncio.create_task(self._connect(loop)) for _ in range(64)]
        for token in self._tokens:
            self._again.put_nowait(token)
        async with asyncio.timeout(TIMEOUT_S):
            await self._done.wait()
        for one in workers:
            one.cancel()
        return time.monotonic() - began

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            token = await self._again.get()
            self.tries += 1
            try:
                made = functools.partial(Client, token, self)
                await loop.create_connection(made, self._host, self._port)
            except OSError:
                loop.call_later(AGAIN_S, self._again.put_nowait, token)

    async def end(self) -> None:
        """All are cut off."""
        for one in self.transports:
            one.abort()
        await asyncio.sleep(0.5)


def checks(gateway: Serving) -> tuple[float, float]:
    metrics = gateway.metrics()
    return metrics.of("auth_total", "jwt", "ok"), metrics.of("auth_total", "jwt", "cached")


async def storms(gateway: Serving, tokens: list[str]) -> None:
    """Three storms; a line for each."""
    loop = asyncio.get_running_loop()
    before = checks(gateway)
    for name in ("first", "after all were cut off", "after the worker was killed"):
        storm = Storm(gateway.url, tokens)
        if "killed" in name:
            os.kill(gateway.pid(), signal.SIGKILL)
        took_s = await storm.run()
        await loop.run_in_executor(None, time.sleep, 1.5)  # pages are read once a second
        now = checks(gateway)
        verified, cached = now[0] - before[0], now[1] - before[1]
        before = now
        print(
            f"{name}: {len(tokens)} served in {took_s:.2f} s ({storm.tries} connections tried), "
            f"{verified:.0f} signatures looked at, {cached:.0f} tokens known"
        )
        await storm.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=5000)
    clients = parser.parse_args().clients
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as name:
        issuer = Issuer(Path(name), "EdDSA")
        tokens = [issuer.token(f"user-{n}") for n in range(clients)]
        feed = ('feeds.0.type="synthetic"', 'feeds.0.venue="SIM"', "feeds.0.rate=100")
        more = ("limits.handshakes_per_address=100000", "auth.failures_per_minute=1000000")
        with serving(Path(name) / "log", *issuer.sets(), *feed, *more) as gateway:
            uvloop.run(storms(gateway, tokens))


if __name__ == "__main__":
    main()
