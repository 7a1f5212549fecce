/* Visits by tenants' weights: deficit round robin.
 *
 * Without tenants clients are visited in the order in which they were touched, so of a plane that is behind a tenant has what its
 * number of clients gets it. With them GW_TURN_LIVE, where routing puts whoever is touched, is only where clients come in: each
 * visit first moves some from there to the lists of their tenants, then serves the client that is next by weight. A tenant's turn
 * begins with a credit, its weight times GW_TENANT_CREDIT; each visit costs what a send does (GW_TENANT_VISIT) and its bytes; the
 * turn is over once nothing of the credit is left, or nobody waits. What was spent beyond is owed, and so is what those who catch
 * up were sent, up to GW_TENANT_DEBT turns. So nobody rests while somebody waits, and a tenant of one client is behind each other tenant by one turn, however many clients those have.
 *
 * Others ask whether anybody waits by looking at GW_TURN_LIVE: so while a tenant's list has clients a stand-in, which is no
 * client, is its first.
 *
 * A round (gw_plane.c) is over once all who waited when it began have been visited. They are the first in each list: in
 * GW_TURN_LIVE up to plane->round_last, in a tenant's list up to its own round_last. */
#include "gw_plane_internal.h"

#define GW_TENANT_VISIT (16u << 10)  /* a send of few bytes takes as long as so many more in one send */
#define GW_TENANT_CREDIT (64u << 10) /* of weight 1: four small sends */
#define GW_TENANT_DEBT 16 /* turns that are owed at the most: the plane passes over a tenant as often, in one visit */
#define MOVES 64u                    /* clients moved before a visit: some 10 ns each */

static gw_client_t *stand_in(const gw_plane_t *p) { return gw_place_client(p, gw_turn_sentinel(GW_TURNS)); }

static unsigned list_of(uint32_t tenant) { return GW_TURN_TENANTS + tenant; }

static gw_client_t *first_of(const gw_plane_t *p, unsigned list) {
    return gw_place_client(p, gw_place_client(p, gw_turn_sentinel(list))->turn_next);
}

static void turn_first(gw_plane_t *p, unsigned list, gw_client_t *c) {
    const uint32_t place = gw_client_place(p, c);
    gw_client_t *const end = gw_place_client(p, gw_turn_sentinel(list));
    c->turn_previous = gw_turn_sentinel(list);
    c->turn_next = end->turn_next;
    gw_place_client(p, end->turn_next)->turn_previous = place;
    end->turn_next = place;
}

int gw_tenants_valid(uint32_t count, const uint16_t *weights) {
    if (count > GW_TENANTS_MAX) return 0;
    for (uint32_t i = 0; i < count; i++)
        if (!weights[i] || weights[i] > GW_TENANT_WEIGHT_MAX) return 0;
    return 1;
}

void gw_tenants_init(gw_plane_t *p) {
    for (uint32_t i = 0; i < GW_TENANTS_MAX; i++) p->tenants[i].round_last = gw_turn_sentinel(list_of(i));
}

/* Clients in GW_TURN_LIVE go to the lists of their tenants. */
static void move(gw_plane_t *p) {
    gw_client_untouch(p, stand_in(p));
    for (uint32_t n = 0; n < MOVES && !gw_turn_empty(p, GW_TURN_LIVE); n++) {
        gw_client_t *c = first_of(p, GW_TURN_LIVE);
        const int of_round = p->round_last != gw_turn_sentinel(GW_TURN_LIVE);
        gw_client_untouch(p, c);
        gw_turn_wait(p, list_of(c->tenant), c);
        if (of_round) p->tenants[c->tenant].round_last = gw_client_place(p, c);
    }
}

static int64_t turn_credit(const gw_plane_t *p, uint32_t tenant) { return (int64_t)p->o.tenant_weights[tenant] * GW_TENANT_CREDIT; }

/* The tenant whose turn it is, GW_TENANTS_MAX where nobody waits. One that owes much gets a turn's credit each time it is passed. */
static uint32_t next(gw_plane_t *p) {
    uint32_t empty = 0;
    while (empty < p->o.tenants_count) {
        gw_tenant_t *t = &p->tenants[p->tenant_at];
        const int waits = !gw_turn_empty(p, list_of(p->tenant_at));
        if (waits && t->credit > 0) return p->tenant_at;
        empty = waits ? 0 : empty + 1;
        if (!waits && t->credit > 0) t->credit = 0; /* nothing is saved up */
        if (++p->tenant_at == p->o.tenants_count) p->tenant_at = 0;
        p->tenants[p->tenant_at].credit += turn_credit(p, p->tenant_at);
    }
    return GW_TENANTS_MAX;
}

/* Whether all who waited when the round began have been visited; then another one is about to begin. */
static int round_ends(gw_plane_t *p) {
    if (p->round_last != gw_turn_sentinel(GW_TURN_LIVE)) return 0;
    for (uint32_t i = 0; i < p->o.tenants_count; i++)
        if (p->tenants[i].round_last != gw_turn_sentinel(list_of(i))) return 0;
    for (uint32_t i = 0; i < p->o.tenants_count; i++)
        p->tenants[i].round_last = gw_place_client(p, gw_turn_sentinel(list_of(i)))->turn_previous;
    return 1;
}

/* The stand-in is the first of GW_TURN_LIVE, if there is a client for it to stand for. */
static void stand(gw_plane_t *p) {
    uint32_t i = 0;
    while (i < p->o.tenants_count && gw_turn_empty(p, list_of(i))) i++;
    if (i == p->o.tenants_count) return;
    turn_first(p, GW_TURN_LIVE, stand_in(p));
}

size_t gw_tenant_flush(gw_plane_t *p, gw_client_t *c, size_t room) {
    const uint64_t sends = p->stats->sends[0], bytes = p->stats->sent_bytes[0];
    const size_t offered = room == GW_ROOM_IN_PLACE ? gw_client_flush(p, c) : gw_client_flush_within(p, c, room);
    gw_count(&p->stats->tenant_sends[c->tenant], p->stats->sends[0] - sends);
    gw_count(&p->stats->tenant_bytes[c->tenant], p->stats->sent_bytes[0] - bytes);
    if (offered) {
        gw_tenant_t *t = &p->tenants[c->tenant];
        const int64_t least = -GW_TENANT_DEBT * turn_credit(p, c->tenant);
        t->credit -= (int64_t)(offered + GW_TENANT_VISIT);
        if (t->credit < least) t->credit = least;
    }
    return offered;
}

size_t gw_tenants_visit(gw_plane_t *p, int *over) {
    size_t offered = 0;
    move(p);
    const uint32_t tenant = next(p);
    if (tenant < GW_TENANTS_MAX) {
        gw_client_t *c = first_of(p, list_of(tenant));
        gw_client_leave(p, c);
        if (!(c->flags & GW_CLIENT_BLOCKED)) offered = gw_tenant_flush(p, c, GW_ROOM_IN_PLACE);
    }
    *over = round_ends(p);
    stand(p);
    return offered;
}

/* Who waits goes to the front of GW_TURN_LIVE, as one of the round: what it waits with may be older than the round is. Not so a
 * blocked one: there it would be passed over, and the kernel says but once that its socket takes more. */
void gw_tenant_move(gw_plane_t *p, gw_client_t *c, uint32_t tenant) {
    if (c->tenant == tenant) return;
    const int waits = c->turn_next != 0;
    gw_client_leave(p, c);
    gw_count(&p->stats->tenant_clients[c->tenant], (uint64_t)-1);
    c->tenant = (uint8_t)tenant;
    gw_count(&p->stats->tenant_clients[c->tenant], 1);
    if (waits && c->flags & GW_CLIENT_BLOCKED) gw_turn_later(p, c);
    if (!waits || c->flags & GW_CLIENT_BLOCKED) return;
    turn_first(p, GW_TURN_LIVE, c);
    if (p->round_last == gw_turn_sentinel(GW_TURN_LIVE)) p->round_last = gw_client_place(p, c);
}

int64_t gw_tenants_oldest(const gw_plane_t *p, int64_t since) {
    for (uint32_t i = 0; i < p->o.tenants_count; i++) {
        if (gw_turn_empty(p, list_of(i))) continue;
        const gw_client_t *c = first_of(p, list_of(i));
        const int64_t taken_ns = c->runs_count ? gw_frame_at(p, c->runs[c->runs_head])->taken_ns : since;
        if (taken_ns < since) since = taken_ns;
    }
    return since;
}
