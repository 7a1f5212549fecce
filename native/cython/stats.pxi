import os

from cpython.exc cimport PyErr_SetFromErrno

cdef extern from "<sys/mman.h>" nogil:
    void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)
    int munmap(void *address, size_t length)
    int PROT_READ, PROT_WRITE, MAP_SHARED, MAP_POPULATE, MAP_FIXED
    void *MAP_FAILED

cdef extern from "gw_atomic.h" nogil:
    uint64_t GW_LOAD_RELAXED(const uint64_t *p)
    uint64_t GW_LOAD_ACQUIRE(const uint64_t *p)
    void GW_STORE_RELAXED(uint64_t *p, uint64_t value)
    void gw_words_read(uint64_t *to, const uint64_t *source, size_t words)

cdef extern from "gw_stats.h" nogil:
    const uint64_t GW_HDR_MAX
    enum: GW_HDR_COUNTS
    enum: GW_STAGES, GW_CLASSES, GW_HISTOGRAMS
    const uint64_t GW_PAUSED
    const uint64_t GW_STATS_MAGIC

    ctypedef struct gw_hdr_t:
        uint64_t count, sum, saturated, negative
        uint64_t counts[GW_HDR_COUNTS]

    ctypedef struct gw_stat_info_t:
        const char *name
        uint32_t offset, length

    ctypedef struct gw_stats_t:
        uint64_t magic, pid, start_ns
        gw_hdr_t stage[GW_HISTOGRAMS]

    void gw_hdr_record(gw_hdr_t *h, int64_t value, uint64_t n)
    const gw_stat_info_t *gw_stat_infos
    const uint32_t gw_stat_infos_count


STAGES = ("wire", "ingest", "ring", "fanout", "total")
CLASS_STAGES = tuple([f"total_{i}" for i in range(GW_CLASSES)])
PAUSED = GW_PAUSED
HDR_MAX_NS = GW_HDR_MAX
HDR_COUNTS = GW_HDR_COUNTS
STATS_SIZE = sizeof(gw_stats_t)
STATS = {
    gw_stat_infos[i].name.decode(): (gw_stat_infos[i].offset, gw_stat_infos[i].length)
    for i in range(gw_stat_infos_count)
}


cdef object _numpy():
    """Imported where an array is asked for: feed processes and workers need none of its 15 MB."""
    import numpy
    return numpy


cdef void *_map(int fd, size_t size, int protection, bint populate=True) except NULL:
    """Maps the whole of a shared descriptor; `populate` has its pages there from now on.

    Raises OSError; ValueError when the descriptor is smaller than `size`.
    """
    if <size_t>os.fstat(fd).st_size < size:
        raise ValueError(f"descriptor {fd} holds fewer than {size} bytes")
    cdef int flags = MAP_SHARED | MAP_POPULATE if populate else MAP_SHARED
    cdef void *mem = mmap(NULL, size, protection, flags, fd, 0)
    if mem == MAP_FAILED:
        PyErr_SetFromErrno(OSError)
    return mem


cdef int _populate(void *mem, size_t size, int fd, int protection) except -1:
    """Has the first `size` bytes of a mapping there: whole pages, which nobody uses yet."""
    if mmap(mem, size, protection, MAP_SHARED | MAP_POPULATE | MAP_FIXED, fd, 0) == MAP_FAILED:
        PyErr_SetFromErrno(OSError)
    return 0


cdef class StatsPage:
    cdef gw_stats_t *page
    cdef bint writable
    cdef int holders  # who counts in the page without asking; it stays mapped for them

    def __init__(self, int fd, *, bint writable):
        if self.page != NULL:
            raise RuntimeError("already initialised")
        self.writable = writable
        protection = PROT_READ | PROT_WRITE if writable else PROT_READ
        self.page = <gw_stats_t *>_map(fd, sizeof(gw_stats_t), protection)
        if writable:
            self.page.pid = <uint64_t>os.getpid()
            self.page.start_ns = <uint64_t>gw_monotonic_ns()
            self.page.magic = GW_STATS_MAGIC

    def __dealloc__(self):
        if self.page != NULL:
            munmap(self.page, sizeof(gw_stats_t))

    cdef int check(self, bint write) except -1:
        if self.page == NULL:
            raise ValueError("statistics page is closed")
        if write and not self.writable:
            raise ValueError("statistics page is read-only")
        return 0

    cdef uint64_t *word(self, str name, uint32_t index, bint write) except NULL:
        self.check(write)
        cdef uint32_t offset, length
        offset, length = STATS[name]
        if index >= length:
            raise IndexError(f"{name}[{index}]: length {length}")
        return <uint64_t *>self.page + offset + index

    cdef gw_hdr_t *histograms(self, str stage, uint32_t *count) except NULL:
        """The histograms that a stage is the sum of, next to each other."""
        self.check(False)
        count[0] = GW_CLASSES if stage == "total" else 1
        if stage in CLASS_STAGES:
            return &self.page.stage[GW_STAGES - 1 + <uint32_t>CLASS_STAGES.index(stage)]
        return &self.page.stage[STAGES.index(stage)]

    def add(self, str name, uint32_t index=0, uint64_t n=1):
        cdef uint64_t *word = self.word(name, index, True)
        GW_STORE_RELAXED(word, GW_LOAD_RELAXED(word) + n)

    def set(self, str name, uint32_t index=0, uint64_t value=0):
        GW_STORE_RELAXED(self.word(name, index, True), value)

    def get(self, str name, uint32_t index=0):
        return GW_LOAD_RELAXED(self.word(name, index, False))

    def read(self):
        cdef uint64_t *words
        cdef uint32_t i
        result = {}
        for name, (_, length) in STATS.items():
            words = self.word(name, 0, False)
            result[name] = tuple([GW_LOAD_RELAXED(words + i) for i in range(length)])
        return result

    def counts(self, str stage):
        cdef uint32_t i, n
        cdef gw_hdr_t *h = self.histograms(stage, &n)
        counts = _numpy().empty((n, GW_HDR_COUNTS), dtype="uint64")
        cdef uint64_t *to = <uint64_t *><size_t>counts.ctypes.data
        for i in range(n):
            gw_words_read(to + i * GW_HDR_COUNTS, h[i].counts, GW_HDR_COUNTS)
        return counts[0] if n == 1 else counts.sum(axis=0)

    def totals(self, str stage):
        cdef uint32_t i, n
        cdef gw_hdr_t *h = self.histograms(stage, &n)
        cdef uint64_t count = 0, sum = 0, saturated = 0, negative = 0
        for i in range(n):
            count += GW_LOAD_RELAXED(&h[i].count)
            sum += GW_LOAD_RELAXED(&h[i].sum)
            saturated += GW_LOAD_RELAXED(&h[i].saturated)
            negative += GW_LOAD_RELAXED(&h[i].negative)
        return count, sum, saturated, negative

    def record(self, str stage, int64_t value_ns, uint64_t n=1):
        cdef uint32_t histograms
        self.check(True)
        cdef gw_hdr_t *h = self.histograms(stage, &histograms)
        gw_hdr_record(h, value_ns, n)

    def close(self):
        if self.holders > 0:
            raise RuntimeError("a plane or a ring writer counts in this page: it has to go first")
        if self.page != NULL:
            munmap(self.page, sizeof(gw_stats_t))
            self.page = NULL
