/* From a venue's levels to rows: checked, at one scale, one for each price, and as the difference to a book. */
#include "gw_book_internal.h"

#include <stdlib.h>
#include <string.h>

int64_t gw_book_power(unsigned exponent) {
    static const int64_t powers[19] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
                                       10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000,
                                       1000000000000000, 10000000000000000, 100000000000000000, 1000000000000000000};
    return powers[exponent < 18 ? exponent : 18];
}

bool gw_book_work_room(gw_book_work_t *work, uint64_t rows) {
    uint32_t capacity = work->capacity;
    if (rows <= capacity) return true;
    while (capacity < rows) {
        if (capacity >= 2 * GW_BOOK_MESSAGE_MAX) return false;
        capacity *= 2;
    }
    gw_book_row_t *grown = realloc(work->rows, capacity * sizeof *grown);
    if (grown == NULL) return false;
    work->rows = grown;
    grown = realloc(work->spare, capacity * sizeof *grown);
    if (grown == NULL) return false;
    work->spare = grown;
    work->capacity = capacity;
    return true;
}

/* --- order ----------------------------------------------------------------------------------- */

static bool row_before(const gw_book_row_t *a, const gw_book_row_t *b) {
    return a->side != b->side ? a->side < b->side : a->key < b->key;
}

/* Sorts by side and key and keeps the order of equals: runs of doubling length, merged from one array to the other. */
static void rows_sort(gw_book_work_t *w) {
    uint32_t n = w->count;
    for (uint32_t run = 1; run < n; run *= 2) {
        for (uint32_t start = 0; start < n; start += 2 * run) {
            uint32_t middle = start + run < n ? start + run : n, end = start + 2 * run < n ? start + 2 * run : n;
            uint32_t i = start, j = middle;
            for (uint32_t to = start; to < end; to++) {
                bool second = i == middle || (j < end && row_before(&w->rows[j], &w->rows[i]));
                w->spare[to] = w->rows[second ? j++ : i++];
            }
        }
        gw_book_row_t *rows = w->rows;
        w->rows = w->spare;
        w->spare = rows;
    }
}

/* Of rows with one key the last is kept. */
static void rows_unite(gw_book_work_t *w) {
    uint32_t to = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        bool last = i + 1 == w->count || w->rows[i].key != w->rows[i + 1].key || w->rows[i].side != w->rows[i + 1].side;
        if (last) w->rows[to++] = w->rows[i];
    }
    w->count = to;
}

/* Whether each side's keys only rise or only fall, as venues mostly send them: then none is there twice. */
static bool rows_single(const gw_book_work_t *w) {
    int64_t last[GW_BOOK_SIDES] = {0, 0};
    uint32_t seen[GW_BOOK_SIDES] = {0, 0}, risen[GW_BOOK_SIDES] = {0, 0};
    for (uint32_t i = 0; i < w->count; i++) {
        const gw_book_row_t *r = &w->rows[i];
        if (seen[r->side] > 0) {
            if (r->key == last[r->side]) return false;
            risen[r->side] += r->key > last[r->side];
        }
        seen[r->side]++;
        last[r->side] = r->key;
    }
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++)
        if (risen[side] != 0 && risen[side] + 1 != seen[side]) return false;
    return true;
}

static bool rows_rise(const gw_book_work_t *w) {
    for (uint32_t i = 1; i < w->count; i++)
        if (!row_before(&w->rows[i - 1], &w->rows[i])) return false;
    return true;
}

/* --- a venue's levels ------------------------------------------------------------------------ */

static bool level_deletes(const gw_book_level_t *l) { return l->qty == 0 && l->qty_high == 0; }

static gw_book_refusal_t level_check(const gw_book_level_t *l) {
    if (l->side >= GW_BOOK_SIDES) return GW_BOOK_NO_SIDE;
    if (l->price_decimals > GW_BOOK_PRICE_DECIMALS_MAX) return GW_BOOK_PRICE_DECIMALS;
    if (l->price > GW_BOOK_KEY_MAX || l->price < -GW_BOOK_KEY_MAX) return GW_BOOK_PRICE_WIDE;
    if (l->qty_decimals > GW_BOOK_QTY_DECIMALS_MAX) return GW_BOOK_QTY_WIDE;
    if (l->qty_high < 0) return GW_BOOK_QTY_NEGATIVE;
    bool narrow = l->qty_high == 0 && l->qty >= 0;
    if ((l->qty_zeros & GW_BOOK_LEVEL_WIDE) == 0) return narrow ? GW_BOOK_FINE : GW_BOOK_QTY_NEGATIVE;
    return narrow ? GW_BOOK_QTY_WIDE : GW_BOOK_FINE;
}

/* Whether price * factor is a key. */
static bool key_fits(int64_t price, unsigned exponent) {
    if (price == 0) return true;
    if (exponent > 17) return false;
    int64_t most = GW_BOOK_KEY_MAX / gw_book_power(exponent);
    return price <= most && price >= -most;
}

/* A deletion names a level that is there, or nothing: a price finer than the book's scale is cut where that takes zeros
 * alone. False: no level can have this price. */
static bool deletion_coarsen(int64_t *price, unsigned *decimals, unsigned scale) {
    for (; *decimals > scale; --*decimals) {
        if (*price % 10 != 0) return false;
        *price /= 10;
    }
    return true;
}

/* The scale of the book and of the finest level that is no deletion. */
static gw_book_refusal_t levels_check(gw_book_work_t *w, const gw_book_level_t *levels, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        w->at = i;
        gw_book_refusal_t refusal = level_check(&levels[i]);
        if (refusal != GW_BOOK_FINE) return refusal;
        if (!level_deletes(&levels[i]) && levels[i].price_decimals > w->scale) w->scale = levels[i].price_decimals;
    }
    return GW_BOOK_FINE;
}

/* Whether the book's own keys fit the scale: the largest are at either end. */
static bool book_fits(const gw_book_t *b, unsigned scale) {
    unsigned finer = scale - gw_book_scale(b);
    for (unsigned side = 0; finer > 0 && side < GW_BOOK_SIDES; side++) {
        if (b->head->levels[side] == 0) continue;
        if (!key_fits(gw_book_side_worst(b, side, UINT32_MAX), finer)) return false;
        if (!key_fits(gw_book_side_worst(b, side, 1), finer)) return false;
    }
    return true;
}

static void row_of(const gw_book_level_t *l, int64_t key, gw_book_row_t *row) {
    unsigned zeros = l->qty_zeros & ~GW_BOOK_LEVEL_WIDE;
    uint64_t wide = l->qty_zeros & GW_BOOK_LEVEL_WIDE ? GW_BOOK_WIDE : 0;
    *row = (gw_book_row_t){.key = l->side == GW_BOOK_ASK ? -key : key,
                           .qty = l->qty,
                           .qty_high = l->qty_high,
                           .orders = l->orders,
                           .side = l->side};
    if (!level_deletes(l)) row->digits = gw_book_digits(l->price_decimals, l->qty_decimals, zeros) | wide;
}

void gw_book_level_row(const gw_book_level_t *level, gw_book_row_t *out) {
    row_of(level, level->price, out);
    out->digits |= gw_book_digits(level->price_decimals, 0, 0); /* of a deletion, too */
}

void gw_book_level_from(const gw_book_row_t *row, unsigned scale, gw_book_level_t *out) {
    unsigned decimals = gw_book_price_decimals(row->digits);
    int64_t price = row->key / gw_book_power(decimals < scale ? scale - decimals : 0);
    *out = (gw_book_level_t){.price = row->side == GW_BOOK_ASK ? -price : price,
                             .qty = row->qty,
                             .qty_high = row->qty_high,
                             .orders = row->orders,
                             .side = row->side,
                             .price_decimals = (uint8_t)decimals,
                             .qty_decimals = (uint8_t)gw_book_qty_decimals(row->digits),
                             .qty_zeros = (uint8_t)gw_book_qty_zeros(row->digits)};
    if (row->digits & GW_BOOK_WIDE) out->qty_zeros |= GW_BOOK_LEVEL_WIDE;
}

static gw_book_refusal_t rows_start(gw_book_work_t *w, unsigned scale, uint32_t count) {
    w->count = w->at = 0;
    w->reset = false;
    w->scale = scale;
    if (count > GW_BOOK_MESSAGE_MAX) return GW_BOOK_LEVELS_MANY;
    return gw_book_work_room(w, count) ? GW_BOOK_FINE : GW_BOOK_NO_MEMORY;
}

/* Levels as rows at the scale, or at a finer one where they need it. */
static gw_book_refusal_t rows_take(gw_book_work_t *w, unsigned scale, const gw_book_level_t *levels, uint32_t count) {
    gw_book_refusal_t refusal = rows_start(w, scale, count);
    if (refusal == GW_BOOK_FINE) refusal = levels_check(w, levels, count);
    if (refusal != GW_BOOK_FINE) return refusal;
    for (uint32_t i = 0; i < count; i++) {
        int64_t price = levels[i].price;
        unsigned decimals = levels[i].price_decimals;
        w->at = i;
        if (level_deletes(&levels[i])) {
            if (!deletion_coarsen(&price, &decimals, w->scale) || !key_fits(price, w->scale - decimals)) continue;
        } else if (!key_fits(price, w->scale - decimals)) {
            return GW_BOOK_PRICE_WIDE;
        }
        row_of(&levels[i], price * gw_book_power(w->scale - decimals), &w->rows[w->count++]);
    }
    return GW_BOOK_FINE;
}

gw_book_refusal_t gw_book_rows_take(const gw_book_t *b, gw_book_work_t *w, const gw_book_level_t *levels, uint32_t count) {
    gw_book_refusal_t refusal = rows_take(w, gw_book_scale(b), levels, count);
    if (refusal != GW_BOOK_FINE) return refusal;
    if (!book_fits(b, w->scale)) return GW_BOOK_PRICE_WIDE;
    if (!rows_single(w)) {
        rows_sort(w);
        rows_unite(w);
    }
    return GW_BOOK_FINE;
}

static gw_book_refusal_t row_check(const gw_book_row_t *r) {
    if (r->side >= GW_BOOK_SIDES) return GW_BOOK_NO_SIDE;
    if (!key_fits(r->key, 0)) return GW_BOOK_PRICE_WIDE;
    if (r->qty_high < 0) return GW_BOOK_QTY_NEGATIVE;
    const bool narrow = r->qty_high == 0 && r->qty >= 0;
    if (r->digits & GW_BOOK_SEQ_MAX) return GW_BOOK_QTY_WIDE;
    if (r->digits & GW_BOOK_WIDE) return narrow ? GW_BOOK_QTY_WIDE : GW_BOOK_FINE;
    return narrow ? GW_BOOK_FINE : GW_BOOK_QTY_NEGATIVE;
}

gw_book_refusal_t gw_book_rows_given(const gw_book_t *b, gw_book_work_t *w, unsigned scale, const gw_book_row_t *rows,
                                     uint32_t count) {
    gw_book_refusal_t refusal = rows_start(w, gw_book_scale(b), count);
    if (refusal != GW_BOOK_FINE) return refusal;
    if (scale != w->scale) return GW_BOOK_PRICE_DECIMALS;
    for (uint32_t i = 0; i < count; i++) {
        w->at = i;
        refusal = row_check(&rows[i]);
        if (refusal != GW_BOOK_FINE) return refusal;
        w->rows[i] = rows[i];
        w->rows[i].kind = GW_BOOK_KEPT; /* what it is here, is found here */
    }
    w->count = count;
    return GW_BOOK_FINE;
}

gw_book_refusal_t gw_book_rows_copy(const gw_book_t *b, gw_book_work_t *w, const gw_book_copy_t *copy) {
    gw_book_refusal_t refusal = rows_start(w, gw_book_scale(b), copy->count);
    if (refusal != GW_BOOK_FINE) return refusal;
    if (copy->scale > w->scale) w->scale = copy->scale;
    unsigned finer = w->scale - copy->scale;
    for (uint32_t i = 0; i < copy->count; i++) {
        w->at = i;
        w->rows[i] = copy->rows[i];
        if (!key_fits(w->rows[i].key, finer)) return GW_BOOK_PRICE_WIDE;
        w->rows[i].key *= gw_book_power(finer);
    }
    w->count = copy->count;
    return book_fits(b, w->scale) ? GW_BOOK_FINE : GW_BOOK_PRICE_WIDE;
}

/* --- the difference -------------------------------------------------------------------------- */

/* Takes deletions out, and of each side what is worse than the venue's depth. */
static void state_cut(gw_book_work_t *w, uint32_t depth) {
    uint32_t to = w->count, taken[GW_BOOK_SIDES] = {0, 0};
    for (uint32_t i = w->count; i-- > 0;) { /* from the best: rows rise */
        const gw_book_row_t *r = &w->rows[i];
        if ((r->qty == 0 && r->qty_high == 0) || (depth != 0 && taken[r->side] == depth)) continue;
        taken[r->side]++;
        w->rows[--to] = *r;
    }
    w->count -= to;
    memmove(w->rows, w->rows + to, w->count * sizeof *w->rows);
}

/* Deletions of the levels that the state, whose keys rise, has not; how many. Of those that it has it says whether they
 * are the same (GW_BOOK_KEPT) or not (GW_BOOK_UPD), and of others that they are new (GW_BOOK_INS). */
static uint32_t state_compare(const gw_book_t *b, gw_book_work_t *w) {
    int64_t factor = gw_book_power(w->scale - gw_book_scale(b));
    uint32_t put = 0, i = 0;
    for (uint32_t k = 0; k < w->count; k++) w->rows[k].kind = GW_BOOK_INS;
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        for (uint32_t e = 0; e < b->head->chunks[side]; e++) {
            const gw_book_entry_t *entry = &b->directory[side][e];
            const uint64_t *chunk = gw_book_pool_chunk(b->pool, gw_book_entry_chunk(entry));
            for (uint32_t k = 0; k < gw_book_entry_levels(entry); k++) {
                gw_book_row_t old;
                gw_book_row(b, chunk, k, side, &old);
                old.key *= factor;
                while (i < w->count && row_before(&w->rows[i], &old)) i++;
                bool there = i < w->count && !row_before(&old, &w->rows[i]);
                if (there) w->rows[i].kind = gw_book_row_same(b, &old, &w->rows[i]) ? GW_BOOK_KEPT : GW_BOOK_UPD;
                else w->spare[put++] = (gw_book_row_t){.key = old.key, .side = (uint8_t)side};
            }
        }
    }
    return put;
}

gw_book_refusal_t gw_book_rows_differ(const gw_book_t *b, gw_book_work_t *w) {
    if (!rows_rise(w)) {
        rows_sort(w);
        rows_unite(w);
    }
    state_cut(w, b->depth);
    uint64_t levels = b->head->levels[GW_BOOK_BID] + b->head->levels[GW_BOOK_ASK];
    if (levels + w->count > 2 * GW_BOOK_MESSAGE_MAX) return GW_BOOK_LEVELS_MANY;
    if (!gw_book_work_room(w, levels + w->count)) return GW_BOOK_NO_MEMORY;
    uint32_t put = state_compare(b, w);
    for (uint32_t i = 0; i < w->count; i++)
        if (w->rows[i].kind != GW_BOOK_KEPT) w->spare[put++] = w->rows[i];
    w->count = put;
    gw_book_row_t *rows = w->rows;
    w->rows = w->spare;
    w->spare = rows;
    return GW_BOOK_FINE;
}

/* --- without the book ------------------------------------------------------------------------ */

static void state_begin(const gw_book_t *b, gw_book_work_t *w) {
    if (!rows_rise(w)) {
        rows_sort(w);
        rows_unite(w);
    }
    state_cut(w, b->depth);
    for (uint32_t i = 0; i < w->count; i++) w->rows[i].kind = GW_BOOK_INS;
}

gw_book_refusal_t gw_book_rows_anew(const gw_book_t *b, gw_book_work_t *w, const gw_book_level_t *levels, uint32_t count) {
    gw_book_refusal_t refusal = rows_take(w, 0, levels, count);
    if (refusal == GW_BOOK_FINE) state_begin(b, w);
    return refusal;
}

gw_book_refusal_t gw_book_rows_copy_anew(const gw_book_t *b, gw_book_work_t *w, const gw_book_copy_t *copy) {
    gw_book_refusal_t refusal = rows_start(w, copy->scale, copy->count);
    if (refusal != GW_BOOK_FINE) return refusal;
    if (copy->count > 0) memcpy(w->rows, copy->rows, copy->count * sizeof *w->rows);
    w->count = copy->count;
    state_begin(b, w);
    return GW_BOOK_FINE;
}
