/* Marks in a visit: rendered behind its frames, and what becomes of them as they leave. */
#include "gw_plane_internal.h"
#include "gw_secure.h"
#include "gw_visit.h"
#include <string.h>

/* A mark: the topic's state, and what is owed: behind it, or where the topic has come back with records, in front. False:
 * its state cannot be told yet, and it stands in no list any more. */
static int render(gw_plane_t *p, gw_link_t *l, uint8_t *out, gw_rendered_t *r) {
    const gw_topic_t *t = l->topic;
    const int whole_states = l->client->level == GW_LEVELS - 1; /* marks of before it went there among them */
    size_t length = 0, state = 0, behind = 0;
    r->book.what = GW_BOOK_SENT_NONE;
    for (unsigned before = l->owes - (l->owes && !t->seq); before; before--)
        length += gw_link_notice_encode(p, l, GW_NOTICE_RETIRED, out + length);
    int encode = l->dirty == GW_LINK_UPDATE && !whole_states ? GW_ENCODE_UPDATE : GW_ENCODE_SNAPSHOT;
    if (l->book && l->dirty != GW_LINK_NOTICE) {
        if (!gw_book_mark_render(p, l, &r->book, out + length, &state)) return 0;
    } else if (l->dirty != GW_LINK_NOTICE) state = gw_topic_render(p, l, encode, out + length);
    length += state;
    /* Whether the state is to be trusted: not of a part, nor of what is not told. */
    if (t->suspect && r->book.what != GW_BOOK_SENT_PART && r->book.what != GW_BOOK_SENT_NOTHING)
        behind = gw_link_notice_encode(p, l, GW_NOTICE_REFUSED, out + length);
    if (l->owes && !t->seq) behind += gw_link_notice_encode(p, l, GW_NOTICE_RETIRED, out + length + behind);
    r->link = l;
    r->length = (uint32_t)(length + behind);
    r->behind = (uint32_t)behind;
    return 1;
}

/* Marks rendered behind what the scratch has, but those that are too old. */
GW_APART size_t gw_gather_marks(gw_plane_t *p, gw_client_t *c, gw_gather_t *g, size_t used) {
    const size_t room = g->room < GW_ROOM_BULK ? GW_ROOM_BULK : g->room; /* any one fits */
    uint32_t looks = 0;
    for (gw_link_t *l = c->marks.first, *next; l && looks < GW_RENDERED_MAX; looks++, l = next) {
        next = l->dirty_next;
        if (gw_link_withhold(p, l)) continue;
        /* Over TLS all of a visit is one record, where it can be. */
        if (used + gw_topic_render_max(p, l->topic, gw_link_audience(l)) > (c->secure && used ? g->room : room)) break;
        if (render(p, l, p->scratch + used, &g->rendered[g->rendered_count]))
            used += g->rendered[g->rendered_count++].length;
    }
    return used;
}

/* Keeps the rest of a frame of which `sent` bytes left. Without memory the client can't be kept whole. */
int gw_rest_keep(gw_client_t *c, const uint8_t *bytes, uint32_t length, uint32_t sent) {
    c->rest.bytes = malloc(length - sent);
    if (!c->rest.bytes) return -ENOMEM;
    memcpy(c->rest.bytes, bytes + sent, length - sent);
    c->flags |= GW_CLIENT_MORE;
    c->rest.length = length - sent;
    c->rest.sent = 0;
    return 0;
}

int gw_consume_marks(gw_plane_t *p, gw_client_t *c, const gw_gather_t *g, size_t bytes, int sealed) {
    const uint8_t *at = g->count ? g->parts[g->count - 1].iov_base : NULL;
    size_t gathered = g->count ? g->parts[g->count - 1].iov_len : 0, rendered = 0;
    for (uint32_t i = 0; i < g->rendered_count; i++) rendered += g->rendered[i].length;
    if (at) at += gathered - rendered;
    for (uint32_t i = 0; i < g->rendered_count && (bytes || !g->rendered[i].length); i++) {
        gw_link_t *l = g->rendered[i].link;
        uint32_t length = g->rendered[i].length;
        const int state = length - g->rendered[i].behind <= bytes;
        int counts = gw_link_pends(l), snapshot = l->dirty == GW_LINK_SNAPSHOT;
        const gw_book_sent_t *book = &g->rendered[i].book;
        const int done = !book->what || gw_book_mark_sent(p, l, book, &counts, &snapshot);
        const uint8_t paced = l->topic->state->h.flags & GW_FLAG_PACED ? GW_FRAME_PACED : 0;
        if (length > bytes) {
            if (gw_rest_keep(c, at, length, (uint32_t)bytes)) return -ENOMEM;
            c->rest.recv_ns = l->dirty_recv_ns;
            c->rest.taken_ns = l->dirty_taken_ns;
            c->rest.link = counts && !state ? l : NULL;
            c->rest.channel = l->topic->channel;
            c->rest.priority = l->priority;
            c->rest.flags = state ? GW_FRAME_NOTICE : counts ? paced : snapshot ? GW_FRAME_SNAPSHOT : GW_FRAME_NOTICE;
            c->rest.counts = (uint8_t)(counts && !state);
            length = (uint32_t)bytes;
        }
        if (sealed && state) { /* counted when its record has left */
            const gw_stub_t stub = {l->dirty_recv_ns, l->dirty_taken_ns, counts ? l : NULL, l->topic->channel,
                                    counts ? paced : snapshot ? GW_FRAME_SNAPSHOT : GW_FRAME_NOTICE, (uint8_t)counts,
                                    l->priority};
            if (gw_secure_stub(c, &stub)) return -ENOMEM;
        } else if (state && counts) gw_delivered(p, l->topic->channel, l->priority, paced, l->dirty_recv_ns, l->dirty_taken_ns);
        else if (state && snapshot) gw_count(&p->stats->snapshots[l->topic->channel], 1);
        if (l->unannounced && l->dirty != GW_LINK_NOTICE && book->what != GW_BOOK_SENT_NOTHING) gw_link_announced(l, 1); /* what was cut follows */
        if (paced) gw_local_sent(l);
        if (done && book->what == GW_BOOK_SENT_NOTHING) gw_link_clean(p, l);
        else if (done) gw_link_sent(p, l);
        else if (book->what == GW_BOOK_SENT_LAST) gw_link_again(p, l);
        if (done && l->book) gw_book_link_catch_up(p, l);
        at += g->rendered[i].length;
        bytes -= length;
    }
    return 0;
}
