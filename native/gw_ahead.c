#include "gw_ahead.h"
#include "gw_atomic.h"
#include <errno.h>
#include <sys/mman.h>

#define PAGE 4096u

#ifndef MADV_POPULATE_READ /* since Linux 5.14; the C library's headers may be older than the kernel */
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

static void init(gw_ahead_t *a, uint8_t *base, uint64_t size, uint64_t position, int advice) {
    uint64_t start = position - position % PAGE;
    *a = (gw_ahead_t){.base = base, .size = size, .done = start, .end = start + size, .advice = advice};
}

void gw_ahead_init_write(gw_ahead_t *a, void *base, uint64_t size, uint64_t position) {
    init(a, base, size, position, MADV_POPULATE_WRITE);
}

void gw_ahead_init_read(gw_ahead_t *a, const void *base, uint64_t size, uint64_t position) {
    init(a, (uint8_t *)(uintptr_t)base, size, position, MADV_POPULATE_READ);
}

/* For kernels that lack the advice: one access a page. A write must change nothing, since other
 * threads or processes may read there: an atomic "or" of zero. */
static void touch(uint8_t *at, uint64_t length, int advice) {
    for (uint64_t i = 0; i < length; i += PAGE) {
        if (advice == MADV_POPULATE_WRITE) __atomic_fetch_or(at + i, 0, __ATOMIC_RELAXED);
        else (void)__atomic_load_n(at + i, __ATOMIC_RELAXED);
    }
}

uint64_t gw_ahead_step(gw_ahead_t *a, uint64_t position, uint64_t lead, uint64_t budget) {
    /* What has been written already is there, however it came. */
    if (a->done < position) a->done = position - position % PAGE;
    uint64_t until = position + lead < a->end ? position + lead : a->end;
    if (a->done >= until) return 0;
    uint64_t length = (until - a->done + PAGE - 1) / PAGE * PAGE;
    if (length > budget) length = budget;
    uint64_t offset = a->done % a->size;
    if (length > a->size - offset) length = a->size - offset;
    if (madvise(a->base + offset, length, a->advice)) {
        if (errno == EINVAL) touch(a->base + offset, length, a->advice);
        else a->end = a->done; /* no memory: the writer touches what it needs, page by page */
    }
    a->done += length;
    return length;
}
