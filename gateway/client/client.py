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
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, cast

import msgspec

from gateway.backoff import Backoff
from gateway.client.asking import Asking
from gateway.client.book import OrderBook
from gateway.client.conflating import ConflatingInbox
from gateway.client.connection import Closed, Connection
from gateway.client.credentials import Credentials, NoToken, Token
from gateway.client.events import (
    Disconnected,
    Event,
    Gap,
    Health,
    Hello,
    Reply,
    System,
)
from gateway.client.inbox import Inbox
from gateway.client.opening import (
    RETRY_AFTER_S_MAX,
    SUBPROTOCOLS,
    ConnectFailed,
    checked_by,
    open_connection,
)
from gateway.client.reconnects import reconnects
from gateway.client.requests import Request
from gateway.client.session import FIRST_DATA_S, ClientSession
from gateway.client.statistics import ClientStatistics
from gateway.client.ticks import InstrumentHealth, Tick
from gateway.clock import Offset
from gateway.model.encoding import Encoding

if TYPE_CHECKING:
    from gateway.client.frames import FrameReader, Frames
    from gateway.client.latency import Latency, LatencyRecorder

DEFAULT_URL = "ws://127.0.0.1:8765/v1"

# A connection that held for so long was a good one: the next backoff begins at its base again.
STABLE_S = 10.0
WATCH_S = 0.2
# The program kept the loop from running for so much longer than that: nothing was read meanwhile.
HELD_UP_S = 1.0


class Client(Asking):
    """A subscriber of the gateway; use it as an async context manager and async iterator."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        encoding: Encoding = "json",
        token: Token | None = None,
        wait_s: float = 0.0,
        reconnect: bool = True,
        events_max: int = 4096,
        overflow: Literal["wait", "conflate"] = "wait",
        timeout_s: float = 10.0,
        first_data_s: float = FIRST_DATA_S,
        stall_s: float | None = None,
        on_gap: Callable[[Gap], object] | None = None,
        on_health: Callable[[Health | InstrumentHealth], object] | None = None,
        latency: bool = False,
        backoff: Backoff | None = None,
        tls: str | ssl.SSLContext | None = None,
    ) -> None:
        """A client of the gateway at `url`; it connects when it is entered.

        Args:
            url: the clients' endpoint, `ws://HOST:PORT/v1`, or `wss://` over TLS.
            encoding: how data comes, "json" or "sbe" (binary: shorter, and faster to read); what
                is yielded is the same.
            token: a token or an API key, or what gives one: it is asked at each connection, and a
                minute before a token expires.
            wait_s: how long the first connection may be tried for where the gateway is not up yet;
                `math.inf`: until it is.
            reconnect: whether it connects again when a connection ends.
            events_max: how many events may wait for the consumer.
            overflow: what happens beyond that: "wait": nothing more is read, and the gateway
                conflates; "conflate": this client does, at any time: of a conflated topic only the
                newest record waits, and what is too much of a lossless one is dropped and told by
                a `Gap` ("consumer").
            timeout_s: how long each handshake and each reply may take.
            first_data_s: by when a subscription's first frame has to come, where it has a state;
                else a `Gap` ("no_data") tells, and it is asked for again.
            stall_s: how long the connection may be silent before another one is made; None: five
                of the gateway's heartbeats.
            on_gap: called with each `Gap` as it comes in, before what waits for the consumer. It
                may not block; what it raises ends the iteration.
            on_health: the same of what the channel `health` says.
            latency: whether `latency` counts how old ticks are.
            backoff: the waits between attempts.
            tls: by what a `wss://` gateway's certificate is checked: a file of authorities (PEM),
                or a context, which may have a certificate of ours; None: what this host trusts.
        """
        if encoding not in SUBPROTOCOLS:
            raise ValueError(f"encoding: {encoding!r} is neither 'json' nor 'sbe'")
        if overflow not in ("wait", "conflate"):
            raise ValueError(f"overflow: {overflow!r} is neither 'wait' nor 'conflate'")
        session = ClientSession(encoding, first_data_s=first_data_s, stall_s=stall_s)
        super().__init__(session, timeout_s)
        self.url = url
        self._encoding: Encoding = encoding
        self._credentials = Credentials(token)
        self._renewing: asyncio.Task[None] | None = None
        self._wait_s, self._reconnect = wait_s, reconnect
        self._events_max, self._backoff = events_max, backoff or Backoff()
        self._tls = checked_by(tls)
        self._overflow = overflow
        self._limit = events_max if overflow == "wait" else sys.maxsize
        self._on_gap, self._on_health = on_gap, on_health
        self._recorder: LatencyRecorder | None = _recorder() if latency else None
        self._reader: FrameReader | None = None
        self._inbox = self._new_inbox()
        self._paused = False
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
        inbox = self._inbox = self._new_inbox(self._inbox)
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
        try:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        finally:
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close()

    def _new_inbox(self, before: Inbox | None = None) -> Inbox:
        if self._overflow == "wait":
            return Inbox()
        inbox = ConflatingInbox(self._events_max, self._session.lossless)
        if before is not None:
            inbox.conflated, inbox.dropped = before.conflated, before.dropped
        return inbox

    def statistics(self) -> ClientStatistics:
        """Counts over all connections so far."""
        inbox = self._inbox
        counts = msgspec.structs.asdict(self._session.statistics())
        more = {"conflated": inbox.conflated, "dropped": inbox.dropped, "waiting": len(inbox)}
        return ClientStatistics(**counts, **more)

    def latency(self) -> "dict[str, Latency]":
        """How old the ticks of each channel were: so far, with `latency=True`."""
        if self._recorder is None:
            raise ValueError("nothing is measured: make the client with latency=True")
        return self._recorder.channels()

    @property
    def hello(self) -> Hello | None:
        """The present connection's greeting."""
        return self._session.hello

    def book(self, symbol: str) -> OrderBook | None:
        """The order book of an instrument that is subscribed to; None before its first frame."""
        return self._session.book(symbol)

    # --- events -----------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def offset(self, samples: int = 20) -> Offset | None:
        """As `Asking.offset`; `latency` is corrected by it from then on."""
        offset = await super().offset(samples)
        if self._recorder is not None:
            self._recorder.correct(offset)
        return offset

    def frames(self) -> "AsyncIterator[Frames | Event]":
        """Ticks as arrays of numpy, and everything else as events, from now on.

        To be called before subscribing: what came before is yielded as ticks.

        Raises:
            ValueError: the encoding is not "sbe", or `overflow` is "conflate".
            ImportError: there is no numpy.
        """
        if self._encoding != "sbe" or self._overflow != "wait":
            raise ValueError('frames() needs encoding="sbe", and overflow="wait"')
        if self._reader is None:
            self._reader = _frame_reader(self._session, self._recorder)
        return cast("AsyncIterator[Frames | Event]", self)

    async def __anext__(self) -> Event:
        inbox = self._inbox
        if not inbox.events:
            await inbox.filled()
        event = inbox.take()
        if self._paused and len(inbox) < self._limit:
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
        opened = open_connection(
            self.url,
            self._encoding,
            self._session,
            self._timeout_s,
            self._credentials,
            tls=self._tls,
        )
        connection, hello = await opened
        self._inbox.put(hello)  # only now is there a connection to tell of
        return connection

    async def _run(self, connection: Connection | None) -> None:
        try:
            while connection is not None:
                opened_s = time.monotonic()
                self._connection = connection
                code, reason = await self._read(connection)
                self._connection = None
                self._session.disconnected()
                self._fail_replies()
                if time.monotonic() - opened_s >= STABLE_S:
                    self._backoff.reset()
                connection = await self._again(code, reason, retryable=reconnects(code))
        finally:
            self._fail_replies()

    async def _again(self, code: int, reason: str, *, retryable: bool) -> Connection | None:
        """The next connection, or None where there is to be none."""
        while self._reconnect and retryable:
            asked_s, self._retry_s = self._retry_s, None
            retry_s = self._wait_for(asked_s)
            await self._wait_for_room(self._limit)
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
        inbox, add, receive = self._inbox, self._add(), self._session.receive
        limit = self._limit
        try:
            while True:
                messages = await connection.receive()
                mono_ns, real_ns = time.monotonic_ns(), time.time_ns()
                if self._reader is not None:
                    await self._take_frames(connection, self._reader, messages)
                    continue
                for message in messages:
                    for event in receive(message, mono_ns=mono_ns, real_ns=real_ns):
                        if isinstance(event, Tick):
                            add(event)
                        else:
                            await self._handle(connection, event)
                    if len(inbox.events) >= limit and await self._wait_for_room(limit):
                        mono_ns, real_ns = time.monotonic_ns(), time.time_ns()
                inbox.wake()
        except Closed as error:
            if watch.done():
                watch.result()  # it may have failed: what the program gave it to call
            return error.code, error.reason
        finally:
            watch.cancel()
            if self._renewing is not None:
                self._renewing.cancel()

    def _add(self) -> Callable[[Tick], None]:
        """What is done with each tick; nothing but storing it where nothing else was asked for."""
        add = cast("Callable[[Tick], None]", self._inbox.add)
        on_health, recorder, session = self._on_health, self._recorder, self._session
        if on_health is None and recorder is None:
            return add

        def told(tick: Tick) -> None:
            if recorder is not None:
                recorder.record(tick, session.replaying)
            if on_health is not None and isinstance(tick, InstrumentHealth):
                on_health(tick)
            add(tick)

        return told

    async def _take_frames(
        self, connection: Connection, reader: "FrameReader", messages: list[str | bytes]
    ) -> None:
        add = self._add()
        times = {"mono_ns": time.monotonic_ns(), "real_ns": time.time_ns()}
        for event in reader.read(messages, **times):
            if isinstance(event, Tick):
                add(event)
            elif isinstance(event, reader.kind):
                self._inbox.add(cast("Event", event))
            else:
                await self._handle(connection, event)
        self._inbox.wake()
        await self._wait_for_room(min(self._limit, reader.waiting_max))

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
        if isinstance(event, System) and event.type == "auth_expiring" and self._credentials.renews:
            self._renewing = asyncio.create_task(
                self._renew(connection), name="tickgate-client-auth"
            )
        if isinstance(event, Health) and self._on_health is not None:
            self._on_health(event)
        self._tell(event)
        if isinstance(event, Gap):
            await self._send(connection, self._session.resync(event))

    async def _renew(self, connection: Connection) -> None:
        """Brings another token; where there is none the connection ends, and the next one asks."""
        with contextlib.suppress(NoToken):
            token = await self._credentials.fresh()
            await self._send(connection, [self._session.request("auth", {"token": token})])

    def _tell(self, event: Event) -> None:
        if isinstance(event, Gap) and self._on_gap is not None:
            self._on_gap(event)
        self._inbox.put(event)

    @staticmethod
    async def _send(connection: Connection, requests: Iterable[Request]) -> None:
        """Asks for what nobody awaits."""
        with contextlib.suppress(Closed):  # the reader sees it too, once all before is told
            for request in requests:
                await connection.send(request.text)

    async def _wait_for_room(self, limit: int) -> bool:
        """Stops the reader while too much waits for the consumer, unless a reply is awaited.

        Returns:
            Whether it was stopped, so that time has passed.
        """
        while len(self._inbox) >= limit and not self._replies:
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
        try:
            before_ns = time.monotonic_ns()
            while True:
                await asyncio.sleep(WATCH_S)
                now_ns = time.monotonic_ns()
                if now_ns - before_ns > (WATCH_S + HELD_UP_S) * 1e9:
                    self._session.touch(now_ns)  # what came meanwhile is still to be read
                before_ns = now_ns
                if not self._paused and self._session.stale(now_ns):
                    await connection.close(1001, "no heartbeat")
                    return
                for gap in [] if self._paused else self._session.overdue(now_ns):
                    self._tell(gap)
                await self._send(connection, self._session.due(now_ns))
        except Exception:  # a bug, or of what the program gave it to call: the reader raises it
            connection.abort()
            raise


def _recorder() -> "LatencyRecorder":
    from gateway.client.latency import LatencyRecorder

    return LatencyRecorder()


def _frame_reader(session: ClientSession, recorder: "LatencyRecorder | None") -> "FrameReader":
    try:
        from gateway.client.frames import FrameReader
    except ImportError as error:
        raise ImportError(f"frames() needs numpy: {error}") from error
    return FrameReader(session, recorder)
