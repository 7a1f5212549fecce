/* One side of a book: chunks of levels in the order of their keys, and a directory of the chunks' smallest.
 *
 * A search gallops back from the best chunk, since most changes are near it, then looks for the key inside the chunk
 * without a branch that depends on it. An insertion moves at most one chunk's levels. A full chunk becomes two: halves,
 * or, where keys come in order at either end, three quarters and one, so that a book that is loaded in order fills its
 * chunks to 48. A chunk that a deletion leaves with fewer than 16 levels joins a neighbour where both have at most 48
 * together. So of two neighbours at least one has 16, and a side of n levels has at most n / 8 + 2 chunks.
 *
 * Only words are stored, relaxed, since others may be copying (gw_book_pool.c); what the writer itself reads back it
 * reads plainly. */
#include "gw_book_internal.h"

#include <assert.h>

#define HALF (GW_BOOK_CHUNK / 2)
#define FILL (GW_BOOK_CHUNK / 4 * 3)
#define LEAST (GW_BOOK_CHUNK / 4)

static uint32_t directory_find(const gw_book_entry_t *d, uint32_t count, int64_t key) {
    uint32_t high = count - 1, step = 4, low;
    if (d[high].smallest <= key) return high;
    while (high > step && d[high - step].smallest > key) {
        high -= step;
        step *= 4;
    }
    low = high > step ? high - step : 0;
    while (high - low > 1) { /* the key is below `high`; at or above `low`, or `low` is the first */
        uint32_t middle = low + (high - low) / 2;
        if (d[middle].smallest <= key) low = middle;
        else high = middle;
    }
    return low;
}

/* The first index whose key is not below `key`. */
static uint32_t keys_find(const uint64_t *chunk, uint32_t count, int64_t key) {
    const int64_t *keys = (const int64_t *)chunk, *base = keys;
    uint32_t n = count;
    while (n > 1) {
        uint32_t half = n / 2;
        base += base[half - 1] < key ? half : 0;
        n -= half;
    }
    return (uint32_t)(base - keys) + (n == 1 && *base < key);
}

gw_book_spot_t gw_book_side_find(const gw_book_t *b, unsigned side, int64_t key) {
    uint32_t chunks = (uint32_t)b->head->chunks[side];
    if (chunks == 0) return (gw_book_spot_t){0, 0, false};
    const gw_book_entry_t *d = b->directory[side];
    uint32_t entry = directory_find(d, chunks, key), levels = gw_book_entry_levels(&d[entry]);
    const uint64_t *chunk = gw_book_pool_chunk(b->pool, gw_book_entry_chunk(&d[entry]));
    uint32_t at = keys_find(chunk, levels, key);
    return (gw_book_spot_t){entry, at, at < levels && (int64_t)chunk[at] == key};
}

gw_book_cursor_t gw_book_worse(const gw_book_t *b, unsigned side, int64_t key) {
    gw_book_cursor_t cursor = gw_book_best(b, side);
    if (b->head->chunks[side] == 0) return cursor;
    gw_book_spot_t spot = gw_book_side_find(b, side, key);
    cursor.entry = spot.entry;
    gw_book_cursor_load(&cursor);
    cursor.left = spot.at;
    return cursor;
}

static uint64_t *chunk_of(const gw_book_t *b, unsigned side, uint32_t entry) {
    return gw_book_pool_chunk(b->pool, gw_book_entry_chunk(&b->directory[side][entry]));
}

static void entry_store(gw_book_t *b, unsigned side, uint32_t entry, uint32_t chunk, uint32_t levels) {
    gw_book_entry_t *e = &b->directory[side][entry];
    const uint64_t *words = gw_book_pool_chunk(b->pool, chunk);
    GW_STORE_RELAXED(&e->smallest, (int64_t)words[0]);
    GW_STORE_RELAXED(&e->place, (uint64_t)levels << 32 | chunk);
}

/* Moves words one place up or down, from the end that is not overwritten. */
static void words_up(uint64_t *at, uint32_t count) {
#pragma GCC unroll 8
    for (uint32_t i = count; i > 0; i--) GW_STORE_RELAXED(at + i, at[i - 1]);
}

static void words_down(uint64_t *at, uint32_t count) {
#pragma GCC unroll 8
    for (uint32_t i = 0; i < count; i++) GW_STORE_RELAXED(at + i, at[i + 1]);
}

/* Puts an entry for a new chunk behind `entry`. */
static void directory_open(gw_book_t *b, unsigned side, uint32_t entry) {
    uint64_t chunks = b->head->chunks[side];
    assert(chunks < b->pool->sizes.side_chunks);
    uint64_t *words = (uint64_t *)&b->directory[side][0];
    for (uint64_t i = 2 * chunks; i > 2 * ((uint64_t)entry + 1); i--) GW_STORE_RELAXED(words + i + 1, words[i - 1]);
    GW_STORE_RELAXED(&b->head->chunks[side], chunks + 1);
}

static void directory_close(gw_book_t *b, unsigned side, uint32_t entry) {
    uint64_t chunks = b->head->chunks[side] - 1;
    gw_book_chunk_give(b->pool, gw_book_entry_chunk(&b->directory[side][entry]));
    uint64_t *words = (uint64_t *)&b->directory[side][0];
    for (uint64_t i = 2 * (uint64_t)entry; i < 2 * chunks; i++) GW_STORE_RELAXED(words + i, words[i + 2]);
    GW_STORE_RELAXED(&b->head->chunks[side], chunks);
}

/* Copies levels [from, from + count) of a chunk behind `levels` of another. */
static void levels_copy(const gw_book_t *b, uint64_t *to, uint32_t levels, const uint64_t *from, uint32_t at,
                        uint32_t count) {
    for (size_t a = 0; a < b->pool->arrays; a++)
        gw_words_write((gw_word_t *)to + a * GW_BOOK_CHUNK + levels, (const gw_word_t *)from + a * GW_BOOK_CHUNK + at,
                       count);
}

/* Makes two of a full chunk; `spot` then is in the one where its key belongs. */
static void chunk_split(gw_book_t *b, unsigned side, gw_book_spot_t *spot) {
    uint32_t entry = spot->entry, chunks = (uint32_t)b->head->chunks[side], keep = HALF;
    if (entry == chunks - 1 && spot->at == GW_BOOK_CHUNK) keep = FILL;
    else if (entry == 0 && spot->at == 0) keep = GW_BOOK_CHUNK - FILL;
    uint32_t old = gw_book_entry_chunk(&b->directory[side][entry]), new = gw_book_chunk_take(b->pool);
    assert(new != GW_BOOK_NONE);
    directory_open(b, side, entry);
    levels_copy(b, gw_book_pool_chunk(b->pool, new), 0, gw_book_pool_chunk(b->pool, old), keep, GW_BOOK_CHUNK - keep);
    entry_store(b, side, entry, old, keep);
    entry_store(b, side, entry + 1, new, GW_BOOK_CHUNK - keep);
    if (spot->at <= keep) return; /* between the two: at the end of the worse one, whose smallest key is below */
    spot->entry++;
    spot->at -= keep;
}

/* Joins a chunk with the one behind it where both are small enough. */
static bool chunk_join(gw_book_t *b, unsigned side, uint32_t entry) {
    const gw_book_entry_t *d = b->directory[side];
    if (entry + 1 >= b->head->chunks[side]) return false;
    uint32_t first = gw_book_entry_levels(&d[entry]), second = gw_book_entry_levels(&d[entry + 1]);
    if (first + second > FILL) return false;
    levels_copy(b, chunk_of(b, side, entry), first, chunk_of(b, side, entry + 1), 0, second);
    entry_store(b, side, entry, gw_book_entry_chunk(&d[entry]), first + second);
    directory_close(b, side, entry + 1);
    return true;
}

static void level_store(gw_book_t *b, uint64_t *chunk, uint32_t at, const gw_book_row_t *row, uint64_t seq) {
    uint64_t qty = (uint64_t)row->qty;
    if (row->digits & GW_BOOK_WIDE) {
        uint32_t wide = gw_book_wide_take(b->pool, row->qty, row->qty_high);
        assert(wide != GW_BOOK_NONE);
        qty = wide;
    }
    GW_STORE_RELAXED(chunk + GW_BOOK_QTYS * GW_BOOK_CHUNK + at, qty);
    GW_STORE_RELAXED(chunk + GW_BOOK_MARKS * GW_BOOK_CHUNK + at, row->digits | seq);
    if (b->pool->sizes.orders) GW_STORE_RELAXED(chunk + GW_BOOK_ORDERS * GW_BOOK_CHUNK + at, row->orders);
}

static void wide_drop(gw_book_t *b, const uint64_t *chunk, uint32_t at) {
    if (chunk[GW_BOOK_MARKS * GW_BOOK_CHUNK + at] & GW_BOOK_WIDE)
        gw_book_wide_give(b->pool, (uint32_t)chunk[GW_BOOK_QTYS * GW_BOOK_CHUNK + at]);
}

static void level_insert(gw_book_t *b, gw_book_spot_t spot, const gw_book_row_t *row, uint64_t seq) {
    unsigned side = row->side;
    if (b->head->chunks[side] == 0) {
        uint32_t first = gw_book_chunk_take(b->pool);
        assert(first != GW_BOOK_NONE);
        GW_STORE_RELAXED(&b->directory[side][0].place, first);
        GW_STORE_RELAXED(&b->head->chunks[side], 1);
    }
    if (gw_book_entry_levels(&b->directory[side][spot.entry]) == GW_BOOK_CHUNK) chunk_split(b, side, &spot);
    const gw_book_entry_t *e = &b->directory[side][spot.entry];
    uint32_t levels = gw_book_entry_levels(e), number = gw_book_entry_chunk(e);
    uint64_t *chunk = gw_book_pool_chunk(b->pool, number);
    for (size_t a = 0; a < b->pool->arrays; a++) words_up(chunk + a * GW_BOOK_CHUNK + spot.at, levels - spot.at);
    GW_STORE_RELAXED(chunk + spot.at, (uint64_t)row->key);
    level_store(b, chunk, spot.at, row, seq);
    entry_store(b, side, spot.entry, number, levels + 1);
    GW_STORE_RELAXED(&b->head->levels[side], b->head->levels[side] + 1);
}

static void level_remove(gw_book_t *b, unsigned side, gw_book_spot_t spot) {
    const gw_book_entry_t *e = &b->directory[side][spot.entry];
    uint32_t levels = gw_book_entry_levels(e) - 1, number = gw_book_entry_chunk(e);
    uint64_t *chunk = gw_book_pool_chunk(b->pool, number);
    wide_drop(b, chunk, spot.at);
    GW_STORE_RELAXED(&b->head->levels[side], b->head->levels[side] - 1);
    if (levels == 0) {
        directory_close(b, side, spot.entry);
        return;
    }
    for (size_t a = 0; a < b->pool->arrays; a++) words_down(chunk + a * GW_BOOK_CHUNK + spot.at, levels - spot.at);
    entry_store(b, side, spot.entry, number, levels);
    if (levels >= LEAST || chunk_join(b, side, spot.entry) || spot.entry == 0) return;
    chunk_join(b, side, spot.entry - 1);
}

void gw_book_row(const gw_book_t *b, const uint64_t *chunk, uint32_t at, unsigned side, gw_book_row_t *row) {
    uint64_t marks = chunk[GW_BOOK_MARKS * GW_BOOK_CHUNK + at];
    *row = (gw_book_row_t){.key = (int64_t)chunk[at],
                           .qty = (int64_t)chunk[GW_BOOK_QTYS * GW_BOOK_CHUNK + at],
                           .digits = marks & GW_BOOK_DIGITS_MASK,
                           .side = (uint8_t)side};
    if (b->pool->sizes.orders) row->orders = (uint32_t)chunk[GW_BOOK_ORDERS * GW_BOOK_CHUNK + at];
    if (!(marks & GW_BOOK_WIDE)) return;
    const uint64_t *wide = b->pool->wides + 2 * (size_t)row->qty;
    row->qty = (int64_t)wide[0];
    row->qty_high = (int64_t)wide[1];
}

void gw_book_side_set(gw_book_t *b, gw_book_row_t *row, uint64_t seq) {
    gw_book_spot_t spot = gw_book_side_find(b, row->side, row->key);
    bool deletes = row->qty == 0 && row->qty_high == 0;
    if (!spot.there) {
        row->kind = deletes ? GW_BOOK_KEPT : GW_BOOK_INS;
        row->had = 0;
        if (!deletes) level_insert(b, spot, row, seq);
        return;
    }
    uint64_t *chunk = chunk_of(b, row->side, spot.entry);
    gw_book_row_t old;
    gw_book_row(b, chunk, spot.at, row->side, &old);
    row->had = (uint8_t)gw_book_price_decimals(old.digits);
    if (deletes) {
        row->kind = GW_BOOK_DEL;
        gw_book_row_gone(row);
        level_remove(b, row->side, spot);
        return;
    }
    row->kind = gw_book_row_same(b, &old, row) ? GW_BOOK_KEPT : GW_BOOK_UPD;
    if (row->kind == GW_BOOK_KEPT) return;
    wide_drop(b, chunk, spot.at);
    level_store(b, chunk, spot.at, row, seq);
}

void gw_book_side_fill(gw_book_t *b, gw_book_row_t *rows, uint32_t count, uint64_t seq) {
    uint32_t chunks = 0;
    for (uint32_t from = 0; from < count; from += FILL, chunks++) {
        const uint32_t number = gw_book_chunk_take(b->pool), n = count - from < FILL ? count - from : FILL;
        assert(number != GW_BOOK_NONE && chunks < b->pool->sizes.side_chunks);
        uint64_t *chunk = gw_book_pool_chunk(b->pool, number);
        for (uint32_t i = 0; i < n; i++) {
            gw_book_row_t *row = &rows[from + i];
            row->kind = GW_BOOK_INS;
            row->had = 0;
            GW_STORE_RELAXED(chunk + i, (uint64_t)row->key);
            level_store(b, chunk, i, row, seq);
        }
        entry_store(b, rows->side, chunks, number, n);
    }
    if (count == 0) return;
    GW_STORE_RELAXED(&b->head->chunks[rows->side], chunks);
    GW_STORE_RELAXED(&b->head->levels[rows->side], count);
}

void gw_book_side_evict(gw_book_t *b, unsigned side, gw_book_row_t *row, uint64_t *seq) {
    const uint64_t *chunk = chunk_of(b, side, 0);
    uint64_t marks = chunk[GW_BOOK_MARKS * GW_BOOK_CHUNK];
    *row = (gw_book_row_t){.key = (int64_t)chunk[0], .side = (uint8_t)side, .kind = GW_BOOK_DEL};
    row->had = (uint8_t)gw_book_price_decimals(marks);
    gw_book_row_gone(row);
    *seq = marks & GW_BOOK_SEQ_MAX;
    level_remove(b, side, (gw_book_spot_t){0, 0, true});
}

int64_t gw_book_side_worst(const gw_book_t *b, unsigned side, uint32_t depth) {
    if (b->head->levels[side] == 0) return GW_BOOK_WORST_NONE;
    const gw_book_entry_t *d = b->directory[side];
    if (b->head->levels[side] <= depth) return d[0].smallest;
    uint32_t entry = (uint32_t)b->head->chunks[side] - 1, left = depth;
    while (left > gw_book_entry_levels(&d[entry])) left -= gw_book_entry_levels(&d[entry--]);
    return (int64_t)chunk_of(b, side, entry)[gw_book_entry_levels(&d[entry]) - left];
}

void gw_book_side_rescale(gw_book_t *b, unsigned side, int64_t factor) {
    for (uint32_t e = 0; e < b->head->chunks[side]; e++) {
        uint64_t *keys = chunk_of(b, side, e);
        uint32_t levels = gw_book_entry_levels(&b->directory[side][e]);
        for (uint32_t i = 0; i < levels; i++) GW_STORE_RELAXED(keys + i, (uint64_t)((int64_t)keys[i] * factor));
        entry_store(b, side, e, gw_book_entry_chunk(&b->directory[side][e]), levels);
    }
}

void gw_book_side_clear(gw_book_t *b, unsigned side) {
    for (uint32_t e = 0; e < b->head->chunks[side]; e++) {
        uint32_t levels = gw_book_entry_levels(&b->directory[side][e]);
        for (uint32_t i = 0; i < levels; i++) wide_drop(b, chunk_of(b, side, e), i);
        gw_book_chunk_give(b->pool, gw_book_entry_chunk(&b->directory[side][e]));
    }
    GW_STORE_RELAXED(&b->head->chunks[side], 0);
    GW_STORE_RELAXED(&b->head->levels[side], 0);
}
