import socket

cdef extern from "gw_udp.h" nogil:
    enum: GW_UDP_DATAGRAM_MAX

    ctypedef struct gw_udp_t:
        uint64_t dropped, oversized, stamp_anomalies
        bint batched, stamped
        int64_t ts_read, mono_read
        int64_t *ages_ns

    int gw_udp_init(gw_udp_t *u, int fd, int buffer_bytes, uint32_t slot_bytes)
    void gw_udp_free(gw_udp_t *u)
    int gw_udp_buffer_granted(const gw_udp_t *u)
    int gw_udp_receive(gw_udp_t *u, int timeout_ms)
    const uint8_t *gw_udp_datagram(const gw_udp_t *u, int i, Py_ssize_t *length)
    void gw_udp_wake(gw_udp_t *u)

cdef extern from "gw_line.h" nogil:
    ctypedef enum gw_line_form_t:
        GW_LINE_OTHER, GW_LINE_USUAL, GW_LINE_BLANK

    ctypedef struct gw_line_t:
        uint8_t kind
        int64_t ts
        gw_text_t symbol
        gw_text_t texts[4]

    gw_line_form_t gw_line_parse(const char *at, size_t length, gw_line_t *line)


cdef extern from "gw_symbols.h" nogil:
    ctypedef struct gw_symbols_t:
        pass

    void gw_symbols_remove(gw_symbols_t *s, uint8_t kind, gw_text_t symbol)
    int gw_symbols_put(gw_symbols_t *s, uint8_t kind, gw_text_t symbol, uint32_t topic)

cdef extern from "gw_intake.h" nogil:
    enum: GW_INTAKE_REST_MAX

    ctypedef struct gw_intake_t:
        gw_symbols_t symbols
        gw_text_t rest[GW_INTAKE_REST_MAX]
        int64_t rest_ages_ns[GW_INTAKE_REST_MAX]

    int gw_intake_init(gw_intake_t *intake, gw_publisher_t *publisher, uint32_t feed,
                       int64_t quiet_ns, int64_t interval_ns)
    void gw_intake_free(gw_intake_t *intake)
    int gw_intake_receive(gw_intake_t *intake, gw_udp_t *u, int timeout_ms)


cdef object _ascii(gw_text_t text):
    return None if text.at == NULL else text.at[:text.length].decode("utf-8", "surrogateescape")


def usual_line(bytes line):
    cdef gw_line_t parsed
    cdef gw_line_form_t form = gw_line_parse(line, <size_t>len(line), &parsed)
    if form != GW_LINE_USUAL:
        return () if form == GW_LINE_BLANK else None
    texts = [_ascii(parsed.texts[i]) for i in range(gw_kinds[parsed.kind].fields_count)]
    return (_CHANNEL_NAMES[parsed.kind], _ascii(parsed.symbol), parsed.ts, *texts)


cdef class UdpIntake:
    cdef gw_intake_t intake
    cdef RingWriter writer  # its publisher must outlive a receive
    cdef bint receiving

    def __init__(self, RingWriter writer not None, *, uint32_t feed, int64_t quiet_ns,
                 int64_t interval_ns):
        if self.writer is not None:
            raise RuntimeError("already initialised")
        writer.check_open()
        if feed >= FEEDS:
            raise ValueError(f"feed {feed}: at most {FEEDS} feeds")
        if gw_intake_init(&self.intake, &writer.publisher, feed, quiet_ns, interval_ns) < 0:
            raise MemoryError
        self.writer = writer

    def __dealloc__(self):
        gw_intake_free(&self.intake)

    cdef int check_open(self) except -1:
        if self.writer is None:
            raise ValueError("udp intake is not initialised")
        self.writer.check_open()
        return 0

    def forget(self, str channel, str symbol):
        self.check_open()
        cdef bytes text = symbol.encode()
        if self.receiving:
            raise RuntimeError("a thread is receiving")
        gw_symbols_remove(
            &self.intake.symbols, CHANNELS[channel], gw_text_t(text, <size_t>len(text)))

    def learn(self, str channel, str symbol, uint32_t topic):
        self.check_open()
        if channel not in CHANNELS:
            raise ValueError(f"unknown channel {channel!r}")
        cdef bytes text = symbol.encode()
        cdef uint8_t kind = CHANNELS[channel]
        if self.receiving:
            raise RuntimeError("a thread is receiving")
        if topic >= self.writer.topics or self.writer.kinds[topic] != kind:
            raise ValueError(f"topic {topic} is none of channel {channel!r}")
        cdef int error = gw_symbols_put(
            &self.intake.symbols, kind, gw_text_t(text, <size_t>len(text)), topic)
        if error == -errno.ENOMEM:
            raise MemoryError
        if error < 0:
            raise ValueError(f"symbol {symbol!r} of {len(text)} bytes")

    cdef int receive(self, gw_udp_t *udp, int timeout_ms) except? -1:
        """As gw_intake_receive; whom it needs can't be closed or used by others meanwhile."""
        cdef int count
        self.check_open()
        if self.receiving:
            raise RuntimeError("another thread is receiving")
        self.receiving = True
        self.writer.inside += 1
        with nogil:
            count = gw_intake_receive(&self.intake, udp, timeout_ms)
        self.writer.inside -= 1
        self.receiving = False
        return count


@cython.no_gc_clear  # of `bound`: __dealloc__ asks it
cdef class UdpSocket:
    cdef gw_udp_t udp
    cdef object bound  # None when closed
    cdef UdpIntake intake
    cdef int local_port
    cdef bint receiving

    def __init__(self, bound not None, *, int buffer_bytes=8 << 20, UdpIntake intake=None):
        if self.bound is not None:
            raise RuntimeError("already initialised")
        if not isinstance(bound, socket.socket) or bound.type != socket.SOCK_DGRAM:
            raise TypeError("expected a datagram socket")
        try:
            error = gw_udp_init(&self.udp, bound.fileno(), buffer_bytes, GW_UDP_DATAGRAM_MAX)
            if error < 0:
                raise OSError(-error, os.strerror(-error))
        except OSError:
            bound.close()
            raise
        self.local_port = bound.getsockname()[1]
        self.intake = intake
        self.bound = bound

    def __dealloc__(self):
        if self.bound is not None:
            gw_udp_free(&self.udp)

    cdef int check_open(self) except -1:
        if self.bound is None:
            raise ValueError("udp socket is closed")
        return 0

    @property
    def port(self):
        return self.local_port

    @property
    def buffer_granted(self):
        self.check_open()
        return gw_udp_buffer_granted(&self.udp)

    @property
    def dropped(self):
        return self.udp.dropped

    @property
    def oversized(self):
        return self.udp.oversized

    @property
    def batched(self):
        return self.udp.batched

    @property
    def stamped(self):
        return self.udp.stamped

    @property
    def stamp_anomalies(self):
        return self.udp.stamp_anomalies

    def receive(self, int timeout_ms):
        cdef int count
        self.check_open()
        if timeout_ms < 0:
            raise ValueError(f"timeout of {timeout_ms} ms")
        if self.receiving:
            raise RuntimeError("another thread is receiving")
        self.receiving = True
        try:
            if self.intake is not None:
                count = self.intake.receive(&self.udp, timeout_ms)
            else:
                with nogil:
                    count = gw_udp_receive(&self.udp, timeout_ms)
        finally:
            self.receiving = False
        if count < 0:
            raise OSError(-count, os.strerror(-count))
        if count == 0:
            return [], [], 0, 0
        taken, ages = self.datagrams(count) if self.intake is None else self.lines(count)
        return taken, ages, self.udp.ts_read, self.udp.mono_read

    cdef tuple datagrams(self, int count):
        cdef Py_ssize_t length
        cdef const uint8_t *at
        datagrams, ages = [], []
        for i in range(count):
            at = gw_udp_datagram(&self.udp, i, &length)
            if length >= 0:
                datagrams.append((<const char *>at)[:length])
                ages.append(self.udp.ages_ns[i])
        return datagrams, ages

    cdef tuple lines(self, int count):
        cdef gw_text_t *rest = self.intake.intake.rest
        cdef int64_t *ages = self.intake.intake.rest_ages_ns
        return [rest[i].at[:rest[i].length] for i in range(count)], [ages[i] for i in range(count)]

    def wake(self):
        self.check_open()
        gw_udp_wake(&self.udp)

    def close(self):
        if self.receiving:
            raise RuntimeError("wake the receiving thread and let it return first")
        if self.bound is not None:
            gw_udp_free(&self.udp)
            self.bound.close()
            self.bound = None
