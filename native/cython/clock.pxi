from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "gw_clock.h" nogil:
    int64_t gw_monotonic_ns()
    int64_t gw_realtime_ns()

cdef extern from "gw_sched.h" nogil:
    int gw_sched_slice(uint64_t slice_ns)

cdef extern from "<sys/prctl.h>" nogil:
    int PR_SET_PDEATHSIG, PR_SET_DUMPABLE
    int prctl(int option, unsigned long value)


def monotonic_ns():
    return gw_monotonic_ns()


def realtime_ns():
    return gw_realtime_ns()


def request_slice(uint64_t slice_ns):
    return gw_sched_slice(slice_ns) == 0


def forbid_dumps():
    return prctl(PR_SET_DUMPABLE, 0) == 0


def signal_when_orphaned(int number):
    return prctl(PR_SET_PDEATHSIG, <unsigned long>number) == 0
