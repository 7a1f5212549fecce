/* Updates held back: by their class's interval, by their connection's level, or, where records stand in
 * the ring, until there is time for the lesser classes.
 *
 * A held update is a dirty mark like a blocked client's: what is sent in the end is the state of then.
 * The marks of one client that wait for the same interval are in one hold, sent together, and the holds
 * of one interval in a queue, oldest first. So a degraded client costs at most one write an interval, and no
 * update waits for longer than it, though those ahead be due later.
 *
 * Two floors: no link waits for more than GW_HOLD_SKIPS_MAX updates because of its class (it gets at least
 * 5 % of them), and none that is due waits longer than GW_HOLD_GRACE_NS for a moment without more urgent
 * work, but for its turn: one write in twenty is for these. What is paused waits for neither. */
#include "gw_plane_internal.h"

#define HOLDS_PER_CYCLE 16u /* clients; then the ring is looked at again: 16 writes, some 60 us */
#define HOLDS_LINKS 4096u   /* updates let go at once: at 30 ns, 120 us */
#define HOLDS_PARTS 20u     /* or this part of what the cycle has written, where that is more */

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
    if (c->level || c->held || (c->classes & degraded)) c->flags |= GW_CLIENT_HOLDS;
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
    return h->over ? &p->holds_over : &p->holds[h->interval];
}

static void enqueue(gw_plane_t *p, gw_hold_t *h) {
    gw_holds_t *q = queue_of(p, h);
    h->before = q->last;
    h->after = NULL;
    if (q->last) q->last->after = h;
    else q->first = h;
    q->last = h;
    p->holds_count++;
}

static void dequeue(gw_plane_t *p, gw_hold_t *h) {
    gw_holds_t *q = queue_of(p, h);
    if (h->before) h->before->after = h->after;
    else q->first = h->after;
    if (h->after) h->after->before = h->before;
    else q->last = h->before;
    h->over = 0;
    p->holds_count--;
}

/* Holds an update of a clean link back, or doesn't: then it goes its usual way. */
int gw_link_hold(gw_plane_t *p, gw_link_t *l, const gw_frame_t *f) {
    gw_client_t *c = l->client;
    if (l->lossless) return 0;
    uint8_t interval = wanted_interval(p, c, l);
    int comes_last = p->pressed && (GW_CLASSES_LOW >> l->priority & 1);
    if (!interval && !comes_last) return 0;
    gw_hold_t *h = hold_find(c, interval);
    if (!h) return 0;
    if (!h->first) {
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
    l->hold = h;
    l->dirty = gw_link_mark(l, f);
    l->dirty_recv_ns = f->recv_ns;
    l->dirty_taken_ns = f->taken_ns;
    l->dirty_previous = h->last;
    l->dirty_next = NULL;
    if (h->last) h->last->dirty_next = l;
    else h->first = l;
    h->last = l;
    c->held++;
    return 1;
}

/* The mark leaves its hold; what becomes of it is the caller's. */
void gw_link_unhold(gw_plane_t *p, gw_link_t *l) {
    gw_hold_t *h = l->hold;
    if (l->dirty_previous) l->dirty_previous->dirty_next = l->dirty_next;
    else h->first = l->dirty_next;
    if (l->dirty_next) l->dirty_next->dirty_previous = l->dirty_previous;
    else h->last = l->dirty_previous;
    l->hold = NULL;
    if (!h->first) dequeue(p, h);
    if (--l->client->held == 0) gw_client_refresh(p, l->client);
}

/* The mark waits for the socket alone from now on. */
void gw_link_ready(gw_plane_t *p, gw_link_t *l) {
    gw_link_unhold(p, l);
    gw_link_dirty(p, l, l->dirty);
}

/* Lets go of a hold's updates, as far as `links` goes: it stays in its queue with the others. */
static void release(gw_plane_t *p, gw_hold_t *h, uint32_t *links) {
    h->sent_ns = p->now;
    for (; h->first && *links; --*links) gw_link_ready(p, h->first);
}

/* One held update more was overtaken by a newer one. What meets its floor is let go at the end of the turn: a
 * record may bring every client's hold there at once. */
void gw_link_held_more(gw_plane_t *p, gw_link_t *l) {
    gw_hold_t *h = l->hold;
    if (l->skipped < GW_HOLD_SKIPS_MAX || h->interval == GW_INTERVAL_PAUSED || h->over) return;
    if (h->interval > p->ladder.interval[l->priority]) return; /* it waits for its client's sake */
    dequeue(p, h);
    h->over = 1;
    enqueue(p, h);
}

static int is_paused(const gw_plane_t *p, uint8_t interval) {
    return interval == GW_INTERVAL_PAUSED && p->ladder.interval[GW_CLASSES - 1] == GW_INTERVAL_PAUSED;
}

/* Of the oldest of each interval, the one that is due first; NULL: none waits. */
static gw_hold_t *first_due(const gw_plane_t *p) {
    gw_hold_t *first = NULL;
    for (uint8_t i = 0; p->holds_count && i <= GW_INTERVAL_PAUSED; i++) {
        gw_hold_t *h = p->holds[i].first;
        if (h && !is_paused(p, i) && (!first || h->due_ns < first->due_ns)) first = h;
    }
    return first;
}

/* When the next one is due; INT64_MAX: none waits. */
int64_t gw_holds_due(const gw_plane_t *p) {
    if (p->holds_over.first) return p->now;
    const gw_hold_t *h = first_due(p);
    return h ? h->due_ns : INT64_MAX;
}

/* Slack is what nobody else wants: a feed may wait for this CPU, else until the kernel's next tick, for up to
 * 4 ms. What others use then is no work of ours, and no wait that we did not want. */
static void offer_cpu(gw_plane_t *p) {
    int64_t before = p->now;
    p->io.yield(p->io.self);
    p->now = p->io.monotonic(p->io.self);
    if (p->begun_ns) p->begun_ns += p->now - before;
    p->control.offered_ns += p->now - before;
}

/* Releases what is due: what has met its floor and class 1 first, of the others a few, and only if nothing more
 * urgent waits; HOLDS_LINKS updates at most. How many. */
uint32_t gw_holds_release(gw_plane_t *p) {
    gw_hold_t *h;
    uint32_t urgent = 0, n = 0, links = HOLDS_LINKS;
    const int visits_wait = !gw_turn_empty(p, GW_TURN_LIVE); /* but for those let go here: they come in order */
    if (!p->holds_count) return 0;
    for (; links && (h = p->holds_over.first); urgent++) release(p, h, &links);
    for (uint8_t i = 1; i <= p->ladder.interval[1]; i++)
        for (; links && (h = p->holds[i].first) && h->due_ns <= p->now; urgent++) release(p, h, &links);
    if (!links || gw_holds_due(p) > p->now) return urgent;
    /* A turn is a slice of the visits: the floor's part is of as many as make it whole. */
    if (visits_wait && p->served < HOLDS_PER_CYCLE * HOLDS_PARTS) return urgent;
    uint32_t most = p->served / HOLDS_PARTS > HOLDS_PER_CYCLE ? p->served / HOLDS_PARTS : HOLDS_PER_CYCLE;
    p->served = 0;
    if (!urgent && !visits_wait && !gw_plane_takes(p)) offer_cpu(p);
    int64_t late = visits_wait || gw_plane_takes(p) ? GW_HOLD_GRACE_NS : 0;
    for (; links && n < most && (h = first_due(p)) && h->due_ns + late <= p->now; n++) release(p, h, &links);
    return urgent + n;
}

void gw_client_holds_free(gw_client_t *c) {
    while (c->holds) {
        gw_hold_t *h = c->holds;
        c->holds = h->next;
        free(h);
    }
}
