/* Tenants: who is visited first, and how much of it, while the plane is behind. */
#define RIG_PEERS 640
#define RIG_FDS 2048
#include "plane_scene.h"
#include <sys/resource.h>

#define VISITS 16 /* in a turn */

static scene_t tenants(uint32_t count, const uint16_t *weights) {
    gw_plane_options_t o = rig_options();
    o.tenants_count = count;
    memcpy(o.tenant_weights, weights, count * sizeof *weights);
    return scene_with(o);
}

static void come(scene_t *s, uint32_t tenant, unsigned clients) {
    s->rig->tenant = tenant;
    for (unsigned i = 0; i < clients; i++) {
        subscribe(s, rig_connect(s->rig), GW_BBO, "A.SIM", 1);
        if (i % 100 == 99) rig_settle(s->rig);
    }
    rig_settle(s->rig);
}

static uint64_t sends(const scene_t *s, uint32_t tenant) { return s->rig->stats->tenant_sends[tenant]; }

/* What the tenant's visits have cost: who is visited less often has more to send each time. */
static uint64_t cost(const scene_t *s, uint32_t tenant) {
    return sends(s, tenant) * (16 << 10) + s->rig->stats->tenant_bytes[tenant];
}

/* Records come in every turn, and more clients wait than a turn visits. */
static void overload(scene_t *s, unsigned turns) {
    for (unsigned i = 0; i < turns; i++) {
        rig_publish(s->rig, s->bbo);
        s->rig->now += MS;
        gw_plane_cycle(s->rig->plane);
    }
}

/* threat D15 */
static void a_plane_that_is_behind_is_shared_by_weight(void) {
    scene_t s = tenants(3, (uint16_t[]){1, 4, 2});
    come(&s, 0, 300);
    come(&s, 1, 100);
    come(&s, 2, 100);
    const uint64_t sent = s.rig->stats->sends[0], before[3] = {cost(&s, 0), cost(&s, 1), cost(&s, 2)};
    overload(&s, 700);
    CHECK_EQUAL(s.rig->stats->sends[0] - sent, 700 * VISITS); /* nobody rests while somebody waits */
    const uint64_t one = cost(&s, 0) - before[0], four = cost(&s, 1) - before[1], two = cost(&s, 2) - before[2];
    CHECK(four > 38 * one / 10 && four < 42 * one / 10);
    CHECK(two > 19 * one / 10 && two < 21 * one / 10);
    rig_settle(s.rig);
    rig_free(s.rig);
}

/* threat D15 */
static void who_has_few_clients_does_not_wait_for_who_has_many(void) {
    scene_t s = tenants(2, (uint16_t[]){1, 1});
    come(&s, 0, 600);
    come(&s, 1, 4);
    const uint64_t few = sends(&s, 1);
    for (int round = 0; round < 10; round++) {
        rig_publish(s.rig, s.bbo);
        gw_plane_cycle(s.rig->plane);
        gw_plane_cycle(s.rig->plane);
        /* 64 clients move before each visit: those of the second tenant are among the last of 604 that do. */
        CHECK_EQUAL(sends(&s, 1) - few, 4u * (unsigned)(round + 1));
        rig_settle(s.rig);
    }
    CHECK_EQUAL(sends(&s, 1) - few, 40);
    rig_free(s.rig);
}

/* What a tenant does not use is everybody's, and is not saved up. */
static void a_share_that_is_not_used_is_not_saved(void) {
    scene_t s = tenants(2, (uint16_t[]){1, 50});
    come(&s, 0, 100);
    uint64_t first = sends(&s, 0);
    overload(&s, 50);
    CHECK_EQUAL(sends(&s, 0) - first, 50 * VISITS);
    rig_settle(s.rig);
    come(&s, 1, 100);
    rig_settle(s.rig);
    CHECK(s.rig->plane->tenants[1].credit <= 50 * (64 << 10));
    rig_free(s.rig);
}

/* A round ends however long the plane is behind, so that the guard of the log knows how old waiting frames are. */
static void rounds_end_under_overload(void) {
    scene_t s = tenants(2, (uint16_t[]){1, 8});
    come(&s, 0, 200);
    come(&s, 1, 200);
    const gw_lane_t *lane = &s.rig->plane->lanes[0];
    uint64_t swept = lane->swept_index, rounds = 0;
    for (unsigned i = 0; i < 3000; i++) {
        overload(&s, 1);
        if (i % 37 == 0) { /* somebody goes, who may be the last of the round */
            const uint32_t last = s.rig->plane->tenants[i / 37 % 2].round_last;
            peer_t *peer = rig_peer(s.rig, gw_client_handle(s.rig->plane, gw_place_client(s.rig->plane, last)));
            if (peer && peer->handle) rig_remove(s.rig, peer);
            for (const gw_event_t *e; (e = gw_plane_take_event(s.rig->plane));)
                if (e->kind == GW_EVENT_REMOVED) rig_forget(s.rig, rig_peer(s.rig, e->handle));
        }
        for (uint32_t k = 0; k < s.rig->plane->clients_high; k++) { /* all who wait were touched since the round before began */
            const gw_client_t *c = &s.rig->plane->clients[k];
            uint64_t oldest;
            if (c->active && c->turn_next && gw_client_oldest(c, &oldest)) CHECK(GW_RUN_FIRST(oldest) >= lane->swept_index);
        }
        rounds += lane->swept_index != swept;
        swept = lane->swept_index;
    }
    CHECK(rounds > 12); /* each visits the 200 of the lesser tenant once, at two or fewer a turn */
    CHECK(lane->log.index - swept < 1000);
    CHECK_EQUAL(s.rig->stats->tenant_clients[0] + s.rig->stats->tenant_clients[1], s.rig->stats->clients[0]);
    CHECK(s.rig->stats->clients[0] < 400);
    rig_settle(s.rig);
    CHECK(gw_turn_empty(s.rig->plane, GW_TURN_LIVE));
    rig_check_balance(s.rig);
    rig_free(s.rig);
}

static void a_blocked_client_costs_its_tenant_nothing_while_it_waits(void) {
    scene_t s = tenants(2, (uint16_t[]){1, 1});
    come(&s, 1, 1);
    peer_t *peer = &s.rig->peers[0];
    const uint64_t others = s.rig->stats->sends[0] - sends(&s, 1), bytes = s.rig->stats->sent_bytes[0] - s.rig->stats->tenant_bytes[1];
    peer->allowed = 0;
    rig_publish(s.rig, s.bbo);
    rig_settle(s.rig);
    const int64_t credit = s.rig->plane->tenants[1].credit;
    for (int i = 0; i < 100; i++) rig_publish(s.rig, s.bbo);
    gw_plane_cycle(s.rig->plane);
    CHECK(s.rig->plane->tenants[1].credit >= credit - (17 << 10));
    peer->allowed = RIG_NO_LIMIT;
    s.rig->now += MS;
    rig_settle(s.rig);
    frame_t f;
    uint64_t last = 0;
    while (data(peer, &f, NULL)) last = f.seq;
    CHECK_EQUAL(last, 101); /* from the list of those who catch up, and counted all the same */
    CHECK_EQUAL(sends(&s, 1) + others, s.rig->stats->sends[0]); /* others: replies, which are no visits */
    CHECK_EQUAL(s.rig->stats->tenant_bytes[1] + bytes, s.rig->stats->sent_bytes[0]);
    rig_free(s.rig);
}

static void a_client_that_moves_waits_among_its_new_tenant_s(void) {
    scene_t s = tenants(2, (uint16_t[]){1, 1});
    come(&s, 0, 3);
    gw_client_t *c = &s.rig->plane->clients[(uint32_t)s.rig->peers[1].handle];
    s.rig->now += MS;
    for (int n = 0; n < 2; n++) { /* one that rests, and one that waits */
        if (n) gw_client_touch(s.rig->plane, c);
        const uint64_t before = sends(&s, !n);
        gw_command_t *x = rig_reply(GW_CMD_MOVE, s.rig->peers[1].handle, 0, 0);
        x->tenant = !n;
        rig_post(s.rig, x);
        rig_settle(s.rig);
        CHECK_EQUAL(s.rig->stats->tenant_clients[0], n ? 3 : 2);
        CHECK_EQUAL(s.rig->stats->tenant_clients[1], n ? 0 : 1);
        rig_publish(s.rig, s.bbo);
        rig_settle(s.rig);
        CHECK_EQUAL(sends(&s, !n) - before, n ? 3 : 1);
        CHECK(gw_turn_empty(s.rig->plane, GW_TURN_LIVE));
    }
    rig_free(s.rig);
}

/* What is sent to those who catch up is owed, but no more than some turns: the one visit that pays it back passes over it. */
static void a_debt_has_an_end(void) {
    scene_t s = tenants(2, (uint16_t[]){1, 1});
    come(&s, 0, 1);
    peer_t *peer = &s.rig->peers[0];
    peer->allowed = 0;
    rig_publish(s.rig, s.bbo);
    rig_settle(s.rig);
    for (int i = 0; i < 500; i++) { /* it stays blocked, and takes a byte now and then */
        peer->allowed = 1;
        s.rig->now += MS;
        gw_plane_cycle(s.rig->plane);
    }
    CHECK(peer->sends > 100);
    CHECK(s.rig->plane->tenants[0].credit < 0);
    CHECK(s.rig->plane->tenants[0].credit >= -16 * (64 << 10));
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(s.rig);
    rig_free(s.rig);
}

/* The kernel says once that a socket takes more: whoever waits with that is not passed over as one who is blocked. */
static void a_blocked_client_that_moves_is_not_forgotten(void) {
    scene_t s = tenants(2, (uint16_t[]){1, 1});
    come(&s, 0, 1);
    peer_t *peer = &s.rig->peers[0];
    gw_client_t *c = rig_client(s.rig, peer);
    peer->allowed = 0;
    rig_publish(s.rig, s.bbo);
    rig_settle(s.rig);
    CHECK(c->flags & GW_CLIENT_BLOCKED);
    gw_client_unwatch(s.rig->plane, c); /* its socket was reported ... */
    gw_turn_later(s.rig->plane, c);
    peer->allowed = RIG_NO_LIMIT;
    gw_command_t *x = rig_reply(GW_CMD_MOVE, peer->handle, 0, 0); /* ... and before its visit it moves */
    x->tenant = 1;
    rig_post(s.rig, x);
    rig_settle(s.rig);
    CHECK(!(c->flags & GW_CLIENT_BLOCKED));
    frame_t f;
    CHECK(data(peer, &f, NULL));
    rig_free(s.rig);
}

static void tenants_are_checked(void) {
    scene_t s = tenants(2, (uint16_t[]){1, 1});
    gw_command_t *x = rig_reply(GW_CMD_ADD, gw_plane_slot(s.rig->plane), 0, 0);
    x->tenant = 2;
    CHECK_EQUAL(gw_plane_post(s.rig->plane, x), -EINVAL);
    const uint16_t weights[] = {1, 0, GW_TENANT_WEIGHT_MAX, GW_TENANT_WEIGHT_MAX + 1};
    CHECK(gw_tenants_valid(0, weights) && gw_tenants_valid(1, weights) && gw_tenants_valid(1, weights + 2));
    CHECK(!gw_tenants_valid(2, weights) && !gw_tenants_valid(2, weights + 2) && !gw_tenants_valid(GW_TENANTS_MAX + 1, weights));
    rig_free(s.rig);
}

int main(void) {
    struct rlimit files = {RIG_FDS, RIG_FDS};
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &files), 0);
    RUN(a_plane_that_is_behind_is_shared_by_weight);
    RUN(who_has_few_clients_does_not_wait_for_who_has_many);
    RUN(a_share_that_is_not_used_is_not_saved);
    RUN(rounds_end_under_overload);
    RUN(a_blocked_client_costs_its_tenant_nothing_while_it_waits);
    RUN(a_client_that_moves_waits_among_its_new_tenant_s);
    RUN(a_debt_has_an_end);
    RUN(a_blocked_client_that_moves_is_not_forgotten);
    RUN(tenants_are_checked);
    return 0;
}
