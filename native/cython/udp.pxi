import socket

cdef extern from "gw_udp.h" nogil:
    enum: GW_UDP_DATAGRAM_MAX

    ctypedef struct gw_udp_t:
        uint64_t dropped, oversized
        int64_t ts_recv, mono_recv

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


cdef str _ascii(gw_text_t text):
    return text.at[:text.length].decode("ascii")


def usual_line(bytes line):
    cdef gw_line_t parsed
    cdef gw_line_form_t form = gw_line_parse(line, <size_t>len(line), &parsed)
    if form != GW_LINE_USUAL:
        return () if form == GW_LINE_BLANK else None
    texts = [_ascii(parsed.texts[i]) for i in range(4)]
    return (_CHANNEL_NAMES[parsed.kind], _ascii(parsed.symbol), parsed.ts, *texts)


cdef class UdpSocket:
    cdef gw_udp_t udp
    cdef object bound  # None when closed
    cdef int local_port
    cdef bint receiving

    def __init__(self, str host, int port, *, int buffer_bytes=8 << 20):
        if self.bound is not None:
            raise RuntimeError("already initialised")
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.bind(address)
            error = gw_udp_init(&self.udp, bound.fileno(), buffer_bytes, GW_UDP_DATAGRAM_MAX)
            if error < 0:
                raise OSError(-error, os.strerror(-error))
        except OSError:
            bound.close()
            raise
        self.local_port = bound.getsockname()[1]
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

    def receive(self, int timeout_ms):
        cdef int i, count
        cdef Py_ssize_t length
        cdef const uint8_t *at
        self.check_open()
        if self.receiving:
            raise RuntimeError("another thread is receiving")
        self.receiving = True
        with nogil:
            count = gw_udp_receive(&self.udp, timeout_ms)
        self.receiving = False
        if count < 0:
            raise OSError(-count, os.strerror(-count))
        if count == 0:
            return [], 0, 0
        datagrams = []
        for i in range(count):
            at = gw_udp_datagram(&self.udp, i, &length)
            if length >= 0:
                datagrams.append((<const char *>at)[:length])
        return datagrams, self.udp.ts_recv, self.udp.mono_recv

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
