/* A short scheduling slice for latency-bound threads (EEVDF, Linux 6.12 and later): beside a busy
 * thread on the same core it is what makes a woken thread run at once, without real-time priority.
 */
#ifndef GW_SCHED_H
#define GW_SCHED_H
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Layout: sched_setattr(2), first version. glibc has no such struct before 2.41. */
typedef struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
} gw_sched_attr_t;

/* Asks for a slice for the calling thread; its nice value stays. 0, or a negative errno. */
static inline int gw_sched_slice(uint64_t slice_ns) {
    gw_sched_attr_t attr = {.size = sizeof attr};
    if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) < 0) return -errno;
    if (attr.policy != SCHED_OTHER) return -EINVAL;
    attr.size = sizeof attr;
    attr.flags = 0;
    attr.runtime = slice_ns;
    return syscall(SYS_sched_setattr, 0, &attr, 0) < 0 ? -errno : 0;
}

#endif
