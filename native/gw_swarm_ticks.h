/* When the first and the last recipient got each tick, for a sample of the ticks that is chosen by a hash
 * of their identity: swarms in several processes that have the same key sample the same ones, and
 * their tables merge. A server that does not know the key can choose neither which are sampled nor
 * where they are kept.
 *
 * Open addressing. When more ticks are tracked than there is room for, the mask of the sampling takes
 * one more bit; entries that it no longer lets in count as free from then on, so that nothing is ever
 * moved or cleared and no delivery waits for it. */
#ifndef GW_SWARM_TICKS_H
#define GW_SWARM_TICKS_H
#include "gw_swarm.h"

#include <errno.h>
#include <stdlib.h>

#define GW_SWARM_TICK_PROBES 32u

typedef struct {
    gw_swarm_tick_t *slots;
    uint64_t slots_mask, sample_mask;
    uint64_t count, count_max;
} gw_swarm_ticks_t;

static inline int gw_swarm_ticks_init(gw_swarm_ticks_t *t, uint32_t count_max) {
    uint64_t slots = 64;
    while (slots < 2 * (uint64_t)count_max) slots *= 2;
    *t = (gw_swarm_ticks_t){.slots_mask = slots - 1, .count_max = count_max};
    t->slots = calloc(slots, sizeof *t->slots);
    return t->slots ? 0 : -ENOMEM;
}

static inline void gw_swarm_ticks_free(gw_swarm_ticks_t *t) {
    free(t->slots);
    t->slots = NULL;
}

/* About half of those tracked are let go: the keys are hashes. */
static inline void gw_swarm_ticks_thin(gw_swarm_ticks_t *t) {
    t->sample_mask = t->sample_mask * 2 + 1;
    t->count /= 2;
}

/* A delivery of the tick `key` at `now_ns`. */
static inline void gw_swarm_ticks_note(gw_swarm_ticks_t *t, uint64_t key, int64_t now_ns) {
    if ((key & t->sample_mask) || !key) return;
    gw_swarm_tick_t *place = NULL;
    uint64_t i = key >> 20; /* the lowest bits are the sampling's */
    for (uint32_t probes = 0; probes < GW_SWARM_TICK_PROBES; probes++, i++) {
        gw_swarm_tick_t *e = &t->slots[i & t->slots_mask];
        if (e->key == key) {
            if (now_ns < e->first_ns) e->first_ns = now_ns;
            if (now_ns > e->last_ns) e->last_ns = now_ns;
            e->deliveries++;
            return;
        }
        if (!place && (!e->key || (e->key & t->sample_mask))) place = e;
        if (!e->key) break;
    }
    if (!place || t->count >= t->count_max) {
        gw_swarm_ticks_thin(t);
        gw_swarm_ticks_note(t, key, now_ns);
        return;
    }
    *place = (gw_swarm_tick_t){key, now_ns, now_ns, 1};
    t->count++;
}

#endif
