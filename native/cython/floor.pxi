cdef extern from "gw_floor.h" nogil:
    ctypedef struct gw_floor_t:
        uint64_t datagrams, ticks, sends, deliveries, bytes, cut_off, cpu_ns

    int gw_floor_init(gw_floor_t *f, int udp_fd, int *clients, uint32_t count)
    int gw_floor_run(gw_floor_t *f)
    void gw_floor_stop(gw_floor_t *f)


cdef class Floor:
    cdef gw_floor_t *floor
    cdef int *clients
    cdef bint running

    def __init__(self, int udp_fd, client_fds):
        if self.floor != NULL:
            raise RuntimeError("already initialised")
        client_fds = list(client_fds)
        self.floor = <gw_floor_t *>calloc(1, sizeof(gw_floor_t))
        self.clients = <int *>calloc(len(client_fds) or 1, sizeof(int))
        if self.floor == NULL or self.clients == NULL:
            raise MemoryError()
        try:
            for i, fd in enumerate(client_fds):
                self.clients[i] = fd
        except BaseException:
            self.release()
            raise
        error = gw_floor_init(self.floor, udp_fd, self.clients, len(client_fds))
        if error < 0:
            self.release()
            raise OSError(-error, os.strerror(-error))

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        free(self.clients)
        free(self.floor)
        self.clients = NULL
        self.floor = NULL

    cdef int check(self) except -1:
        if self.floor == NULL:
            raise ValueError("floor is not initialised")
        return 0

    def run(self):
        cdef int error
        self.check()
        if self.running:
            raise RuntimeError("another thread is running it")
        self.running = True
        with nogil:
            error = gw_floor_run(self.floor)
        self.running = False
        if error < 0:
            raise OSError(-error, os.strerror(-error))

    def stop(self):
        self.check()
        gw_floor_stop(self.floor)

    def counters(self):
        cdef gw_floor_t *f = self.floor
        self.check()
        return {
            "datagrams": GW_LOAD_RELAXED(&f.datagrams),
            "ticks": GW_LOAD_RELAXED(&f.ticks),
            "sends": GW_LOAD_RELAXED(&f.sends),
            "deliveries": GW_LOAD_RELAXED(&f.deliveries),
            "bytes": GW_LOAD_RELAXED(&f.bytes),
            "cut_off": GW_LOAD_RELAXED(&f.cut_off),
            "cpu_ns": GW_LOAD_RELAXED(&f.cpu_ns),
        }
