/* The topics that a server has announced to a client, by the numbers that its binary records name them by: a
 * hash table whose first entry lies in the client itself, as in gw_swarm_topics.h, and hashed with the swarm's
 * key for the same reason. */
#ifndef GW_SWARM_NUMBERS_H
#define GW_SWARM_NUMBERS_H
#include "gw_hash.h"

#include <stdbool.h>
#include <stdlib.h>

#define GW_SWARM_NUMBERS_MAX 65536u /* of one client; records of topics beyond these can't be read */

typedef struct {
    uint64_t topic; /* 0: the place is free */
    uint32_t number;
    uint8_t channel; /* as announced: a template's number, where it has records */
} gw_swarm_number_t;

typedef struct {
    gw_swarm_number_t one;
    gw_swarm_number_t *many; /* mask + 1 entries, once there is more than one */
    uint32_t mask, count;
} gw_swarm_numbers_t;

static inline gw_swarm_number_t *gw_swarm_numbers_place(const gw_swarm_numbers_t *t, gw_hash_key_t key,
                                                        uint32_t number) {
    uint32_t i = (uint32_t)gw_hash_number(key, number) & t->mask;
    while (t->many[i].topic && t->many[i].number != number) i = (i + 1) & t->mask;
    return &t->many[i];
}

/* NULL: it was not announced. */
static inline const gw_swarm_number_t *gw_swarm_numbers_get(const gw_swarm_numbers_t *t, gw_hash_key_t key,
                                                            uint32_t number) {
    const gw_swarm_number_t *e = t->many ? gw_swarm_numbers_place(t, key, number) : &t->one;
    return e->topic && e->number == number ? e : NULL;
}

static inline bool gw_swarm_numbers_grow(gw_swarm_numbers_t *t, gw_hash_key_t key) {
    uint32_t size = t->many ? (t->mask + 1) * 2 : 8;
    gw_swarm_numbers_t bigger = {.mask = size - 1, .count = t->count};
    bigger.many = calloc(size, sizeof *bigger.many);
    if (!bigger.many) return false;
    for (uint32_t i = 0; t->many && i <= t->mask; i++)
        if (t->many[i].topic) *gw_swarm_numbers_place(&bigger, key, t->many[i].number) = t->many[i];
    if (!t->many) *gw_swarm_numbers_place(&bigger, key, t->one.number) = t->one;
    free(t->many);
    *t = bigger;
    return true;
}

/* Remembers the number, in the place of what it meant before. False: no memory, or more than may be. `topic` is
 * not 0. */
static inline bool gw_swarm_numbers_put(gw_swarm_numbers_t *t, gw_hash_key_t key, gw_swarm_number_t new) {
    if (!t->many && (!t->count || t->one.number == new.number)) {
        t->one = new;
        t->count = 1;
        return true;
    }
    gw_swarm_number_t *e = t->many ? gw_swarm_numbers_place(t, key, new.number) : NULL;
    if (!e || !e->topic) {
        if (t->count >= GW_SWARM_NUMBERS_MAX) return false;
        if ((!t->many || t->count * 4 >= (t->mask + 1) * 3) && !gw_swarm_numbers_grow(t, key)) return false;
        e = gw_swarm_numbers_place(t, key, new.number);
        t->count++;
    }
    *e = new;
    return true;
}

static inline void gw_swarm_numbers_free(gw_swarm_numbers_t *t) {
    free(t->many);
    *t = (gw_swarm_numbers_t){.many = NULL};
}

#endif
