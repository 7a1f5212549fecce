from libc.string cimport memset

cdef extern from "gw_frame.h" nogil:
    enum: GW_OP_TEXT, GW_FRAME_HEADER_MAX
    size_t gw_frame_header(uint8_t opcode, size_t length, uint8_t *out)

cdef extern from "gw_plane.h" nogil:
    ctypedef struct gw_plane_t:
        pass
    ctypedef enum gw_command_kind_t:
        GW_CMD_ADD, GW_CMD_SEND, GW_CMD_SUBSCRIBE, GW_CMD_UNSUBSCRIBE, GW_CMD_QUERY, GW_CMD_CLOSE
        GW_CMD_REGRANT, GW_CMD_MOVE, GW_CMD_REMOVE, GW_CMD_ATTACH, GW_CMD_PUBLISH, GW_CMD_READ
    ctypedef struct gw_plane_options_t:
        gw_format_t formats[8]
        uint32_t formats_count
        gw_local_form_t locals[4]
        uint32_t locals_count
        gw_stats_t *stats
        gw_wait_t *wait
        int event_fd
        uint32_t clients_max, topics_per_client_max, waiting_topics_max
        gw_book_sizes_t books
        uint64_t log_bytes
        uint32_t control_bytes_max, lossless_frames_max
        int64_t lossless_max_age_ns, stall_max_ns, heartbeat_ns, paced_stall_max_ns, target_ns
        int64_t replay_depth_ns
        uint32_t late_ppm
        int enforce, spin, populate, cpu
        uint32_t tenants_count
        uint16_t tenant_weights[16]
    ctypedef struct gw_fill_t:
        uint32_t offset, kind, arg
    ctypedef struct gw_secure_t "struct gw_secure":
        pass
    ctypedef struct gw_command_t:
        int fd
        gw_secure_t *secure
        uint32_t format, local, grant, tenant
        uint64_t handle, token
        void *mapping
        size_t mapping_size
        uint32_t bytes_count
        gw_item_t *items
        gw_fill_t *fills
        uint8_t *bytes
    void gw_format_free(gw_format_t *f)
    int gw_plane_create(const gw_plane_options_t *options, gw_plane_t **out)
    int gw_plane_start(gw_plane_t *p)
    void gw_plane_stop(gw_plane_t *p)
    void gw_plane_destroy(gw_plane_t *p)
    gw_command_t *gw_command_new(
        gw_command_kind_t kind, uint32_t items, uint32_t fills, uint32_t length)
    gw_secure_t *gw_secure_new(gw_tls_t *t)
    int gw_plane_post(gw_plane_t *p, gw_command_t *command)
    void gw_plane_wake(gw_plane_t *p)
    int gw_plane_grant(gw_plane_t *p, uint32_t grant, const gw_rule_t *rules, uint32_t count,
                       uint32_t links_max)
    uint64_t gw_plane_slot(gw_plane_t *p)
    void gw_plane_slot_back(gw_plane_t *p, uint64_t handle)
    bint gw_plane_knows(const gw_plane_t *p, uint64_t handle)
    uint64_t gw_plane_control_used(const gw_plane_t *p, uint64_t handle)
    int gw_plane_want_resume(gw_plane_t *p, uint64_t handle)
    int gw_plane_blocked(const gw_plane_t *p, uint64_t handle)
    size_t gw_plane_notice(const gw_plane_t *p, uint64_t handle, int kind,
                           const gw_notice_t *notice, uint8_t *out)
    int64_t gw_plane_sent_ns(const gw_plane_t *p, uint64_t handle)
    uint32_t gw_plane_followers(const gw_plane_t *p, uint32_t local)
    void gw_plane_objective(gw_plane_t *p, int64_t target_ns, uint32_t late_ppm)
    int gw_plane_events_fd(const gw_plane_t *p)
    const gw_event_t *gw_plane_take_event(gw_plane_t *p)


# Its thread counts in the page until __dealloc__: the collector must not let go of it before.
@cython.no_gc_clear
cdef class Plane:
    cdef gw_plane_t *plane
    cdef void *waits
    cdef size_t waits_size
    cdef uint32_t control_max
    cdef bint populate
    cdef StatsPage stats  # its page must outlive the thread
    cdef object soon
    cdef dict locals  # places by name
    cdef bint waking

    def __init__(
        self, *, list formats, dict locals=None, StatsPage stats not None, int wait_fd=-1,
        int wait_index=0, int event_fd=-1, uint32_t clients_max=20000,
        uint32_t topics_per_client_max=10000, uint32_t waiting_topics_max=65536,
        uint32_t book_levels_max=0, uint64_t log_bytes=64 << 20,
        uint32_t control_bytes_max=64 << 10, uint32_t lossless_frames_max=65536,
        int64_t lossless_max_age_ns=2_000_000_000, int64_t stall_max_ns=120_000_000_000,
        int64_t paced_stall_max_ns=10_000_000_000, int64_t heartbeat_ns=1_000_000_000,
        int64_t replay_depth_ns=0,
        int64_t target_ns=0, uint32_t late_ppm=10_000, bint enforce=False, bint spin=False,
        bint populate=False, int cpu=-1, tenants=(), soon=None,
    ):
        if self.plane != NULL or self.waits != NULL:
            raise RuntimeError("already initialised")
        cdef gw_plane_options_t o
        memset(&o, 0, sizeof(o))
        stats.check(True)
        if wait_index < 0:
            raise ValueError(f"wait_index {wait_index} is negative")
        if not 0 < len(formats) <= GW_FORMATS_MAX:
            raise ValueError(f"{len(formats)} formats: 1 to {GW_FORMATS_MAX}")
        self.soon = soon
        self.locals = {name: i for i, name in enumerate(locals or {})}
        if len(self.locals) > GW_LOCALS_MAX:
            raise ValueError(f"{len(self.locals)} local topics: at most {GW_LOCALS_MAX}")
        for name, form in (locals or {}).items():
            _fill_local(&o.locals[o.locals_count], name, form)
            o.locals_count += 1
        if len(tenants) > GW_TENANTS_MAX:
            raise ValueError(f"{len(tenants)} tenants: at most {GW_TENANTS_MAX}")
        for weight in tenants:
            if not 0 < weight <= GW_TENANT_WEIGHT_MAX:
                raise ValueError(f"weight {weight}: 1 to {GW_TENANT_WEIGHT_MAX}")
            o.tenant_weights[o.tenants_count] = weight
            o.tenants_count += 1
        self.control_max = control_bytes_max
        self.populate = populate
        o.stats = stats.page
        o.event_fd = event_fd
        o.clients_max = clients_max
        o.topics_per_client_max = topics_per_client_max
        o.waiting_topics_max = waiting_topics_max
        o.books = gw_segment_books(GW_BOOK_BOOKS_MAX, book_levels_max)
        o.log_bytes = log_bytes
        o.control_bytes_max = control_bytes_max
        o.lossless_frames_max = lossless_frames_max
        o.lossless_max_age_ns = lossless_max_age_ns
        o.stall_max_ns = stall_max_ns
        o.paced_stall_max_ns = paced_stall_max_ns
        o.heartbeat_ns = heartbeat_ns
        o.replay_depth_ns = replay_depth_ns
        o.target_ns = target_ns
        o.late_ppm = late_ppm
        o.enforce = enforce
        o.spin = spin
        o.populate = populate
        o.cpu = cpu
        if wait_fd >= 0:
            self.waits_size = sizeof(gw_wait_t) * (wait_index + 1)
            self.waits = _map(wait_fd, self.waits_size, PROT_READ | PROT_WRITE)
            o.wait = <gw_wait_t *>self.waits + wait_index
            memset(o.wait, 0, sizeof(gw_wait_t))
        cdef int error = 0
        try:
            for form in formats:
                _fill_format(&o.formats[o.formats_count], form)
                o.formats_count += 1
            error = gw_plane_create(&o, &self.plane)
            if error != 0:
                raise OSError(-error, os.strerror(-error))
        except BaseException:
            for i in range(GW_FORMATS_MAX):
                gw_format_free(&o.formats[i])
            raise
        stats.holders += 1
        self.stats = stats

    def __dealloc__(self):
        if self.plane != NULL:
            with nogil:
                gw_plane_destroy(self.plane)
            if self.stats is not None:
                self.stats.holders -= 1
        if self.waits != NULL:
            munmap(self.waits, self.waits_size)

    cdef int check(self) except -1:
        if self.plane == NULL:
            raise ValueError("plane is not initialised")
        return 0

    cdef int check_handle(self, uint64_t handle) except -1:
        self.check()
        if not gw_plane_knows(self.plane, handle):
            raise ValueError(f"handle {handle:#x} is of no client of this plane")
        return 0

    def start(self):
        self.check()
        cdef int error = gw_plane_start(self.plane)
        if error != 0:
            raise OSError(-error, os.strerror(-error))

    def stop(self):
        self.check()
        with nogil:
            gw_plane_stop(self.plane)

    @property
    def events_fd(self):
        self.check()
        return gw_plane_events_fd(self.plane)

    def events(self, size_t limit=<size_t>-1):
        result = []
        self.check()
        cdef const gw_event_t *e
        while <size_t>len(result) < limit:
            e = gw_plane_take_event(self.plane)
            if e == NULL:
                break
            result.append(_event(e))
        return result

    cdef gw_command_t *command(
        self, gw_command_kind_t kind, uint64_t handle, bytes raw, bytes message, object slots,
        object items,
    ) except NULL:
        """With bytes as they are, then a text message, framed here; `slots` are of the message."""
        cdef uint8_t header[GW_FRAME_HEADER_MAX]
        cdef uint32_t before = <uint32_t>len(raw), length = 0 if message is None else len(message)
        cdef uint32_t framing = 0
        if message is not None:
            framing = <uint32_t>gw_frame_header(GW_OP_TEXT, length, header)
        cdef gw_command_t *x = gw_command_new(
            kind, <uint32_t>len(items), <uint32_t>len(slots), before + framing + length)
        if x == NULL:
            raise MemoryError
        try:
            x.handle = handle
            memcpy(x.bytes, PyBytes_AS_STRING(raw), before)
            memcpy(x.bytes + before, header, framing)
            if message is not None:
                memcpy(x.bytes + before + framing, PyBytes_AS_STRING(message), length)
            for i, (offset, what, arg) in enumerate(slots):
                if not 0 <= offset <= length:
                    raise ValueError(f"slot at {offset} of a message of {length} bytes")
                x.fills[i].offset = before + framing + <uint32_t>offset
                x.fills[i].kind = what
                x.fills[i].arg = arg
            if kind == GW_CMD_UNSUBSCRIBE or kind == GW_CMD_REGRANT:
                for i, identifier in enumerate(items):
                    x.items[i].id = identifier
            else:
                for i, item in enumerate(items):
                    _fill_item(&x.items[i], item)
        except BaseException:
            free(x)
            raise
        return x

    cdef int post(self, gw_command_t *x) except -1:
        if gw_plane_post(self.plane, x) != 0:
            raise ValueError("a slot or an item is out of bounds")
        return self.rouse()

    cdef int rouse(self) except -1:
        if self.soon is None:
            gw_plane_wake(self.plane)
        elif not self.waking:
            self.waking = True
            self.soon(self.wake)
        return 0

    def wake(self):
        self.check()
        self.waking = False
        gw_plane_wake(self.plane)

    cdef int queue(
        self, gw_command_kind_t kind, uint64_t handle, bytes raw, bytes message, object slots,
        object items, uint32_t grant=0,
    ) except -2:
        self.check_handle(handle)
        cdef gw_command_t *x = self.command(kind, handle, raw, message, slots, items)
        x.grant = grant
        cdef uint64_t used = gw_plane_control_used(self.plane, handle) + x.bytes_count
        if used > self.control_max:
            free(x)
            return -1
        self.post(x)
        return 0 if used <= self.control_max // 2 else gw_plane_want_resume(self.plane, handle)

    def attach(self, int fd):
        self.check()
        cdef size_t size = os.fstat(fd).st_size
        cdef gw_segment_t view
        cdef gw_command_t *x = gw_command_new(GW_CMD_ATTACH, 0, 0, 0)
        if x == NULL:
            raise MemoryError
        try:
            x.mapping = _map(fd, size, PROT_READ, populate=False)
            # Of books, pages are touched on use.
            if self.populate and gw_segment_open(x.mapping, size, &view) == 0:
                _populate(x.mapping, gw_segment_size(view.capacity, view.topics_max), fd, PROT_READ)
        except BaseException:
            free(x)
            raise
        x.mapping_size = size
        self.post(x)

    def grant(self, uint32_t grant, list rules not None, uint32_t topics_max=0):
        self.check()
        cdef uint32_t count = <uint32_t>len(rules)
        if not 0 < grant < GW_GRANTS_MAX:
            raise ValueError(f"grant {grant}: 1 to {GW_GRANTS_MAX - 1}")
        if count > GW_RULES_MAX:
            raise ValueError(f"{count} rules: at most {GW_RULES_MAX}")
        cdef gw_rule_t *filled = _rules(rules)
        cdef int error = gw_plane_grant(self.plane, grant, filled, count, topics_max)
        free(filled)
        if error == -errno.EBUSY:
            raise ValueError(f"grant {grant} is in use")
        if error != 0:
            raise OSError(-error, os.strerror(-error))
        self.rouse()

    def add(
        self, int fd, bytes first, bytes hello, slots=(), *, uint32_t format=0, uint32_t grant=0,
        uint32_t tenant=0, TlsConnection tls=None,
    ):
        self.check()
        if tls is not None:
            tls.check()
        cdef gw_command_t *x = self.command(GW_CMD_ADD, 0, first, hello, slots, ())
        cdef uint64_t handle = gw_plane_slot(self.plane)
        if handle == 0:
            free(x)
            raise OverflowError("clients_max reached")
        x.handle = handle
        x.fd = fd
        x.format = format
        x.grant = grant
        x.tenant = tenant
        x.secure = NULL if tls is None else gw_secure_new(tls.tls)
        cdef gw_secure_t *secure = x.secure  # the command is freed where it is refused
        if tls is not None and secure == NULL:
            free(x)
            gw_plane_slot_back(self.plane, handle)
            raise MemoryError
        if tls is not None:
            gw_tls_handed_over(tls.tls)  # before the plane may have it
        try:
            self.post(x)
        except ValueError:
            free(secure)
            gw_plane_slot_back(self.plane, handle)
            raise
        if tls is not None:
            tls.hand_over()
        return handle

    def read(self, uint64_t handle):
        self.check_handle(handle)
        self.post(self.command(GW_CMD_READ, handle, b"", None, (), ()))

    def send(self, uint64_t handle, bytes message not None, slots=()):
        return self.queue(GW_CMD_SEND, handle, b"", message, slots, ())

    def write(self, uint64_t handle, bytes frames not None):
        return self.queue(GW_CMD_SEND, handle, frames, None, (), ())

    def notice(self, uint64_t handle, int number, numbers=()):
        cdef uint8_t frame[GW_NOTICE_MAX]
        cdef gw_notice_t notice
        self.check_handle(handle)
        if not 0 <= number < GW_NOTICES or len(numbers) > GW_NOTICE_NUMBERS:
            raise ValueError(f"notice {number} of {len(numbers)} numbers")
        memset(&notice, 0, sizeof(notice))
        for i, one in enumerate(numbers):
            notice.numbers[i] = one
        cdef size_t length = gw_plane_notice(self.plane, handle, number, &notice, frame)
        return self.queue(GW_CMD_SEND, handle, frame[:length], None, (), ())

    def subscribe(self, uint64_t handle, bytes ack, slots, items):
        return self.queue(GW_CMD_SUBSCRIBE, handle, b"", ack, slots, items)

    def unsubscribe(self, uint64_t handle, bytes ack, slots, ids):
        return self.queue(GW_CMD_UNSUBSCRIBE, handle, b"", ack, slots, ids)

    def regrant(self, uint64_t handle, uint32_t grant, bytes ack=None, slots=(), ids=()):
        return self.queue(GW_CMD_REGRANT, handle, b"", ack, slots, ids, grant)

    def move(self, uint64_t handle, uint32_t tenant):
        self.check_handle(handle)
        cdef gw_command_t *x = self.command(GW_CMD_MOVE, handle, b"", None, (), ())
        x.tenant = tenant
        self.post(x)

    def query(self, uint64_t handle, uint64_t token):
        self.check_handle(handle)
        cdef gw_command_t *x = self.command(GW_CMD_QUERY, handle, b"", None, (), ())
        x.token = token
        self.post(x)

    def close(self, uint64_t handle, bytes frame not None):
        self.check_handle(handle)
        self.post(self.command(GW_CMD_CLOSE, handle, frame, None, (), ()))

    def remove(self, uint64_t handle):
        self.check_handle(handle)
        self.post(self.command(GW_CMD_REMOVE, handle, b"", None, (), ()))

    def pending(self, uint64_t handle):
        self.check_handle(handle)
        return bool(gw_plane_blocked(self.plane, handle)) or (
            gw_plane_control_used(self.plane, handle) > 0)

    def publish(self, str name, bytes text not None):
        self.check()
        cdef uint32_t local = self.locals[name]
        if len(text) > GW_LOCAL_TEXT_MAX:
            raise ValueError(f"text of {len(text)} bytes: at most {GW_LOCAL_TEXT_MAX}")
        cdef gw_command_t *x = self.command(GW_CMD_PUBLISH, 0, text, None, (), ())
        x.local = local
        self.post(x)

    def followers(self, str name):
        self.check()
        return gw_plane_followers(self.plane, self.locals[name])

    def sent_ns(self, uint64_t handle):
        self.check_handle(handle)
        return gw_plane_sent_ns(self.plane, handle)

    def objective(self, int64_t target_ns, uint32_t late_ppm):
        self.check()
        if target_ns <= 0 or target_ns >> 43:
            raise ValueError(f"target_ns {target_ns} is not from 1 to {(1 << 43) - 1}")
        if not 0 < late_ppm <= 1_000_000:
            raise ValueError(f"late_ppm {late_ppm} is not from 1 to 1000000")
        gw_plane_objective(self.plane, target_ns, late_ppm)
