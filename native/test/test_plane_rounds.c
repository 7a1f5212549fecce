/* Rounds over more clients than a turn looks at: each turn's share, and that all come. */
#define RIG_PEERS 1200
#define RIG_FDS 4096
#include "plane_scene.h"
#include <sys/resource.h>

/* Clients of a conflated topic whose sockets are all full. */
static scene_t blocked(unsigned clients, peer_t **peers) {
    gw_plane_options_t o = rig_options();
    o.enforce = 1;
    scene_t s = scene_with(o);
    for (unsigned i = 0; i < clients; i++) {
        peers[i] = rig_connect(s.rig);
        subscribe(&s, peers[i], GW_BBO, "A.SIM", 1);
        if (i % 100 == 99) rig_settle(s.rig);
    }
    rig_settle(s.rig);
    for (unsigned i = 0; i < clients; i++) peers[i]->allowed = 0;
    rig_publish(s.rig, s.bbo);
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->stats->clients_blocked[0], clients);
    while (gw_plane_cycle(s.rig->plane)) { /* the round under way ends */
    }
    return s;
}

static unsigned closes(scene_t *s) { return rig_events(s->rig, GW_EVENT_CLOSE); }

/* A turn without time: the next slice, and no new round. */
static void turn(scene_t *s) { gw_plane_cycle(s->rig->plane); }

static void limits_of_the_blocked_are_looked_at_in_slices(void) {
    peer_t *peers[1200];
    scene_t s = blocked(1200, peers);
    closes(&s);
    s.rig->now += 121 * INT64_C(1000000000);
    uint64_t before = s.rig->stats->steps_resumed[GW_STEP_ROUNDS];
    turn(&s); /* counting takes 1,200 looks and one to see the end: two slices and a part */
    CHECK_EQUAL(s.rig->stats->steps_resumed[GW_STEP_ROUNDS], before + 1);
    CHECK_EQUAL(closes(&s), 0);
    turn(&s);
    CHECK_EQUAL(closes(&s), 0);
    turn(&s);
    unsigned n = closes(&s);
    CHECK(n > 0 && n < 512);
    gw_client_t *next = s.rig->plane->blocked_at; /* it goes just when it is to be looked at */
    rig_remove(s.rig, rig_peer(s.rig, gw_client_handle(s.rig->plane, next)));
    turn(&s);
    unsigned more = closes(&s);
    CHECK(more > 20 && more <= 512 / 16); /* each counts for seventeen looks */
    for (int i = 0; i < 50; i++) turn(&s);
    CHECK_EQUAL(n + more + closes(&s), 1199);
    rig_free(s.rig);
}

static void sockets_beyond_those_noted_in_a_turn_are_counted(void) {
    peer_t *peers[300];
    scene_t s = blocked(300, peers);
    const uint64_t *resumed = s.rig->stats->steps_resumed;
    uint64_t before = resumed[GW_STEP_SOCKETS];
    s.rig->now += MS;
    turn(&s);
    CHECK_EQUAL(resumed[GW_STEP_SOCKETS], before + 1); /* 256 of the 300 */
    s.rig->now += MS;
    turn(&s);
    CHECK_EQUAL(resumed[GW_STEP_SOCKETS], before + 1);
    rig_free(s.rig);
}

static void a_step_of_the_ladder_comes_to_all_in_slices(void) {
    peer_t *peers[1200];
    scene_t s = blocked(1200, peers);
    gw_plane_t *p = s.rig->plane;
    p->ladder.interval[1] = 3;
    p->refresh_next = 0; /* as announce() does */
    turn(&s);
    CHECK_EQUAL(p->refresh_next, 1024);
    unsigned told = 0;
    for (uint32_t i = 0; i < p->clients_high; i++) told += (p->clients[i].flags & GW_CLIENT_TELL) != 0;
    CHECK_EQUAL(told, 1024);
    turn(&s);
    told = 0;
    for (uint32_t i = 0; i < p->clients_high; i++) told += (p->clients[i].flags & GW_CLIENT_TELL) != 0;
    CHECK_EQUAL(told, 1200);
    rig_free(s.rig);
}

/* The guard comes to each client while a sixteenth of the log is written, a few at a time. */
static void the_guard_of_the_log_comes_to_all_in_slices(void) {
    peer_t *peers[1200];
    scene_t s = blocked(1200, peers);
    gw_plane_t *p = s.rig->plane;
    const uint64_t end = p->lanes[0].log.position + p->lanes[0].log.size / 16 + p->lanes[0].log.size / 1024;
    uint8_t seen[1200] = {0};
    uint32_t last = p->lanes[0].guard_next;
    while (p->lanes[0].log.position < end) {
        rig_filler(p, 1 + p->lanes[0].log.index % 500);
        uint32_t looks = (p->lanes[0].guard_next + 1200 - last) % 1200;
        CHECK(looks <= 2 * (1200 / 64 + 1));
        for (; last != p->lanes[0].guard_next; last = (last + 1) % 1200) seen[last] = 1;
        if (p->lanes[0].guard_next == 1200) last = p->lanes[0].guard_next = 0;
    }
    unsigned n = 0;
    for (int i = 0; i < 1200; i++) n += seen[i];
    CHECK(n >= 1180); /* the last slice may be just due */
    rig_free(s.rig);
}

int main(void) {
    struct rlimit files;
    CHECK(!getrlimit(RLIMIT_NOFILE, &files));
    files.rlim_cur = files.rlim_max;
    CHECK(!setrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur >= RIG_FDS);
    RUN(limits_of_the_blocked_are_looked_at_in_slices);
    RUN(sockets_beyond_those_noted_in_a_turn_are_counted);
    RUN(a_step_of_the_ladder_comes_to_all_in_slices);
    RUN(the_guard_of_the_log_comes_to_all_in_slices);
    return 0;
}
