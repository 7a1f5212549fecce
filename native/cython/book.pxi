from libc.stdint cimport uintptr_t

cdef extern from "gw_book.h" nogil:
    enum: GW_BOOK_NONE, GW_BOOK_CHUNK, GW_BOOK_SIDE_CHUNKS_MAX

    ctypedef struct gw_book_sizes_t:
        uint32_t books, chunks, side_chunks, wides, orders

    ctypedef struct gw_book_pool_t:
        gw_book_sizes_t sizes

    ctypedef struct gw_book_copy_t:
        gw_book_row_t *rows
        uint32_t room, count
        unsigned int scale
        uint64_t seq, owner

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
    gw_book_window_t *gw_book_window(gw_book_t *book, uint32_t depth)
    void gw_book_window_hold(gw_book_t *book, gw_book_window_t *window)
    void gw_book_window_leave(gw_book_window_t *window)
    gw_book_cursor_t gw_book_best(const gw_book_t *book, unsigned int side)
    uint32_t gw_book_next(gw_book_cursor_t *c)
    void gw_book_row(const gw_book_t *book, const uint64_t *chunk, uint32_t at, unsigned int side,
                     gw_book_row_t *row)

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

BOOK_DEPTHS = (1, 5, 10, 25, 100, 500, 1000, 0)
BOOK_LEVELS_MAX = GW_BOOK_SIDE_CHUNKS_MAX * GW_BOOK_CHUNK // 8
_BOOK_FRAMES = {GW_BOOK_UPDATE: "update", GW_BOOK_SNAPSHOT: "snapshot", GW_BOOK_PARTS: "parts"}


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
        cdef uint32_t count = <uint32_t>min(_book_levels_count(levels), 0xffffffff)
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
