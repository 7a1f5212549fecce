/* States of books that are sent in parts. One is frozen when its first part is to be rendered, and shared by all links that
 * want the book at this seq; there are GW_BOOK_FROZEN, and who finds none waits.
 *
 * A book may have many levels. So a state is copied in steps (gw_book_still.h), and its parts, of which each says how many there
 * are, are counted in steps: GW_BOOK_FREEZE_LEVELS levels' work a cycle, for all states together. Small books are done at
 * once; those who want one that is not done wait, and their marks with them. Until the state is held what comes is in it;
 * what comes after is told behind its last part. */
#include "gw_plane_internal.h"
#include "gw_sbe_book.h"
#include <string.h>

/* --- parts ----------------------------------------------------------------------------------------- */

/* Rows of the state from one on, as many as there is room for: bids, then asks, the best first. */
static uint32_t rows_take(const gw_book_frozen_t *f, uint32_t depth, uint32_t from, const gw_book_frame_t *room) {
    const uint32_t *levels = f->still.levels, most = depth ? depth : UINT32_MAX;
    const uint32_t bids = levels[GW_BOOK_BID] < most ? levels[GW_BOOK_BID] : most;
    const uint32_t asks = levels[GW_BOOK_ASK] < most ? levels[GW_BOOK_ASK] : most;
    uint32_t n = 0;
    for (; n < room->room && from + n < bids + asks; n++) {
        const uint32_t at = from + n;
        room->rows[n] = f->still.rows[at < bids ? at : levels[GW_BOOK_BID] + at - bids];
    }
    return n;
}

static uint32_t rows_fit(const gw_book_frozen_t *f, const gw_book_frame_t *room, uint32_t n) {
    if (room->fit) return room->fit(room->rows, n, room->bytes);
    return gw_book_rows_fit(room->rows, n, f->still.scale, room->around, room->bytes);
}

/* The rows of the part that begins with that one, at p->books.rows; how many. */
uint32_t gw_book_part_rows(const gw_plane_t *p, const gw_book_frozen_t *f, const gw_audience_t *a, uint32_t from) {
    const gw_book_frame_t room = gw_book_frame_room(p, a);
    return rows_fit(f, &room, rows_take(f, gw_book_depths[a->variant], from, &room));
}

/* --- steps ----------------------------------------------------------------------------------------- */

static void spend(gw_plane_t *p, uint32_t n) { p->books.freeze_left -= n < p->books.freeze_left ? n : p->books.freeze_left; }

static void worst_take(gw_book_frozen_t *f, unsigned variant) {
    memcpy(f->worst[variant], f->of->book.windows[variant].worst, sizeof f->worst[variant]);
}

/* What else a state's frames say: as the book is at this moment. */
static void hold(gw_book_frozen_t *f) {
    gw_book_t *b = &f->of->book;
    f->record = *f->of->topic->state;
    f->checksum = gw_book_sum(b, &f->of->sum, GW_BOOK_SUM_LEVELS);
    for (unsigned i = 0; i < GW_BOOK_DEPTHS; i++) worst_take(f, i);
}

static void copy(gw_plane_t *p, gw_book_frozen_t *f) {
    while (!f->still.whole && p->books.freeze_left) {
        const int held = f->still.seq != 0;
        if (!held && !f->of->live) return; /* it will be, or its links go */
        const uint32_t took = gw_book_still_step(&f->still, &f->of->book, p->books.freeze_left);
        if (!took) return; /* no memory now */
        if (!held && f->still.seq) hold(f);
        spend(p, took);
    }
}

/* One part more of those of a kind of frames and a depth. */
static void count_step(gw_plane_t *p, gw_book_frozen_t *f, int binary, unsigned variant) {
    const gw_book_frame_t room = {.rows = p->books.rows, .room = GW_BOOK_PART_ROWS, .around = GW_BOOK_AROUND,
                                  .bytes = GW_BOOK_LEVELS_BYTES, .fit = binary ? gw_sbe_book_fit : NULL};
    const uint32_t n = rows_fit(f, &room, rows_take(f, gw_book_depths[variant], f->row[binary][variant], &room));
    f->row[binary][variant] += n;
    f->parts[binary][variant] += n > 0;
    if (!n) f->counted[binary] |= (uint8_t)(1u << variant);
    spend(p, n + 1);
}

static void count(gw_plane_t *p, gw_book_frozen_t *f) {
    for (int binary = 0; binary < 2; binary++)
        for (unsigned variant = 0; variant < GW_BOOK_DEPTHS; variant++)
            while (p->books.freeze_left && (f->asked[binary] & ~f->counted[binary]) >> variant & 1) count_step(p, f, binary, variant);
}

static int pending(const gw_book_frozen_t *f) {
    return !f->still.whole || f->asked[0] & ~f->counted[0] || f->asked[1] & ~f->counted[1];
}

static void work(gw_plane_t *p, gw_book_frozen_t *f) {
    copy(p, f);
    if (f->still.whole) count(p, f);
}

/* --- who asks -------------------------------------------------------------------------------------- */

/* For a link of that variant, whose window may have begun after the state was held: it is the book's all the same. */
gw_book_frozen_t *gw_book_freeze(gw_plane_t *p, gw_plane_book_t *x, unsigned variant) {
    gw_book_frozen_t *found = NULL;
    for (gw_book_frozen_t *f = p->books.frozen; f < p->books.frozen + GW_BOOK_FROZEN; f++) {
        if (f->of == x && f->still.seq == gw_book_seq(&x->book)) worst_take(f, variant);
        if (f->of == x && (!f->still.seq || f->still.seq == gw_book_seq(&x->book))) return f;
        if (!f->of) found = f;
    }
    if (found) found->of = x;
    return found;
}

int gw_book_frozen_ask(gw_plane_t *p, gw_book_frozen_t *f, const gw_audience_t *a) {
    const int binary = gw_book_is_binary(p, a);
    f->asked[binary] |= (uint8_t)(1u << a->variant);
    if (!(f->counted[binary] >> a->variant & 1)) work(p, f);
    return f->counted[binary] >> a->variant & 1;
}

/* The first of those who wait try again, some in a cycle; how many. */
static uint32_t wake(gw_plane_t *p, gw_book_waiters_t *w, uint32_t most) {
    uint32_t woken = 0;
    for (; w->first && woken < most; woken++) {
        gw_link_t *l = w->first->link;
        gw_book_wait_end(p, w->first);
        gw_link_unpark(p, l);
    }
    return woken;
}

int gw_books_freeze(gw_plane_t *p) {
    gw_plane_books_t *s = &p->books;
    uint32_t woken = 0;
    int is_free = 0, did = 0;
    for (gw_book_frozen_t *f = s->frozen; f < s->frozen + GW_BOOK_FROZEN; f++) {
        is_free |= !f->of;
        if (!f->of || !f->waiting.first) continue;
        if (pending(f)) {
            did |= f->still.seq || f->of->live;
            work(p, f);
        }
        if (!pending(f)) woken += wake(p, &f->waiting, GW_BOOK_WOKEN - woken);
    }
    if (is_free) woken += wake(p, &s->waiting, GW_BOOK_WOKEN - woken); /* each may find one that others have frozen */
    return did || woken;
}
