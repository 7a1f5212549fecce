/* A venue's messages, applied.
 *
 * **All or nothing.** A message is checked, brought to one scale and one row for each price before the book is touched
 * (gw_book_rows.c), and what it might need of chunks and wide quantities is free before the first level moves. k
 * insertions split at most min(k, chunks) chunks that were full, and one more for each 16 levels that they add. Between
 * the first store and the last the seqlock is odd: so readers, and whoever reads `work->rows` after that, see whole
 * messages only.
 *
 * **What changed** comes back as rows, which are what the writer publishes: deletions of nothing and levels that are the
 * same again are not among them, evictions beyond the venue's depth are, as deletions. So a reader that applies them
 * needs to know no venue's rules. A level that a message brings and that is evicted in the same one never was there; one
 * that it changes, then evicts, is deleted.
 *
 * **Scale.** Keys are integers at the book's own power of ten. A finer price multiplies them all, and `reset` says so:
 * what clients know of keys (worst ones, log) means nothing any more, and they get snapshots. A message never makes them
 * coarser, but a whole state that does not fit the book's scale, or beside what is in the book, takes its place at its own:
 * else one price of very many digits would be the end of a book.
 *
 * **A state replaced** is the difference, told as one message: clients get what changed. A book never changes without a
 * new seq, and a seq never passes without being told (gw_book_advance). */
#include "gw_book_internal.h"

#include <errno.h>
#include <stdlib.h>

#define ROWS_MIN 256u   /* of a work's arrays, which double */
#define OPEN 1u
#define SPLIT_LEVELS 16u /* insertions between two splits of what was one chunk, at least */
#define FILLED_LEVELS 48u /* the same, where each is behind the last one (gw_book_side.c) */

static const char *const refusals[GW_BOOK_REFUSAL_END] = {
    [GW_BOOK_FINE] = "is fine",
    [GW_BOOK_NO_SIDE] = "is neither bid nor ask",
    [GW_BOOK_PRICE_REFUSED] = "has a price that is no decimal",
    [GW_BOOK_QTY_REFUSED] = "has a quantity that is no decimal",
    [GW_BOOK_PRICE_WIDE] = "makes prices of more than 18 digits",
    [GW_BOOK_PRICE_DECIMALS] = "has a price of more than 63 digits after the point",
    [GW_BOOK_QTY_NEGATIVE] = "has a quantity below zero",
    [GW_BOOK_QTY_WIDE] = "has a quantity of too many digits",
    [GW_BOOK_LEVELS_MANY] = "is one of too many levels",
    [GW_BOOK_SEQ_OLD] = "has a seq that is not the book's next",
    [GW_BOOK_SIDE_FULL] = "may need more levels than a side can have",
    [GW_BOOK_POOL_FULL] = "may need more levels than are free",
    [GW_BOOK_WIDES_FULL] = "has more long quantities than are free",
    [GW_BOOK_NO_MEMORY] = "finds no memory",
    [GW_BOOK_PLACES_FULL] = "is of one book more than there is room for",
};

const char *gw_book_refusal_text(gw_book_refusal_t refusal) {
    return refusal < GW_BOOK_REFUSAL_END ? refusals[refusal] : "is refused";
}

/* --- a thread's work ------------------------------------------------------------------------- */

int gw_book_work_init(gw_book_work_t *w) {
    *w = (gw_book_work_t){.capacity = ROWS_MIN};
    w->rows = malloc(ROWS_MIN * sizeof *w->rows);
    w->spare = malloc(ROWS_MIN * sizeof *w->spare);
    w->entries = malloc(GW_BOOK_ENTRIES_MAX * sizeof *w->entries);
    w->entries_spare = malloc(GW_BOOK_ENTRIES_MAX * sizeof *w->entries_spare);
    if (w->rows && w->spare && w->entries && w->entries_spare) return 0;
    gw_book_work_free(w);
    return -ENOMEM;
}

void gw_book_work_free(gw_book_work_t *w) {
    free(w->rows);
    free(w->spare);
    free(w->entries);
    free(w->entries_spare);
    *w = (gw_book_work_t){0};
}

/* --- the seqlock ----------------------------------------------------------------------------- */

static void write_begin(gw_book_head_t *head) {
    GW_STORE_RELAXED(&head->version, head->version + 1);
    GW_FENCE_RELEASE();
}

static void write_end(gw_book_head_t *head) { GW_STORE_RELEASE(&head->version, head->version + 1); }

static void shape_store(gw_book_t *b, unsigned scale) {
    GW_STORE_RELAXED(&b->head->shape, (uint64_t)scale << 8 | OPEN);
}

/* --- opened, closed -------------------------------------------------------------------------- */

int gw_book_open(gw_book_t *b, gw_book_pool_t *pool, uint32_t number, uint32_t depth, bool logged) {
    if (number >= pool->sizes.books) return -EINVAL;
    gw_book_head_t *head = gw_book_pool_head(pool, number);
    if (head->shape & OPEN) return -EEXIST;
    *b = (gw_book_t){.pool = pool, .head = head, .number = number, .depth = depth};
    if (logged && gw_book_log_init(&b->log) < 0) {
        *b = (gw_book_t){0}; /* else it would be taken for open */
        return -ENOMEM;
    }
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++)
        b->directory[side] = head->directory + side * (size_t)pool->sizes.side_chunks;
    write_begin(head);
    GW_STORE_RELAXED(&head->seq, 0);
    GW_STORE_RELAXED(&head->owner, 0);
    shape_store(b, 0);
    write_end(head);
    return 0;
}

void gw_book_own(gw_book_t *b, uint64_t owner) {
    write_begin(b->head);
    GW_STORE_RELAXED(&b->head->owner, owner);
    write_end(b->head);
}

void gw_book_close(gw_book_t *b) {
    if (b->head == NULL) return;
    write_begin(b->head);
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) gw_book_side_clear(b, side);
    GW_STORE_RELAXED(&b->head->shape, 0);
    write_end(b->head);
    gw_book_log_free(&b->log);
    *b = (gw_book_t){0};
}

/* --- a message ------------------------------------------------------------------------------- */

/* How many chunks a side may have more, of `k` insertions. One that is empty is filled from its worst level on, where they rise. */
static uint64_t chunks_more(uint64_t chunks, uint64_t k, bool rise) {
    if (k == 0) return 0;
    if (chunks == 0 && rise) return k / FILLED_LEVELS + 1;
    return (k < chunks ? k : chunks) + k / SPLIT_LEVELS + 1;
}

/* Whether the rows can be applied to the last one, and the evictions told; `anew`: in the place of all that is there. */
static gw_book_refusal_t room_check(const gw_book_t *b, gw_book_work_t *w, uint64_t seq, bool anew) {
    const gw_book_pool_t *p = b->pool;
    uint64_t inserts[GW_BOOK_SIDES] = {0, 0}, wides = 0, splits = 0, evictions = 0, used = p->chunks_used;
    int64_t last[GW_BOOK_SIDES] = {INT64_MIN, INT64_MIN};
    bool rise[GW_BOOK_SIDES] = {true, true};
    if (seq <= b->head->seq || seq > GW_BOOK_SEQ_MAX) return GW_BOOK_SEQ_OLD;
    for (uint32_t i = 0; i < w->count; i++) {
        const gw_book_row_t *r = &w->rows[i];
        const bool comes = (r->qty != 0 || r->qty_high != 0) && r->kind != GW_BOOK_UPD; /* gw_book_rows_differ */
        inserts[r->side] += comes;
        rise[r->side] &= !comes || r->key >= last[r->side];
        if (comes) last[r->side] = r->key;
        wides += (r->digits & GW_BOOK_WIDE) != 0;
    }
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        uint64_t chunks = anew ? 0 : b->head->chunks[side], k = inserts[side], levels = (anew ? 0 : b->head->levels[side]) + k;
        uint64_t most = chunks_more(chunks, k, rise[side]);
        used -= anew ? b->head->chunks[side] : 0;
        if (chunks + most > p->sizes.side_chunks) return GW_BOOK_SIDE_FULL;
        splits += most;
        if (b->depth != 0 && levels > b->depth) evictions += levels - b->depth;
    }
    if (splits > p->sizes.chunks - used) return GW_BOOK_POOL_FULL;
    if (wides > p->sizes.wides - p->wides_used) return GW_BOOK_WIDES_FULL;
    return gw_book_work_room(w, w->count + evictions) ? GW_BOOK_FINE : GW_BOOK_NO_MEMORY;
}

static void rescale(gw_book_t *b, const gw_book_work_t *w) {
    int64_t factor = gw_book_power(w->scale - gw_book_scale(b));
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) gw_book_side_rescale(b, side, factor);
    shape_store(b, w->scale);
}

/* Takes what is worse than the venue's depth out; rows of this message that are gone with it become what they now are. */
static void evict(gw_book_t *b, gw_book_work_t *w, uint64_t seq) {
    uint32_t applied = w->count;
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        if (b->head->levels[side] <= b->depth) continue;
        while (b->head->levels[side] > b->depth) {
            uint64_t last;
            gw_book_side_evict(b, side, &w->rows[w->count], &last);
            w->count += last != seq; /* else it has a row */
        }
        int64_t worst = gw_book_side_worst(b, side, b->depth);
        for (uint32_t i = 0; i < applied; i++) {
            gw_book_row_t *r = &w->rows[i];
            if (r->side != side || r->key >= worst || r->kind == GW_BOOK_DEL || r->kind == GW_BOOK_KEPT) continue;
            r->kind = r->kind == GW_BOOK_INS ? GW_BOOK_KEPT : GW_BOOK_DEL;
            gw_book_row_gone(r);
        }
    }
}

/* Leaves what changed in the rows, and in the log where the book was not empty before, or at another scale. */
static void tell(gw_book_t *b, gw_book_work_t *w, uint64_t seq) {
    bool fresh = b->head->seq == 0;
    int64_t best[GW_BOOK_SIDES] = {0, 0};
    bool touched[GW_BOOK_SIDES] = {false, false};
    uint32_t to = 0;
    gw_book_log_grow(&b->log, b->head->levels[GW_BOOK_BID] + b->head->levels[GW_BOOK_ASK]);
    for (uint32_t i = 0; i < w->count; i++) {
        const gw_book_row_t *r = &w->rows[i];
        if (r->kind == GW_BOOK_KEPT) continue;
        if (!touched[r->side] || r->key > best[r->side]) best[r->side] = r->key;
        touched[r->side] = true;
        gw_book_log_put(&b->log, r, seq);
        w->rows[to++] = *r;
    }
    w->count = to;
    if (to == 0 && !w->reset) return;
    if (fresh || w->reset) gw_book_log_clear(&b->log, seq);
    GW_STORE_RELAXED(&b->head->seq, seq);
    gw_book_windows_follow(b, best, touched, w->reset);
}

/* Applies the rows. */
static gw_book_refusal_t change(gw_book_t *b, gw_book_work_t *w, uint64_t seq) {
    gw_book_refusal_t refusal = room_check(b, w, seq, false);
    if (refusal != GW_BOOK_FINE) return refusal;
    write_begin(b->head);
    if (w->scale != gw_book_scale(b)) {
        w->reset = b->head->seq != 0;
        rescale(b, w);
    }
    for (uint32_t i = 0; i < w->count; i++) gw_book_side_set(b, &w->rows[i], seq);
    if (b->depth != 0) evict(b, w, seq);
    tell(b, w, seq);
    write_end(b->head);
    return GW_BOOK_FINE;
}

/* Makes the book what the rows say, at their scale. */
static gw_book_refusal_t begin_anew(gw_book_t *b, gw_book_work_t *w, uint64_t seq) {
    gw_book_refusal_t refusal = room_check(b, w, seq, true);
    if (refusal != GW_BOOK_FINE) return refusal;
    write_begin(b->head);
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) gw_book_side_clear(b, side);
    shape_store(b, w->scale);
    w->reset = b->head->seq != 0;
    uint32_t bids = 0;
    while (bids < w->count && w->rows[bids].side == GW_BOOK_BID) bids++;
    gw_book_side_fill(b, w->rows, bids, seq);
    gw_book_side_fill(b, w->rows + bids, w->count - bids, seq);
    tell(b, w, seq);
    write_end(b->head);
    return GW_BOOK_FINE;
}

gw_book_refusal_t gw_book_apply(gw_book_t *b, gw_book_work_t *w, uint64_t seq, const gw_book_level_t *levels,
                                uint32_t count) {
    gw_book_refusal_t refusal = gw_book_rows_take(b, w, levels, count);
    if (refusal == GW_BOOK_FINE) refusal = change(b, w, seq);
    if (refusal != GW_BOOK_FINE) w->count = 0;
    return refusal;
}

gw_book_refusal_t gw_book_take(gw_book_t *b, gw_book_work_t *w, uint64_t seq, unsigned scale, const gw_book_row_t *rows,
                               uint32_t count) {
    gw_book_refusal_t refusal = gw_book_rows_given(b, w, scale, rows, count);
    if (refusal == GW_BOOK_FINE) refusal = change(b, w, seq);
    if (refusal != GW_BOOK_FINE) w->count = 0;
    return refusal;
}

gw_book_refusal_t gw_book_replace(gw_book_t *b, gw_book_work_t *w, uint64_t seq, const gw_book_level_t *levels,
                                  uint32_t count) {
    gw_book_refusal_t refusal = gw_book_rows_take(b, w, levels, count);
    const bool anew = refusal == GW_BOOK_PRICE_WIDE;
    if (anew) refusal = gw_book_rows_anew(b, w, levels, count);
    else if (refusal == GW_BOOK_FINE) refusal = gw_book_rows_differ(b, w);
    if (refusal == GW_BOOK_FINE) refusal = anew ? begin_anew(b, w, seq) : change(b, w, seq);
    if (refusal != GW_BOOK_FINE) w->count = 0;
    return refusal;
}

gw_book_refusal_t gw_book_follow(gw_book_t *b, gw_book_work_t *w, const gw_book_copy_t *copy) {
    gw_book_refusal_t refusal = gw_book_rows_copy(b, w, copy);
    if (refusal == GW_BOOK_FINE && copy->seq == b->head->seq) {
        w->count = 0;
        return GW_BOOK_FINE;
    }
    /* The same keys as the book that is copied, so that its records go on from there. */
    const bool finer = copy->scale < gw_book_scale(b), empty = b->head->seq == 0 && copy->seq > 0;
    const bool anew = refusal == GW_BOOK_PRICE_WIDE || (refusal == GW_BOOK_FINE && (finer || empty));
    if (anew) refusal = gw_book_rows_copy_anew(b, w, copy);
    else if (refusal == GW_BOOK_FINE) refusal = gw_book_rows_differ(b, w);
    if (refusal == GW_BOOK_FINE) refusal = anew ? begin_anew(b, w, copy->seq) : change(b, w, copy->seq);
    if (!anew && (refusal == GW_BOOK_SIDE_FULL || refusal == GW_BOOK_POOL_FULL)) { /* the difference may: what it comes to fits */
        refusal = gw_book_rows_copy_anew(b, w, copy);
        if (refusal == GW_BOOK_FINE) refusal = begin_anew(b, w, copy->seq);
    }
    if (refusal != GW_BOOK_FINE) w->count = 0;
    else if (b->head->seq < copy->seq) refusal = gw_book_advance(b, copy->seq);
    return refusal;
}

gw_book_refusal_t gw_book_advance(gw_book_t *b, uint64_t seq) {
    if (seq <= b->head->seq || seq > GW_BOOK_SEQ_MAX) return GW_BOOK_SEQ_OLD;
    write_begin(b->head);
    GW_STORE_RELAXED(&b->head->seq, seq);
    write_end(b->head);
    return GW_BOOK_FINE;
}
