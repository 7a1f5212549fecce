cdef enum:
    POLL_MAX = 1 << 20  # records at once


cdef class RingReader:
    cdef Segment segment
    cdef gw_reader_t reader
    cdef gw_record_t *buffer
    cdef size_t buffer_records
    cdef bint polling  # without the interpreter's lock

    def __init__(self, int fd, *, bint from_start=False):
        if self.segment is not None:
            raise RuntimeError("already initialised")
        self.segment = Segment(fd)
        self.reader.segment = self.segment.view
        self.reader.cursor = 0 if from_start else GW_LOAD_ACQUIRE(self.segment.view.tail)

    def __dealloc__(self):
        free(self.buffer)

    cdef int check_open(self) except -1:
        if self.segment is None or self.segment.mem == NULL:
            raise ValueError("ring reader is closed")
        if self.polling:
            raise RuntimeError("another thread is polling")
        return 0

    cdef int reserve(self, size_t limit) except -1:
        """Has room for so many records in the buffer."""
        self.check_open()
        if not 1 <= limit <= POLL_MAX:
            raise ValueError(f"limit {limit}: 1 to {POLL_MAX} records")
        if limit > self.buffer_records:
            free(self.buffer)
            self.buffer_records = 0
            self.buffer = <gw_record_t *>malloc(limit * sizeof(gw_record_t))
            if self.buffer == NULL:
                raise MemoryError
            self.buffer_records = limit
        return 0

    def poll(self, size_t limit=4096):
        self.reserve(limit)
        cdef int64_t size = gw_reader_poll(&self.reader, self.buffer, limit * sizeof(gw_record_t))
        if size < 0:
            return None
        return [self.row(&self.buffer[i]) for i in range(size // <int64_t>sizeof(gw_record_t))]

    def rewind(self, uint64_t size):
        self.check_open()
        return gw_reader_rewind(&self.reader, size)

    def poll_raw(self, size_t limit=4096):
        cdef int64_t size
        self.reserve(limit)
        self.polling = True
        with nogil:
            size = gw_reader_poll(&self.reader, self.buffer, limit * sizeof(gw_record_t))
        self.polling = False
        return None if size < 0 else (<uint8_t *>self.buffer)[:size]

    def topics(self):
        self.check_open()
        return self.segment.topics()

    @property
    def epoch(self):
        self.check_open()
        return self.segment.epoch

    cdef dict row(self, const gw_record_t *record):
        if record.h.topic >= <uint32_t>len(self.segment.names):
            self.segment.extend()
        channel, instrument = self.segment.names[record.h.topic]
        row = {
            "channel": channel, "instrument": instrument, "topic": record.h.topic,
            "ring_seq": record.h.ring_seq, "seq": record.h.topic_seq, "flags": record.h.flags,
            "ts_event": record.h.ts_event, "ts_recv": record.h.ts_recv,
            "ts_publish": record.h.ts_publish, "ingest_ns": record.h.ingest_ns,
        }
        cdef const gw_trade_t *trade = &record.trade
        cdef const gw_bbo_t *bbo = &record.bbo
        if record.h.kind == GW_TRADE:
            row["price"] = _decimal(trade.price, trade.price_exponent, trade.price_digits)
            row["qty"] = _decimal(trade.qty, trade.qty_exponent, trade.qty_digits)
            row["side"] = _SIDES.get(trade.side, "")
            row["id"] = trade.id[:min(trade.id_length, GW_ID_MAX)].decode()
        else:
            for i, name in enumerate(_BBO_FIELDS):
                row[name] = _decimal(bbo.mantissa[i], bbo.exponent[i], bbo.digits[i])
        return row

    def close(self):
        if self.polling:
            raise RuntimeError("another thread is polling: let it return first")
        if self.segment is not None:
            self.segment.close()
