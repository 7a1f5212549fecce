import fcntl
import re

from cpython.exc cimport PyErr_Clear
from cpython.long cimport PyLong_AsLongLong, PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.sequence cimport (
    PySequence_Fast,
    PySequence_Fast_GET_ITEM,
    PySequence_Fast_GET_SIZE,
)
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_CheckExact
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy
from posix.unistd cimport close as close_descriptor

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *length) except NULL

cdef extern from "<fcntl.h>" nogil:
    int F_SEAL_FUTURE_WRITE

cdef extern from "gw_pattern.h" nogil:
    bint gw_pattern_match(
        const char *pattern, size_t pattern_length, const char *name, size_t name_length)

cdef extern from "gw_pattern.h" nogil:
    ctypedef struct gw_glob_t:
        pass

    int gw_glob_compile(gw_glob_t *g, const char *text, size_t length)
    uint64_t gw_letters(const char *text, size_t length)

cdef extern from "gw_names.h" nogil:
    ctypedef struct gw_name_t:
        uint64_t letters
        uint8_t channel, length
        char text[65]

    uint32_t gw_names_count(const gw_name_t *names, uint32_t names_count, uint8_t channel,
                            const gw_glob_t *g, uint64_t *steps)

cdef extern from "gw_record.h" nogil:
    enum: GW_CHANNELS, GW_INSTRUMENT_MAX, GW_DECIMAL_TEXT_MAX, GW_ID_MAX
    uint8_t gw_record_cells(uint8_t kind)
    enum: GW_TRADE, GW_BBO, GW_SIDE_BUY, GW_SIDE_SELL, GW_FLAG_PACED

    ctypedef struct gw_header_t:
        uint64_t ring_seq, topic_seq
        int64_t ts_event, ts_recv, ts_publish
        uint32_t ingest_ns, topic
        uint8_t kind, flags, cells

    ctypedef struct gw_trade_t:
        int64_t price, qty
        int8_t price_exponent, qty_exponent
        uint8_t price_digits, qty_digits, side, id_length
        char id[36]

    ctypedef struct gw_bbo_t:
        int64_t mantissa[4]
        int8_t exponent[4]
        uint8_t digits[4]

    ctypedef struct gw_record_t:
        gw_header_t h
        gw_trade_t trade "u.trade"
        gw_bbo_t bbo "u.bbo"

    ctypedef struct gw_text_t:
        const char *at
        size_t length

    const char *gw_record_fill(gw_record_t *record, uint8_t kind, const gw_text_t *texts)
    size_t gw_decimal_format(int64_t mantissa, int8_t exponent, uint8_t digits, char *out)

cdef extern from "gw_ring.h" nogil:
    enum: GW_EPOCH_LENGTH

    ctypedef struct gw_segment_t:
        uint32_t topics_max
        char epoch[9]
        uint64_t *tail

    ctypedef struct gw_writer_t:
        gw_segment_t segment

    ctypedef struct gw_reader_t:
        gw_segment_t segment
        uint64_t cursor

    ctypedef struct gw_wait_t:
        uint64_t attached, cursor, epoch, backlogged, subscribed

    size_t gw_segment_size(uint64_t capacity, uint32_t topics_max)
    int gw_segment_format(
        void *mem, size_t size, uint64_t capacity, uint32_t topics_max, const char *epoch)
    int gw_segment_open(void *mem, size_t size, gw_segment_t *view)
    int64_t gw_reader_poll(gw_reader_t *r, void *buffer, size_t size)
    uint64_t gw_reader_rewind(gw_reader_t *r, uint64_t bytes)
    uint32_t gw_directory_count(const gw_segment_t *s)
    int gw_directory_read(const gw_segment_t *s, uint32_t id, uint8_t *channel, char *name)
    int gw_table_read(const gw_segment_t *s, uint32_t id, gw_record_t *out)

cdef extern from "gw_publisher.h" nogil:
    enum: GW_PUBLISH_MAX

    ctypedef struct gw_publisher_t:
        gw_writer_t writer
        gw_wait_t *waits
        int *event_fds
        size_t workers

    ctypedef struct gw_receipt_t:
        uint32_t feed
        uint8_t flags
        bint wire

    int gw_publisher_init(gw_publisher_t *p, void *mem, size_t size, gw_stats_t *stats)
    void gw_publisher_free(gw_publisher_t *p)
    void gw_publisher_populate_ahead(gw_publisher_t *p)
    int64_t gw_publisher_topic_add(
        gw_publisher_t *p, uint8_t channel, const char *name, size_t length)
    void gw_record_received(gw_record_t *record, int64_t ts_recv, int64_t mono_recv)
    void gw_publisher_publish(
        gw_publisher_t *p, gw_record_t *records, uint32_t count, const gw_receipt_t *receipt)
    void gw_publisher_ring(gw_publisher_t *p)


CHANNELS = {"trade": GW_TRADE, "bbo": GW_BBO}
FLAG_PACED = GW_FLAG_PACED
WAIT_SIZE = sizeof(gw_wait_t)
RECORD_SIZE = sizeof(gw_record_t)
Row = tuple  # what is in it, the stub spells out

cdef dict _CHANNEL_NAMES = {number: name for name, number in CHANNELS.items()}
cdef tuple _BBO_FIELDS = ("bid", "bid_qty", "ask", "ask_qty")
cdef dict _SIDES = {GW_SIDE_BUY: "buy", GW_SIDE_SELL: "sell"}

# SYMBOL.VENUE, split at the last dot: a venue has none. Printable ASCII but space * " \ and comma.
cdef object _INSTRUMENT = re.compile(
    r"(?P<symbol>[!#-)+\-./0-\[\]-~]{1,48})\.(?P<venue>[A-Z0-9_]{1,16})")

cdef uint64_t _epoch_ms = 0  # of the last epoch that this process made
cdef const char *_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"

cdef enum:
    FEEDS = 64  # length of the feed_* counters
    POLL_MAX = 1 << 20  # records at once


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


cdef int _text(PyObject *value, gw_text_t *out) noexcept:
    """Points `out` at a str's bytes; 0 when it is no text that UTF-8 can hold."""
    cdef Py_ssize_t length
    if not PyUnicode_CheckExact(<object>value):
        return 0
    try:
        out.at = PyUnicode_AsUTF8AndSize(<object>value, &length)
    except UnicodeEncodeError:
        return 0
    out.length = <size_t>length
    return 1


cdef int _integer(PyObject *value, int64_t *out) noexcept:
    """Reads an int of 64 bits that is not negative; 0 for anything else."""
    if not PyLong_CheckExact(<object>value):
        return 0
    try:
        out[0] = PyLong_AsLongLong(<object>value)
    except OverflowError:
        return 0
    return out[0] >= 0


cdef const char *_row_fill(object row, uint8_t kind, gw_record_t *record) noexcept:
    """Fills ts_event, kind and payload from a row's last five items. NULL, or why not."""
    cdef gw_text_t texts[4]
    cdef int i
    if not _integer(PyTuple_GET_ITEM(row, 1), &record.h.ts_event):
        return "ts_event is not a time"
    for i in range(4):
        if _text(PyTuple_GET_ITEM(row, 2 + i), &texts[i]):
            continue
        if kind == GW_TRADE and i == 2 and <object>PyTuple_GET_ITEM(row, 4) is None:
            texts[i] = gw_text_t("", 0)
        else:
            return "not a text"
    return gw_record_fill(record, kind, texts)


def create_memory(str name, int64_t size):
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
    except OSError:
        os.close(fd)
        raise
    return fd


def pattern_match(str pattern, str name):
    cdef Py_ssize_t pattern_length, name_length
    cdef const char *p = PyUnicode_AsUTF8AndSize(pattern, &pattern_length)
    cdef const char *n = PyUnicode_AsUTF8AndSize(name, &name_length)
    return gw_pattern_match(p, <size_t>pattern_length, n, <size_t>name_length)


@cython.no_gc_clear  # of `stats`: __dealloc__ gives it up
cdef class RingWriter:
    cdef gw_publisher_t publisher
    cdef gw_record_t chunk[GW_PUBLISH_MAX]
    cdef void *mem
    cdef size_t size
    cdef int memory_fd
    cdef uint8_t *kinds
    cdef uint32_t topics
    cdef dict ids
    cdef StatsPage stats
    cdef bint used  # once, also where that failed: what learned its topics still points here
    cdef int inside  # threads that publish without the interpreter's lock right now

    def __cinit__(self):
        self.memory_fd = -1

    def __init__(self, uint64_t capacity, uint32_t topics_max, *, int wait_fd=-1, event_fds=(),
                 StatsPage stats=None, bint populate=False):
        if self.used:
            raise RuntimeError("already initialised")
        if stats is not None:
            stats.check(True)
        self.used = True
        self.ids = {}
        if stats is not None:
            stats.holders += 1
            self.stats = stats
        try:
            self.segment_create(capacity, topics_max, populate)
            if wait_fd >= 0:
                self.workers_map(wait_fd, event_fds)
        except BaseException:
            self.release()
            raise

    cdef int segment_create(
        self, uint64_t capacity, uint32_t topics_max, bint populate
    ) except -1:
        self.size = gw_segment_size(capacity, topics_max)
        self.memory_fd = create_memory("tickgate-ring", self.size)
        self.mem = _map(self.memory_fd, self.size, PROT_READ | PROT_WRITE, populate)
        if gw_segment_format(self.mem, self.size, capacity, topics_max, _epoch_next()) < 0:
            raise ValueError(f"ring of {capacity} bytes (a power of two from 4096 on) and "
                             f"{topics_max} topics (at least 1)")
        # Sealed after our own mapping: nobody else can write, and nobody can cut it under a reader.
        fcntl.fcntl(self.memory_fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
                    | F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL)
        self.kinds = <uint8_t *>calloc(topics_max, 1)
        cdef gw_stats_t *page = NULL if self.stats is None else self.stats.page
        if self.kinds == NULL or gw_publisher_init(
                &self.publisher, self.mem, self.size, page) < 0:
            raise MemoryError
        if not populate:
            gw_publisher_populate_ahead(&self.publisher)
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

    def topic(self, str channel, str instrument):
        self.check_open()
        known = self.ids.get((channel, instrument))
        if known is not None:
            return known
        if channel not in CHANNELS:
            raise ValueError(f"unknown channel {channel!r}")
        if _INSTRUMENT.fullmatch(instrument) is None:
            raise ValueError(f"instrument {instrument!r} is not SYMBOL.VENUE")
        name = instrument.encode()
        cdef uint8_t kind = CHANNELS[channel]
        cdef int64_t topic = gw_publisher_topic_add(
            &self.publisher, kind, name, <size_t>len(name))
        if topic < 0:
            raise OverflowError(f"all {self.publisher.writer.segment.topics_max} topics are taken")
        self.kinds[topic] = kind
        self.topics = <uint32_t>topic + 1
        self.ids[(channel, instrument)] = topic
        return topic

    def publish(self, rows, int64_t ts_recv, int64_t mono_recv, *, ages=None, uint8_t flags=0,
                uint32_t feed=0, bint record_wire=True):
        self.check_open()
        if feed >= FEEDS:
            raise ValueError(f"feed {feed}: at most {FEEDS} feeds")
        fast = PySequence_Fast(rows, "rows are not a sequence")
        cdef Py_ssize_t i, count = PySequence_Fast_GET_SIZE(fast)
        cdef uint32_t filled = 0
        cdef const char *why
        if ages is not None and len(ages) != count:
            raise ValueError(f"{len(ages)} ages of {count} rows")
        cdef int64_t age_ns = 0
        cdef gw_receipt_t receipt = gw_receipt_t(feed, flags, record_wire)
        refused = []
        for i in range(count):
            why = self.row_take(
                <object>PySequence_Fast_GET_ITEM(fast, i), &self.chunk[filled])
            if why != NULL:
                refused.append((i, (<bytes>why).decode()))
                continue
            if ages is not None:
                age_ns = ages[i]
            gw_record_received(&self.chunk[filled], ts_recv - age_ns, mono_recv - age_ns)
            filled += 1
            if filled == GW_PUBLISH_MAX:
                gw_publisher_publish(&self.publisher, self.chunk, filled, &receipt)
                filled = 0
        gw_publisher_publish(&self.publisher, self.chunk, filled, &receipt)
        gw_publisher_ring(&self.publisher)
        return refused

    cdef const char *row_take(self, object row, gw_record_t *record) noexcept:
        cdef int64_t topic
        if not PyTuple_CheckExact(row) or PyTuple_GET_SIZE(row) != 6:
            return "not a tuple of six"
        if not _integer(PyTuple_GET_ITEM(row, 0), &topic) or topic >= self.topics:
            return "unknown topic"
        record.h.topic = <uint32_t>topic
        return _row_fill(row, self.kinds[topic], record)

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


cdef class Segment:
    cdef gw_segment_t view
    cdef void *mem
    cdef size_t size
    cdef list names  # (channel, instrument) by id, as far as it was looked at
    cdef dict ids  # the reverse
    cdef gw_name_t *rows  # the same names, for patterns
    cdef uint32_t rows_size

    def __init__(self, int fd):
        if self.mem != NULL:
            raise RuntimeError("already initialised")
        self.names = []
        self.ids = {}
        self.size = <size_t>os.fstat(fd).st_size
        if self.size == 0:
            raise ValueError(f"descriptor {fd} is no segment")
        # Names and last values are looked up here and there, the ring is read in part if at all.
        self.mem = _map(fd, self.size, PROT_READ, populate=False)
        if gw_segment_open(self.mem, self.size, &self.view) < 0:
            self.close()
            raise ValueError(f"descriptor {fd} is no segment")

    def __dealloc__(self):
        self.close()

    cdef int check_open(self) except -1:
        if self.mem == NULL:
            raise ValueError("segment is closed")
        return 0

    cdef int reserve(self, uint32_t count) except -1:
        """Makes room for so many names."""
        cdef uint32_t size = max(count, self.rows_size * 2, 64)
        if count <= self.rows_size:
            return 0
        rows = <gw_name_t *>realloc(self.rows, size * sizeof(gw_name_t))
        if rows == NULL:
            raise MemoryError()
        self.rows = rows
        self.rows_size = size
        return 0

    cdef int extend(self) except -1:
        """Reads the directory's new entries."""
        cdef uint8_t channel
        cdef char name[GW_INSTRUMENT_MAX]
        cdef int length
        self.check_open()
        cdef uint32_t i, count = gw_directory_count(&self.view)
        self.reserve(count)
        for i in range(<uint32_t>len(self.names), count):
            length = gw_directory_read(&self.view, i, &channel, name)
            # An entry that makes no sense still takes its id.
            self.fill_row(i, channel, name, max(length, 0))
            text = name[:max(length, 0)].decode("ascii", "replace")
            topic = (_CHANNEL_NAMES.get(channel, ""), text)
            self.names.append(topic)
            self.ids[topic] = i
        return 0

    cdef void fill_row(self, uint32_t i, uint8_t channel, const char *name, int length):
        cdef gw_name_t *row = &self.rows[i]
        row.channel = channel
        row.length = <uint8_t>length
        row.letters = gw_letters(name, <size_t>length)
        memcpy(row.text, name, <size_t>length)

    @property
    def epoch(self):
        return self.view.epoch[:GW_EPOCH_LENGTH].decode()

    def __len__(self):
        self.check_open()
        return gw_directory_count(&self.view)

    def topics(self, Py_ssize_t start=0):
        self.extend()
        return self.names[start:]

    def find(self, str channel, str instrument):
        self.check_open()
        key = (channel, instrument)
        known = self.ids.get(key)
        if known is None:
            self.extend()
            known = self.ids.get(key, -1)
        return known

    def match(self, str channel, str pattern):
        cdef Py_ssize_t length
        cdef const char *text = PyUnicode_AsUTF8AndSize(pattern, &length)
        cdef gw_glob_t glob
        cdef uint64_t steps
        cdef uint32_t matched
        self.extend()
        if gw_glob_compile(&glob, text, <size_t>length) < 0:
            raise ValueError(f"a pattern of {length} bytes")
        number = CHANNELS.get(channel)
        if number is None:
            return 0, 0
        matched = gw_names_count(self.rows, <uint32_t>len(self.names), number, &glob, &steps)
        return matched, steps

    def last_seq(self, uint32_t topic):
        cdef gw_record_t record
        self.check_open()
        cdef int found = gw_table_read(&self.view, topic, &record)
        if found < 0:
            raise BlockingIOError(-found, f"topic {topic}: its writer died inside the last value")
        return record.h.topic_seq if found else 0

    def close(self):
        if self.mem != NULL:
            munmap(self.mem, self.size)
            self.mem = NULL
        free(self.rows)
        self.rows = NULL
        self.rows_size = 0


cdef str _decimal(int64_t mantissa, int8_t exponent, uint8_t digits):
    cdef char text[GW_DECIMAL_TEXT_MAX]
    return text[:gw_decimal_format(mantissa, exponent, digits, text)].decode()


cdef object _row_fields(const gw_record_t *record):
    """What a feed published as a row's last four items. ValueError: it is no record of ours."""
    cdef const gw_trade_t *trade = &record.trade
    cdef const gw_bbo_t *bbo = &record.bbo
    if record.h.kind == GW_TRADE:
        if trade.id_length > GW_ID_MAX or trade.side > GW_SIDE_SELL:
            raise ValueError("no trade")
        return (_decimal(trade.price, trade.price_exponent, trade.price_digits),
                _decimal(trade.qty, trade.qty_exponent, trade.qty_digits),
                _SIDES.get(trade.side), trade.id[:trade.id_length].decode("ascii"))
    return tuple([
        _decimal(bbo.mantissa[i], bbo.exponent[i], bbo.digits[i]) for i in range(4)])


def record_rows(data):
    cdef const uint8_t[::1] view = data
    cdef gw_record_t record
    cdef Py_ssize_t i
    if view.shape[0] % <Py_ssize_t>sizeof(gw_record_t) != 0:
        raise ValueError(f"{view.shape[0]} bytes are no whole records")
    rows = []
    for i in range(view.shape[0] // <Py_ssize_t>sizeof(gw_record_t)):
        memcpy(&record, &view[i * <Py_ssize_t>sizeof(gw_record_t)], sizeof(gw_record_t))
        if record.h.cells == 0 or record.h.cells != gw_record_cells(record.h.kind):
            rows.append(None)
            continue
        try:
            fields = _row_fields(&record)
        except ValueError:
            rows.append(None)
            continue
        # Unsigned, since it may be anybody's: a difference that does not fit must only be wrong.
        received = <int64_t>(<uint64_t>record.h.ts_publish - record.h.ingest_ns)
        rows.append((_CHANNEL_NAMES[record.h.kind], received,
                     (record.h.topic, record.h.ts_event, *fields)))
    return rows


cdef class RingReader:
    cdef Segment segment
    cdef gw_reader_t reader
    cdef gw_record_t *buffer
    cdef size_t buffer_records
    cdef bint polling  # without the interpreter's lock

    def __init__(self, int fd, *, bint from_start=False):
        if self.segment is not None:
            raise RuntimeError("already initialised")
        self.segment = Segment(fd)
        self.reader.segment = self.segment.view
        self.reader.cursor = 0 if from_start else GW_LOAD_ACQUIRE(self.segment.view.tail)

    def __dealloc__(self):
        free(self.buffer)

    cdef int check_open(self) except -1:
        if self.segment is None or self.segment.mem == NULL:
            raise ValueError("ring reader is closed")
        if self.polling:
            raise RuntimeError("another thread is polling")
        return 0

    cdef int reserve(self, size_t limit) except -1:
        """Has room for so many records in the buffer."""
        self.check_open()
        if not 1 <= limit <= POLL_MAX:
            raise ValueError(f"limit {limit}: 1 to {POLL_MAX} records")
        if limit > self.buffer_records:
            free(self.buffer)
            self.buffer_records = 0
            self.buffer = <gw_record_t *>malloc(limit * sizeof(gw_record_t))
            if self.buffer == NULL:
                raise MemoryError
            self.buffer_records = limit
        return 0

    def poll(self, size_t limit=4096):
        self.reserve(limit)
        cdef int64_t size = gw_reader_poll(&self.reader, self.buffer, limit * sizeof(gw_record_t))
        if size < 0:
            return None
        return [self.row(&self.buffer[i]) for i in range(size // <int64_t>sizeof(gw_record_t))]

    def rewind(self, uint64_t size):
        self.check_open()
        return gw_reader_rewind(&self.reader, size)

    def poll_raw(self, size_t limit=4096):
        cdef int64_t size
        self.reserve(limit)
        self.polling = True
        with nogil:
            size = gw_reader_poll(&self.reader, self.buffer, limit * sizeof(gw_record_t))
        self.polling = False
        return None if size < 0 else (<uint8_t *>self.buffer)[:size]

    def topics(self):
        self.check_open()
        return self.segment.topics()

    @property
    def epoch(self):
        self.check_open()
        return self.segment.epoch

    cdef dict row(self, const gw_record_t *record):
        if record.h.topic >= <uint32_t>len(self.segment.names):
            self.segment.extend()
        channel, instrument = self.segment.names[record.h.topic]
        row = {
            "channel": channel, "instrument": instrument, "topic": record.h.topic,
            "ring_seq": record.h.ring_seq, "seq": record.h.topic_seq, "flags": record.h.flags,
            "ts_event": record.h.ts_event, "ts_recv": record.h.ts_recv,
            "ts_publish": record.h.ts_publish, "ingest_ns": record.h.ingest_ns,
        }
        cdef const gw_trade_t *trade = &record.trade
        cdef const gw_bbo_t *bbo = &record.bbo
        if record.h.kind == GW_TRADE:
            row["price"] = _decimal(trade.price, trade.price_exponent, trade.price_digits)
            row["qty"] = _decimal(trade.qty, trade.qty_exponent, trade.qty_digits)
            row["side"] = _SIDES.get(trade.side, "")
            row["id"] = trade.id[:min(trade.id_length, GW_ID_MAX)].decode()
        else:
            for i, name in enumerate(_BBO_FIELDS):
                row[name] = _decimal(bbo.mantissa[i], bbo.exponent[i], bbo.digits[i])
        return row

    def close(self):
        if self.polling:
            raise RuntimeError("another thread is polling: let it return first")
        if self.segment is not None:
            self.segment.close()
