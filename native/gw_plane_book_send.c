/* A link's mark, rendered: what its client misses of its book.
 *
 * Clients that are at the same place share its bytes (gw_plane_book_frame.c). Where a client is moves when the frame leaves, in
 * whole or cut; one that has all then is abreast, and gets what comes by its queue.
 *
 * **Parts.** What would be longer than GW_BOOK_FRAME_MAX is told as a state in parts, one a visit, of a state that was frozen
 * (gw_plane_book_freeze.c). What comes meanwhile is told afterwards, from there on. */
#include "gw_plane_internal.h"
#include <errno.h>


static uint64_t skipped(uint64_t wanted, uint64_t seq) { return wanted ? seq - wanted : 0; }

/* --- states in parts ------------------------------------------------------------------------------ */

/* The next part of what the link is being sent. */
static size_t part_render(gw_plane_t *p, gw_link_t *l, gw_book_sent_t *sent, uint8_t *out) {
    const gw_book_link_t *b = l->book;
    gw_book_frozen_t *f = b->frozen;
    const gw_audience_t *a = gw_link_audience(l);
    const uint32_t depth = gw_book_depths[a->variant];
    gw_book_view_t view = gw_book_view(&f->record, depth);
    view.rows = p->books.rows;
    view.scale = f->still.scale;
    const uint32_t parts = f->parts[gw_book_is_binary(p, a)][a->variant];
    if (parts > 1) { /* else the book became small enough before it was held */
        view.part = b->part + 1;
        view.parts = parts;
    }
    view.checksum = f->checksum;
    view.summed = b->part + 1 >= parts;
    sent->rows = gw_book_part_rows(p, f, a, b->row);
    for (uint32_t i = 0; i < sent->rows; i++) view.count[p->books.rows[i].side]++;
    sent->what = view.summed ? GW_BOOK_SENT_LAST : GW_BOOK_SENT_PART;
    if (view.summed) sent->at = (gw_book_at_t){f->still.seq, {f->worst[a->variant][0], f->worst[a->variant][1]}};
    uint8_t header;
    return gw_book_encode(p, l->topic, a, GW_ENCODE_SNAPSHOT, &f->record, &view, skipped(b->wants, f->still.seq), out, &header);
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

static int wait(gw_plane_t *p, gw_link_t *l) {
    gw_link_park(l);
    gw_book_wait_begin(p, l->book);
    return 0;
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
            if (!(b->frozen = gw_book_freeze(p, x, gw_link_audience(l)->variant))) return wait(p, l);
            b->frozen->users++;
            l->client->frozen++;
            b->row = b->part = 0;
            b->wants = wants(l, at);
        }
    }
    *length = 0;
    if (b->frozen && !gw_book_frozen_ask(p, b->frozen, gw_link_audience(l))) return wait(p, l);
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
