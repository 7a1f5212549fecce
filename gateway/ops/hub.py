"""The sessions of the ops listener: who is connected, who follows what, and the sending.

Theory of operation. Each session has three tasks: one reads requests and answers them in order, one
sends what is newest, one pings. A message is encoded once for all; a session keeps at most one of
each channel that it has not sent yet, so that one whose socket takes nothing gets a newer message
later and costs nobody anything. A send is over when the kernel has taken it all
(`connection.py`), and one that is not over in time ends the connection.

A session that is sent nothing gets a heartbeat, so each one hears something every second.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import orjson

from gateway import log
from gateway.ops.connection import Connection
from gateway.ops.session import Action, Ask, Follow, OpsSession, reply
from gateway.session.actions import Close, Reply
from gateway.session.messages import HistoryParams

SESSIONS_MAX = 16
"""Pages and terminals of people; one more gets 503."""
HEARTBEAT_MS = 2000
"""As said in hello: a message comes about once a second, this is when to wonder."""
SEND_TIMEOUT_S = 20.0
"""What the kernel has not taken of one message by then it never will."""
PING_INTERVAL_S = 15.0
PONG_TIMEOUT_S = 20.0
DRAIN_S = 1.0
"""How long leaving clients may take to say goodbye."""
RECONNECT_AFTER_MS = 2000

_SHUTDOWN = orjson.dumps(
    {
        "channel": "system",
        "type": "shutdown",
        "data": [{"reconnect_after_ms": RECONNECT_AFTER_MS}],
    }
)

_log = log.get("ops")

Tell = Callable[[], dict[str, Any]]
Channel = Callable[[str], Awaitable[bytes]]
Answer = Callable[[HistoryParams], Awaitable[dict[str, Any]]]


class _Client:
    """One session's connection, and what is to be sent to it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.session = OpsSession()
        self.following: set[str] = set()
        self.newest: dict[str, bytes] = {}
        self._wake = asyncio.Event()

    def offer(self, channel: str, payload: bytes) -> None:
        """To be sent as soon as the socket takes it, in place of an unsent older one."""
        self.newest[channel] = payload
        self._wake.set()

    def follow(self, channel: str, *, on: bool) -> None:
        if on:
            self.following.add(channel)
        else:
            self.following.discard(channel)
            self.newest.pop(channel, None)

    async def send(self, payload: bytes) -> None:
        """Returns when the kernel has taken it.

        Raises:
            ConnectionError: it has ended, also where it took too long.
        """
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self.connection.send(payload, text=True)
        except TimeoutError:
            self.connection.abort()
            raise ConnectionError(f"it took no message for {SEND_TIMEOUT_S:g} s") from None

    async def send_newest(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self.newest:
                channel = next(iter(self.newest))
                await self.send(self.newest.pop(channel))

    async def keep_alive(self) -> None:
        while True:
            await asyncio.sleep(PING_INTERVAL_S)
            try:
                async with asyncio.timeout(PONG_TIMEOUT_S):
                    await self.connection.ping()
            except TimeoutError:
                await self.connection.close(4012, f"no pong within {PONG_TIMEOUT_S:g} s")


class Hub:
    """All sessions.

    Args:
        hello: what hello says beside its own.
        channels: each channel's message of a type, now; called only while it is followed.
        history: answers a request for the history.
    """

    def __init__(self, hello: Tell, channels: Mapping[str, Channel], history: Answer) -> None:
        self._hello = hello
        self._channels = channels
        self._history = history
        self._clients: set[_Client] = set()
        self._numbers = itertools.count(1)
        self._beats = 0
        self._asking = asyncio.Lock()  # the history's work is done for one session at a time

    def __len__(self) -> int:
        return len(self._clients)

    async def tell(self) -> None:
        """Sends everybody what they follow, as it is now: call it once a second."""
        self._beats += 1
        followed = set[str]().union(*(client.following for client in self._clients))
        payloads = {channel: await self._channels[channel]("update") for channel in followed}
        beat = {"channel": "heartbeat", "n": self._beats, "ts_send": time.time_ns()}
        for client in self._clients:
            for channel in client.following & payloads.keys():
                client.offer(channel, payloads[channel])
            if not client.newest:
                client.offer("heartbeat", orjson.dumps(beat))

    async def serve(self, connection: Connection) -> None:
        """One session, from hello to the end, which ConnectionError tells."""
        if len(self._clients) >= SESSIONS_MAX:
            await connection.close(1013, f"{SESSIONS_MAX} sessions are open already")
            return
        client = _Client(connection)
        self._clients.add(client)
        tasks = [
            asyncio.create_task(_until_closed(work))
            for work in (client.send_newest, client.keep_alive)
        ]
        try:
            await self._read(client)
        finally:
            self._clients.discard(client)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def drain(self) -> None:
        """Says that the gateway ends, to all; those that do not answer are left to be cut."""
        farewells = [asyncio.create_task(self._dismiss(client)) for client in self._clients]
        if farewells:
            await asyncio.wait(farewells, timeout=DRAIN_S)
        for task in farewells:
            task.cancel()
        await asyncio.gather(*farewells, return_exceptions=True)
        for client in self._clients:
            client.connection.abort()

    async def _dismiss(self, client: _Client) -> None:
        with suppress(ConnectionError):
            await client.send(_SHUTDOWN)
            await client.connection.close(1012, "restart")

    # --- one session ------------------------------------------------------------------------------

    async def _read(self, client: _Client) -> None:
        hello = {"connection_id": f"o-{next(self._numbers)}", "heartbeat_ms": HEARTBEAT_MS}
        data = [self._hello() | hello | {"now": time.time_ns()}]
        await client.send(orjson.dumps({"channel": "system", "type": "hello", "data": data}))
        async for message in client.connection:
            actions = client.session.receive(
                message, mono_ns=time.monotonic_ns(), real_ns=time.time_ns()
            )
            for action in actions:
                await self._act(client, action)

    async def _act(self, client: _Client, action: Action) -> None:
        match action:
            case Reply():
                await client.send(action.payload)
            case Follow():
                if action.snapshot:
                    await client.send(await self._channels[action.channel]("snapshot"))
                client.follow(action.channel, on=action.on)
            case Ask():
                async with self._asking:
                    answer = await self._history(action.params)
                await client.send(reply("history", action.req_id, answer).payload)
            case Close():
                await client.connection.close(action.code, action.reason)


async def _until_closed(work: Callable[[], Awaitable[None]]) -> None:
    with suppress(ConnectionError):
        await work()
