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
    enum: GW_CELL, GW_RECORD_CELLS, GW_RECORD_CELLS_MAX
    enum: GW_DIGITS_MAX, GW_DECIMALS_MAX, GW_EXPONENT_MAX
    enum: GW_TRADE, GW_BBO, GW_BOOK, GW_HEALTH, GW_CANDLE, GW_REASON_MAX
    enum: GW_SIDE_BUY, GW_SIDE_SELL, GW_FLAG_PACED, GW_FLAG_RETIRED, GW_FLAG_UNPRINTED
    enum: GW_GAP_FEED, GW_GAP_RESET
    enum: GW_HEALTH_STATES
    uint32_t GW_NUMBER_NONE

    ctypedef struct gw_header_t:
        uint64_t topic_seq
        int64_t ts_event, ts_recv, ts_publish
        uint32_t ingest_ns, topic
        uint8_t kind, flags
        uint16_t cells
        uint8_t gap, origin
        uint16_t generation
        uint32_t index, lost

    ctypedef struct gw_tail_t:
        char id[40]

    ctypedef struct gw_record_t:
        gw_header_t h
        uint8_t suspect "u.health.suspect"
        gw_tail_t tail

    ctypedef enum gw_refusal_t:
        GW_FINE

    uint16_t gw_record_cells(const gw_record_t *record)
    void gw_record_copy(gw_record_t *to, const gw_record_t *source)
    const char *gw_refusal_text(gw_refusal_t refusal)

    ctypedef struct gw_text_t:
        const char *at
        size_t length

    gw_refusal_t gw_record_fill(
        gw_record_t *record, uint8_t kind, const gw_text_t *texts, int *field)
    size_t gw_record_decimal(const gw_record_t *record, unsigned index, char *out)

cdef extern from "gw_kind.h" nogil:
    enum: GW_FIELDS_MAX, GW_FIELD_DECIMAL, GW_FIELD_SIDE, GW_FIELD_ID, GW_FIELD_WORDS, GW_FIELD_TEXT
    enum: GW_FIELD_NUMBER, GW_FIELD_FLAG

    ctypedef struct gw_field_t:
        char name[8]
        uint8_t type, at, digits, none
        uint16_t room

    ctypedef struct gw_kind_t:
        const char *name
        const char *interval
        gw_field_t fields[10]
        uint8_t fields_count, fed

    const gw_kind_t gw_kinds[14]
    const gw_kind_t *gw_kind(uint8_t kind)
    bint gw_field_optional(const gw_field_t *f)
    bint gw_record_possible(uint8_t kind, unsigned cells)


cdef dict _TYPES = {GW_FIELD_DECIMAL: "decimal", GW_FIELD_SIDE: "side", GW_FIELD_ID: "id",
                    GW_FIELD_WORDS: "words", GW_FIELD_TEXT: "text",
                    GW_FIELD_NUMBER: "number", GW_FIELD_FLAG: "flag"}


cdef tuple _kinds():
    cdef uint8_t number
    cdef unsigned i
    cdef const gw_field_t *f
    out = []
    for number in range(GW_CHANNELS):
        if gw_kind(number) == NULL:
            continue
        fields = []
        for i in range(gw_kinds[number].fields_count):
            f = &gw_kinds[number].fields[i]
            fields.append((f.name.decode(), _TYPES[f.type],
                           bool(gw_field_optional(f))))
        name = gw_kinds[number].name.decode()
        if gw_kinds[number].interval != NULL:
            name += "_" + gw_kinds[number].interval.decode()
        out.append((name, number, bool(gw_kinds[number].fed), tuple(fields)))
    return tuple(out)


KINDS = _kinds()
CHANNELS = {name: number for name, number, _, _ in KINDS}
HEALTH_TOPICS_MAX = GW_HEALTH_TOPICS_MAX
REASON_MAX = GW_REASON_MAX
FLAG_PACED = GW_FLAG_PACED
FLAG_RETIRED = GW_FLAG_RETIRED
FLAG_UNPRINTED = GW_FLAG_UNPRINTED
RECORD_SIZE_MAX = GW_RECORD_CELLS_MAX * GW_CELL
RECORD_SIZE_USUAL = GW_RECORD_CELLS * GW_CELL
ID_MAX = GW_ID_MAX
DIGITS_MAX = GW_DIGITS_MAX
DECIMALS_MAX = GW_DECIMALS_MAX
EXPONENT_MAX = GW_EXPONENT_MAX
Raw = Row = tuple  # what is in them, the stub spells out

cdef dict _CHANNEL_NAMES = {number: name for name, number in CHANNELS.items()}
cdef dict _GAPS = {"": 0, "feed": GW_GAP_FEED, "reset": GW_GAP_RESET}
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


cdef int _field_text(PyObject *value, const gw_kind_t *kind, unsigned i, gw_text_t *out) noexcept:
    """As `_text`, with None where the field may have no value."""
    if _text(value, out):
        return 1
    if <object>value is not None:
        return 0
    cdef const gw_field_t *f = &kind.fields[i]
    if f.type == GW_FIELD_SIDE:
        out[0] = gw_text_t("", 0)
        return 1
    out[0] = gw_text_t(NULL, 0)
    return gw_field_optional(f)


cdef bint _is_number(const gw_field_t *f) noexcept:
    return f.type == GW_FIELD_NUMBER or f.type == GW_FIELD_FLAG


cdef int _number_put(PyObject *value, const gw_field_t *f, gw_record_t *record) noexcept:
    """Puts a field that has no text; 0 where the value is none of its."""
    cdef uint8_t *at = <uint8_t *>record + f.at
    cdef int64_t number
    if f.type == GW_FIELD_FLAG:
        if <object>value is True:
            at[0] |= f.none
        return <object>value is True or <object>value is False
    if <object>value is None and f.none:
        number = GW_NUMBER_NONE
    elif not _integer(value, &number) or number >= <int64_t>GW_NUMBER_NONE:
        return 0
    (<uint32_t *>at)[0] = <uint32_t>number
    return 1


cdef object _row_fill(object row, uint8_t number, gw_record_t *record):
    """Fills ts_event, kind and payload from a row of the kind. None, or why not."""
    cdef gw_text_t texts[GW_FIELDS_MAX]
    cdef unsigned i
    cdef int field
    cdef const gw_kind_t *kind = &gw_kinds[number]
    if not PyTuple_CheckExact(row) or PyTuple_GET_SIZE(row) != 2 + kind.fields_count:
        return f"not a tuple of {2 + kind.fields_count}"
    if not _integer(PyTuple_GET_ITEM(row, 1), &record.h.ts_event):
        return "ts_event is not a time"
    for i in range(kind.fields_count):
        if _is_number(&kind.fields[i]):
            texts[i] = gw_text_t(NULL, 0)
        elif not _field_text(PyTuple_GET_ITEM(row, 2 + i), kind, i, &texts[i]):
            return f"{kind.fields[i].name.decode()}: not a text"
    cdef gw_refusal_t refusal = gw_record_fill(record, number, texts, &field)
    if refusal == GW_FINE:
        for i in range(kind.fields_count):
            if _is_number(&kind.fields[i]) and not _number_put(
                    PyTuple_GET_ITEM(row, 2 + i), &kind.fields[i], record):
                return f"{kind.fields[i].name.decode()}: not a number"
        return None
    why = gw_refusal_text(refusal).decode()
    return f"{kind.fields[field].name.decode()}: {why}: {_quoted(texts[field])}"


cdef object _decimal(const gw_record_t *record, unsigned index):
    """The text, or None where there is no value."""
    cdef char text[GW_DECIMAL_TEXT_MAX]
    cdef size_t length = gw_record_decimal(record, index, text)
    return text[:length].decode() if length else None


cdef object _value(const gw_record_t *record, const gw_field_t *f, unsigned index):
    """A field as rows have it. ValueError: it is no record of ours."""
    cdef const char *base = <const char *>record
    cdef Py_ssize_t length = <uint8_t>base[f.digits]
    if f.type == GW_FIELD_DECIMAL:
        return _decimal(record, index)
    if f.type == GW_FIELD_SIDE:
        if <uint8_t>base[f.at] > GW_SIDE_SELL:
            raise ValueError("no side")
        return _SIDES.get(<uint8_t>base[f.at])
    if f.type == GW_FIELD_FLAG:
        return (<uint8_t>base[f.at] & f.none) != 0
    if f.type == GW_FIELD_NUMBER:
        if f.room == 8:
            return (<int64_t *>(base + f.at))[0]
        if f.none and (<uint32_t *>(base + f.at))[0] == GW_NUMBER_NONE:
            return None
        return (<uint32_t *>(base + f.at))[0]
    if f.type == GW_FIELD_TEXT:
        raise ValueError("longer than what rows have")
    if length > (GW_ID_MAX if f.type == GW_FIELD_ID else f.room):
        raise ValueError("a text that is too long")
    if f.type == GW_FIELD_WORDS or length <= GW_ID_INLINE:
        return base[f.at:f.at + length].decode("ascii")
    return (base[f.at:f.at + GW_ID_INLINE] + record.tail.id[:length - GW_ID_INLINE]).decode("ascii")


cdef tuple _row_fields(const gw_record_t *record):
    """What a feed published as a row's fields. ValueError: it is no record of ours."""
    cdef const gw_kind_t *kind = gw_kind(record.h.kind)
    cdef unsigned i
    return tuple([_value(record, &kind.fields[i], i) for i in range(kind.fields_count)])


cdef Py_ssize_t _record_take(const uint8_t[::1] view, Py_ssize_t at, gw_record_t *out) noexcept:
    """Copies the record there, of a long one its first cells. Its bytes; 0: it is not whole."""
    cdef Py_ssize_t left = view.shape[0] - at, size
    if left < <Py_ssize_t>sizeof(gw_header_t):
        return 0
    memcpy(&out.h, &view[at], sizeof(gw_header_t))
    size = <Py_ssize_t>out.h.cells * GW_CELL
    if size > left:
        return 0
    memset(<char *>out + sizeof(gw_header_t), 0, sizeof(gw_record_t) - sizeof(gw_header_t))
    memcpy(out, &view[at], min(<size_t>size, sizeof(gw_record_t)))
    return size


cdef tuple _row_of(const gw_record_t *record, const uint8_t *tail, bint published):
    """What `record_rows` gives of one record. ValueError: it is no record of ours."""
    if not (gw_record_possible(record.h.kind, record.h.cells)
            and (record.h.kind == GW_BOOK or record.h.cells == gw_record_cells(record))):
        raise ValueError("no record")
    # Unsigned, since it may be anybody's: a difference that does not fit must only be wrong.
    received = <int64_t>(<uint64_t>record.h.ts_publish - (0 if published else record.h.ingest_ns))
    told = record.h.topic_seq, record.h.flags, record.h.gap, record.h.lost
    if record.h.flags & GW_FLAG_RETIRED:
        return "", received, record.h.index, (record.h.topic, 0, None, None, None, None), told
    fields = _book_fields(record, tail) if record.h.kind == GW_BOOK else _row_fields(record)
    return (_CHANNEL_NAMES[record.h.kind], received, record.h.index,
            (record.h.topic, record.h.ts_event, *fields), told)


def record_rows(data, Py_ssize_t at=0, Py_ssize_t limit=-1, *, bint published=False):
    cdef const uint8_t[::1] view = data
    cdef gw_record_t record
    cdef Py_ssize_t size
    rows = []
    if at < 0:
        raise ValueError(f"at byte {at}")
    while at < view.shape[0] and limit != 0:
        size = _record_take(view, at, &record)
        if size == 0 and rows:
            break
        if size == 0:
            raise ValueError(f"no whole record at byte {at}")
        try:
            rows.append(_row_of(&record, &view[0] + at + GW_RECORD_CELLS * GW_CELL,
                                published))
        except ValueError:
            rows.append(None)
        at += size
        # A book's levels take their time: it counts as records of the usual length.
        limit -= 1 if limit < 0 or record.h.kind != GW_BOOK else min(
            limit, max(size // (GW_RECORD_CELLS * GW_CELL), 1))
    return rows, at


def record_headers(data):
    cdef const uint8_t[::1] view = data
    cdef gw_record_t record
    cdef Py_ssize_t at = 0, size
    out = bytearray()
    while at < view.shape[0]:
        size = _record_take(view, at, &record)
        if size == 0:
            break
        out += (<const char *>&record.h)[:sizeof(gw_header_t)]
        at += size
    return bytes(out)
