cdef extern from "gw_past.h" nogil:
    ctypedef struct gw_start_t:
        uint64_t position
        int64_t ts_publish

    int gw_reader_state_before(
        const gw_reader_t *r, uint32_t topic, const gw_start_t *start, gw_record_t *out)
    bint gw_reader_book_peek(
        const gw_segment_t *s, uint32_t place, uint64_t *owner, uint64_t *seq)
    int gw_reader_book_at(
        const gw_segment_t *s, uint32_t place, gw_record_t *last, gw_book_copy_t *out)


cdef enum:
    POLL_MAX = 1 << 20  # records at once
    BOOK_ROOM = 4096  # rows of a copy at first
    UNWANTED = 0xfffffffe  # instead of a number: the topic is none of those asked for


ctypedef struct _life_t:
    uint32_t generation, number


cdef bint _is_since(
    const gw_record_t *record, int64_t since_ns, int64_t books_since_ns
) noexcept:
    return record.h.ts_publish >= (books_since_ns if record.h.kind == GW_BOOK else since_ns)


cdef class RingReader:
    """Numbers topics by itself: a place of the directory may be one topic's after another's."""

    cdef Segment segment
    cdef list lives  # (channel, instrument) by number; empty: ended before it could be named
    cdef dict numbers  # (place, generation) -> number
    cdef _life_t *newest  # of each place below `places`
    cdef uint32_t places
    cdef uint64_t changes_seen
    cdef gw_reader_t reader
    cdef uint8_t *buffer
    cdef size_t buffer_size
    cdef bint polling  # without the interpreter's lock
    cdef set resets  # places of books whose record did not say what changed, since `untold`
    cdef str venue  # of which alone topics are wanted, those that feeds bring; None: all are

    def __init__(self, int fd, *, bint from_start=False, str venue=None):
        if self.segment is not None:
            raise RuntimeError("already initialised")
        self.segment = Segment(fd)
        self.lives = []
        self.numbers = {}
        self.resets = set()
        self.venue = None if venue is None else f".{venue}"
        self.newest = <_life_t *>calloc(self.segment.view.topics_max, sizeof(_life_t))
        if self.newest == NULL:
            raise MemoryError
        self.reader.segment = self.segment.view
        self.reader.cursor = 0 if from_start else GW_LOAD_ACQUIRE(self.segment.view.tail)

    def __dealloc__(self):
        free(self.buffer)
        free(self.newest)

    cdef int check_open(self) except -1:
        if self.segment is None or self.segment.mem == NULL:
            raise ValueError("ring reader is closed")
        if self.polling:
            raise RuntimeError("another thread is polling")
        return 0

    cdef size_t room(self, size_t limit) except 0:
        """That of at most so many records, as nearly all are."""
        self.check_open()
        if not 1 <= limit <= POLL_MAX:
            raise ValueError(f"limit {limit}: 1 to {POLL_MAX} records")
        return limit * GW_RECORD_CELLS * GW_CELL

    cdef int64_t take(self, size_t size) except? -3:
        """Polls into the buffer; where the next record is longer than that, that one at least."""
        cdef int64_t taken = GW_POLL_ROOM
        while taken == GW_POLL_ROOM:
            if size > self.buffer_size:
                free(self.buffer)
                self.buffer_size = 0
                self.buffer = <uint8_t *>malloc(size)
                if self.buffer == NULL:
                    raise MemoryError
                self.buffer_size = size
            self.polling = True
            with nogil:
                taken = gw_reader_poll(&self.reader, self.buffer, size)
            self.polling = False
            size = GW_RECORD_CELLS_MAX * GW_CELL
        return taken

    def poll(self, size_t limit=4096):
        cdef gw_record_t record
        cdef int64_t at = 0, size = self.take(self.room(limit))
        if size < 0:
            return None
        rows = []
        while at < size:
            # Its tail may be used though it has none: what a record says of itself is anybody's.
            memset(&record.tail, 0, sizeof(gw_tail_t))
            gw_record_copy(&record, <const gw_record_t *>(self.buffer + at))
            rows.append(self.row(&record))
            at += record.h.cells * GW_CELL
        return rows

    def rewind(self, uint64_t size):
        self.check_open()
        return gw_reader_rewind(&self.reader, size)

    @property
    def position(self):
        self.check_open()
        return self.reader.cursor

    def poll_raw(self, size_t limit=4096, int64_t since_ns=0, books_since_ns=None):
        cdef int64_t size = self.take(self.room(limit))
        if size < 0:
            return None
        return self.copy(size, since_ns, since_ns if books_since_ns is None else books_since_ns)

    def seek(self, uint64_t position):
        cdef uint64_t tail, most
        self.check_open()
        tail = GW_LOAD_ACQUIRE(self.segment.view.tail)
        most = self.segment.view.capacity - self.segment.view.capacity // 8
        if position > tail or tail - position > most:
            return gw_reader_rewind(&self.reader, most)
        self.reader.cursor = position
        return tail - position

    def states_before(self, uint32_t first, uint32_t end, uint64_t position, int64_t ts_publish):
        self.check_open()
        cdef gw_start_t start = gw_start_t(position, ts_publish)
        cdef gw_record_t record
        cdef uint32_t place
        cdef list out = []
        for place in range(first, min(end, gw_directory_count(&self.segment.view))):
            if gw_reader_state_before(&self.reader, place, &start, &record) == 1:
                record.h.topic = self.number(&record)
                if record.h.topic != UNWANTED:
                    out.append((<char *>&record)[:record.h.cells * GW_CELL])
        return b"".join(out)

    @property
    def places(self):
        self.check_open()
        return gw_directory_count(&self.segment.view)

    @property
    def books_max(self):
        self.check_open()
        return self.segment.view.books.sizes.books

    def book_at(self, uint32_t place, uint64_t owner=0, uint64_t seq=0):
        self.check_open()
        cdef gw_record_t last
        cdef gw_book_copy_t copy
        cdef uint64_t owner_now, seq_now, position = GW_LOAD_ACQUIRE(self.segment.view.tail)
        cdef uint32_t room = BOOK_ROOM
        cdef int error = -errno.ENOBUFS
        if not gw_reader_book_peek(&self.segment.view, place, &owner_now, &seq_now):
            return None
        if self.venue is not None and self.number_at(
                <uint32_t>owner_now, <uint16_t>(owner_now >> 32)) == UNWANTED:
            return None
        if owner_now == owner and seq_now == seq:
            return owner, seq, position, 0, []
        while error == -errno.ENOBUFS:
            copy.rows, copy.room = <gw_book_row_t *>malloc(room * sizeof(gw_book_row_t)), room
            if copy.rows == NULL:
                raise MemoryError
            try:
                with nogil:
                    error = gw_reader_book_at(&self.segment.view, place, &last, &copy)
                room = copy.count + 1024
                if error == 0:
                    return (copy.owner, copy.seq, position, copy.count,
                            _book_state_parts(&last, &copy))
            finally:
                free(copy.rows)
        if error == -errno.ENOENT:
            return None
        raise BlockingIOError(-error, f"the book at place {place} is being written")

    def number_of(self, uint64_t owner):
        self.check_open()
        return self.number_at(<uint32_t>owner, <uint16_t>(owner >> 32))

    cdef bytes copy(self, int64_t size, int64_t since_ns, int64_t books_since_ns):
        """The buffer's records that were published from then on."""
        cdef int64_t at = 0, length = 0, cells
        cdef const gw_record_t *record
        while at < size:
            record = <const gw_record_t *>(self.buffer + at)
            cells = record.h.cells * GW_CELL
            length += cells if self.takes(record, since_ns, books_since_ns) else 0
            at += cells
        cdef bytes out = PyBytes_FromStringAndSize(NULL, length)
        cdef char *to = <char *>out
        at = 0
        while at < size:
            record = <const gw_record_t *>(self.buffer + at)
            cells = record.h.cells * GW_CELL
            if self.takes(record, since_ns, books_since_ns):
                memcpy(to, record, <size_t>cells)
                (<gw_record_t *>to).h.topic = self.number(record)
                if record.h.kind == GW_BOOK and not record.h.flags & GW_FLAG_RETIRED:
                    self.look(<gw_record_t *>to)
                to += cells
            at += cells
        return out

    cdef int look(self, gw_record_t *book) except -1:
        cdef gw_book_message_t *m = gw_book_message(book)
        if m.what & GW_BOOK_RECORD_RESET:
            self.resets.add(m.book)
        return 0

    def untold(self):
        places, self.resets = self.resets, set()
        return sorted(places)

    cdef bint takes(
        self, const gw_record_t *record, int64_t since_ns, int64_t books_since_ns
    ) except -1:
        if not _is_since(record, since_ns, books_since_ns):
            return False
        return self.venue is None or self.number(record) != UNWANTED

    cdef uint32_t number(self, const gw_record_t *record) except? 0xffffffff:
        """Of the record's topic, which it takes from the record's place and generation."""
        return self.number_at(record.h.topic, record.h.generation)

    cdef uint32_t number_at(self, uint32_t place, uint16_t half) except? 0xffffffff:
        """Of the topic at a place, by the lower half of its generation."""
        cdef uint32_t generation = half
        if place < self.places and <uint16_t>self.newest[place].generation == half:
            return self.newest[place].number
        self.learn()
        if place < self.places:
            # It is of the newest one of which that is so.
            generation = self.newest[place].generation
            generation -= <uint16_t>(generation - half)
            if generation == self.newest[place].generation:
                return self.newest[place].number
        return self.live(place, generation, _ENDED)

    cdef uint32_t live(self, uint32_t place, uint32_t generation, tuple topic) except? 0xffffffff:
        if self.venue is not None and not self.wants(topic):
            return UNWANTED
        number = self.numbers.setdefault((place, generation), len(self.lives))
        if number == len(self.lives):
            self.lives.append(topic)
        return number

    cdef bint wants(self, tuple topic) except -1:
        """One whose name was not to be had might be."""
        channel, instrument = topic
        if not channel:
            return True
        return instrument.endswith(self.venue) and gw_kinds[<int>CHANNELS[channel]].fed

    cdef int learn(self) except -1:
        """Numbers what the directory has gained."""
        cdef gw_entry_name_t entry
        cdef uint64_t changes = gw_directory_changes(&self.segment.view)
        cdef uint32_t place, count = gw_directory_count(&self.segment.view)
        cdef uint32_t first = self.places if changes == self.changes_seen else 0
        cdef int length
        for place in range(first, count):
            length = gw_directory_entry(&self.segment.view, place, &entry)
            if length <= 0:  # what makes no sense still takes its number
                entry.generation = 0
            elif place < self.places and self.newest[place].generation == entry.generation:
                continue
            self.newest[place].generation = entry.generation
            self.newest[place].number = self.live(
                place, entry.generation, _ENDED if length <= 0 else _entry_topic(&entry, length))
        self.places = count
        self.changes_seen = changes
        return 0

    def topics(self):
        self.check_open()
        self.learn()
        return self.lives[:]

    @property
    def epoch(self):
        self.check_open()
        return self.segment.epoch

    cdef dict row(self, const gw_record_t *record):
        cdef uint32_t topic = self.number(record)
        channel, instrument = self.lives[topic]
        row = {
            "channel": channel, "instrument": instrument, "topic": topic,
            "index": record.h.index, "seq": record.h.topic_seq, "flags": record.h.flags,
            "ts_event": record.h.ts_event, "ts_recv": record.h.ts_recv,
            "ts_publish": record.h.ts_publish, "ingest_ns": record.h.ingest_ns,
        }
        cdef const gw_kind_t *kind = gw_kind(record.h.kind)
        cdef unsigned i
        for i in range(kind.fields_count):
            row[kind.fields[i].name.decode()] = _value(record, &kind.fields[i], i)
        if record.h.kind == GW_HEALTH:
            row["suspect"] = record.suspect
        return row

    def close(self):
        if self.polling:
            raise RuntimeError("another thread is polling: let it return first")
        if self.segment is not None:
            self.segment.close()
