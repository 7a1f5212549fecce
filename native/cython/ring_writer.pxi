import fcntl
import re

from cpython.sequence cimport (
    PySequence_Fast,
    PySequence_Fast_GET_ITEM,
    PySequence_Fast_GET_SIZE,
)

cdef extern from "<fcntl.h>" nogil:
    int F_SEAL_FUTURE_WRITE

cdef extern from "gw_symbols.h" nogil:
    enum: GW_SYMBOL_MAX

GAUGES_OF_TOPICS = ("instruments", "topics_live", "topics_retired")

cdef object _VENUE = re.compile("[A-Z0-9_]{1,16}")
cdef object _SYMBOL_BAD = re.compile(r'["\\,]|^ | $')  # beside what is not printable

cdef uint64_t _epoch_ms = 0  # of the last epoch that this process made
cdef const char *_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"

cdef enum:
    FEEDS = 64  # length of the feed_* counters
    CANDLES_FULL = 7  # of the counters `candle_trades`: the last
    HEALTH_STEPS = 16  # of one call, each with the lock taken anew

HEARTBEAT_NS_MAX = 3_600_000_000_000
cdef dict _DOUBTS = {"resync": GW_CONDITION_RESYNC, "crossed": GW_CONDITION_CROSSED,
                     "gap": GW_CONDITION_GAP}


cdef int _feed_check(uint32_t feed) except -1:
    if feed >= FEEDS:
        raise ValueError(f"feed {feed}: at most {FEEDS} feeds")
    return 0


cdef bint _is_instrument(str name) except -1:
    """SYMBOL.VENUE, as gateway/model/topic.py says it in full."""
    symbol, _, venue = name.rpartition(".")
    if not symbol or not symbol.isprintable() or _SYMBOL_BAD.search(symbol) is not None:
        return False
    size = len(name.encode()) - len(venue) - 1
    return size <= GW_SYMBOL_MAX and _VENUE.fullmatch(venue) is not None


cdef bytes _epoch_next():
    """REALTIME milliseconds in base 36: epochs sort by time, two in one millisecond differ."""
    global _epoch_ms
    _epoch_ms = max(<uint64_t>(gw_realtime_ns() // 1000000), _epoch_ms + 1)
    cdef char text[GW_EPOCH_LENGTH]
    cdef uint64_t rest = _epoch_ms
    cdef int i
    for i in range(GW_EPOCH_LENGTH - 1, -1, -1):
        text[i] = _BASE36[rest % 36]
        rest //= 36
    return text[:GW_EPOCH_LENGTH]


@cython.no_gc_clear  # of `stats`: __dealloc__ gives it up
cdef class RingWriter:
    cdef gw_publisher_t publisher
    cdef gw_record_t chunk[GW_PUBLISH_MAX]
    cdef void *mem
    cdef size_t size
    cdef int memory_fd
    cdef uint8_t *kinds
    cdef uint32_t topics  # places ever used
    cdef uint32_t live, topics_max, health_topics, health_max  # live ones: of feeds, of health
    cdef uint32_t candle_instruments, candles_max  # with candles; how many may have them
    cdef tuple candles  # channels
    cdef dict ids
    cdef dict ended  # the last numbers of topics that have ended, at most topics_max, oldest first
    cdef uint64_t ended_most  # the greatest of those before them
    cdef list names  # of instruments, by topic
    cdef set instruments
    cdef StatsPage stats
    cdef bint used  # once, also where that failed: what learned its topics still points here
    cdef int inside  # threads that publish without the interpreter's lock right now

    def __cinit__(self):
        self.memory_fd = -1

    def __init__(self, uint64_t capacity, uint32_t topics_max, *, int wait_fd=-1, event_fds=(),
                 StatsPage stats=None, bint populate=False, candles=(), uint32_t candles_max=0,
                 int64_t candles_update_ns=0, uint32_t book_levels_max=0):
        if self.used:
            raise RuntimeError("already initialised")
        if stats is not None:
            stats.check(True)
        self.used = True
        self.candles = tuple(candles)
        if any(one not in CANDLE_LENGTHS for one in self.candles):
            raise ValueError(f"no channels of candles: {self.candles}")
        self.candles_max = candles_max if self.candles else 0
        self.ids = {}
        self.ended = {}
        self.names = []
        self.instruments = set()
        if stats is not None:
            stats.holders += 1
            self.stats = stats
            stats.set("topics_max", 0, topics_max)
            for gauge in GAUGES_OF_TOPICS:  # of a writer before this one
                stats.set(gauge)
            for state in range(GW_HEALTH_STATES):
                stats.set("instrument_health", state)
        try:
            self.segment_create(capacity, topics_max, populate, book_levels_max)
            self.candles_create(candles_update_ns)
            if wait_fd >= 0:
                self.workers_map(wait_fd, event_fds)
        except BaseException:
            self.release()
            raise

    cdef int segment_create(
        self, uint64_t capacity, uint32_t topics_max, bint populate, uint32_t book_levels_max
    ) except -1:
        # So that a full table of topics cannot hide what is wrong with those in it.
        self.topics_max = topics_max
        self.health_max = min(topics_max, GW_HEALTH_TOPICS_MAX)
        cdef uint32_t entries = topics_max + self.health_max
        entries += self.candles_max * <uint32_t>len(self.candles)
        if book_levels_max > GW_BOOK_LEVELS_MAX:
            raise ValueError(f"book_levels_max {book_levels_max}: at most {GW_BOOK_LEVELS_MAX}")
        self.size = gw_segment_books_size(capacity, entries, book_levels_max)
        self.memory_fd = create_memory("tickgate-ring", self.size)
        self.mem = _map(self.memory_fd, self.size, PROT_READ | PROT_WRITE, False)
        if populate:  # of books, pages are touched on use
            _populate(self.mem, gw_segment_size(capacity, entries), self.memory_fd,
                      PROT_READ | PROT_WRITE)
        if gw_segment_books_format(self.mem, self.size, capacity, entries, book_levels_max,
                                   _epoch_next()) < 0:
            raise ValueError(f"ring of {capacity} bytes (a power of two from 4096 on) and "
                             f"{topics_max} topics (at least 1)")
        # Sealed after our own mapping: nobody else can write, and nobody can cut it under a reader.
        fcntl.fcntl(self.memory_fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
                    | F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL)
        self.kinds = <uint8_t *>calloc(entries, 1)
        cdef gw_stats_t *page = NULL if self.stats is None else self.stats.page
        if self.kinds == NULL or gw_publisher_init(
                &self.publisher, self.mem, self.size, page) < 0:
            raise MemoryError
        if not populate:
            gw_publisher_populate_ahead(&self.publisher)
        return 0

    cdef int candles_create(self, int64_t update_ns) except -1:
        cdef unsigned int intervals = _candle_intervals(self.candles)
        if gw_publisher_candles(&self.publisher, intervals, self.candles_max, update_ns) < 0:
            raise MemoryError
        return 0

    cdef int workers_map(self, int wait_fd, event_fds) except -1:
        cdef size_t i, workers = len(event_fds)
        if workers == 0:
            return 0
        cdef size_t size = workers * sizeof(gw_wait_t)
        self.publisher.waits = <gw_wait_t *>_map(wait_fd, size, PROT_READ | PROT_WRITE)
        self.publisher.workers = workers
        self.publisher.event_fds = <int *>calloc(workers, sizeof(int))
        if self.publisher.event_fds == NULL:
            raise MemoryError
        for i in range(workers):
            self.publisher.event_fds[i] = event_fds[i]
        return 0

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        gw_publisher_free(&self.publisher)
        if self.mem != NULL:
            munmap(self.mem, self.size)
            self.mem = NULL
        if self.publisher.waits != NULL:
            munmap(self.publisher.waits, self.publisher.workers * sizeof(gw_wait_t))
            self.publisher.waits = NULL
        if self.stats is not None:
            self.stats.holders -= 1
            self.stats = None
        self.publisher.workers = 0
        free(self.publisher.event_fds)
        self.publisher.event_fds = NULL
        free(self.kinds)
        self.kinds = NULL
        if self.memory_fd >= 0:
            close_descriptor(self.memory_fd)
            self.memory_fd = -1

    cdef int check_open(self) except -1:
        if self.mem == NULL:
            raise ValueError("ring writer is closed")
        return 0

    @property
    def fd(self):
        return self.memory_fd

    @property
    def epoch(self):
        self.check_open()
        return self.publisher.writer.segment.epoch[:GW_EPOCH_LENGTH].decode()

    def topic(self, str channel, str instrument, *, uint32_t feed=0):
        self.check_open()
        _feed_check(feed)
        known = self.ids.get((channel, instrument))
        if known is not None:
            return known
        if channel not in CHANNELS:
            raise ValueError(f"unknown channel {channel!r}")
        if not _is_instrument(instrument):
            raise ValueError(f"instrument {instrument!r} is not SYMBOL.VENUE")
        cdef uint8_t kind = CHANNELS[channel]
        if kind >= GW_CANDLE and kind < GW_CANDLE + GW_CANDLES:
            raise ValueError(f"{channel} has its topics with the trades'")
        cdef bint health = kind == GW_HEALTH
        cdef uint32_t used = self.health_topics if health else self.live
        cdef uint32_t most = self.health_max if health else self.topics_max
        if used >= most:
            raise OverflowError(f"all {most} topics{' of health' if health else ''} are taken")
        cdef int64_t topic = self.topic_make(channel, kind, instrument)
        if topic < 0:
            raise OverflowError(f"all {most} topics are taken, some by ended ones for a moment yet")
        self.live += not health
        self.health_topics += health
        gw_publisher_topic_begin(
            &self.publisher, <uint32_t>topic, kind, self.topic_like(kind, instrument),
            <uint8_t>feed)
        self.instruments.add(instrument)
        if kind == GW_TRADE and self.candles:
            self.candles_begin(instrument, <uint32_t>topic)
        self.count_topics()
        return topic

    cdef uint32_t topic_like(self, uint8_t kind, str instrument) except? 0:
        """Another topic of the instrument that its health goes by, plus 1; 0: it has none."""
        for channel, number in CHANNELS.items():
            if number != kind and number < <int>GW_CONDITION_KINDS:
                topic = self.ids.get((channel, instrument))
                if topic is not None:
                    return <uint32_t>topic + 1
        return 0

    cdef int64_t topic_make(self, str channel, uint8_t kind, str instrument) except? -1:
        """Below 0: there is no place."""
        cdef bytes name = instrument.encode()
        cdef int64_t topic = gw_publisher_topic_reuse(
            &self.publisher, kind, name, <size_t>len(name))
        if topic < 0:
            topic = gw_publisher_topic_add(&self.publisher, kind, name, <size_t>len(name))
        if topic < 0:
            return topic
        if topic == self.topics:
            self.topics += 1
            self.names.append(instrument)
        cdef uint64_t ended = self.ended.pop((channel, instrument), self.ended_most)
        if ended:
            gw_publisher_topic_continue(&self.publisher, <uint32_t>topic, ended)
        self.kinds[topic] = kind
        self.names[topic] = instrument
        self.ids[(channel, instrument)] = topic
        return topic

    cdef int candles_begin(self, str instrument, uint32_t trades) except -1:
        """Gives the instrument its topics of candles, where there is room: all of them or none."""
        cdef uint32_t topics[GW_CANDLES]
        cdef int64_t topic
        memset(topics, 0, sizeof(topics))
        if self.candle_instruments >= self.candles_max:
            self.candles_full()
            return 0
        for channel in self.candles:
            topic = self.topic_make(channel, <uint8_t>CHANNELS[channel], instrument)
            if topic < 0:  # ended ones have their places for a moment yet
                self.candles_retire(instrument)
                self.candles_full()
                return 0
            topics[<int>CHANNELS[channel] - GW_CANDLE] = <uint32_t>topic
        if gw_publisher_candles_begin(&self.publisher, trades, topics):
            self.candle_instruments += 1
        return 0

    cdef int candles_full(self) except -1:
        if self.stats is not None:
            self.stats.add("candle_trades", CANDLES_FULL)
        return 0

    cdef int candles_retire(self, str instrument) except -1:
        for channel in self.candles:
            if (channel, instrument) in self.ids:
                self.topic_end(channel, instrument)
        return 0

    def candles_step(self):
        self.check_open()
        cdef bint left
        with nogil:
            left = gw_publisher_candles_step(&self.publisher)
        gw_publisher_ring(&self.publisher)
        return left

    cdef int count_topics(self) except -1:
        """Shows readers whether a new name has room, and the operator how much there is."""
        cdef bint full = self.live >= self.topics_max
        gw_writer_full(&self.publisher.writer, self.topics_max if full else 0)
        if self.stats is not None:
            self.stats.set("instruments", 0, len(self.instruments))
            self.stats.set("topics_live", 0, self.live)
            self.stats.set("topics_retired", 0, self.publisher.writer.retired_count)
        return 0

    def retire(self, str channel, str instrument):
        self.check_open()
        if channel not in CHANNELS or (channel, instrument) not in self.ids:
            return False
        if not gw_kinds[<int>CHANNELS[channel]].fed:
            return False
        cdef uint32_t book
        if channel == "trade" and any((one, instrument) in self.ids for one in self.candles):
            gw_publisher_candles_end(&self.publisher, <uint32_t>self.ids[channel, instrument])
            self.candles_retire(instrument)
            self.candle_instruments -= 1
        if channel == "bbo" and ("book", instrument) in self.ids:
            book = self.ids["book", instrument]
            with nogil:
                gw_publisher_book_derive(&self.publisher, book, 0)
        self.topic_end(channel, instrument)
        self.live -= 1
        if not any((one, instrument) in self.ids for one in CHANNELS if one != "health"):
            self.instruments.discard(instrument)
            if ("health", instrument) in self.ids:
                self.topic_end("health", instrument)
                self.health_topics -= 1
        self.count_topics()
        gw_publisher_ring(&self.publisher)
        return True

    cdef int topic_end(self, str channel, str instrument) except -1:
        cdef uint32_t topic = self.ids.pop((channel, instrument))
        cdef uint8_t kind = self.kinds[topic]
        self.kinds[topic] = 0
        cdef uint64_t last
        self.inside += 1
        with nogil:  # a book may be written just now
            last = gw_publisher_topic_retire(&self.publisher, topic, kind)
        self.inside -= 1
        self.ended[(channel, instrument)] = last
        if <uint32_t>len(self.ended) > self.topics_max:  # from here on it may be any name's
            self.ended_most = max(self.ended_most, self.ended.pop(next(iter(self.ended))))
        return 0

    def suspect(self, uint32_t topic, str reason, int64_t ts_recv, int64_t mono_recv):
        self.check_open()
        if topic >= self.topics or not gw_kinds[self.kinds[topic]].fed:
            raise ValueError(f"topic {topic} is none of a feed's")
        cdef uint32_t health = self.topic("health", self.names[topic])
        text = reason.encode("ascii", "replace")
        cdef bint added = gw_publisher_suspect(
            &self.publisher, topic, self.kinds[topic], health,
            gw_text_t(text, <size_t>len(text)), ts_recv, mono_recv)
        if added:
            gw_publisher_ring(&self.publisher)
        return added

    def publish(self, rows, int64_t ts_recv, int64_t mono_recv, *, ages=None, uint8_t flags=0,
                uint32_t feed=0, bint record_wire=True, bint until_refused=False,
                str gap="", uint64_t lost=0):
        self.check_open()
        if gap not in _GAPS:
            raise ValueError(f"no gap is called {gap!r}")
        cdef uint8_t told = _GAPS[gap]
        _feed_check(feed)
        fast = PySequence_Fast(rows, "rows are not a sequence")
        cdef Py_ssize_t i, count = PySequence_Fast_GET_SIZE(fast)
        cdef uint32_t filled = 0
        if ages is not None and len(ages) != count:
            raise ValueError(f"{len(ages)} ages of {count} rows")
        cdef uint32_t lost_told = <uint32_t>min(lost, <uint64_t>0xffffffff)
        cdef int64_t age_ns = 0
        cdef gw_receipt_t receipt = gw_receipt_t(feed, flags, record_wire)
        refused = []
        for i in range(count):
            why = self.row_take(
                <object>PySequence_Fast_GET_ITEM(fast, i), &self.chunk[filled])
            if why is not None:
                refused.append((i, why))
                if until_refused:
                    break
                continue
            self.chunk[filled].h.gap = 0 if i else told
            self.chunk[filled].h.lost = 0 if i else lost_told
            if ages is not None:
                age_ns = ages[i]
            gw_record_received(&self.chunk[filled], ts_recv - age_ns, mono_recv - age_ns)
            filled += 1
            if filled == GW_PUBLISH_MAX:
                gw_publisher_publish(&self.publisher, self.chunk, filled, &receipt)
                filled = 0
        gw_publisher_publish(&self.publisher, self.chunk, filled, &receipt)
        if told == GW_GAP_FEED and not (refused and refused[0][0] == 0):
            gw_publisher_lost(&self.publisher, fast[0][0], lost_told)
        gw_publisher_ring(&self.publisher)
        return refused

    def refusal(self, str channel, tuple fields):
        cdef gw_record_t record
        cdef const gw_kind_t *kind = gw_kind(<uint8_t>CHANNELS.get(channel, 0))
        if kind == NULL or not kind.fed:
            raise ValueError(f"no feed has a channel {channel!r}")
        if len(fields) != 1 + kind.fields_count:
            return f"not a tuple of {1 + kind.fields_count}"
        return _row_fill((0, *fields), CHANNELS[channel], &record) or ""

    cdef object row_take(self, object row, gw_record_t *record):
        cdef int64_t topic
        if not PyTuple_CheckExact(row) or PyTuple_GET_SIZE(row) == 0:
            return "not a row"
        if not _integer(PyTuple_GET_ITEM(row, 0), &topic) or topic >= self.topics:
            return "unknown topic"
        if self.kinds[topic] == 0:  # it has ended
            return "unknown topic"
        if not gw_kinds[self.kinds[topic]].fed or self.kinds[topic] == GW_BOOK:
            return f"a topic of {gw_kinds[self.kinds[topic]].name.decode()}"
        record.h.topic = <uint32_t>topic
        return _row_fill(row, self.kinds[topic], record)

    def book(self, uint32_t topic, bint snapshot, bids, asks, int64_t ts_recv,
             int64_t mono_recv, *, int64_t ts_event=0, first=None, last=None, checksum=None,
             uint32_t depth=0, doubted=None, uint8_t flags=0, uint32_t feed=0,
             bint record_wire=True):
        self.book_check(topic, feed)
        cdef uint8_t doubt = GW_BOOK_DOUBT_BY_RULE
        if doubted is not None:
            doubt = GW_BOOK_IN_DOUBT if doubted else GW_BOOK_NOT_IN_DOUBT
        cdef bytes first_id = _book_id(first), last_id = _book_id(last)
        cdef list bid_rows = bids if isinstance(bids, list) else list(bids)
        cdef list ask_rows = asks if isinstance(asks, list) else list(asks)
        cdef size_t count = <size_t>len(bid_rows) + <size_t>len(ask_rows)
        cdef gw_receipt_t receipt = gw_receipt_t(feed, flags, record_wire)
        cdef gw_book_level_t usual[64]
        cdef gw_book_level_t *levels = usual
        cdef gw_book_input_t input
        cdef gw_book_result_t result
        cdef gw_book_refusal_t refusal
        if count > GW_BOOK_MESSAGE_MAX:
            raise ValueError(f"{count} levels, {GW_BOOK_MESSAGE_MAX} at most")
        if count > 64:
            levels = <gw_book_level_t *>malloc(count * sizeof(gw_book_level_t))
            if levels == NULL:
                raise MemoryError
        self.inside += 1
        try:
            _book_take(bid_rows, GW_BOOK_BID, levels)
            _book_take(ask_rows, GW_BOOK_ASK, levels + len(bid_rows))
            input = gw_book_input_t(
                topic, depth, snapshot, checksum is not None, doubt, checksum or 0, ts_event,
                ts_recv, mono_recv, gw_text_t(first_id, <size_t>len(first_id)),
                gw_text_t(last_id, <size_t>len(last_id)), levels, <uint32_t>count)
            with nogil:
                refusal = gw_publisher_book(&self.publisher, &input, &receipt, &result)
                if refusal == GW_BOOK_FINE and result.published:
                    gw_publisher_ring(&self.publisher)
        finally:
            self.inside -= 1
            if levels != usual:
                free(levels)
        if refusal != GW_BOOK_FINE:
            raise _book_refused(refusal, _book_blamed(result.at, <uint32_t>len(bid_rows)))
        return result.changes, result.published, not result.differs, result.crossed

    def book_derive(self, uint32_t topic, uint32_t bbo):
        self.book_check(topic, 0)
        if bbo >= self.topics or self.kinds[bbo] != GW_BBO or self.names[bbo] != self.names[topic]:
            raise ValueError(f"topic {bbo} is none of quotes of this book")
        with nogil:  # a book may be written just now
            gw_publisher_book_derive(&self.publisher, topic, bbo + 1)

    def book_top(self, uint32_t topic):
        self.book_check(topic, 0)
        cdef gw_record_t record
        cdef bint found
        memset(&record, 0, sizeof(record))
        with nogil:
            found = gw_publisher_book_top(&self.publisher, topic, &record)
        return _row_fields(&record) if found else None

    @property
    def books_max(self):
        self.check_open()
        return self.publisher.writer.segment.books.sizes.books

    def book_doubt(self, uint32_t topic, int64_t ts_recv, int64_t mono_recv, *, str state="resync",
                   str reason="", uint8_t flags=0, uint32_t feed=0):
        self.book_check(topic, feed)
        if state not in _DOUBTS:
            raise ValueError(f"no doubt is called {state!r}")
        cdef bytes text = reason.encode("ascii", "replace")
        cdef gw_text_t why = gw_text_t(text, <size_t>len(text))
        cdef gw_condition_t doubt = <gw_condition_t><int>_DOUBTS[state]
        cdef gw_receipt_t receipt = gw_receipt_t(feed, flags, False)
        cdef bint told
        self.inside += 1
        with nogil:
            told = gw_publisher_book_doubt(
                &self.publisher, topic, doubt, why, ts_recv, mono_recv, &receipt)
            gw_publisher_ring(&self.publisher)
        self.inside -= 1
        return told

    def differs(self, uint32_t topic, bint differs):
        self.check_open()
        gw_publisher_differs(&self.publisher, topic, differs)
        gw_publisher_ring(&self.publisher)

    def heartbeat(self, uint32_t feed, int64_t interval_ns):
        self.check_open()
        if feed >= FEEDS or interval_ns < 0 or interval_ns > HEARTBEAT_NS_MAX:
            raise ValueError(f"a heartbeat each {interval_ns} ns of feed {feed}")
        gw_publisher_heartbeat(&self.publisher, feed, interval_ns)

    def health_step(self, down=()):
        self.check_open()
        cdef uint64_t bits = 0
        cdef uint32_t wants[GW_CONDITION_TOLD]
        cdef uint32_t count, i, unheard = 0
        cdef uint8_t left = 1
        cdef int steps = 0
        for feed in down:
            bits |= <uint64_t>1 << (<uint32_t>feed % FEEDS)
        while left and steps < HEALTH_STEPS:
            steps += 1
            with nogil:
                count = gw_publisher_conditions_step(&self.publisher, bits, wants, &left)
            for i in range(count):
                try:
                    self.topic("health", self.names[wants[i]])
                except OverflowError:
                    unheard += 1
                gw_publisher_condition_tell(&self.publisher, wants[i])
        gw_publisher_ring(&self.publisher)
        return bool(left), unheard

    cdef int book_check(self, uint32_t topic, uint32_t feed) except -1:
        self.check_open()
        if topic >= self.topics or self.kinds[topic] != GW_BOOK:
            raise ValueError(f"topic {topic} is none of a book")
        _feed_check(feed)
        return 0

    cdef bint follows(self, gw_wait_t *wait) noexcept:
        """Whether this worker's plane follows this very segment, not one of an older epoch."""
        cdef uint64_t epoch
        memcpy(&epoch, self.publisher.writer.segment.epoch, sizeof(epoch))
        return GW_LOAD_ACQUIRE(&wait.attached) != 0 and GW_LOAD_RELAXED(&wait.epoch) == epoch

    def behind(self):
        cdef size_t i
        cdef uint64_t cursor, tail, slowest
        if self.mem == NULL:
            return 0
        tail = slowest = GW_LOAD_ACQUIRE(self.publisher.writer.segment.tail)
        for i in range(self.publisher.workers):
            if self.follows(&self.publisher.waits[i]):
                cursor = GW_LOAD_RELAXED(&self.publisher.waits[i].cursor)
                slowest = min(slowest, cursor)
        return tail - slowest

    def backlogged(self):
        cdef size_t i
        cdef uint64_t total = 0
        for i in range(self.publisher.workers):
            if self.follows(&self.publisher.waits[i]):
                total += GW_LOAD_RELAXED(&self.publisher.waits[i].backlogged)
        return total

    def subscribed(self):
        cdef size_t i
        cdef uint64_t total = 0
        for i in range(self.publisher.workers):
            if self.follows(&self.publisher.waits[i]):
                total += GW_LOAD_RELAXED(&self.publisher.waits[i].subscribed)
        return total

    def close(self):
        if self.inside > 0:
            raise RuntimeError("a feed is publishing: let its receive return first")
        self.release()
