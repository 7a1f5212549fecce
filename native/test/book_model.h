/* A book as plain sorted arrays, and what tests of books share: memory for a pool, random messages, comparisons. */
#ifndef BOOK_MODEL_H
#define BOOK_MODEL_H
#include "check.h"
#include "gw_book.h"
#include "gw_map.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state = 1;
static inline uint64_t draw(uint64_t below) { /* splitmix64 */
    return gw_map_hash(random_state += 0x9e3779b97f4a7c15u) % below;
}

/* --- a pool in memory of its own ----------------------------------------------------------------- */

typedef struct {
    void *mem;
    size_t size;
    gw_book_pool_t pool;
} book_memory_t;

static inline void book_memory_open(book_memory_t *m, gw_book_sizes_t sizes) {
    m->size = gw_book_pool_size(&sizes);
    CHECK(m->size > 0);
    m->mem = aligned_alloc(4096, m->size);
    CHECK(m->mem != NULL);
    memset(m->mem, 0, m->size);
    CHECK_EQUAL(gw_book_pool_format(&m->pool, m->mem, m->size, &sizes), 0);
}

static inline void book_memory_close(book_memory_t *m) { free(m->mem); }

/* --- the model ----------------------------------------------------------------------------------- */

enum { MODEL_SCALE = 2, MODEL_MOST = 8192 };

typedef struct {
    int64_t key, qty;
    uint64_t digits;
} model_level_t;

typedef struct {
    model_level_t *side[GW_BOOK_SIDES]; /* best first */
    uint32_t count[GW_BOOK_SIDES];
} model_t;

static inline void model_open(model_t *m) {
    *m = (model_t){0};
    for (int s = 0; s < 2; s++) {
        m->side[s] = malloc(MODEL_MOST * sizeof(model_level_t));
        CHECK(m->side[s] != NULL);
    }
}

static inline void model_close(model_t *m) {
    free(m->side[0]);
    free(m->side[1]);
}

/* Sets a level, or deletes it where its quantity is 0; how many levels came or went. */
static inline int model_set(model_t *m, unsigned side, model_level_t level) {
    model_level_t *l = m->side[side];
    uint32_t low = 0, n = m->count[side];
    while (n > 0) {
        uint32_t half = n / 2;
        if (l[low + half].key > level.key) low += half + 1, n -= half + 1;
        else n = half;
    }
    bool there = low < m->count[side] && l[low].key == level.key;
    if (level.qty == 0) {
        if (!there) return 0;
        memmove(l + low, l + low + 1, (m->count[side] - low - 1) * sizeof *l);
        m->count[side]--;
        return -1;
    }
    if (!there) {
        CHECK(m->count[side] < MODEL_MOST);
        memmove(l + low + 1, l + low, (m->count[side] - low) * sizeof *l);
        m->count[side]++;
    }
    l[low] = level;
    return !there;
}

static inline int64_t ten(unsigned n) { return n == 0 ? 1 : 10 * ten(n - 1); }

static inline void model_apply(model_t *m, const gw_book_level_t *levels, uint32_t count, uint32_t depth) {
    for (uint32_t i = 0; i < count; i++) {
        const gw_book_level_t *l = &levels[i];
        int64_t price = l->price * ten(MODEL_SCALE - l->price_decimals);
        model_set(m, l->side, (model_level_t){l->side ? -price : price, l->qty,
                                              gw_book_digits(l->price_decimals, l->qty_decimals, l->qty_zeros)});
    }
    for (int s = 0; s < 2; s++)
        if (depth != 0 && m->count[s] > depth) m->count[s] = depth;
}

/* The book's best levels, as many as `depth`, are the model's. */
static inline void model_check(const model_t *m, const gw_book_t *b, uint32_t depth) {
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        gw_book_cursor_t cursor = gw_book_best(b, side);
        uint32_t most = m->count[side] < depth ? m->count[side] : depth;
        for (uint32_t i = 0; i < most; i++) {
            gw_book_row_t row;
            uint32_t at = gw_book_next(&cursor);
            CHECK(at != GW_BOOK_NONE);
            gw_book_row(b, cursor.chunk, at, side, &row);
            CHECK_EQUAL(row.key, m->side[side][i].key);
            CHECK_EQUAL(row.qty, m->side[side][i].qty);
            CHECK_EQUAL(row.digits, m->side[side][i].digits);
        }
        if (depth < m->count[side]) continue;
        CHECK_EQUAL(gw_book_levels(b, side), m->count[side]);
        CHECK_EQUAL(gw_book_next(&cursor), GW_BOOK_NONE);
    }
}

/* --- messages ------------------------------------------------------------------------------------ */

static inline gw_book_level_t level_of(unsigned side, int64_t price, int64_t qty) {
    gw_book_level_t l = {.side = (uint8_t)side, .price = price, .qty = qty, .price_decimals = MODEL_SCALE};
    if (qty != 0) l.qty_decimals = (uint8_t)draw(3);
    return l;
}

/* What a book says that a message changed, as a message: what a plane's book is told. */
static inline uint32_t rows_to_levels(const gw_book_work_t *w, gw_book_level_t *out) {
    for (uint32_t i = 0; i < w->count; i++) gw_book_level_from(&w->rows[i], w->scale, &out[i]);
    return w->count;
}

/* A walk: hostile in a small range of prices. `big`: sometimes messages of hundreds of levels. */
typedef struct {
    int64_t mid;
    int ticks;
    bool big;
} walk_t;

enum { WALK_MOST = 4096 };

/* The best levels of a side, so many, deleted. */
static inline uint32_t walk_sweep(const model_t *m, unsigned side, uint32_t most, gw_book_level_t *out) {
    uint32_t n = m->count[side] < most ? m->count[side] : most;
    for (uint32_t i = 0; i < n; i++) {
        int64_t key = m->side[side][i].key;
        out[i] = level_of(side, side ? -key : key, 0);
    }
    return n;
}

static inline uint32_t walk_message(walk_t *w, const model_t *m, gw_book_level_t *out) {
    uint64_t r = draw(1000);
    if (r < 3) return walk_sweep(m, (unsigned)draw(2), WALK_MOST, out);
    if (r < 5) {
        uint32_t n = walk_sweep(m, 0, WALK_MOST / 2, out);
        return n + walk_sweep(m, 1, WALK_MOST / 2, out + n);
    }
    if (r < 60) return walk_sweep(m, (unsigned)draw(2), 1 + (uint32_t)draw(20), out);
    if (draw(20) == 0) w->mid += (int64_t)draw(7) - 3;
    uint32_t n = 1 + (uint32_t)draw(draw(10) == 0 ? (w->big ? 200 : 40) : 4);
    for (uint32_t i = 0; i < n; i++) {
        unsigned side = (unsigned)draw(2);
        int64_t near = draw(100) < 60 ? (w->ticks < 12 ? w->ticks : 12) : w->ticks, off = 1 + (int64_t)draw((uint64_t)near);
        out[i] = level_of(side, side ? w->mid + off : w->mid - off, draw(100) < 45 ? 0 : 1 + (int64_t)draw(5));
    }
    return n;
}

/* A venue's snapshot around the middle. */
static inline uint32_t walk_state(walk_t *w, gw_book_level_t *out) {
    uint32_t n = (uint32_t)draw(w->big ? 1500 : 60);
    for (uint32_t i = 0; i < n; i++) {
        unsigned side = (unsigned)draw(2);
        int64_t off = 1 + (int64_t)draw((uint64_t)w->ticks);
        out[i] = level_of(side, side ? w->mid + off : w->mid - off, 1 + (int64_t)draw(50));
    }
    return n;
}

#endif
