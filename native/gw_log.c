#include "gw_log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FRAME_BYTES_MEAN 256u /* one descriptor per so many bytes */

static void *pages(size_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

int gw_log_init(gw_log_t *log, uint64_t size) {
    memset(log, 0, sizeof *log);
    if (size < (1u << 20) || (size & (size - 1))) return -EINVAL;
    log->size = size;
    log->count = size / FRAME_BYTES_MEAN;
    log->bytes = pages(size);
    log->frames = pages(log->count * sizeof *log->frames);
    if (!log->bytes || !log->frames) {
        gw_log_free(log);
        return -ENOMEM;
    }
    return 0;
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
