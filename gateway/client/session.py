"""The client's side of the protocol, sans-IO: texts and times in, events and texts out.

Theory of operation. The session remembers across connections what is *wanted* (each string
subscribed to, with its parameters), and the last `seq` of each topic (`continuity`): a `Gap` goes
before the tick where records are missing, and where `seq == last + 1 + skipped` is broken without
notice, the string that covers the topic is subscribed again (`resync`). On a new connection all
that is wanted is asked for again, with what was missed (`again`): the first requests at once, the
others when they are `due`, as is what a gateway at its limit refused for a while. Where the gateway
no longer has what was missed, the first tick's `Gap` says how much that is. Nothing here reads a
clock or a socket.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gateway.client.again import RECOVER_BEFORE_NS, SECOND_NS, Again, Ask, asks
from gateway.client.book import Book, OrderBook
from gateway.client.books import MISMATCH_RETRY_NS, Books
from gateway.client.continuity import NOTHING, Continuity, Missing, Topic
from gateway.client.events import (
    Conflation,
    Error,
    Event,
    Gap,
    Hello,
    Malformed,
    Record,
    ReplayCompleted,
    Result,
    Retired,
    Slow,
    System,
)
from gateway.client.gaps import told
from gateway.client.messages import OWN, Epoch, Wire
from gateway.client.requests import (
    GATEWAY,
    Asked,
    Key,
    Outstanding,
    Request,
    key_of,
    names_of,
    on_the_wire,
    scope_of,
)
from gateway.client.statistics import Statistics
from gateway.client.ticks import Candle, RawTick
from gateway.client.wanted import Wanted
from gateway.model.encoding import Encoding
from gateway.model.record import BOOK
from gateway.model.topic import escape, is_pattern, meant

if TYPE_CHECKING:
    from gateway.client.binary import Reader

# By when the first frame of a subscription has to come that has a state.
FIRST_DATA_S = 5.0
# Silence of so many heartbeats means that the connection is dead, whatever TCP says.
HEARTBEATS_MISSED_MAX = 5


class ClientSession:
    """The state of one client, across its connections.

    Attributes:
        lossless: says of a topic whether every record of it should come.
    """

    def __init__(
        self,
        encoding: Encoding = "json",
        *,
        first_data_s: float = FIRST_DATA_S,
        stall_s: float | None = None,
    ) -> None:
        """A session that was never connected.

        Args:
            encoding: how data comes.
            first_data_s: by when a subscription's first frame has to come, where it has a state.
            stall_s: silence after which the connection must be dead; None: five heartbeats.
        """
        self._encoding = encoding
        self._decoder = msgspec.json.Decoder(Wire)
        self._binary: Reader | None = None  # of this connection, where data is binary
        self._req_id = 0
        self._outstanding = Outstanding()
        self._wanted = Wanted()
        self._again = Again(self._wanted, int(first_data_s * SECOND_NS))
        self._stall_ns = None if stall_s is None else int(stall_s * SECOND_NS)
        self.lossless = self._wanted.lossless
        self._replaying: set[Key] = set()
        self._continuity = Continuity()
        self._books = Books(self._tick, self._counted)
        self._hello: Hello | None = None
        self._heard_ns = 0
        self._newest_ns = 0  # the greatest ts_recv
        self._messages = self._ticks = self._malformed = 0
        self._skipped = self._gaps = self._lost = 0

    @property
    def hello(self) -> Hello | None:
        """The present connection's greeting, None before it."""
        return self._hello

    @property
    def replaying(self) -> bool:
        """Whether records of before are coming, at the gateway's pace."""
        return bool(self._replaying)

    def statistics(self) -> Statistics:
        """Counts over all connections so far."""
        return Statistics(
            messages=self._messages,
            ticks=self._ticks,
            skipped=self._skipped,
            gaps=self._gaps,
            lost=self._lost,
            malformed=self._malformed,
            mismatches=self._books.mismatches,
            wanted=len(self._wanted),
            topics=len(self._continuity),
        )

    def book(self, symbol: str) -> OrderBook | None:
        """The order book of an instrument; None before its first frame."""
        return self._books.get(symbol)

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
        # What can't be sent raises.
        mine = [*map(self._send, asks("subscribe", channel, names, once))]
        always = {name: value for name, value in once.items() if name != "from"}
        keys = [Key(channel, name, scope_of(once)) for name in names]
        for key in keys:
            self._unwanted(key)
        patterns = any(is_pattern(name) for name in names)  # a later one has to be later
        requests = self._before(
            lambda key: patterns and key.channel == channel and is_pattern(key.symbol)
        )
        for key in keys:
            self._wanted.add(key, always)
        return [*requests, *mine]

    def update(self, channel: str, symbols: str | Iterable[str], **params: Any) -> list[Request]:
        """Other parameters for what is subscribed to; wanted from the reply on."""
        names = names_of(symbols)
        params = on_the_wire(channel, names, params)
        return self._about("update", channel, names, params)

    def unsubscribe(
        self, channel: str, symbols: str | Iterable[str], **params: Any
    ) -> list[Request]:
        """No longer wants these names and patterns."""
        names = names_of(symbols)
        params = on_the_wire(channel, names, params)
        requests = self._about("unsubscribe", channel, names, params)
        for name in names:
            self._unwanted(Key(channel, name, scope_of(params)))
        return requests

    def _about(
        self, method: str, channel: str, names: list[str], params: dict[str, Any]
    ) -> list[Request]:
        """Of subscriptions: those that still wait to be asked for again come first."""
        keys = {Key(channel, name, scope_of(params)) for name in names}
        requests = self._before(keys.__contains__)
        return [*requests, *map(self._send, asks(method, channel, names, params))]

    def _before(self, first: Callable[[Key], bool]) -> list[Request]:
        return [*map(self._send, self._again.flush(first, self._continuity.position))]

    def resync(self, gap: Gap) -> list[Request]:
        """Subscribes again to the string that covers the topic of the gap, where that helps.

        A book whose sum has been wrong again and again is `due` later. Where the string is asked
        for already it begins anew with that reply, so that one request mends any number of gaps.
        """
        topic = Topic(gap.channel, gap.symbol, gap.interval)
        key = self._wanted.covering(topic) if gap.reason in ("sequence", "checksum") else None
        if key is None or self._outstanding.subscribes(key):
            return []
        if gap.reason == "checksum" and self._books.waits(gap.symbol):
            self._again.add_later(key, self._heard_ns + MISMATCH_RETRY_NS)
            return []
        self._again.add(key)
        return self.due(self._heard_ns)

    def _send(self, ask: Ask) -> Request:
        asked, since = ask
        params = {"channel": asked.channel, "symbol": asked.symbols, **asked.params}
        if since is not None:
            params["from"] = since
        request = self.request(asked.method, params)
        self._outstanding.add(request.req_id, asked)
        return request

    # --- the connection ---------------------------------------------------------------------------

    def connected(self, now_ns: int) -> list[Request]:
        """A new connection is open: everything wanted is to be asked for again, this at once.

        `now_ns` here and below is MONOTONIC time.
        """
        self._hello = None
        for asked in self._outstanding.clear():
            if asked.method == "unsubscribe":  # its reply was lost, and is not needed any more
                for symbol in asked.symbols:
                    self._left(asked.key(symbol))
        self._continuity.connected()
        self._books.doubt()
        self._replaying.clear()
        self._again.connected(self._wanted.connected(), self._newest_ns)
        self._heard_ns = now_ns
        if self._encoding == "sbe":
            from gateway.client.binary import Reader

            self._binary = Reader()
        return self.due(now_ns)

    def disconnected(self) -> None:
        """The connection has ended: books are what they were."""
        self._books.doubt()

    def due(self, now_ns: int) -> list[Request]:
        """What the client asks for by itself, and may ask for now."""
        return [*map(self._send, self._again.due(now_ns, self._continuity.position))]

    def overdue(self, now_ns: int) -> list[Gap]:
        """The subscriptions whose first frame did not come in time; to be asked for again."""
        missed = self._again.overdue(now_ns)
        gaps = (Gap(*key.topic[:2], "no_data", interval=key.topic.interval) for key in missed)
        return self._counted(gaps)

    def touch(self, now_ns: int) -> None:
        """Restarts the clocks of `stale` and `overdue`: the reader itself had paused."""
        self._heard_ns = now_ns
        self._again.touch(now_ns)

    def stale(self, now_ns: int) -> bool:
        """Whether the connection has been silent for so long that it must be dead."""
        if self._stall_ns is not None:
            return now_ns - self._heard_ns > self._stall_ns
        heartbeat_ms = self._hello.heartbeat_ms if self._hello else 1000
        return now_ns - self._heard_ns > HEARTBEATS_MISSED_MAX * max(heartbeat_ms, 100) * 1_000_000

    def receive(self, message: str | bytes, *, mono_ns: int, real_ns: int) -> list[Event]:
        """The events of one message: none for a heartbeat. Never raises.

        With encoding "sbe" bytes are a binary frame, and texts are `str`.
        """
        self.heard(1, mono_ns)
        try:
            if self._binary is not None and isinstance(message, bytes):
                return self._frame(self._binary, message, real_ns)
            return self._message(self._decoder.decode(message), real_ns)
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
            return [self.malformed(str(error))]

    def _frame(self, binary: "Reader", frame: bytes, real_ns: int) -> list[Event]:
        events: list[Event] = []
        for one in binary.read(frame, real_ns):
            if isinstance(one, dict):
                events += self._message(msgspec.convert(one, Wire), real_ns)
            else:
                events += self.record(one)
        return events

    def _message(self, wire: Wire, real_ns: int) -> list[Event]:
        if wire.method:
            return self._reply(wire, real_ns)
        if wire.channel == "system":
            return self._system(wire)
        if wire.channel in OWN and not wire.symbol:  # that of instruments is a topic's
            return [wire.own(row) for row in wire.data]
        if wire.symbol and wire.kind in ("snapshot", "update"):
            tick = wire.tick(real_ns)
            if type(tick) is RawTick and tick.problem:
                self._malformed += 1
            return self.record(tick)
        if wire.channel and wire.data:
            return [wire.report()]
        return []  # a heartbeat, or a type that this client does not know yet

    def _reply(self, wire: Wire, real_ns: int) -> list[Event]:
        asked = self._outstanding.take(wire.req_id)
        if wire.method == "subscribe" and wire.error:
            for symbol in asked.symbols:
                self._refused(asked, asked.key(symbol), wire.error)
        gaps: list[Gap] = []
        for result in wire.results:
            key = asked.key(result.symbol)
            if result.success:
                gaps += self._accepted(asked, wire.method, key, result)
            elif wire.method == "subscribe":
                self._refused(asked, key, result.error)
        return [wire.reply(real_ns), *self._counted(gaps)]

    def _accepted(self, asked: Asked, method: str, key: Key, result: Result) -> Iterator[Gap]:
        if result.mode is not None:
            self._wanted.accepted(key, result.mode)
        if method == "subscribe":
            yield from self._subscribed(asked, key, result)
        elif method == "unsubscribe":
            self._left(key)
        elif method == "update":
            self._wanted.change(key, asked.params)
            if result.mode == "conflate":
                self._completed(key)

    def _subscribed(self, asked: Asked, key: Key, result: Result) -> Iterator[Gap]:
        topic = key.topic._replace(symbol=meant(key.symbol))
        if key.scope != GATEWAY:
            self._continuity.restarted(key.topic)
        if result.recovery == "replaying":
            self._replaying.add(key)
            asked_from = asked.params.get("from")
            since = asked_from.get("ts") if isinstance(asked_from, dict) else None
            self._again.missed_since(
                key, since if isinstance(since, int) else self._newest_ns - RECOVER_BEFORE_NS
            )
            self._continuity.replayed(key.topic, None if asked.recovers else result.seq)
            return
        self._completed(key)
        self._expect(key, result)
        if result.recovery == "insufficient_state" and not asked.recovers:
            yield Gap(*key.topic[:2], "insufficient_state", interval=key.topic.interval)
        if result.snapshot is False and result.seq and self._wanted.lossless(topic):
            gap = self._continuity.published(topic, result.epoch, result.seq)
            yield from (gap,) if gap is not None else ()

    def _expect(self, key: Key, result: Result) -> None:
        """Where a state exists and is never held back its first frame has to come in time."""
        if key in self._wanted and self._wanted.has_state(key, result):
            self._again.expect(key, self._heard_ns)
        else:
            self._again.had(key)

    def _completed(self, key: Key) -> None:
        """What it missed has come, or will not."""
        self._replaying.discard(key)
        self._again.complete(key)

    def _left(self, key: Key) -> None:
        """The subscription to this string has ended."""
        self._wanted.ended(key)
        self._completed(key)
        if key.scope != GATEWAY:
            self._continuity.left(key.topic, self._wanted.is_wanted)
        if key.channel == BOOK:
            self._books.left(key.symbol, self._wanted.is_wanted)

    def _refused(self, asked: Asked, key: Key, error: Error | None) -> None:
        if asked.recovers and error is not None and error.code == "bad_request":
            self._again.complete(key)  # a gateway that has no recovery: without it, then
            self._again.add(key)
        elif error is None or not error.retryable:
            self._unwanted(key)
        elif error.retry_after_ms is not None and key in self._wanted:
            self._again.add_later(key, self._heard_ns + error.retry_after_ms * 1_000_000)

    def _unwanted(self, key: Key) -> None:
        self._wanted.remove(key)
        self._again.drop(key)

    def _system(self, wire: Wire) -> list[Event]:
        match wire.kind:
            case "hello":
                self._hello = wire.one(Hello)
                self._continuity.hello(self._hello.epoch)
                return [self._hello]
            case "gap":
                return [*self._counted(told(row) for row in wire.data)]
            case "retired":
                return [self._ended(one) for one in wire.all(Retired)]
            case "replay_completed":
                completed = wire.all(ReplayCompleted)
                for done in completed:
                    self._completed(key_of(Topic(done.channel, done.symbol, done.interval)))
                return [*completed]
            case "epoch":
                self._renumbered(wire.one(Epoch).epoch)  # snapshots follow
            case "conflation":
                return [*wire.all(Conflation)]
            case "slow":
                return [*wire.all(Slow)]
        return [System(wire.kind, wire.data)]

    def _ended(self, one: Retired) -> Retired:
        self._continuity.forget(Topic(one.channel, escape(one.symbol), one.interval))
        if one.channel == BOOK:
            self._books.retired(one.symbol)
        return one

    def _renumbered(self, epoch: str) -> None:
        self._continuity.renumbered(epoch)
        self._books.doubt()
        for key in [*self._replaying]:  # which ends those
            self._completed(key)

    def _before_it(self, topic: Topic, seq: int, skipped: int) -> Missing | None:
        """What is missing before a frame; None: it came on an earlier connection."""
        if self._continuity.had(topic, seq):
            return None
        self._again.came(topic, self._wanted.covering(topic))
        return self._continuity.frame(topic, seq, skipped, self._wanted.lossless)

    # --- records in arrays (frames.py) ------------------------------------------------------------

    @property
    def announced(self) -> dict[int, tuple[str, str]]:
        """The topics of this connection's binary frames, by number; a reader adds to it."""
        assert self._binary is not None
        return self._binary.topics

    def heard(self, messages: int, mono_ns: int) -> None:
        """So many messages came, then."""
        self._messages += messages
        self._heard_ns = mono_ns

    def malformed(self, why: str) -> Malformed:
        """One of them had something that is not the protocol's."""
        self._malformed += 1
        return Malformed(why)

    def rows_follow(self, topic: Topic, seq: int, skipped: int, last: int) -> bool:
        """Whether records that follow each other, up to `last`, follow what came before."""
        if not self._continuity.follows(topic, seq, skipped):
            return False
        return last == seq or self._continuity.follows(topic, last, last - seq - 1)

    def row(self, topic: Topic, seq: int, skipped: int) -> Missing | None:
        """What is missing before a record; None: it came on an earlier connection."""
        if self._continuity.follows(topic, seq, skipped):
            return NOTHING
        missing = self._before_it(topic, seq, skipped)
        if missing is not None and missing.gap is not None:
            self._counted([missing.gap])
        return missing

    def had_rows(self, count: int, skipped: int, newest_ns: int) -> None:
        """So many records came that are news."""
        self._ticks += count
        self._skipped += skipped
        self._newest_ns = max(self._newest_ns, newest_ns)

    def _counted(self, gaps: Iterable[Gap]) -> list[Gap]:
        counted = [*gaps]
        self._gaps += len(counted)
        self._lost += sum(gap.lost or 0 for gap in counted if gap.reason in _FOUND_HERE)
        return counted

    def record(self, record: Record) -> list[Event]:
        """The events of a record that was read already."""
        if record.channel == BOOK and isinstance(record, Book | RawTick):
            return [*self._books.take(record)]
        return self._tick(record)

    def _tick(self, tick: Record) -> list[Event]:
        topic = Topic(tick.channel, tick.symbol, tick.interval if type(tick) is Candle else "")
        if self._continuity.follows(topic, tick.seq, tick.skipped):
            self._ticks += 1
            self._skipped += tick.skipped
            if tick.ts_recv > self._newest_ns:
                self._newest_ns = tick.ts_recv
            return [tick]
        return self._first(topic, tick)

    def _first(self, topic: Topic, tick: Record) -> list[Event]:
        """A frame that does not follow the one before: the first one, or there is a gap."""
        missing = self._before_it(topic, tick.seq, tick.skipped)
        if missing is None:
            return []
        if missing.skipped:
            tick = msgspec.structs.replace(tick, skipped=tick.skipped + missing.skipped)
        self.had_rows(1, tick.skipped, tick.ts_recv)
        return [tick] if missing.gap is None else [*self._counted([missing.gap]), tick]


_FOUND_HERE: Final = frozenset({"reconnect", "resubscribe", "sequence"})
"""Gaps whose records nothing else counts: the gateway's own become `skipped` of the next frame."""
