cdef extern from "gw_tune.h" nogil:
    enum: GW_TUNE_SOCKETS_MAX, GW_TUNE_BYTES_MAX

    ctypedef struct gw_tune_clocks_t:
        pass

    const gw_tune_clocks_t gw_tune_host_clocks

    ctypedef struct gw_tune_times_t:
        uint64_t count, negative
        int64_t p50_ns, p99_ns, p999_ns, max_ns, tail_ns

    ctypedef struct gw_tune_clock_t:
        uint64_t reads
        double read_ns
        int64_t offset_ns
        uint64_t steps
        int64_t step_ns

    ctypedef struct gw_tune_send_options_t:
        int64_t duration_ns, pause_ns
        uint64_t rounds_max, slice_ns
        uint32_t sockets, bytes
        int sender_cpu, reader_cpu

    ctypedef struct gw_tune_send_t:
        uint64_t sends, short_sends, bytes
        gw_tune_times_t round

    ctypedef struct gw_tune_wake_options_t:
        int64_t duration_ns, interval_ns
        uint64_t rounds_max, slice_ns
        int cpu, ringer_cpu, busy

    ctypedef struct gw_tune_wake_t:
        uint64_t rung, skipped
        int64_t run_delay_ns
        int slice
        gw_tune_times_t delay

    void gw_tune_clock(const gw_tune_clocks_t *clocks, int64_t duration_ns, uint64_t rounds_max,
                       gw_tune_clock_t *out)
    int gw_tune_send(const gw_tune_clocks_t *clocks, const gw_tune_send_options_t *options,
                     gw_tune_send_t *out, const char **failed)
    int gw_tune_wake(const gw_tune_clocks_t *clocks, const gw_tune_wake_options_t *options,
                     gw_tune_wake_t *out, const char **failed)

TUNE_SOCKETS_MAX = GW_TUNE_SOCKETS_MAX


cdef dict _tune_times(const gw_tune_times_t *t):
    return {
        "count": t.count,
        "negative": t.negative,
        "p50_ns": t.p50_ns,
        "p99_ns": t.p99_ns,
        "p999_ns": t.p999_ns,
        "max_ns": t.max_ns,
        "tail_ns": t.tail_ns,
    }


cdef _tune_check(int error, const char *failed):
    if error < 0:
        raise OSError(-error, os.strerror(-error), failed.decode())


def tune_clock(int64_t duration_ns, uint64_t rounds_max):
    cdef gw_tune_clock_t out
    with nogil:
        gw_tune_clock(&gw_tune_host_clocks, duration_ns, rounds_max, &out)
    return {
        "reads": out.reads,
        "read_ns": out.read_ns,
        "offset_ns": out.offset_ns,
        "steps": out.steps,
        "step_ns": out.step_ns,
    }


def tune_send(*, int64_t duration_ns, int64_t pause_ns, uint64_t rounds_max, uint64_t slice_ns,
              uint32_t sockets, uint32_t bytes, int sender_cpu, int reader_cpu):
    cdef gw_tune_send_options_t o
    cdef gw_tune_send_t out
    cdef const char *failed
    cdef int error
    o.duration_ns, o.pause_ns = duration_ns, pause_ns
    o.rounds_max, o.slice_ns = rounds_max, slice_ns
    o.sockets, o.bytes = sockets, bytes
    o.sender_cpu, o.reader_cpu = sender_cpu, reader_cpu
    with nogil:
        error = gw_tune_send(&gw_tune_host_clocks, &o, &out, &failed)
    _tune_check(error, failed)
    return {
        "sends": out.sends,
        "short_sends": out.short_sends,
        "bytes": out.bytes,
        "round": _tune_times(&out.round),
    }


def tune_wake(*, int64_t duration_ns, int64_t interval_ns, uint64_t rounds_max, uint64_t slice_ns,
              int cpu, int ringer_cpu, bint busy):
    cdef gw_tune_wake_options_t o
    cdef gw_tune_wake_t out
    cdef const char *failed
    cdef int error
    o.duration_ns, o.interval_ns = duration_ns, interval_ns
    o.rounds_max, o.slice_ns = rounds_max, slice_ns
    o.cpu, o.ringer_cpu, o.busy = cpu, ringer_cpu, busy
    with nogil:
        error = gw_tune_wake(&gw_tune_host_clocks, &o, &out, &failed)
    _tune_check(error, failed)
    return {
        "rung": out.rung,
        "skipped": out.skipped,
        "run_delay_ns": out.run_delay_ns,
        "slice": bool(out.slice),
        "delay": _tune_times(&out.delay),
    }
