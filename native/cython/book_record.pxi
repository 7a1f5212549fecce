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

BOOK_ID_MAX = GW_BOOK_ID_MAX


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


cdef gw_book_message_t *_book_message(const gw_record_t *record) except NULL:
    """What a book's record, which may be anybody's, has before its rows."""
    cdef gw_book_message_t *m = gw_book_message(<gw_record_t *>record)
    if record.h.cells != gw_book_record_cells(m.count):
        raise ValueError("no record of a book")
    return m


cdef tuple _book_ids(const gw_book_message_t *m):
    if m.first_length > GW_BOOK_ID_MAX or m.last_length > GW_BOOK_ID_MAX:
        raise ValueError(f"a number of more than {BOOK_ID_MAX} bytes")
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
    cdef gw_book_message_t *m = _book_message(record)
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
    cdef gw_book_message_t *m = _book_message(record)
    first, last = _book_ids(m)
    cdef bytes out = PyBytes_FromStringAndSize(
        NULL, m.count * <Py_ssize_t>sizeof(gw_book_level_t))
    cdef gw_book_level_t *levels = <gw_book_level_t *>PyBytes_AS_STRING(out)
    cdef uint32_t i
    for i in range(m.count):
        gw_book_level_from(&gw_book_message_rows(record)[i], m.scale, &levels[i])
    return (record.h.topic, record.h.topic_seq, record.h.flags, record.h.gap,
            bool(m.what & GW_BOOK_RECORD_RESET), first, last, out)


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
