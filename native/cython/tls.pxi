# TLS as the loop has it: contexts, and connections until the plane takes them over.
from libc.string cimport strlen

cdef extern from "gw_tls.h" nogil:
    enum: GW_TLS_RECORD_MAX, GW_TLS_HELLO_MAX, GW_TLS_FLIGHT_MAX, GW_TLS_TICKET_KEYS
    enum: GW_TLS_NAMES_MAX, GW_TLS_CERT, GW_TLS_KEY, GW_TLS_CA
    ctypedef struct gw_tls_context_t:
        pass
    ctypedef struct gw_tls_t:
        pass
    ctypedef struct gw_tls_ticket_key_t:
        pass
    ctypedef struct gw_tls_problem_t:
        int field
        char text[200]
    ctypedef struct gw_tls_out_t:
        uint8_t *bytes
        size_t length, size
    const char *gw_tls_missing()
    gw_tls_context_t *gw_tls_context_new(
        const char *name, const char *cert, const char *key, const char *client_ca,
        gw_tls_problem_t *problem)
    int gw_tls_context_add(
        gw_tls_context_t *c, const char *host, const char *cert, const char *key,
        gw_tls_problem_t *problem)
    int gw_tls_context_tickets(gw_tls_context_t *c, const gw_tls_ticket_key_t *keys, size_t count)
    int64_t gw_tls_context_expires(const gw_tls_context_t *c)
    void gw_tls_context_free(gw_tls_context_t *c)
    int gw_tls_hello(const uint8_t *data, size_t length)
    gw_tls_t *gw_tls_new(gw_tls_context_t *c, int fd, const char *host)
    void gw_tls_free(gw_tls_t *t)
    int gw_tls_feed(gw_tls_t *t, const void *data, size_t length)
    bint gw_tls_fed(const gw_tls_t *t)
    int gw_tls_handshake(gw_tls_t *t, gw_tls_out_t *out)
    ssize_t gw_tls_read(gw_tls_t *t, gw_tls_out_t *out, void *data, size_t size)
    int gw_tls_write(gw_tls_t *t, gw_tls_out_t *out, const void *data, size_t length)
    void gw_tls_close(gw_tls_t *t, gw_tls_out_t *out)
    const char *gw_tls_error(const gw_tls_t *t)
    void gw_tls_handed_over(gw_tls_t *t)
    bint gw_tls_resumed(const gw_tls_t *t)
    const char *gw_tls_version(const gw_tls_t *t)
    const char *gw_tls_cipher(const gw_tls_t *t)
    size_t gw_tls_peer_names(const gw_tls_t *t, char *out, size_t size)


TLS_HELLO_MAX = GW_TLS_HELLO_MAX
TLS_RECORD_MAX = GW_TLS_RECORD_MAX
TLS_TICKET_KEYS = GW_TLS_TICKET_KEYS
TLS_TICKET_KEY_BYTES = sizeof(gw_tls_ticket_key_t)
TLS_NAMES_MAX = GW_TLS_NAMES_MAX

cdef uint8_t _tls_out[GW_TLS_FLIGHT_MAX]  # of the step in hand: all of them are one thread's
cdef uint8_t _tls_plain[GW_TLS_RECORD_MAX]
cdef char _tls_names[16384]
cdef dict _TLS_FIELDS = {GW_TLS_CERT: "cert", GW_TLS_KEY: "key", GW_TLS_CA: "client_ca"}


class TlsFileError(ValueError):
    """A certificate or a key is no good; `field` says which: cert, key, client_ca or "" (other)."""

    def __init__(self, field, text):
        super().__init__(text)
        self.field = field


def tls_missing():
    cdef const char *why = gw_tls_missing()
    return "" if why == NULL else why.decode()


def tls_hello(const uint8_t[::1] data not None):
    return gw_tls_hello(&data[0], <size_t>len(data)) if len(data) else 0


cdef object _tls_problem(const gw_tls_problem_t *problem):
    return TlsFileError(
        _TLS_FIELDS.get(problem.field, ""), problem.text.decode("utf-8", "replace"))


cdef class TlsContext:
    cdef gw_tls_context_t *context

    def __init__(self, str name not None, str cert not None, str key not None, str client_ca=""):
        cdef gw_tls_problem_t problem
        if self.context != NULL:
            raise RuntimeError("already initialised")
        cdef bytes ca = os.fsencode(client_ca)
        self.context = gw_tls_context_new(
            name.encode(), os.fsencode(cert), os.fsencode(key),
            PyBytes_AS_STRING(ca) if ca else NULL, &problem)
        if self.context == NULL:
            raise _tls_problem(&problem)

    def __dealloc__(self):
        gw_tls_context_free(self.context)

    cdef int check(self) except -1:
        if self.context == NULL:
            raise ValueError("context is not initialised")
        return 0

    def add(self, str host not None, str cert not None, str key not None):
        cdef gw_tls_problem_t problem
        self.check()
        if gw_tls_context_add(
                self.context, host.encode(), os.fsencode(cert), os.fsencode(key), &problem) != 0:
            raise _tls_problem(&problem)

    def tickets(self, list keys not None):
        self.check()
        cdef bytes all = b"".join(keys)
        cdef size_t size = sizeof(gw_tls_ticket_key_t)
        if any(<size_t>len(key) != size for key in keys):
            raise ValueError(f"a ticket key has {size} bytes")
        if gw_tls_context_tickets(
                self.context, <gw_tls_ticket_key_t *>PyBytes_AS_STRING(all), len(keys)) != 0:
            raise ValueError(f"{len(keys)} ticket keys: 1 to {GW_TLS_TICKET_KEYS}")

    @property
    def expires_s(self):
        self.check()
        return gw_tls_context_expires(self.context)


cdef class TlsConnection:
    cdef gw_tls_t *tls
    cdef TlsContext context
    cdef bytes said

    def __init__(self, TlsContext context not None, int fd):
        context.check()
        if self.tls != NULL:
            raise RuntimeError("already initialised")
        self.said = b""
        self.context = context
        self.tls = gw_tls_new(context.context, fd, NULL)
        if self.tls == NULL:
            raise MemoryError

    def __dealloc__(self):
        gw_tls_free(self.tls)

    cdef int check(self) except -1:
        if self.tls == NULL:
            raise ValueError("the connection is not ours, or not any more")
        return 0

    cdef gw_tls_out_t out(self):
        cdef gw_tls_out_t out
        out.bytes = _tls_out
        out.length = 0
        out.size = GW_TLS_FLIGHT_MAX
        return out

    cdef int say(self, const gw_tls_out_t *out) except -1:
        if out.length:
            self.said += (<char *>out.bytes)[:out.length]
        return 0

    cdef int failed(self) except -1:
        raise OSError(errno.EPROTO, gw_tls_error(self.tls).decode("utf-8", "replace"))

    def feed(self, bytes data not None):
        self.check()
        if gw_tls_feed(self.tls, PyBytes_AS_STRING(data), <size_t>len(data)) != 0:
            raise MemoryError

    @property
    def fed(self):
        self.check()
        return gw_tls_fed(self.tls)

    def handshake(self):
        self.check()
        cdef gw_tls_out_t out = self.out()
        cdef int answer = gw_tls_handshake(self.tls, &out)
        self.say(&out)
        if answer == -errno.ECONNRESET:
            raise OSError(errno.ECONNRESET, "end of stream")
        if answer < 0:
            self.failed()
        return answer == 1

    def read(self):
        self.check()
        cdef gw_tls_out_t out = self.out()
        cdef ssize_t n = gw_tls_read(self.tls, &out, _tls_plain, GW_TLS_RECORD_MAX)
        self.say(&out)
        if n == 0:
            return None
        if n == -errno.ECONNRESET:
            return b""
        if n < 0:
            self.failed()
        return (<char *>_tls_plain)[:n]

    def write(self, bytes data not None):
        self.check()
        cdef gw_tls_out_t out = self.out()
        cdef int answer = gw_tls_write(
            self.tls, &out, PyBytes_AS_STRING(data), <size_t>len(data))
        self.say(&out)
        if answer != 0:
            self.failed()

    def close(self):
        self.check()
        cdef gw_tls_out_t out = self.out()
        gw_tls_close(self.tls, &out)
        self.say(&out)

    def take_said(self):
        cdef bytes said = self.said
        self.said = b""
        return said

    @property
    def resumed(self):
        self.check()
        return gw_tls_resumed(self.tls)

    @property
    def version(self):
        self.check()
        return gw_tls_version(self.tls).decode()

    @property
    def cipher(self):
        self.check()
        return gw_tls_cipher(self.tls).decode()

    def peer_names(self):
        self.check()
        cdef size_t count = gw_tls_peer_names(self.tls, _tls_names, sizeof(_tls_names))
        cdef const char *at = _tls_names
        names = []
        for _ in range(count):
            names.append(at.decode())
            at += strlen(at) + 1
        return tuple(names)

    cdef int hand_over(self) except -1:
        """It is the plane's."""
        self.tls = NULL
        self.context = None
        return 0
