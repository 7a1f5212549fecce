"""The client's side of the protocol, sans-IO: texts and times in, events and texts out.

Theory of operation. The session remembers across connections what is *wanted* (each string
subscribed to, with its parameters), and the last `seq` of each topic (`continuity`): a `Gap` goes
before the tick where records are missing, and where `seq == last + 1 + skipped` is broken without
notice, the string that covers the topic should be subscribed again (`resync`). What a gateway at
its limit refused stays wanted, and is `due` once the time that it asked for is over. On a new
connection lossless strings ask for what was missed: a name alone by its last `seq`, others by the
newest `ts_recv` less a second, and what comes twice is dropped by `seq`. Where the gateway no
longer has it, the first tick's `Gap` says how much is missing. Nothing here reads a clock or a
socket.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gateway.client.continuity import Continuity, Topic
from gateway.client.events import (
    Conflation,
    Error,
    Event,
    Gap,
    Health,
    Hello,
    Instrument,
    Malformed,
    ReplayCompleted,
    Reply,
    Report,
    Result,
    Retired,
    Slo,
    Slow,
    System,
)
from gateway.client.gaps import told
from gateway.client.requests import (
    GATEWAY,
    INSTRUMENTS,
    LOSSLESS,
    Asked,
    Key,
    Request,
    chunks,
    mode_asked,
    names_of,
    on_the_wire,
    scope_of,
)
from gateway.client.ticks import Bbo, Candle, InstrumentHealth, RawTick, Record, Status, Trade
from gateway.model.encoding import Encoding
from gateway.model.record import HEALTH
from gateway.model.topic import escape, is_pattern, match_pattern, meant

if TYPE_CHECKING:
    from gateway.client.binary import Reader

# Records may reach the gateway's feeds by so much later than newer ones of others.
RECOVER_BEFORE_NS = 1_000_000_000
# Silence of so many heartbeats means that the connection is dead, whatever TCP says.
HEARTBEATS_MISSED_MAX = 5


class Statistics(msgspec.Struct, frozen=True):
    """What the session has seen, over all its connections.

    Attributes:
        messages: everything that came.
        ticks: records among them.
        skipped: records that the ticks' own `skipped` stand for.
        gaps: `Gap` events.
        lost: records that are missing besides, by the gaps that this client found itself.
        malformed: messages, or elements of them, that are not the protocol's.
        wanted: strings subscribed to.
        topics: those with a record since they were last subscribed to.
    """

    messages: int
    ticks: int
    skipped: int
    gaps: int
    lost: int
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

    def __init__(self, encoding: Encoding = "json") -> None:
        self._encoding = encoding
        self._decoder = msgspec.json.Decoder(_Wire)
        self._binary: Reader | None = None  # of this connection, where data is binary
        self._req_id = 0
        self._asked: dict[int | str | None, Asked] = {}
        self._wanted: dict[Key, dict[str, Any]] = {}
        self._patterns: dict[Key, None] = {}  # those of `_wanted`, in its order
        self._modes: dict[Key, str] = {}  # of those in force on this connection
        self._later: dict[Key, int] = {}  # wanted, refused until this MONOTONIC time
        self._continuity = Continuity()
        self._hello: Hello | None = None
        self._heard_ns = 0
        self._newest_ns = 0  # the greatest ts_recv
        self._messages = self._ticks = self._malformed = 0
        self._skipped = self._gaps = self._lost = 0

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
            lost=self._lost,
            malformed=self._malformed,
            wanted=len(self._wanted),
            topics=len(self._continuity),
        )

    # --- requests ---------------------------------------------------------------------------------

    def request(self, method: str, params: dict[str, Any] | None = None) -> Request:
        """Any request of the protocol."""
        self._req_id += 1
        message: dict[str, Any] = {"method": method, "req_id": self._req_id}
        if params is not None:
            message["params"] = params
        return Request(self._req_id, msgspec.json.encode(message).decode())

    def subscribe(self, channel: str, symbols: str | Iterable[str], **params: Any) -> list[Request]:
        """Wants these names and patterns, now and after each reconnect.

        `from_` is about this one request: later on it would ask for what came already.
        """
        names = names_of(symbols)
        once = on_the_wire(channel, names, params)
        requests = list(self._ask("subscribe", channel, names, once))  # what can't be sent raises
        params = {name: value for name, value in once.items() if name != "from"}
        for key in (Key(channel, name, scope_of(once)) for name in names):
            self._later.pop(key, None)
            # Again at the end: a later pattern's parameters win over an earlier one's.
            self._unwanted(key)
            self._wanted[key] = params
            if is_pattern(key.symbol):
                self._patterns[key] = None
        return requests

    def update(self, channel: str, symbols: str | Iterable[str], **params: Any) -> list[Request]:
        """Other parameters for what is subscribed to; wanted from the reply on."""
        names = names_of(symbols)
        return list(self._ask("update", channel, names, on_the_wire(channel, names, params)))

    def unsubscribe(
        self, channel: str, symbols: str | Iterable[str], **params: Any
    ) -> list[Request]:
        """No longer wants these names and patterns."""
        names = names_of(symbols)
        params = on_the_wire(channel, names, params)
        for name in names:
            self._unwanted(Key(channel, name, scope_of(params)))
        return list(self._ask("unsubscribe", channel, names, params))

    def resync(self, gap: Gap) -> list[Request]:
        """Subscribes again to the string that covers the topic of the gap, where that helps."""
        topic = Topic(gap.channel, gap.symbol, gap.interval)
        key = self._covering(topic) if gap.reason == "sequence" else None
        if key is None:
            return []
        return list(self._ask("subscribe", key.channel, [key.symbol], self._wanted[key]))

    def _covering(self, topic: Topic) -> Key | None:
        """The wanted string whose parameters are in force: the name, else the latest pattern."""
        channel, name, interval = topic
        scope = INSTRUMENTS if channel == HEALTH else interval
        exact = Key(channel, escape(name), scope)
        if exact in self._wanted:
            return exact
        for key in reversed(self._patterns):
            if (key.channel, key.scope) == (channel, scope) and match_pattern(key.symbol, name):
                return key
        return None

    def _ask(
        self, method: str, channel: str, symbols: Iterable[str], params: dict[str, Any]
    ) -> Iterator[Request]:
        for chunk in chunks(symbols):
            yield self._ask_one(Asked(method, channel, tuple(chunk), params))

    def _ask_one(self, asked: Asked, since: dict[str, Any] | None = None) -> Request:
        params = {"channel": asked.channel, "symbol": asked.symbols, **asked.params}
        if since is not None:
            params["from"] = since
        request = self.request(asked.method, params)
        self._asked[request.req_id] = asked
        return request

    # --- the connection ---------------------------------------------------------------------------

    def connected(self, now_ns: int) -> list[Request]:
        """A new connection is open: everything wanted must be asked for again.

        `now_ns` here and below is MONOTONIC time.
        """
        self._hello = None
        for asked in self._asked.values():
            if asked.method == "unsubscribe":  # its reply was lost, and is not needed any more
                for symbol in asked.symbols:
                    self._left(asked.key(symbol))
        self._asked.clear()
        self._continuity.connected()
        modes = {key: mode_asked(key.channel, params) for key, params in self._wanted.items()}
        lossless = {key for key, mode in (modes | self._modes).items() if mode == "lossless"}
        self._modes.clear()
        self._later.clear()
        self._heard_ns = now_ns
        if self._encoding == "sbe":
            from gateway.client.binary import Reader

            self._binary = Reader()
        return self._ask_again(self._wanted, lossless if self._newest_ns else set())

    def due(self, now_ns: int) -> list[Request]:
        """Subscriptions that were refused for a while that is over: to be asked for again."""
        ready = [key for key, at_ns in self._later.items() if at_ns <= now_ns]
        for key in ready:
            del self._later[key]
        return self._ask_again((key for key in ready if key in self._wanted), set())

    def _ask_again(self, keys: Iterable[Key], recover: set[Key]) -> list[Request]:
        """As few requests as keep the order of what is wanted; some with what was missed."""
        requests: list[Request] = []
        groups = groupby(keys, lambda key: (key.channel, self._wanted[key], key in recover))
        for (channel, params, recovers), group in groups:
            symbols = [key.symbol for key in group]
            if not recovers:
                requests += self._ask("subscribe", channel, symbols, params)
                continue
            for chunk in chunks(symbols, recovers=True):
                asked = Asked("subscribe", channel, tuple(chunk), params, recovers=True)
                since = self._since(asked.key(chunk[0]), len(chunk))
                requests.append(self._ask_one(asked, since))
        return requests

    def _since(self, key: Key, count: int) -> dict[str, Any]:
        """From where on so many missed something, this one first."""
        if count == 1 and not is_pattern(key.symbol):
            position = self._continuity.position(key.topic._replace(symbol=meant(key.symbol)))
            if position is not None:
                return dict(zip(("epoch", "seq"), position, strict=True))
        return {"ts": max(0, self._newest_ns - RECOVER_BEFORE_NS)}

    def touch(self, now_ns: int) -> None:
        """Restarts the clock of `stale`: the reader itself had paused."""
        self._heard_ns = now_ns

    def stale(self, now_ns: int) -> bool:
        """Whether the connection has been silent for so long that it must be dead."""
        heartbeat_ms = self._hello.heartbeat_ms if self._hello else 1000
        return now_ns - self._heard_ns > HEARTBEATS_MISSED_MAX * max(heartbeat_ms, 100) * 1_000_000

    def receive(self, message: str | bytes, *, mono_ns: int, real_ns: int) -> list[Event]:
        """The events of one message: none for a heartbeat. Never raises.

        With encoding "sbe" bytes are a binary frame, and texts are `str`.
        """
        self._messages += 1
        self._heard_ns = mono_ns
        try:
            if self._binary is not None and isinstance(message, bytes):
                return self._frame(self._binary, message, real_ns)
            return self._message(self._decoder.decode(message), real_ns)
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
            self._malformed += 1
            return [Malformed(str(error))]

    def _frame(self, binary: "Reader", frame: bytes, real_ns: int) -> list[Event]:
        events: list[Event] = []
        for one in binary.read(frame, real_ns):
            if isinstance(one, dict):
                events += self._message(msgspec.convert(one, _Wire), real_ns)
            else:
                events += self._tick(one)
        return events

    def _message(self, wire: _Wire, real_ns: int) -> list[Event]:
        if wire.method:
            return self._reply(wire, real_ns)
        if wire.channel == "system":
            return self._system(wire)
        if wire.channel in _OWN and not wire.symbol:  # that of instruments is a topic's
            return [_own(wire, row) for row in wire.data]
        if wire.symbol and wire.type in ("snapshot", "update"):
            return self._tick(self._typed(wire, real_ns))
        if wire.channel and wire.data:
            return [Report(wire.channel, wire.type, wire.ts_send, wire.data)]
        return []  # a heartbeat, or a type that this client does not know yet

    def _reply(self, wire: _Wire, real_ns: int) -> list[Event]:
        asked = self._asked.pop(wire.req_id, Asked("", "", (), {}))
        if wire.method == "subscribe" and wire.error and not wire.error.retryable:
            for symbol in asked.symbols:
                self._unwanted(asked.key(symbol))
        gaps: list[Gap] = []
        for result in wire.results:
            key = asked.key(result.symbol)
            if result.success:
                gaps += self._accepted(asked, wire.method, key, result)
            elif wire.method == "subscribe":
                self._refused(key, result.error)
        reply = Reply(
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
        return [reply, *self._counted(gaps)]

    def _accepted(self, asked: Asked, method: str, key: Key, result: Result) -> Iterator[Gap]:
        topic = key.topic._replace(symbol=meant(key.symbol))
        if result.mode is not None:
            self._modes[key] = result.mode
        if method == "subscribe":
            if key.scope != GATEWAY:
                self._continuity.restarted(key.topic)
            if result.recovery == "replaying":
                self._continuity.replayed(key.topic, None if asked.recovers else result.seq)
                return
            if result.recovery == "insufficient_state" and not asked.recovers:
                yield Gap(*key.topic[:2], "insufficient_state", interval=key.topic.interval)
            if result.snapshot is False and result.seq and self._lossless(topic):
                gap = self._continuity.published(topic, result.epoch, result.seq)
                yield from (gap,) if gap is not None else ()
        elif method == "unsubscribe":
            self._left(key)
        elif method == "update" and key in self._wanted:
            self._wanted[key] = self._wanted[key] | asked.params

    def _left(self, key: Key) -> None:
        """The subscription to this string has ended."""
        self._modes.pop(key, None)
        if key.scope != GATEWAY:
            self._continuity.left(key.topic, self._is_wanted)

    def _is_wanted(self, topic: Topic) -> bool:
        return self._covering(topic) is not None

    def _refused(self, key: Key, error: Error | None) -> None:
        if error is None or not error.retryable:
            self._unwanted(key)
        elif error.retry_after_ms is not None:
            self._later[key] = self._heard_ns + error.retry_after_ms * 1_000_000

    def _unwanted(self, key: Key) -> None:
        self._wanted.pop(key, None)
        self._patterns.pop(key, None)

    def _system(self, wire: _Wire) -> list[Event]:
        if wire.type == "hello":
            self._hello = msgspec.convert(wire.data[0] if wire.data else {}, Hello)
            self._continuity.hello(self._hello.epoch)
            return [self._hello]
        if wire.type == "gap":
            return [*self._counted(told(row) for row in wire.data)]
        if wire.type == "retired":
            retired = [msgspec.convert(row, Retired) for row in wire.data]
            for one in retired:
                self._continuity.forget(Topic(one.channel, escape(one.symbol), one.interval))
            return [*retired]
        if wire.type == "conflation":
            return [msgspec.convert(row, Conflation) for row in wire.data]
        if wire.type == "replay_completed":
            return [msgspec.convert(row, ReplayCompleted) for row in wire.data]
        if wire.type == "slow":
            return [msgspec.convert(row, Slow) for row in wire.data]
        if wire.type == "epoch":
            row = msgspec.convert(wire.data[0] if wire.data else {}, _Epoch)
            self._continuity.renumbered(row.epoch)  # snapshots follow
        return [System(wire.type, wire.data)]

    def _counted(self, gaps: Iterable[Gap]) -> Iterator[Gap]:
        for gap in gaps:
            self._gaps += 1
            self._lost += gap.lost or 0 if gap.reason in _FOUND_HERE else 0
            yield gap

    def _tick(self, tick: Record) -> list[Event]:
        interval = tick.interval if isinstance(tick, Candle) else ""
        topic = Topic(tick.channel, tick.symbol, interval)
        if self._continuity.had(topic, tick.seq):
            return []
        self._newest_ns = max(self._newest_ns, tick.ts_recv)
        missing = self._continuity.frame(topic, tick.seq, tick.skipped, self._lossless)
        if missing.skipped:
            tick = msgspec.structs.replace(tick, skipped=tick.skipped + missing.skipped)
        self._ticks += 1
        self._skipped += tick.skipped
        if missing.gap is None:
            return [tick]
        return [*self._counted([missing.gap]), tick]

    def _typed(self, wire: _Wire, real_ns: int) -> Record:
        frame: dict[str, Any] = {
            "channel": wire.channel,
            "type": wire.type,
            "symbol": wire.symbol,
            "seq": wire.seq,
            "ts_event": wire.ts_event,
            "ts_recv": wire.ts_recv,
            "ts_send": wire.ts_send,
            "ts_client": real_ns,
            "skipped": wire.skipped,
        }
        kind = _TICKS.get(wire.channel)
        if kind is None:
            return RawTick(**frame, data=wire.data)
        try:
            if len(wire.data) != 1:
                raise msgspec.ValidationError(f"{len(wire.data)} elements, expected one")
            return msgspec.convert(wire.data[0] | frame, kind)
        except msgspec.ValidationError as error:
            self._malformed += 1
            return RawTick(**frame, data=wire.data, problem=str(error))

    def _lossless(self, topic: Topic) -> bool:
        """Whether every record of the topic should come, by the reply that is in force."""
        key = self._covering(topic)
        mode = self._modes.get(key) if key is not None else None
        return topic.channel in LOSSLESS if mode is None else mode == "lossless"


class _Epoch(msgspec.Struct):
    epoch: str


_TICKS: Final[dict[str, type[Trade | Bbo | Candle | Status | InstrumentHealth]]] = {
    "trade": Trade,
    "bbo": Bbo,
    "candle": Candle,
    "status": Status,
    HEALTH: InstrumentHealth,
}
"""The types of records, by channel."""

_FOUND_HERE: Final = frozenset({"reconnect", "resubscribe", "sequence"})
"""Gaps whose records nothing else counts: the gateway's own become `skipped` of the next frame."""

_OWN: Final[dict[str, type[Slo] | type[Health]]] = {"slo": Slo, "health": Health}
"""What the gateway says of itself, by channel."""


def _own(wire: _Wire, row: dict[str, Any]) -> Slo | Health:
    kind: type[Slo] | type[Health] = _OWN[wire.channel]
    return msgspec.convert(row | {"type": wire.type, "ts_send": wire.ts_send}, kind)
