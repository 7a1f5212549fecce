/* Instruments that end, and come back: who is told, when, and what one turn does of it. */
#define RIG_PEERS 400
#define RIG_FDS 2048
#include "plane_scene.h"

#define MANY 1500
#define LINKS_A_TURN (GW_UNITS_TURN / GW_UNITS_LINK)

static rig_t *rig_with(uint64_t ring_bytes) {
    gw_plane_options_t o = rig_options();
    o.clients_max = RIG_PEERS;
    o.lossless_max_age_ns = INT64_C(1) << 60; /* nobody here is closed for being stopped */
    rig_t *rig = rig_new(o);
    rig_segment(rig, ring_bytes, 4096);
    return rig;
}

static peer_t *client(rig_t *rig, uint8_t channel, const char *name, bool lossless) {
    peer_t *peer = rig_connect(rig);
    gw_item_t x = item(7, channel, name, lossless, true);
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    peer->read = peer->length;
    return peer;
}

static void expect_kind(peer_t *peer, frame_kind_t kind, const char *name) {
    frame_t f;
    CHECK(peer_frame(peer, &f));
    CHECK_EQUAL(f.kind, kind);
    CHECK(!strcmp(f.name, name));
}

static void expect_snapshot(peer_t *peer, const char *name, uint64_t seq, uint64_t skipped) {
    frame_t f;
    CHECK(peer_frame(peer, &f));
    CHECK(f.kind == DATA && f.snapshot && !strcmp(f.name, name));
    CHECK_EQUAL(f.seq, seq);
    CHECK_EQUAL(f.skipped, skipped);
}

static void an_end_is_told_once_behind_the_last_record(void) {
    rig_t *rig = rig_with(1 << 20);
    unsigned a = rig_topic(rig, GW_TRADE, "A.SIM");
    rig_publish(rig, a);
    peer_t *told[] = {client(rig, GW_TRADE, "A.SIM", true), client(rig, GW_TRADE, "A.SIM", false),
                      client(rig, GW_TRADE, "*", true), client(rig, GW_TRADE, "A*", false)};
    peer_t *waits = client(rig, GW_TRADE, "B.SIM", true), *other = client(rig, GW_BBO, "*", true);
    peer_t *left = client(rig, GW_TRADE, "A.SIM", true);
    uint32_t id = 7;
    rig_unsubscribe(rig, left, 2, &id, 1);
    rig_settle(rig);
    left->read = left->length;
    rig_publish(rig, a);
    CHECK(rig_retire(rig, a));
    for (int i = 0; i < 3; i++) pass(&(scene_t){.rig = rig}, 100 * MS);
    for (unsigned i = 0; i < 4; i++) {
        expect_kind(told[i], DATA, "A.SIM");
        expect_kind(told[i], RETIRED, "A.SIM");
        CHECK(peer_whole(told[i]));
    }
    CHECK(peer_whole(waits) && peer_whole(other) && peer_whole(left));
    CHECK_EQUAL(rig->stats->links[0], 3); /* of names: both of A, and what waits */
    rig_publish(rig, a);
    rig_settle(rig);
    for (unsigned i = 0; i < 4; i++) expect_snapshot(told[i], "A.SIM", 1, 0);
    rig_check_balance(rig);
    rig_free(rig);
}

/* Their sockets are full while it ends, comes back and ends again. */
static void a_blocked_client_gets_it_in_its_place(void) {
    rig_t *rig = rig_with(1 << 20);
    unsigned a = rig_topic(rig, GW_BBO, "A.SIM");
    rig_publish(rig, a);
    peer_t *newest = client(rig, GW_BBO, "A.SIM", false), *all = client(rig, GW_BBO, "*", true);
    newest->allowed = all->allowed = 0;
    for (int i = 0; i < 3; i++) rig_publish(rig, a); /* 2 to 4 */
    rig_settle(rig);
    rig_retire(rig, a);
    rig_settle(rig);
    rig_publish(rig, a);
    rig_publish(rig, a);
    rig_settle(rig);
    newest->allowed = all->allowed = RIG_NO_LIMIT;
    pass(&(scene_t){.rig = rig}, 50 * MS);
    expect_kind(newest, RETIRED, "A.SIM");
    expect_snapshot(newest, "A.SIM", 2, 1); /* of the one before, nothing: its 2 to 4 were conflated */
    CHECK(peer_whole(newest));
    for (int i = 0; i < 3; i++) expect_kind(all, DATA, "A.SIM");
    expect_kind(all, RETIRED, "A.SIM");
    expect_snapshot(all, "A.SIM", 1, 0);
    expect_kind(all, DATA, "A.SIM");
    CHECK(peer_whole(all));
    CHECK_EQUAL(rig->stats->conflated[GW_BBO], 4);
    rig_free(rig);
}

/* The ring was overrun: of the end there is only what the directory says. */
static void an_end_is_seen_by_a_lap(void) {
    for (int reused = 0; reused < 2; reused++) {
        rig_t *rig = rig_with(4096); /* 31 records */
        unsigned a = rig_topic(rig, GW_TRADE, "A.SIM"), b = rig_topic(rig, GW_TRADE, "B.SIM");
        unsigned n = rig_topic(rig, GW_TRADE, "N.SIM");
        rig_publish(rig, a);
        rig_publish(rig, b);
        peer_t *name = client(rig, GW_TRADE, "A.SIM", true), *pattern = client(rig, GW_TRADE, "*", true);
        rig_retire(rig, a);
        for (int i = 0; i < 40; i++) rig_publish(rig, b);
        if (reused) {
            rig_publish(rig, n); /* the place of the first, whose end no reader can take any more */
            CHECK_EQUAL(rig->topics[n].id, 0);
        }
        pass(&(scene_t){.rig = rig}, 10 * MS);
        CHECK_EQUAL(rig->stats->ring_lapped[0], 1);
        expect_kind(name, RETIRED, "A.SIM");
        CHECK(peer_whole(name));
        frame_t f;
        unsigned ends = 0, news = 0;
        while (peer_frame(pattern, &f)) {
            ends += f.kind == RETIRED;
            if (f.kind == RETIRED) CHECK(!strcmp(f.name, "A.SIM"));
            if (f.kind == DATA && !strcmp(f.name, "A.SIM")) CHECK(!"a record of what has ended");
            news += f.kind == DATA && !strcmp(f.name, "N.SIM") && f.seq == 1;
        }
        CHECK_EQUAL(ends, 1);
        CHECK_EQUAL(news, (unsigned)reused);
        rig_publish(rig, a); /* back, and at another place */
        rig_settle(rig);
        expect_snapshot(name, "A.SIM", 1, 0);
        rig_check_balance(rig);
        rig_free(rig);
    }
}

/* A name goes to an earlier place of the directory while the ring is overrun: its state is found there. */
static void a_lap_finds_a_name_at_another_place(void) {
    rig_t *rig = rig_with(4096);
    unsigned z = rig_topic(rig, GW_TRADE, "Z.SIM"), a = rig_topic(rig, GW_TRADE, "A.SIM");
    unsigned b = rig_topic(rig, GW_TRADE, "B.SIM");
    rig_publish(rig, z);
    rig_publish(rig, a);
    rig_publish(rig, b);
    peer_t *name = client(rig, GW_TRADE, "A.SIM", true);
    rig_retire(rig, z);
    rig_settle(rig);
    rig_retire(rig, a);
    rig_publish(rig, a); /* at the first's place */
    CHECK_EQUAL(rig->topics[a].id, 0);
    for (int i = 0; i < 40; i++) rig_publish(rig, b);
    pass(&(scene_t){.rig = rig}, 10 * MS);
    CHECK_EQUAL(rig->stats->ring_lapped[0], 1);
    expect_kind(name, RETIRED, "A.SIM");
    expect_snapshot(name, "A.SIM", 1, 0);
    CHECK(peer_whole(name));
    rig_free(rig);
}

/* A worker that takes nothing for longer than the writer waits: places go on to others meanwhile. */
static void a_worker_that_stood_still_mixes_nothing_up(void) {
    rig_t *rig = rig_with(1 << 20);
    unsigned a = rig_topic(rig, GW_TRADE, "A.SIM"), b = rig_topic(rig, GW_TRADE, "B.SIM");
    unsigned c = rig_topic(rig, GW_TRADE, "C.SIM");
    rig_publish(rig, a);
    peer_t *name = client(rig, GW_TRADE, "A.SIM", true), *pattern = client(rig, GW_TRADE, "*", true);
    peer_t *waits = client(rig, GW_TRADE, "C.SIM", true);
    rig_publish(rig, a);
    rig_retire(rig, a);
    rig_register(rig, b);
    CHECK_EQUAL(rig->topics[b].id, 1); /* it has not let go of the first's yet */
    rig_retire(rig, b);
    rig->now += GW_RETIRED_WAIT_NS;
    rig->stopped += GW_RETIRED_WAIT_NS;
    rig_publish(rig, c);
    CHECK_EQUAL(rig->topics[c].id, 0);
    rig_publish(rig, c);
    rig_publish(rig, a);
    CHECK_EQUAL(rig->topics[a].id, 1);
    pass(&(scene_t){.rig = rig}, 200 * MS);
    CHECK_EQUAL(rig->stats->ring_lapped[0], 0);
    expect_kind(name, DATA, "A.SIM");
    expect_kind(name, RETIRED, "A.SIM");
    expect_snapshot(name, "A.SIM", 1, 0);
    CHECK(peer_whole(name));
    expect_snapshot(waits, "C.SIM", 1, 0);
    expect_kind(waits, DATA, "C.SIM");
    CHECK(peer_whole(waits));
    static const char *const order[] = {"A.SIM", "A.SIM", "C.SIM", "C.SIM", "A.SIM"};
    for (unsigned i = 0; i < 5; i++) expect_kind(pattern, i == 1 ? RETIRED : DATA, order[i]);
    CHECK(peer_whole(pattern));
    rig_check_balance(rig);
    rig_free(rig);
}

/* Thousands end at once, beside many clients of `*`: each turn does its share. */
static void ends_are_done_in_slices(void) {
    rig_t *rig = rig_with(1 << 22);
    const unsigned clients = 60;
    static peer_t *peers[60];
    for (unsigned i = 0; i < MANY; i++) rig_publish(rig, rig_named(rig, GW_BBO, "S%u.SIM", i));
    rig_settle(rig);
    for (unsigned i = 0; i < clients; i++) {
        gw_item_t x = item(7, GW_BBO, "*", true, false);
        peers[i] = rig_connect(rig);
        rig_subscribe(rig, peers[i], 1, &x, 1);
    }
    while (rig->stats->links[0] < clients * MANY) pass(&(scene_t){.rig = rig}, MS);
    rig_settle(rig);
    for (unsigned i = 0; i < clients; i++) peers[i]->read = peers[i]->length;
    for (unsigned i = 0; i < MANY; i++) rig_retire(rig, i);
    uint64_t most_frames = 0, most_links = 0, turns = 0;
    for (; rig->stats->links[0] || rig->plane->retiring; turns++) {
        const uint64_t frames = rig->plane->lanes[0].log.index, links = rig->stats->links[0];
        CHECK(turns < 100000);
        rig->now += MS;
        gw_plane_cycle(rig->plane);
        if (rig->plane->lanes[0].log.index - frames > most_frames) most_frames = rig->plane->lanes[0].log.index - frames;
        if (links - rig->stats->links[0] > most_links) most_links = links - rig->stats->links[0];
    }
    /* A topic's end is a record's work: so many pushes a turn; its links end by the round, in units. */
    CHECK(most_frames <= 32768 / (clients + 16) + 2);
    CHECK(most_links > 0 && most_links <= LINKS_A_TURN);
    CHECK(turns >= clients * MANY / LINKS_A_TURN);
    CHECK(rig->stats->steps_resumed[GW_STEP_ROUNDS] > 0 && rig->stats->steps_resumed[GW_STEP_RECORDS] > 0);
    CHECK_EQUAL(rig->plane->topics_waiting, 0);
    for (unsigned i = 0; i < clients; i++) {
        frame_t f;
        unsigned ends = 0;
        while (peer_frame(peers[i], &f)) {
            ends += f.kind == RETIRED;
            CHECK(f.kind == RETIRED || f.kind == HEARTBEAT);
        }
        CHECK_EQUAL(ends, MANY);
    }
    rig_check_balance(rig);
    rig_free(rig);
}

/* A link passes from a name to its pattern where the round, from the last to the first, has been already. */
static void a_link_that_moves_behind_the_round_ends_too(void) {
    rig_t *rig = rig_with(1 << 20);
    const unsigned topic = rig_topic(rig, GW_TRADE, "A.SIM");
    const gw_item_t all = item(1, GW_TRADE, "*", false, false), name = item(2, GW_TRADE, "A.SIM", false, false);
    const uint32_t id = 2;
    peer_t *both = NULL;
    rig_publish(rig, topic);
    for (unsigned i = 0; i < 5; i++) {
        both = rig_connect(rig);
        rig_subscribe(rig, both, 1, &all, 1);
        rig_settle(rig);
    }
    rig_subscribe(rig, both, 2, &name, 1);
    rig_settle(rig);
    rig_retire(rig, topic);
    rig_settle(rig);
    rig->plane->turn_units = 12;
    rig->now += 60 * MS;
    gw_plane_cycle(rig->plane);
    CHECK(rig->plane->retire_at && rig->stats->links[0] > 1); /* it stands amid the topic's links */
    rig->plane->turn_units = GW_UNITS_TURN;
    rig_unsubscribe(rig, both, 3, &id, 1);
    for (unsigned i = 0; i < 20; i++) pass(&(scene_t){.rig = rig}, 60 * MS);
    CHECK_EQUAL(rig->stats->links[0], 0);
    CHECK(!rig->plane->retiring);
    rig_check_balance(rig);
    rig_free(rig);
}

/* Clients whose sockets are full keep their links, and the round that looks at them rests in between. */
static void the_round_rests(void) {
    rig_t *rig = rig_with(1 << 22);
    for (unsigned i = 0; i < MANY; i++) rig_publish(rig, rig_named(rig, GW_BBO, "S%u.SIM", i));
    peer_t *blocked = client(rig, GW_BBO, "*", false);
    while (rig->stats->links[0] < MANY) pass(&(scene_t){.rig = rig}, MS);
    rig_settle(rig);
    blocked->allowed = 0;
    for (unsigned i = 0; i < MANY; i++) rig_retire(rig, i);
    pass(&(scene_t){.rig = rig}, 500 * MS);
    CHECK_EQUAL(rig->stats->links[0], MANY);
    unsigned busy = 0;
    for (unsigned i = 0; i < 1000; i++) {
        rig->now += MS;
        gw_plane_cycle(rig->plane);
        busy += rig->plane->retire_at != NULL;
    }
    CHECK(busy > 0 && busy <= 250);
    blocked->allowed = RIG_NO_LIMIT;
    pass(&(scene_t){.rig = rig}, 2000 * MS);
    CHECK_EQUAL(rig->stats->links[0], 0);
    rig_free(rig);
}

int main(void) {
    an_end_is_told_once_behind_the_last_record();
    a_blocked_client_gets_it_in_its_place();
    an_end_is_seen_by_a_lap();
    a_lap_finds_a_name_at_another_place();
    a_worker_that_stood_still_mixes_nothing_up();
    ends_are_done_in_slices();
    a_link_that_moves_behind_the_round_ends_too();
    the_round_rests();
    puts("ok test_plane_retire");
    return 0;
}
