/* A book held still.
 *
 * Levels are copied best first, some in each step; a step goes on behind the key that was copied last, wherever that is by
 * then. The book changes in between, so the copy is of no state at first. But its log knows which prices changed since the
 * copy was begun: once all is copied, these are looked up once more, in one step, and from that moment on the state is the
 * book's at that seq: every level that did not change is in the copy, every other one among the changed. They are merged in
 * further steps, whatever the book does.
 *
 * Where the log does not have that (a lap, another scale) or the changes are more than GW_BOOK_STILL_CHANGES, the copy is
 * begun anew, with steps twice as large, so that it ends however fast the book is. */
#include "gw_book_still.h"
#include "gw_book_internal.h"

#include <stdlib.h>

#define AGAIN_MAX 16u /* 2^16 times a step is all of any book */

static uint32_t book_levels(const gw_book_t *b) { return gw_book_levels(b, GW_BOOK_BID) + gw_book_levels(b, GW_BOOK_ASK); }

/* Begins the copy, or begins it anew; false: there is no memory. */
static bool begin(gw_book_still_t *s, const gw_book_t *b) {
    const uint8_t again = s->since == 0 || s->again == AGAIN_MAX ? s->again : s->again + 1;
    gw_book_still_free(s);
    const uint32_t levels = book_levels(b);
    *s = (gw_book_still_t){.since = gw_book_seq(b), .scale = gw_book_scale(b), .again = again};
    s->room = levels + levels / 8 + GW_BOOK_CHUNK;
    s->source = malloc(s->room * sizeof *s->source);
    return s->source;
}

/* Whether the log still has what changed since the copy was begun, and that is not too much. */
static bool can_be_mended(const gw_book_still_t *s, const gw_book_t *b) {
    if (gw_book_seq(b) == s->since) return true;
    if (gw_book_scale(b) != s->scale || b->log.capacity == 0 || s->since < b->log.floor) return false;
    return b->log.head - gw_book_log_from(&b->log, s->since) <= GW_BOOK_STILL_CHANGES;
}

/* Copies so many levels; how many it were. False: there is no room for all of them. */
static bool copy(gw_book_still_t *s, const gw_book_t *b, uint32_t most, uint32_t *took) {
    while (s->side < GW_BOOK_SIDES) {
        uint32_t begun = s->source_levels[s->side];
        gw_book_cursor_t cursor = begun ? gw_book_worse(b, s->side, s->source[s->count - 1].key) : gw_book_best(b, s->side);
        for (; *took < most; ++*took) {
            uint32_t at = gw_book_next(&cursor);
            if (at == GW_BOOK_NONE) break;
            if (s->count == s->room) return false;
            gw_book_row(b, cursor.chunk, at, s->side, &s->source[s->count]);
            s->source[s->count++].kind = GW_BOOK_UPD;
            s->source_levels[s->side]++;
        }
        if (*took == most) return true;
        s->side++;
    }
    s->copied = true;
    return true;
}

static int order(const void *a, const void *b) {
    const gw_book_row_t *x = a, *y = b;
    return x->side != y->side ? x->side - y->side : (x->key < y->key) - (x->key > y->key);
}

/* Looks the changed levels up: from now on the book may do as it likes. False: there is no memory. */
static bool mend(gw_book_still_t *s, const gw_book_t *b) {
    const uint64_t from = gw_book_seq(b) == s->since ? b->log.head : gw_book_log_from(&b->log, s->since);
    const uint32_t n = (uint32_t)(b->log.head - from);
    if (n > 0) {
        s->changed = malloc(n * sizeof *s->changed);
        s->rows = malloc((s->count + n) * sizeof *s->rows);
        if (!s->changed || !s->rows) return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        const gw_book_change_t *c = gw_book_log_at(&b->log, from + i);
        s->changed[i] = (gw_book_row_t){.key = c->key, .side = (uint8_t)gw_book_change_side(c), .kind = GW_BOOK_DEL};
    }
    if (n > 0) qsort(s->changed, n, sizeof *s->changed, order);
    for (uint32_t i = 0; i < n; i++) {
        const gw_book_row_t x = s->changed[i];
        if (s->changed_count && !order(&x, &s->changed[s->changed_count - 1])) continue;
        gw_book_row_t *to = &s->changed[s->changed_count++];
        const gw_book_spot_t spot = gw_book_side_find(b, x.side, x.key);
        *to = x;
        if (!spot.there) continue;
        const gw_book_entry_t *entry = &b->directory[x.side][spot.entry];
        gw_book_row(b, gw_book_pool_chunk(b->pool, gw_book_entry_chunk(entry)), spot.at, x.side, to);
        to->kind = GW_BOOK_UPD;
    }
    s->seq = gw_book_seq(b);
    s->side = 0;
    s->count = 0;
    return true;
}

/* Nothing changed: the copy is the state. */
static void take(gw_book_still_t *s) {
    s->rows = s->source;
    s->source = NULL;
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) s->levels[side] = s->source_levels[side];
    s->whole = true;
}

static uint32_t merge(gw_book_still_t *s, uint32_t most) {
    uint32_t took = 0;
    for (; took < most && s->side < GW_BOOK_SIDES; took++) {
        const uint32_t end = s->source_levels[GW_BOOK_BID] + (s->side == GW_BOOK_ASK ? s->source_levels[GW_BOOK_ASK] : 0);
        const gw_book_row_t *old = s->old < end ? &s->source[s->old] : NULL;
        const gw_book_row_t *new = s->changed_at < s->changed_count ? &s->changed[s->changed_at] : NULL;
        if (new && new->side != s->side) new = NULL;
        if (!old && !new) {
            s->side++;
            continue;
        }
        const bool changed = new && (!old || new->key >= old->key);
        s->old += old && (!changed || new->key == old->key);
        s->changed_at += changed;
        if (changed && new->kind == GW_BOOK_DEL) continue;
        s->rows[s->count++] = changed ? *new : *old;
        s->levels[s->side]++;
    }
    s->whole = s->side == GW_BOOK_SIDES;
    return took;
}

uint32_t gw_book_still_step(gw_book_still_t *s, const gw_book_t *b, uint32_t most) {
    uint32_t took = 0;
    if (s->seq) return merge(s, most);
    if (!s->source || !can_be_mended(s, b)) {
        if (!begin(s, b)) return 0;
    }
    const uint64_t larger = (uint64_t)most << s->again;
    if (!s->copied && !copy(s, b, larger < UINT32_MAX ? (uint32_t)larger : UINT32_MAX, &took))
        return begin(s, b) ? took + 1 : 0; /* it grew */
    if (!s->copied) return took;
    if (!mend(s, b)) {
        free(s->changed);
        free(s->rows);
        s->changed = s->rows = NULL;
        return 0;
    }
    if (s->changed_count == 0) take(s);
    return took + s->changed_count + 1;
}

void gw_book_still_free(gw_book_still_t *s) {
    free(s->rows);
    free(s->source);
    free(s->changed);
    *s = (gw_book_still_t){0};
}
