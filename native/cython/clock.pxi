from libc.stdint cimport int64_t

cdef extern from "gw_clock.h" nogil:
    int64_t gw_monotonic_ns()
    int64_t gw_realtime_ns()


def monotonic_ns():
    return gw_monotonic_ns()


def realtime_ns():
    return gw_realtime_ns()
