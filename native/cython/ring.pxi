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
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from posix.unistd cimport close as close_descriptor

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *length) except NULL

cdef extern from "<fcntl.h>" nogil:
    int F_SEAL_FUTURE_WRITE

cdef extern from "gw_pattern.h" nogil:
    bint gw_pattern_match(
        const char *pattern, size_t pattern_length, const char *name, size_t name_length)

cdef extern from "gw_record.h" nogil:
    enum: GW_CHANNELS, GW_INSTRUMENT_MAX, GW_DECIMAL_TEXT_MAX
    enum: GW_TRADE, GW_BBO, GW_SIDE_BUY, GW_SIDE_SELL, GW_FLAG_BAD_TS, GW_FLAG_PACED

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

    const char *gw_trade_fill(
        gw_trade_t *trade, gw_text_t price, gw_text_t qty, gw_text_t side, gw_text_t id)
    const char *gw_bbo_fill(gw_bbo_t *bbo, const gw_text_t *sides)
    size_t gw_decimal_format(int64_t mantissa, int8_t exponent, uint8_t digits, char *out)

cdef extern from "gw_ring.h" nogil:
    enum: GW_EPOCH_LENGTH

    ctypedef struct gw_segment_t:
        uint32_t topics_max
        char epoch[9]
        uint64_t *tail

    ctypedef struct gw_writer_t:
        gw_segment_t segment
        uint64_t tail

    ctypedef struct gw_reader_t:
        gw_segment_t segment
        uint64_t cursor

    ctypedef struct gw_wait_t:
        uint64_t attached, cursor, epoch, backlogged, subscribed

    size_t gw_segment_size(uint64_t capacity, uint32_t topics_max)
    int gw_segment_format(
        void *mem, size_t size, uint64_t capacity, uint32_t topics_max, const char *epoch)
    int gw_segment_open(void *mem, size_t size, gw_segment_t *view)
    int gw_writer_init(gw_writer_t *w, void *mem, size_t size)
    void gw_writer_free(gw_writer_t *w)
    int64_t gw_writer_topic_add(gw_writer_t *w, uint8_t channel, const char *name, size_t length)
    void gw_writer_publish(gw_writer_t *w, gw_record_t *record)
    int64_t gw_reader_poll(gw_reader_t *r, void *buffer, size_t size)
    uint32_t gw_directory_count(const gw_segment_t *s)
    int gw_directory_read(const gw_segment_t *s, uint32_t id, uint8_t *channel, char *name)
    int gw_table_read(const gw_segment_t *s, uint32_t id, gw_record_t *out)
    void gw_wait_ring(gw_wait_t *wait, int event_fd)


CHANNELS = {"trade": GW_TRADE, "bbo": GW_BBO}
FLAG_PACED = GW_FLAG_PACED
WAIT_SIZE = sizeof(gw_wait_t)
Row = tuple  # what is in it, the stub spells out

cdef dict _CHANNEL_NAMES = {number: name for name, number in CHANNELS.items()}
cdef tuple _BBO_FIELDS = ("bid", "bid_qty", "ask", "ask_qty")
cdef dict _SIDES = {GW_SIDE_BUY: "buy", GW_SIDE_SELL: "sell"}

# SYMBOL.VENUE, split at the last dot: a venue has none. Printable ASCII but space * " \ and comma.
cdef object _INSTRUMENT = re.compile(
    r"(?P<symbol>[!#-)+\-./0-\[\]-~]{1,48})\.(?P<venue>[A-Z0-9_]{1,16})")

cdef uint64_t _epoch_ms = 0  # of the last epoch that this process made

cdef enum:
    CHUNK = 64  # records filled between two reads of the clock
    FEEDS = 64  # length of the feed_* counters


cdef bytes _epoch_next():
    """REALTIME milliseconds in base 36: epochs sort by time, two in one millisecond differ."""
    global _epoch_ms
    _epoch_ms = max(<uint64_t>(gw_realtime_ns() // 1000000), _epoch_ms + 1)
    text = numpy.base_repr(_epoch_ms, 36).lower()
    return text.rjust(GW_EPOCH_LENGTH, "0").encode()


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
    record.h.kind = kind
    if kind == GW_TRADE:
        return gw_trade_fill(&record.trade, texts[0], texts[1], texts[2], texts[3])
    return gw_bbo_fill(&record.bbo, texts)


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


cdef class RingWriter:
    cdef gw_writer_t writer
    cdef gw_record_t chunk[CHUNK]
    cdef void *mem
    cdef size_t size
    cdef gw_wait_t *waits
    cdef size_t workers
    cdef int *event_fds
    cdef int memory_fd
    cdef uint8_t *kinds
    cdef uint32_t topics
    cdef dict ids
    cdef StatsPage stats

    def __cinit__(self):
        self.memory_fd = -1

    def __init__(self, uint64_t capacity, uint32_t topics_max, *, int wait_fd=-1, event_fds=(),
                 StatsPage stats=None):
        if self.mem != NULL:
            raise RuntimeError("already initialised")
        self.ids = {}
        self.stats = stats
        self.segment_create(capacity, topics_max)
        if wait_fd >= 0:
            self.workers_map(wait_fd, event_fds)

    cdef int segment_create(self, uint64_t capacity, uint32_t topics_max) except -1:
        self.size = gw_segment_size(capacity, topics_max)
        self.memory_fd = create_memory("tickgate-ring", self.size)
        self.mem = _map(self.memory_fd, self.size, PROT_READ | PROT_WRITE)
        if gw_segment_format(self.mem, self.size, capacity, topics_max, _epoch_next()) < 0:
            raise ValueError(f"ring of {capacity} bytes (a power of two from 4096 on) and "
                             f"{topics_max} topics (at least 1)")
        # Sealed after our own mapping: nobody else can write, and nobody can cut it under a reader.
        fcntl.fcntl(self.memory_fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
                    | F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL)
        self.kinds = <uint8_t *>calloc(topics_max, 1)
        if self.kinds == NULL or gw_writer_init(&self.writer, self.mem, self.size) < 0:
            raise MemoryError
        return 0

    cdef int workers_map(self, int wait_fd, event_fds) except -1:
        cdef size_t i, workers = len(event_fds)
        if workers == 0:
            return 0
        self.waits = <gw_wait_t *>_map(wait_fd, workers * sizeof(gw_wait_t), PROT_READ | PROT_WRITE)
        self.workers = workers
        self.event_fds = <int *>calloc(workers, sizeof(int))
        if self.event_fds == NULL:
            raise MemoryError
        for i in range(workers):
            self.event_fds[i] = event_fds[i]
        return 0

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        gw_writer_free(&self.writer)
        if self.mem != NULL:
            munmap(self.mem, self.size)
            self.mem = NULL
        if self.waits != NULL:
            munmap(self.waits, self.workers * sizeof(gw_wait_t))
            self.waits = NULL
        self.workers = 0
        free(self.event_fds)
        self.event_fds = NULL
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
        return self.writer.segment.epoch[:GW_EPOCH_LENGTH].decode()

    def topic(self, str channel, str instrument):
        known = self.ids.get((channel, instrument))
        if known is not None:
            return known
        self.check_open()
        if channel not in CHANNELS:
            raise ValueError(f"unknown channel {channel!r}")
        if _INSTRUMENT.fullmatch(instrument) is None:
            raise ValueError(f"instrument {instrument!r} is not SYMBOL.VENUE")
        name = instrument.encode()
        cdef uint8_t kind = CHANNELS[channel]
        cdef int64_t topic = gw_writer_topic_add(&self.writer, kind, name, <size_t>len(name))
        if topic < 0:
            raise OverflowError(f"all {self.writer.segment.topics_max} topics are taken")
        self.kinds[topic] = kind
        self.topics = <uint32_t>topic + 1
        self.ids[(channel, instrument)] = topic
        return topic

    def publish(self, rows, int64_t ts_recv, int64_t mono_recv, *, uint8_t flags=0,
                uint32_t feed=0, bint record_wire=True):
        self.check_open()
        if feed >= FEEDS:
            raise ValueError(f"feed {feed}: at most {FEEDS} feeds")
        fast = PySequence_Fast(rows, "rows are not a sequence")
        cdef Py_ssize_t i, count = PySequence_Fast_GET_SIZE(fast)
        cdef uint32_t filled = 0
        cdef const char *why
        cdef gw_record_t *record
        refused = []
        for i in range(count):
            record = &self.chunk[filled]
            why = self.row_take(<object>PySequence_Fast_GET_ITEM(fast, i), record)
            if why != NULL:
                refused.append((i, (<bytes>why).decode()))
                continue
            record.h.flags = flags
            self.wire_take(&record.h, ts_recv, feed, record_wire)
            filled += 1
            if filled == CHUNK:
                self.chunk_publish(filled, mono_recv)
                filled = 0
        self.chunk_publish(filled, mono_recv)
        self.workers_ring()
        return refused

    cdef const char *row_take(self, object row, gw_record_t *record) noexcept:
        cdef int64_t topic
        if not PyTuple_CheckExact(row) or PyTuple_GET_SIZE(row) != 6:
            return "not a tuple of six"
        if not _integer(PyTuple_GET_ITEM(row, 0), &topic) or topic >= self.topics:
            return "unknown topic"
        record.h.topic = <uint32_t>topic
        return _row_fill(row, self.kinds[topic], record)

    cdef void wire_take(self, gw_header_t *h, int64_t ts_recv, uint32_t feed, bint record) noexcept:
        """Stamps the receipt, and measures how long the venue's message travelled."""
        h.ts_recv = ts_recv
        if h.ts_event == 0:
            h.ts_event = ts_recv
            return
        if not record:
            return
        cdef int64_t wire_ns = ts_recv - h.ts_event
        if wire_ns < 0:
            h.flags |= GW_FLAG_BAD_TS
        if self.stats is not None and self.stats.page != NULL:
            gw_hdr_record(&self.stats.page.stage[GW_STAGE_WIRE], wire_ns, 1)
            if wire_ns < 0:
                gw_hdr_add(&self.stats.page.clock_anomalies[feed], 1)

    cdef void chunk_publish(self, uint32_t count, int64_t mono_recv) noexcept:
        cdef int64_t now = gw_monotonic_ns(), ingest_ns = now - mono_recv
        cdef uint32_t i
        cdef gw_stats_t *page = NULL if self.stats is None else self.stats.page
        # Stamped apart from publishing: a small store just before its word is loaded would stall.
        for i in range(count):
            self.chunk[i].h.ts_publish = now
            self.chunk[i].h.ingest_ns = <uint32_t>min(max(ingest_ns, 0), <int64_t>UINT32_MAX)
        for i in range(count):
            gw_writer_publish(&self.writer, &self.chunk[i])
            if page != NULL:
                gw_hdr_add(&page.published[self.chunk[i].h.kind], 1)
        if page != NULL and count > 0:
            gw_hdr_record(&page.stage[GW_STAGE_INGEST], ingest_ns, count)

    cdef void workers_ring(self) noexcept:
        cdef size_t i
        for i in range(self.workers):
            gw_wait_ring(&self.waits[i], self.event_fds[i])

    cdef bint follows(self, gw_wait_t *wait) noexcept:
        """Whether this worker's plane follows this very segment, not one of an older epoch."""
        cdef uint64_t epoch
        memcpy(&epoch, self.writer.segment.epoch, sizeof(epoch))
        return GW_LOAD_ACQUIRE(&wait.attached) != 0 and GW_LOAD_RELAXED(&wait.epoch) == epoch

    def behind(self):
        cdef size_t i
        cdef uint64_t cursor, slowest = self.writer.tail
        for i in range(self.workers):
            if self.follows(&self.waits[i]):
                cursor = GW_LOAD_RELAXED(&self.waits[i].cursor)
                slowest = min(slowest, cursor)
        return self.writer.tail - slowest

    def backlogged(self):
        cdef size_t i
        cdef uint64_t total = 0
        for i in range(self.workers):
            if self.follows(&self.waits[i]):
                total += GW_LOAD_RELAXED(&self.waits[i].backlogged)
        return total

    def subscribed(self):
        cdef size_t i
        cdef uint64_t total = 0
        for i in range(self.workers):
            if self.follows(&self.waits[i]):
                total += GW_LOAD_RELAXED(&self.waits[i].subscribed)
        return total

    def close(self):
        self.release()


cdef class Segment:
    cdef gw_segment_t view
    cdef void *mem
    cdef size_t size
    cdef list names  # (channel, instrument) by id, as far as it was looked at
    cdef dict ids  # the reverse

    def __init__(self, int fd):
        if self.mem != NULL:
            raise RuntimeError("already initialised")
        self.names = []
        self.ids = {}
        self.size = <size_t>os.fstat(fd).st_size
        if self.size == 0:
            raise ValueError(f"descriptor {fd} is no segment")
        self.mem = _map(fd, self.size, PROT_READ)
        if gw_segment_open(self.mem, self.size, &self.view) < 0:
            self.close()
            raise ValueError(f"descriptor {fd} is no segment")

    def __dealloc__(self):
        if self.mem != NULL:
            munmap(self.mem, self.size)

    cdef int extend(self) except -1:
        """Reads the directory's new entries."""
        cdef uint8_t channel
        cdef char name[GW_INSTRUMENT_MAX]
        cdef int length
        if self.mem == NULL:
            raise ValueError("segment is closed")
        cdef uint32_t i, count = gw_directory_count(&self.view)
        for i in range(<uint32_t>len(self.names), count):
            length = gw_directory_read(&self.view, i, &channel, name)
            # An entry that makes no sense still takes its id.
            text = name[:max(length, 0)].decode("ascii", "replace")
            topic = (_CHANNEL_NAMES.get(channel, ""), text)
            self.names.append(topic)
            self.ids[topic] = i
        return 0

    @property
    def epoch(self):
        return self.view.epoch[:GW_EPOCH_LENGTH].decode()

    def __len__(self):
        if self.mem == NULL:
            raise ValueError("segment is closed")
        return gw_directory_count(&self.view)

    def topics(self, Py_ssize_t start=0):
        self.extend()
        return self.names[start:]

    def find(self, str channel, str instrument):
        key = (channel, instrument)
        known = self.ids.get(key)
        if known is None:
            self.extend()
            known = self.ids.get(key, -1)
        return known

    def match(self, str channel, str pattern):
        cdef Py_ssize_t pattern_length, length
        cdef const char *p = PyUnicode_AsUTF8AndSize(pattern, &pattern_length)
        cdef const char *n
        cdef Py_ssize_t matched = 0
        self.extend()
        for topic_channel, name in self.names:
            if topic_channel != channel:
                continue
            n = PyUnicode_AsUTF8AndSize(name, &length)
            if gw_pattern_match(p, <size_t>pattern_length, n, <size_t>length):
                matched += 1
        return matched

    def last_seq(self, uint32_t topic):
        cdef gw_record_t record
        if self.mem == NULL:
            raise ValueError("segment is closed")
        cdef int found = gw_table_read(&self.view, topic, &record)
        if found < 0:
            raise BlockingIOError(-found, f"topic {topic}: its writer died inside the last value")
        return record.h.topic_seq if found else 0

    def close(self):
        if self.mem != NULL:
            munmap(self.mem, self.size)
            self.mem = NULL


cdef str _decimal(int64_t mantissa, int8_t exponent, uint8_t digits):
    cdef char text[GW_DECIMAL_TEXT_MAX]
    return text[:gw_decimal_format(mantissa, exponent, digits, text)].decode()


cdef class RingReader:
    cdef Segment segment
    cdef gw_reader_t reader
    cdef gw_record_t *buffer
    cdef size_t buffer_records

    def __init__(self, int fd, *, bint from_start=False):
        self.segment = Segment(fd)
        self.reader.segment = self.segment.view
        self.reader.cursor = 0 if from_start else GW_LOAD_ACQUIRE(self.segment.view.tail)

    def __dealloc__(self):
        free(self.buffer)

    def poll(self, size_t limit=4096):
        if self.segment.mem == NULL:
            raise ValueError("ring reader is closed")
        if limit > self.buffer_records:
            free(self.buffer)
            self.buffer_records = 0
            self.buffer = <gw_record_t *>malloc(limit * sizeof(gw_record_t))
            if self.buffer == NULL:
                raise MemoryError
            self.buffer_records = limit
        cdef int64_t size = gw_reader_poll(&self.reader, self.buffer, limit * sizeof(gw_record_t))
        if size < 0:
            return None
        return [self.row(&self.buffer[i]) for i in range(size // <int64_t>sizeof(gw_record_t))]

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
            row["id"] = trade.id[:trade.id_length].decode()
        else:
            for i, name in enumerate(_BBO_FIELDS):
                row[name] = _decimal(bbo.mantissa[i], bbo.exponent[i], bbo.digits[i])
        return row

    def close(self):
        self.segment.close()
