from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.long cimport PyLong_AsLongLong, PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_CheckExact
from libc.string cimport memcpy, memset

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *length) except NULL

cdef extern from "gw_record.h" nogil:
    enum: GW_CHANNELS, GW_INSTRUMENT_MAX, GW_DECIMAL_TEXT_MAX, GW_ID_MAX, GW_ID_INLINE
    enum: GW_CELL, GW_RECORD_CELLS
    enum: GW_DIGITS_MAX, GW_DECIMALS_MAX, GW_EXPONENT_MAX
    enum: GW_TRADE, GW_BBO, GW_HEALTH, GW_STATE_MAX, GW_REASON_MAX
    enum: GW_SIDE_BUY, GW_SIDE_SELL, GW_FLAG_PACED, GW_FLAG_RETIRED
    enum: GW_GAP_FEED, GW_GAP_RESET

    ctypedef struct gw_header_t:
        uint64_t ring_seq, topic_seq
        int64_t ts_event, ts_recv, ts_publish
        uint32_t ingest_ns, topic
        uint8_t kind, flags, cells, gap
        uint32_t generation
        uint64_t lost

    ctypedef struct gw_trade_t:
        uint8_t side, id_length
        char id[40]

    ctypedef struct gw_tail_t:
        char id[40]

    ctypedef struct gw_health_t:
        uint8_t suspect, state_length, reason_length
        char state[8]
        char reason[48]

    ctypedef struct gw_record_t:
        gw_header_t h
        gw_trade_t trade "u.trade"
        gw_health_t health "u.health"
        gw_tail_t tail

    ctypedef enum gw_refusal_t:
        GW_FINE

    uint8_t gw_record_cells(const gw_record_t *record)
    bint gw_record_possible(uint8_t kind, uint8_t cells)
    void gw_record_copy(gw_record_t *to, const gw_record_t *source)
    const char *gw_refusal_text(gw_refusal_t refusal)

    ctypedef struct gw_text_t:
        const char *at
        size_t length

    gw_refusal_t gw_record_fill(
        gw_record_t *record, uint8_t kind, const gw_text_t *texts, int *field)
    size_t gw_record_decimal(const gw_record_t *record, unsigned index, char *out)


CHANNELS = {"trade": GW_TRADE, "bbo": GW_BBO, "health": GW_HEALTH}
HEALTH_TOPICS_MAX = GW_HEALTH_TOPICS_MAX
REASON_MAX = GW_REASON_MAX
FLAG_PACED = GW_FLAG_PACED
FLAG_RETIRED = GW_FLAG_RETIRED
RECORD_SIZE = sizeof(gw_record_t)
RECORD_SIZE_USUAL = GW_RECORD_CELLS * GW_CELL
ID_MAX = GW_ID_MAX
DIGITS_MAX = GW_DIGITS_MAX
DECIMALS_MAX = GW_DECIMALS_MAX
EXPONENT_MAX = GW_EXPONENT_MAX
Row = tuple  # what is in it, the stub spells out

cdef dict _CHANNEL_NAMES = {number: name for name, number in CHANNELS.items()}
cdef dict _GAPS = {"": 0, "feed": GW_GAP_FEED, "reset": GW_GAP_RESET}
cdef tuple _BBO_FIELDS = ("bid", "bid_qty", "ask", "ask_qty")
cdef dict _FIELDS = {GW_TRADE: ("price", "qty", "side", "id"), GW_BBO: _BBO_FIELDS}
cdef dict _SIDES = {GW_SIDE_BUY: "buy", GW_SIDE_SELL: "sell"}

cdef enum:
    VALUE_SHOWN_MAX = 60  # bytes of a refused value in its reason


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


cdef object _quoted(gw_text_t text):
    """A refused value as it may be shown: it is anybody's, of any length."""
    if text.at == NULL:
        return "null"
    shown = text.at[:min(text.length, <size_t>VALUE_SHOWN_MAX)].decode("utf-8", "replace")
    return repr(shown) + ("..." if text.length > <size_t>VALUE_SHOWN_MAX else "")


cdef object _row_fill(object row, uint8_t kind, gw_record_t *record):
    """Fills ts_event, kind and payload from a row's last five items. None, or why not."""
    cdef gw_text_t texts[4]
    cdef int i, field
    names = _FIELDS[kind]
    if not _integer(PyTuple_GET_ITEM(row, 1), &record.h.ts_event):
        return "ts_event is not a time"
    for i in range(4):
        if _text(PyTuple_GET_ITEM(row, 2 + i), &texts[i]):
            continue
        if <object>PyTuple_GET_ITEM(row, 2 + i) is None and kind == GW_BBO:
            texts[i] = gw_text_t(NULL, 0)
        elif <object>PyTuple_GET_ITEM(row, 2 + i) is None and i == 2:
            texts[i] = gw_text_t("", 0)
        else:
            return f"{names[i]}: not a text"
    cdef gw_refusal_t refusal = gw_record_fill(record, kind, texts, &field)
    if refusal == GW_FINE:
        return None
    why = gw_refusal_text(refusal).decode()
    return f"{names[field]}: {why}: {_quoted(texts[field])}"


cdef object _decimal(const gw_record_t *record, unsigned index):
    """The text, or None where there is no value."""
    cdef char text[GW_DECIMAL_TEXT_MAX]
    cdef size_t length = gw_record_decimal(record, index, text)
    return text[:length].decode() if length else None


cdef bytes _id(const gw_record_t *record):
    """A trade's id; of one whose length is a lie, as much as a record holds."""
    cdef Py_ssize_t length = min(record.trade.id_length, GW_ID_MAX)
    if length <= GW_ID_INLINE:
        return record.trade.id[:length]
    return record.trade.id[:GW_ID_INLINE] + record.tail.id[:length - GW_ID_INLINE]


cdef tuple _health_words(const gw_health_t *health):
    """State and reason. ValueError: it is no record of ours."""
    if health.state_length > GW_STATE_MAX or health.reason_length > GW_REASON_MAX:
        raise ValueError("no health")
    return (health.state[:health.state_length].decode("ascii"),
            health.reason[:health.reason_length].decode("ascii"))


cdef object _row_fields(const gw_record_t *record):
    """What a feed published as a row's last four items. ValueError: it is no record of ours."""
    cdef const gw_trade_t *trade = &record.trade
    if record.h.kind == GW_HEALTH:
        state, reason = _health_words(&record.health)
        return (state, reason, None, "")
    if record.h.kind == GW_TRADE:
        if trade.id_length > GW_ID_MAX or trade.side > GW_SIDE_SELL:
            raise ValueError("no trade")
        return (_decimal(record, 0), _decimal(record, 1), _SIDES.get(trade.side),
                _id(record).decode("ascii"))
    return tuple([_decimal(record, i) for i in range(4)])


def record_rows(data):
    cdef const uint8_t[::1] view = data
    cdef gw_record_t record
    cdef Py_ssize_t i
    if view.shape[0] % <Py_ssize_t>sizeof(gw_record_t) != 0:
        raise ValueError(f"{view.shape[0]} bytes are no whole records")
    rows = []
    for i in range(view.shape[0] // <Py_ssize_t>sizeof(gw_record_t)):
        memcpy(&record, &view[i * <Py_ssize_t>sizeof(gw_record_t)], sizeof(gw_record_t))
        if not (gw_record_possible(record.h.kind, record.h.cells)
                and record.h.cells == gw_record_cells(&record)):
            rows.append(None)
            continue
        # Unsigned, since it may be anybody's: a difference that does not fit must only be wrong.
        received = <int64_t>(<uint64_t>record.h.ts_publish - record.h.ingest_ns)
        if record.h.flags & GW_FLAG_RETIRED:
            rows.append(("", received, (record.h.topic, 0, None, None, None, None)))
            continue
        try:
            fields = _row_fields(&record)
        except ValueError:
            rows.append(None)
            continue
        rows.append((_CHANNEL_NAMES[record.h.kind], received,
                     (record.h.topic, record.h.ts_event, *fields)))
    return rows
