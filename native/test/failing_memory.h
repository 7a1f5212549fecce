/* Memory that fails where a test says so. The linker sends the core's allocations here (Makefile). */
#ifndef FAILING_MEMORY_H
#define FAILING_MEMORY_H
#include "plane_reader.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);

static unsigned allocations, fails_at; /* while the plane runs; fails_at 0: none */
static bool counts, all_fail;

static bool fails(void) { return counts && (++allocations == fails_at || all_fail); }

void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }

void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size) { return fails() ? NULL : __real_realloc(p, size); }

static inline void turns(rig_t *rig, int n) {
    while (n--) {
        rig->now += 200000;
        counts = true;
        gw_plane_cycle(rig->plane);
        counts = false;
        rig_check_balance(rig);
    }
}

/* What the test itself keeps never fails. */
static inline peer_t *roomy(peer_t *peer) {
    peer->size = 1 << 20;
    peer->stream = realloc(peer->stream, peer->size);
    CHECK(peer->stream != NULL);
    return peer;
}

#endif
