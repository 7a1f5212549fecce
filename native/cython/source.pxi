cdef extern from "gw_source.h" nogil:
    enum: GW_SOURCE_SYMBOL_MAX
    enum: GW_SOURCE_PREFIX_MAX
    enum: GW_SOURCE_BATCH_BYTES_MAX
    enum: GW_SOURCE_INTERVAL_NS

    ctypedef struct gw_pace_t:
        uint64_t steps

    ctypedef struct gw_source_options_t:
        int fd
        bint nats, spin
        uint32_t batch_bytes_max, symbols
        int64_t interval_ns
        const gw_text_t *names
        gw_text_t prefix

    ctypedef struct gw_source_t:
        gw_pace_t pace
        uint64_t sent, bytes, errors, send_calls, cpu_ns
        gw_hdr_t late
        const char *line
        uint32_t line_length

    ctypedef struct gw_source_rows_t:
        const int64_t *due
        const int32_t *symbol
        const uint8_t *channel
        size_t count

    int gw_source_init(gw_source_t *s, const gw_source_options_t *options)
    void gw_source_free(gw_source_t *s)
    size_t gw_source_check(const gw_source_t *s, const gw_source_rows_t *rows)
    int gw_source_send(gw_source_t *s, const gw_source_rows_t *rows, size_t *done)
    void gw_source_stop(gw_source_t *s)


_NATS_TIMEOUT_S = 5.0


def _nats_join(peer):
    """Says CONNECT and waits until the server has answered a PING: it takes what follows.

    OSError with the server's own words where it refuses.
    """
    # Unbuffered: what comes behind the PONG stays in the socket.
    with peer.makefile("rb", buffering=0) as lines:
        if not lines.readline(65536).startswith(b"INFO "):
            raise OSError("not a NATS server: its first line is not INFO")
        peer.sendall(b'CONNECT {"verbose":false,"pedantic":false,"name":"tickgate"}\r\nPING\r\n')
        while (line := lines.readline(65536)) != b"PONG\r\n":
            if line == b"PING\r\n":
                peer.sendall(b"PONG\r\n")
            elif not line.startswith((b"INFO ", b"+OK")):
                said = line.strip().decode(errors="replace") or "it hung up"
                raise OSError(f"the NATS server refuses: {said}")


def _source_connect(str host, int port, str transport):
    """A connected socket. OSError; ValueError for an unknown transport."""
    kind = {"udp": socket.SOCK_DGRAM, "nats": socket.SOCK_STREAM}.get(transport)
    if kind is None:
        raise ValueError(f"transport is {transport!r}, not udp or nats")
    address = socket.getaddrinfo(host, port, socket.AF_INET, kind)[0][4]
    peer = socket.socket(socket.AF_INET, kind)
    try:
        if transport == "nats":
            peer.settimeout(_NATS_TIMEOUT_S)
        peer.connect(address)
        if transport == "nats":
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _nats_join(peer)
            peer.settimeout(None)
    except OSError as error:
        peer.close()
        why = error.strerror or str(error)
        raise OSError(error.errno, f"{transport}://{host}:{port}: {why}") from error
    return peer


cdef class TickSource:
    cdef gw_source_t *source
    cdef object peer
    cdef bint sending

    def __init__(self, str host, int port, *, symbols, str transport="udp",
                 str subject_prefix="", int batch_bytes_max=1400,
                 int64_t interval_ns=GW_SOURCE_INTERVAL_NS, bint spin=False):
        if self.source != NULL:
            raise RuntimeError("already initialised")
        if not 1 <= batch_bytes_max <= GW_SOURCE_BATCH_BYTES_MAX:
            raise ValueError(
                f"batch_bytes_max is {batch_bytes_max}, not 1 to {GW_SOURCE_BATCH_BYTES_MAX}")
        if not 0 <= interval_ns <= 1_000_000_000:
            raise ValueError(f"interval_ns is {interval_ns}, not 0 to 1000000000")
        names = [symbol.encode() for symbol in symbols]
        prefix = subject_prefix.encode()
        cdef gw_text_t *texts = <gw_text_t *>calloc(len(names) or 1, sizeof(gw_text_t))
        self.source = <gw_source_t *>calloc(1, sizeof(gw_source_t))
        if texts == NULL or self.source == NULL:
            free(texts)
            raise MemoryError()
        for i, name in enumerate(names):
            texts[i] = gw_text_t(at=<const char *>name, length=len(name))
        cdef gw_source_options_t options = gw_source_options_t(
            nats=transport == "nats", spin=spin, batch_bytes_max=batch_bytes_max,
            symbols=len(names), names=texts, interval_ns=interval_ns,
            prefix=gw_text_t(at=<const char *>prefix, length=len(prefix)))
        try:
            self.peer = _source_connect(host, port, transport)
            options.fd = self.peer.fileno()
            error = gw_source_init(self.source, &options)
        finally:
            free(texts)
        if error < 0:
            self.peer.close()
            self.peer = None
        if error == -errno.ENOMEM:
            raise MemoryError()
        if error < 0:
            raise ValueError(
                f"a source needs symbols of 1 to {GW_SOURCE_SYMBOL_MAX} printable characters and a"
                f" subject_prefix of at most {GW_SOURCE_PREFIX_MAX}, without * \" \\ , and space")

    def __dealloc__(self):
        if self.source != NULL:
            gw_source_free(self.source)
            free(self.source)

    def send(self, const int64_t[::1] due_ns not None, const int32_t[::1] symbol not None,
             const uint8_t[::1] channel not None):
        cdef gw_source_rows_t rows
        cdef size_t done = 0
        cdef int error
        if not due_ns.shape[0] == symbol.shape[0] == channel.shape[0]:
            raise ValueError(
                f"{due_ns.shape[0]} times, {symbol.shape[0]} symbols, {channel.shape[0]} channels")
        if due_ns.shape[0] == 0:
            return 0
        if self.peer is None:
            raise ValueError("tick source is closed")
        if self.sending:
            raise RuntimeError("another thread is sending")
        rows = gw_source_rows_t(due=&due_ns[0], symbol=&symbol[0], channel=&channel[0],
                                count=due_ns.shape[0])
        bad = gw_source_check(self.source, &rows)
        if bad < rows.count:
            raise ValueError(
                f"row {bad}: due {due_ns[bad]}, symbol {symbol[bad]}, channel {channel[bad]}: times"
                " are positive and never fall, symbols are indices, channels those of CHANNELS")
        self.sending = True
        with nogil:
            error = gw_source_send(self.source, &rows, &done)
        self.sending = False
        if error < 0:
            said = self.source.line[:self.source.line_length].decode(errors="replace")
            why = said if error == -errno.EPROTO else os.strerror(-error)
            raise OSError(-error, f"the NATS server is lost: {why}")
        return done

    cdef int check(self) except -1:
        if self.source == NULL:
            raise ValueError("tick source is not initialised")
        return 0

    def stop(self):
        self.check()
        gw_source_stop(self.source)

    def counts(self):
        self.check()
        counts = _numpy().empty(GW_HDR_COUNTS, dtype="uint64")
        gw_words_read(<uint64_t *><size_t>counts.ctypes.data, self.source.late.counts,
                      GW_HDR_COUNTS)
        return counts

    def counters(self):
        cdef gw_source_t *s = self.source
        self.check()
        return {
            "sent": GW_LOAD_RELAXED(&s.sent),
            "bytes": GW_LOAD_RELAXED(&s.bytes),
            "errors": GW_LOAD_RELAXED(&s.errors),
            "send_calls": GW_LOAD_RELAXED(&s.send_calls),
            "cpu_ns": GW_LOAD_RELAXED(&s.cpu_ns),
            "late_sum_ns": GW_LOAD_RELAXED(&s.late.sum),
            "late_saturated": GW_LOAD_RELAXED(&s.late.saturated),
            "clock_steps": GW_LOAD_RELAXED(&s.pace.steps),
        }

    def close(self):
        if self.sending:
            raise RuntimeError("stop the sending thread and let it return first")
        if self.peer is not None:
            self.peer.close()
            self.peer = None
