"""The native core's face (Cython over native/*.c). Times are nanoseconds; sizes are bytes."""

import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, Literal, final

import numpy as np
import numpy.typing as npt

# --- constants ------------------------------------------------------------------------------------
KINDS: Final[tuple[tuple[str, int, bool, tuple[tuple[str, str, bool], ...]], ...]]
"""The kinds of records: (channel, number, whether feeds bring it, fields); a field: (name, type,
whether there may be none). gateway/model/record.py says what they mean."""
CHANNELS: Final[dict[str, int]]  # {"trade": 1, ...}: also the index into per-channel counters
GAUGES_OF_TOPICS: Final[tuple[str, ...]]  # in a writer's statistics page
FLAG_UNPRINTED: Final[int]  # of trades that are none of the market's: no candle counts them
CANDLE_LENGTHS: Final[dict[str, int]]  # channels of candles, and nanoseconds of each
FLAG_RETIRED: Final[int]  # a topic's last record, without a payload: it has ended
HEALTH_ROW_BYTES: Final[int]  # that the feed process keeps of an instrument
HEARTBEAT_NS_MAX: Final[int]  # longest time between two of a feed
HEALTH_TOPICS_MAX: Final[int]  # instruments of an epoch that can have a topic of health
REASON_MAX: Final[int]  # characters of the reason in a record of health
STAGES: Final[tuple[str, ...]]  # ("wire", "ingest", "ring", "fanout", "total")
CLASS_STAGES: Final[
    tuple[str, ...]
]  # "total_0" to "total_3": `total` of each class, whose sum it is
PAUSED: Final[int]  # a class's conflation interval while nothing of it is sent
HDR_MAX_NS: Final[int]
HDR_COUNTS: Final[int]
FLAG_PACED: Final[int]
RECORD_SIZE_MAX: Final[int]  # bytes of the longest record that there may be
RECORD_SIZE_USUAL: Final[int]  # bytes that nearly all records take in the ring
ID_MAX: Final[int]  # bytes of a trade's id
DIGITS_MAX: Final[int]  # significant digits of a decimal
DECIMALS_MAX: Final[int]  # its digits after the point
EXPONENT_MAX: Final[int]  # either way, of a decimal written with one
NOTICES: Final[int]  # how many the plane knows
LOCAL: Final[Literal["local"]]  # channel of an item that is one of a plane's own topics
GRANTS_MAX: Final[int]  # 1 to one less are grants; 0 is everything
RULES_MAX: Final[int]  # of one grant
TENANTS_MAX: Final[int]  # of one plane
TENANT_WEIGHT_MAX: Final[int]
LOCAL_TEXT_MAX: Final[int]  # bytes of what is published to one
WAIT_SIZE: Final[int]  # bytes of one worker's wait page

# --- clock ----------------------------------------------------------------------------------------
def monotonic_ns() -> int: ...
def realtime_ns() -> int: ...
def request_slice(slice_ns: int) -> bool:
    """Asks for an EEVDF slice for the calling thread; False where the kernel refuses."""

def forbid_dumps() -> bool:
    """Leaves no core behind, and has nobody else look at this process's memory."""

def signal_when_orphaned(number: int) -> bool:
    """Has the kernel send this process a signal when the thread that started it ends."""

# --- shared segment (record.pxi, segment.pxi, ring_*.pxi) ---------------------------------------
def create_memory(name: str, size: int) -> int:
    """A new zeroed memfd of `size` bytes (close-on-exec); the caller owns the descriptor."""

Row = (
    tuple[int, int, str, str, str | None, str]
    | tuple[int, int, str | None, str | None, str | None, str | None]
)
"""(topic, ts_event, price, qty, side, id) on a trade topic, (topic, ts_event, bid, bid_qty, ask,
ask_qty) on a bbo topic, None for both of a side that is not there. ts_event 0: the venue sends
none, ts_recv is used. side: "buy", "sell" or None. Of other channels:
`model/record.py`. At run time just `tuple`."""

@final
class RingWriter:
    """The one writer of a segment: creates, maps and seals a memfd, then publishes.

    Any thread may publish; the page `stats` cannot be closed before the writer.
    """

    def __init__(
        self,
        capacity: int,
        topics_max: int,
        *,
        wait_fd: int = -1,  # memfd of `workers` wait pages, or -1
        event_fds: Sequence[int] = (),  # one eventfd per worker, rung after a publish
        stats: StatsPage | None = None,  # gets published, wire, ingest, clock_anomalies
        populate: bool = False,  # all pages but of books at once, instead of ahead of the records
        candles: Sequence[str] = (),  # channels (CANDLE_LENGTHS) that are made of trades
        candles_max: int = 0,  # instruments that may have them
        candles_update_ns: int = 0,  # least time between two updates of a running candle
        book_levels_max: int = 0,  # levels of order books that there is room for; 0: no books
    ) -> None: ...
    @property
    def fd(self) -> int: ...
    @property
    def epoch(self) -> str: ...
    def candles_step(self) -> bool:
        """Closes candles by the clock and tells running ones that are due; rings the workers.

        To be called some twenty times a second. True: its budget is used up, call again at once.
        """
    def topic(self, channel: str, instrument: str, *, feed: int = 0) -> int:
        """The topic's id, registering it at first; with one of trades those of its candles.

        By `feed` its instrument's health knows whether it can hear anything at all.

        Raises:
            ValueError: the channel is unknown or of candles, or the instrument outside the grammar.
            OverflowError: topics_max are registered; of health, HEALTH_TOPICS_MAX (or topics_max).
        """
    def refusal(self, channel: str, fields: tuple[int | str | None, ...]) -> str:
        """Why `publish` would refuse a row of these five fields; "": it would not.

        Raises:
            ValueError: no feed has such a channel.
        """
    def retire(self, channel: str, instrument: str) -> bool:
        """Ends a topic: subscribers are told, and its id may soon be another topic's.

        With an instrument's last topic its health ends as well. False: there is no such topic. The
        caller publishes no more rows with that id.
        """
    def suspect(self, topic: int, reason: str, ts_recv: int, mono_recv: int) -> bool:
        """The topic's newest input was refused: it is suspect until its next record.

        Publishes its instrument's health (a record on the topic `health` of that name, made at
        first) and rings the workers; so does the good record that ends it. False: it is suspect
        already, and nothing was published. `reason` is ASCII, cut at REASON_MAX.

        Raises:
            ValueError: it is no topic of a feed's.
            OverflowError: no topic of health is left.
        """
    def book(
        self,
        topic: int,
        snapshot: bool,
        bids: Sequence[tuple[str, ...] | BookRow],
        asks: Sequence[tuple[str, ...] | BookRow],
        ts_recv: int,
        mono_recv: int,
        *,
        ts_event: int = 0,
        first: int | str | None = None,  # the venue's numbers that the message spans
        last: int | str | None = None,
        checksum: int | None = None,  # of the book behind it
        depth: int = 0,  # of a snapshot: levels a side that the venue's book has at most; 0: all
        doubted: bool | None = None,  # whether the book is in doubt behind it; None: by the rules
        flags: int = 0,
        feed: int = 0,
        record_wire: bool = True,
    ) -> tuple[int, bool, bool, bool]:
        """Applies a venue's message to the topic's book whole, then publishes what changed.

        A level is price and quantity as texts; what else is in it is not looked at. The interpreter
        is let go now and then, and while the book is written. One thread at a time for a topic.

        Returns: how many levels changed; whether a record was published: of what changes nothing
        none is; whether the checksum agrees: else the book is in doubt from here on; whether the
        best bid is not below the best ask.

        Raises:
            ValueError: it is no topic of books; or the message is refused, and nothing changed.
        """
    def book_derive(self, topic: int, bbo: int) -> None:
        """From now on quotes are made of the topic's book: behind each message its best levels,
        where they are others, on the topic `bbo` of the same instrument; none while the book is in
        doubt. Until that topic or the book's is retired.

        Raises:
            ValueError: they are no such topics.
        """
    def book_top(self, topic: int) -> tuple[str | None, str | None, str | None, str | None] | None:
        """The best levels of the topic's book as the fields of a quote; None: it has none that
        stands.
        """
    @property
    def books_max(self) -> int:
        """How many books there may be; 0: the segment has none."""
    def book_doubt(
        self,
        topic: int,
        ts_recv: int,
        mono_recv: int,
        *,
        state: str = "resync",  # or "gap", "crossed"
        reason: str = "",
        flags: int = 0,
        feed: int = 0,
    ) -> bool:
        """The topic's book is not up to date from here on: a record says so, once until the next
        snapshot. False: it did, or there is no book. The instrument's health has state and reason,
        as long as the book is in doubt; of several doubts the worst.
        """
    def differs(self, topic: int, differs: bool) -> None:
        """Whether the venue's quotes of the topic's instrument contradict its book (health)."""
    def heartbeat(self, feed: int, interval_ns: int) -> None:
        """A heartbeat of a feed's connection, the next of which is due so much later; 0: it has
        none any more. Where two are missing, and all else of the feed is, too, its instruments'
        health is `stale`. ValueError: no such feed, or more than an hour.
        """
    def health_step(self, down: Collection[int] = ()) -> tuple[bool, int]:
        """Looks at how instruments do, and publishes the health of those that do otherwise now;
        `down` are feeds that are not connected. To be called four times a second.

        Returns: whether its budget is used up, so that it is to be called again at once; and of how
        many instruments nothing can be told, for lack of a topic.
        """
    def publish(
        self,
        rows: Sequence[Row],
        ts_recv: int,
        mono_recv: int,
        *,
        ages: Sequence[int] | None = None,  # of each row, ns; None: they came at `ts_recv`
        flags: int = 0,
        feed: int = 0,
        record_wire: bool = True,
        until_refused: bool = False,
        gap: str = "",
        lost: int = 0,
    ) -> list[tuple[int, str]]:
        """Publishes all good rows, in order, then rings the workers once.

        With `until_refused` it stops behind the first row that is refused. `gap` is told to its
        topic's subscribers before the first row: "feed" (`lost` of the venue's numbers are missing
        there), "reset" (the venue numbers anew), or "" nothing.

        Returns (index, why) of each row that was refused; [] when all went. `why` names the field,
        the limit and the value. `mono_recv` is the MONOTONIC time that belongs to `ts_recv`. A row
        with an age reached this host so long before both, and bears that time. A negative wire time
        (ts_event in the future) is counted in clock_anomalies[feed] and the record gets
        GW_FLAG_BAD_TS. `record_wire` False (replays) measures and marks nothing of the kind.
        """
    def behind(self) -> int:
        """Bytes of ring that the slowest attached worker has not taken yet; 0 with none attached.

        Here and below, attached means to this writer's own epoch.
        """
    def backlogged(self) -> int:
        """Clients over all workers whose lossless queue is long (GW_BACKLOG_FRAMES)."""
    def subscribed(self) -> int:
        """Connections over all workers with at least one subscription."""
    def close(self) -> None: ...

@final
class Segment:
    """A read-only view of a segment: names and last values, for the control plane and tests."""

    def __init__(self, fd: int) -> None:
        """Maps `fd` read-only (the caller keeps owning it). ValueError when it is no segment."""
    @property
    def epoch(self) -> str: ...
    def __len__(self) -> int: ...
    @property
    def changes(self) -> int:
        """Counts entries that ended or were written anew: with len(), what names there are."""
    @property
    def full(self) -> int:
        """How many topics feeds may have, where all are taken and no new name can come; else 0."""
    def topics(self, start: int = 0) -> list[tuple[str, str]]:
        """(channel, instrument) of every topic from id `start` on; ("", "") where it has ended."""
    def find(self, channel: str, instrument: str) -> int:
        """The id, or -1. Amortised O(1): keeps a table of names, grown with the directory."""
    def granted(self, right: Right) -> list[tuple[str, str]]:
        """(channel, instrument) of all topics that there are and that are granted."""
    def match(self, channel: str, pattern: str, right: Right | None = None) -> tuple[int, int]:
        """How many topics of the channel match the pattern now, and the steps that this took.

        With a right, of what it grants alone.

        A step is about 1 ns: 4 for each topic of the directory, and one for each character that
        a pattern of several stars is compared with. ValueError: more than 255 bytes.
        """
    def book(self, topic: int) -> tuple[int, list[BookRow], list[BookRow]] | None:
        """A topic's book out of the segment's pool: seq, bids and asks, the best first; None where
        it has none. BlockingIOError: it is being written, or its writer died meanwhile.
        """
    def last_seq(self, topic: int) -> int:
        """The topic's last seq, 0 when it has none. BlockingIOError: its writer died inside it."""
    def close(self) -> None: ...

@final
class RingReader:
    """Reads a segment from now on (tests, tools, recording): dicts with decimal texts.

    With a `venue`, topics are those that feeds bring of its instruments: no others have numbers,
    nor are their records among the raw ones.
    """

    def __init__(self, fd: int, *, from_start: bool = False, venue: str | None = None) -> None: ...
    def poll(self, limit: int = 4096) -> list[dict[str, int | str]] | None:
        """New records in order; None once when lapped (then reading goes on from the tail)."""
    def rewind(self, size: int) -> int:
        """Goes back to at most `size` bytes before the tail; how many there are to take now.

        An eighth of the ring is left to the writer: who reads on from here faster than it writes is
        not lapped.
        """
    @property
    def position(self) -> int:
        """Bytes of the ring before the next record; it never wraps."""
    def seek(self, position: int) -> int:
        """Goes to where a record begins, or as far back as `rewind` may; how many bytes there are
        to take now.
        """
    def poll_raw(
        self, limit: int = 4096, since_ns: int = 0, books_since_ns: int | None = None
    ) -> bytes | None:
        """As `poll`, GIL released: the records as in the ring, back to back, but with topics as
        `topics` numbers them; those published before `since_ns` (MONOTONIC) are left out, of books
        those before `books_since_ns`. The end of a topic is a record with FLAG_RETIRED.

        At most `limit` records of the usual length, or one that is longer. One thread at a time.
        """
    @property
    def places(self) -> int:
        """How many topics the ring's directory has had room for so far: `states_before`."""
    def states_before(self, first: int, end: int, position: int, ts_publish: int) -> bytes:
        """Of the topics at these places the newest record before those from `position` on that were
        published at `ts_publish` or later, as `poll_raw` has them: quotes, status and all else of
        which the newest one is a state. The ring may not have one any more.
        """
    @property
    def books_max(self) -> int:
        """How many books the ring's pool has places for."""
    def book_at(
        self, place: int, owner: int = 0, seq: int = 0
    ) -> tuple[int, int, int, int, list[bytes]] | None:
        """The book at a place of the pool: (owner, seq, position, levels, parts of its state).

        The ring's records from `position` on are at most as new as the book, or follow it.
        None: there is none. No parts: it is the owner's, and still has this seq. GIL released.
        BlockingIOError: it is being written, or its writer died meanwhile.
        """
    def untold(self) -> list[int]:
        """Places of books of which a raw record since the last call did not say what changed."""
    def number_of(self, owner: int) -> int:
        """The owner's topic, as `topics` numbers them."""
    def topics(self) -> list[tuple[str, str]]:
        """(channel, instrument) of every topic so far, in this reader's own order: a place in the
        ring's directory may be another topic's after one has ended. Both are empty for one whose
        name was overwritten before this reader saw it.
        """
    @property
    def epoch(self) -> str: ...
    def close(self) -> None: ...

def record_headers(data: bytes) -> bytes:
    """Of the whole records that raw bytes begin with: 64 bytes each (native/gw_record.h)."""

Raw = tuple[str, int, int, Row | BookFields, tuple[int, int, int, int]]
BookFields = tuple[int, int, bool, str, str, list[tuple[str, ...]], list[tuple[str, ...]]]
"""(topic, ts_event, whether it does not say what changed, first and last of the venue's numbers,
bids, asks) of a book's record."""

def record_rows(
    data: bytes, at: int = 0, limit: int = -1, *, published: bool = False
) -> tuple[list[Raw | None], int]:
    """(channel, received, index, row, told) of raw records from a byte on, and the byte after them;
    None where one is no record of ours. ValueError: no whole record begins at `at`; rows end before
    one that is not whole. Records of books count towards `limit` by their length.

    `index` counts the topic's records, modulo 2^32. `told` is (seq, flags, gap, lost).

    At a topic's end the channel is empty, and the row has nothing but the topic.

    `received` is MONOTONIC ns of the host that wrote it; with `published` it is when the record was
    published, which was no earlier. The bytes may be anybody's: what a row
    says is checked when it is published.
    """

def pattern_match(pattern: str, name: str) -> bool:
    """The plane's own glob, of a request's pattern: `*` is any run, `~*` a star, `~~` a tilde."""

# --- statistics (stats.pxi) -----------------------------------------------------------------------
STATS_SIZE: Final[int]
STATS: Final[dict[str, tuple[int, int]]]  # name -> (offset, length) in 8-byte words

@final
class StatsPage:
    """One process's statistics page. Writers: the owner alone; readers: anyone, without locks."""

    def __init__(self, fd: int, *, writable: bool) -> None: ...
    def add(self, name: str, index: int = 0, n: int = 1) -> None: ...
    def set(self, name: str, index: int = 0, value: int = 0) -> None: ...
    def get(self, name: str, index: int = 0) -> int: ...
    def read(self) -> dict[str, tuple[int, ...]]:
        """Every counter array, once."""
    def counts(self, stage: str) -> npt.NDArray[np.uint64]:
        """A copy of the stage's HDR counts, length HDR_COUNTS."""
    def totals(self, stage: str) -> tuple[int, int, int, int]:
        """(count, sum_ns, saturated, negative)."""
    def record(self, stage: str, value_ns: int, n: int = 1) -> None: ...
    def close(self) -> None: ...

# --- latency of ticks at a client (latency.pxi) ---------------------------------------------------
TICK_STAGES: Final[tuple[str, ...]]  # ("wire", "gateway", "delivery", "age")
TICK_CHANNELS_MAX: Final[int]  # those beyond are not counted

@final
class TickLatencies:
    """Durations of a client's ticks, by channel: `wire` (ts_event to ts_recv), `gateway` (to
    ts_send), `delivery` (to ts_client) and `age` (ts_recv to ts_client). Snapshots are not
    counted; of what is replayed `wire` and `delivery` alone."""

    def __init__(self) -> None: ...
    def correct(self, offset_ns: int) -> None:
        """The gateway's clock minus the client's, to be added to ts_client from now on."""
    def record(self, tick: object, replaying: bool = False) -> None:
        """Counts a tick, by its attributes `type channel ts_event ts_recv ts_send ts_client`."""
    def record_rows(
        self, channel: str, rows: npt.NDArray[np.void], ts_client: int, replaying: bool = False
    ) -> None:
        """Counts the rows of a batch of binary frames that came then."""
    @property
    def channels(self) -> tuple[str, ...]: ...
    def counts(self, channel: str, stage: str) -> npt.NDArray[np.uint64]:
        """A copy of the HDR counts, length HDR_COUNTS. KeyError: there is none."""
    def totals(self, channel: str, stage: str) -> tuple[int, int, int]:
        """(sum_ns, saturated, negative)."""

# --- codec (codec.pxi) ----------------------------------------------------------------------------
def decimal_round_trip(text: str) -> str:
    """Parses and formats a decimal as the ring does. ValueError naming what is wrong."""

@final
class Template:
    """A compiled message template (see gateway/codec/template.py for the program's bytes)."""

    def __init__(self, program: bytes) -> None: ...
    def encode(
        self,
        channel: str,
        symbol: str,
        row: Row,
        *,
        seq: int,
        ts_recv: int,
        ts_send: int,
        skipped: int = 0,
        topic: int = 0,
    ) -> bytes:
        """One payload, as the plane would encode it (tests and benches)."""
    def notice(
        self,
        *,
        channel: str = "trade",
        symbol: str = "",
        numbers: Sequence[int | None] = (),
        words: Sequence[str] = (),
        topic: int = 0,
        ts_send: int = 0,
    ) -> bytes:
        """The same of a notice, or of a part of one."""

# --- order books (book.pxi) -----------------------------------------------------------------------
BOOK_ID_MAX: Final[int]  # characters of a venue's number of a message
BOOK_LEVEL_SIZE: Final[int]  # bytes of one level in a batch (native/gw_book.h, gw_book_level_t)
BOOK_DEPTHS: Final[tuple[int, ...]]  # that links may have; 0 is all
BOOK_LEVELS_MAX: Final[int]  # of a side of a `Book`

BookRow = tuple[str, str] | tuple[str, str, int]
"""(price, quantity), and how many orders where the book counts them. Quantity "0" deletes."""

BookFrame = tuple[Literal["update", "snapshot", "parts"], int, int, list[BookRow], list[BookRow]]
"""(type, seq, skipped, bids, asks). On each side deletions first, then levels, the best first."""

def book_records(data: bytes) -> list[tuple[int, int, int, int, bool, str, str, bytes]]:
    """Of raw records those of books: (topic, seq, flags, gap, whether the book has to be copied,
    first and last of the venue's numbers, levels as `Book.apply_levels` takes them).

    Raises:
        ValueError: a record is not whole, or what it says of itself can't be.
    """

def book_state(data: bytes) -> tuple[int, int, int, int, str, str, int, int, int]:
    """Of a part of a book's state in a recording: (topic, seq, flags, ts_event, first and last of
    the venue's numbers, rows of the state, the first one in this part, and how many).

    Raises:
        ValueError: it is none. The bytes may be anybody's: levels are checked when they are
            published.
    """

def book_state_rows(
    data: bytes, at: int, limit: int
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Bids and asks, the worst first, of at most `limit` rows of such a part. ValueError."""

def book_state_of(data: bytes, topic: int) -> bytes:
    """The same part, of this topic."""

def book_levels(bids: Iterable[BookRow], asks: Iterable[BookRow]) -> bytes:
    """A message's levels as one batch. ValueError names the level and what is wrong with it."""

def book_texts(levels: bytes) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The bids and asks of a batch, in its order; deletions have quantity "0"."""

@final
class Book:
    """An order book in memory of its own, for tests, feeds and clients."""

    def __init__(
        self,
        *,
        depth: int = 0,  # the venue's own: worse levels leave the book; 0: none
        levels_max: int = 4096,  # of a side
        wides_max: int = 1024,  # quantities of more than 63 bits
        orders: bool = False,  # levels have a count of orders
    ) -> None: ...
    def apply(
        self, bids: Iterable[BookRow], asks: Iterable[BookRow], *, seq: int = 0
    ) -> tuple[int, bool]:
        """Applies a venue's message whole: how many levels changed, and whether all prices have
        more digits than before, so that nothing from before is comparable. Where nothing changed
        `seq` stays what it was.

        Args:
            seq: of the state after it, above the last one; 0: the next.

        Raises:
            ValueError: it is refused, for the named reason; the book is as it was.
        """
    def replace(
        self, bids: Iterable[BookRow], asks: Iterable[BookRow], *, seq: int = 0
    ) -> tuple[int, bool]:
        """The same of a snapshot, as the difference to what the book was."""
    def apply_levels(self, levels: bytes, *, seq: int = 0) -> tuple[int, bool]:
        """`apply` of a batch from `book_levels` or `changes`."""
    def replace_levels(self, levels: bytes, *, seq: int = 0) -> tuple[int, bool]: ...
    def changes(self) -> bytes:
        """What the last message changed, evictions among it, as a batch."""
    def follow(self, other: Book) -> tuple[int, bool]:
        """Becomes what another book is, at its seq, as the difference."""
    @property
    def seq(self) -> int: ...
    @property
    def scale(self) -> int:
        """Digits after the point that all its prices have room for."""
    @property
    def counts(self) -> tuple[int, int]:
        """Levels of bids and asks."""
    def levels(self, side: str, depth: int = 0) -> list[BookRow]:
        """The levels of "bid" or "ask", the best first; 0: all."""
    def top(self) -> tuple[BookRow | None, BookRow | None]: ...
    def checksum(self, depth: int = 0) -> int:
        """CRC-32 of the best 10 levels of each side, or of `depth` if fewer, as Kraken has it."""

@final
class BookLink:
    """A client's place in a book, at one depth."""

    def __init__(self, book: Book, depth: int = 0) -> None: ...
    @property
    def place(self) -> tuple[int, int, int]:
        """Where the client is: (since, worst bid's key, worst ask's)."""
    def take_back(self, place: tuple[int, int, int]) -> None:
        """Forgets a frame that never left: to the place before it was rendered."""
    def render(self, rows_max: int = 0) -> BookFrame | None:
        """What the client misses; None: nothing. "parts": a snapshot of more than `rows_max` rows,
        which is not rendered; the client is where it was.
        """

# --- binary frames (sbe.pxi) ----------------------------------------------------------------------
SBE_TOPICS_MAX: Final[int]  # topics that one connection may announce
SBE_FRAMES_MAX: Final[int]  # frames of one batch
SBE_TRADE_FIELDS: Final[list[tuple[str, str]]]  # of a batch's rows: name and type
SBE_QUOTE_FIELDS: Final[list[tuple[str, str]]]
SBE_CANDLE_FIELDS: Final[list[tuple[str, str]]]
SBE_BOOK_FIELDS: Final[list[tuple[str, str]]]
SBE_LEVEL_FIELDS: Final[list[tuple[str, str]]]

SbeTrade = tuple[
    Literal["trade"],
    Literal["update", "snapshot"],
    str,
    int,
    int,
    int,
    int,
    int,
    str,
    str,
    str,
    Literal["buy", "sell"] | None,
]
"""(channel, type, symbol, seq, ts_event, ts_recv, ts_send, skipped, id, price, qty, side)"""

SbeQuote = tuple[
    Literal["bbo"],
    Literal["update", "snapshot"],
    str,
    int,
    int,
    int,
    int,
    int,
    str | None,
    str | None,
    str | None,
    str | None,
]
"""The same up to skipped, then bid, bid_qty, ask, ask_qty."""

SbeCandle = tuple[
    str,  # the channel's key
    Literal["update", "snapshot"],
    str,
    int,
    int,
    int,
    int,
    int,
    int,
    str,
    str,
    str,
    str,
    str,
    int,
    bool,
    bool,
    bool,
]
"""(channel, type, symbol, seq, ts_event, ts_recv, ts_send, skipped, start, open, high, low, close,
volume, trades, closed, revised, complete)."""

SbeBook = tuple[
    Literal["book"],
    Literal["update", "snapshot"],
    str,
    int,
    int,
    int,
    int,
    int,
    bytes,
    int,
    str | None,
    str | None,
    bool,
    int | None,
    tuple[int, int] | None,
]
"""The same up to skipped, then levels (as from `book_levels`), depth, first_id, last_id, maybe_bad,
checksum, part."""

def candle_row_bytes(channels: Sequence[str]) -> int:
    """What the writer keeps of one instrument with candles on these channels."""

def sbe_record(frame: bytes, topics: dict[int, tuple[str, str]]) -> tuple[Any, ...] | None:
    """The frame's record (an SbeTrade, SbeQuote, SbeBook or SbeCandle), where it holds one and
    before it nothing but announcements.

    Announcements are put into `topics` (number: channel and instrument). None: the frame is of
    another form, and left to `gateway.codec.sbe.decode`. msgspec.DecodeError: it is none of ours.
    """

def sbe_batch(
    frames: Sequence[bytes] | bytes,
    topics: dict[int, tuple[str, str]],
    lengths: Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
) -> tuple[
    npt.NDArray[np.void],
    npt.NDArray[np.void],
    npt.NDArray[np.int64],
    npt.NDArray[np.void],
    npt.NDArray[np.void],
    npt.NDArray[np.void],
]:
    """Trades, quotes, the indexes of frames with other messages, candles, books and their levels:
    `gateway.codec.sbe.batch`."""

def sbe_level_rows(batches: list[bytes]) -> tuple[npt.NDArray[np.void], list[int]]:
    """Batches of levels as rows of SBE_LEVEL_FIELDS, whose `book` is the batch, of each the bids
    first; and how many bids each has.

    ValueError: one is no batch."""

# --- udp (udp.pxi) --------------------------------------------------------------------------------
UsualLine = tuple[str, str, int, str | None, str | None, str | None, str | None]
"""(channel, symbol, ts, then as in a `Row`). At run time just `tuple`."""

def usual_line(line: bytes) -> UsualLine | tuple[()] | None:
    """What the native core reads in a line of the usual form; () when it is blank, None when it is
    of another form and left to `venues.tickgate_json` (tests)."""

@final
class UdpIntake:
    """Publishes the usual lines of a feed's datagrams as they come, without the interpreter.

    A line is usual when it is of the usual form, `learn` named its symbol, and a record can hold
    its values. Counts what it publishes in the writer's page: what `RingWriter.publish` counts, and
    feed_records and feed_last_ns. One thread owns it and the socket that feeds it.
    """

    def __init__(
        self,
        writer: RingWriter,
        *,
        feed: int,
        quiet_ns: int,  # a receive that waited less found a busy line ...
        interval_ns: int,  # ... and the next batch comes this long after it at the soonest
    ) -> None: ...
    def learn(self, channel: str, symbol: str, topic: int) -> None:
        """Takes the symbol's lines from now on. ValueError: the topic is none of the channel's."""
    def forget(self, channel: str, symbol: str) -> None:
        """Leaves the symbol's lines to the caller again, where it took them."""

@final
class UdpSocket:
    """Batched datagram receiver: recvmmsg, SO_RCVBUF forced where allowed, SO_RXQ_OVFL counted."""

    def __init__(
        self, bound: socket.socket, *, buffer_bytes: int = 8 << 20, intake: UdpIntake | None = None
    ) -> None:
        """Takes over a bound datagram socket; OSError, and it is closed, where that fails."""
    @property
    def port(self) -> int: ...
    @property
    def buffer_granted(self) -> int: ...
    @property
    def dropped(self) -> int:
        """Datagrams that the kernel dropped for want of buffer, so far."""
    @property
    def batched(self) -> bool:
        """Whether the host allows recvmmsg; if not, each datagram costs a call."""
    @property
    def stamped(self) -> bool:
        """Whether the kernel stamps datagrams as they arrive; if it refuses to, all ages are 0."""
    @property
    def stamp_anomalies(self) -> int:
        """Datagrams whose stamp was in the future or over 10 s old, so far; their age is 0."""
    def receive(self, timeout_ms: int) -> tuple[list[bytes], list[int], int, int]:
        """Waits (GIL released) for datagrams; (datagrams, ages, ts_read, mono_read).

        A datagram reached this host its age (ns) before it was read, at `ts_read` (REALTIME) and
        `mono_read` (MONOTONIC). ([], [], 0, 0) at the timeout, at a signal, or after `wake()`. At
        most 256 a call. Datagrams over 64 KiB are dropped and counted in `oversized`.
        RuntimeError: another thread is inside.

        With an intake it goes on while all lines are usual, at most for the timeout, and returns
        those that are not, with the ages of their datagrams: what came before them is published,
        what follows them is taken by the next call. Also ([], [], 0, 0) where `dropped` or
        `oversized` rose.
        """
    @property
    def oversized(self) -> int: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...

# --- load test: the source of ticks (source.pxi) and the bare send loop (floor.pxi) ---------------
@final
class TickSource:
    """Sends ticks at their intended times, however late (open loop), to one address.

    A tick is one line of the `udp` feed's JSON. Its `ts` is the intended time, its price walks, its
    id rises. Ticks due at once share a datagram (`udp`), or a write of PUB messages (`nats`).
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        symbols: Sequence[str],  # as they stand in the tick: without the venue
        transport: str = "udp",  # or "nats"
        subject_prefix: str = "",  # a NATS subject is this and the symbol
        batch_bytes_max: int = 1400,  # of a datagram; one tick always fits, so that 1 is one each
        interval_ns: int = 200_000,  # at least from wake-up to wake-up; what is due leaves together
        spin: bool = False,  # looks at the clock for the last 60 us of each wait: takes a core
    ) -> None:
        """IPv4. Connects, for `nats` up to the server's first PONG.

        Raises:
            ValueError: a symbol, the prefix, the transport or batch_bytes_max is out of bounds.
            OSError: no such host, or the NATS server is not there or refuses; with its words.
        """
    def send(
        self,
        due_ns: npt.NDArray[np.int64],  # REALTIME, never falling
        symbol: npt.NDArray[np.int32],
        channel: npt.NDArray[np.uint8],  # codes of CHANNELS
    ) -> int:
        """Sends each row when it is due, GIL released; how many had their turn: all, but at a stop.

        What the kernel refused had its turn, and is not in `sent`. A step of the wall clock moves
        the intended times along and is counted.

        Raises:
            ValueError: a row's symbol or channel does not exist, or its time falls; closed.
            OSError: the NATS server hung up or says -ERR.
            RuntimeError: another thread is sending.
        """
    def stop(self) -> None:
        """Ends `send` within 0.1 s, and every later one at once. From any thread."""
    def counts(self) -> npt.NDArray[np.uint64]:
        """Histogram counts of lateness: when the kernel had taken it, minus when it was due."""
    def counters(self) -> dict[str, int]:
        """sent (ticks), bytes, errors and send_calls (system calls), cpu_ns (of the thread, inside
        finished `send`s), late_sum_ns, late_saturated, clock_steps."""
    def close(self) -> None: ...

@final
class Floor:
    """Each line of each datagram, as a text frame, to all clients: a bare loop of send()."""

    def __init__(self, udp_fd: int, client_fds: Sequence[int]) -> None:
        """Takes sockets that stay the caller's; a client that takes less is shut down."""
    def run(self) -> None:
        """Runs until `stop`, GIL released. OSError: of the datagram socket."""
    def stop(self) -> None:
        """Ends `run` within 0.1 s. From any thread."""
    def counters(self) -> dict[str, int]:
        """datagrams, ticks (lines), sends (system calls), deliveries (frames that a client's socket
        took), bytes, cut_off (clients), cpu_ns (of the thread, once `run` has ended)."""

# --- what this host takes (tune.pxi) --------------------------------------------------------------
# Each blocks until its threads have ended, GIL released, bounded by duration_ns and by rounds_max.
# OSError: a thread or a descriptor is not to be had; `filename` says which.
TUNE_SOCKETS_MAX: Final[int]

def tune_clock(duration_ns: int, rounds_max: int) -> dict[str, Any]:
    """reads, read_ns (of MONOTONIC, undisturbed), offset_ns (REALTIME - MONOTONIC), steps (jumps
    of that beyond 0.1 ms), step_ns (the farthest, with its sign)."""

def tune_send(
    *,
    duration_ns: int,
    pause_ns: int,
    rounds_max: int,
    slice_ns: int,
    sockets: int,
    bytes: int,
    sender_cpu: int,
    reader_cpu: int,
) -> dict[str, Any]:
    """Rounds of one send to each of so many loopback connections, which a thread reads.

    CPUs: -1 is the scheduler's choice. Returns sends, short_sends (not all was taken), bytes (that
    were read), round: count, negative, p50_ns, p99_ns, p999_ns, max_ns, tail_ns (the mean of the
    slowest hundredth).
    """

def tune_wake(
    *,
    duration_ns: int,
    interval_ns: int,
    rounds_max: int,
    slice_ns: int,
    cpu: int,
    ringer_cpu: int,
    busy: bool,
) -> dict[str, Any]:
    """Wake-ups of a thread by eventfd and epoll; `busy` beside a computing one on its CPU.

    Returns rung, skipped (too many under way), run_delay_ns (-1: the kernel does not say), slice
    (granted), delay: as `round` of `tune_send`, of each ring.
    """

# --- the data plane (plane_values.pxi, plane.pxi) -------------------------------------------------
SLOT_TIME: Final[int]  # 20 characters: REALTIME ns when the plane queues the bytes
SLOT_SEQ: Final[int]  # 20 characters: the topic's seq at the cursor; arg = index into `items`
SLOT_MATCHED: Final[int]  # 20 characters: topics the pattern covers now; arg = index into `items`
SLOT_EPOCH: Final[int]  # 8 characters: the epoch at the plane's cursor
# RECOVERY_WIDTH characters: `,"recovery":...`, what came of an item's `from`; arg = its index
SLOT_RECOVERY: Final[int]
RECOVERY_WIDTH: Final[int]
FROM_SEQ: Final[int]  # from behind a seq of an epoch
FROM_LAST: Final[int]  # the last so many, at least 1
FROM_TS: Final[int]  # received from a moment on, REALTIME ns

Slot = tuple[int, int, int]
"""(byte offset in the frame, SLOT_*, arg). A number is left-aligned and padded with spaces."""

From = tuple[int, int, str]
"""(FROM_*, its value, the epoch of FROM_SEQ): what was missed. A pattern takes FROM_TS alone."""

Item = (
    tuple[int, str, str, bool, bool, bool, int, int, int]
    | tuple[int, str, str, bool, bool, bool, int, int, int, From | None]
    | tuple[int, str, str, bool, bool, bool, int, int, int, From | None, int]
)
"""(subscription id, channel, name or pattern, lossless, snapshot, resync, class, interval_ms,
age_ms[, from[, of a book its depth]]). The id is the caller's, per connection and unique to
(channel, string): an id already in use is replaced. A topic of the plane alone has the channel
LOCAL, is conflated and has a snapshot; its class is 0. resync False only changes the parameters in
force (method `update`). Of what is conflated: at most one frame of a topic in each cell of
interval_ms, none of what is older than age_ms when it is due; 0: no such limit."""

Rule = (
    tuple[str | Sequence[str] | None, str, bool] | tuple[str | Sequence[str] | None, str, bool, int]
)
"""(channel or channels: None for any, LOCAL for a plane's own; name or pattern; whether it is
granted[; which of the two lists it is of]). Of each list that there is the first rule that covers a
topic decides, and all have to grant it; what none covers is denied."""

@final
class Right:
    """Rules as a plane has them in a grant, to be asked by the loop."""

    def __init__(self, rules: list[Rule]) -> None:
        """ValueError: a rule is out of bounds, or there are more than RULES_MAX."""
    def __len__(self) -> int: ...
    def decide(self, channel: str, name: str) -> tuple[int, ...] | None:
        """The places of the rules that grant it, one of each list; None: it is not granted."""

# The first item of an event; the handle follows, then what is said here.
EVENT_GONE: Final[int]  # errno: the peer's socket failed; nothing more is written
EVENT_CLOSE: Final[int]  # code, reason: the plane asks for a close (4008 ...)
EVENT_SHUT: Final[int]  # close frame written and SHUT_WR done
EVENT_REMOVED: Final[int]  # the slot is free; the descriptor may be closed now
# token, [(subscription id, routed, delivered, conflated, filtered, dropped, pending)]
EVENT_STATS: Final[int]
EVENT_RESUME: Final[int]  # the control queue fell below half; read again
EVENT_LADDER: Final[int]  # handle 0; the ladder's step now, before, the reason in words
EVENT_LEVEL: Final[int]  # the connection's level now, before, the reason in words
EVENT_STALL: Final[int]  # handle 0; how long the plane stood still in ns, in words
EVENT_FORBIDDEN: Final[int]  # id of a name that is not granted; it is no subscription
EVENT_LOCAL: Final[int]  # handle 0; a local topic has its first follower, or its last one left

# Of a client over TLS: what one record brought, or b""; then how many bytes came that were of no
# interest any more. Neither: the end of the stream. The next one comes after `Plane.read`.
EVENT_DATA: Final[int]

# --- TLS (tls.pxi) --------------------------------------------------------------------------------
TLS_HELLO_MAX: Final[int]
TLS_RECORD_MAX: Final[int]
TLS_NAMES_MAX: Final[int]
TLS_TICKET_KEYS: Final[int]
TLS_TICKET_KEY_BYTES: Final[int]

def tls_missing() -> str:
    """Why there is no TLS here, in words; "": there is."""

def tls_hello(data: bytes | bytearray) -> int:
    """Whether a stream's first bytes hold a whole ClientHello: 1; 0: not yet; less: never."""

class TlsFileError(ValueError):
    """A certificate or a key is no good."""

    field: str
    """Which: "cert", "key", "client_ca", or "" where it is none of them."""

    def __init__(self, field: str, text: str) -> None: ...

@final
class TlsContext:
    """What a listener's handshakes need: TLS 1.2 and 1.3, its certificates, its tickets' keys."""

    def __init__(self, name: str, cert: str, key: str, client_ca: str = "") -> None:
        """`name`: the listener's. The rest are paths of PEM files.

        Raises:
            TlsFileError: one of them is no good.
        """
    def add(self, host: str, cert: str, key: str) -> None:
        """Another certificate for those who ask for this host; `*.` stands for one part of it.

        Raises:
            TlsFileError: as above.
        """
    def tickets(self, keys: list[bytes]) -> None:
        """Keys of tickets, newest first, in place of one that nobody else has."""
    @property
    def expires_s(self) -> int:
        """When the first of its certificates expires, seconds since 1970."""

@final
class TlsConnection:
    """One connection's handshake, and its bytes until the plane has it (`Plane.add`).

    What it has to say is to be fetched after each call, also one that raises (`take_said`).
    """

    def __init__(self, context: TlsContext, fd: int) -> None: ...
    def feed(self, data: bytes) -> None:
        """Bytes that were read from the descriptor already."""
    @property
    def fed(self) -> bool:
        """Whether some of these are left to be read."""
    def handshake(self) -> bool:
        """Goes on with it, at most one signature; whether it is through.

        Raises:
            OSError: it has failed, or the peer has gone.
        """
    def read(self) -> bytes | None:
        """What one record brings; b"": the end of the stream, None: nothing so far.

        Raises:
            OSError: the peer broke the protocol.
        """
    def write(self, data: bytes) -> None: ...
    def close(self) -> None:
        """Says that nothing follows."""
    def take_said(self) -> bytes:
        """What is to be sent now."""
    @property
    def resumed(self) -> bool: ...
    @property
    def version(self) -> str: ...
    @property
    def cipher(self) -> str: ...
    def peer_names(self) -> tuple[str, ...]:
        """Alternative names of the peer's verified certificate: `dns:`, `email:`, `uri:`, `ip:`."""

@final
class Plane:
    """The data plane: a native thread that polls the ring and owns every byte written to clients.

    All methods are called from one thread (the event loop's) and never block: they queue commands.
    """

    def __init__(
        self,
        *,
        # Of each: programs by (channel, "update" | "snapshot"), programs by notice's number.
        formats: list[tuple[dict[tuple[str, str], bytes], dict[int, bytes]]],
        # Topics of this plane alone, by name: of their messages what stands before ts_send (of an
        # update, of a snapshot), between that and the published text, and behind it; None: the
        # text is the message.
        locals: dict[str, tuple[bytes, bytes, bytes, bytes] | None] | None = None,
        stats: StatsPage,
        wait_fd: int = -1,
        wait_index: int = 0,
        event_fd: int = -1,  # rung by the writer; -1: a private one
        clients_max: int = 20000,
        topics_per_client_max: int = 10000,
        waiting_topics_max: int = 65536,
        book_levels_max: int = 0,  # of books that have subscribers; 0: nobody can have any
        log_bytes: int = 64 << 20,
        control_bytes_max: int = 64 << 10,
        lossless_frames_max: int = 65536,
        lossless_max_age_ns: int = 2_000_000_000,
        stall_max_ns: int = 120_000_000_000,
        paced_stall_max_ns: int = 10_000_000_000,
        heartbeat_ns: int = 1_000_000_000,
        replay_depth_ns: int = 0,  # a ring that holds as much has slow clients replay; 0: none
        target_ns: int = 0,  # of class 0 and 1; 0: no controller
        late_ppm: int = 10_000,  # of deliveries that may take longer: 1 % for p99
        enforce: bool = False,  # the controller acts; else it only says what it sees
        spin: bool = False,
        populate: bool = False,  # log and ring at once, instead of ahead of what is written
        cpu: int = -1,
        tenants: Sequence[int] = (),  # their weights; none: all clients are visited in one order
        soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        """`soon` (a loop's `call_soon`) has the plane woken once for all commands of a turn."""
    def wake(self) -> None:
        """Tells a sleeping plane that commands wait; called by itself or through `soon`."""
    def start(self) -> None: ...
    def stop(self) -> None:
        """Stops and joins the thread; descriptors stay open (the caller's)."""
    @property
    def events_fd(self) -> int:
        """Readable while events wait."""
    def events(self, limit: int = ...) -> list[tuple[object, ...]]:
        """The next ones, at most so many; where it is as many, more may wait, unannounced."""
    def attach(self, fd: int) -> None:
        """Follow this segment from now on.

        A second one is a new epoch: clients get `epoch`, then snapshots.
        """
    def add(
        self,
        fd: int,
        first: bytes,
        hello: bytes | None,
        slots: Sequence[Slot] = (),
        *,
        format: int = 0,
        grant: int = 0,
        tenant: int = 0,
        tls: TlsConnection | None = None,
    ) -> int:
        """A new client whose first bytes are these (101), then this message, if any; its handle.

        `format`: the place of its wire format in `formats`. `grant`: its right, 0 is everything.
        `tenant`: its place in `tenants`.
        `tls`: it is over TLS, and the plane reads it, too: one record is asked for (EVENT_DATA).

        Raises:
            OverflowError: there are `clients_max`.
        """
    def grant(self, grant: int, rules: list[Rule], topics_max: int = 0) -> None:
        """Loads a right, and how many topics a client may have of it; 0: as the options say.

        A name that is not granted is refused (EVENT_FORBIDDEN), whether it exists or not; patterns
        do not cover what is not granted.

        Raises:
            ValueError: a client has it, or its number, a rule or their number is out of bounds.
        """
    def move(self, handle: int, tenant: int) -> None:
        """The client is of another tenant from now on."""

    def regrant(
        self,
        handle: int,
        grant: int,
        ack: bytes | None = None,
        slots: Sequence[Slot] = (),
        ids: Sequence[int] = (),
    ) -> int:
        """As `unsubscribe`, and gives the client another right, from this moment on.

        Nothing is written to it before its topics that are not granted any more have ended; of
        each name among them EVENT_FORBIDDEN tells. Patterns gain what is newly granted.
        """

    def read(self, handle: int) -> None:
        """Asks for what a client over TLS says next, once: EVENT_DATA."""
    def send(self, handle: int, message: bytes, slots: Sequence[Slot] = ()) -> int:
        """Queues a text message, ahead of data; `slots` are places in it.

        Returns:
            0; 1: more than half the control queue is used, stop reading until EVENT_RESUME;
            -1: it does not fit and was not queued, the client has to be closed.
        """
    def write(self, handle: int, frames: bytes) -> int:
        """Queues whole frames as they are: pings and pongs. As `send`."""
    def notice(self, handle: int, number: int, numbers: Sequence[int] = ()) -> int:
        """Queues a notice of no topic (gateway.model.notice) in the client's format. As `send`."""
    def subscribe(
        self, handle: int, ack: bytes | None, slots: Sequence[Slot], items: Sequence[Item]
    ) -> int:
        """Fills the ack, if any, queues it, attaches the items, marks snapshots. As `send`."""
    def unsubscribe(
        self, handle: int, ack: bytes | None, slots: Sequence[Slot], ids: Sequence[int]
    ) -> int:
        """Detaches, discards what is queued for topics no longer covered, replies. As `send`."""
    def query(self, handle: int, token: int) -> None:
        """Asks for EVENT_STATS, exact at the moment the plane answers."""
    def close(self, handle: int, frame: bytes) -> None:
        """Finish the partial frame, drop data, send this close frame, SHUT_WR, then EVENT_SHUT."""
    def remove(self, handle: int) -> None:
        """Forget the client; EVENT_REMOVED follows. Pending data is counted as dropped{closed}."""
    def pending(self, handle: int) -> bool:
        """Whether the client has unsent bytes right now (for the pong deadline)."""
    def publish(self, name: str, text: bytes) -> None:
        """Gives those who follow a local topic this text, which supersedes what they have not had.

        One that was published already is not sent again, and where nobody follows it is not kept.

        Raises:
            KeyError: no such local topic.
            ValueError: more than LOCAL_TEXT_MAX bytes.
        """
    def followers(self, name: str) -> int:
        """How many clients follow a local topic; EVENT_LOCAL tells the first and the last."""
    def sent_ns(self, handle: int) -> int:
        """MONOTONIC time of the last bytes that its socket took."""
    def objective(self, target_ns: int, late_ppm: int) -> None:
        """Has the controller judge by another objective, from its next look on; its steps stay.

        Raises:
            ValueError: 0, or beyond what it can hold.
        """

# --- the load test's swarm (swarm.pxi) ------------------------------------------------------------
SWARM_GROUPS_MAX: Final[int]
SWARM_GROUP_KEYS: Final[tuple[str, ...]]
"""What a group is told; all default to 0 (never, none), `text_off` to -1. Times are ns after `go`.

`measured`: 1, its deliveries go to histograms. `read_bytes_per_s`: each client reads no faster.
`rcvbuf_bytes`: SO_RCVBUF. `stall_at_ns stall_for_ns stall_every_ns`: nobody of the group reads.
`drop_at_ns drop_every_ns`: all disconnect (RST) and reconnect at once. `lifetime_ns`: each client
leaves (close 1000) once in this time, spread evenly over the group, and connects again after
`reconnect_ns`; where that is set, those whom the server closed come back after it too.
`resubscribe_every_ns`: each client sends the group's `text_off` (an index into texts) and its own
text in turns, spread evenly; its own again where that is -1."""
SWARM_COUNTERS: Final[tuple[str, ...]]
"""Counters of a group. "In the window": the record's stamp (ts_event) is.

At any time: `open` (now), `opened`, `refused` (attempts), `closed` (ended by the server or the
network, with a close frame `closed_4008` or `closed_other`), `reconnects` (opened again), `frames`
and `bytes` (messages of any kind, their payloads), `window_frames` (those that arrived in the
window), `received` (records that arrived in the window), `snapshots`, `unstamped` (no stamp found),
`control` (replies and notices), `errors` (replies that refuse something), `heartbeats`,
`protocol_errors`, `oversized`. In the window: `delivered` (records, snapshots and duplicates not),
`duplicates`, `conflated` (sum of "skipped"), `gap_events` (broken chains), `gaps` (records missing
there), `first_last_span` (last - first + 1 over client x topic) and of these `accounted` (delivered
or told as skipped)."""
SWARM_HISTOGRAMS: Final[tuple[str, ...]]
"""`age`: receive - stamp. `arrival`: the kernel's receive stamp - stamp. `own`: receive - kernel's.
`wire`: ts_event to ts_recv. `server`: ts_recv to ts_send. `delivery`: ts_send to receive. All of
records in the window, of measured groups; the last three of Tickgate's own frames. `handshake`:
connect() to the 101, of all groups, always.

The kernel stamps a read's newest byte alone. Where a read brings several records, the older ones
count as arrived at the earliest possible moment: after the socket was last seen empty, and not
before ts_send. So `own` is never less than what the client added, `arrival` never more than what
the server did."""

@final
class Swarm:
    """WebSocket clients, all driven by the thread that is in `connect` or `run` (GIL released).

    What is not said to be for the driving thread may be called from any, at any time.
    """

    def __init__(
        self,
        *,
        # (IPv4 or IPv6 address, port, HTTP upgrade request)
        targets: Sequence[tuple[str, int, bytes]],
        # Of each target, if of any: the host that it has a certificate of; "": it is plain. This
        # host's authorities judge, or those in the file that SSL_CERT_FILE names.
        tls_hosts: Sequence[str] = (),
        accept: bytes,  # the expected Sec-WebSocket-Accept; b"": not checked
        sources: Sequence[str] = (),  # local IPv4 ones, taken in turn; (): the kernel's choice
        groups: Sequence[dict[str, int]],  # keys of SWARM_GROUP_KEYS; at most SWARM_GROUPS_MAX
        texts: Sequence[bytes],
        clients: npt.NDArray[np.int32],  # (n, 3): group, target, text to send once open (-1: none)
        # ("tickgate", b""), ("json", b"data.0.E": a dotted path), ("offset", n: u64 at byte n), or
        # ("after", b'"ts":'): the digits after each of these in a message, each a record
        stamp: tuple[str, bytes | int],
        frame_bytes_max: int = 16 << 20,  # of a message
        connecting_max: int = 256,  # handshakes under way at once
        connect_rate: int = 0,  # new connections a second; 0: as fast as they go
        ticks_tracked_max: int = 65536,
        clock_offset_ns: int = 0,  # added to the local clock to get the server's
        hash_key: bytes = b"",  # 16 secret bytes, the same where ticks are merged; b"": its own
    ) -> None:
        """Opens nothing yet.

        Stamps in JSON are numbers or strings of digits, in s, ms, µs or ns by their size, with
        decimals or without; at an offset they are little-endian ns.

        Raises:
            ValueError: naming the argument, its value and what it may be.
            OSError: no memory or descriptors.
        """
    def connect(self, timeout_ns: int) -> int:
        """Opens all; returns how many are open when none is under way any more, or at the timeout.

        A client that is refused here stays away. Raises as `run`.
        """
    def go(self, at_ns: int) -> None:
        """The REALTIME origin of the groups' times."""
    def window(self, start_ns: int, end_ns: int) -> None:
        """Records stamped in [start, end) count; to be called before `start_ns`."""
    def run(self, until_ns: int) -> None:
        """Drives everything until this REALTIME moment or `stop`.

        Python's signal handlers run within, and what they raise ends it.

        Raises:
            RuntimeError: another thread drives it.
            OSError: epoll failed.
        """
    def stop(self) -> None:
        """Has `connect` and `run` return, now and at every later call."""
    def counters(self) -> list[dict[str, int]]:
        """SWARM_COUNTERS of each group."""
    def load(self) -> dict[str, int]:
        """The driving thread's own load while in `connect` and `run`, cumulative, 1 ms old at most.

        `cpu_ns wall_ns`, `run_delay_ns` (ready, but without a CPU; 20 ms old at most), `turns` of
        the loop, `turn_max_ns` (the longest; starts anew with the window), `reads`.
        """
    def refused(self) -> list[tuple[str, str, str | None, int]]:
        """What the server refused, while nobody drives: (kind, code, message, how often) of each.

        Kinds are `handshake` (code: `HTTP 503`, `ECONNREFUSED`, `no valid answer`; message: the
        body), `reply` (an error's code and message) and `close` (close code and reason; 1005 it
        gave none, 1006 it sent no close frame). Codes and messages are cut at 32 and 240 bytes.
        Messages that differ only in their numbers are one row, with the first of them. There are at
        most 67 rows: beyond 8 messages of a code, or 64 rows, the message is None, and where there
        is not even room for the code it is empty.

        Raises:
            RuntimeError: somebody drives it.
            ValueError: it is closed.
        """

    def refusals(self) -> dict[str, int]:
        """Why attempts to connect failed: "ECONNREFUSED", "HTTP 503", "no valid answer"."""
    def counts(self, name: str, group: int) -> npt.NDArray[np.uint64]:
        """One of SWARM_HISTOGRAMS, shape (HDR_COUNTS,), as `Histogram` takes it."""
    def totals(self, name: str, group: int) -> tuple[int, int, int, int]:
        """Its (count, sum_ns, saturated, negative)."""
    def ticks(self) -> tuple[npt.NDArray[np.uint64], int]:
        """When the first and the last recipient had a tick, for a sample of those in the window.

        Returns rows (key, first_ns, last_ns, deliveries), times by the server's clock, and a mask:
        ticks whose `key & mask` is 0 are in the sample. Keys are the same in every process: merge
        tables under the wider mask. RuntimeError while somebody drives it.
        """
    def close(self) -> None:
        """Closes every connection. RuntimeError while somebody drives it."""
