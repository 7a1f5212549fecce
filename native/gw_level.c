/* The level of one connection: a client that does not keep up gets less, before it is too late.
 *
 * CoDel on age (RFC 8289 section 4): its oldest undelivered update is looked at while its socket takes
 * nothing more. Where the least age over 100 ms is above the target, and above what the other clients
 * of the worker see by the target, the client goes one level down; after a second of calm one up.
 *
 *     0 live   1 an update every 20 ms   2 every 100 ms   3 what is newest when the socket has drained
 *
 * Levels are about conflated topics. A lossless one is kept whole until its bounds close it (4008). */
#include "gw_plane_internal.h"
#include <stdio.h>

#define INTERVAL_NS 100000000
#define CALM_INTERVALS 10
#define RELAPSES_MAX 5u           /* the calm before a level up doubles with each relapse, up to 32 s */
#define RELAPSE_NS 10000000000
#define CLIENTS_FOR_MEDIAN 4u     /* fewer have no middle to speak of */

static const char *const actions[GW_LEVELS] = {"live", "conflate", "conflate", "snapshot"};
static const int interval_ms[GW_LEVELS] = {0, 20, 100, 250};

/* Of its oldest undelivered update, as long as the socket has been full; 0: nothing waits for it. */
static int64_t age(const gw_plane_t *p, const gw_client_t *c) {
    int64_t oldest = INT64_MAX;
    if (c->rest.bytes && c->rest.counts) oldest = c->rest.taken_ns;
    if (c->dirty_first && c->dirty_first->dirty != GW_LINK_SNAPSHOT && c->dirty_first->dirty_taken_ns < oldest)
        oldest = c->dirty_first->dirty_taken_ns;
    if (oldest == INT64_MAX) return 0;
    return p->now - (oldest > c->blocked_ns ? oldest : c->blocked_ns);
}

static void unlist(gw_plane_t *p, gw_client_t *c) {
    if (c->degraded_previous) c->degraded_previous->degraded_next = c->degraded_next;
    else p->degraded = c->degraded_next;
    if (c->degraded_next) c->degraded_next->degraded_previous = c->degraded_previous;
    c->degraded_previous = c->degraded_next = NULL;
}

static void list(gw_plane_t *p, gw_client_t *c) {
    c->degraded_previous = NULL;
    c->degraded_next = p->degraded;
    if (p->degraded) p->degraded->degraded_previous = c;
    p->degraded = c;
}

void gw_level_forget(gw_plane_t *p, gw_client_t *c) {
    if (c->level) unlist(p, c);
    gw_count(&p->stats->levels[c->level], (uint64_t)-1);
    c->level = 0;
}

static void set(gw_plane_t *p, gw_client_t *c, uint8_t level, int64_t waited) {
    uint8_t was = c->level;
    if (!was) list(p, c);
    c->level = level;
    if (!level) unlist(p, c);
    gw_count(&p->stats->levels[was], (uint64_t)-1);
    gw_count(&p->stats->levels[level], 1);
    gw_count(level > was ? &p->stats->level_down[0] : &p->stats->level_up[0], 1);
    c->level_ns = p->now;
    for (gw_link_t *l = c->dirty_first; l && level == GW_LEVELS - 1; l = l->dirty_next)
        if (l->dirty == GW_LINK_UPDATE) l->dirty = GW_LINK_RESYNC;
    gw_client_refresh(p, c);
    char text[256];
    int n = snprintf(text, sizeof text,
                     "{\"channel\":\"system\",\"type\":\"slow\",\"data\":[{\"level\":%u,\"was\":%u,\"action\":\"%s\","
                     "\"interval_ms\":%d,\"age_ms\":%lld}]}",
                     level, was, actions[level], interval_ms[level], (long long)(waited / 1000000));
    if (!gw_client_control_text(p, c, text, (size_t)n) && !(c->flags & GW_CLIENT_BLOCKED)) gw_client_touch(p, c);
    gw_event_t *e = gw_event_new(GW_EVENT_LEVEL, gw_client_handle(p, c), 0);
    if (!e) return;
    e->code = level;
    e->error = was;
    if (level > was)
        snprintf(e->reason, sizeof e->reason, "its oldest update waited %lld ms for its socket",
                 (long long)(waited / 1000000));
    else snprintf(e->reason, sizeof e->reason, "calm for %lld ms", (long long)(waited / 1000000));
    gw_event_put(p, e);
}

/* Whether more than half of the clients are behind: then it is not they who are slow. */
static int all_behind(const gw_plane_t *p) {
    uint64_t clients = p->stats->clients[0], behind = 0;
    if (clients < CLIENTS_FOR_MEDIAN || p->blocked_count * 2 <= clients) return 0;
    for (const gw_client_t *c = p->blocked; c; c = c->blocked_next) behind += age(p, c) > p->o.target_ns;
    return behind * 2 > clients;
}

static void down(gw_plane_t *p, gw_client_t *c, int64_t waited) {
    if (c->level == GW_LEVELS - 1) return;
    if (c->went_up && p->now - c->level_ns > RELAPSE_NS) c->relapses = 0;
    else if (c->went_up && c->relapses < RELAPSES_MAX) c->relapses++;
    c->went_up = 0;
    set(p, c, (uint8_t)(c->level + 1), waited);
}

/* Every 20 ms while somebody is blocked: who has been behind for 100 ms without a break. */
void gw_levels_down(gw_plane_t *p) {
    int everybody = all_behind(p);
    for (gw_client_t *c = p->blocked; c; c = c->blocked_next) {
        if ((c->flags & (GW_CLIENT_DOOMED | GW_CLIENT_GONE)) || !c->conflated_links) continue;
        int64_t waited = age(p, c);
        if (everybody || waited <= p->o.target_ns) {
            c->above_ns = 0;
        } else if (!c->above_ns) {
            c->above_ns = p->now;
        } else if (p->now - c->above_ns >= INTERVAL_NS) {
            c->above_ns = p->now;
            down(p, c, waited);
        }
        if (waited > p->o.target_ns) c->calm_ns = 0; /* whoever is to blame */
    }
}

void gw_levels_up(gw_plane_t *p) {
    for (gw_client_t *c = p->degraded, *next; c; c = next) {
        next = c->degraded_next;
        if (c->flags & (GW_CLIENT_DOOMED | GW_CLIENT_GONE)) continue;
        if (!c->calm_ns) c->calm_ns = p->now;
        int64_t calm = p->now - c->calm_ns;
        if (calm < (int64_t)CALM_INTERVALS * INTERVAL_NS << c->relapses) continue;
        c->calm_ns = p->now;
        c->went_up = 1;
        set(p, c, (uint8_t)(c->level - 1), calm);
    }
}

/* Nobody was behind: we were, for so long. */
void gw_levels_forgive(gw_plane_t *p, int64_t stalled_ns) {
    for (gw_client_t *c = p->blocked; c; c = c->blocked_next) c->above_ns = 0;
    for (gw_client_t *c = p->degraded; c; c = c->degraded_next)
        if (c->calm_ns) c->calm_ns += stalled_ns;
}
