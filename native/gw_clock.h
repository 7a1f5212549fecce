/* The two clocks. MONOTONIC measures latency and never leaves the host; REALTIME stamps what is sent. */
#ifndef GW_CLOCK_H
#define GW_CLOCK_H
#include <stdint.h>
#include <time.h>

static inline int64_t gw_clock_ns(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
static inline int64_t gw_monotonic_ns(void) { return gw_clock_ns(CLOCK_MONOTONIC); }
static inline int64_t gw_realtime_ns(void) { return gw_clock_ns(CLOCK_REALTIME); }

#endif
