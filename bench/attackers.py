"""Those who attack a gateway: bench/attack.py starts this program, a process of its own.

    python bench/attackers.py KIND AIM CONNECTIONS [last]

KIND is one of `KINDS`, AIM a JSON object with the fields of `Aim`; 0 connections are as many as the
kind has. With `last` it runs at the lowest priority. The process obeys lines on
standard input as bench/disturb.py does: `prepare`, `begin`, `end`; each is answered by one line of
JSON, `end` with what became of the connections. The end of standard input ends the process.

Every attack is so many connections that are made again as soon as they end, from a hundred
addresses of this host. All loops are bounded.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parent))  # it is started with -P

from attackers_tls import client_hello, key_updates, renegotiations
from attackers_words import Aim, frame, upgrade
from disturb import come_last

from gateway import host

ADDRESSES = 100
"""Of 127.1.0.0/16; those of honest clients are others."""
TURNS_MAX = 1_000_000
"""Connections that one place of an attack makes, one after the other."""
TURN_S = 30.0
"""The longest that a connection is kept."""
HALF = 0.5
HUGE_BYTES = 70_000
NAMES_MAX = 300
"""`limits.symbols_per_request`."""
PATTERNS = 256
BURST = 200
"""Pings in one write."""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Attack:
    """So many connections at a time; what is done with each is `turn`."""

    parallel = 100
    pause_s = 0.0

    def __init__(self, aim: Aim, parallel: int) -> None:
        self.aim = aim
        self.parallel = parallel or self.parallel
        self.tally: Counter[str] = Counter()
        self.stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._tls = ssl.create_default_context(cafile=aim.ca) if aim.ca else None

    async def prepare(self) -> None:
        """What has to be there before the attack begins."""

    async def begin(self) -> None:
        self._tasks = [asyncio.create_task(self._go_on(k)) for k in range(self.parallel)]

    async def end(self) -> None:
        self.stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks, self.stopping = [], False

    async def turn(self, number: int, turn: int) -> None:
        """One connection, from first to last."""
        raise NotImplementedError

    async def _go_on(self, number: int) -> None:
        for turn in range(TURNS_MAX):
            if self.stopping:
                break
            self.tally["connections"] += 1
            try:
                async with asyncio.timeout(TURN_S):
                    await self.turn(number, turn)
            except TimeoutError:
                self.tally["kept"] += 1
            except (OSError, EOFError):
                self.tally["cut"] += 1
            await asyncio.sleep(self.pause_s)

    # --- connections ------------------------------------------------------------------------------

    async def dial(self, number: int) -> socket.socket:
        """A socket that is connected, of the address of this number."""
        sock = socket.socket()
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT, ip(7)
            sock.bind((f"127.1.0.{1 + number % ADDRESSES}", 0))
            at = self.aim.address, self.aim.port
            await asyncio.get_running_loop().sock_connect(sock, at)
        except BaseException:
            sock.close()
            raise
        return sock

    @asynccontextmanager
    async def stream(self, number: int) -> AsyncIterator[Stream]:
        """The same as a stream, over TLS where the gateway has it."""
        sock = await self.dial(number)
        try:
            name = self.aim.address if self._tls else None
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=self._tls, server_hostname=name
            )
        except BaseException:
            sock.close()
            raise
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def status(self, reader: asyncio.StreamReader) -> int:
        """Of the answer to a request; counted."""
        line = await reader.readline()
        if not line:
            raise EOFError
        status = int(line.split()[1])
        self.tally[str(status)] += 1
        return status

    @asynccontextmanager
    async def client(self, number: int) -> AsyncIterator[Stream]:
        """A client that was let in, as any user is."""
        async with self.stream(number) as (reader, writer):
            writer.write(upgrade(self.aim, self.aim.token))
            if await self.status(reader) != 101:
                raise EOFError
            yield reader, writer


# --- at the door ---------------------------------------------------------------------------------


class Silent(Attack):
    """Half-open: they connect, and say nothing."""

    parallel = 10_000
    pause_s = HALF
    said = b""

    async def turn(self, number: int, turn: int) -> None:
        loop = asyncio.get_running_loop()
        sock = await self.dial(number)
        try:
            if said := self.words():
                await loop.sock_sendall(sock, said)
            while await loop.sock_recv(sock, 4096):
                pass
        finally:
            sock.close()

    def words(self) -> bytes:
        """What is said, once."""
        return b""


class Partial(Silent):
    """They say half of their first message: of a request, or of a ClientHello."""

    def words(self) -> bytes:
        whole = client_hello() if self.aim.ca else upgrade(self.aim, self.aim.token)
        return whole[: len(whole) // 2]


class Churn(Attack):
    """They come in as users, and leave."""

    async def turn(self, number: int, turn: int) -> None:
        async with self.client(number):
            pass


class Hellos(Attack):
    """ClientHellos without end: the gateway signs, the attacker computes nothing."""

    parallel = 500

    async def prepare(self) -> None:
        self._hello = client_hello()

    async def turn(self, number: int, turn: int) -> None:
        loop = asyncio.get_running_loop()
        sock = await self.dial(number)
        try:
            await loop.sock_sendall(sock, self._hello)
            if await loop.sock_recv(sock, 4096):
                self.tally["answered"] += 1
        finally:
            sock.close()


class Handshakes(Attack):
    """Whole handshakes of TLS, and nothing after."""

    async def turn(self, number: int, turn: int) -> None:
        async with self.stream(number):
            self.tally["through"] += 1


# --- tokens --------------------------------------------------------------------------------------


class Forged(Attack):
    """Tokens of another key, without an algorithm, of a key that nobody knows, and no tokens."""

    async def turn(self, number: int, turn: int) -> None:
        async with self.stream(number) as (reader, writer):
            strange = self.aim.strange
            writer.write(upgrade(self.aim, strange[(number + turn) % len(strange)]))
            await self.status(reader)


class Huge(Attack):
    """Tokens of 70 KB."""

    async def turn(self, number: int, turn: int) -> None:
        async with self.stream(number) as (reader, writer):
            writer.write(upgrade(self.aim, "A" * HUGE_BYTES))
            await self.status(reader)


# --- clients that were let in --------------------------------------------------------------------


class User(Attack):
    """They come in as users, and send what `texts` has until they are closed."""

    parallel = 20

    async def turn(self, number: int, turn: int) -> None:
        async with self.client(number) as (reader, writer):
            reading = asyncio.create_task(self._read(reader))
            try:
                for k in range(TURNS_MAX):
                    if reading.done():
                        break
                    writer.write(self.data(number, k))
                    await writer.drain()
                    await asyncio.sleep(0)
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError, OSError):
                    await reading

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(1 << 16):
            pass

    def data(self, number: int, turn: int) -> bytes:
        """What is sent next."""
        raise NotImplementedError


class Bombs(User):
    """Patterns that fit everything in many ways, thousands of names, messages beyond the limit."""

    def data(self, number: int, turn: int) -> bytes:
        first = (number * TURNS_MAX + turn) * NAMES_MAX
        names = (
            [f"*S*Y*M*{k}*" for k in range(PATTERNS)],
            [f"N{first + k}.SIM" for k in range(NAMES_MAX)],
            ["*"] * NAMES_MAX,
            [f"N{k}.SIM" for k in range(1000)],
        )[turn % 4]
        params = {"channel": "trade", "symbol": names}
        text = json.dumps({"method": "subscribe", "params": params}, separators=(",", ":"))
        self.tally["bombs"] += 1
        return frame(0x81, text.encode())


class Pings(User):
    """Pings, many in each packet."""

    async def prepare(self) -> None:
        self._data = frame(0x89, bytes(100)) * BURST

    def data(self, number: int, turn: int) -> bytes:
        self.tally["pings"] += BURST
        return self._data


class Threads(Attack):
    """What only OpenSSL itself does, on a thread for each connection."""

    parallel = 8
    act: Callable[..., int]

    async def turn(self, number: int, turn: int) -> None:
        loop = asyncio.get_running_loop()
        sock = await self.dial(number)
        self.tally["done"] += await loop.run_in_executor(
            None, type(self).act, sock, upgrade(self.aim, self.aim.token), lambda: self.stopping
        )

    async def end(self) -> None:
        """No thread can be cancelled."""
        self.stopping = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks, self.stopping = [], False


class Renegotiations(Threads):
    """TLS 1.2: the handshake again and again, on one connection."""

    act = staticmethod(renegotiations)


class KeyUpdates(Threads):
    """TLS 1.3: new keys again and again, on one connection."""

    act = staticmethod(key_updates)


# --- programs of others --------------------------------------------------------------------------


class SlowHttpTest(Attack):
    """slowhttptest(1): slow headers, slow bodies, slow reads, ranges."""

    words: tuple[str, ...] = ()
    path = "/v1"

    async def begin(self) -> None:
        program = shutil.which("slowhttptest")
        if program is None:
            raise SystemExit("program slowhttptest is absent")
        load = ("-c", str(self.parallel), "-r", "1000", "-l", "60", "-p", "3")
        quiet = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            program, *self.words, *load, "-u", self.aim.url + self.path, stdout=quiet, stderr=quiet
        )
        self.tally["connections"] += self.parallel

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        else:
            self.tally["ended_early"] += 1  # all its connections were cut off
        await self._process.wait()


class SlowHeaders(SlowHttpTest):
    parallel = 4000
    words = ("-H", "-i", "1", "-x", "24")


class SlowBody(SlowHttpTest):
    parallel = 4000
    words = ("-B", "-i", "1", "-x", "24", "-s", "8192")


class SlowRead(SlowHttpTest):
    """Of the largest answer there is: the schema, which needs no token."""

    parallel = 4000
    words = ("-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "3")
    path = "/v1/schema.xml"


class Range(SlowHttpTest):
    parallel = 4000
    words = ("-R", "-a", "10", "-b", "3000")
    path = "/v1/schema.xml"


class Page(Attack):
    """A page of another site, in a browser with a user's cookies, that opens WebSockets."""

    parallel = 50

    async def prepare(self) -> None:
        if hasattr(self, "_page"):
            return
        from attackers_page import open_page

        self._page = await open_page(self.aim.url.replace("http", "ws", 1) + "/v1", self.aim.token)

    async def begin(self) -> None:
        await self._page.evaluate(f"attack({self.parallel})")

    async def end(self) -> None:
        for what, count in (await self._page.evaluate("stop()")).items():
            self.tally[what] += count


KINDS: dict[str, type[Attack]] = {
    "slow-headers": SlowHeaders,
    "slow-body": SlowBody,
    "slow-read": SlowRead,
    "range": Range,
    "silent": Silent,
    "partial": Partial,
    "forged": Forged,
    "huge": Huge,
    "bombs": Bombs,
    "pings": Pings,
    "churn": Churn,
    "hellos": Hellos,
    "handshakes": Handshakes,
    "renegotiations": Renegotiations,
    "key-updates": KeyUpdates,
    "page": Page,
}
"""By name."""
TLS_ONLY = ("hellos", "handshakes", "renegotiations", "key-updates")


async def obey(attack: Attack) -> None:
    """Does what standard input says."""
    await attack.prepare()
    print("ready", flush=True)
    steps: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "prepare": attack.prepare,
        "begin": attack.begin,
        "end": attack.end,
    }
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = line.strip()
        await steps[order]()
        print(json.dumps(attack.tally if order == "end" else {}), flush=True)
        if order == "end":
            attack.tally.clear()


def main() -> None:
    kind, aim, connections, *more = sys.argv[1:]
    if more == ["last"]:
        come_last()
    host.raise_descriptor_limit()
    uvloop.run(obey(KINDS[kind](Aim(**json.loads(aim)), int(connections))))


if __name__ == "__main__":
    main()
