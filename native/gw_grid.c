/* Clients' own rates: when what they asked for fewer of may go.
 *
 * A rate is an interval of whole milliseconds, and for each client with such a rate a *grid* of cells as long as that, on
 * CLOCK_MONOTONIC. In a cell a link gets at most one frame. Where none of the grid's frames has left in a cell yet an
 * update goes at once; else its mark waits in the grid's hold for the next cell, with those of the client's other topics
 * of this rate, and all of them go in one send.
 *
 * Grids of an interval begin their cells at few different moments, its phases: so clients get the same states, which are
 * encoded once, and yet no millisecond has all of their sends. A client is dealt its phase when it first has the rate, and
 * keeps it. There are as many phases as clients that take BURST_NS to send to, between PHASES_MIN and one a millisecond,
 * doubled as clients come: those of before stay phases.
 *
 * Holds that have marks stand in a wheel of one slot a millisecond. An interval is shorter than its turn, so a slot holds
 * what is due at one moment; only after a standstill it may have what is due a turn later behind that. There is no timer:
 * the plane sleeps until the first slot that is used. */
#include "gw_plane_internal.h"

#define MS_NS 1000000
#define VISIT_NS 7000    /* a send of some dozens of frames to one client */
#define BURST_NS 250000  /* of such sends in one millisecond */
#define PHASES_MIN 16u   /* of 500 clients' frames 97 % are then shared */
#define NEVER_NS (INT64_MIN / 2)

/* --- cells ------------------------------------------------------------------------------------------- */

static int64_t cell_of(const gw_hold_t *h, int64_t ns) { return (ns / MS_NS + h->grid_ms - h->phase_ms) / h->grid_ms; }

int gw_grid_idle(const gw_hold_t *h, int64_t now_ns) { return cell_of(h, h->sent_ns) != cell_of(h, now_ns); }

int64_t gw_grid_due(const gw_hold_t *h, int64_t now_ns) {
    return (cell_of(h, now_ns) * h->grid_ms + h->phase_ms) * MS_NS;
}

static uint32_t phases(uint64_t clients, uint32_t interval_ms) {
    uint32_t n = PHASES_MIN;
    while (n < clients * VISIT_NS / BURST_NS) n *= 2;
    return n < interval_ms ? n : interval_ms;
}

/* --- grids ------------------------------------------------------------------------------------------- */

static uint64_t key(const gw_plane_t *p, const gw_client_t *c, uint16_t interval_ms) {
    return gw_link_key(p->clients, c, interval_ms);
}

static gw_hold_t *make(gw_plane_t *p, gw_client_t *c, uint16_t interval_ms) {
    gw_hold_t *h = calloc(1, sizeof *h);
    if (!h || gw_map_put(&p->grids, key(p, c, interval_ms), h)) {
        free(h);
        return NULL;
    }
    h->client = c;
    h->grid_ms = interval_ms;
    h->sent_ns = NEVER_NS;
    const uint32_t n = phases(++p->wheel->rates[interval_ms].clients, interval_ms);
    h->phase_ms = (uint16_t)(p->wheel->rates[interval_ms].dealt++ % n * interval_ms / n);
    h->next = c->grids;
    if (h->next) h->next->previous = h;
    c->grids = h;
    return h;
}

/* The client's grid of this interval, for one subscription more; NULL: no memory. It had the rate `before` until now, or
 * none (NULL): a change of the rate is no way to get one frame more. */
gw_hold_t *gw_grid_join(gw_plane_t *p, gw_client_t *c, uint16_t interval_ms, const gw_hold_t *before) {
    gw_hold_t *h = gw_map_get(&p->grids, key(p, c, interval_ms));
    if (!h && !(h = make(p, c, interval_ms))) return NULL;
    if (before && h->sent_ns < before->sent_ns) h->sent_ns = before->sent_ns;
    h->subs++;
    return h;
}

void gw_grid_free(gw_plane_t *p, gw_hold_t *h) {
    gw_client_t *c = h->client;
    gw_map_remove(&p->grids, key(p, c, h->grid_ms));
    p->wheel->rates[h->grid_ms].clients--;
    if (h->previous) h->previous->next = h->next;
    else c->grids = h->next;
    if (h->next) h->next->previous = h->previous;
    free(h);
}

void gw_grid_leave(gw_plane_t *p, gw_hold_t *h) {
    if (--h->subs == 0 && !h->marks.first) gw_grid_free(p, h);
}

/* --- the wheel --------------------------------------------------------------------------------------- */

static uint32_t place(int64_t ms) { return (uint32_t)ms & (GW_WHEEL_MS - 1); }

gw_holds_t *gw_wheel_slot(const gw_plane_t *p, const gw_hold_t *h) { return &p->wheel->slots[place(h->due_ns / MS_NS)]; }

void gw_wheel_note(gw_plane_t *p, const gw_hold_t *h) {
    gw_wheel_t *w = p->wheel;
    const int64_t ms = h->due_ns / MS_NS;
    const uint32_t at = place(ms);
    const uint64_t bit = UINT64_C(1) << at % 64;
    if (!w->slots[at].first) {
        w->used[at / 64] &= ~bit;
        return;
    }
    w->used[at / 64] |= bit;
    if (ms < w->next_ms) w->next_ms = ms;
}

/* The first used slot from this millisecond on, in one turn; INT64_MAX: there is none. */
static int64_t used_from(const gw_wheel_t *w, int64_t ms) {
    const uint32_t at = place(ms), words = GW_WHEEL_MS / 64;
    uint64_t bits = w->used[at / 64] >> at % 64;
    if (bits) return ms + __builtin_ctzll(bits);
    for (uint32_t i = 1; i <= words; i++)
        if ((bits = w->used[(at / 64 + i) % words])) return ms - at % 64 + i * 64 + __builtin_ctzll(bits);
    return INT64_MAX;
}

/* Which slots are used is looked for only where the one that was next is due: at most 257 words. */
gw_hold_t *gw_wheel_first(gw_plane_t *p) {
    gw_wheel_t *w = p->wheel;
    while (w->next_ms <= p->now / MS_NS) {
        gw_hold_t *h = w->slots[place(w->next_ms)].first;
        if (h && h->due_ns <= p->now) return h;
        w->next_ms = used_from(w, w->next_ms + 1);
    }
    return NULL;
}

/* A hold may have gone before its time, with its subscription or its client: then another one is next, or none. */
int64_t gw_wheel_due(gw_plane_t *p) {
    gw_wheel_t *w = p->wheel;
    if (w->next_ms < INT64_MAX) w->next_ms = used_from(w, w->next_ms);
    return w->next_ms < INT64_MAX ? w->next_ms * MS_NS : INT64_MAX;
}
