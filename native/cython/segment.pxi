import re

from libc.stdlib cimport calloc, free, malloc, realloc
from posix.unistd cimport close as close_descriptor

cdef extern from "gw_pattern.h" nogil:
    bint gw_pattern_match(
        const char *pattern, size_t pattern_length, const char *name, size_t name_length)

    ctypedef struct gw_glob_t:
        pass

    int gw_glob_compile(gw_glob_t *g, const char *text, size_t length)

cdef extern from "gw_names.h" nogil:
    ctypedef struct gw_name_t:
        uint64_t letters
        uint8_t channel, length
        char text[113]

    void gw_name_fill(gw_name_t *n, uint8_t channel, const char *name, size_t length)
    uint32_t gw_names_count(const gw_name_t *names, uint32_t names_count, uint8_t channel,
                            const gw_glob_t *g, uint64_t *steps)

cdef extern from "gw_ring.h" nogil:
    enum: GW_EPOCH_LENGTH

    ctypedef struct gw_segment_t:
        uint64_t capacity
        uint32_t topics_max
        char epoch[9]
        uint64_t *tail
        gw_book_pool_t books

    ctypedef struct gw_writer_t:
        gw_segment_t segment
        uint32_t retired_count

    ctypedef struct gw_reader_t:
        gw_segment_t segment
        uint64_t cursor

    enum: GW_POLL_ROOM

    ctypedef struct gw_wait_t:
        uint64_t attached, cursor, epoch, backlogged, subscribed

    size_t gw_segment_size(uint64_t capacity, uint32_t topics_max)
    enum: GW_BOOK_LEVELS_MAX, GW_BOOK_BOOKS_MAX
    gw_book_sizes_t gw_segment_books(uint32_t topics_max, uint32_t book_levels)

    size_t gw_segment_books_size(uint64_t capacity, uint32_t topics_max, uint32_t book_levels)
    int gw_segment_books_format(void *mem, size_t size, uint64_t capacity, uint32_t topics_max,
                                uint32_t book_levels, const char *epoch)
    int gw_segment_open(void *mem, size_t size, gw_segment_t *view)
    int64_t gw_reader_poll(gw_reader_t *r, void *buffer, size_t size)
    bint gw_record_is_of(const gw_record_t *record, uint32_t generation)
    void gw_writer_full(gw_writer_t *w, uint32_t limit)
    uint32_t gw_directory_full(const gw_segment_t *s)
    uint32_t gw_directory_count(const gw_segment_t *s)
    ctypedef struct gw_entry_name_t:
        char name[113]
        uint8_t channel, retired
        uint32_t generation

    int gw_directory_entry(const gw_segment_t *s, uint32_t id, gw_entry_name_t *out)
    uint64_t gw_directory_changes(const gw_segment_t *s)
    uint64_t gw_directory_version(const gw_segment_t *s, uint32_t id)
    int gw_reader_book(const gw_segment_t *s, uint32_t topic, gw_book_copy_t *out)
    int gw_table_read(
        const gw_segment_t *s, uint32_t id, gw_record_t *out, uint64_t *position)

cdef extern from "gw_locate.h" nogil:
    uint64_t gw_reader_rewind(gw_reader_t *r, uint64_t bytes)


cdef bytes _glob(str pattern):
    """A request's pattern as the core takes it. ValueError: `~` before anything but `*` and `~`."""
    if "~" not in pattern:
        return pattern.encode()
    parts = re.split("(~.?)", pattern, flags=re.DOTALL)
    for i in range(1, len(parts), 2):
        if parts[i] not in ("~*", "~~"):
            raise ValueError(f"{parts[i]!a} in a pattern: a literal tilde is '~~'")
        parts[i] = "\1" if parts[i] == "~*" else "~"
    return "".join(parts).encode()


def create_memory(str name, int64_t size):
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
    except OSError:
        os.close(fd)
        raise
    return fd


def pattern_match(str pattern, str name):
    cdef bytes p = _glob(pattern), n = name.replace("*", "\1").encode()
    return gw_pattern_match(p, <size_t>len(p), n, <size_t>len(n))


cdef tuple _ENDED = ("", "")


cdef tuple _entry_topic(const gw_entry_name_t *entry, int length):
    return _CHANNEL_NAMES.get(entry.channel, ""), entry.name[:length].decode("utf-8", "replace")


cdef class Segment:
    cdef gw_segment_t view
    cdef void *mem
    cdef size_t size
    cdef list names  # (channel, instrument) by id, as far as it was looked at; retired: both empty
    cdef dict ids  # the reverse
    cdef gw_name_t *rows  # the same names, for patterns
    cdef uint64_t *versions  # of the entries as they were read
    cdef uint64_t changes_seen
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
        versions = <uint64_t *>realloc(self.versions, size * sizeof(uint64_t))
        if versions == NULL:
            raise MemoryError()
        self.versions = versions
        self.rows_size = size
        return 0

    cdef int extend(self) except -1:
        """Reads the directory's new entries, and those that have changed."""
        self.check_open()
        cdef uint64_t changes = gw_directory_changes(&self.view)
        cdef uint32_t i, count = gw_directory_count(&self.view)
        self.reserve(count)
        if changes != self.changes_seen:
            for i in range(<uint32_t>len(self.names)):
                if gw_directory_version(&self.view, i) != self.versions[i]:
                    self.read(i)
        self.changes_seen = changes
        for i in range(<uint32_t>len(self.names), count):
            self.names.append(_ENDED)
            self.read(i)
        return 0

    cdef int read(self, uint32_t i) except -1:
        """Reads one entry; what makes no sense, or has ended, still takes its id."""
        cdef gw_entry_name_t entry
        before = self.names[i]
        if self.ids.get(before) == i:
            del self.ids[before]
        self.versions[i] = gw_directory_version(&self.view, i)
        cdef int length = gw_directory_entry(&self.view, i, &entry)
        if length <= 0 or entry.retired:
            gw_name_fill(&self.rows[i], 0, entry.name, 0)
            self.names[i] = _ENDED
            return 0
        gw_name_fill(&self.rows[i], entry.channel, entry.name, <size_t>length)
        topic = _entry_topic(&entry, length)
        self.names[i] = topic
        self.ids[topic] = i
        return 0

    @property
    def epoch(self):
        return self.view.epoch[:GW_EPOCH_LENGTH].decode()

    def __len__(self):
        self.check_open()
        return gw_directory_count(&self.view)

    @property
    def changes(self):
        self.check_open()
        return gw_directory_changes(&self.view)

    @property
    def full(self):
        self.check_open()
        return gw_directory_full(&self.view)

    def topics(self, Py_ssize_t start=0):
        self.extend()
        return self.names[start:]

    def find(self, str channel, str instrument):
        self.check_open()
        key = (channel, instrument)
        known = self.ids.get(key)
        if known is None or gw_directory_changes(&self.view) != self.changes_seen:
            self.extend()
            known = self.ids.get(key, -1)
        return known

    def granted(self, Right right not None):
        self.extend()
        cdef uint32_t i, steps = 0
        cdef uint32_t found[2]
        return [
            self.names[i]
            for i in range(<uint32_t>len(self.names))
            if self.rows[i].length and gw_right_decide(&right.right, &self.rows[i], found, &steps)
        ]

    def match(self, str channel, str pattern, Right right=None):
        cdef bytes text = _glob(pattern)
        cdef gw_glob_t glob
        cdef uint64_t steps
        cdef uint32_t matched
        self.extend()
        if gw_glob_compile(&glob, text, <size_t>len(text)) < 0:
            raise ValueError(f"a pattern of {len(text)} bytes")
        number = CHANNELS.get(channel)
        if number is None:
            return 0, 0
        cdef uint32_t count = <uint32_t>len(self.names)
        if right is None:
            matched = gw_names_count(self.rows, count, number, &glob, &steps)
        else:
            matched = gw_right_count(&right.right, self.rows, count, number, &glob, &steps)
        return matched, steps

    def last_seq(self, uint32_t topic):
        cdef gw_record_t record
        self.check_open()
        cdef int found = gw_table_read(&self.view, topic, &record, NULL)
        if found == -errno.EAGAIN:
            raise BlockingIOError(-found, f"topic {topic}: its writer died inside the last value")
        cdef uint64_t version = gw_directory_version(&self.view, topic) if found else 0
        if not found or not gw_record_is_of(&record, <uint32_t>(version // 4)):
            return 0
        return record.h.topic_seq

    def book(self, uint32_t topic):
        self.check_open()
        cdef gw_book_copy_t copy
        cdef uint32_t room = 4096, i
        cdef int error = -errno.ENOBUFS
        while error == -errno.ENOBUFS:
            copy.rows, copy.room = <gw_book_row_t *>malloc(room * sizeof(gw_book_row_t)), room
            if copy.rows == NULL:
                raise MemoryError
            try:
                error = gw_reader_book(&self.view, topic, &copy)
                room = copy.count + 1024
                if error == -errno.ENOENT:
                    return None
                if error == -errno.EAGAIN:
                    raise BlockingIOError(-error, f"topic {topic}: its book is being written")
                if error == 0:
                    rows = [(copy.rows[i].side, _book_texts(&copy.rows[i], copy.scale, False))
                            for i in range(copy.count)]
            finally:
                free(copy.rows)
        return (copy.seq, [row for side, row in reversed(rows) if side == GW_BOOK_BID],
                [row for side, row in reversed(rows) if side == GW_BOOK_ASK])

    def close(self):
        if self.mem != NULL:
            munmap(self.mem, self.size)
            self.mem = NULL
        free(self.rows)
        self.rows = NULL
        free(self.versions)
        self.versions = NULL
        self.rows_size = 0
