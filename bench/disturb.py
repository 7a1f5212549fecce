"""Clients that disturb a gateway, within its limits: bench/bystander.py starts this program.

    python bench/disturb.py KIND URL CONNECTIONS TOPICS

Each kind stays within every limit of the gateway. The process connects, asks for what it wants, and
says `ready`. It obeys lines on standard input: `begin` starts the disturbance, `end` stops it,
`prepare` replaces connections that it has used up. Each is answered by one line of JSON, `end` with
what the connections did. The end of
standard input ends the process.

It runs at the lowest priority: on the core that it shares with the bystanders they come first.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import struct
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

CHANNEL = "trade"
PATTERNS = 256
"""`limits.patterns_per_connection`."""
NAMES_MAX = 300
"""`limits.symbols_per_request`."""
SETUP_EACH = 32
"""Patterns asked for at once before anything is measured: little work each, within the burst."""
PAIRS_PER_S = 16
"""Subscriptions of `*` and their ends: 32 requests a second, of the 50 that a client has."""
LINKS_EACH = 300
"""Topics of each client that is cut."""
STOPPED_S = 1.6
"""A lossless client that is 2 s behind would be let go (`limits.lossless_max_age_ms`)."""
READ_EVERY_S = 0.005
RCVBUF_BYTES = 128 << 10
"""Far less than what comes while they do not read: else the kernel takes it for them, and the
gateway never has to wait."""
RCVBUF_AFTER_BYTES = 4 << 20
"""As they read on, so that a socket takes all that waits for it at once: a gateway that flushed
until the socket was full would not come back before (`net.core.rmem_max` may allow less)."""
OPENING_BYTES = 1024
NICE = 19
TIMEOUT_S = 60.0
"""For one reply. A gateway may be busy for seconds with what was asked before."""

Reply = dict[str, Any]


@dataclass
class Tally:
    """What the connections did.

    Attributes:
        requests: that were carried out.
        refused: replies that said to come again later, or to ask for less.
        closed: connections that the gateway ended.
        cut: connections that were reset by us.
        behind_kb: what came within a second of the moment at which they read on.
    """

    requests: int = 0
    refused: int = 0
    closed: int = 0
    cut: int = 0
    behind_kb: int = 0

    def take(self) -> dict[str, int]:
        """What was done since the last look."""
        taken = asdict(self)
        self.requests = self.refused = self.closed = self.cut = self.behind_kb = 0
        return taken


class Asker:
    """A connection that asks, and reads whatever comes."""

    def __init__(self, ws: ClientConnection, tally: Tally) -> None:
        self._ws = ws
        self._tally = tally
        self._replies: asyncio.Queue[Reply | None] = asyncio.Queue()
        self._each = NAMES_MAX
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str, tally: Tally) -> Asker:
        """Connects."""
        ws = await connect(
            url,
            compression=None,
            max_size=None,
            max_queue=None,
            ping_interval=None,
            open_timeout=60,
        )
        return cls(ws, tally)

    @property
    def gone(self) -> bool:
        """Whether the gateway ended the connection."""
        return self._reader.done()

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for message in self._ws:
                if isinstance(message, str) and message.startswith('{"method"'):
                    self._replies.put_nowait(json.loads(message))
        self._replies.put_nowait(None)

    async def ask(self, method: str, names: Sequence[str], each: int = NAMES_MAX) -> bool:
        """Has it carried out, however often it has to be asked for; False: the connection is gone.

        A gateway says when to come again, and is obeyed; where it wants fewer names at once, it
        gets fewer, now and later.
        """
        at = 0
        while at < len(names):
            some = names[at : at + min(each, self._each)]
            reply = await self._once(method, some)
            if reply is None:
                self._tally.closed += 1
                said = f"{self._ws.close_code} {self._ws.close_reason}"
                print(f"disturber closed: {said}", file=sys.stderr)
                return False
            if reply["success"]:
                self._tally.requests += 1
                at += len(some)
                continue
            self._tally.refused += 1
            error = reply.get("error") or reply["results"][0]["error"]
            if (wait_ms := error.get("retry_after_ms")) is not None:
                await asyncio.sleep(wait_ms / 1000)
            elif len(some) > 1:
                self._each = len(some) // 2
            else:
                raise SystemExit(f"refused: {error}")
        return True

    async def _once(self, method: str, names: Sequence[str]) -> Reply | None:
        params: dict[str, Any] = {"channel": CHANNEL, "symbol": list(names)}
        if method == "subscribe":
            params["snapshot"] = False
        try:
            await self._ws.send(json.dumps({"method": method, "params": params}))
            async with asyncio.timeout(TIMEOUT_S):
                return await self._replies.get()
        except ConnectionClosed:
            return None


class Disturbance:
    """Does nothing but hold its connections and their patterns.

    Args:
        url: of the gateway.
        connections: how many.
        topics: that there are or will be, SYM000.SIM and on.
    """

    form = "*%05dX"
    """Of the patterns, by number; none of them covers a topic."""
    patterns = PATTERNS

    def __init__(self, url: str, connections: int, topics: int) -> None:
        self.url = url
        self.connections = connections
        self.topics = topics
        self.tally = Tally()
        self.askers: dict[int, Asker] = {}
        self.stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def own(self, number: int) -> list[str]:
        """The patterns of a connection; no two connections have one in common."""
        first = number * self.patterns
        return [self.form % (first + k) for k in range(self.patterns)]

    async def prepare(self) -> None:
        """Connects and subscribes those who are not; called again after each disturbance."""
        missing = [n for n in range(self.connections) if n not in self.askers]
        missing += [n for n, one in self.askers.items() if one.gone]
        for number in missing:
            self.askers[number] = await Asker.open(self.url, self.tally)
        for number in missing:
            if not await self.askers[number].ask("subscribe", self.own(number), SETUP_EACH):
                raise SystemExit("the gateway closed a connection that had hardly begun")

    async def begin(self) -> None:
        self._tasks = [asyncio.create_task(self.disturb(n, one)) for n, one in self.askers.items()]

    async def disturb(self, number: int, asker: Asker) -> None:
        """What a connection does until it is stopped; nothing."""

    async def end(self) -> None:
        """Lets each connection come to the end of what it is at."""
        self.stopping = True
        await asyncio.gather(*self._tasks)
        self.stopping = False


class Patterns(Disturbance):
    """Subscribes and unsubscribes `*`, beside patterns that cover nothing."""

    form = "*%03dX"
    patterns = PATTERNS - 1

    async def disturb(self, number: int, asker: Asker) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self.stopping:
            for method in ("subscribe", "unsubscribe"):
                if not await asker.ask(method, ["*"]):
                    return
            due = max(due + 1 / PAIRS_PER_S, loop.time())
            await asyncio.sleep(due - loop.time())


class Limits(Disturbance):
    """Subscribes to its patterns again and again, as fast as it may."""

    async def disturb(self, number: int, asker: Asker) -> None:
        own = self.own(number)
        while not self.stopping:
            if not await asker.ask("subscribe", own):
                return


class Sockets(Disturbance):
    """Connections that are sockets and no more, so that many cost us nothing."""

    def __init__(self, url: str, connections: int, topics: int) -> None:
        super().__init__(url, connections, topics)
        self.sockets: list[socket.socket] = []

    async def prepare(self) -> None:
        parts = urlsplit(self.url)
        while len(self.sockets) < self.connections:
            at = str(parts.hostname), parts.port or 80
            self.sockets.append(_subscribed(at, parts.path, self.wanted()))

    def wanted(self) -> dict[str, Any]:
        """The parameters of a connection's subscription."""
        raise NotImplementedError


class Cut(Sockets):
    """Connections with many links each, reset all at once."""

    def __init__(self, url: str, connections: int, topics: int) -> None:
        super().__init__(url, connections, topics)
        self._random = random.Random(1)

    def wanted(self) -> dict[str, Any]:
        # The first topics are those that tick, and bystanders have them; the last is everybody's.
        last = self.topics - 1
        chosen = [*self._random.sample(range(self.topics // 3, last), LINKS_EACH - 1), last]
        return {"symbol": [f"SYM{k:03d}.SIM" for k in chosen]}

    async def begin(self) -> None:
        for one in self.sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for one in self.sockets:
            one.close()
        self.tally.cut += len(self.sockets)
        self.sockets.clear()


class CatchUp(Sockets):
    """Connections that get everything, and stop reading for a time."""

    mode = "lossless"
    _used = False

    async def prepare(self) -> None:
        if self._used:  # a window that was opened can't be shut again
            for one in self.sockets:
                one.close()
            self.sockets.clear()
            self._used = False
        await super().prepare()
        for one in self.sockets:
            one.setblocking(False)
        if not self._tasks:
            self._awake = asyncio.Event()
            self._awake.set()
            self._tasks = [asyncio.create_task(self._read())]

    def wanted(self) -> dict[str, Any]:
        return {"symbol": ["*"], "mode": self.mode}

    async def begin(self) -> None:
        self._awake.clear()
        self._used = True
        asyncio.get_running_loop().call_later(STOPPED_S, self._awake.set)

    async def end(self) -> None:
        """Nothing: they go on reading."""

    async def _read(self) -> None:
        """Reads all that is there every few milliseconds, and has the kernel throw it away: a read
        for each tick and client would be the disturbance."""
        room, until, loop = bytearray(1 << 20), 0.0, asyncio.get_running_loop()
        while True:
            if not self._awake.is_set():
                await self._awake.wait()
                until = loop.time() + 1.0
                self._open_windows(room)
            for one in list(self.sockets):
                got = self._discard(one, room)
                self.tally.behind_kb += got // 1024 if loop.time() < until else 0
            await asyncio.sleep(0 if loop.time() < until else READ_EVERY_S)

    def _open_windows(self, room: bytearray) -> None:
        """A little is read of each first: they become writable one right after the other, sooner
        than the gateway can serve one."""
        for one in self.sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RCVBUF_AFTER_BYTES)
            with suppress(BlockingIOError):
                one.recv_into(room, OPENING_BYTES, socket.MSG_TRUNC)

    def _discard(self, sock: socket.socket, room: bytearray) -> int:
        got = 0
        with suppress(BlockingIOError):
            while more := sock.recv_into(room, len(room), socket.MSG_TRUNC):
                got += more
            self.tally.closed += 1
            self.sockets.remove(sock)
            sock.close()
        return got


class Conflated(CatchUp):
    """The same, of connections that get newer data and not all of it."""

    mode = "conflate"


def _subscribed(at: tuple[str, int], path: str, params: dict[str, Any]) -> socket.socket:
    """A connection that has its subscriptions, and whatever comes next unread."""
    sock = socket.socket()
    sock.settimeout(TIMEOUT_S)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RCVBUF_BYTES)
    sock.connect(at)
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {at[0]}:{at[1]}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    known = b""
    while b"\r\n\r\n" not in known:
        known += _more(sock)
    head, _, known = known.partition(b"\r\n\r\n")
    if b" 101 " not in head.split(b"\r\n")[0]:
        raise SystemExit(f"no connection: {head.splitlines()[0].decode()}")
    params = {"channel": CHANNEL, "snapshot": False} | params
    text = json.dumps({"method": "subscribe", "params": params}).encode()
    # RFC 6455 section 5.2: FIN and text, 126 for a length in 16 bits, a mask that changes nothing.
    sock.sendall(b"\x81\xfe" + struct.pack("!HI", len(text), 0) + text)
    while b'{"method":"subscribe"' not in known:
        known += _more(sock)
    while b'"results":[' not in known and b'"error":' not in known:
        known += _more(sock)
    if b'"success":true,"failed":0' not in known:
        raise SystemExit(f"refused: {known[-400:].decode(errors='replace')}")
    return sock


def _more(sock: socket.socket) -> bytes:
    got = sock.recv(65536)
    if not got:
        raise SystemExit("the gateway closed a connection that had hardly begun")
    return got


KINDS: dict[str, Callable[[str, int, int], Disturbance]] = {
    "patterns": Patterns,
    "restart": Disturbance,
    "limits": Limits,
    "cut": Cut,
    "catchup": CatchUp,
    "conflated": Conflated,
}


async def obey(disturbance: Disturbance) -> None:
    """Does what standard input says."""
    await disturbance.prepare()
    print("ready", flush=True)
    steps: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "prepare": disturbance.prepare,
        "begin": disturbance.begin,
        "end": disturbance.end,
    }
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = line.strip()
        await steps[order]()
        print(json.dumps(disturbance.tally.take() if order == "end" else {}), flush=True)


def come_last() -> None:
    """Gives the CPU to everybody else. Where the kernel shares it out between sessions first
    (sched(7): autogroup), a process's own priority counts within its session only."""
    os.nice(NICE)
    if os.getsid(0) == os.getpid():  # else it is somebody else's session, too
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICE))


def main() -> None:
    kind, url, connections, topics = sys.argv[1:]
    come_last()
    asyncio.run(obey(KINDS[kind](url, int(connections), int(topics))))


if __name__ == "__main__":
    main()
