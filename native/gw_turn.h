/* Clients that wait for a visit: the lists that they stand in. */
#ifndef GW_TURN_H
#define GW_TURN_H
#include "gw_plane_types.h"

/* Whom a slice of visits comes to next: GW_TURN_LIVE has those with news, oldest touch first; GW_TURN_BULK
 * those whose backlog took more than one visit; GW_TURN_REPLAY those who get what they missed; from GW_TURN_TENANTS on
 * each tenant has one. Each list is a ring through a sentinel of its own, in front of the clients, where the stand-in of
 * gw_tenant.c is the last. A place counts cache lines from the one before these on, so that 0 is none. */
enum { GW_TURN_LIVE, GW_TURN_BULK, GW_TURN_REPLAY, GW_TURN_TENANTS, GW_TURNS = GW_TURN_TENANTS + GW_TENANTS_MAX };
#define GW_PLACES_BEFORE (GW_TURNS + 2u) /* clients in front of the first one */

static inline gw_client_t *gw_place_client(const gw_plane_t *p, uint32_t place) {
    return (gw_client_t *)(void *)((char *)(p->clients - GW_PLACES_BEFORE) + (size_t)place * 64);
}

static inline uint32_t gw_client_place(const gw_plane_t *p, const gw_client_t *c) {
    return (uint32_t)((size_t)((const char *)c - (const char *)(p->clients - GW_PLACES_BEFORE)) / 64);
}

static inline uint32_t gw_turn_sentinel(unsigned list) { return (uint32_t)((list + 1) * (sizeof(gw_client_t) / 64)); }

static inline int gw_turn_empty(const gw_plane_t *p, unsigned list) {
    return gw_place_client(p, gw_turn_sentinel(list))->turn_next == gw_turn_sentinel(list);
}

/* Where a client waits that has more than a visit takes, or takes more again. */
static inline unsigned gw_turn_again(const gw_client_t *c) { return c->flags & GW_CLIENT_REPLAYS ? GW_TURN_REPLAY : GW_TURN_BULK; }

static inline void gw_turn_wait(gw_plane_t *p, unsigned list, gw_client_t *c) {
    uint32_t place = gw_client_place(p, c);
    gw_client_t *end = gw_place_client(p, gw_turn_sentinel(list));
    c->turn_next = gw_turn_sentinel(list);
    c->turn_previous = end->turn_previous;
    gw_place_client(p, end->turn_previous)->turn_next = place;
    end->turn_previous = place;
}

static inline void gw_client_touch(gw_plane_t *p, gw_client_t *c) {
    if (!c->turn_next) gw_turn_wait(p, GW_TURN_LIVE, c);
}

static inline void gw_client_untouch(gw_plane_t *p, gw_client_t *c) {
    if (!c->turn_next) return;
    if (p->round_last == gw_client_place(p, c)) p->round_last = c->turn_previous;
    gw_place_client(p, c->turn_previous)->turn_next = c->turn_next;
    gw_place_client(p, c->turn_next)->turn_previous = c->turn_previous;
    c->turn_next = 0;
}

/* The same of any list, a tenant's among them. */
static inline void gw_client_leave(gw_plane_t *p, gw_client_t *c) {
    gw_tenant_t *t = &p->tenants[c->tenant];
    if (t->round_last == gw_client_place(p, c)) t->round_last = c->turn_previous;
    gw_client_untouch(p, c);
}

/* It waits to go on, in whatever list it stands: its socket takes more. */
static inline void gw_turn_later(gw_plane_t *p, gw_client_t *c) {
    gw_client_leave(p, c);
    gw_turn_wait(p, gw_turn_again(c), c);
}

#endif
