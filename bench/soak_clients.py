"""Clients of `bench/soak.py`: they come with fresh credentials, stay for a while, and go in each
way that there is. What each of them saw is counted, to be held against what the gateway says."""

import asyncio
import functools
import random
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal, cast
from urllib.parse import urlsplit

from support.identity import Issuer, tg
from support.identity import rule as granting
from support.wire import CLOSE, PING, PONG, close, frame, request, subscribe, text

Kind = Literal["bearer", "in_band", "api_key", "wrong", "silent", "nothing"]
KINDS: Final[tuple[Kind, ...]] = ("bearer", "in_band", "api_key", "wrong", "silent", "nothing")
WEIGHTS: Final = (45, 25, 20, 5, 3, 2)
"""`wrong`: a token of somebody else's key; `silent`: no credential, no word; `nothing`: it goes
before its request."""
METHODS: Final = {"bearer": "jwt", "in_band": "jwt", "api_key": "api_key", "wrong": "jwt"}
HEADERS: Final = ("bearer", "api_key", "wrong")
"""Who says it in the request."""
NOT_LET_IN: Final = (401, 429)
USERS: Final = 400
SYMBOLS: Final = tuple(f"SYM{n:03}.{venue}" for n in range(10) for venue in ("SIM", "SIM_D"))
ASKED: Final = (("SYM*.SIM",), ("SYM001.SIM", "SYM002.SIM_D"), *((one,) for one in SYMBOLS))
ALL: Final = ("SYM*.SIM", "SYM*.SIM_D")
STAY_S: Final = (0.1, 3.0)
AGAIN_S: Final = 2.0
"""After which a client that stays comes back: what ended it names the second it was in."""
LEAVE_S: Final = 10.0
SLOW_S: Final = 2.0
"""Between two reads of a client that hardly reads."""
SLOW_BYTES: Final = 4096


class Counts(Counter[str]):
    """What clients saw: `dialed`, `opened`, `refused`, `asked`, `served`, `tried METHOD`, ..."""


class Where:
    """How a gateway is reached, and the credentials that it takes."""

    def __init__(self, url: str, unix: str, tls: ssl.SSLContext, issuer: Issuer) -> None:
        parts = urlsplit(url)
        self.address = parts.hostname or "", parts.port or 0
        self.unix = unix
        self.tls = tls
        self.issuer = issuer
        self.stranger = Issuer(issuer.directory / "stranger")
        self.api_keys: list[str] = []

    def credential(self, kind: Kind, user: str) -> str:
        """A fresh one."""
        if kind == "api_key":
            return random.choice(self.api_keys)
        issuer = self.stranger if kind == "wrong" else self.issuer
        rights = tg(granting("*", "*"), tenant=random.choice(("desk-a", "desk-b")))
        newest = len(issuer.keys) - 1
        return issuer.token(user, key=newest, tg=rights, iat=int(time.time()))


class Client(asyncio.Protocol):
    """One connection, from its request to its end.

    Args:
        kind: how it says who it is.
        credential: what with.
        names: what it asks for, once it is in.
        ready: called once its subscription is answered.
    """

    def __init__(
        self,
        kind: Kind,
        credential: str,
        names: tuple[str, ...],
        counts: Counts,
        ready: Callable[["Client"], None],
    ) -> None:
        self._kind = kind
        self._credential = credential
        self._names = names
        self._counts = counts
        self._ready = ready
        self._buffer = b""
        self._open = False
        self._subscribed = False
        self.code = 0  # of the gateway's close
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        if self._kind == "nothing":
            self.transport.close()
            return
        more = []
        if self._kind == "api_key":
            more = [("X-Api-Key", self._credential)]
        elif self._kind in HEADERS:
            more = [("Authorization", f"Bearer {self._credential}")]
        self.transport.write(request(more=more))

    def _tried(self) -> None:
        """An attempt to say who it is was answered."""
        self._counts[f"tried {METHODS[self._kind]}"] += 1

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        if not self._open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            status = int(head[9:12])
            if self._kind in HEADERS and status in (101, *NOT_LET_IN):
                self._tried()
            if status != 101:
                self._counts["refused" if status in NOT_LET_IN else f"refused {status}"] += 1
                self._buffer = b""
                self.transport.close()
                return
            self._opened()
        self._buffer = self._frames(data)

    def _opened(self) -> None:
        self._open = True
        self._counts["opened"] += 1
        if self._kind == "in_band":
            params = {"token": self._credential}
            self.transport.write(text({"method": "auth", "req_id": 9, "params": params}))
        if self._kind != "silent":
            self._counts["asked"] += 1
            self.transport.write(subscribe(self._names, random.choice(("trade", "bbo"))))

    def _frames(self, data: bytes) -> bytes:
        """Takes whole frames; what is left."""
        at, size = 0, len(data)
        while size - at >= 2:
            length, start = data[at + 1], at + 2
            if length > 125:
                width = 2 if length == 126 else 8
                start += width
                length = int.from_bytes(data[at + 2 : start], "big")
            if start + length > size:
                break
            self._frame(data[at] & 15, data, start, start + length)
            at = start + length
        return data[at:]

    def _frame(self, opcode: int, data: bytes, start: int, end: int) -> None:
        if opcode == PING:
            self.transport.write(frame(PONG, data[start:end]))
        elif opcode == CLOSE:
            self.code = int.from_bytes(data[start : start + 2], "big")
            self._counts[f"code {self.code}"] += 1
            self.transport.write(close(self.code))
        elif data.startswith(b'{"method":"auth"', start):
            self._tried()
        elif not self._subscribed and data.startswith(b'{"method":"subscribe"', start):
            self._subscribed = True
            self._counts["answered"] += 1
            if data.find(b'"success":true', start, start + 100) >= 0:
                self._counts["served"] += 1
                for venue in {name.rpartition(".")[2] for name in self._names}:
                    self._counts[f"used {venue}"] += 1
            self._ready(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._counts["lost"] += 1
        if not self.ended.done():
            self.ended.set_result(None)

    def leave(self) -> None:
        """Goes: with a closing handshake, without a word, or by a reset."""
        way = random.random()
        if way < 0.5:
            self.transport.write(close(1000))
            asyncio.get_running_loop().call_later(1.0, self.transport.abort)
        elif way < 0.8:
            self.transport.close()
        else:
            self.transport.abort()


class Crowd:
    """All clients of a soak."""

    def __init__(self, where: Where) -> None:
        self.counts = Counts()
        self._where = where
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped: asyncio.Future[None]

    def start(self, *, per_s: float, staying: int, slow: int) -> None:
        """Clients come from now on, so many a second; some stay, some of whom hardly read."""
        self._stopped = asyncio.get_running_loop().create_future()
        self._begin(self._churn(per_s))
        for n in range(staying):
            self._begin(self._stay(f"stay-{n}", slow=False))
        for n in range(slow):
            self._begin(self._stay(f"slow-{n}", slow=True))

    def _begin(self, coroutine: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counts["failed"] += 1
            print(f"a client failed: {error!r}", flush=True)

    async def stop(self) -> None:
        """Nobody comes any more, and all leave."""
        self._stopped.set_result(None)
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _churn(self, per_s: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._stopped.done():
            due = max(due + 1 / per_s, loop.time() - 0.5)  # what a standstill made late is left out
            await asyncio.sleep(due - loop.time())
            self._begin(self._visit())

    async def _visit(self) -> None:
        (kind,) = random.choices(KINDS, WEIGHTS)
        user = f"user-{random.randrange(USERS)}"
        stay_s = random.uniform(*STAY_S)
        await self._session(kind, user, stay_s, slow=False)

    async def _stay(self, user: str, *, slow: bool) -> None:
        while not self._stopped.done():
            await self._session("bearer", user, None, slow=slow)
            await asyncio.wait((self._stopped,), timeout=AGAIN_S)

    async def _session(self, kind: Kind, user: str, stay_s: float | None, *, slow: bool) -> None:
        """One client's life; without a time the gateway ends it, or the crowd's end."""
        ready = asyncio.Event()
        credential = self._where.credential(kind, user)
        names = ALL if slow else random.choice(ASKED)
        made = functools.partial(
            Client, kind, credential, names, self.counts, lambda _: ready.set()
        )
        try:
            client = await self._connect(made, kind, slow=slow)
        except OSError as error:
            self.counts[f"no connection: {error.__class__.__name__}"] += 1
            return
        reading = asyncio.create_task(read_slowly(client)) if slow else None
        if stay_s is None:
            wanted = (client.ended, self._stopped)
            await asyncio.wait(wanted, return_when=asyncio.FIRST_COMPLETED)
        else:
            await self._visited(client, ready, kind, stay_s)
        if reading is not None:
            reading.cancel()
        if not client.ended.done():
            client.transport.resume_reading()
            client.leave()
            await asyncio.wait((client.ended,), timeout=LEAVE_S)

    async def _visited(
        self, client: Client, ready: asyncio.Event, kind: Kind, stay_s: float
    ) -> None:
        if kind in ("bearer", "in_band", "api_key"):
            waits = asyncio.create_task(ready.wait())
            await asyncio.wait((waits, client.ended), return_when=asyncio.FIRST_COMPLETED)
            waits.cancel()
            await asyncio.wait((client.ended,), timeout=stay_s)
        else:  # the gateway ends it
            await asyncio.wait((client.ended,), timeout=20.0)

    async def _connect(self, made: Callable[[], Client], kind: Kind, *, slow: bool) -> Client:
        loop = asyncio.get_running_loop()
        if not slow and kind != "wrong" and random.random() < 0.5:
            _, client = await loop.create_unix_connection(made, self._where.unix)
            self.counts["dialed"] += 1
            return client
        sock = socket.socket()
        sock.setblocking(False)
        if slow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BYTES)
        if kind == "wrong":  # its failures count for its own address
            sock.bind(("127.0.0.66", 0))
        await loop.sock_connect(sock, self._where.address)
        self.counts["dialed"] += 1
        _, client = await loop.create_connection(
            made, sock=sock, ssl=self._where.tls, server_hostname="localhost"
        )
        return client


async def read_slowly(client: Client) -> None:
    """Lets it read for a moment, again and again."""
    while not client.ended.done():
        client.transport.pause_reading()
        await asyncio.sleep(SLOW_S)
        client.transport.resume_reading()
        await asyncio.sleep(0.01)
