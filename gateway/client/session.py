"""The client's side of the protocol, sans-IO: texts and times in, events and texts out.

Theory of operation. The session remembers what is *wanted* (each string subscribed to, with its
parameters) across connections, and what it *knows* about the present connection: the epoch and the
last `seq` of each topic. A topic's first frame after an ack, an epoch or a reconnect sets `last`;
from then on `seq == last + 1 + skipped` must hold, else a `Gap` goes before the tick and the string
that covers the topic should be subscribed again (`resync`). What a gateway at its limit refused
stays wanted, and is `due` once the time that it asked for is over. Nothing here reads a clock or a
socket.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final, NamedTuple

import msgspec

from gateway.client.events import (
    Conflation,
    Error,
    Event,
    Gap,
    Health,
    Hello,
    Instrument,
    Malformed,
    Reply,
    Report,
    Result,
    Slo,
    Slow,
    System,
    Tick,
)
from gateway.model.topic import match_pattern

# The gateway takes 16 KiB a message and 1000 symbols a request by default: stay below both.
REQUEST_BYTES_MAX = 8192
REQUEST_SYMBOLS_MAX = 250

# Silence of so many heartbeats means that the connection is dead, whatever TCP says.
HEARTBEATS_MISSED_MAX = 5


class Request(NamedTuple):
    """A text to send; the reply bears the same `req_id`."""

    req_id: int
    text: str


class Statistics(msgspec.Struct, frozen=True):
    """What the session has seen, over all its connections."""

    messages: int
    ticks: int
    skipped: int
    gaps: int
    malformed: int
    wanted: int
    topics: int


class _Wire(msgspec.Struct):
    """Every field that a message may have; unknown ones are ignored, as the protocol demands."""

    channel: str = ""
    method: str = ""
    type: str = ""
    symbol: str = ""
    seq: int = 0
    ts_event: int = 0
    ts_recv: int = 0
    ts_send: int = 0
    skipped: int = 0
    data: tuple[dict[str, Any], ...] = ()
    req_id: int | str | None = None
    success: bool = False
    results: tuple[Result, ...] = ()
    error: Error | None = None
    instruments: tuple[Instrument, ...] = ()
    subscriptions: tuple[dict[str, Any], ...] = ()
    next: int | str | None = None
    t0: int = 0
    t1: int = 0
    t2: int = 0
    points: tuple[dict[str, Any], ...] = ()


class ClientSession:
    """The state of one client, across its connections."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Wire)
        self._req_id = 0
        self._asked: dict[int | str | None, tuple[str, tuple[str, ...]]] = {}
        self._wanted: dict[tuple[str, str], dict[str, Any]] = {}
        self._later: dict[tuple[str, str], int] = {}  # wanted, refused until this MONOTONIC time
        self._last: dict[tuple[str, str], int] = {}
        self._hello: Hello | None = None
        self._heard_ns = 0
        self._messages = self._ticks = self._skipped = self._gaps = self._malformed = 0

    @property
    def hello(self) -> Hello | None:
        """The present connection's greeting, None before it."""
        return self._hello

    def statistics(self) -> Statistics:
        """Counts over all connections so far."""
        return Statistics(
            messages=self._messages,
            ticks=self._ticks,
            skipped=self._skipped,
            gaps=self._gaps,
            malformed=self._malformed,
            wanted=len(self._wanted),
            topics=len(self._last),
        )

    # --- requests ---------------------------------------------------------------------------------

    def request(self, method: str, params: dict[str, Any] | None = None) -> Request:
        """Any request of the protocol."""
        self._req_id += 1
        message: dict[str, Any] = {"method": method, "req_id": self._req_id}
        if params is not None:
            message["params"] = params
        return Request(self._req_id, msgspec.json.encode(message).decode())

    def subscribe(
        self, channel: str, symbols: Iterable[str], *, class_: int | None = None, **params: Any
    ) -> list[Request]:
        """Wants these names and patterns, now and after each reconnect."""
        symbols = list(symbols)
        if class_ is not None:
            params["class"] = class_
        for symbol in symbols:
            self._later.pop((channel, symbol), None)
            # Again at the end: a later pattern's parameters win over an earlier one's.
            self._wanted.pop((channel, symbol), None)
            self._wanted[channel, symbol] = params
        return list(self._ask("subscribe", channel, symbols, params))

    def unsubscribe(self, channel: str, symbols: Iterable[str]) -> list[Request]:
        """No longer wants these names and patterns."""
        symbols = list(symbols)
        for symbol in symbols:
            self._wanted.pop((channel, symbol), None)
        return list(self._ask("unsubscribe", channel, symbols, {}))

    def resync(self, gap: Gap) -> list[Request]:
        """Subscribes again to the string that covers the topic of the gap."""
        exact = (gap.channel, gap.symbol)
        covering = [
            (channel, symbol)
            for channel, symbol in self._wanted
            if channel == gap.channel and "*" in symbol and match_pattern(symbol, gap.symbol)
        ]
        key = exact if exact in self._wanted else covering[-1] if covering else None
        if key is None:
            return []
        return list(self._ask("subscribe", key[0], [key[1]], self._wanted[key]))

    def _ask(
        self, method: str, channel: str, symbols: Iterable[str], params: dict[str, Any]
    ) -> Iterator[Request]:
        for chunk in _chunks(symbols):
            request = self.request(method, {"channel": channel, "symbol": chunk, **params})
            self._asked[request.req_id] = (channel, tuple(chunk))
            yield request

    # --- the connection ---------------------------------------------------------------------------

    def connected(self, now_ns: int) -> list[Request]:
        """A new connection is open: everything wanted must be asked for again.

        `now_ns` here and below is MONOTONIC time.
        """
        self._hello = None
        self._last.clear()
        self._asked.clear()
        self._later.clear()
        self._heard_ns = now_ns
        return self._ask_again(self._wanted)

    def due(self, now_ns: int) -> list[Request]:
        """Subscriptions that were refused for a while that is over: to be asked for again."""
        ready = [key for key, at_ns in self._later.items() if at_ns <= now_ns]
        for key in ready:
            del self._later[key]
        return self._ask_again(key for key in ready if key in self._wanted)

    def _ask_again(self, keys: Iterable[tuple[str, str]]) -> list[Request]:
        """As few requests as keep the order of what is wanted."""
        requests: list[Request] = []
        groups = groupby(keys, lambda key: (key[0], self._wanted[key]))
        for (channel, params), group in groups:
            requests += self._ask("subscribe", channel, [symbol for _, symbol in group], params)
        return requests

    def touch(self, now_ns: int) -> None:
        """Restarts the clock of `stale`: the reader itself had paused."""
        self._heard_ns = now_ns

    def stale(self, now_ns: int) -> bool:
        """Whether the connection has been silent for so long that it must be dead."""
        heartbeat_ms = self._hello.heartbeat_ms if self._hello else 1000
        return now_ns - self._heard_ns > HEARTBEATS_MISSED_MAX * max(heartbeat_ms, 100) * 1_000_000

    def receive(self, text: str | bytes, *, mono_ns: int, real_ns: int) -> list[Event]:
        """The events of one message: none for a heartbeat. Never raises."""
        self._messages += 1
        self._heard_ns = mono_ns
        try:
            wire = self._decoder.decode(text)
            if wire.method:
                return [self._reply(wire, real_ns)]
            if wire.channel == "system":
                return self._system(wire)
            if wire.channel in _OWN:
                return [_own(wire, row) for row in wire.data]
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
            self._malformed += 1
            return [Malformed(str(error))]
        if wire.symbol and wire.type in ("snapshot", "update"):
            return self._tick(wire, real_ns)
        if wire.channel and wire.data:
            return [Report(wire.channel, wire.type, wire.ts_send, wire.data)]
        return []  # a heartbeat, or a type that this client does not know yet

    def _reply(self, wire: _Wire, real_ns: int) -> Reply:
        channel, symbols = self._asked.pop(wire.req_id, ("", ()))
        if wire.method == "subscribe" and wire.error and not wire.error.retryable:
            for symbol in symbols:
                self._wanted.pop((channel, symbol), None)
        for result in wire.results:
            if result.success:
                self._forget(channel, result.symbol)
            elif wire.method == "subscribe":
                self._refused((channel, result.symbol), result.error)
        return Reply(
            method=wire.method,
            req_id=wire.req_id,
            success=wire.success,
            results=wire.results,
            error=wire.error,
            instruments=wire.instruments,
            subscriptions=wire.subscriptions,
            next=wire.next,
            t0=wire.t0,
            t1=wire.t1,
            t2=wire.t2,
            points=wire.points,
            ts_client=real_ns,
        )

    def _refused(self, key: tuple[str, str], error: Error | None) -> None:
        if error is None or not error.retryable:
            self._wanted.pop(key, None)
        elif error.retry_after_ms is not None:
            self._later[key] = self._heard_ns + error.retry_after_ms * 1_000_000

    def _system(self, wire: _Wire) -> list[Event]:
        if wire.type == "hello":
            self._hello = msgspec.convert(wire.data[0] if wire.data else {}, Hello)
            return [self._hello]
        if wire.type == "conflation":
            return [msgspec.convert(row, Conflation) for row in wire.data]
        if wire.type == "slow":
            return [msgspec.convert(row, Slow) for row in wire.data]
        if wire.type == "epoch":
            self._last.clear()  # numbering restarts; snapshots follow
        return [System(wire.type, wire.data)]

    def _tick(self, wire: _Wire, real_ns: int) -> list[Event]:
        key = (wire.channel, wire.symbol)
        last = self._last.get(key)
        self._last[key] = wire.seq
        self._ticks += 1
        self._skipped += wire.skipped
        tick = Tick(
            channel=wire.channel,
            type=wire.type,
            symbol=wire.symbol,
            seq=wire.seq,
            ts_event=wire.ts_event,
            ts_recv=wire.ts_recv,
            ts_send=wire.ts_send,
            ts_client=real_ns,
            data=wire.data,
            skipped=wire.skipped,
        )
        if last is None or wire.seq == last + 1 + wire.skipped:
            return [tick]
        self._gaps += 1
        return [Gap(wire.channel, wire.symbol, last + 1 + wire.skipped, wire.seq), tick]

    def _forget(self, channel: str, symbol: str) -> None:
        """The next frame of each topic that the string covers sets `last` anew."""
        if "*" not in symbol:
            self._last.pop((channel, symbol), None)
            return
        for key in [k for k in self._last if k[0] == channel and match_pattern(symbol, k[1])]:
            del self._last[key]


_OWN: Final[dict[str, type[Slo] | type[Health]]] = {"slo": Slo, "health": Health}
"""What the gateway says of itself, by channel."""


def _own(wire: _Wire, row: dict[str, Any]) -> Slo | Health:
    kind: type[Slo] | type[Health] = _OWN[wire.channel]
    return msgspec.convert(row | {"type": wire.type, "ts_send": wire.ts_send}, kind)


def _chunks(symbols: Iterable[str]) -> Iterator[list[str]]:
    """Lists of symbols, each small enough for one request."""
    chunk: list[str] = []
    size = 0
    for symbol in symbols:
        if chunk and (size + len(symbol) > REQUEST_BYTES_MAX or len(chunk) == REQUEST_SYMBOLS_MAX):
            yield chunk
            chunk, size = [], 0
        chunk.append(symbol)
        size += len(symbol) + 3  # quotes and comma
    if chunk:
        yield chunk
