/* The last record of each topic that a client takes: a hash table whose first entry lies in the client
 * itself, since most take one topic. Places are hashed with the swarm's key: the server chooses the
 * names, and could otherwise choose them for one place. */
#ifndef GW_SWARM_TOPICS_H
#define GW_SWARM_TOPICS_H
#include "gw_hash.h"

#include <stdlib.h>

#define GW_SWARM_TOPICS_MAX 65536u /* of one client; what is beyond is not checked for gaps */

typedef struct {
    uint64_t topic, last; /* last: its seq, 0 before the first record */
    int64_t last_ns;      /* and its stamp */
} gw_swarm_topic_t;

typedef struct {
    gw_swarm_topic_t one;
    gw_swarm_topic_t *many; /* mask + 1 entries, once there is more than one topic */
    uint32_t mask, count;
} gw_swarm_topics_t;

static inline uint32_t gw_swarm_topics_home(const gw_swarm_topics_t *t, gw_hash_key_t key, uint64_t topic) {
    return (uint32_t)gw_hash_number(key, topic) & t->mask;
}

static inline gw_swarm_topic_t *gw_swarm_topics_place(gw_swarm_topics_t *t, gw_hash_key_t key,
                                                      uint64_t topic) {
    uint32_t i = gw_swarm_topics_home(t, key, topic);
    while (t->many[i].topic && t->many[i].topic != topic) i = (i + 1) & t->mask;
    return &t->many[i];
}

static inline int gw_swarm_topics_grow(gw_swarm_topics_t *t, gw_hash_key_t key) {
    uint32_t size = t->many ? (t->mask + 1) * 2 : 8;
    gw_swarm_topics_t bigger = {.mask = size - 1, .count = t->count};
    bigger.many = calloc(size, sizeof *bigger.many);
    if (!bigger.many) return -1;
    for (uint32_t i = 0; t->many && i <= t->mask; i++)
        if (t->many[i].topic) *gw_swarm_topics_place(&bigger, key, t->many[i].topic) = t->many[i];
    if (!t->many && t->count) *gw_swarm_topics_place(&bigger, key, t->one.topic) = t->one;
    free(t->many);
    *t = bigger;
    return 0;
}

/* The topic's entry, made at first; NULL: no memory, or more topics than may be. `topic` is not 0. */
static inline gw_swarm_topic_t *gw_swarm_topics_get(gw_swarm_topics_t *t, gw_hash_key_t key,
                                                    uint64_t topic) {
    if (!t->many) {
        if (t->one.topic == topic) return &t->one;
        if (t->count == 0) {
            t->count = 1;
            t->one = (gw_swarm_topic_t){topic, 0, 0};
            return &t->one;
        }
    } else {
        gw_swarm_topic_t *e = gw_swarm_topics_place(t, key, topic);
        if (e->topic) return e;
    }
    if (t->count >= GW_SWARM_TOPICS_MAX) return NULL;
    if ((!t->many || t->count * 4 >= (t->mask + 1) * 3) && gw_swarm_topics_grow(t, key)) return NULL;
    gw_swarm_topic_t *e = gw_swarm_topics_place(t, key, topic);
    e->topic = topic;
    t->count++;
    return e;
}

/* Forgets all, also where numbering starts anew: a storm of that costs what the records between did. */
static inline void gw_swarm_topics_free(gw_swarm_topics_t *t) {
    free(t->many);
    *t = (gw_swarm_topics_t){.many = NULL};
}

#endif
