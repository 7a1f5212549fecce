/* Conflation. What a client is to get of a topic is a *mark* on its link: what is sent in the end is the state of then. Marks
 * stand in one list of their client's, ready to be sent as soon as its socket takes them, or in a hold, which lets them go when
 * their time has come: by their class's interval, by their connection's level, by a rate that their client asked for
 * (gw_grid.c), or, where records stand in the ring, when there is time for the lesser classes (gw_hold.c). What overtakes a
 * mark is counted as conflated.
 *
 * The marks of one client that wait for the same interval are in one hold, sent together, and the holds of one interval in a
 * queue, oldest first. So a degraded client costs at most one write an interval, and no update waits for longer than it,
 * though those ahead be due later. */
#include "gw_plane_internal.h"

/* --- lists of marks ---------------------------------------------------------------------------------- */

/* The list that the link's mark stands in. */
static gw_marks_t *list_of(gw_link_t *l) { return l->hold ? &l->hold->marks : &l->client->marks; }

static void enter(gw_link_t *l) {
    gw_marks_t *m = list_of(l);
    if (l->book) gw_book_link_fall(l);
    l->dirty_previous = m->last;
    l->dirty_next = NULL;
    if (m->last) m->last->dirty_next = l;
    else m->first = l;
    m->last = l;
}

static void leave(gw_link_t *l) {
    gw_marks_t *m = list_of(l);
    if (l->dirty_previous) l->dirty_previous->dirty_next = l->dirty_next;
    else m->first = l->dirty_next;
    if (l->dirty_next) l->dirty_next->dirty_previous = l->dirty_previous;
    else m->last = l->dirty_previous;
}

void gw_link_dirty(gw_plane_t *p, gw_link_t *l, int how) {
    gw_client_t *c = l->client;
    l->dirty = (uint8_t)how;
    enter(l);
    c->flags |= GW_CLIENT_DIRTY;
    if (!(c->flags & GW_CLIENT_WAITS)) gw_client_touch(p, c);
}

static const uint8_t level_interval[GW_LEVELS] = {0, 3, 5, 6}; /* 0, 20, 100, 250 ms */

static uint8_t wanted_interval(const gw_plane_t *p, const gw_client_t *c, const gw_link_t *l) {
    uint8_t of_class = p->ladder.interval[l->priority], of_level = level_interval[c->level];
    return of_class > of_level ? of_class : of_level;
}

/* Whether routing has to look at the client's links one by one, and whether there is news for it. */
void gw_client_refresh(gw_plane_t *p, gw_client_t *c) {
    uint32_t degraded = p->o.enforce ? GW_CLASSES_LOW : 0; /* under pressure, at any moment */
    for (uint32_t k = 0; k < GW_CLASSES; k++)
        if (p->ladder.interval[k]) degraded |= 1u << k;
    if (c->level || c->held || c->limited || c->stale || (c->classes & degraded)) c->flags |= GW_CLIENT_HOLDS;
    else c->flags &= (uint16_t)~GW_CLIENT_HOLDS;
    for (uint32_t k = 0; k < GW_CLASSES; k++)
        if ((c->classes >> k & 1) && c->told[k] != p->ladder.interval[k]) c->flags |= GW_CLIENT_TELL;
}

static gw_hold_t *hold_find(gw_client_t *c, uint8_t interval) {
    gw_hold_t *h = c->holds;
    while (h && h->interval != interval) h = h->next;
    if (h || !(h = calloc(1, sizeof *h))) return h;
    h->client = c;
    h->interval = interval;
    h->sent_ns = INT64_MIN / 2;
    h->next = c->holds;
    c->holds = h;
    return h;
}

static gw_holds_t *queue_of(gw_plane_t *p, const gw_hold_t *h) {
    if (h->grid_ms) return gw_wheel_slot(p, h);
    return h->over ? &p->holds_over : &p->holds[h->interval];
}

static void enqueue(gw_plane_t *p, gw_hold_t *h) {
    gw_holds_t *q = queue_of(p, h);
    h->before = q->last;
    h->after = NULL;
    if (q->last) q->last->after = h;
    else q->first = h;
    q->last = h;
    if (h->grid_ms) gw_wheel_note(p, h);
    p->holds_count++;
}

static void dequeue(gw_plane_t *p, gw_hold_t *h) {
    gw_holds_t *q = queue_of(p, h);
    if (h->before) h->before->after = h->after;
    else q->first = h->after;
    if (h->after) h->after->before = h->before;
    else q->last = h->before;
    if (h->grid_ms) gw_wheel_note(p, h);
    h->over = 0;
    p->holds_count--;
}

/* The mark leaves its hold; what becomes of it is the caller's. */
static void unhold(gw_plane_t *p, gw_link_t *l) {
    gw_hold_t *h = l->hold;
    leave(l);
    l->hold = NULL;
    if (!h->marks.first) dequeue(p, h);
    if (!h->marks.first && h->grid_ms && !h->subs) gw_grid_free(p, h);
    if (--l->client->held == 0) gw_client_refresh(p, l->client);
}

/* The mark waits for the socket alone from now on. */
void gw_link_ready(gw_plane_t *p, gw_link_t *l) {
    unhold(p, l);
    gw_link_dirty(p, l, l->dirty);
}

/* So many filtered updates of the link no frame has told yet. */
void gw_link_stale(gw_plane_t *p, gw_link_t *l, uint64_t stale) {
    gw_client_t *c = l->client;
    const uint32_t before = c->stale;
    c->stale += (uint32_t)(stale > 0) - (l->stale > 0);
    l->stale = stale;
    if (!stale) l->renews = 0;
    if (c->stale != before) gw_client_refresh(p, c);
}

/* The mark stands in no list: it cannot be told yet. */
void gw_link_park(gw_link_t *l) {
    gw_client_t *c = l->client;
    leave(l);
    l->parked = 1;
    if (!c->marks.first) c->flags &= ~(uint32_t)GW_CLIENT_DIRTY;
}

void gw_link_unpark(gw_plane_t *p, gw_link_t *l) {
    l->parked = 0;
    gw_link_dirty(p, l, l->dirty);
}

static void unmark(gw_plane_t *p, gw_link_t *l) {
    if (!l->dirty) return;
    if (l->hold) unhold(p, l);
    else if (!l->parked) gw_link_park(l);
    l->parked = 0;
    if (l->book) gw_book_unmark(p, l);
    l->dirty = GW_LINK_CLEAN;
    l->skipped = 0;
    l->owes = 0;
}

void gw_link_clean(gw_plane_t *p, gw_link_t *l) {
    if (l->stale) gw_link_stale(p, l, 0);
    unmark(p, l);
}

/* A state is this cell's frame of the link's rate, and has told all that was filtered before. */
void gw_link_sent(gw_plane_t *p, gw_link_t *l) {
    const int state = l->dirty != GW_LINK_NOTICE;
    if (state && l->sub->grid) l->sub->grid->sent_ns = p->now;
    if (state) gw_link_clean(p, l);
    else unmark(p, l);
}

/* A mark that only owed a notice stands for a record, too, from now on. */
void gw_link_remark(gw_link_t *l, int how, int64_t recv_ns, int64_t taken_ns) {
    l->dirty = (uint8_t)how;
    l->dirty_recv_ns = recv_ns;
    l->dirty_taken_ns = taken_ns;
}

/* The notice goes with the link's mark, or as one. */
void gw_link_owe(gw_plane_t *p, gw_link_t *l, unsigned times) {
    l->owes = (times < 2 ? times : 2) & 3u;
    if (l->hold && !l->hold->grid_ms) gw_link_ready(p, l); /* nothing more comes: it need not wait */
    if (!l->dirty) gw_link_dirty(p, l, GW_LINK_NOTICE);
}

/* --- records that are not delivered ------------------------------------------------------------------ */

static void conflated(gw_plane_t *p, gw_link_t *l) {
    gw_link_conflate(p, l, 1);
    if (l->priority < GW_CLASSES) /* no step of the ladder would bring it back */
        p->control.asked[l->priority] += l->hold && l->hold->grid_ms;
}

/* Older than its client wants it the state is not sent: the next frame says that it is missing. What the mark owes beside is
 * told all the same. What ends with its topic is missed in no numbering. */
int gw_link_withhold(gw_plane_t *p, gw_link_t *l) {
    const gw_topic_t *t = l->topic;
    const int64_t recv_ns = gw_record_published(t->state) - t->state->h.ingest_ns;
    if (l->book && l->book->frozen) return 0; /* its client has a part of it */
    if (!l->sub->age_ms || !gw_link_pends(l) || p->now - recv_ns <= l->sub->age_ms * INT64_C(1000000)) return 0;
    gw_link_filter(p, l);
    l->renews |= l->dirty == GW_LINK_RESYNC;
    if (!l->book) gw_link_stale(p, l, t->seq ? l->stale + l->skipped + 1 : 0); /* a book knows what its client has */
    l->skipped = 0;
    if (l->owes || t->suspect) l->dirty = GW_LINK_NOTICE;
    else unmark(p, l);
    return !l->dirty;
}

/* One held update more was overtaken by a newer one. What meets its floor is let go at the end of the turn: a
 * record may bring every client's hold there at once. */
static void held_more(gw_plane_t *p, gw_link_t *l) {
    gw_hold_t *h = l->hold;
    if (l->sub->grid || l->skipped < GW_HOLD_SKIPS_MAX || h->interval == GW_INTERVAL_PAUSED || h->over) return;
    if (h->interval > p->ladder.interval[l->priority]) return; /* it waits for its client's sake */
    dequeue(p, h);
    h->over = 1;
    enqueue(p, h);
}

/* One pending record gives way to a newer one, or to a snapshot that will show more than it. */
void gw_link_supersede(gw_plane_t *p, gw_link_t *l) {
    conflated(p, l);
    if (gw_link_pends(l)) l->skipped++;
    if (l->hold) held_more(p, l);
}

/* One pending record of the link will not be delivered. */
void gw_link_settle(gw_plane_t *p, gw_link_t *l, uint64_t *reason) { gw_link_lose(p, l, 1, reason); }

/* A record of a link that the job in hand chose: a snapshot will show more than it, or nobody wants it. */
void gw_link_settle_marked(gw_plane_t *p, gw_link_t *l) {
    if (l->marked == GW_MARK_DROPPED) gw_link_settle(p, l, p->stats->dropped_unsubscribed);
    else conflated(p, l);
}

/* The link's mark is of an epoch that has ended. */
void gw_link_renew(gw_plane_t *p, gw_link_t *l) {
    const uint8_t owes = l->owes;
    if (gw_link_pends(l)) gw_link_settle(p, l, p->stats->dropped_epoch);
    gw_link_clean(p, l);
    l->epoch = p->epochs;
    if (owes) gw_link_owe(p, l, owes);
}

/* --- holding back ------------------------------------------------------------------------------------ */

static void hold(gw_hold_t *h, gw_link_t *l) {
    l->hold = h;
    enter(l);
    l->client->held++;
}

/* Whether the link's own rate has its mark wait for the next cell. */
static int wait_for_cell(gw_plane_t *p, gw_link_t *l) {
    gw_hold_t *h = l->sub->grid;
    if (!h || l->lossless || (!h->marks.first && gw_grid_idle(h, p->now))) return 0;
    if (!h->marks.first) {
        h->due_ns = gw_grid_due(h, p->now);
        enqueue(p, h);
    }
    hold(h, l);
    return 1;
}

/* Whether the link's mark waits for the interval of its class or its client's level, or for what is more urgent. Where its own
 * rate is no quicker than the interval that is enough. */
static int wait_for_ladder(gw_plane_t *p, gw_link_t *l) {
    if (l->lossless) return 0;
    const gw_hold_t *grid = l->sub->grid;
    uint8_t interval = wanted_interval(p, l->client, l);
    if (grid && interval < GW_INTERVAL_PAUSED && gw_intervals_ns[interval] <= grid->grid_ms * INT64_C(1000000)) interval = 0;
    int comes_last = p->pressed && (GW_CLASSES_LOW >> l->priority & 1);
    if (!interval && !comes_last) return 0;
    gw_hold_t *h = hold_find(l->client, interval);
    if (!h) return 0;
    if (!h->marks.first) {
        h->due_ns = interval < GW_INTERVAL_PAUSED ? h->sent_ns + gw_intervals_ns[interval] : p->now;
        if (h->due_ns <= p->now) {
            h->due_ns = p->now;
            if (interval < GW_INTERVAL_PAUSED && !comes_last) { /* nothing was sent for so long: this may go at once */
                h->sent_ns = p->now;
                return 0;
            }
        }
        enqueue(p, h);
    }
    hold(h, l);
    return 1;
}

static void remark(gw_link_t *l, const gw_frame_t *f) { gw_link_remark(l, gw_link_mark(l, f), f->recv_ns, f->taken_ns); }

/* A clean link's mark. It waits for the socket, and before that for the cell of its own rate. */
void gw_link_wait(gw_plane_t *p, gw_link_t *l, int how, int64_t recv_ns, int64_t taken_ns) {
    gw_link_remark(l, how, recv_ns, taken_ns);
    if (!wait_for_cell(p, l)) gw_link_dirty(p, l, how);
}

/* Holds an update of a clean link back, or doesn't: then it goes its usual way, as a frame that all share. Where there is more
 * to tell than that, or only one may be on its way, it goes as a mark all the same. */
int gw_link_hold(gw_plane_t *p, gw_link_t *l, const gw_frame_t *f) {
    if (wait_for_cell(p, l) || wait_for_ladder(p, l)) {
        remark(l, f);
        return 1;
    }
    if (!l->sub->grid && !l->sub->age_ms && !l->stale) return 0;
    remark(l, f);
    gw_link_dirty(p, l, l->dirty);
    return 1;
}

/* The mark's cell has begun. It waited because its client wanted it to, so its age counts from then. */
void gw_link_due(gw_plane_t *p, gw_link_t *l) {
    const int64_t due_ns = l->hold->due_ns;
    if (l->dirty_recv_ns < due_ns) l->dirty_recv_ns = due_ns;
    if (l->dirty_taken_ns < due_ns) l->dirty_taken_ns = due_ns;
    unhold(p, l);
    if (l->owes || !wait_for_ladder(p, l)) gw_link_dirty(p, l, l->dirty);
}

/* What is left of the hold waits for another moment. */
void gw_hold_postpone(gw_plane_t *p, gw_hold_t *h, int64_t due_ns) {
    dequeue(p, h);
    h->due_ns = due_ns;
    enqueue(p, h);
}

/* The link's parameters have changed: what has it wait, too. */
void gw_link_rehold(gw_plane_t *p, gw_link_t *l) {
    if (!l->hold) return;
    unhold(p, l);
    if (!wait_for_cell(p, l)) gw_link_dirty(p, l, l->dirty);
}

/* Its state has left, and the mark stands for what came meanwhile: in its rate. */
void gw_link_again(gw_plane_t *p, gw_link_t *l) {
    if (!l->sub->grid) return;
    l->sub->grid->sent_ns = p->now;
    gw_link_park(l);
    l->parked = 0;
    if (!wait_for_cell(p, l)) gw_link_dirty(p, l, l->dirty);
}

void gw_client_holds_free(gw_client_t *c) {
    while (c->holds) {
        gw_hold_t *h = c->holds;
        c->holds = h->next;
        free(h);
    }
}
