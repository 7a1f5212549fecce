/* A hash map from 64-bit keys to pointers: open addressing, linear probing, deletion by shifting back.
 * Grows by doubling at 3/4; one owner, no threads. */
#ifndef GW_MAP_H
#define GW_MAP_H
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct {
    uint64_t key;
    void *value; /* NULL: free */
} gw_map_entry_t;

typedef struct {
    gw_map_entry_t *entries;
    size_t mask, count;
} gw_map_t;

/* splitmix64's finalizer. Source: Vigna, prng.di.unimi.it/splitmix64.c */
static inline uint64_t gw_map_hash(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static inline int gw_map_init(gw_map_t *m, size_t capacity) {
    m->entries = calloc(capacity, sizeof *m->entries); /* a power of two */
    m->mask = capacity - 1;
    m->count = 0;
    return m->entries ? 0 : -ENOMEM;
}

static inline void gw_map_free(gw_map_t *m) {
    free(m->entries);
    m->entries = NULL;
}

static inline gw_map_entry_t *gw_map_place(const gw_map_t *m, uint64_t key) {
    size_t i = gw_map_hash(key) & m->mask;
    while (m->entries[i].value && m->entries[i].key != key) i = (i + 1) & m->mask;
    return &m->entries[i];
}

static inline void *gw_map_get(const gw_map_t *m, uint64_t key) {
    return gw_map_place(m, key)->value;
}

/* Adds or replaces; -ENOMEM leaves the map as it was. */
static inline int gw_map_put(gw_map_t *m, uint64_t key, void *value) {
    if ((m->count + 1) * 4 > (m->mask + 1) * 3) {
        gw_map_t bigger;
        if (gw_map_init(&bigger, (m->mask + 1) * 2)) return -ENOMEM;
        for (size_t i = 0; i <= m->mask; i++)
            if (m->entries[i].value) *gw_map_place(&bigger, m->entries[i].key) = m->entries[i];
        bigger.count = m->count;
        free(m->entries);
        *m = bigger;
    }
    gw_map_entry_t *e = gw_map_place(m, key);
    m->count += e->value == NULL;
    e->key = key;
    e->value = value;
    return 0;
}

static inline void gw_map_remove(gw_map_t *m, uint64_t key) {
    gw_map_entry_t *e = gw_map_place(m, key);
    if (!e->value) return;
    size_t hole = (size_t)(e - m->entries);
    for (size_t i = (hole + 1) & m->mask; m->entries[i].value; i = (i + 1) & m->mask) {
        size_t home = gw_map_hash(m->entries[i].key) & m->mask;
        if (((i - home) & m->mask) >= ((i - hole) & m->mask)) {
            m->entries[hole] = m->entries[i];
            hole = i;
        }
    }
    m->entries[hole].value = NULL;
    m->count--;
}

#endif
