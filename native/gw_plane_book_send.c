/* A link's mark, rendered: what its client misses of its book.
 *
 * Clients that are at the same place share its bytes (gw_plane_book_frame.c). Where a client is moves when the frame leaves, in
 * whole or cut; one that has all then is abreast, and gets what comes by its queue.
 *
 * **Parts.** What would be longer than GW_BOOK_FRAME_MAX is told as a state in parts, one a visit. The state is frozen
 * when the first one is rendered, and shared by all links that want the book at this seq; there are GW_BOOK_FROZEN, and
 * who finds none waits. What comes meanwhile is told afterwards, from the frozen state on. */
#include "gw_plane_internal.h"
#include <errno.h>

static uint64_t skipped(uint64_t wanted, uint64_t seq) { return wanted ? seq - wanted : 0; }

/* --- states in parts ------------------------------------------------------------------------------ */

/* Rows of the state from one on, as many as there is room for: bids, then asks, the best first. */
static uint32_t frozen_rows(const gw_book_frozen_t *f, uint32_t depth, uint32_t from, const gw_book_frame_t *room) {
    const uint32_t most = depth ? depth : UINT32_MAX;
    const uint32_t bids = f->levels[GW_BOOK_BID] < most ? f->levels[GW_BOOK_BID] : most;
    const uint32_t asks = f->levels[GW_BOOK_ASK] < most ? f->levels[GW_BOOK_ASK] : most;
    uint32_t n = 0;
    for (; n < room->room && from + n < bids + asks; n++) {
        const uint32_t at = from + n;
        const uint32_t end = at < bids ? f->levels[GW_BOOK_BID] : f->copy.count;
        room->rows[n] = f->copy.rows[end - 1 - (at < bids ? at : at - bids)];
    }
    return n;
}

static uint32_t part_rows(const gw_plane_t *p, const gw_book_frozen_t *f, const gw_audience_t *a, uint32_t from) {
    const gw_book_frame_t room = gw_book_frame_room(p, a);
    const uint32_t n = frozen_rows(f, gw_book_depths[a->variant], from, &room);
    if (room.fit) return room.fit(room.rows, n, room.bytes);
    return gw_book_rows_fit(room.rows, n, f->copy.scale, room.around, room.bytes);
}

/* How many there are, counted once for a depth: 20 ns a level. */
static uint32_t parts_count(const gw_plane_t *p, gw_book_frozen_t *f, const gw_audience_t *a) {
    uint32_t *parts = &f->parts[gw_book_is_binary(p, a)][a->variant];
    if (*parts) return *parts;
    for (uint32_t from = 0, n; (n = part_rows(p, f, a, from)); from += n) ++*parts;
    return *parts;
}

static int frozen_fill(gw_plane_book_t *x, gw_book_frozen_t *f) {
    gw_book_t *b = &x->book;
    const uint32_t count = gw_book_levels(b, GW_BOOK_BID) + gw_book_levels(b, GW_BOOK_ASK);
    *f = (gw_book_frozen_t){.copy = {.rows = malloc(count * sizeof(gw_book_row_t)), .room = count}};
    if (!f->copy.rows || gw_book_copy(b->pool, b->number, &f->copy)) return -ENOMEM;
    f->of = x;
    f->record = *x->topic->state;
    f->checksum = gw_book_sum(b, &x->sum, GW_BOOK_SUM_LEVELS);
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        f->levels[side] = gw_book_levels(b, side);
        for (unsigned i = 0; i < GW_BOOK_DEPTHS; i++) f->worst[i][side] = b->windows[i].worst[side];
    }
    return 0;
}

/* The book as it is now, frozen; NULL: none is free. */
static gw_book_frozen_t *freeze(gw_plane_t *p, gw_plane_book_t *x) {
    gw_book_frozen_t *found = NULL;
    for (gw_book_frozen_t *f = p->books.frozen; f < p->books.frozen + GW_BOOK_FROZEN; f++) {
        if (f->of == x && f->copy.seq == gw_book_seq(&x->book)) return f;
        if (!f->of) found = f;
    }
    if (!found || !frozen_fill(x, found)) return found;
    free(found->copy.rows);
    *found = (gw_book_frozen_t){0};
    return NULL;
}

/* The next part of what the link is being sent. */
static size_t part_render(gw_plane_t *p, gw_link_t *l, gw_book_sent_t *sent, uint8_t *out) {
    const gw_book_link_t *b = l->book;
    gw_book_frozen_t *f = b->frozen;
    const gw_audience_t *a = gw_link_audience(l);
    const uint32_t depth = gw_book_depths[a->variant];
    const uint32_t parts = parts_count(p, f, a);
    gw_book_view_t view = gw_book_view(&f->record, depth);
    view.rows = p->books.rows;
    view.scale = f->copy.scale;
    view.part = b->part + 1;
    view.parts = parts;
    view.checksum = f->checksum;
    view.summed = view.part == view.parts;
    sent->rows = part_rows(p, f, a, b->row);
    for (uint32_t i = 0; i < sent->rows; i++) view.count[p->books.rows[i].side]++;
    sent->what = view.summed ? GW_BOOK_SENT_LAST : GW_BOOK_SENT_PART;
    if (view.summed) sent->at = (gw_book_at_t){f->copy.seq, {f->worst[a->variant][0], f->worst[a->variant][1]}};
    uint8_t header;
    return gw_book_encode(p, l->topic, a, GW_ENCODE_SNAPSHOT, &f->record, &view, skipped(b->wants, f->copy.seq), out, &header);
}

/* --- marks ---------------------------------------------------------------------------------------- */

/* The seq that its client wants next, being at `at`; 0: any. */
static uint64_t wants(const gw_link_t *l, gw_book_at_t at) {
    if (at.since) return at.since + 1;
    return l->dirty == GW_LINK_SNAPSHOT ? 0 : l->book->awaited;
}

/* A frame from where the link is to where the book is; its type. */
static uint8_t whole_render(gw_plane_t *p, gw_link_t *l, gw_book_at_t at, gw_book_sent_t *sent, uint8_t *out,
                            size_t *length) {
    gw_topic_t *t = l->topic;
    gw_audience_t *a = gw_link_audience(l);
    const gw_book_window_t *w = &t->book->book.windows[a->variant];
    sent->at = at;
    if (at.since && at.since >= w->changed) return GW_BOOK_NOTHING;
    const gw_book_shared_t *s = gw_book_shared(p, t, a, at);
    if (!gw_book_is_frame(s->type)) return s->type;
    *length = gw_book_shared_copy(p, t, s, skipped(wants(l, at), t->seq), out);
    sent->at = (gw_book_at_t){t->seq, {w->worst[GW_BOOK_BID], w->worst[GW_BOOK_ASK]}};
    return s->type;
}

/* The state of a book's link as a frame at `out` (gw_topic_render_max bytes). 0: it cannot be told yet, and its mark stands
 * in no list any more. */
int gw_book_mark_render(gw_plane_t *p, gw_link_t *l, gw_book_sent_t *sent, uint8_t *out, size_t *length) {
    gw_book_link_t *b = l->book;
    gw_plane_book_t *x = l->topic->book;
    size_t front = l->unannounced ? gw_link_notice_encode(p, l, GW_NOTICE_TOPIC, out) : 0, state = 0;
    if (!b->frozen) {
        if (!x->live) {
            gw_link_park(l);
            return 0;
        }
        const gw_book_at_t at = l->dirty == GW_LINK_SNAPSHOT ? (gw_book_at_t){0} : b->at;
        const uint8_t type = whole_render(p, l, at, sent, out + front, &state);
        sent->what = type == GW_BOOK_NOTHING ? GW_BOOK_SENT_NOTHING : GW_BOOK_SENT_WHOLE;
        if (type == GW_BOOK_PARTS) {
            if (!(b->frozen = freeze(p, x))) {
                gw_link_park(l);
                gw_book_wait_begin(p, b);
                return 0;
            }
            b->frozen->users++;
            b->row = b->part = 0;
            b->wants = wants(l, at);
        }
    }
    *length = 0;
    if (b->frozen) state = part_render(p, l, sent, out + front);
    if (sent->what == GW_BOOK_SENT_NOTHING) return 1;
    *length = front + state;
    return 1;
}

/* What was rendered of the mark has left, or the rest of it will: says what that was in the account. Whether the mark is
 * done. */
int gw_book_mark_sent(gw_plane_t *p, gw_link_t *l, const gw_book_sent_t *sent, int *counts, int *snapshot) {
    gw_book_link_t *b = l->book;
    switch (sent->what) {
    case GW_BOOK_SENT_NOTHING:
        if (*counts) gw_link_filter(p, l);
        *counts = *snapshot = 0;
        return 1;
    case GW_BOOK_SENT_PART:
        b->row += sent->rows;
        b->part++;
        *counts = *snapshot = 0;
        return 0;
    case GW_BOOK_SENT_LAST:
        b->at = sent->at;
        gw_book_thaw(b);
        if (!b->late) return 1;
        b->late = 0; /* what the mark stands for is yet to come: this was the state before it */
        *counts = 0;
        *snapshot = 1;
        return 0;
    default: b->at = sent->at; return 1;
    }
}
