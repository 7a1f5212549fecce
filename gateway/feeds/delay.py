"""The `delay` feed: another feed's venue, released a fixed time later under a name of its own.

Delayed data is a feed and no subscription that lags: what a subscription shows first, and what it
shows of what was conflated, is the present. So the ring's records of the venue are spooled to disk
by one thread (`gateway/feeds/spool.py`) and published again by another one, when they are due.

The clock is MONOTONIC, and it counts from when the record was published, which was behind its
receipt: a wall clock that is set makes nothing early, and nothing later either. MONOTONIC says
nothing of another boot. What was spooled in one is due when this host has been up for the delay:
it is older than the boot.

A new feed process goes on where the one before has ended: records up to the mark were released,
those that may have been are told as a gap, and so is what came between the two processes. What an
earlier process was to release long before this one began is a gap, too.
"""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from gateway import log
from gateway._native import FLAG_UNPRINTED, record_rows
from gateway.feeds.books import Doubt
from gateway.feeds.feed import REFUSED, Counters, Publisher, ThreadFeed, Topics
from gateway.feeds.options import DelayOptions
from gateway.feeds.outlet import Outlet
from gateway.feeds.reading import After
from gateway.feeds.refusals import Refusal
from gateway.feeds.ring_records import Ended, RingRecords
from gateway.feeds.spool import FILE, Keeper, Mark, Place, Reel, Ring, Spool, host_clock
from gateway.feeds.teller import Teller
from gateway.feeds.venues.message import BookMessage
from gateway.model.record import BOOK, CHANNELS_FED, INSTRUMENT
from gateway.model.status import FeedStatus
from gateway.recording import Chunk, topics_of

if TYPE_CHECKING:
    from gateway._native import Raw, Row
    from gateway.feeds.reading import Told

TICK_S: Final = 0.001
"""What is due within it goes together: of 50,000 records a second, 50."""
KEEP_S: Final = 0.05
"""Between two looks of the spooling thread at the ring, once it has all."""
RETRY_S: Final = 1.0
"""Until a disk that refused is tried again."""
SLICE_RECORDS: Final = 256
"""Decoded at once, holding the interpreter: 0.2 ms."""
FILE_SPANS: Final = 8
"""Files that a delay is made of, if they are no longer than ..."""
FILE_SPAN_S: Final = 60.0
LATE_NS: Final = 1_000_000_000
"""Who is so late goes no faster than clients read ..."""
BEHIND_BYTES_MAX: Final = 1 << 20
BEHIND_S: Final = 0.01
"""... but waits for none of them longer than this, a publish."""
MISSED_NS: Final = 60_000_000_000
"""What was due so long before the feed began is told as a gap, instead of all at once."""
LAST_STEPS: Final = 256
"""Of the spooling thread, once the feed shall stop: what still waits in a ring of usual size."""
STOP_S: Final = 1.0
"""For the spooling thread to end; it may be in a write that a disk does not return from."""
NS_MAX: Final = (1 << 63) - 1
_DELAY: Final = 2 + 7
"""Where a row of `instrument` has its delay_s."""
_UNKNOWN: Final = (None, None, None, None, "", "", False, 0, "", "")
"""An instrument of which nothing was told."""

_log = log.get("feeds")


class DelayFeed(ThreadFeed):
    """Releases one venue.

    Args:
        ring: of the records of the venue `of`, from the feed process's beginning.
        directory: of the spool.
        now: MONOTONIC.
        clock: what that counts from, if not the host's boot.
    """

    def __init__(
        self,
        name: str,
        index: int,
        options: DelayOptions,
        publisher: Publisher,
        counters: Counters,
        owners: dict[str, int],
        ring: Ring,
        directory: Path,
        now: Callable[[], int] = time.monotonic_ns,
        clock: str = "",
    ) -> None:
        super().__init__(name, index, counters)
        self._options = options
        self._publisher = publisher
        self._ring = ring
        self._directory = directory
        self._now = now
        self._delay_ns = options.delay_s * 1_000_000_000
        self._topics = {
            channel: Topics(channel, options.venue, index, publisher, owners)
            for channel in CHANNELS_FED
        }
        self._teller = Teller(
            counters,
            publisher,
            Outlet(counters, publisher, index, self._topics),
            index,
            self._topics,
            doubt=self._doubt,
            begun=self._publishing,
            done=self._published,
        )
        self._records = RingRecords(options.of, counters, self._topics, patient=True)
        self._keeper: Keeper | None = None
        self._spool: Spool | None = None
        self._clock = clock
        self._place: Place | None = None
        self._foreign = False  # the file is of another clock
        self._file_topics = 0  # named by the file so far
        self._count = 0  # of the file's records, those that were taken
        self._released = 0
        self._before: Mark | None = None  # of the process before
        self._begun_ns = 0
        self._folded: dict[int, Row] = {}  # states of before, by topic
        self._owed: set[int] = set()  # topics that have to be told of a gap
        self._told: set[str] = set()  # symbols of which an instrument was told
        self._announced: set[int] = set()  # topics whose symbols are among them
        self._trouble = ""  # why nothing is spooled now
        self._marked = True  # the newest mark is on the disk
        self._late = False  # by so much that others are to be considered
        self.late_ns = 0
        """The most that a record was late since the start."""

    def _work(self) -> None:
        while not self.open():
            if not self._pause(RETRY_S):
                return
        keeping = threading.Thread(target=self._keep, name=f"{self.name} spool", daemon=True)
        keeping.start()
        self._counters.change("up", f"{self._options.of}, {self._options.delay_s} s later")
        try:
            while not self._stopping:
                if not self.step():
                    self.spool.wait(KEEP_S)
            self._teller.publish()
        finally:
            self._stopping = True
            keeping.join(STOP_S)
            if not keeping.is_alive():
                self.close()

    def statistics(self) -> FeedStatus:
        status = super().statistics()
        if status.state != "up" or self._spool is None:
            return status
        words = f"{status.message}: {self._spool.files} files, {self._spool.bytes} bytes"
        words += f", at most {self.late_ns / 1e6:.0f} ms late"
        if self._trouble:
            words += f"; nothing is spooled: {self._trouble}"
        return msgspec.structs.replace(status, message=words)

    def open(self) -> bool:
        """Takes the spool; False: it cannot be had, and the feed has failed."""
        try:
            self._clock = self._clock or host_clock()
            self._spool = Spool(self._directory)
        except OSError as error:
            why = f"the spool cannot be had: {self._directory}: {error.strerror or error}"
            if why != self._trouble:
                self._counters.change("failed", why)
            self._trouble = why
            return False
        self._trouble = ""
        options = self._options
        self._keeper = Keeper(
            self._spool,
            self._ring,
            self._clock,
            span_ns=round(min(options.delay_s / FILE_SPANS, FILE_SPAN_S) * 1e9),
            bytes_max=options.bytes_max,
            now=self._now,
        )
        self._reel = Reel(self._spool, self._damaged)
        self._before, self._begun_ns = self._spool.mark, self._now()
        return True

    def close(self) -> None:
        """Lets others have the spool."""
        self._reel.close()
        self.spool.close()

    @property
    def spool(self) -> Spool:
        assert self._spool is not None, "it is open"
        return self._spool

    @property
    def keeper(self) -> Keeper:
        assert self._keeper is not None, "it is open"
        return self._keeper

    # --- spooling ---------------------------------------------------------------------------------

    def _keep(self) -> None:
        """The spooling thread: alone it waits for the disk's writes."""
        keeper = self.keeper
        lapped = 0
        while not self._stopping:
            try:
                while keeper.step() and not self._stopping:
                    if keeper.lapped > lapped:
                        lapped = keeper.lapped
                        _log.error("spool.lost", feed=self.name, message="the ring went by")
            except OSError as error:
                if not self._trouble:
                    _log.error("spool.lost", feed=self.name, message=error.strerror or str(error))
                self._trouble = error.strerror or str(error)
                self._pause(RETRY_S)
                continue
            except Exception:
                _log.exception("spool.died", feed=self.name)
                self._counters.change("failed", "the spool has ended; the log says why")
                return
            if self._trouble:
                _log.warning("spool.resumed", feed=self.name)
            self._trouble = ""
            self._pause(KEEP_S)
        self._keep_last()

    def _keep_last(self) -> None:
        """Spools what the feeds before this one, which have ended, published last."""
        try:
            for _ in range(LAST_STEPS):
                if not self.keeper.step():
                    break
            self.keeper.end()
        except OSError as error:
            _log.error("spool.lost", feed=self.name, message=error.strerror or str(error))

    def _damaged(self, place: Place, why: str) -> None:
        """A file has no more that could be read; what is missing shows by the records' counts."""
        _log.error("spool.damaged", feed=self.name, path=place.name, message=why)
        if self._keeper is not None:
            self._keeper.renew = True

    # --- releasing --------------------------------------------------------------------------------

    def step(self) -> bool:
        """Releases what comes next, in its time; False: there is nothing yet."""
        chunk = self._reel.next()
        if chunk is None:
            self._idle()
        elif chunk.kind == FILE:
            self._enter()
        else:
            self._take(chunk)
        return chunk is not None

    def _idle(self) -> None:
        """All that is whole was released: of what is due nothing is to come."""
        self._teller.publish()
        passed_ns = self._now() - self._delay_ns
        if self._foreign:
            passed_ns = NS_MAX if passed_ns >= 0 else 0
        self._tell_all(self._records.books.until(passed_ns))

    def _enter(self) -> None:
        """A file begins, and maybe a life."""
        place, header = self._reel.place, self._reel.header
        assert place is not None
        assert header is not None
        self._teller.publish()
        self._foreign = header.config.get("clock") != self._clock
        if self._place is None:
            self._records.complete = place.life == self.spool.life
        elif place.life != self._place.life:
            if not self._wait(header.monotonic_ns):
                return
            self._unfold()
            self._seam()
        self._place, self._file_topics, self._count, self._released = place, 0, 0, 0
        self.spool.forget(place)

    def _seam(self) -> None:
        """Another process goes on: what came between the two nobody has."""
        self._records = RingRecords(
            self._options.of, self._counters, self._topics, patient=True, complete=True
        )
        for channel, topics in self._topics.items():
            if channel == BOOK:
                for symbol in [*topics.symbols.values()]:
                    self._teller.tell(Doubt(symbol, "the gateway was started again", "gap"))
            else:
                self._owed.update(topics.symbols)
        self._counters.gap(0)

    def _take(self, chunk: Chunk) -> None:
        kind, payload = chunk
        if kind == b"TOPC":
            names = topics_of(payload)
            self._records.name(names[max(self._records.named - self._file_topics, 0) :])
            self._file_topics += len(names)
        elif kind == b"BOOK":
            self._tell_all(self._records.state(payload))
        elif kind in (b"RING", b"LAST"):
            at = 0
            while at < len(payload) and not self._stopping:
                rows, at = record_rows(payload, at, SLICE_RECORDS, published=True)
                for read in rows:
                    if read is None:
                        self._teller.tell(Refusal("line", "not a record"))
                    elif not (self._state if kind == b"LAST" else self._record)(read):
                        return

    def _state(self, read: "Raw") -> bool:
        """What a topic was when the file began: of use where that is not known. False: the feed
        shall stop before it is due."""
        if self._records.newer(read):
            if not self._wait(read[1]):
                return False
            known = self._records.complete or read[3][0] in self._records.seen
            self._tell_all(self._records.take(read, state=not known))
        return True

    def _record(self, read: "Raw") -> bool:
        """False: the feed shall stop before it is due."""
        published_ns = read[1]
        if self._was_released(published_ns):
            self._count += 1
            self._fold(read)
            return True
        if self._folded:
            self._unfold()
        if not self._wait(published_ns):
            return False
        self._count += 1
        books = self._records.books
        if books.waits:
            self._tell_all(books.until(published_ns))
        self._tell_all(self._records.take(read), read[4][1] & FLAG_UNPRINTED)
        return True

    def _tell_all(self, told: "Iterator[Told | Ended | None]", flags: int = 0) -> None:
        for one in told:
            if type(one) is tuple or isinstance(one, After):
                self._row(cast("Row | After", one), flags)
            elif one is not None:
                if isinstance(one, Ended):
                    self._forget(one)
                elif isinstance(one, BookMessage):
                    self._announce(one.symbol)
                self._teller.tell(one)

    def _forget(self, ended: Ended) -> None:
        topic = ended.topics.get(ended.symbol, REFUSED)
        self._owed.discard(topic)
        self._announced.discard(topic)
        self._folded.pop(topic, None)
        if ended.topics is self._topics[INSTRUMENT]:
            self._told.discard(ended.symbol)

    def _announce(self, symbol: str) -> None:
        """Every instrument says how late it is, also one of which nothing else was told."""
        topic = REFUSED if symbol in self._told else self._topics[INSTRUMENT][symbol]
        if topic >= 0:
            self._row(cast("Row", (topic, 0, *_UNKNOWN)), 0)

    def _row(self, row: "Row | After", flags: int) -> None:
        after = row if isinstance(row, After) else None
        row = row.row if isinstance(row, After) else row
        topic = row[0]
        instruments = self._topics[INSTRUMENT]
        symbol = instruments.symbols.get(topic)
        if symbol is not None:
            fields: tuple[Any, ...] = row
            delay_s = fields[_DELAY] + self._options.delay_s
            row = cast("Row", (*fields[:_DELAY], delay_s, *fields[_DELAY + 1 :]))
            self._told.add(symbol)
        elif topic not in self._announced:
            self._announced.add(topic)
            for topics in self._topics.values():
                if topic in topics.symbols:
                    self._announce(topics.symbols[topic])
        if topic in self._owed:
            self._owed.discard(topic)
            if after is None:
                after = After("feed", 0, row)
        self._teller.tell(row if after is None else after._replace(row=row), flags)

    # --- when -------------------------------------------------------------------------------------

    def _due_ns(self, published_ns: int) -> int:
        return self._delay_ns if self._foreign else published_ns + self._delay_ns

    def _wait(self, published_ns: int) -> bool:
        """Until a record of then is due; False: the feed shall stop first."""
        late_ns = self._now() - self._due_ns(published_ns)
        if late_ns < 0:
            self._teller.publish()
            while late_ns < 0:
                if not self._pause(max(-late_ns * 1e-9, TICK_S)):
                    return False
                late_ns = self._now() - self._due_ns(published_ns)
        self._late = late_ns > LATE_NS
        self.late_ns = max(self.late_ns, late_ns)
        return True

    def _hold(self) -> None:
        """There is more to release than time, and the ring is everybody's."""
        end_s = time.monotonic() + BEHIND_S
        while self._publisher.behind() > BEHIND_BYTES_MAX and time.monotonic() < end_s:
            time.sleep(TICK_S)

    # --- what the process before released ---------------------------------------------------------

    def _was_released(self, published_ns: int) -> bool:
        """Whether the next record was, or may have been; those that may are told as a gap."""
        assert self._place is not None, "its file has begun"
        if self._place.life == self.spool.life:
            return False
        mark = self._before
        if mark is not None and self._place == mark.place and self._count < mark.intended:
            return True
        missed_ns = self._begun_ns - self._due_ns(published_ns)
        return missed_ns > (0 if mark is None else MISSED_NS)

    def _fold(self, read: "Raw") -> None:
        """Keeps what the record makes of its topic's state: of trades nothing."""
        mark = self._before
        books = self._records.books
        certain = mark is not None and self._place == mark.place and self._count <= mark.released
        if books.waits:
            self._tell_all(books.until(read[1]))
        for one in self._records.take(read):
            if type(one) is tuple or isinstance(one, After):
                row = one.row if isinstance(one, After) else cast("Row", one)
                if not certain:
                    self._owed.add(row[0])
                if read[0] == "trade":
                    self._folded.pop(row[0], None)
                else:
                    self._folded[row[0]] = row
            elif one is not None:
                self._tell_all(iter((one,)))

    def _unfold(self) -> None:
        folded, self._folded = self._folded, {}
        for row in folded.values():
            self._row(row, 0)
        self._teller.publish()

    def _doubt(self, symbol: str, why: str) -> "Iterator[Told]":
        self._records.books.lose(symbol)
        return iter(())

    def _publishing(self) -> None:
        """Records are published now: those up to the newest one may be by the next mark."""
        if self._late:
            self._hold()
        self._put(self._count)

    def _published(self) -> None:
        if not self._teller.pending:
            self._released = self._count
            self._put(self._count)

    def _put(self, intended: int) -> None:
        before = self._before
        if self._spool is None or self._place is None:
            return
        released = self._released
        if before is not None and before.place == self._place:
            released, intended = max(released, before.released), max(intended, before.intended)
        try:
            self._spool.put_mark(Mark(self._place, released, intended))
        except OSError as error:
            if self._marked:
                _log.error("spool.unmarked", feed=self.name, message=error.strerror or str(error))
            self._marked = False
        else:
            self._marked = True
