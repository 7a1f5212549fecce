"""The asyncio client: one connection at a time, opened again as the close codes allow.

    import asyncio
    from gateway.client import Client, Gap, Trade

    async def main():
        async with Client("ws://127.0.0.1:8765/v1") as client:
            await client.subscribe("trade", ["BTCUSDT.BINANCE", "*.SIM"])
            async for event in client:
                match event:
                    case Trade():
                        print(event.symbol, event.side, event.qty, "at", event.price)
                    case Gap():
                        print(event.symbol, "lost", event.lost, event.reason)

    asyncio.run(main())

The first connection's failure is the caller's (`ConnectFailed`), unless it waits (`wait_s`);
afterwards the client reconnects by itself, asks again for everything subscribed, and tells of it
with `Disconnected` and `Hello`, and with a `Gap` for each lossless topic of which it missed
something. It subscribes again by itself where numbers are missing without notice, and to what a
gateway at its limit refused (`capacity`) when that may be asked for again. A consumer that falls
behind stops the reader, so the gateway conflates for it: nothing grows without bound here.
docs/client.md has more.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self, get_args

from websockets.exceptions import WebSocketException

from gateway.backoff import Backoff
from gateway.client.connection import Closed, Connection, HandshakeRefused, connect
from gateway.client.events import (
    Disconnected,
    Event,
    Gap,
    Hello,
    Instrument,
    Reply,
    Result,
    System,
)
from gateway.client.inbox import Inbox
from gateway.client.reconnects import reconnects
from gateway.client.requests import Request
from gateway.client.session import ClientSession
from gateway.client.statistics import Statistics
from gateway.client.ticks import Tick
from gateway.clock import Offset, Ping, estimate
from gateway.model.encoding import SUBPROTOCOL_PREFIX, Encoding
from gateway.wire.client_handshake import NO_HTTP
from gateway.wire.client_side import ClientLimits

DEFAULT_URL = "ws://127.0.0.1:8765/v1"
SUBPROTOCOLS: dict[Encoding, str] = {name: SUBPROTOCOL_PREFIX + name for name in get_args(Encoding)}

# A `list` of 65,536 instruments is about 5 MB; a hostile server gets no more than this.
MESSAGE_BYTES_MAX = 16 << 20
# The gateway sends none; this is for a proxy that cuts messages up, to a KiB each.
FRAGMENTS_MAX = 16 << 10
# Pages of one `list` or `stats`: a server that never ends is not followed for ever.
PAGES_MAX = 1000
# A connection that held for so long was a good one: the next backoff begins at its base again.
STABLE_S = 10.0
# What the gateway says of when to come back is obeyed up to here; a restart says 60.5 at most.
RETRY_AFTER_S_MAX = 61
WATCH_S = 0.2
_LIMITS = ClientLimits(MESSAGE_BYTES_MAX, FRAGMENTS_MAX)


class ConnectFailed(ConnectionError):
    """No connection.

    Attributes:
        retryable: whether trying again may help.
        retry_s: after how many seconds, if the gateway said.
    """

    def __init__(self, message: str, *, retryable: bool, retry_s: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_s = retry_s


class RequestRefused(Exception):
    """The gateway refused a whole request; the text has its code and message."""


class Client:
    """A subscriber of the gateway; use it as an async context manager and async iterator."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        encoding: Encoding = "json",
        wait_s: float = 0.0,
        reconnect: bool = True,
        events_max: int = 4096,
        timeout_s: float = 10.0,
        backoff: Backoff | None = None,
    ) -> None:
        """A client of the gateway at `url`; it connects when it is entered.

        Args:
            url: the clients' endpoint, `ws://HOST:PORT/v1`.
            encoding: how data comes, "json" or "sbe" (binary: shorter, and faster to read); what
                is yielded is the same.
            wait_s: how long the first connection may be tried for where the gateway is not up yet;
                `math.inf`: until it is.
            reconnect: whether it connects again when a connection ends.
            events_max: how many events may wait for the consumer before the reader stops.
            timeout_s: how long each handshake and each reply may take.
            backoff: the waits between attempts.
        """
        if encoding not in SUBPROTOCOLS:
            raise ValueError(f"encoding: {encoding!r} is neither 'json' nor 'sbe'")
        self.url = url
        self._subprotocol = SUBPROTOCOLS[encoding]
        self._wait_s = wait_s
        self._reconnect = reconnect
        self._events_max = events_max
        self._timeout_s = timeout_s
        self._backoff = backoff or Backoff()
        self._session = ClientSession(encoding)
        self._inbox = Inbox()
        self._room = asyncio.Event()
        self._paused = False
        self._replies: dict[int | str | None, asyncio.Future[Reply | None]] = {}
        self._connection: Connection | None = None
        self._retry_s: float | None = None  # what the gateway asked for as it shut down
        self._task: asyncio.Task[None] | None = None

    # --- life -------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Connects; entered again after `close`, it asks again for everything subscribed.

        Raises:
            ConnectFailed: there is no gateway, or none that takes this client.
        """
        if self._task is not None:
            raise RuntimeError("this client is in use: close it before it is entered again")
        # What an earlier use left unread is no news of this one.
        inbox = self._inbox = Inbox()
        self._connection = await self._first()
        self._task = asyncio.create_task(self._run(self._connection), name="tickgate-client")
        self._task.add_done_callback(lambda _: inbox.put(None))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes with 1000 and ends the iteration."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def statistics(self) -> Statistics:
        """Counts over all connections so far."""
        return self._session.statistics()

    @property
    def hello(self) -> Hello | None:
        """The present connection's greeting."""
        return self._session.hello

    # --- requests ---------------------------------------------------------------------------------

    async def subscribe(
        self, channel: str, symbols: str | Iterable[str], **params: Any
    ) -> list[Result]:
        """Subscribes to a name or pattern, or several; one result for each string.

        Args:
            channel: "trade" or "bbo"; "slo", whose one symbol is "*"; "health", of which "*" is the
                gateway's own, and a name, a pattern, or "*" with `scope="instruments"`, that of
                instruments.
            symbols: names (`BTCUSDT.BINANCE`) and patterns (`*.SIM`); `escape` writes a name that
                has a star or a tilde.
            params: what else the protocol has: `snapshot=False`, `mode="conflate"`, `class_=2`,
                `max_hz=20`, `max_age_ms=250`, `from_={"epoch": "k3f9", "seq": 8812}`, ...

        Raises:
            RequestRefused: the request as a whole was bad.
            ConnectionError: the connection ended first; the subscription is asked for again with
                the next one.
        """
        return await self._results(self._session.subscribe(channel, symbols, **params))

    async def update(
        self, channel: str, symbols: str | Iterable[str], **params: Any
    ) -> list[Result]:
        """Changes parameters of subscriptions, without a snapshot and without a break.

        Args:
            channel: as they were subscribed to.
            symbols: as they were subscribed to.
            params: `mode`, `class_`, `snapshot`, `max_hz`, `max_age_ms`; those left out stay as
                they are.

        Raises:
            RequestRefused: the request as a whole was bad.
            ConnectionError: the connection ended first; nothing is changed.
        """
        return await self._results(self._session.update(channel, symbols, **params))

    async def unsubscribe(
        self, channel: str, symbols: str | Iterable[str], **params: Any
    ) -> list[Result]:
        """Ends subscriptions; raises as `subscribe` does.

        Args:
            channel: as they were subscribed to.
            symbols: as they were subscribed to.
            params: `scope`, where "health" of all instruments was subscribed to by it.
        """
        return await self._results(self._session.unsubscribe(channel, symbols, **params))

    async def instruments(self, **params: Any) -> list[Instrument]:
        """Every instrument that the gateway knows, or those of a `channel` and `symbol` strings."""
        return [one for page in await self._pages("list", params) for one in page.instruments]

    async def stats(self) -> list[dict[str, Any]]:
        """The accounting of this connection's subscriptions (PROTOCOL section 7)."""
        return [row for page in await self._pages("stats", {}) for row in page.subscriptions]

    async def history(self, **params: Any) -> tuple[dict[str, Any], ...]:
        """What the ops listener remembers: points of the time `from` .. `to` (REALTIME ns), at most
        `points` of them; raises as `subscribe` does."""
        return (await self._ask(self._session.request("history", params))).points

    async def _pages(self, method: str, params: dict[str, Any]) -> list[Reply]:
        pages = [await self._ask(self._session.request(method, params or None))]
        while (after := pages[-1].next) is not None and len(pages) < PAGES_MAX:
            params = {**params, "after": after}
            pages.append(await self._ask(self._session.request(method, params)))
        return pages

    async def offset(self, samples: int = 20) -> Offset | None:
        """The gateway's clock minus this host's, by the fastest of so many pings.

        None where a clock was set in the middle of it. `Tick.age_ns` takes it.
        """
        pings = []
        for _ in range(samples):
            reply = await self._ask(self._session.request("ping", {"t0": time.time_ns()}))
            pings.append(Ping(reply.t0, reply.t1, reply.t2, reply.ts_client))
        return estimate(pings)

    async def _results(self, requests: Iterable[Request]) -> list[Result]:
        return [result for request in requests for result in (await self._ask(request)).results]

    async def _ask(self, request: Request) -> Reply:
        connection = self._connection
        if connection is None:
            raise ConnectionError("not connected")
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._replies[request.req_id] = future
        self._room.set()  # the reply must get through, however many events wait for the consumer
        try:
            await connection.send(request.text)
            async with asyncio.timeout(self._timeout_s):
                reply = await future
        except Closed as error:
            raise ConnectionError(f"the connection ended: {error}") from None
        finally:
            del self._replies[request.req_id]
        if reply is None:
            raise ConnectionError("the connection ended before the reply")
        if reply.error is not None:
            raise RequestRefused(f"{reply.error.code}: {reply.error.message}")
        return reply

    # --- events -----------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        inbox = self._inbox
        if not inbox.events:
            await inbox.filled()
        event = inbox.events.popleft()
        if self._paused and len(inbox) < self._events_max:
            self._room.set()
        if event is not None:
            return event
        inbox.put(None)  # for whoever asks once more
        if self._task is not None and not self._task.cancelled():
            self._task.result()  # a bug ends the iteration with its exception
        raise StopAsyncIteration

    # --- the connection's task --------------------------------------------------------------------

    async def _first(self) -> Connection:
        """The first connection, tried for as long as the caller waits."""
        until_s = time.monotonic() + self._wait_s
        while True:
            try:
                connection = await self._open()
            except ConnectFailed as error:
                left_s, asked_s = until_s - time.monotonic(), error.retry_s or 0.0
                if not error.retryable or left_s <= asked_s:
                    raise
                await asyncio.sleep(min(self._wait_for(error.retry_s), left_s))
            else:
                self._backoff.reset()
                return connection

    async def _open(self) -> Connection:
        """A connection that has said hello."""
        try:
            async with asyncio.timeout(self._timeout_s):
                # No proxy on the way: it would be measured as the gateway's latency.
                connection = await connect(self.url, [self._subprotocol], _LIMITS)
                try:
                    await self._greet(connection)
                except BaseException:
                    connection.abort()
                    raise
                return connection
        except HandshakeRefused as error:
            raise self._refused(*error.refused) from None
        except Closed as error:
            raise ConnectFailed(f"{self.url}: {error}", retryable=reconnects(error.code)) from None
        except TimeoutError:
            message = f"{self.url} did not answer within {self._timeout_s:g} s"
            raise ConnectFailed(message, retryable=True) from None
        except ConnectFailed:
            raise
        except OSError as error:
            raise ConnectFailed(f"{self.url}: {error}", retryable=True) from None
        except (WebSocketException, ValueError) as error:
            raise ConnectFailed(f"{self.url}: {error}", retryable=False) from None

    def _refused(self, status: int, text: str, retry_after: Sequence[str]) -> ConnectFailed:
        if status == NO_HTTP:
            return ConnectFailed(f"{self.url}: {text}", retryable=True)
        if status == 101:
            return ConnectFailed(f"{self.url}: {text}", retryable=False)
        message = f"{self.url} refused the handshake: {text}"
        retryable = status == 429 or status >= 500
        return ConnectFailed(message, retryable=retryable, retry_s=_retry_s(retry_after))

    async def _greet(self, connection: Connection) -> None:
        requests = self._session.connected(time.monotonic_ns())
        message = await connection.receive_one()
        times = {"mono_ns": time.monotonic_ns(), "real_ns": time.time_ns()}
        events = self._session.receive(message, **times)
        if not events or not isinstance(events[0], Hello):
            raise ConnectFailed(f"{self.url} is no gateway: it sent no hello", retryable=False)
        for request in requests:
            await connection.send(request.text)
        self._inbox.put(events[0])  # only now is there a connection to tell of

    async def _run(self, connection: Connection | None) -> None:
        try:
            while connection is not None:
                opened_s = time.monotonic()
                self._connection = connection
                code, reason = await self._read(connection)
                self._connection = None
                self._fail_replies()
                if time.monotonic() - opened_s >= STABLE_S:
                    self._backoff.reset()
                connection = await self._again(code, reason, retryable=reconnects(code))
        finally:
            self._fail_replies()

    def _fail_replies(self) -> None:
        for future in self._replies.values():
            if not future.done():
                future.set_result(None)

    async def _again(self, code: int, reason: str, *, retryable: bool) -> Connection | None:
        """The next connection, or None where there is to be none."""
        while self._reconnect and retryable:
            asked_s, self._retry_s = self._retry_s, None
            retry_s = self._wait_for(asked_s)
            await self._wait_for_room()
            self._inbox.put(Disconnected(code, reason, retry_s))
            await asyncio.sleep(retry_s)
            try:
                return await self._open()
            except ConnectFailed as error:
                code, reason, retryable = 1006, str(error), error.retryable
                self._retry_s = error.retry_s
        self._inbox.put(Disconnected(code, reason, None))
        return None

    def _wait_for(self, asked_s: float | None) -> float:
        """Seconds until the next attempt: never before the gateway asked for, and never exactly
        then, as it may have told others the same."""
        return self._backoff.next_s() if asked_s is None else asked_s + self._backoff.jitter_s()

    async def _read(self, connection: Connection) -> tuple[int, str]:
        """Reads until the connection ends; its close code and reason."""
        watch = asyncio.create_task(self._watch(connection), name="tickgate-client-watch")
        inbox, add, receive = self._inbox, self._inbox.add, self._session.receive
        try:
            while True:
                messages = await connection.receive()
                mono_ns, real_ns = time.monotonic_ns(), time.time_ns()
                for message in messages:
                    for event in receive(message, mono_ns=mono_ns, real_ns=real_ns):
                        if isinstance(event, Tick):
                            add(event)
                        else:
                            await self._handle(connection, event)
                    if len(inbox.events) >= self._events_max and await self._wait_for_room():
                        mono_ns, real_ns = time.monotonic_ns(), time.time_ns()
                inbox.wake()
        except Closed as error:
            return error.code, error.reason
        finally:
            watch.cancel()

    async def _handle(self, connection: Connection, event: Event) -> None:
        if isinstance(event, Reply):
            future = self._replies.get(event.req_id)
            if future is not None and not future.done():
                future.set_result(event)
            if future is not None or event.success:
                return  # of the requests that nobody awaits (resync) only failures are news
        if isinstance(event, System) and event.type == "shutdown" and event.data:
            after_ms = event.data[0].get("reconnect_after_ms")
            if isinstance(after_ms, int | float):
                self._retry_s = max(0, min(after_ms, RETRY_AFTER_S_MAX * 1000)) / 1000
        self._inbox.put(event)
        if isinstance(event, Gap):
            with contextlib.suppress(Closed):  # what came before the end is told first
                for request in self._session.resync(event):
                    await connection.send(request.text)

    async def _wait_for_room(self) -> bool:
        """Stops the reader while too much waits for the consumer, unless a reply is awaited.

        Returns:
            Whether it was stopped, so that time has passed.
        """
        while len(self._inbox) >= self._events_max and not self._replies:
            self._inbox.wake()
            self._paused = True
            self._room.clear()
            await self._room.wait()
        paused, self._paused = self._paused, False
        if paused:
            self._session.touch(time.monotonic_ns())
        return paused

    async def _watch(self, connection: Connection) -> None:
        """Ends a connection that is silent although somebody reads it, and asks for what is due."""
        while True:
            await asyncio.sleep(WATCH_S)
            now_ns = time.monotonic_ns()
            if not self._paused and self._session.stale(now_ns):
                await connection.close(1001, "no heartbeat")
                return
            for gap in [] if self._paused else self._session.overdue(now_ns):
                self._inbox.put(gap)
            with contextlib.suppress(Closed):  # the reader sees it too
                for request in self._session.due(now_ns):
                    await connection.send(request.text)


def _retry_s(header: Sequence[str]) -> float | None:
    """Seconds of a `Retry-After`; None for none, a date, or nonsense."""
    value = header[0] if len(header) == 1 else ""
    return float(min(int(value), RETRY_AFTER_S_MAX)) if re.fullmatch("[0-9]{1,9}", value) else None
