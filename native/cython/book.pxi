from libc.stdint cimport uintptr_t

cdef extern from "gw_book.h" nogil:
    enum: GW_BOOK_BID, GW_BOOK_ASK, GW_BOOK_SIDES, GW_BOOK_NONE, GW_BOOK_CHUNK
    enum: GW_BOOK_SIDE_CHUNKS_MAX, GW_BOOK_DEL, GW_BOOK_MESSAGE_MAX, GW_BOOK_PRICE_DECIMALS_MAX

    ctypedef struct gw_book_sizes_t:
        uint32_t books, chunks, side_chunks, wides, orders

    ctypedef struct gw_book_pool_t:
        gw_book_sizes_t sizes

    ctypedef struct gw_book_row_t:
        uint32_t orders
        uint8_t side, kind

    ctypedef struct gw_book_copy_t:
        gw_book_row_t *rows
        uint32_t room, count
        unsigned int scale
        uint64_t seq, owner

    ctypedef struct gw_book_level_t:
        uint32_t orders
        uint8_t side, price_decimals

    ctypedef struct gw_book_window_t:
        uint32_t links

    ctypedef struct gw_book_t:
        pass

    ctypedef struct gw_book_work_t:
        gw_book_row_t *rows
        uint32_t count, at
        unsigned int scale
        bint reset

    ctypedef struct gw_book_cursor_t:
        const uint64_t *chunk

    ctypedef enum gw_book_refusal_t:
        GW_BOOK_FINE, GW_BOOK_PRICE_REFUSED, GW_BOOK_QTY_REFUSED, GW_BOOK_NO_MEMORY

    const char *gw_book_refusal_text(gw_book_refusal_t refusal)
    size_t gw_book_pool_size(const gw_book_sizes_t *sizes)
    int gw_book_pool_format(
        gw_book_pool_t *pool, void *mem, size_t size, const gw_book_sizes_t *sizes)
    int gw_book_copy(const gw_book_pool_t *pool, uint32_t number, gw_book_copy_t *out)
    int gw_book_work_init(gw_book_work_t *work)
    void gw_book_work_free(gw_book_work_t *work)
    int gw_book_open(
        gw_book_t *book, gw_book_pool_t *pool, uint32_t number, uint32_t depth, bint logged)
    void gw_book_close(gw_book_t *book)
    uint64_t gw_book_seq(const gw_book_t *b)
    unsigned int gw_book_scale(const gw_book_t *b)
    uint32_t gw_book_levels(const gw_book_t *b, unsigned int side)
    gw_book_refusal_t gw_book_apply(gw_book_t *book, gw_book_work_t *work, uint64_t seq,
                                    const gw_book_level_t *levels, uint32_t count)
    gw_book_refusal_t gw_book_replace(gw_book_t *book, gw_book_work_t *work, uint64_t seq,
                                      const gw_book_level_t *levels, uint32_t count)
    gw_book_refusal_t gw_book_follow(
        gw_book_t *book, gw_book_work_t *work, const gw_book_copy_t *copy)
    void gw_book_level_row(const gw_book_level_t *level, gw_book_row_t *out)
    void gw_book_level_from(
        const gw_book_row_t *row, unsigned int scale, gw_book_level_t *out)
    gw_book_window_t *gw_book_window(gw_book_t *book, uint32_t depth)
    void gw_book_window_hold(gw_book_t *book, gw_book_window_t *window)
    void gw_book_window_leave(gw_book_window_t *window)
    gw_book_cursor_t gw_book_best(const gw_book_t *book, unsigned int side)
    uint32_t gw_book_next(gw_book_cursor_t *c)
    void gw_book_row(const gw_book_t *book, const uint64_t *chunk, uint32_t at, unsigned int side,
                     gw_book_row_t *row)

cdef extern from "gw_book_record.h" nogil:
    enum: GW_BOOK_RECORD_RESET, GW_BOOK_ID_MAX

    ctypedef struct gw_book_message_t:
        uint16_t count
        uint8_t scale, what, first_length, last_length
        uint32_t book
        char first_id[24]
        char last_id[24]

    uint16_t gw_book_record_cells(uint32_t count)
    gw_book_message_t *gw_book_message(gw_record_t *r)
    gw_book_row_t *gw_book_message_rows(gw_record_t *r)

cdef extern from "gw_book_text.h" nogil:
    enum: GW_BOOK_PRICE_TEXT_MAX, GW_BOOK_QTY_TEXT_MAX, GW_TEXT_SLACK

    gw_book_refusal_t gw_book_level_parse(
        uint8_t side, const char *price, size_t price_length, const char *qty, size_t qty_length,
        gw_book_level_t *out, gw_refusal_t *why)
    size_t gw_book_price_text(const gw_book_row_t *row, unsigned int scale, char *out)
    size_t gw_book_qty_text(const gw_book_row_t *row, char *out)

cdef extern from "gw_book_render.h" nogil:
    enum: GW_BOOK_NOTHING, GW_BOOK_UPDATE, GW_BOOK_SNAPSHOT, GW_BOOK_PARTS

    ctypedef struct gw_book_at_t:
        uint64_t since
        int64_t worst[2]

    ctypedef struct gw_book_frame_t:
        gw_book_row_t *rows
        uint32_t room, around
        size_t bytes
        void *fit
        uint32_t count[2]
        uint64_t seq, skipped
        uint8_t type

    void gw_book_render(const gw_book_t *book, const gw_book_window_t *window,
                        gw_book_work_t *work, gw_book_at_t *at, gw_book_frame_t *frame)

cdef extern from "gw_book_sum.h" nogil:
    ctypedef struct gw_book_sum_t:
        pass

    uint32_t gw_book_sum(const gw_book_t *book, gw_book_sum_t *sum, uint32_t depth)

BOOK_ID_MAX = GW_BOOK_ID_MAX
BOOK_LEVEL_SIZE = sizeof(gw_book_level_t)
BOOK_DEPTHS = (1, 5, 10, 25, 100, 500, 1000, 0)
BOOK_LEVELS_MAX = GW_BOOK_SIDE_CHUNKS_MAX * GW_BOOK_CHUNK // 8
_BOOK_SIDES = ("bid", "ask")
_BOOK_FRAMES = {GW_BOOK_UPDATE: "update", GW_BOOK_SNAPSHOT: "snapshot", GW_BOOK_PARTS: "parts"}


cdef object _book_refused(gw_book_refusal_t refusal, str which):
    if refusal == GW_BOOK_NO_MEMORY:
        return MemoryError()
    return ValueError(f"{which} {gw_book_refusal_text(refusal).decode()}")


cdef object _book_text_refused(gw_book_refusal_t refusal, gw_refusal_t why, str which, row):
    if refusal == GW_BOOK_PRICE_REFUSED:
        return ValueError(f"{which}: price {gw_refusal_text(why).decode()}: {row[0]!r}")
    if refusal == GW_BOOK_QTY_REFUSED:
        return ValueError(f"{which}: quantity {gw_refusal_text(why).decode()}: {row[1]!r}")
    return _book_refused(refusal, which)


cdef int _book_side(list rows, uint8_t side, gw_book_level_t *out) except -1:
    """Makes levels of rows of texts: price, quantity, and where there are, orders."""
    cdef Py_ssize_t i
    _book_some(rows, 0, len(rows), side, out)
    for i in range(len(rows)):
        if len(rows[i]) > 2:
            out[i].orders = rows[i][2]
    return 0


cdef int _book_some(
    list rows, Py_ssize_t first, Py_ssize_t end, uint8_t side, gw_book_level_t *out
) except -1:
    cdef Py_ssize_t i, price_length, qty_length
    cdef const char *price
    cdef const char *qty
    cdef gw_refusal_t why
    cdef gw_book_refusal_t refusal
    for i in range(first, end):
        row = rows[i]
        price = PyUnicode_AsUTF8AndSize(row[0], &price_length)
        qty = PyUnicode_AsUTF8AndSize(row[1], &qty_length)
        refusal = gw_book_level_parse(side, price, <size_t>price_length, qty, <size_t>qty_length,
                                      &out[i], &why)
        if refusal != GW_BOOK_FINE:
            raise _book_text_refused(refusal, why, f"{_BOOK_SIDES[side]} {i}", row)
    return 0


cdef enum:
    BOOK_AT_ONCE = 256  # levels read holding the interpreter: 20 us


cdef int _book_take(list rows, uint8_t side, gw_book_level_t *out) except -1:
    """As `_book_side`, without orders, letting others have the interpreter now and then."""
    cdef Py_ssize_t at, count = len(rows)
    for at in range(0, count, BOOK_AT_ONCE):
        if at:
            with nogil:
                pass
        _book_some(rows, at, min(at + BOOK_AT_ONCE, count), side, out)
    return 0


cdef str _book_blamed(uint32_t at, uint32_t bids):
    if at == <uint32_t>-1:
        return "the message"
    return f"bid {at}" if at < bids else f"ask {at - bids}"


cdef bytes _book_id(number):
    """A venue's number of a message, as records have it: an int or a text; None: there is none."""
    return b"" if number is None else str(number).encode("ascii", "replace")


def book_levels(bids, asks):
    cdef list bid_rows = list(bids), ask_rows = list(asks)
    cdef Py_ssize_t count = len(bid_rows) + len(ask_rows)
    if count > GW_BOOK_MESSAGE_MAX:
        raise ValueError(f"{count} levels, {GW_BOOK_MESSAGE_MAX} at most")
    cdef bytes out = PyBytes_FromStringAndSize(NULL, count * <Py_ssize_t>sizeof(gw_book_level_t))
    cdef gw_book_level_t *levels = <gw_book_level_t *>PyBytes_AS_STRING(out)
    _book_side(bid_rows, GW_BOOK_BID, levels)
    _book_side(ask_rows, GW_BOOK_ASK, levels + len(bid_rows))
    return out


cdef tuple _book_texts(const gw_book_row_t *row, unsigned int scale, bint orders):
    cdef char price[GW_BOOK_PRICE_TEXT_MAX + GW_TEXT_SLACK]
    cdef char qty[GW_BOOK_QTY_TEXT_MAX + GW_TEXT_SLACK]
    cdef size_t price_length = gw_book_price_text(row, scale, price)
    cdef size_t qty_length = gw_book_qty_text(row, qty)
    texts = (PyUnicode_DecodeASCII(price, <Py_ssize_t>price_length, NULL),
             PyUnicode_DecodeASCII(qty, <Py_ssize_t>qty_length, NULL))
    return (*texts, row.orders) if orders else texts


def book_texts(bytes levels not None):
    cdef Py_ssize_t i, size = PyBytes_GET_SIZE(levels)
    if size % <Py_ssize_t>sizeof(gw_book_level_t):
        raise ValueError(f"{size} bytes are no whole levels of {BOOK_LEVEL_SIZE}")
    cdef const gw_book_level_t *at = <const gw_book_level_t *>PyBytes_AS_STRING(levels)
    cdef gw_book_row_t row
    cdef list bids = [], asks = []
    for i in range(size // <Py_ssize_t>sizeof(gw_book_level_t)):
        gw_book_level_row(&at[i], &row)
        (asks if at[i].side else bids).append(_book_texts(&row, at[i].price_decimals, False))
    return bids, asks


cdef class Book:
    """A book in a pool of its own."""

    cdef void *mem
    cdef gw_book_pool_t pool
    cdef gw_book_work_t work
    cdef gw_book_t book
    cdef gw_book_sum_t sum
    cdef gw_book_row_t *rows  # of a frame, or of a copy
    cdef uint32_t rows_room
    cdef bint opened

    def __init__(self, *, uint32_t depth=0, uint32_t levels_max=4096, uint32_t wides_max=1024,
                 bint orders=False):
        if self.mem != NULL:
            raise RuntimeError("already initialised")
        if not 1 <= levels_max <= BOOK_LEVELS_MAX:
            raise ValueError(f"levels_max {levels_max}: 1 to {BOOK_LEVELS_MAX}")
        cdef gw_book_sizes_t sizes
        sizes.books, sizes.wides, sizes.orders = 1, wides_max, orders
        sizes.side_chunks = min(levels_max // 8 + 16, GW_BOOK_SIDE_CHUNKS_MAX)
        sizes.chunks = 2 * sizes.side_chunks
        cdef size_t size = gw_book_pool_size(&sizes)
        if size == 0:
            raise ValueError(f"wides_max {wides_max} is too large")
        self.mem = calloc(size + 64, 1)
        if self.mem == NULL or gw_book_work_init(&self.work) < 0:
            raise MemoryError
        cdef void *at = <void *>((<uintptr_t>self.mem + 63) & ~<uintptr_t>63)
        if gw_book_pool_format(&self.pool, at, size, &sizes) < 0:
            raise ValueError(f"levels_max {levels_max}, wides_max {wides_max}")
        if gw_book_open(&self.book, &self.pool, 0, depth, True) < 0:
            raise MemoryError
        self.opened = True

    def __dealloc__(self):
        if self.opened:
            gw_book_close(&self.book)
        gw_book_work_free(&self.work)
        free(self.rows)
        free(self.mem)

    cdef int check_open(self) except -1:
        if not self.opened:
            raise ValueError("not initialised")
        return 0

    cdef int rows_need(self, uint32_t count) except -1:
        if count <= self.rows_room:
            return 0
        free(self.rows)
        self.rows_room = 0
        self.rows = <gw_book_row_t *>malloc(count * sizeof(gw_book_row_t))
        if self.rows == NULL:
            raise MemoryError
        self.rows_room = count
        return 0

    cdef tuple take(self, bytes levels, uint64_t seq, bint replace):
        self.check_open()
        cdef Py_ssize_t size = PyBytes_GET_SIZE(levels)
        if size % <Py_ssize_t>sizeof(gw_book_level_t):
            raise ValueError(f"{size} bytes are no whole levels of {BOOK_LEVEL_SIZE}")
        cdef uint32_t count = <uint32_t>min(size // <Py_ssize_t>sizeof(gw_book_level_t),
                                            0xffffffff)
        cdef const gw_book_level_t *at = <const gw_book_level_t *>PyBytes_AS_STRING(levels)
        cdef gw_book_refusal_t refusal
        if seq == 0:
            seq = gw_book_seq(&self.book) + 1
        if replace:
            refusal = gw_book_replace(&self.book, &self.work, seq, at, count)
        else:
            refusal = gw_book_apply(&self.book, &self.work, seq, at, count)
        if refusal != GW_BOOK_FINE:
            raise _book_refused(refusal, f"level {self.work.at}")
        return self.work.count, bool(self.work.reset)

    def apply(self, bids, asks, *, uint64_t seq=0):
        return self.take(book_levels(bids, asks), seq, False)

    def replace(self, bids, asks, *, uint64_t seq=0):
        return self.take(book_levels(bids, asks), seq, True)

    def apply_levels(self, bytes levels not None, *, uint64_t seq=0):
        return self.take(levels, seq, False)

    def replace_levels(self, bytes levels not None, *, uint64_t seq=0):
        return self.take(levels, seq, True)

    def changes(self):
        self.check_open()
        cdef bytes out = PyBytes_FromStringAndSize(
            NULL, self.work.count * <Py_ssize_t>sizeof(gw_book_level_t))
        cdef gw_book_level_t *levels = <gw_book_level_t *>PyBytes_AS_STRING(out)
        cdef uint32_t i
        for i in range(self.work.count):
            gw_book_level_from(&self.work.rows[i], self.work.scale, &levels[i])
        return out

    def follow(self, Book other not None):
        self.check_open()
        other.check_open()
        cdef gw_book_copy_t copy
        cdef gw_book_refusal_t refusal
        self.rows_need(gw_book_levels(&other.book, GW_BOOK_BID)
                       + gw_book_levels(&other.book, GW_BOOK_ASK))
        copy.rows, copy.room = self.rows, self.rows_room
        if gw_book_copy(&other.pool, 0, &copy) < 0:
            raise RuntimeError("the book is being written")
        refusal = gw_book_follow(&self.book, &self.work, &copy)
        if refusal != GW_BOOK_FINE:
            raise _book_refused(refusal, f"level {self.work.at}")
        return self.work.count, bool(self.work.reset)

    @property
    def seq(self):
        self.check_open()
        return gw_book_seq(&self.book)

    @property
    def scale(self):
        self.check_open()
        return gw_book_scale(&self.book)

    @property
    def counts(self):
        self.check_open()
        return (gw_book_levels(&self.book, GW_BOOK_BID), gw_book_levels(&self.book, GW_BOOK_ASK))

    def levels(self, str side not None, uint32_t depth=0):
        self.check_open()
        if side not in _BOOK_SIDES:
            raise ValueError(f"side {side!r}: bid or ask")
        cdef unsigned int number = _BOOK_SIDES.index(side)
        cdef gw_book_cursor_t cursor = gw_book_best(&self.book, number)
        cdef gw_book_row_t row
        cdef uint32_t at
        out = []
        while depth == 0 or len(out) < depth:
            at = gw_book_next(&cursor)
            if at == <uint32_t>GW_BOOK_NONE:
                break
            gw_book_row(&self.book, cursor.chunk, at, number, &row)
            out.append(_book_texts(&row, gw_book_scale(&self.book), self.pool.sizes.orders))
        return out

    def top(self):
        bids, asks = self.levels("bid", 1), self.levels("ask", 1)
        return (bids[0] if bids else None, asks[0] if asks else None)

    def checksum(self, uint32_t depth=0):
        self.check_open()
        return gw_book_sum(&self.book, &self.sum, depth)


@cython.no_gc_clear  # its book is still there when it leaves
cdef class BookLink:
    """One client's place in a book. The book lives as long as it."""

    cdef Book book
    cdef gw_book_window_t *window
    cdef gw_book_at_t at

    def __init__(self, Book book not None, uint32_t depth=0):
        if self.book is not None:
            raise RuntimeError("already initialised")
        book.check_open()
        self.window = gw_book_window(&book.book, depth)
        if self.window == NULL:
            raise ValueError(f"depth {depth}: one of {BOOK_DEPTHS}")
        self.book = book
        gw_book_window_hold(&book.book, self.window)

    def __dealloc__(self):
        if self.window != NULL:
            gw_book_window_leave(self.window)

    @property
    def place(self):
        return self.at.since, self.at.worst[0], self.at.worst[1]

    def take_back(self, place):
        since, bid, ask = place
        self.at.since, self.at.worst[0], self.at.worst[1] = since, bid, ask

    def render(self, uint32_t rows_max=0):
        cdef Book book = self.book
        if book is None:
            raise ValueError("not initialised")
        cdef gw_book_frame_t frame
        cdef uint32_t i
        cdef bint orders = book.pool.sizes.orders
        cdef unsigned int scale = gw_book_scale(&book.book)
        book.rows_need(max(rows_max, 2 * sum(book.counts) + 4096))
        frame.rows, frame.room = book.rows, rows_max or book.rows_room
        frame.around, frame.bytes, frame.fit = 0, <size_t>-1, NULL
        gw_book_render(&book.book, self.window, &book.work, &self.at, &frame)
        if frame.type == GW_BOOK_NOTHING:
            return None
        kind = _BOOK_FRAMES[frame.type]
        if frame.type == GW_BOOK_PARTS:
            return kind, frame.seq, frame.skipped, [], []
        sides = ([], [])
        for i in range(frame.count[0] + frame.count[1]):
            sides[frame.rows[i].side].append(_book_texts(&frame.rows[i], scale, orders))
        return kind, frame.seq, frame.skipped, sides[0], sides[1]


cdef enum:
    BOOK_PART_ROWS = 1 << 15  # of a state in a recording: 1.3 MB
    BOOK_STATE_HEAD = 8  # before the record: rows of the state, and the first one in this part


cdef list _book_state_parts(const gw_record_t *last, const gw_book_copy_t *copy):
    """A book as recordings have it: each part has its record's first cells, then rows."""
    cdef uint32_t head[2]
    cdef gw_record_t record = last[0]
    cdef gw_book_message_t *m = gw_book_message(&record)
    cdef uint32_t first, count
    cdef list parts = []
    record.h.cells = GW_RECORD_CELLS
    m.count, m.what, m.scale = 0, 0, <uint8_t>copy.scale
    for first in range(0, max(copy.count, 1), BOOK_PART_ROWS):
        count = min(copy.count - first, <uint32_t>BOOK_PART_ROWS)
        head[0], head[1] = copy.count, first
        parts.append((<char *>head)[:BOOK_STATE_HEAD]
                     + (<char *>&record)[:GW_RECORD_CELLS * GW_CELL]
                     + (<char *>(copy.rows + first))[:count * sizeof(gw_book_row_t)])
    return parts


cdef tuple _book_row_texts(const uint8_t *at, unsigned int scale):
    """(side, (price, quantity)) of a row that may be anybody's. ValueError: it is no row."""
    cdef gw_book_row_t row
    memcpy(&row, at, sizeof(row))
    if row.side >= GW_BOOK_SIDES or scale > GW_BOOK_PRICE_DECIMALS_MAX:
        raise ValueError("no row of a book")
    return row.side, _book_texts(&row, scale, False)


cdef tuple _book_ids(const gw_book_message_t *m):
    if m.first_length > 24 or m.last_length > 24:
        raise ValueError("a number of more than 24 bytes")
    return m.first_id[:m.first_length].decode("ascii"), m.last_id[:m.last_length].decode("ascii")


cdef tuple _book_sides(const uint8_t *rows, uint32_t count, unsigned int scale):
    cdef uint32_t i
    sides = ([], [])
    for i in range(count):
        side, texts = _book_row_texts(rows + i * sizeof(gw_book_row_t), scale)
        sides[side].append(texts)
    return sides


cdef tuple _book_fields(const gw_record_t *record, const uint8_t *rows):
    """What `record_rows` gives of a book's record. ValueError: it is no record of ours."""
    cdef gw_book_message_t *m = gw_book_message(<gw_record_t *>record)
    if record.h.cells != gw_book_record_cells(m.count):
        raise ValueError("no record of a book")
    first, last = _book_ids(m)
    bids, asks = _book_sides(rows, m.count, m.scale)
    return bool(m.what & GW_BOOK_RECORD_RESET), first, last, bids, asks


cdef Py_ssize_t _book_state_rows(const uint8_t[::1] view) except -1:
    """How many rows a part has."""
    cdef Py_ssize_t size = view.shape[0] - BOOK_STATE_HEAD - <Py_ssize_t>GW_RECORD_CELLS * GW_CELL
    if size < 0 or size % <Py_ssize_t>sizeof(gw_book_row_t):
        raise ValueError("no part of a book's state")
    return size // <Py_ssize_t>sizeof(gw_book_row_t)


def book_state(data):
    cdef const uint8_t[::1] view = data
    cdef Py_ssize_t count = _book_state_rows(view)
    cdef uint32_t head[2]
    cdef gw_record_t record
    memcpy(head, &view[0], BOOK_STATE_HEAD)
    memcpy(&record, &view[BOOK_STATE_HEAD], GW_RECORD_CELLS * GW_CELL)
    cdef gw_book_message_t *m = gw_book_message(&record)
    if record.h.kind != GW_BOOK or record.h.cells != GW_RECORD_CELLS or m.count != 0:
        raise ValueError("no state of a book")
    if head[1] > head[0] or count > head[0] - head[1]:
        raise ValueError("more rows than the book has")
    first, last = _book_ids(m)
    return (record.h.topic, record.h.topic_seq, record.h.flags, record.h.ts_event, first, last,
            head[0], head[1], count)


def book_state_rows(data, Py_ssize_t at, Py_ssize_t limit):
    cdef const uint8_t[::1] view = data
    cdef Py_ssize_t count = _book_state_rows(view)
    cdef gw_record_t record
    if not 0 <= at <= count or limit < 0:
        raise ValueError(f"rows from {at} on, of {count}")
    memcpy(&record, &view[BOOK_STATE_HEAD], GW_RECORD_CELLS * GW_CELL)
    cdef Py_ssize_t first = BOOK_STATE_HEAD + GW_RECORD_CELLS * GW_CELL
    return _book_sides(&view[0] + first + at * <Py_ssize_t>sizeof(gw_book_row_t),
                       <uint32_t>min(count - at, limit), gw_book_message(&record).scale)


def book_state_of(bytes data not None, uint32_t topic):
    cdef bytearray out = bytearray(data)
    if len(out) < BOOK_STATE_HEAD + GW_RECORD_CELLS * GW_CELL:
        raise ValueError("no part of a book's state")
    cdef gw_record_t record
    cdef char *at = <char *>out + BOOK_STATE_HEAD
    memcpy(&record.h, at, sizeof(gw_header_t))
    record.h.topic = topic
    memcpy(at, &record.h, sizeof(gw_header_t))
    return bytes(out)


cdef tuple _book_record(gw_record_t *record):
    """One record of a book, which is whole. ValueError: what it says of itself can't be."""
    cdef gw_book_message_t *m = gw_book_message(record)
    if record.h.cells != gw_book_record_cells(m.count) or m.first_length > 24 or m.last_length > 24:
        raise ValueError("no record of a book")
    cdef bytes out = PyBytes_FromStringAndSize(
        NULL, m.count * <Py_ssize_t>sizeof(gw_book_level_t))
    cdef gw_book_level_t *levels = <gw_book_level_t *>PyBytes_AS_STRING(out)
    cdef uint32_t i
    for i in range(m.count):
        gw_book_level_from(&gw_book_message_rows(record)[i], m.scale, &levels[i])
    return (record.h.topic, record.h.topic_seq, record.h.flags, record.h.gap,
            bool(m.what & GW_BOOK_RECORD_RESET), m.first_id[:m.first_length].decode(),
            m.last_id[:m.last_length].decode(), out)


def book_records(bytes data not None):
    cdef Py_ssize_t at = 0, size = PyBytes_GET_SIZE(data), cells
    cdef gw_record_t *record
    rows = []
    while at + <Py_ssize_t>sizeof(gw_header_t) <= size:
        record = <gw_record_t *>(PyBytes_AS_STRING(data) + at)
        cells = <Py_ssize_t>record.h.cells * GW_CELL
        if cells == 0 or at + cells > size:
            raise ValueError(f"no whole record at byte {at}")
        if record.h.kind == GW_BOOK and not record.h.flags & GW_FLAG_RETIRED:
            rows.append(_book_record(record))
        at += cells
    return rows
