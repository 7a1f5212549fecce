/* What a plane keeps of order books, in memory of its own: a pool of them, which of them have to be copied out of the
 * segment, and the states that clients are being sent in parts. How books come to be what the writer's are:
 * gw_plane_book.c.
 *
 * A book that is missing for longer than GW_BOOK_TORN_NS is counted (`books_missing`) and looked for at leisure. */
#include "gw_plane_internal.h"
#include <errno.h>
#include <sys/mman.h>

/* --- the plane's pool ---------------------------------------------------------------------------- */

/* Its pages are touched as they are used. */
int gw_plane_books_open(gw_plane_t *p) {
    gw_plane_books_t *b = &p->books;
    if (b->memory) return 0;
    if (!b->freeze_most) b->freeze_most = GW_BOOK_FREEZE_LEVELS; /* a test has its own */
    if (!b->copy_most) b->copy_most = GW_BOOK_COPY_LEVELS;
    b->size = gw_book_pool_size(&p->o.books);
    if (!b->size || gw_book_work_init(&b->work)) return -ENOMEM;
    b->numbers_free = calloc(p->o.books.books, sizeof *b->numbers_free);
    b->rows = malloc(GW_BOOK_PART_ROWS * sizeof *b->rows);
    void *m = mmap(NULL, b->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m != MAP_FAILED) b->memory = m;
    if (b->numbers_free && b->rows && b->memory && !gw_book_pool_format(&b->pool, m, b->size, &p->o.books)) return 0;
    gw_plane_books_free(p);
    return -ENOMEM;
}

/* Where frames of the format's log that are pushed are remembered: 24 bytes each, whose pages are touched as they are used. */
int gw_plane_books_format(gw_plane_t *p, uint8_t format) {
    const uint64_t frames = p->lanes[format].log.count;
    gw_book_at_t **before = &p->books.before[format];
    if (*before || !frames) return 0;
    *before = calloc(frames, sizeof **before);
    return *before ? 0 : -ENOMEM;
}

void gw_plane_books_free(gw_plane_t *p) {
    gw_plane_books_t *b = &p->books;
    if (b->memory) munmap(b->memory, b->size);
    if (b->work.rows) gw_book_work_free(&b->work);
    free(b->numbers_free);
    free(b->rows);
    free(b->copy.rows);
    for (unsigned i = 0; i < GW_BOOK_FROZEN; i++) gw_book_still_free(&b->frozen[i].still);
    for (unsigned i = 0; i < GW_FORMATS_MAX; i++) free(b->before[i]);
    *b = (gw_plane_books_t){0};
}

/* Opens the book, empty, with the windows of all links that there are. -ENOSPC: the pool has no place for it. */
int gw_plane_book_open(gw_plane_t *p, gw_plane_book_t *x) {
    gw_plane_books_t *b = &p->books;
    if (x->book.head) return 0;
    if (!b->numbers_free_count && b->numbers_next == b->pool.sizes.books) return -ENOSPC;
    const uint32_t number = b->numbers_free_count ? b->numbers_free[b->numbers_free_count - 1] : b->numbers_next;
    const int error = gw_book_open(&x->book, &b->pool, number, 0, true);
    if (error) return error;
    if (b->numbers_free_count) b->numbers_free_count--;
    else b->numbers_next++;
    const gw_topic_t *t = x->topic;
    for (uint32_t i = 0; i < t->audiences_count; i++)
        for (uint32_t k = 0; k < t->audiences[i].count; k++)
            gw_book_window_hold(&x->book, &x->book.windows[t->audiences[i].variant]);
    return 0;
}

void gw_plane_book_close(gw_plane_t *p, gw_plane_book_t *x) {
    x->live = 0;
    if (!x->book.head) return;
    p->books.numbers_free[p->books.numbers_free_count++] = x->book.number;
    gw_book_close(&x->book);
}

/* --- what is wanted ------------------------------------------------------------------------------ */

static void unlist(gw_plane_t *p, gw_plane_book_t *x) {
    gw_plane_book_list_t *list = &p->books.wanted[x->list];
    if (x->previous) x->previous->next = x->next;
    else list->first = x->next;
    if (x->next) x->next->previous = x->previous;
    else list->last = x->previous;
    x->previous = x->next = NULL;
}

static void append(gw_plane_t *p, gw_plane_book_t *x, unsigned at) {
    gw_plane_book_list_t *list = &p->books.wanted[at];
    x->list = (uint8_t)at;
    x->retry_ns = at == GW_BOOKS_SOON ? p->now : p->now + GW_BOOK_RETRY_NS;
    x->previous = list->last;
    if (list->last) list->last->next = x;
    else list->first = x;
    list->last = x;
}

void gw_plane_book_want(gw_plane_t *p, gw_plane_book_t *x) {
    x->live = 0;
    if (x->wanted || !x->topic->bound) return;
    x->wanted = x->untold = 1;
    x->wanted_ns = p->now;
    append(p, x, GW_BOOKS_SOON);
    p->books.todo++;
}

void gw_plane_book_unwant(gw_plane_t *p, gw_plane_book_t *x) {
    if (!x->wanted) return;
    if (x->wanted == 2) gw_count(&p->stats->books_missing[0], (uint64_t)-1);
    x->wanted = 0;
    unlist(p, x);
    p->books.todo--;
}

/* Behind the others: at the next cycle, or, where it has been missing for long or cannot come soon, at leisure. Whether its
 * clients have to be told that it is missing. */
int gw_plane_book_want_later(gw_plane_t *p, gw_plane_book_t *x, int soon) {
    const int missing = p->now - x->wanted_ns >= GW_BOOK_TORN_NS;
    const int tell = missing && x->untold;
    if (missing && x->wanted == 1) x->wanted = 2, gw_count(&p->stats->books_missing[0], 1);
    if (tell) x->untold = 0;
    unlist(p, x);
    append(p, x, soon && !missing ? GW_BOOKS_SOON : GW_BOOKS_AT_LEISURE);
    return tell;
}

/* When the next one may be tried; INT64_MAX: none is wanted. */
int64_t gw_plane_books_due(const gw_plane_t *p) {
    int64_t due = INT64_MAX;
    for (unsigned i = 0; i < GW_BOOKS_LISTS; i++) {
        const gw_plane_book_t *x = p->books.wanted[i].first;
        if (x && x->retry_ns < due) due = x->retry_ns;
    }
    return due;
}

/* --- states in parts ------------------------------------------------------------------------------ */

void gw_book_thaw(gw_book_link_t *b) {
    gw_book_frozen_t *f = b->frozen;
    b->frozen = NULL;
    b->row = b->part = 0;
    b->link->client->frozen--;
    if (--f->users) return;
    gw_book_still_free(&f->still);
    *f = (gw_book_frozen_t){0};
}

static gw_book_waiters_t *waiters(gw_plane_t *p, const gw_book_link_t *b) {
    return b->frozen ? &b->frozen->waiting : &p->books.waiting;
}

void gw_book_wait_begin(gw_plane_t *p, gw_book_link_t *b) {
    gw_book_waiters_t *w = waiters(p, b);
    b->waits = 1;
    p->books.todo++;
    b->next = NULL;
    b->previous = w->last;
    if (w->last) w->last->next = b;
    else w->first = b;
    w->last = b;
}

void gw_book_wait_end(gw_plane_t *p, gw_book_link_t *b) {
    if (!b->waits) return;
    gw_book_waiters_t *w = waiters(p, b);
    b->waits = 0;
    p->books.todo--;
    if (b->previous) b->previous->next = b->next;
    else w->first = b->next;
    if (b->next) b->next->previous = b->previous;
    else w->last = b->previous;
}

/* --- links ----------------------------------------------------------------------------------------- */

static void place(gw_book_file_t *f, gw_entry_t e, uint32_t rank) {
    f->links[rank] = e;
    e.link->book->rank = rank;
}

static void change_places(gw_book_file_t *f, uint32_t i, uint32_t k) {
    const gw_entry_t e = f->links[i];
    if (i == k) return;
    place(f, f->links[k], i);
    place(f, e, k);
}

void gw_book_file_join(gw_audience_t *a, gw_link_t *l) { place(&a->file, (gw_entry_t){l->client, l}, a->count - 1); }

void gw_book_file_leave(gw_audience_t *a, gw_link_t *l) {
    gw_book_link_fall(l);
    change_places(&a->file, l->book->rank, a->count - 1);
}

void gw_book_link_fall(gw_link_t *l) {
    gw_book_file_t *f = &gw_link_audience(l)->file;
    if (l->book->rank >= f->abreast) return;
    l->book->at = f->at;
    change_places(f, l->book->rank, --f->abreast);
}

/* Not where its client takes no frames now, or wants each to wait for its time; nor where the others have told more as skipped,
 * or less. */
void gw_book_link_catch_up(const gw_plane_t *p, gw_link_t *l) {
    const gw_client_t *c = l->client;
    const gw_plane_book_t *x = l->topic->book;
    gw_audience_t *a = gw_link_audience(l);
    gw_book_file_t *f = &a->file;
    if (l->dirty || !x->live || l->epoch != p->epochs || l->sub->grid || l->sub->age_ms) return;
    if (c->flags & (GW_CLIENT_WAITS | GW_CLIENT_DOOMED) || c->level || l->book->rank < f->abreast) return;
    if (l->book->at.since < x->book.windows[a->variant].changed) return;
    if (f->abreast && f->at.since != l->book->at.since) return;
    f->at = l->book->at;
    change_places(f, l->book->rank, f->abreast++);
}

/* The first one that does not leave says where its client is; those behind it come later. */
void gw_book_link_back(const gw_plane_t *p, gw_link_t *l, uint64_t index) {
    gw_book_link_t *b = l->book;
    const uint32_t format = l->client->format;
    const gw_book_at_t *before = &p->books.before[format][index & (p->lanes[format].log.count - 1)];
    gw_book_link_fall(l);
    if (before->since >= b->at.since) return;
    if (b->wants == b->at.since + 1) b->wants = before->since + 1; /* a state that was frozen behind it says so */
    b->at = *before;
}

/* Its client has nothing that could be gone on from. */
void gw_book_link_nothing(gw_book_link_t *b) {
    b->at = (gw_book_at_t){0};
    b->awaited = 0;
}

/* What of a mark is a book's: states that are being sent, or waited for. A client that has had some parts of one has
 * nothing then. */
void gw_book_unmark(gw_plane_t *p, gw_link_t *l) {
    gw_book_link_t *b = l->book;
    b->late = 0;
    gw_book_wait_end(p, b);
    if (!b->frozen) return;
    if (b->part) gw_book_link_nothing(b);
    gw_book_thaw(b);
}
