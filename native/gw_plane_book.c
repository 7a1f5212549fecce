/* Order books in a plane: one for each topic of books that has links, in a pool of the plane's own.
 *
 * A book is *live* while it is what the records up to its topic's seq say: then a record's rows are applied, and those of
 * its audiences whose window they changed get marks; for all others the record is *filtered*, without a look at their
 * links. It is not live before its first copy, after records that were lost or that say no more than that everything
 * changed (GW_BOOK_RECORD_RESET), or where a record was refused. Then it is *wanted*: a few in each cycle are copied out
 * of the segment, as the difference to what was there, so that clients get that difference. Marks wait (gw_link_park).
 *
 * **Who keeps up has no marks.** Links whose clients have all that was told, or will once their queues have left, are
 * *abreast*: they stand in front in their audience's file, and one place of the file says where all of them are. A record is
 * one frame for them, pushed to their queues as any topic's, and nothing of a link is touched. Who cannot be pushed it falls
 * behind, with the file's place as its own, and gets a mark; once that has left it is abreast again, where it has told as
 * skipped what the others have. A pushed frame that will not leave takes its link back to where it was before the first such
 * one (gw_book_link_back): that place is kept beside each pushed frame's index. So what comes in its stead is exact, and no
 * socket that is full has a frame of a book in its queue.
 *
 * **A copy is new enough.** The writer changes its book before it publishes the record. So a copy that is made after
 * `tail` was read has all records before that, and the plane's cursor is not beyond it. Records that the copy has
 * already, and that come through the ring afterwards, are skipped as any old ones; they are routed at the moment of the
 * copy, so that each is counted once.
 *
 * Who else writes? Nobody: the pool here is this thread's, and what it reads of the segment's is checked (gw_book_copy,
 * gw_book_take). A book that is missing for longer than GW_BOOK_TORN_NS is counted (`books_missing`) and looked for at
 * leisure. */
#include "gw_plane_internal.h"
#include <errno.h>
#include <string.h>

/* --- records ------------------------------------------------------------------------------------- */

static void filtered(gw_plane_t *p, const gw_topic_t *t, gw_audience_t *a, uint64_t n) {
    a->filtered += n;
    gw_count(&p->stats->filtered[t->channel], a->count * n);
    gw_count(&p->stats->pending[t->channel], -(a->count * n));
}

/* So many records of the link that another one tells with it. */
static void merged(gw_plane_t *p, gw_link_t *l, uint64_t n, int lapped) {
    if (l->client->flags & GW_CLIENT_DOOMED) gw_link_lose(p, l, n, gw_client_loss(p, l->client));
    else if (lapped) gw_link_lose(p, l, n, p->stats->dropped_lapped);
    else gw_link_conflate(p, l, n);
}

/* --- to those abreast ---------------------------------------------------------------------------- */

/* Whether the client gets frames of books by its queue. Behind a long one only what is newest by then is worth its bytes. */
static inline int queues(const gw_client_t *c) {
    return !(c->flags & (GW_CLIENT_WAITS | GW_CLIENT_DOOMED)) && c->queued < GW_BOOK_PUSHED_QUEUE;
}

/* The frame to all of these but those that have to be looked at, who are put before `others`. */
static gw_book_link_t *push(gw_plane_t *p, const gw_entry_t *e, const gw_entry_t *end, uint64_t index, gw_book_link_t *others) {
    for (; e != end; e++) {
        gw_client_t *c = e->client;
        if (end - e > 4) __builtin_prefetch(e[4].client, 1);
        if (!c->flags && c->queued < GW_BOOK_PUSHED_QUEUE) {
            gw_client_push(p, c, index);
        } else if (queues(c) && !(c->flags & GW_CLIENT_HOLDS)) {
            gw_client_push_record(p, c, e->link, index);
        } else {
            e->link->book->next = others;
            others = e->link->book;
        }
    }
    return others;
}

/* One record to those abreast: one frame in their queues, as of any topic; else a mark of each. */
static void to_abreast(gw_plane_t *p, gw_topic_t *t, gw_audience_t *a, const gw_frame_t *f) {
    gw_book_file_t *file = &a->file;
    const gw_book_window_t *w = &t->book->book.windows[a->variant];
    const uint32_t n = file->abreast, start = n > 1 ? p->rotation++ % n : 0;
    const uint64_t index = gw_book_pushed(p, t, a);
    gw_book_link_t *others = NULL;
    if (index != GW_FRAME_NONE) {
        others = push(p, file->links + start, file->links + n, index, NULL);
        others = push(p, file->links, file->links + start, index, others);
    } else {
        for (uint32_t i = 0; i < n; i++) file->links[i].link->book->next = others, others = file->links[i].link->book;
    }
    for (gw_book_link_t *b = others, *next; b; b = next) {
        gw_link_t *l = b->link;
        next = b->next;
        b->next = NULL;
        if (index != GW_FRAME_NONE && queues(l->client) && l->epoch == p->epochs) {
            if (!gw_link_hold(p, l, f)) gw_client_push_record(p, l->client, l, index);
            continue;
        }
        gw_book_link_fall(l);
        gw_book_link_take(p, l, f);
    }
    file->at = (gw_book_at_t){t->seq, {w->worst[GW_BOOK_BID], w->worst[GW_BOOK_ASK]}};
}

/* --- to all -------------------------------------------------------------------------------------- */

/* The topic has come to its seq by n records: to all who take it. While its book is not live all of them may have
 * changed. */
static uint32_t route(gw_plane_t *p, gw_topic_t *t, uint64_t n) {
    gw_plane_book_t *x = t->book;
    const gw_frame_t f = gw_book_frame_of(p, t);
    uint32_t links = 0;
    t->renewed = 0;
    t->routed += n;
    if (!t->links_count) return 0;
    if (t->urgent > p->control.audience) p->control.audience = t->urgent;
    gw_count(&p->stats->routed[t->channel], t->links_count * n);
    gw_count(&p->stats->pending[t->channel], t->links_count * n);
    for (uint32_t i = 0; i < t->audiences_count; i++) {
        gw_audience_t *a = &t->audiences[i];
        if (x->live && x->book.windows[a->variant].changed != t->seq) {
            filtered(p, t, a, n);
            continue;
        }
        const uint32_t abreast = x->live && n == 1 ? a->file.abreast : 0;
        links += a->count;
        for (uint32_t k = a->count; k > abreast; k--) { /* from the last on: who falls stays behind those to come */
            gw_link_t *l = a->file.links[k - 1].link;
            gw_book_link_fall(l);
            if (n > 1) merged(p, l, n - 1, x->lapped);
            gw_book_link_take(p, l, &f);
        }
        if (abreast) to_abreast(p, t, a, &f);
        gw_guard(p);
    }
    return links;
}

/* Of a record header and message are kept; its rows are in the book. */
static void header_take(gw_topic_t *t, const gw_record_t *r, uint64_t position) {
    memcpy(t->state, r, GW_RECORD_CELLS * GW_CELL);
    t->state->h.cells = GW_RECORD_CELLS;
    gw_book_message(t->state)->extra = 0;
    t->seq = r->h.topic_seq;
    t->position = position;
}

static void id_keep(gw_plane_book_t *x, uint64_t seq, const gw_book_message_t *m) {
    gw_book_id_t *id = &x->ids[seq % GW_BOOK_IDS];
    id->seq = seq;
    id->length = m->first_length < GW_BOOK_ID_MAX ? m->first_length : GW_BOOK_ID_MAX;
    memcpy(id->text, m->first_id, GW_BOOK_ID_MAX);
}

/* Whether the book is what it is with this record, the next after its last. */
static int apply(gw_plane_t *p, gw_plane_book_t *x, const gw_record_t *r) {
    gw_record_t *record = (gw_record_t *)(uintptr_t)r; /* of the plane's own batch */
    const gw_book_message_t *m = gw_book_message(record);
    const uint64_t seq = r->h.topic_seq;
    if (m->what & GW_BOOK_RECORD_RESET || r->h.cells < gw_book_record_cells(m->count)) return 0;
    if (m->count && gw_book_take(&x->book, &p->books.work, seq, m->scale, gw_book_message_rows(record), m->count)) return 0;
    return gw_book_seq(&x->book) == seq || gw_book_advance(&x->book, seq) == GW_BOOK_FINE;
}

/* A record of a topic of books; as gw_record_route. */
int64_t gw_book_route(gw_plane_t *p, gw_topic_t *t, const gw_record_t *r, uint64_t position, int64_t *budget) {
    gw_plane_book_t *x = t->book;
    if (r->h.origin != t->origin && x) gw_book_begin_anew(p, t);
    if (!gw_topic_awaits(t, r)) return 0;
    if (r->h.flags & GW_FLAG_RETIRED) return gw_topic_over(p, t, r);
    uint32_t told = r->h.gap ? gw_gap_route(p, t, &r->h) : 0;
    const uint64_t n = r->h.topic_seq - gw_topic_before(t, &r->h);
    header_take(t, r, position);
    if (x) {
        id_keep(x, t->seq, gw_book_message(t->state));
        const int follows = x->live && n == 1;
        if (x->live && (!follows || !apply(p, x, r))) {
            x->lapped = !follows;
            gw_plane_book_want(p, x);
        }
        if (!x->live) gw_plane_book_want(p, x);
        *budget -= r->h.cells / GW_UNITS_CELLS;
    }
    told += route(p, t, n);
    if (t->suspect) told += gw_refused_recover(p, t);
    return told;
}

/* After a lap: the segment's last header of it. Who shows it has it copied. How many links that concerns. */
uint32_t gw_book_lapped(gw_plane_t *p, gw_topic_t *t, const gw_record_t *newest, uint64_t position) {
    gw_plane_book_t *x = t->book;
    if (!x) {
        const uint64_t n = newest->h.topic_seq - gw_topic_before(t, &newest->h);
        header_take(t, newest, position);
        return route(p, t, n);
    }
    if (!t->seq) { /* the lap has shown it first: nothing else says where its book is */
        t->state->u = newest->u;
        gw_book_message(t->state)->extra = 0;
    }
    x->lapped = 1;
    gw_plane_book_want(p, x);
    return 1;
}

/* --- topics -------------------------------------------------------------------------------------- */

void gw_book_bound(gw_plane_t *p, gw_topic_t *t) {
    if (t->seq) gw_book_message(t->state)->extra = 0;
    if (t->book && t->seq) gw_plane_book_want(p, t->book);
}

/* --- copies -------------------------------------------------------------------------------------- */

/* Copies the writer's book. 0; -EAGAIN: not now, at once again; else at leisure. */
static int copy(gw_plane_t *p, const gw_topic_t *t) {
    gw_book_copy_t *c = &p->books.copy;
    const gw_book_pool_t *pool = &p->reader.segment.books;
    const uint32_t number = gw_book_message(t->state)->book;
    if (!p->mapping || !pool->sizes.books) return -ENOENT;
    GW_LOAD_ACQUIRE(p->reader.segment.tail);
    c->most = p->books.copy_most;
    int error = gw_book_copy(pool, number, c);
    if (error == -ENOBUFS) {
        const uint32_t room = c->count + c->count / 8 + GW_BOOK_CHUNK;
        if (room > GW_BOOK_SIDES * (uint64_t)pool->sizes.side_chunks * GW_BOOK_CHUNK + c->count) return -ENOENT;
        gw_book_row_t *rows = realloc(c->rows, room * sizeof *rows);
        if (!rows) return -ENOMEM;
        c->rows = rows;
        c->room = room;
        error = gw_book_copy(pool, number, c);
    }
    if (error) return error == -ENOBUFS ? -EAGAIN : error;
    if (c->owner != gw_book_owner(t->ring_id, t->generation)) return -ENOENT;
    return c->seq && c->seq >= t->seq ? 0 : -EAGAIN;
}

/* The header of the state that was copied, or of a later one: the segment's last value. */
static void header_read(gw_plane_t *p, gw_topic_t *t) {
    gw_record_t r;
    uint64_t position;
    const int got = gw_table_read(&p->reader.segment, t->ring_id, &r, &position);
    const int whole = got == 1 || got == -EMSGSIZE;
    const uint64_t seq = gw_book_seq(&t->book->book);
    if (whole && gw_record_is_of(&r, t->generation) && r.h.kind == GW_BOOK && r.h.origin == t->origin &&
        !(r.h.flags & GW_FLAG_RETIRED) && r.h.topic_seq >= seq)
        header_take(t, &r, position);
    t->state->h.topic_seq = t->seq = seq;
    id_keep(t->book, seq, gw_book_message(t->state));
}

static void tell_missing(gw_plane_t *p, const gw_topic_t *t) {
    gw_walk_t w = gw_walk_begin();
    for (gw_link_t *l; (l = gw_walk_next(t, &w));) {
        if (l->book->told || l->client->flags & GW_CLIENT_DOOMED) continue;
        l->book->told = 1;
        gw_limit_tell(p, l->client, "book_missing_ms", GW_BOOK_TORN_NS / 1000000, t->name, t->length, 0);
    }
}

/* Brings the book to a copy of the writer's; whether it is live. */
static int follow(gw_plane_t *p, gw_plane_book_t *x) {
    gw_topic_t *t = x->topic;
    p->books.copy.took = 0;
    int error = gw_plane_book_open(p, x);
    if (!error) error = copy(p, t);
    p->books.copy_took += p->books.copy.took;
    if (!error) p->books.copy_took += gw_book_levels(&x->book, GW_BOOK_BID) + gw_book_levels(&x->book, GW_BOOK_ASK);
    if (!error && gw_book_follow(&x->book, &p->books.work, &p->books.copy)) error = -ENOSPC;
    if (error) {
        if (gw_plane_book_want_later(p, x, error == -EAGAIN)) tell_missing(p, t);
        return 0;
    }
    gw_plane_book_unwant(p, x);
    x->live = 1;
    gw_count(&p->stats->books_copied[0], 1);
    const uint64_t before = t->seq;
    if (gw_book_seq(&x->book) > before) {
        header_read(p, t);
        route(p, t, t->seq - before);
    }
    x->lapped = 0;
    gw_walk_t w = gw_walk_begin();
    for (gw_link_t *l; (l = gw_walk_next(t, &w));) {
        l->book->told = 0;
        if (l->parked && !l->book->waits) gw_link_unpark(p, l);
    }
    return 1;
}

int gw_plane_books_step(gw_plane_t *p) {
    int did = p->epoch_phase ? 0 : gw_books_freeze(p);
    if (p->epoch_phase || gw_plane_books_due(p) == INT64_MAX) return did;
    p->taken_ns = p->now = p->io.monotonic(p->io.self);
    p->send_ns = 0;
    uint32_t copies = 0;
    p->books.copy_took = 0;
    for (unsigned i = 0; i < GW_BOOKS_LISTS; i++) {
        gw_plane_book_t *x = p->books.wanted[i].first, *last = p->books.wanted[i].last;
        while (x && x->retry_ns <= p->now && copies < GW_BOOK_COPIES && p->books.copy_took < p->books.copy_most) {
            copies++;
            gw_plane_book_t *next = x == last ? NULL : x->next; /* it may come behind the last again */
            did |= follow(p, x) || x->retry_ns <= p->now;
            x = next;
        }
    }
    return did;
}
