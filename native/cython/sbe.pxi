from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.unicode cimport PyUnicode_DecodeASCII

cdef extern from "gw_sbe.h" nogil:
    enum: GW_SBE_TRADE, GW_SBE_BBO, GW_SBE_BOOK, GW_SBE_CANDLE, GW_SBE_TOPIC
    enum: GW_SBE_FLAG_MAYBE_BAD, GW_SBE_FLAG_CHECKSUM
    enum: GW_SBE_FLAG_SNAPSHOT, GW_SBE_MARK_TOPIC, GW_SBE_MARK_OTHER

    ctypedef enum gw_sbe_fault_t:
        GW_SBE_FINE, GW_SBE_OTHER

    ctypedef struct gw_sbe_decimal_t:
        pass

    ctypedef struct gw_sbe_message_t:
        size_t size
        uint64_t seq, skipped
        int64_t ts_event, ts_recv, ts_send
        uint32_t topic
        uint8_t kind, flags, side, channel, text_length, last_length
        const char *text
        const char *last
        gw_sbe_decimal_t decimals[5]
        int64_t start
        uint32_t trades
        uint8_t closed, revised, complete
        uint32_t checksum
        uint16_t depth, part, parts

    ctypedef struct gw_sbe_trade_row_t:
        pass
    ctypedef struct gw_sbe_quote_row_t:
        pass
    ctypedef struct gw_sbe_candle_row_t:
        pass

    ctypedef struct gw_sbe_book_row_t:
        pass
    ctypedef struct gw_sbe_level_row_t:
        pass

    ctypedef struct gw_sbe_frame_t:
        const uint8_t *at
        size_t size

    ctypedef struct gw_sbe_batch_t:
        gw_sbe_trade_row_t *trades
        gw_sbe_quote_row_t *quotes
        gw_sbe_candle_row_t *candles
        gw_sbe_book_row_t *books
        gw_sbe_level_row_t *levels
        uint8_t *marks
        size_t trades_count, quotes_count, candles_count, books_count, levels_count, frame

    const char *gw_sbe_fault_text(gw_sbe_fault_t fault)
    gw_sbe_fault_t gw_sbe_read(const uint8_t *at, size_t size, gw_sbe_message_t *out)
    size_t gw_sbe_decimal_text(const gw_sbe_decimal_t *d, char *out)
    gw_sbe_fault_t gw_sbe_batch(
        const gw_sbe_frame_t *frames, size_t count, gw_sbe_batch_t *batch)

cdef extern from "gw_sbe_book.h" nogil:
    uint32_t gw_sbe_book_count(const gw_sbe_message_t *m)
    gw_sbe_fault_t gw_sbe_book_levels(const gw_sbe_message_t *m, gw_book_level_t *out)
    void gw_sbe_level_row(const gw_book_level_t *level, uint32_t book, gw_sbe_level_row_t *out)

SBE_TOPICS_MAX = 1 << 20  # 100 times limits.topics_per_connection's default; some 250 MB
SBE_FRAMES_MAX = 1 << 20  # of one batch: its arrays take up to 150 MB

_SBE_HEAD = [("seq", "<u8"), ("skipped", "<u8"), ("ts_event", "<i8"), ("ts_recv", "<i8"),
             ("ts_send", "<i8")]


cdef list _sbe_fields(tuple names, list beside=None):
    """What of a row depends on its decimals, in the order of gw_sbe_trade_row_t; `beside` the
    topic."""
    return ([(f"{name}_{half}", form) for name in names
             for half, form in (("low", "<u8"), ("high", "<i8"))]
            + [(name, "<f8") for name in names] + [("topic", "<u4")] + (beside or [])
            + [(f"{name}_exponent", "i1") for name in names] + [("flags", "u1")])


cdef tuple _SBE_NO_TOPIC = ("", "")
SBE_TRADE_FIELDS = _SBE_HEAD + _sbe_fields(("price", "qty")) + [("side", "u1")]
SBE_CANDLE_FIELDS = (
    _SBE_HEAD + [("start", "<i8")]
    + _sbe_fields(("open", "high", "low", "close", "volume"), [("trades", "<u4")])
    + [("closed", "u1"), ("revised", "u1"), ("complete", "u1")])
SBE_BOOK_FIELDS = (
    _SBE_HEAD + [("first", "<u8"), ("topic", "<u4"), ("frame", "<u4"), ("bids", "<u4"),
                 ("asks", "<u4"), ("checksum", "<u4"), ("depth", "<u2"), ("part", "<u2"),
                 ("parts", "<u2"), ("flags", "u1")])
SBE_LEVEL_FIELDS = [
    ("price_low", "<u8"), ("price_high", "<i8"), ("qty_low", "<u8"), ("qty_high", "<i8"),
    ("price", "<f8"), ("qty", "<f8"), ("book", "<u4"), ("price_exponent", "i1"),
    ("qty_exponent", "i1"), ("side", "u1")]
SBE_QUOTE_FIELDS = _SBE_HEAD + _sbe_fields(("bid", "bid_qty", "ask", "ask_qty"))


cdef object _sbe_error(str why):
    """The same error as of JSON. Imported where it is needed, as numpy is."""
    from msgspec import DecodeError
    return DecodeError(why)


cdef str _sbe_why(gw_sbe_fault_t fault):
    return gw_sbe_fault_text(fault).decode()


cdef object _sbe_decimal(const gw_sbe_decimal_t *d):
    cdef char text[GW_DECIMAL_TEXT_MAX]
    cdef size_t length = gw_sbe_decimal_text(d, text)
    return PyUnicode_DecodeASCII(text, <Py_ssize_t>length, NULL) if length else None


cdef int _sbe_announce(const gw_sbe_message_t *m, dict topics, str where="") except -1:
    try:
        symbol = m.text[:m.text_length].decode("utf-8")
    except UnicodeDecodeError:
        raise _sbe_error(f"{where}a topic's name that is not UTF-8") from None
    if len(topics) >= SBE_TOPICS_MAX and m.topic not in topics:
        raise _sbe_error(f"{where}more than {SBE_TOPICS_MAX} topics")
    topics[m.topic] = (_CHANNEL_NAMES.get(m.channel, "unknown"), symbol)
    return 0


cdef tuple _sbe_candle(gw_sbe_message_t *m, dict topics):
    channel, symbol = topics.get(m.topic, _SBE_NO_TOPIC)
    if channel not in CANDLE_LENGTHS:
        raise _sbe_error(f"a candle of topic {m.topic}, announced as {channel or 'none'}")
    kind = "snapshot" if m.flags & GW_SBE_FLAG_SNAPSHOT else "update"
    cdef gw_sbe_decimal_t *d = m.decimals
    return (channel, kind, symbol, m.seq, m.ts_event, m.ts_recv, m.ts_send, m.skipped, m.start,
            _sbe_decimal(&d[0]), _sbe_decimal(&d[1]), _sbe_decimal(&d[2]), _sbe_decimal(&d[3]),
            _sbe_decimal(&d[4]), m.trades, m.closed == 1, m.revised == 1, m.complete == 1)


cdef tuple _sbe_book(gw_sbe_message_t *m, dict topics):
    announced, symbol = topics.get(m.topic, _SBE_NO_TOPIC)
    if announced != "book":
        raise _sbe_error(f"a book of topic {m.topic}, announced as {announced or 'none'}")
    cdef Py_ssize_t size = gw_sbe_book_count(m) * <Py_ssize_t>sizeof(gw_book_level_t)
    cdef bytes levels = PyBytes_FromStringAndSize(NULL, size)
    cdef gw_sbe_fault_t fault
    fault = gw_sbe_book_levels(m, <gw_book_level_t *>PyBytes_AS_STRING(levels))
    if fault != GW_SBE_FINE:
        raise _sbe_error(_sbe_why(fault))
    kind = "snapshot" if m.flags & GW_SBE_FLAG_SNAPSHOT else "update"
    first = PyUnicode_DecodeASCII(m.text, m.text_length, NULL) if m.text_length else None
    last = PyUnicode_DecodeASCII(m.last, m.last_length, NULL) if m.last_length else None
    return ("book", kind, symbol, m.seq, m.ts_event, m.ts_recv, m.ts_send, m.skipped, levels,
            m.depth, first, last, (m.flags & GW_SBE_FLAG_MAYBE_BAD) != 0,
            m.checksum if m.flags & GW_SBE_FLAG_CHECKSUM else None,
            (m.part, m.parts) if m.parts else None)


cdef tuple _sbe_record(gw_sbe_message_t *m, dict topics):
    if m.kind == GW_SBE_CANDLE:
        return _sbe_candle(m, topics)
    if m.kind == GW_SBE_BOOK:
        return _sbe_book(m, topics)
    channel = "trade" if m.kind == GW_SBE_TRADE else "bbo"
    announced, symbol = topics.get(m.topic, _SBE_NO_TOPIC)
    if announced != channel:
        raise _sbe_error(f"a {channel} of topic {m.topic}, announced as {announced or 'none'}")
    kind = "snapshot" if m.flags & GW_SBE_FLAG_SNAPSHOT else "update"
    cdef gw_sbe_decimal_t *d = m.decimals
    if m.kind == GW_SBE_TRADE:
        side = "buy" if m.side == GW_SIDE_BUY else "sell" if m.side == GW_SIDE_SELL else None
        trade_id = PyUnicode_DecodeASCII(m.text, m.text_length, NULL)
        return (channel, kind, symbol, m.seq, m.ts_event, m.ts_recv, m.ts_send, m.skipped,
                trade_id, _sbe_decimal(&d[0]), _sbe_decimal(&d[1]), side)
    return (channel, kind, symbol, m.seq, m.ts_event, m.ts_recv, m.ts_send, m.skipped,
            _sbe_decimal(&d[0]), _sbe_decimal(&d[1]), _sbe_decimal(&d[2]), _sbe_decimal(&d[3]))


def sbe_record(bytes frame not None, dict topics not None):
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(frame)
    cdef size_t left = <size_t>PyBytes_GET_SIZE(frame)
    cdef gw_sbe_message_t m
    cdef gw_sbe_fault_t fault
    while True:
        fault = gw_sbe_read(at, left, &m)
        if fault == GW_SBE_OTHER:
            return None
        if fault != GW_SBE_FINE:
            raise _sbe_error(_sbe_why(fault))
        at += m.size
        left -= m.size
        if m.kind != GW_SBE_TOPIC:
            return _sbe_record(&m, topics) if left == 0 else None
        _sbe_announce(&m, topics)
        if left == 0:
            return None


cdef int _sbe_gather(list frames, gw_sbe_frame_t *out) except -1:
    cdef Py_ssize_t i
    for i in range(len(frames)):
        frame = frames[i]
        if not PyBytes_CheckExact(frame):
            raise TypeError(f"frame {i} is not bytes")
        out[i] = gw_sbe_frame_t(<const uint8_t *>PyBytes_AS_STRING(frame),
                                <size_t>PyBytes_GET_SIZE(frame))
    return 0


cdef int _sbe_cut(bytes data, const uint64_t[::1] lengths, gw_sbe_frame_t *out) except -1:
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef uint64_t left = <uint64_t>PyBytes_GET_SIZE(data)
    cdef Py_ssize_t i
    for i in range(lengths.shape[0]):
        if lengths[i] > left:
            raise ValueError(f"frame {i} ends beyond the {len(data)} bytes")
        out[i] = gw_sbe_frame_t(at, <size_t>lengths[i])
        at += lengths[i]
        left -= lengths[i]
    if left != 0:
        raise ValueError(f"{left} bytes are left behind the last frame")
    return 0


cdef object _sbe_rows(list fields, size_t count, size_t size):
    """An array of such rows, not filled, and its bytes."""
    np = _numpy()
    names, formats = zip(*fields)
    dtype = np.dtype(fields)
    whole = np.dtype({"names": names, "formats": formats, "itemsize": size,
                      "offsets": [dtype.fields[name][1] for name in names]})
    return np.empty(count, dtype=whole)


cdef tuple _sbe_batch(gw_sbe_frame_t *frames, size_t count, dict topics):
    np = _numpy()
    cdef object marks = np.zeros(count + 1, dtype="uint8")  # one more: there may be none
    cdef uint8_t[::1] marks_view = marks
    cdef uint8_t[::1] trades_view, quotes_view, candles_view, books_view, levels_view
    cdef gw_sbe_batch_t batch
    cdef gw_sbe_fault_t fault
    cdef gw_sbe_message_t m
    cdef size_t used
    batch.trades, batch.quotes, batch.candles = NULL, NULL, NULL
    batch.books, batch.levels = NULL, NULL
    batch.marks = &marks_view[0]
    with nogil:
        fault = gw_sbe_batch(frames, count, &batch)
    if fault != GW_SBE_FINE:
        raise _sbe_error(f"frame {batch.frame}: {_sbe_why(fault)}")
    trades = _sbe_rows(SBE_TRADE_FIELDS, batch.trades_count, sizeof(gw_sbe_trade_row_t))
    quotes = _sbe_rows(SBE_QUOTE_FIELDS, batch.quotes_count, sizeof(gw_sbe_quote_row_t))
    candles = _sbe_rows(SBE_CANDLE_FIELDS, batch.candles_count, sizeof(gw_sbe_candle_row_t))
    if batch.trades_count:
        trades_view = trades.view("uint8")
        batch.trades = <gw_sbe_trade_row_t *>&trades_view[0]
    if batch.quotes_count:
        quotes_view = quotes.view("uint8")
        batch.quotes = <gw_sbe_quote_row_t *>&quotes_view[0]
    if batch.candles_count:
        candles_view = candles.view("uint8")
        batch.candles = <gw_sbe_candle_row_t *>&candles_view[0]
    books = _sbe_rows(SBE_BOOK_FIELDS, batch.books_count, sizeof(gw_sbe_book_row_t))
    levels = _sbe_rows(SBE_LEVEL_FIELDS, batch.levels_count, sizeof(gw_sbe_level_row_t))
    if batch.books_count:
        books_view = books.view("uint8")
        batch.books = <gw_sbe_book_row_t *>&books_view[0]
    if batch.levels_count:
        levels_view = levels.view("uint8")
        batch.levels = <gw_sbe_level_row_t *>&levels_view[0]
    with nogil:
        gw_sbe_batch(frames, count, &batch)
    for i in np.flatnonzero(marks & GW_SBE_MARK_TOPIC):
        used = 0
        while used < frames[i].size:
            if gw_sbe_read(frames[i].at + used, frames[i].size - used, &m) != GW_SBE_FINE:
                break
            if m.kind == GW_SBE_TOPIC:
                _sbe_announce(&m, topics, f"frame {i}: ")
            used += m.size
    return trades, quotes, np.flatnonzero(marks & GW_SBE_MARK_OTHER), candles, books, levels


def sbe_level_rows(list batches not None):
    cdef Py_ssize_t size = sizeof(gw_book_level_t), i, n
    cdef size_t total = 0, used = 0, before
    cdef uint32_t number = 0, side
    cdef const gw_book_level_t *at
    cdef gw_sbe_level_row_t *out = NULL
    cdef uint8_t[::1] view
    for levels in batches:
        if not PyBytes_CheckExact(levels) or len(levels) % size:
            raise ValueError(f"batch {number} is none of levels")
        total += <size_t>(len(levels) // size)
        number += 1
    rows = _sbe_rows(SBE_LEVEL_FIELDS, total, sizeof(gw_sbe_level_row_t))
    if total:
        view = rows.view("uint8")
        out = <gw_sbe_level_row_t *>&view[0]
    bids = []
    number = 0
    for levels in batches:
        at = <const gw_book_level_t *>PyBytes_AS_STRING(levels)
        n = PyBytes_GET_SIZE(levels) // size
        before = used
        for side in range(<uint32_t>GW_BOOK_SIDES):
            for i in range(n):
                if (at[i].side != GW_BOOK_BID) == (side != 0):
                    gw_sbe_level_row(&at[i], number, &out[used])
                    used += 1
            if side == 0:
                bids.append(used - before)
        number += 1
    return rows, bids


cdef object _sbe_lengths(object lengths):
    """As unsigned integers; those below zero are beyond any frame."""
    np = _numpy()
    found = np.asarray(lengths)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise ValueError(f"lengths: {found.ndim} dimensions of {found.dtype}, "
                         "expected one of integers")
    return np.ascontiguousarray(found, dtype="uint64")


def sbe_batch(frames, dict topics not None, lengths=None):
    cdef list held = None if lengths is not None else list(frames)
    cdef const uint64_t[::1] sizes
    cdef size_t count
    if lengths is None:
        count = len(held)
    else:
        if not PyBytes_CheckExact(frames):
            raise TypeError("with lengths, the frames are one bytes object")
        sizes = _sbe_lengths(lengths)
        count = <size_t>sizes.shape[0]
    if count > SBE_FRAMES_MAX:
        raise ValueError(f"{count} frames, {SBE_FRAMES_MAX} at most")
    cdef gw_sbe_frame_t *out = <gw_sbe_frame_t *>PyMem_Malloc((count + 1) * sizeof(gw_sbe_frame_t))
    if out == NULL:
        raise MemoryError
    try:
        if lengths is None:
            _sbe_gather(held, out)
        else:
            _sbe_cut(frames, sizes, out)
        return _sbe_batch(out, count, topics)
    finally:
        PyMem_Free(out)
