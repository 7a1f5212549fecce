cdef extern from "gw_book.h" nogil:
    enum: GW_BOOK_BID, GW_BOOK_ASK, GW_BOOK_SIDES, GW_BOOK_MESSAGE_MAX, GW_BOOK_PRICE_DECIMALS_MAX

    ctypedef struct gw_book_row_t:
        uint32_t orders
        uint8_t side, kind

    ctypedef struct gw_book_level_t:
        uint32_t orders
        uint8_t side, price_decimals

    ctypedef enum gw_book_refusal_t:
        GW_BOOK_FINE, GW_BOOK_PRICE_REFUSED, GW_BOOK_QTY_REFUSED, GW_BOOK_NO_MEMORY

    const char *gw_book_refusal_text(gw_book_refusal_t refusal)
    void gw_book_level_row(const gw_book_level_t *level, gw_book_row_t *out)
    void gw_book_level_from(
        const gw_book_row_t *row, unsigned int scale, gw_book_level_t *out)

cdef extern from "gw_book_text.h" nogil:
    enum: GW_BOOK_PRICE_TEXT_MAX, GW_BOOK_QTY_TEXT_MAX, GW_TEXT_SLACK

    gw_book_refusal_t gw_book_level_parse(
        uint8_t side, const char *price, size_t price_length, const char *qty, size_t qty_length,
        gw_book_level_t *out, gw_refusal_t *why)
    size_t gw_book_price_text(const gw_book_row_t *row, unsigned int scale, char *out)
    size_t gw_book_qty_text(const gw_book_row_t *row, char *out)

BOOK_LEVEL_SIZE = sizeof(gw_book_level_t)
_BOOK_SIDES = ("bid", "ask")


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


cdef Py_ssize_t _book_levels_count(bytes levels) except -1:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(levels)
    if size % <Py_ssize_t>sizeof(gw_book_level_t):
        raise ValueError(f"{size} bytes are no whole levels of {BOOK_LEVEL_SIZE}")
    return size // <Py_ssize_t>sizeof(gw_book_level_t)


def book_texts(bytes levels not None):
    cdef Py_ssize_t i, count = _book_levels_count(levels)
    cdef const gw_book_level_t *at = <const gw_book_level_t *>PyBytes_AS_STRING(levels)
    cdef gw_book_row_t row
    cdef list bids = [], asks = []
    for i in range(count):
        gw_book_level_row(&at[i], &row)
        (asks if at[i].side else bids).append(_book_texts(&row, at[i].price_decimals, False))
    return bids, asks
