/* Links of books: what each client has, and its mark. A book is always conflated: what a mark tells is rendered when its socket
 * takes it, from where the client is to where the book is. So nothing of it that is under way could be wrong by then. Those who
 * are abreast have no marks (gw_plane_book.c). */
#include "gw_plane_internal.h"
#include <errno.h>
#include <string.h>

/* --- a topic's first link and its last ------------------------------------------------------------- */

int gw_book_link_make(gw_plane_t *p, gw_topic_t *t, gw_link_t *l) {
    if (gw_plane_books_open(p) || gw_plane_books_format(p, l->client->format)) return -ENOMEM;
    if (!(l->book = calloc(1, sizeof *l->book))) return -ENOMEM;
    l->book->link = l;
    if (t->book) {
        t->book->untold = 1;
        return 0;
    }
    gw_plane_book_t *x = calloc(1, sizeof *x);
    if (!x) return -ENOMEM;
    x->topic = t;
    t->book = x;
    if (t->seq) gw_plane_book_want(p, x);
    return 0;
}

void gw_book_link_end(gw_plane_t *p, gw_topic_t *t, gw_link_t *l) {
    free(l->book);
    l->book = NULL;
    if (t->links_count || !t->book) return;
    gw_plane_book_unwant(p, t->book);
    gw_plane_book_close(p, t->book);
    free(t->book);
    t->book = NULL;
}

void gw_book_link_join(gw_link_t *l) {
    gw_book_t *book = &l->topic->book->book;
    l->book->filtered_from = gw_link_audience(l)->filtered;
    gw_book_file_join(gw_link_audience(l), l);
    if (book->head) gw_book_window_hold(book, &book->windows[gw_link_audience(l)->variant]);
}

void gw_book_link_leave(gw_link_t *l) {
    gw_book_t *book = &l->topic->book->book;
    l->filtered = gw_link_filtered(l);
    gw_book_file_leave(gw_link_audience(l), l);
    if (book->head) gw_book_window_leave(&book->windows[gw_link_audience(l)->variant]);
}

void gw_book_link_forget(gw_plane_t *p, gw_link_t *l) {
    gw_book_link_t *b = l->book;
    gw_book_link_fall(l);
    b->late = 0; /* the mark that is there will tell all */
    const int waited = b->waits;
    gw_book_wait_end(p, b);
    if (b->frozen) gw_book_thaw(b);
    if (waited) gw_link_unpark(p, l);
    gw_book_link_nothing(b);
}

/* A change of the depth is answered by a snapshot, of what was marked already, too. */
void gw_book_link_vary(gw_plane_t *p, gw_link_t *l) {
    gw_book_link_forget(p, l);
    if (!l->topic->seq || l->epoch != p->epochs || l->client->flags & GW_CLIENT_DOOMED) return;
    if (!l->dirty) gw_link_dirty(p, l, GW_LINK_SNAPSHOT);
    if (!gw_link_pends(l)) return;
    gw_link_supersede(p, l);
    l->dirty = GW_LINK_SNAPSHOT;
    l->skipped = 0;
}

/* One that comes while a state is sent in parts is not in that: the mark will stand for it. */
static void take_late(gw_plane_t *p, gw_link_t *l, const gw_frame_t *f) {
    if (gw_link_pends(l)) gw_link_supersede(p, l);
    else gw_link_remark(l, GW_LINK_UPDATE, f->recv_ns, f->taken_ns);
    l->book->late = 1;
}

void gw_book_link_take(gw_plane_t *p, gw_link_t *l, const gw_frame_t *f) {
    gw_client_t *c = l->client;
    if (l->epoch != p->epochs) gw_link_renew(p, l);
    if (c->flags & GW_CLIENT_DOOMED) {
        gw_link_settle(p, l, gw_client_loss(p, c));
    } else if (gw_link_is_marked(l) && l->marked != GW_MARK_MOVED) {
        gw_link_settle_marked(p, l);
    } else if (l->dirty == GW_LINK_NOTICE) { /* the topic has come back */
        gw_link_remark(l, GW_LINK_UPDATE, f->recv_ns, f->taken_ns);
    } else if (l->dirty && l->book->frozen && l->book->frozen->still.seq) {
        take_late(p, l, f);
    } else if (l->dirty) {
        gw_link_supersede(p, l);
    } else if (c->flags & GW_CLIENT_WAITS) {
        gw_link_wait(p, l, GW_LINK_UPDATE, f->recv_ns, f->taken_ns);
    } else if (!(c->flags & GW_CLIENT_HOLDS) || !gw_link_hold(p, l, f)) {
        gw_link_remark(l, GW_LINK_UPDATE, f->recv_ns, f->taken_ns);
        gw_link_dirty(p, l, GW_LINK_UPDATE);
    }
}

/* --- the topic begins anew, or ends ------------------------------------------------------------------ */

/* Another origin counts: nothing of before is comparable. */
void gw_book_begin_anew(gw_plane_t *p, gw_topic_t *t) {
    for (uint32_t i = 0; i < t->audiences_count; i++)
        for (uint32_t k = 0; k < t->audiences[i].count; k++) gw_book_link_forget(p, t->audiences[i].links[k].link);
    gw_plane_book_close(p, t->book);
    memset(t->book->ids, 0, sizeof t->book->ids);
    memset(t->book->shared, 0, sizeof t->book->shared);
}

/* A mark of a book that has ended: what it would have told is nowhere any more; its end is told all the same. */
static void mark_ends(gw_plane_t *p, gw_link_t *l) {
    if (!l->dirty || l->dirty == GW_LINK_NOTICE || l->epoch != p->epochs) return; /* that is gw_link_renew's */
    const uint8_t owes = l->owes;
    if (gw_link_pends(l) && l->client->flags & GW_CLIENT_DOOMED) gw_link_settle(p, l, gw_client_loss(p, l->client));
    else if (gw_link_pends(l)) gw_link_supersede(p, l);
    gw_link_clean(p, l);
    if (owes) gw_link_owe(p, l, owes);
}

void gw_book_unbound(gw_plane_t *p, gw_topic_t *t) {
    gw_plane_book_t *x = t->book;
    gw_plane_book_unwant(p, x);
    gw_book_begin_anew(p, t);
    x->lapped = 0;
    for (uint32_t i = 0; i < t->audiences_count; i++)
        for (uint32_t k = 0; k < t->audiences[i].count; k++) mark_ends(p, t->audiences[i].links[k].link);
}
