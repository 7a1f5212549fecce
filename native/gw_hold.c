/* Letting held updates go: what is due, and in which order.
 *
 * Two floors: no link waits for more than GW_HOLD_SKIPS_MAX updates because of its class (it gets at least
 * 5 % of them), and none that is due waits longer than GW_HOLD_GRACE_NS for a moment without more urgent
 * work, but for its turn: one write in twenty is for these. What is paused waits for neither. */
#include "gw_plane_internal.h"

#define HOLDS_PER_CYCLE 16u /* clients; then the ring is looked at again: 16 writes, some 60 us */
#define HOLDS_LINKS 4096u   /* updates let go at once: at 30 ns, 120 us */
#define HOLDS_PARTS 20u     /* or this part of what the cycle has written, where that is more */

/* Lets go of a hold's updates, as far as `links` goes: it stays in its queue with the others. */
static void release(gw_plane_t *p, gw_hold_t *h, uint32_t *links) {
    h->sent_ns = p->now;
    for (; h->marks.first && *links; --*links) gw_link_ready(p, h->marks.first);
}

/* The same of a client's own rate. What was marked in the cell that has begun, of which frames have left, may be of a topic that
 * has had its frame: it waits for the next. */
static void release_grid(gw_plane_t *p, gw_hold_t *h, uint32_t *links) {
    const int idle = gw_grid_idle(h, p->now);
    h->subs++; /* it would go with its last mark otherwise, if nobody has the rate any more */
    for (; h->marks.first && *links && (idle || h->marks.first->dirty_taken_ns < h->due_ns); --*links)
        gw_link_due(p, h->marks.first);
    if (h->marks.first && *links) gw_hold_postpone(p, h, gw_grid_due(h, p->now));
    gw_grid_leave(p, h);
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

/* When the next one of the ladder's intervals is due; INT64_MAX: none waits. */
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
    for (; links && (h = gw_wheel_first(p)); urgent++) release_grid(p, h, &links);
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
