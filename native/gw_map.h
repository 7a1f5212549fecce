/* A hash map from 64-bit keys to pointers: open addressing, linear probing, deletion by shifting
 * back. Grows by doubling at 3/4, a bounded number of slots with each put and remove (gw_map.c says
 * how). One owner, no threads. */
#ifndef GW_MAP_H
#define GW_MAP_H
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

/* Old slots that one put or remove moves at most. Each goes to another place of the new table, which may be a
 * page that was never touched: with 64 of them 240 puts took a millisecond. */
#define GW_MAP_MOVES 8u

typedef struct {
    uint64_t key;
    void *value; /* NULL: free */
} gw_map_entry_t;

typedef struct {
    gw_map_entry_t *entries;
    size_t mask;
    uint64_t seed;        /* of this map's hash: clients number some of the keys */
    size_t count;         /* of both tables */
    gw_map_entry_t *old;  /* what is left of the table before the doubling; NULL: nothing */
    size_t old_mask, old_start, moved;
} gw_map_t;

/* splitmix64's finalizer. Source: Vigna, prng.di.unimi.it/splitmix64.c */
static inline uint64_t gw_map_hash(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

/* Capacity: a power of two. -ENOMEM: there is nothing to free. */
int gw_map_init(gw_map_t *m, size_t capacity);
void gw_map_free(gw_map_t *m);

/* Adds or replaces; -ENOMEM leaves the map's contents as they were. Replacing never fails. */
int gw_map_put(gw_map_t *m, uint64_t key, void *value);
void gw_map_remove(gw_map_t *m, uint64_t key);

void *gw_map_get_old(const gw_map_t *m, uint64_t key);

static inline gw_map_entry_t *gw_map_place(const gw_map_t *m, uint64_t key) {
    size_t i = gw_map_hash(key ^ m->seed) & m->mask;
    while (m->entries[i].value && m->entries[i].key != key) i = (i + 1) & m->mask;
    return &m->entries[i];
}

static inline void *gw_map_get(const gw_map_t *m, uint64_t key) {
    void *value = gw_map_place(m, key)->value;
    if (__builtin_expect(value || !m->old, 1)) return value;
    return gw_map_get_old(m, key);
}

#endif
