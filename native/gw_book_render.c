/* From where a client is to where the book is.
 *
 * The client has the best N levels of each side as they were at seq `since`, of which `worst` was the last. Let w be that
 * key. A level of today's window that it lacks either changed since (its seq says so), or was there and was worse than
 * w; one that it has and that is gone was not worse than w, and the log has it. So an update is
 *
 *   deletions   of keys not worse than w whose last change since then is DEL, and whose first was not INS: those never
 *               were the client's
 *   levels      of today's window with a seq above `since`, or a key worse than w
 *
 * in this order, so that a client that cuts to N after each level never cuts one that it needs. Levels that fell out of
 * the window by better ones are not told: the client cuts them as well. w is +infinity where the side was empty: then all
 * is worse.
 *
 * **Cost.** Up to 64 levels are looked at one by one. Deeper, the levels that changed are those of the log, and those
 * worse than w are walked. Beyond 8 N changes, at least 128 and at most GW_BOOK_ENTRIES_MAX, a snapshot costs less; so
 * it does where the log no longer has them, or begins anew as the scale has changed. A window knows when it changed
 * last. So a change that is deeper costs its links nothing: a link that has the window's newest change gets nothing, and
 * one that had all before that one is looked at from there. */
#include "gw_book_render.h"
#include "gw_book_internal.h"
#include "gw_book_text.h"

#define INSERTION_MAX 16u
#define HAD_SHIFT 8
#define KIND_MASK 3u
#define ROW_TEXT_MAX (GW_BOOK_PRICE_TEXT_MAX + GW_BOOK_QTY_TEXT_MAX)

typedef struct {
    const gw_book_t *book;
    gw_book_frame_t *frame;
    gw_book_work_t *work;
    uint32_t depth, put;
    uint64_t since;
} render_t;

static bool row_put(render_t *r, const gw_book_row_t *row, uint8_t kind) {
    if (r->put == r->frame->room) return false;
    r->frame->rows[r->put] = *row;
    r->frame->rows[r->put++].kind = kind;
    return true;
}

/* --- the log's changes ----------------------------------------------------------------------- */

/* Best first, and of one key the oldest first. */
static bool change_before(const gw_book_change_t *a, const gw_book_change_t *b) { return a->key > b->key; }

static void changes_insert(gw_book_change_t *c, uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        gw_book_change_t x = c[i];
        uint32_t k = i;
        for (; k > 0 && change_before(&x, &c[k - 1]); k--) c[k] = c[k - 1];
        c[k] = x;
    }
}

/* Sorts entries; equal keys keep their order. */
static void changes_sort(gw_book_work_t *w, uint32_t n) {
    for (uint32_t at = 0; at < n; at += INSERTION_MAX)
        changes_insert(w->entries + at, n - at < INSERTION_MAX ? n - at : INSERTION_MAX);
    for (uint32_t run = INSERTION_MAX; run < n; run *= 2) {
        for (uint32_t start = 0; start < n; start += 2 * run) {
            uint32_t middle = start + run < n ? start + run : n, end = start + 2 * run < n ? start + 2 * run : n;
            uint32_t i = start, j = middle;
            for (uint32_t to = start; to < end; to++) {
                bool second = i == middle || (j < end && change_before(&w->entries[j], &w->entries[i]));
                w->entries_spare[to] = w->entries[second ? j++ : i++];
            }
        }
        gw_book_change_t *entries = w->entries;
        w->entries = w->entries_spare;
        w->entries_spare = entries;
    }
}

/* Makes one entry of each price that changed: those whose level is there are GW_BOOK_UPD, those that the client has to
 * delete GW_BOOK_DEL, with the decimals that the client has seen; how many. */
static uint32_t changes_gather(render_t *r, unsigned side, int64_t worst) {
    const gw_book_log_t *log = &r->book->log;
    gw_book_change_t *entries = r->work->entries;
    uint32_t n = 0, to = 0;
    for (uint64_t i = gw_book_log_from(log, r->since); i < log->head; i++) {
        const gw_book_change_t *c = gw_book_log_at(log, i);
        if (gw_book_change_side(c) == side && c->key >= worst) entries[n++] = *c;
    }
    changes_sort(r->work, n);
    entries = r->work->entries;
    for (uint32_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && entries[end].key == entries[i].key;) end++;
        bool had = gw_book_change_kind(&entries[i]) != GW_BOOK_INS;
        bool there = gw_book_change_kind(&entries[end - 1]) != GW_BOOK_DEL;
        uint64_t what = there ? GW_BOOK_UPD : GW_BOOK_DEL | gw_book_change_had(&entries[i]) << HAD_SHIFT;
        if (there || had) entries[to++] = (gw_book_change_t){entries[i].key, what};
    }
    return to;
}

/* --- one side of an update ------------------------------------------------------------------- */

/* Levels of a window of at most GW_BOOK_SCAN_DEPTH, one by one. */
static bool levels_scan(render_t *r, unsigned side, int64_t worst) {
    gw_book_cursor_t cursor = gw_book_best(r->book, side);
    for (uint32_t left = r->depth; left > 0; left--) {
        uint32_t at = gw_book_next(&cursor);
        if (at == GW_BOOK_NONE) break;
        uint64_t seq = cursor.chunk[GW_BOOK_MARKS * GW_BOOK_CHUNK + at] & GW_BOOK_SEQ_MAX;
        if (seq <= r->since && (int64_t)cursor.chunk[at] >= worst) continue;
        gw_book_row_t row;
        gw_book_row(r->book, cursor.chunk, at, side, &row);
        if (!row_put(r, &row, GW_BOOK_UPD)) return false;
    }
    return true;
}

/* Levels of the log's groups, then those worse than what the client had. */
static bool levels_find(render_t *r, unsigned side, int64_t worst, int64_t today, uint32_t groups) {
    const gw_book_t *b = r->book;
    gw_book_row_t row;
    for (uint32_t i = 0; i < groups; i++) {
        const gw_book_change_t *c = &r->work->entries[i];
        if ((c->what & KIND_MASK) != GW_BOOK_UPD || c->key < today) continue;
        gw_book_spot_t spot = gw_book_side_find(b, side, c->key);
        if (!spot.there) continue;
        const gw_book_entry_t *entry = &b->directory[side][spot.entry];
        gw_book_row(b, gw_book_pool_chunk(b->pool, gw_book_entry_chunk(entry)), spot.at, side, &row);
        if (!row_put(r, &row, GW_BOOK_UPD)) return false;
    }
    gw_book_cursor_t cursor = gw_book_worse(b, side, worst);
    for (;;) {
        uint32_t at = gw_book_next(&cursor);
        if (at == GW_BOOK_NONE || (int64_t)cursor.chunk[at] < today) return true;
        gw_book_row(b, cursor.chunk, at, side, &row);
        if (!row_put(r, &row, GW_BOOK_UPD)) return false;
    }
}

/* False: there is no room. */
static bool side_update(render_t *r, unsigned side, int64_t worst, int64_t today) {
    uint32_t groups = changes_gather(r, side, worst), from = r->put;
    for (uint32_t i = 0; i < groups; i++) {
        const gw_book_change_t *c = &r->work->entries[i];
        if ((c->what & KIND_MASK) != GW_BOOK_DEL) continue;
        gw_book_row_t gone = {.key = c->key, .side = (uint8_t)side, .had = (uint8_t)(c->what >> HAD_SHIFT)};
        gw_book_row_gone(&gone);
        if (!row_put(r, &gone, GW_BOOK_DEL)) return false;
    }
    bool whole = r->depth <= GW_BOOK_SCAN_DEPTH ? levels_scan(r, side, worst) : levels_find(r, side, worst, today, groups);
    r->frame->count[side] = r->put - from;
    return whole;
}

/* Whether the rows' texts have room; few rows always have. */
static bool rows_fit(const render_t *r) {
    const gw_book_frame_t *f = r->frame;
    if (r->put <= f->bytes / (ROW_TEXT_MAX + f->around)) return true;
    if (f->fit) return f->fit(f->rows, r->put, f->bytes) == r->put;
    return gw_book_rows_fit(f->rows, r->put, gw_book_scale(r->book), f->around, f->bytes) == r->put;
}

/* --- frames ---------------------------------------------------------------------------------- */

static void snapshot(render_t *r) {
    gw_book_frame_t *f = r->frame;
    uint64_t needed = 0;
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        uint32_t levels = gw_book_levels(r->book, side);
        f->count[side] = levels < r->depth ? levels : r->depth;
        needed += f->count[side];
    }
    f->type = needed > f->room ? GW_BOOK_PARTS : GW_BOOK_SNAPSHOT;
    if (f->type == GW_BOOK_PARTS) return;
    r->put = 0;
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        gw_book_cursor_t cursor = gw_book_best(r->book, side);
        for (uint32_t left = f->count[side]; left > 0; left--) {
            uint32_t at = gw_book_next(&cursor);
            if (at == GW_BOOK_NONE) break;
            gw_book_row(r->book, cursor.chunk, at, side, &f->rows[r->put]);
            f->rows[r->put++].kind = GW_BOOK_UPD;
        }
    }
    if (!rows_fit(r)) f->type = GW_BOOK_PARTS;
}

/* Whether an update from `since` on can be told, and costs less than a snapshot. */
static bool update_pays(const render_t *r) {
    const gw_book_log_t *log = &r->book->log;
    if (log->capacity == 0 || r->since < log->floor) return false;
    uint64_t changes = log->head - gw_book_log_from(log, r->since);
    uint64_t most = (uint64_t)GW_BOOK_ENTRIES_PER_LEVEL * r->depth;
    if (most < GW_BOOK_ENTRIES_LEAST) most = GW_BOOK_ENTRIES_LEAST;
    return changes <= (most < GW_BOOK_ENTRIES_MAX ? most : GW_BOOK_ENTRIES_MAX);
}

void gw_book_render(const gw_book_t *book, const gw_book_window_t *window, gw_book_work_t *work, gw_book_at_t *at,
                    gw_book_frame_t *frame) {
    render_t r = {.book = book, .frame = frame, .work = work, .depth = window->depth, .since = at->since};
    frame->count[GW_BOOK_BID] = frame->count[GW_BOOK_ASK] = 0;
    frame->seq = book->head->seq;
    frame->skipped = at->since == 0 ? 0 : frame->seq - at->since - 1;
    frame->type = GW_BOOK_NOTHING;
    if (at->since != 0 && at->since >= window->changed) return;
    if (r.since != 0 && r.since >= window->before) r.since = window->changed - 1;
    bool told = at->since != 0 && update_pays(&r);
    for (unsigned side = 0; told && side < GW_BOOK_SIDES; side++)
        told = side_update(&r, side, at->worst[side], window->worst[side]);
    if (told && r.put == 0) return;
    told = told && rows_fit(&r);
    frame->type = GW_BOOK_UPDATE;
    if (!told) snapshot(&r);
    if (frame->type == GW_BOOK_PARTS) return;
    *at = (gw_book_at_t){frame->seq, {window->worst[GW_BOOK_BID], window->worst[GW_BOOK_ASK]}};
}

uint32_t gw_book_rows_fit(const gw_book_row_t *rows, uint32_t count, unsigned scale, size_t around, size_t bytes) {
    for (uint32_t i = 0; i < count; i++) {
        size_t size = gw_book_price_size(&rows[i], scale) + gw_book_qty_size(&rows[i]) + around;
        if (size > bytes) return i;
        bytes -= size;
    }
    return count;
}
