/* The symbols that a feed has topics for: (kind, symbol) to topic. Open addressing with linear
 * probing, entries of two cache lines, of which a usual symbol needs the first; grows by doubling at 3/4. One owner, no
 * threads. Its bound is its owner's: a topic of the ring for each entry. */
#ifndef GW_SYMBOLS_H
#define GW_SYMBOLS_H
#include "gw_map.h"
#include "gw_record.h"

#include <string.h>

#define GW_SYMBOL_MAX 96u

typedef struct {
    uint64_t hash;
    uint32_t topic;
    uint8_t kind; /* 0: free */
    uint8_t length;
    char text[GW_SYMBOL_MAX + 18]; /* to the end of the line */
} gw_symbol_t;
_Static_assert(sizeof(gw_symbol_t) == 128, "two lines");

typedef struct {
    gw_symbol_t *entries;
    size_t mask, count;
} gw_symbols_t;

static inline int gw_symbols_init(gw_symbols_t *s, size_t capacity) {
    size_t size = capacity * sizeof *s->entries; /* a power of two */
    s->entries = aligned_alloc(sizeof *s->entries, size);
    if (s->entries == NULL) return -ENOMEM;
    memset(s->entries, 0, size);
    s->mask = capacity - 1;
    s->count = 0;
    return 0;
}

static inline void gw_symbols_free(gw_symbols_t *s) {
    free(s->entries);
    s->entries = NULL;
}

static inline uint64_t gw_symbol_hash(uint8_t kind, gw_text_t symbol) {
    uint64_t hash = (uint64_t)kind << 32 | symbol.length;
    for (size_t at = 0; at < symbol.length; at += 8) {
        uint64_t word = 0;
        memcpy(&word, symbol.at + at, symbol.length - at < 8 ? symbol.length - at : 8);
        hash = gw_map_hash(hash ^ word);
    }
    return hash;
}

/* Where the symbol is, or else the free place where it belongs. */
static inline gw_symbol_t *gw_symbol_place(const gw_symbols_t *s, uint64_t hash, uint8_t kind,
                                           gw_text_t symbol) {
    size_t i = hash & s->mask;
    for (;; i = (i + 1) & s->mask) {
        gw_symbol_t *e = &s->entries[i];
        if (e->kind == 0) return e;
        if (e->hash == hash && e->kind == kind && e->length == symbol.length
            && memcmp(e->text, symbol.at, symbol.length) == 0)
            return e;
    }
}

/* The topic, or -ENOENT. A symbol may be of any length and bytes. */
static inline int64_t gw_symbols_find(const gw_symbols_t *s, uint8_t kind, gw_text_t symbol) {
    if (symbol.length == 0 || symbol.length > GW_SYMBOL_MAX) return -ENOENT;
    const gw_symbol_t *e = gw_symbol_place(s, gw_symbol_hash(kind, symbol), kind, symbol);
    return e->kind == 0 ? -ENOENT : (int64_t)e->topic;
}

static inline int gw_symbols_grow(gw_symbols_t *s) {
    gw_symbols_t bigger;
    int error = gw_symbols_init(&bigger, (s->mask + 1) * 2);
    if (error < 0) return error;
    for (size_t i = 0; i <= s->mask; i++) {
        const gw_symbol_t *e = &s->entries[i];
        if (e->kind == 0) continue;
        *gw_symbol_place(&bigger, e->hash, e->kind, (gw_text_t){e->text, e->length}) = *e;
    }
    bigger.count = s->count;
    free(s->entries);
    *s = bigger;
    return 0;
}

/* Adds or replaces. -EINVAL: no kind or no symbol; -ENOMEM leaves all as it was. */
static inline int gw_symbols_put(gw_symbols_t *s, uint8_t kind, gw_text_t symbol, uint32_t topic) {
    if (kind == 0 || symbol.length == 0 || symbol.length > GW_SYMBOL_MAX) return -EINVAL;
    if ((s->count + 1) * 4 > (s->mask + 1) * 3) {
        int error = gw_symbols_grow(s);
        if (error < 0) return error;
    }
    uint64_t hash = gw_symbol_hash(kind, symbol);
    gw_symbol_t *e = gw_symbol_place(s, hash, kind, symbol);
    s->count += e->kind == 0;
    *e = (gw_symbol_t){
        .hash = hash, .topic = topic, .kind = kind, .length = (uint8_t)symbol.length};
    memcpy(e->text, symbol.at, symbol.length);
    return 0;
}

/* Forgets it, if it is there: entries behind it that would no longer be found move up. */
static inline void gw_symbols_remove(gw_symbols_t *s, uint8_t kind, gw_text_t symbol) {
    if (kind == 0 || symbol.length == 0 || symbol.length > GW_SYMBOL_MAX) return;
    gw_symbol_t *e = gw_symbol_place(s, gw_symbol_hash(kind, symbol), kind, symbol);
    if (e->kind == 0) return;
    size_t hole = (size_t)(e - s->entries);
    for (size_t i = (hole + 1) & s->mask; s->entries[i].kind != 0; i = (i + 1) & s->mask) {
        size_t home = s->entries[i].hash & s->mask;
        if (((i - home) & s->mask) < ((i - hole) & s->mask)) continue; /* its home is behind the hole */
        s->entries[hole] = s->entries[i];
        hole = i;
    }
    s->entries[hole] = (gw_symbol_t){0};
    s->count--;
}

#endif
