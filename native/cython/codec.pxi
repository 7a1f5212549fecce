import errno

cdef extern from "gw_notice.h" nogil:
    enum: GW_NOTICES, GW_NOTICE_KIND, GW_NOTICE_NUMBERS, GW_NOTICE_WORDS, GW_NOTICE_MAX

    ctypedef struct gw_notice_t:
        uint64_t numbers[5]
        gw_text_t words[2]

cdef extern from "gw_template.h" nogil:
    ctypedef struct gw_template_t:
        pass
    ctypedef struct gw_encode_t:
        const gw_record_t *record
        const char *symbol
        size_t symbol_length
        int64_t ts_send
        uint32_t topic
        uint8_t channel
        const gw_notice_t *notice
    enum: GW_SPLICE_MAX, GW_FRAME_MAX
    int gw_template_load(const uint8_t *program, size_t size, gw_template_t **out)
    void gw_template_free(gw_template_t *t)
    uint8_t gw_template_kind(const gw_template_t *t)
    size_t gw_template_size_max(const gw_template_t *t, size_t symbol_length)
    size_t gw_template_encode(const gw_template_t *t, const gw_encode_t *job, char *out)
    size_t gw_template_tell(const gw_template_t *t, uint64_t skipped, char *payload, size_t length)


def decimal_round_trip(str text):
    cdef gw_text_t texts[4]
    cdef gw_record_t record
    cdef char out[GW_DECIMAL_TEXT_MAX]
    cdef int field
    texts[1], texts[2], texts[3] = gw_text_t("0", 1), gw_text_t("", 0), gw_text_t("", 0)
    if not _text(<PyObject *>text, &texts[0]):
        raise ValueError(f"not a decimal: {text!r}")
    cdef gw_refusal_t refusal = gw_record_fill(&record, GW_TRADE, texts, &field)
    if refusal != GW_FINE:
        raise ValueError(f"{gw_refusal_text(refusal).decode()}: {text!r}")
    return out[:gw_record_decimal(&record, 0, out)].decode("ascii")


cdef class Template:
    cdef gw_template_t *template

    def __cinit__(self, bytes program):
        cdef const char *at = program
        cdef int error = gw_template_load(<const uint8_t *>at, len(program), &self.template)
        if error == -errno.ENOMEM:
            raise MemoryError
        if error == -errno.EMSGSIZE:
            most = GW_NOTICE_MAX if program[1] & GW_NOTICE_KIND else GW_FRAME_MAX
            raise ValueError(f"a message of this template may take more than {most} bytes")
        if error != 0:
            raise ValueError(f"not a template program ({len(program)} bytes)")

    def __dealloc__(self):
        gw_template_free(self.template)

    def encode(self, str channel, str symbol, tuple row, *, uint64_t seq, int64_t ts_recv,
               int64_t ts_send, uint64_t skipped=0, uint32_t topic=0):
        cdef gw_record_t record
        cdef uint8_t kind = gw_template_kind(self.template)
        cdef bytes name = symbol.encode()
        if CHANNELS.get(channel) != kind:
            raise ValueError(f"the template encodes another channel than {channel!r}")
        if not gw_kinds[kind].fed:
            raise ValueError(f"records of {channel} come from no row")
        why = _row_fill(row, kind, &record)
        if why is not None:
            raise ValueError(why)
        record.h.topic_seq = seq
        record.h.ts_recv = ts_recv
        if record.h.ts_event == 0:
            record.h.ts_event = ts_recv
        return self.write(&record, name, ts_send, skipped, topic)

    cdef bytes write(self, const gw_record_t *record, bytes name, int64_t ts_send,
                     uint64_t skipped, uint32_t topic):
        cdef gw_encode_t job
        memset(&job, 0, sizeof(job))
        job.record, job.symbol, job.symbol_length = record, name, <size_t>len(name)
        job.ts_send, job.topic = ts_send, topic
        return self.render(&job, skipped)

    def notice(self, *, str channel="trade", str symbol="", numbers=(), words=(),
               uint32_t topic=0, int64_t ts_send=0):
        cdef gw_notice_t notice
        cdef gw_encode_t job
        cdef bytes name = symbol.encode()
        cdef list texts = [word.encode() for word in words]
        cdef bytes text
        if gw_template_kind(self.template) < GW_NOTICE_KIND:
            raise ValueError("the template is of records")
        if len(numbers) > GW_NOTICE_NUMBERS or len(texts) > GW_NOTICE_WORDS:
            raise ValueError(f"{len(numbers)} numbers and {len(texts)} words")
        memset(&notice, 0, sizeof(notice))
        for i, number in enumerate(numbers):
            notice.numbers[i] = <uint64_t>-1 if number is None else number
        for i in range(len(texts)):
            text = texts[i]
            notice.words[i] = gw_text_t(text, <size_t>len(text))
        memset(&job, 0, sizeof(job))
        job.symbol, job.symbol_length = name, <size_t>len(name)
        job.ts_send, job.topic, job.channel = ts_send, topic, CHANNELS[channel]
        job.notice = &notice
        return self.render(&job, 0)

    cdef bytes render(self, const gw_encode_t *job, uint64_t skipped):
        cdef size_t room = gw_template_size_max(self.template, job.symbol_length)
        cdef char *out = <char *>malloc(room + GW_SPLICE_MAX)
        if out == NULL:
            raise MemoryError
        cdef size_t length = gw_template_encode(self.template, job, out)
        if skipped != 0:
            length = gw_template_tell(self.template, skipped, out, length)
        try:
            return PyBytes_FromStringAndSize(out, <Py_ssize_t>length)
        finally:
            free(out)
