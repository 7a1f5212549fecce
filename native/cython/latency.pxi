from cpython.mem cimport PyMem_Calloc

TICK_STAGES = ("wire", "gateway", "delivery", "age")
TICK_CHANNELS_MAX = 32  # each takes up to 900 KB; a gateway has fewer


cdef inline void _tick_stage(gw_hdr_t *h, int64_t start, int64_t end) noexcept nogil:
    """The times may be anybody's: their difference wraps."""
    gw_hdr_record(h, <int64_t>(<uint64_t>end - <uint64_t>start), 1)


cdef class _TickTimes:
    """Durations of one channel's ticks: a histogram for each of TICK_STAGES."""
    cdef gw_hdr_t *stages

    def __cinit__(self):
        self.stages = <gw_hdr_t *>PyMem_Calloc(4, sizeof(gw_hdr_t))
        if self.stages == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.stages)

    cdef void add(self, int64_t event, int64_t recv, int64_t send, int64_t client,
                  bint replaying) noexcept nogil:
        _tick_stage(&self.stages[0], event, recv)
        _tick_stage(&self.stages[2], send, client)
        if not replaying:
            _tick_stage(&self.stages[1], recv, send)
            _tick_stage(&self.stages[3], recv, client)


cdef class TickLatencies:
    cdef dict times
    cdef int64_t offset_ns

    def __init__(self):
        self.times = {}
        self.offset_ns = 0

    cdef int64_t corrected(self, int64_t client) noexcept nogil:
        return <int64_t>(<uint64_t>client + <uint64_t>self.offset_ns)

    cdef _TickTimes of(self, str channel):
        times = self.times.get(channel)
        if times is None and len(self.times) < TICK_CHANNELS_MAX:
            times = self.times[channel] = _TickTimes()
        return times

    def correct(self, int64_t offset_ns):
        self.offset_ns = offset_ns

    def record(self, tick, bint replaying=False):
        if <str?>tick.type == "snapshot":
            return
        cdef _TickTimes times = self.of(<str?>tick.channel)
        cdef int64_t event, recv, send, client
        try:
            event, recv, send, client = tick.ts_event, tick.ts_recv, tick.ts_send, tick.ts_client
        except OverflowError:
            return  # no time at all
        if times is not None:
            times.add(event, recv, send, self.corrected(client), replaying)

    def record_rows(self, str channel not None, rows, int64_t ts_client, bint replaying=False):
        live = rows[(rows["flags"] & 1) == 0]
        cdef const int64_t[:] event = live["ts_event"]
        cdef const int64_t[:] recv = live["ts_recv"]
        cdef const int64_t[:] send = live["ts_send"]
        cdef _TickTimes times = self.of(channel)
        cdef Py_ssize_t i
        if times is None:
            return
        with nogil:
            for i in range(event.shape[0]):
                times.add(event[i], recv[i], send[i], self.corrected(ts_client), replaying)

    @property
    def channels(self):
        return tuple(self.times)

    cdef gw_hdr_t *histogram(self, str channel, str stage) except NULL:
        cdef _TickTimes times = self.times[channel]
        if stage not in TICK_STAGES:
            raise KeyError(stage)
        return &times.stages[<uint32_t>TICK_STAGES.index(stage)]

    def counts(self, str channel, str stage):
        cdef gw_hdr_t *h = self.histogram(channel, stage)
        counts = _numpy().empty(GW_HDR_COUNTS, dtype="uint64")
        gw_words_read(<uint64_t *><size_t>counts.ctypes.data, h.counts, GW_HDR_COUNTS)
        return counts

    def totals(self, str channel, str stage):
        cdef gw_hdr_t *h = self.histogram(channel, stage)
        return h.sum, h.saturated, h.negative
