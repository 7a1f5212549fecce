"""The feed that runs a venue: its connections, its REST requests, what it says of instruments.

All is on the feed's own thread, which has an event loop of its own: what a connection brings goes
from the transport's callback to the ring. A tick, twenty times a second, does what is due: requests
at the venue's pace, pings, verdicts over lines that are silent, snapshots of books that are wanted.
REST is on threads beside it (`rest.py`).

A fault is a state with its reason, never the end: the feed is `up` while a line brings what it
shall, `down` while none does. The books of a line that is lost are in doubt at once; those that
show a hole, or fail their checksum, are had anew one by one, and no other is touched.
"""

import asyncio
import contextlib
import functools
import ssl
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast

import uvloop

from gateway import log
from gateway._native import HEARTBEAT_NS_MAX
from gateway.backoff import Backoff
from gateway.feeds.books import Doubt
from gateway.feeds.envelope import Received, Response
from gateway.feeds.feed import Counters, Publisher, ThreadFeed, Topics
from gateway.feeds.live.book_requests import BookRequests
from gateway.feeds.live.following import Change, Following
from gateway.feeds.live.pace import Pace
from gateway.feeds.live.rest import Answer, Rest
from gateway.feeds.live.shard import Line, Shard
from gateway.feeds.live.socket import open_socket
from gateway.feeds.live.venue import LiveVenue
from gateway.feeds.live.words import words
from gateway.feeds.outlet import Outlet
from gateway.feeds.reading import Reading
from gateway.feeds.refusals import Refusal, shown_symbol
from gateway.feeds.teller import Teller
from gateway.feeds.venues.message import BookMessage, Decoded, Instrument, Subscription
from gateway.model.record import BOOK, INSTRUMENT
from gateway.model.status import FeedState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.feeds.reading import Told

TICK_S: Final = 0.05
CONNECTS_BURST: Final = 4
SNAPSHOTS_BURST: Final = 4
SNAPSHOTS_AT_ONCE: Final = 2
SNAPSHOT_S: Final = 10.0
"""For a stream that was asked for again to bring its snapshot."""
REFERENCE_RETRY_BASE_S: Final = 2.0
REFERENCE_RETRY_CAP_S: Final = 60.0
NAMED_MAX: Final = 8
"""Symbols named in a state's reason."""

_log = log.get("feeds")


class LiveFeed(ThreadFeed):
    """Follows some instruments of one venue.

    Args:
        wanted: symbols, or patterns of them.
    """

    def __init__(
        self,
        name: str,
        index: int,
        venue: LiveVenue,
        code: str,
        wanted: tuple[str, ...],
        publisher: Publisher,
        counters: Counters,
        owners: dict[str, int],
    ) -> None:
        super().__init__(name, index, counters)
        self._venue = venue
        self._publisher = publisher
        channels = ("trade", "bbo", BOOK, INSTRUMENT, "status")
        self._topics = {one: Topics(one, code, index, publisher, owners) for one in channels}
        self._following = Following(wanted)
        self._controls: list[bytes] = []
        decoding = venue.decoding
        decoding = decoding._replace(connect=functools.partial(self._decoder, decoding.connect))
        self._reading = Reading(decoding, counters, self._topics)
        self._outlet = Outlet(counters, publisher, index, self._topics)
        self._stamps = (0, 0)
        self._teller = Teller(
            counters,
            publisher,
            self._outlet,
            index,
            self._topics,
            doubt=self._doubt,
            record_wire=True,
            stamps=lambda: self._stamps,
        )
        facts = venue.facts
        self._connects = Pace(facts.connects_per_s, CONNECTS_BURST)
        snapshots = Pace(facts.snapshots_per_s, SNAPSHOTS_BURST)
        self._books = BookRequests(snapshots, self._book_waits)
        self._shards: list[Shard] = []
        self._opened = 0  # connections, as they were counted
        self._told: tuple[FeedState, str] = ("connecting", "")
        self._unknown: list[str] = []
        self._rest_why = self._reference_why = ""
        self._reference_s = 0.0  # when to ask for it
        self._reference_asked = self._learned = False
        self._reference_backoff = Backoff(REFERENCE_RETRY_BASE_S, REFERENCE_RETRY_CAP_S, least=0.5)
        self._beat_s = 0.0
        self._heard_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._rest: Rest
        self._tls: ssl.SSLContext

    # --- the thread -------------------------------------------------------------------------------

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._live())

    def _interrupt(self) -> None:
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(stop.set)

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._loop = loop
        self._tls = ssl.create_default_context()
        self._rest = Rest(self.name, loop.call_soon_threadsafe, self._tls)
        try:
            while not self._stopping:
                self._tick(time.monotonic())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await self._stop.wait()
        finally:
            for shard in self._shards:
                await shard.close()
            self._rest.close()
            self._teller.publish()
            self._reading.end()

    def _tick(self, now_s: float) -> None:
        if now_s >= self._reference_s and not self._reference_asked:
            self._reference_asked = self._rest.get(self._venue.reference(), self._referred)
        for shard in self._shards:
            shard.step(now_s)
        self._count_connections()
        most = SNAPSHOTS_AT_ONCE if self._rest.free else 0
        for symbol in self._books.due(now_s, most):
            self._ask_for_book(symbol)
        self._beat(now_s)
        self._judge()

    def _book_waits(self, symbol: str) -> bool:
        if self._venue.snapshot(symbol):
            return self._reading.waits(symbol)
        return not self._reading.stands(symbol)

    def _ask_for_book(self, symbol: str) -> None:
        """From beside the stream or, where that brings it, by asking for the stream again."""
        url = self._venue.snapshot(symbol)
        if not url:
            for shard in self._shards:
                if symbol in shard.symbols:
                    shard.again(self._venue.book_stream(symbol))
            self._books.answered(symbol, time.monotonic(), least_s=SNAPSHOT_S)
        elif not self._rest.get(url, functools.partial(self._snapshot, symbol)):
            self._books.answered(symbol, time.monotonic())

    # --- what comes -------------------------------------------------------------------------------

    def _decoder(self, connect: Any, address: str) -> Any:
        """The venue's decoder, which leaves what is nothing to publish here as well."""
        decode = connect(address)
        controls = self._controls

        def decoded(payload: bytes) -> Decoded:
            found: Decoded = decode(payload)
            if type(found) is str or type(found) is Subscription:
                controls.append(payload)
            return found

        return decoded

    def _receive(self, line: Line, messages: "list[str | bytes]") -> None:
        """All messages of a read."""
        ts_recv, mono_recv = self._stamps = time.time_ns(), time.monotonic_ns()
        now_s = self._heard_s = mono_recv * 1e-9
        session, name, read = line.session, line.name, self._reading.read
        session.heard(now_s)
        for message in messages:
            payload = message.encode() if isinstance(message, str) else message
            told = read((ts_recv, Received(payload, name)))
            if self._controls:
                for control in self._controls:
                    session.control(control, now_s)
                self._controls.clear()
            else:
                session.data(now_s)
            if told is not None:
                self._tell(told if isinstance(told, list) else (told,))
        self._teller.publish()

    def _tell(self, told: "Iterable[Told]") -> None:
        for one in told:
            if isinstance(one, Doubt):
                self._want_book(one.symbol)
            elif isinstance(one, BookMessage) and one.type == "snapshot":
                self._books.have(one.symbol)
            self._teller.tell(one)

    def _doubt(self, symbol: str, why: str) -> "Iterator[Told]":
        """The ring found the book wrong: the teller is told of what follows."""
        self._want_book(symbol)
        yield from self._reading.doubt(symbol, why)

    def _want_book(self, symbol: str) -> None:
        if symbol in self._following.symbols and self._venue.book_stream(symbol):
            self._books.want(symbol)

    def _snapshot(self, symbol: str, answer: Answer) -> None:
        """The answer to a request for a book."""
        self._stamps = time.time_ns(), time.monotonic_ns()
        now_s = time.monotonic()
        if answer.status == 200:
            self._rest_why = ""
            told = self._reading.read((self._stamps[0], Response(answer.url, answer.body)))
            self._controls.clear()
            if told is not None:
                self._tell(told if isinstance(told, list) else (told,))
            self._teller.publish()
        else:
            self._rest_why = f"book of {shown_symbol(symbol)}: {self._why(answer)}"
            _log.warning("feed.snapshot", feed=self.name, symbol=symbol, why=self._rest_why)
        self._books.answered(symbol, now_s, answer.wait_s)

    def _lost(self, shard: Shard, why: str) -> None:
        """A shard's streams come no more: its books are not up to date from here on."""
        self._stamps = time.time_ns(), time.monotonic_ns()
        for symbol in shard.symbols:
            self._tell(self._reading.doubt(symbol, why))
            if not self._venue.snapshot(symbol):
                self._books.have(symbol)  # the next connection brings it
        self._teller.publish()

    # --- instruments ------------------------------------------------------------------------------

    def _referred(self, answer: Answer) -> None:
        """The venue's list of instruments, or why there is none."""
        self._reference_asked = False
        now_s = time.monotonic()
        listed, why = self._listed(answer)
        self._reference_why = why
        if why:
            pause_s = max(self._reference_backoff.next_s(), answer.wait_s)
            _log.warning("feed.reference", feed=self.name, why=why, retry_s=pause_s)
            if not self._learned:
                self._begin(self._following.names())
        else:
            pause_s = self._venue.facts.reference_s
            self._reference_backoff.reset()
            self._learned = True
            self._change(self._following.take(listed))
        self._reference_s = now_s + pause_s

    def _listed(self, answer: Answer) -> tuple[list[Instrument], str]:
        if answer.status != 200:
            return [], f"list of instruments: {self._why(answer)}"
        try:
            listed = self._venue.decoding.instruments(answer.body)
        except ValueError as error:
            return [], f"list of instruments: {error}"
        return listed, "" if listed else "list of instruments: it is empty"

    def _change(self, change: Change) -> None:
        self._stamps = time.time_ns(), time.monotonic_ns()
        for one in change.told:
            self._tell(self._reading.instrument(one))
        for one in change.statuses:
            row = self._topics["status"].row(one.symbol, (0, one.status, ""))
            self._tell((cast("Told", row),))
        self._teller.publish()
        for symbol in change.ended:
            self._end(symbol)
        for name in change.unknown:
            if name not in self._unknown:
                why = "the venue lists no such symbol"
                self._tell((Refusal("name", why, "", name, "symbol", shown_symbol(name)),))
        self._unknown = change.unknown
        self._begin(change.begun)

    def _begin(self, symbols: Iterable[str]) -> None:
        """Follows symbols: where there is room, else on a connection more."""
        for symbol in symbols:
            need = len(self._venue.streams(symbol))
            shard = next((one for one in self._shards if one.room() >= need), None)
            if shard is None:
                shard = self._new_shard()
            shard.add(symbol)
            if self._venue.book_stream(symbol) and self._venue.snapshot(symbol):
                self._books.want(symbol)

    def _new_shard(self) -> Shard:
        url = self._venue.url()
        shard = Shard(
            self.name,
            len(self._shards),
            self._venue,
            lambda heard: open_socket(url, heard, self._tls),
            self._receive,
            self._lost,
            self._connects,
        )
        self._shards.append(shard)
        return shard

    def _end(self, symbol: str) -> None:
        for shard in self._shards:
            shard.drop(symbol)
        self._books.have(symbol)
        self._reading.forget(symbol)
        if self._outlet.retire(symbol):
            _log.info("feed.retired", feed=self.name, symbol=shown_symbol(symbol))

    # --- what is told of the feed -----------------------------------------------------------------

    def _why(self, answer: Answer) -> str:
        if not answer.status:
            return answer.body.decode("utf-8", "replace")
        return words(answer.status, self._venue.refused(answer.status, answer.body))

    def _count_connections(self) -> None:
        opened = sum(max(0, shard.opened - 1) for shard in self._shards)
        for _ in range(opened - self._opened):
            self._counters.reconnected()
        self._opened = opened

    def _beat(self, now_s: float) -> None:
        """The lines' own sign of life is the feed's heartbeat."""
        ping_s = self._venue.facts.ping_s
        if now_s - self._beat_s >= 1.0 and now_s - self._heard_s < 1.0:
            self._beat_s = now_s
            self._publisher.heartbeat(self.index, min(int(ping_s * 1e9), HEARTBEAT_NS_MAX))

    def _judge(self) -> None:
        """The feed's state, and why, where one of them is another than before."""
        down = [shard.why for shard in self._shards if not shard.up and shard.why]
        notes = [*down[:1], self._reference_why, self._rest_why, self._strangers()]
        why = "; ".join(filter(None, notes))
        state: FeedState = "down"
        if any(shard.up for shard in self._shards):
            state = "up"
        elif not down and not (self._learned and not self._shards):
            state = "connecting" if self._told[0] == "connecting" else "reconnecting"
        if (state, why) != self._told:
            self._told = (state, why)
            self._counters.change(state, why)

    def _strangers(self) -> str:
        unknown = self._unknown
        if not unknown:
            return "" if self._following.symbols or not self._learned else "no symbol matches"
        more = f" and {len(unknown) - NAMED_MAX} more" if len(unknown) > NAMED_MAX else ""
        named = ", ".join(shown_symbol(one) for one in unknown[:NAMED_MAX])
        return f"the venue does not list {named}{more}"
