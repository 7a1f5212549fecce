import errno

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport int8_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc

cdef extern from "gw_record.h" nogil:
    enum: GW_TRADE
    enum: GW_BBO
    enum: GW_DIGITS_MAX
    enum: GW_DECIMAL_TEXT_MAX
    ctypedef struct gw_header_t:
        uint64_t topic_seq
        int64_t ts_event
        int64_t ts_recv
        uint8_t kind
    ctypedef struct gw_decimal_t:
        int64_t mantissa
        int8_t exponent
        uint8_t digits
    ctypedef struct gw_text_t:
        const char *at
        size_t length
    ctypedef struct gw_trade_t:
        pass
    ctypedef struct gw_bbo_t:
        pass
    ctypedef struct gw_record_t:
        gw_header_t h
        gw_trade_t trade "u.trade"
        gw_bbo_t bbo "u.bbo"
    int gw_decimal_parse(const char *text, size_t length, gw_decimal_t *out)
    size_t gw_decimal_format(int64_t mantissa, int8_t exponent, uint8_t digits, char *out)
    const char *gw_trade_fill(
        gw_trade_t *trade, gw_text_t price, gw_text_t qty, gw_text_t side, gw_text_t id)
    const char *gw_bbo_fill(gw_bbo_t *bbo, const gw_text_t *sides)

cdef extern from "gw_template.h" nogil:
    ctypedef struct gw_template_t:
        pass
    ctypedef struct gw_encode_t:
        const gw_record_t *record
        const char *symbol
        size_t symbol_length
        int64_t ts_send
    int gw_template_load(const uint8_t *program, size_t size, gw_template_t **out)
    void gw_template_free(gw_template_t *t)
    uint8_t gw_template_kind(const gw_template_t *t)
    size_t gw_template_size_max(const gw_template_t *t, size_t symbol_length)
    size_t gw_template_encode(const gw_template_t *t, const gw_encode_t *in_, char *out)
    size_t gw_template_tail_length(const gw_template_t *t)
    size_t gw_template_splice(const gw_template_t *t, uint64_t skipped, char *out)

cdef enum:
    SPLICE_MAX = 64


def decimal_round_trip(str text):
    cdef bytes raw = text.encode()
    cdef gw_decimal_t decimal
    cdef char out[GW_DECIMAL_TEXT_MAX]
    cdef size_t length
    if gw_decimal_parse(raw, len(raw), &decimal) != 0:
        raise ValueError(f"not a decimal of at most {GW_DIGITS_MAX} digits: {text!r}")
    length = gw_decimal_format(decimal.mantissa, decimal.exponent, decimal.digits, out)
    return PyUnicode_DecodeASCII(out, length, NULL)


cdef class Template:
    cdef gw_template_t *template

    def __cinit__(self, bytes program):
        cdef int error = gw_template_load(<const uint8_t *><char *>program, len(program), &self.template)
        if error == -errno.ENOMEM:
            raise MemoryError
        if error != 0:
            raise ValueError(f"not a template program ({len(program)} bytes)")

    def __dealloc__(self):
        gw_template_free(self.template)

    def encode(
        self, str channel, str symbol, tuple row, *, uint64_t seq, int64_t ts_recv,
        int64_t ts_send, uint64_t skipped=0
    ):
        cdef gw_record_t record
        cdef bytes name = symbol.encode()
        cdef gw_encode_t job
        cdef char *out
        cdef size_t length
        fill_record(&record, self.template, channel, row)
        record.h.topic_seq = seq
        record.h.ts_recv = ts_recv
        if record.h.ts_event == 0:
            record.h.ts_event = ts_recv
        job.record = &record
        job.symbol = name
        job.symbol_length = len(name)
        job.ts_send = ts_send
        out = <char *>malloc(gw_template_size_max(self.template, job.symbol_length) + SPLICE_MAX)
        if out == NULL:
            raise MemoryError
        try:
            length = gw_template_encode(self.template, &job, out)
            if skipped != 0:
                length -= gw_template_tail_length(self.template)
                length += gw_template_splice(self.template, skipped, out + length)
            return PyBytes_FromStringAndSize(out, length)
        finally:
            free(out)


cdef int fill_record(
    gw_record_t *record, const gw_template_t *template, str channel, tuple row
) except -1:
    """Header kind, ts_event and payload of a row, as the ring's writer would fill them."""
    cdef gw_text_t texts[4]
    cdef list raw
    cdef const char *refused
    cdef int i
    record.h.kind = CHANNELS.get(channel, 0)
    if record.h.kind != gw_template_kind(template):
        raise ValueError(f"the template is not one of channel {channel!r}")
    _, record.h.ts_event, *texts_of_row = row
    raw = [b"" if text is None else text.encode() for text in texts_of_row]
    if len(raw) != 4:
        raise ValueError(f"a row has 6 fields, not {len(row)}")
    for i in range(4):
        texts[i].at = <bytes>raw[i]
        texts[i].length = len(<bytes>raw[i])
    if record.h.kind == GW_TRADE:
        refused = gw_trade_fill(&record.trade, texts[0], texts[1], texts[2], texts[3])
    else:
        refused = gw_bbo_fill(&record.bbo, texts)
    if refused != NULL:
        raise ValueError(refused.decode())
    return 0
