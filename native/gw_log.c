#include "gw_log.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static void *pages(size_t size, int populate) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (populate ? MAP_POPULATE : 0);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (p == MAP_FAILED) return NULL;
    /* Hosts that use huge pages everywhere would clear 2 MiB at one touch, beyond the budget of a step.
     * A kernel without huge pages refuses the advice, and needs none. */
    if (!populate) madvise(p, size, MADV_NOHUGEPAGE);
    return p;
}

int gw_log_init(gw_log_t *log, uint64_t size, uint64_t first, int populate) {
    memset(log, 0, sizeof *log);
    if (size < (1u << 20) || (size & (size - 1))) return -EINVAL;
    log->size = size;
    log->count = size / GW_FRAME_BYTES_MEAN;
    if (first & (log->count - 1)) return -EINVAL;
    log->index = first;
    log->bytes = pages(size, populate);
    log->frames = pages(log->count * sizeof *log->frames, populate);
    if (!log->bytes || !log->frames) {
        gw_log_free(log);
        return -ENOMEM;
    }
    if (!populate) {
        gw_ahead_init_write(&log->bytes_ahead, log->bytes, size, 0);
        gw_ahead_init_write(&log->frames_ahead, log->frames, log->count * sizeof *log->frames, first * sizeof *log->frames);
    }
    return 0;
}

uint64_t gw_log_ahead(gw_log_t *log, uint64_t budget) {
    const uint64_t frames_lead = GW_AHEAD_LEAD / GW_FRAME_BYTES_MEAN * sizeof *log->frames;
    uint64_t done = gw_ahead(&log->bytes_ahead, log->position, GW_AHEAD_LEAD, budget);
    return done + gw_ahead(&log->frames_ahead, log->index * sizeof *log->frames, frames_lead, budget - done);
}

void gw_log_free(gw_log_t *log) {
    if (log->bytes) munmap(log->bytes, log->size);
    if (log->frames) munmap(log->frames, log->count * sizeof *log->frames);
    memset(log, 0, sizeof *log);
}

uint8_t *gw_log_reserve(gw_log_t *log, size_t length) {
    uint64_t offset = log->position & (log->size - 1);
    if (offset + length > log->size) {
        log->position += log->size - offset;
        offset = 0;
    }
    return log->bytes + offset;
}

uint64_t gw_log_commit(gw_log_t *log, const gw_frame_t *frame, size_t length) {
    uint64_t index = log->index++;
    gw_frame_t *f = gw_log_frame(log, index);
    *f = *frame;
    f->position = log->position;
    f->length = (uint32_t)length;
    log->position += length;
    return index;
}

static int within(const gw_log_t *log, uint64_t index, unsigned shift) {
    return log->index - index < (log->count >> shift) &&
           log->position - gw_log_frame(log, index)->position < (log->size >> shift);
}

int gw_log_fresh(const gw_log_t *log, uint64_t index) { return within(log, index, 2); }

int gw_log_old(const gw_log_t *log, uint64_t index) { return !within(log, index, 1); }
