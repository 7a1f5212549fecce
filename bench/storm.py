"""A reconnect storm: thousands of clients with tokens come at once. How long until all are served?

    .venv/bin/python bench/storm.py [--clients 5000] [--tls]

Each client has a token of its own (EdDSA). Three storms, each with all clients at once and without
any of the spreading that our clients do: the first ever (each signature is looked at), the one
after all were cut off (the worker knows the tokens), and the one after the worker was killed (the
next one knows none). Served is a client that has its hello and the reply to a subscription.
Signatures looked at are `tickgate_auth_total{method="jwt",result="ok"}`. Over TLS clients resume
what they had in the storm before.

100 others stay, and read 10,000 updates a second together: the p99 of these updates' age when the
clients' kernel had them, in five quiet seconds and during each storm (of the last one not: their
worker is killed, too). The gateway has core 0, all clients core 1.
"""

import argparse
import asyncio
import functools
import os
import resource
import signal
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import numpy as np
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.certificates import Authority
from support.identity import Issuer
from support.serving import Serving, serving
from support.wire import request, subscribe

from gateway._native import Swarm
from gateway.latency.histogram import Histogram
from gateway.loadtest import endpoint as endpoints

AGAIN_S = 0.05
"""A client whose connection is refused or cut tries again after so long."""
TIMEOUT_S = 120.0
OTHERS = 100
QUIET_S = 5.0
STORMS = ("first", "after all were cut off", "after the worker was killed")
SECOND = 1_000_000_000


class Client(asyncio.Protocol):
    """Asks for a topic as soon as it is in."""

    def __init__(self, token: str, served: "Storm") -> None:
        self.token = token
        self._request = request(more=[("Authorization", f"Bearer {token}")])
        self._storm = served
        self._asked = self._served = False
        self._buffer = b""

    def connection_made(self, transport: "asyncio.BaseTransport | Secure") -> None:
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


class Secure(asyncio.Protocol):
    """A client's TLS, by hand: asyncio's resumes no session."""

    def __init__(self, inner: Client, context: ssl.SSLContext, tickets: "Tickets") -> None:
        self._inner = inner
        self._tickets = tickets
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = tickets.get(inner.token)
        self._tls = context.wrap_bio(
            self._in, self._out, server_hostname="localhost", session=session
        )
        self._up = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        self._in.write(data)
        try:
            if not self._up:
                self._tls.do_handshake()
                self._up = True
                self._inner.connection_made(self)
            while plain := self._tls.read(1 << 16):
                self._inner.data_received(plain)
            self._transport.close()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._transport.close()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._up and self._tls.session is not None:
            self._tickets[self._inner.token] = self._tls.session
        self._inner.connection_lost(exc)

    def _flush(self) -> None:
        if sealed := self._out.read():
            self._transport.write(sealed)

    def write(self, data: bytes) -> None:
        """As of a transport."""
        self._tls.write(data)
        self._flush()

    def abort(self) -> None:
        """As of a transport."""
        self._transport.abort()


Tickets = dict[str, ssl.SSLSession]
Made = Callable[[str, "Storm"], asyncio.Protocol]


def secure(context: ssl.SSLContext) -> Made:
    """Makes clients over TLS, which resume what they had."""
    tickets: Tickets = {}
    return lambda token, storm: Secure(Client(token, storm), context, tickets)


class Others:
    """Clients that stay, driven by a thread of their own."""

    def __init__(self, url: str, token: str) -> None:
        key = endpoints.key()
        target = endpoints.parse(url)
        headers = (("Authorization", f"Bearer {token}"),)
        upgrade = endpoints.upgrade(target, key, headers=headers)
        text = b'{"method":"subscribe","req_id":1,"params":{"channel":"trade","symbol":["*"]}}'
        self._swarm = Swarm(
            targets=[(target.address, target.port, upgrade)],
            tls_hosts=[target.tls_host],
            accept=endpoints.accept(key),
            groups=[{"measured": 1}],
            texts=[text],
            clients=np.tile(np.array([0, 0, 0], dtype=np.int32), (OTHERS, 1)),
            stamp=("tickgate", b""),
        )
        self._thread = threading.Thread(target=self._drive, daemon=True)
        self._thread.start()
        self.open = 0

    def _drive(self) -> None:
        self.open = self._swarm.connect(15 * SECOND)
        self._swarm.run(1 << 62)

    def begin(self) -> None:
        """What is stamped from now on counts."""
        now_ns = time.time_ns()
        self._before = self._swarm.counts("arrival", 0)
        self._swarm.window(now_ns, now_ns + 600 * SECOND)

    def end(self) -> str:
        """The p99 since."""
        ages = Histogram.merged([Histogram(self._swarm.counts("arrival", 0) - self._before, 0)])
        p99_ms, closed = ages.value_at_percentile(99) / 1e6, self._swarm.counters()[0]["closed"]
        return f"p99 {p99_ms:.2f} ms of {ages.count:,}, {closed} closed"

    def stop(self) -> None:
        self._swarm.stop()
        self._thread.join()


class Storm:
    """All of them at once."""

    def __init__(self, url: str, tokens: list[str], made: Made) -> None:
        self._made = made
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
                made = functools.partial(self._made, token, self)
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


async def storms(
    gateway: Serving, tokens: list[str], made: Made, others: Others, names: Sequence[str]
) -> None:
    """Some storms; a line for each."""
    loop = asyncio.get_running_loop()
    before = checks(gateway)
    for name in names:
        storm = Storm(gateway.url, tokens, made)
        if "killed" in name:
            others.stop()
            os.kill(gateway.pid(), signal.SIGKILL)
        else:
            others.begin()
            await asyncio.sleep(QUIET_S)
            print(f"others, quiet: {others.end()}")
            others.begin()
        took_s = await storm.run()
        if "killed" not in name:
            print(f"others, during the storm: {others.end()}")
        await loop.run_in_executor(None, time.sleep, 1.5)  # pages are read once a second
        now = checks(gateway)
        verified, cached = now[0] - before[0], now[1] - before[1]
        before = now
        print(
            f"{name}: {len(tokens)} served in {took_s:.2f} s ({storm.tries} connections tried), "
            f"{verified:.0f} signatures looked at, {cached:.0f} tokens known"
        )
        await storm.end()
    metrics = gateway.metrics()
    for counter in ("tls_handshakes_total", "handshakes_total"):
        found = {key[1]: int(n) for key, n in metrics.items() if key[0] == f"tickgate_{counter}"}
        print(f"{counter}: { ({key: n for key, n in found.items() if n}) }")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--keep-worker", action="store_true", help="without the last storm")
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as name:
        issuer = Issuer(Path(name), "EdDSA")
        tokens = [issuer.token(f"user-{n}") for n in range(given.clients)]
        sets = ['feeds.0.type="synthetic"', 'feeds.0.venue="SIM"', "feeds.0.rate=200"]
        sets += ["limits.handshakes_per_address=100000", "auth.failures_per_minute=1000000"]
        sets += ["slo.target_us=50000", *issuer.sets()]
        made: Made = Client
        if given.tls:
            authority = Authority(Path(name))
            cert, key = authority.sign("server", "DNS:localhost", "IP:127.0.0.1")
            sets += [f"tls.cert={cert}", f"tls.key={key}", "ops.tls=false"]
            os.environ["SSL_CERT_FILE"] = authority.cert
            made = secure(authority.client())
        with serving(Path(name) / "log", *sets, before=("taskset", "-c", "0")) as gateway:
            others = Others(gateway.url, issuer.token("stays"))
            time.sleep(2)
            assert others.open == OTHERS, others.open
            names = STORMS[:2] if given.keep_worker else STORMS
            uvloop.run(storms(gateway, tokens, made, others, names))


if __name__ == "__main__":
    main()
