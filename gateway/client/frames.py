"""Binary frames as arrays of numpy, many at once, with what is missing told as ever.

Theory of operation. What one read brought is cut where it holds anything but records: texts go to
the session, as do notices, each in its place; the records between them become arrays in C. Of each
topic in an array the first record is held against the last one from before and those that follow
against each other, all topics at once; only a topic whose numbers do not follow is gone through
record by record, as the session does it. So gaps, replays and positions are what they are for
ticks, at a cost per batch and topic.

Frames of books go to the session one by one, which joins parts, keeps the book, and checks it; what
is whole comes as arrays, levels in rows of their own. So a book costs more than a trade, and its
arrays hold nothing that the checks would have refused.

Imported where it is asked for, since it needs numpy.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from gateway.client.binary import tick_of
from gateway.client.book import Book
from gateway.client.continuity import Topic
from gateway.client.events import Event, Gap
from gateway.client.latency import LatencyRecorder
from gateway.client.session import ClientSession
from gateway.codec import sbe
from gateway.codec.sbe import SBE_BOOK_FIELDS, SBE_TOPICS_MAX, sbe_level_rows, sbe_record
from gateway.model.record import BOOK, CHANNELS

Rows = npt.NDArray[np.void]

CHANNELS_OF_ROWS: Final = ("trade", "bbo", "candle")
"""Of a batch's arrays."""
BOOK_ROWS: Final = np.dtype(
    [field for field in SBE_BOOK_FIELDS if field[0] not in ("frame", "part", "parts")]
)
"""Of a book's frames, which are whole."""
FRAMES_WAITING_MAX: Final = 64
"""Arrays that wait for their reader, each of at most 128 KiB of frames: then nothing is read."""


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Records of one channel, in their order.

    Attributes:
        channel: "trade", "bbo", "candle" or "book".
        rows: a structured array (docs/client.md, "Arrays"); times are ns.
        topics: whose they are: `rows["topic"]` are places in it, which stay over reconnects.
        ts_client: when they were read, REALTIME ns.
        levels: of books, those of all rows, one after the other.
    """

    channel: str
    rows: Rows
    topics: Sequence[Topic]
    ts_client: int
    levels: Rows | None = None


_OF_ALL: Final = ("seq", "skipped", "ts_event", "ts_recv", "ts_send")


def _flags(book: Book) -> int:
    found = (book.type == "snapshot", book.maybe_bad, book.checksum is not None, book.book is None)
    return sum(1 << bit for bit, one in enumerate(found) if one)


class FrameReader:
    """Reads what comes over a session's connections.

    Attributes:
        topics: all so far.
    """

    kind = Frames
    waiting_max = FRAMES_WAITING_MAX

    def __init__(self, session: ClientSession, recorder: LatencyRecorder | None = None) -> None:
        self._session = session
        self._recorder = recorder
        self.topics: list[Topic] = []
        self._places: dict[Topic, int] = {}

    def read(
        self, messages: Sequence[str | bytes], *, mono_ns: int, real_ns: int
    ) -> Iterator[Frames | Event]:
        """What so many messages say, which came then."""
        for is_text, run in groupby(messages, lambda one: isinstance(one, str)):
            if is_text:
                for text in run:
                    yield from self._session.receive(text, mono_ns=mono_ns, real_ns=real_ns)
            else:
                frames = [one for one in run if isinstance(one, bytes)]
                yield from self._frames(frames, mono_ns, real_ns)

    def _frames(self, frames: list[bytes], mono_ns: int, real_ns: int) -> Iterator[Frames | Event]:
        batch = self._batch(frames)
        if batch is None:
            if len(frames) == 1:
                yield from self._alone(frames[0], mono_ns, real_ns)
                return
            half = len(frames) // 2  # until the one stands by itself
            yield from self._frames(frames[:half], mono_ns, real_ns)
            yield from self._frames(frames[half:], mono_ns, real_ns)
            return
        books = {place: self._book(frames[place]) for place in batch.books["frame"].tolist()}
        mixed = (place for place, book in books.items() if book is None)
        others = sorted({*batch.others.tolist(), *mixed})
        if not others:
            self._session.heard(len(frames), mono_ns)
            arrays = (batch.trades, batch.quotes, batch.candles)
            for channel, rows in zip(CHANNELS_OF_ROWS, arrays, strict=True):
                if len(rows):
                    yield from self._rows(channel, rows, real_ns)
            records = (tick_of(book, real_ns) for book in books.values() if book is not None)
            yield from self._books(
                (e for one in records for e in self._session.record(one)), real_ns
            )
            return
        before = 0
        for place in [*others, len(frames)]:
            if place > before:
                yield from self._frames(frames[before:place], mono_ns, real_ns)
            if place < len(frames):
                yield from self._alone(frames[place], mono_ns, real_ns)
            before = place + 1

    def _alone(self, frame: bytes, mono_ns: int, real_ns: int) -> Iterator[Frames | Event]:
        events = self._session.receive(frame, mono_ns=mono_ns, real_ns=real_ns)
        yield from self._books(events, real_ns)

    def _batch(self, frames: list[bytes]) -> sbe.Batch | None:
        """None where one of them is none of ours, or gives a number to another topic: that has to
        be read by itself."""
        topics = self._session.announced
        announced: dict[int, sbe.Topic] = {}
        try:
            batch = sbe.batch(frames, announced)
        except msgspec.DecodeError:
            return None
        renamed = any(topics.get(number, one) != one for number, one in announced.items())
        if (renamed and len(frames) > 1) or len(topics) + len(announced) > SBE_TOPICS_MAX:
            return None
        topics |= announced
        return batch

    # --- books ------------------------------------------------------------------------------------

    def _book(self, frame: bytes) -> tuple[Any, ...] | None:
        """Its record; None where it holds others, or one of a topic that is none of books."""
        try:
            return sbe_record(frame, self._session.announced)
        except msgspec.DecodeError:
            return None

    def _books(self, events: Iterable[Event], real_ns: int) -> Iterator[Frames | Event]:
        """The events, but for frames of books, which come together behind them."""
        books = []
        for event in events:
            if isinstance(event, Book):
                books.append(event)
            else:
                yield event
        if not books:
            return
        levels, bids = sbe_level_rows([book.levels for book in books])
        counts = np.bincount(levels["book"], minlength=len(books))
        rows = np.zeros(len(books), BOOK_ROWS)
        for name in (*_OF_ALL, "depth"):
            rows[name] = [getattr(book, name) for book in books]
        rows["topic"] = [self._place(Topic(BOOK, book.symbol)) for book in books]
        rows["checksum"] = [book.checksum or 0 for book in books]
        rows["flags"] = [_flags(book) for book in books]
        rows["first"] = counts.cumsum() - counts
        rows["bids"] = bids
        rows["asks"] = counts - bids
        if self._recorder is not None:
            self._recorder.record_rows(BOOK, rows, real_ns, self._session.replaying)
        yield Frames(BOOK, rows, self.topics, real_ns, levels)

    # --- records ----------------------------------------------------------------------------------

    def _rows(self, channel: str, rows: Rows, real_ns: int) -> Iterator[Frames | Event]:
        numbers, which = np.unique(rows["topic"], return_inverse=True)
        known = [self._topic(channel, number) for number in numbers.tolist()]
        topics = [topic for topic in known if topic is not None]
        if len(topics) < len(known):
            yield self._session.malformed(f"a {channel} of a topic that was not announced as one")
            rows = rows[np.array([topic is not None for topic in known])[which]]
            if len(rows):
                yield from self._rows(channel, rows, real_ns)
            return
        # A topic may have had more numbers than one.
        places, each = np.unique([self._place(topic) for topic in topics], return_inverse=True)
        which = each[which]
        rows["topic"] = places[which]
        keep, gaps = self._continue([self.topics[place] for place in places], rows, which)
        yield from gaps
        if keep is not None:
            rows = rows[keep]
        if len(rows) == 0:
            return
        skipped = int(rows["skipped"].sum())
        self._session.had_rows(len(rows), skipped, int(rows["ts_recv"].max()))
        if self._recorder is not None:
            self._recorder.record_rows(channel, rows, real_ns, self._session.replaying)
        yield Frames(channel, rows, self.topics, real_ns)

    def _topic(self, channel: str, number: int) -> Topic | None:
        key, symbol = self._session.announced.get(number, ("", ""))
        known = CHANNELS.get(key)
        if known is None or known.name != channel:
            return None
        return Topic(channel, symbol, known.interval)

    def _place(self, topic: Topic) -> int:
        place = self._places.setdefault(topic, len(self.topics))
        if place == len(self.topics):
            self.topics.append(topic)
        return place

    def _continue(
        self, topics: list[Topic], rows: Rows, which: "npt.NDArray[np.intp]"
    ) -> tuple["npt.NDArray[np.bool_] | None", list[Gap]]:
        """Holds the rows of each topic against those before: which are news (None: all of them),
        and what is missing. `which` is the place of each row's topic."""
        order = np.argsort(which, kind="stable")
        seqs, skipped, owner = rows["seq"][order], rows["skipped"][order], which[order]
        edges = np.searchsorted(owner, np.arange(len(topics) + 1)).tolist()
        breaks = (seqs[1:] - seqs[:-1] != skipped[1:] + np.uint64(1)) & (owner[1:] == owner[:-1])
        broken = set(owner[1:][breaks].tolist())
        keep: npt.NDArray[np.bool_] | None = None
        gaps: list[Gap] = []
        for place, topic in enumerate(topics):
            first, end = edges[place], edges[place + 1]
            numbers = int(seqs[first]), int(skipped[first])
            if place not in broken and self._session.rows_follow(
                topic, *numbers, int(seqs[end - 1])
            ):
                continue
            for at in order[first:end].tolist():
                row = rows[at]
                missing = self._session.row(topic, int(row["seq"]), int(row["skipped"]))
                if missing is None:
                    keep = np.ones(len(rows), bool) if keep is None else keep
                    keep[at] = False
                    continue
                row["skipped"] += missing.skipped
                if missing.gap is not None:
                    gaps.append(missing.gap)
        return keep, gaps
