/* Slow clients: the limits of lossless queues, conflation, and the frame log that nobody
 * outlives. */
#include "plane_reader.h"

#define SECOND 1000000000

typedef struct {
    rig_t *rig;
    peer_t *peer;
    unsigned trade, bbo;
} scene_t;

/* One client, subscribed to `name` of one channel, and blocked or not. */
static scene_t scene(gw_plane_options_t options, uint8_t channel, bool lossless, bool blocked) {
    scene_t s = {.rig = rig_new(options)};
    rig_segment(s.rig, 1 << 20, 4096);
    s.trade = rig_topic(s.rig, GW_TRADE, "A.SIM");
    s.bbo = rig_topic(s.rig, GW_BBO, "A.SIM");
    s.peer = rig_connect(s.rig);
    gw_item_t x = item(1, channel, "A.SIM", lossless, false);
    rig_subscribe(s.rig, s.peer, 1, &x, 1);
    rig_settle(s.rig);
    if (blocked) s.peer->allowed = 0;
    return s;
}

static gw_event_t next_event(rig_t *rig) {
    gw_event_t none = {.kind = (gw_event_kind_t)-1};
    const gw_event_t *e = gw_plane_take_event(rig->plane);
    if (!e) return none;
    memcpy(&none, e, sizeof none);
    return none;
}

/* It is let go, and in the turn after it nothing of it is left. */
static void expect_slow(rig_t *rig, const char *what) {
    gw_event_t e = next_event(rig);
    gw_plane_cycle(rig->plane);
    char start[64];
    snprintf(start, sizeof start, "slow consumer (%s): ", what);
    CHECK_EQUAL(e.kind, GW_EVENT_CLOSE);
    CHECK_EQUAL(e.code, 4008);
    if (strncmp(e.reason, start, strlen(start))) fprintf(stderr, "%s\n", e.reason);
    CHECK(!strncmp(e.reason, start, strlen(start)));
    unsigned long long bytes, age;
    char cure[32];
    CHECK_EQUAL(sscanf(e.reason + strlen(start), "%llu bytes pending, age %llu ms; use %31s", &bytes,
                       &age, cure), 3);
    CHECK((bytes > 0) != !strcmp(what, "stalled")); /* marks have no bytes yet */
    CHECK(strcmp(what, "too old") || age >= 2000);
    CHECK(!strcmp(cure, "mode=conflate"));
    rig_check_balance(rig);
}

static void pass(rig_t *rig, int64_t ns) {
    rig->now += ns;
    gw_plane_cycle(rig->plane);
    rig_check_balance(rig);
}

static void f36_lossless_queue_bounded_in_frames(void) {
    gw_plane_options_t o = rig_options();
    o.lossless_frames_max = 100;
    scene_t s = scene(o, GW_TRADE, true, true);
    rig_publish(s.rig, s.trade);
    pass(s.rig, 1000); /* blocked now */
    for (int i = 0; i < 99; i++) rig_publish(s.rig, s.trade);
    pass(s.rig, 1000);
    CHECK(!gw_plane_take_event(s.rig->plane)); /* 100 may wait */
    rig_publish(s.rig, s.trade);
    pass(s.rig, 1000);
    expect_slow(s.rig, "too many frames");
    CHECK_EQUAL(s.rig->stats->dropped_slow[GW_TRADE], 101);
    CHECK_EQUAL(s.rig->stats->pending[GW_TRADE], 0);
    rig_free(s.rig);
}

static void f36_lossless_queue_bounded_in_age(void) {
    scene_t s = scene(rig_options(), GW_TRADE, true, true);
    rig_publish(s.rig, s.trade);
    pass(s.rig, 1000);
    for (int i = 0; i < 19; i++) pass(s.rig, SECOND / 10);
    CHECK(!gw_plane_take_event(s.rig->plane));
    pass(s.rig, SECOND / 5);
    expect_slow(s.rig, "too old");
    rig_free(s.rig);
}

/* Its feed waits for the queue, so only a standstill counts. */
static void paced_frames_age_only_while_nothing_moves(void) {
    scene_t s = scene(rig_options(), GW_TRADE, true, true);
    for (int i = 0; i < 300; i++) rig_publish_flags(s.rig, s.trade, GW_FLAG_PACED);
    pass(s.rig, 1000);
    rig_publish_flags(s.rig, s.trade, GW_FLAG_PACED);
    pass(s.rig, 1000);
    CHECK_EQUAL(s.rig->wait.backlogged, 1); /* this is what the feed waits for */
    for (int i = 0; i < 40; i++) {
        s.peer->allowed = 10; /* a few bytes each half second are no standstill */
        pass(s.rig, SECOND / 2);
    }
    CHECK(!gw_plane_take_event(s.rig->plane));
    for (int i = 0; i < 22; i++) pass(s.rig, SECOND / 2);
    expect_slow(s.rig, "too old");
    CHECK_EQUAL(s.rig->wait.backlogged, 0);
    rig_free(s.rig);
}

static void f36_conflated_client_is_closed_only_for_stalling(void) {
    scene_t s = scene(rig_options(), GW_BBO, false, true);
    for (int i = 0; i < 110; i++) {
        rig_publish(s.rig, s.bbo);
        pass(s.rig, SECOND);
    }
    CHECK(!gw_plane_take_event(s.rig->plane));
    for (int i = 0; i < 20; i++) pass(s.rig, SECOND);
    expect_slow(s.rig, "stalled");
    rig_free(s.rig);
}

static void what_was_conflated_is_told_in_the_next_frame(void) {
    scene_t s = scene(rig_options(), GW_BBO, false, true);
    frame_t f;
    for (int i = 0; i < 50; i++) {
        rig_publish(s.rig, s.bbo);
        pass(s.rig, 1000);
    }
    CHECK_EQUAL(s.rig->stats->conflated[GW_BBO], 49);
    s.peer->allowed = RIG_NO_LIMIT;
    rig_settle(s.rig);
    for (int reply = 0; reply < 2; reply++) CHECK(peer_frame(s.peer, &f) && f.kind == REPLY);
    CHECK(peer_frame(s.peer, &f) && f.kind == DATA && !f.snapshot);
    CHECK_EQUAL(f.seq, 50);
    CHECK_EQUAL(f.skipped, 49);
    rig_publish(s.rig, s.bbo);
    rig_settle(s.rig);
    CHECK(peer_frame(s.peer, &f) && f.seq == 51 && !f.skipped);
    rig_free(s.rig);
}

/* The frame of a snapshot is shared between clients; its age must not become theirs. */
static void an_old_snapshot_frame_makes_nobody_old(void) {
    scene_t s = scene(rig_options(), GW_TRADE, true, false);
    gw_item_t x = item(1, GW_TRADE, "A.SIM", true, true);
    rig_publish(s.rig, s.trade);
    rig_settle(s.rig);
    peer_t *first = rig_connect(s.rig);
    rig_subscribe(s.rig, first, 1, &x, 1);
    pass(s.rig, 1000);
    pass(s.rig, 5ll * SECOND);
    peer_t *second = rig_connect(s.rig);
    pass(s.rig, 1000);
    second->allowed = 0;
    rig_subscribe(s.rig, second, 1, &x, 1);
    for (int i = 0; i < 10; i++) pass(s.rig, SECOND / 10);
    CHECK(!gw_plane_take_event(s.rig->plane));
    for (int i = 0; i < 12; i++) pass(s.rig, SECOND / 10);
    expect_slow(s.rig, "too old");
    rig_free(s.rig);
}

/* A client that asks for conflation while its queue grows old is cured by it. */
static void turning_to_conflation_saves_a_slow_client(void) {
    scene_t s = scene(rig_options(), GW_TRADE, true, true);
    for (int i = 0; i < 10; i++) {
        rig_publish(s.rig, s.trade);
        pass(s.rig, 1000);
    }
    gw_item_t x = item(1, GW_TRADE, "A.SIM", false, false);
    x.resync = 0;
    rig_subscribe(s.rig, s.peer, 2, &x, 1);
    for (int i = 0; i < 100; i++) pass(s.rig, SECOND / 10);
    CHECK(!gw_plane_take_event(s.rig->plane));
    CHECK_EQUAL(s.rig->stats->conflated[GW_TRADE], 9);
    s.peer->allowed = RIG_NO_LIMIT;
    rig_settle(s.rig);
    frame_t f = {0};
    while (peer_frame(s.peer, &f) && f.kind != DATA) continue;
    CHECK(f.seq == 10 && f.skipped == 9);
    rig_free(s.rig);
}

/* No frame that waits for somebody is ever overwritten: walk_client (in the balance) looks at
 * each. */
static void a_log_overrun_is_a_slow_client(void) {
    gw_plane_options_t o = rig_options();
    o.lossless_max_age_ns = 1000ll * SECOND;
    scene_t s = scene(o, GW_TRADE, true, true);
    unsigned other = rig_topic(s.rig, GW_TRADE, "B.SIM");
    peer_t *reader = rig_connect(s.rig);
    gw_item_t all = item(1, GW_TRADE, "*", true, false);
    rig_subscribe(s.rig, reader, 1, &all, 1);
    rig_publish(s.rig, s.trade);
    pass(s.rig, 1000);
    const gw_log_t *log = &s.rig->plane->lanes[0].log;
    uint64_t published = 0;
    while (log->position < log->size * 9 / 20 && log->index < log->count * 9 / 20) {
        for (int i = 0; i < 50; i++, published++) rig_publish(s.rig, other);
        pass(s.rig, 1000);
    }
    CHECK(!gw_plane_take_event(s.rig->plane));
    for (int k = 0; k < 100; k++) {
        for (int i = 0; i < 50; i++, published++) rig_publish(s.rig, other);
        pass(s.rig, 1000);
    }
    expect_slow(s.rig, "too far behind");
    CHECK_EQUAL(s.rig->stats->delivered[GW_TRADE], published + 1); /* the reader missed nothing */
    rig_free(s.rig);
}

/* One step that encodes more than the whole log: those who keep up are written to in between. */
static void a_lap_of_many_topics_dooms_nobody(void) {
    gw_plane_options_t o = rig_options();
    rig_t *rig = rig_new(o);
    rig_segment(rig, 4096, RIG_TOPICS);
    for (int i = 0; i < 4000; i++) {
        char name[64];
        snprintf(name, sizeof name, "TOPIC-OF-A-LONG-NAME-%04d.SIM", i);
        rig_publish(rig, rig_topic(rig, GW_TRADE, name));
    }
    gw_item_t lossless = item(1, GW_TRADE, "*", true, true);
    gw_item_t conflated = item(1, GW_TRADE, "*", false, true);
    peer_t *a = rig_connect(rig), *b = rig_connect(rig);
    rig_settle(rig);
    rig_subscribe(rig, a, 1, &lossless, 1);
    rig_subscribe(rig, b, 1, &conflated, 1);
    rig_settle(rig);
    for (int lap = 0; lap < 4; lap++) {
        for (int k = 0; k < 2; k++)
            for (unsigned i = 0; i < 4000; i++) rig_publish(rig, i);
        rig_settle(rig);
        rig_check_balance(rig);
        rig_segment(rig, 4096, RIG_TOPICS); /* and an epoch with a snapshot of each */
        for (unsigned i = 0; i < 4000; i++) rig_publish(rig, i);
        rig_settle(rig);
        rig_check_balance(rig);
    }
    CHECK(!gw_plane_take_event(rig->plane));
    frame_t f;
    unsigned frames[2] = {0};
    while (peer_frame(a, &f)) frames[0] += f.kind == DATA;
    while (peer_frame(b, &f)) frames[1] += f.kind == DATA;
    CHECK_EQUAL(frames[0], 4000 * 9);
    CHECK_EQUAL(frames[1], 4000 * 9);
    CHECK(peer_whole(a) && peer_whole(b));
    rig_free(rig);
}

/* I4: what one client can make the plane keep, whatever it subscribes to and however it reads. */
static void f37_a_slow_reader_s_memory_is_bounded(void) {
    scene_t s = scene(rig_options(), GW_BBO, false, true);
    gw_item_t all[] = {item(2, GW_BBO, "*", false, true), item(3, GW_TRADE, "*", false, true)};
    rig_subscribe(s.rig, s.peer, 2, all, 2);
    for (int i = 0; i < 600; i++) {
        char name[32];
        snprintf(name, sizeof name, "S%d.SIM", i % 200);
        rig_publish(s.rig, rig_topic(s.rig, i % 3 ? GW_TRADE : GW_BBO, name));
        s.peer->allowed = 1;
        pass(s.rig, 1000000);
        if (i % 100 == 0) rig_subscribe(s.rig, s.peer, 3, all, 2);
        const gw_client_t *c = rig_client(s.rig, s.peer);
        CHECK(c->runs_size <= 1024 && c->control_size < 4096);
        CHECK(!c->rest.bytes || c->rest.length < 512);
    }
    CHECK(!gw_plane_take_event(s.rig->plane));
    rig_free(s.rig);
}

/* What is copied and rendered for one look at a slow socket is in proportion to what that takes. */
static void f37_a_slow_reader_costs_little_at_a_time(void) {
    gw_plane_options_t o = rig_options();
    o.log_bytes = 8 << 20;
    rig_t *rig = rig_new(o);
    rig_segment(rig, 1 << 20, RIG_TOPICS);
    peer_t *peer = rig_connect(rig);
    gw_item_t all = item(1, GW_BBO, "*", false, true);
    rig_subscribe(rig, peer, 1, &all, 1);
    rig_settle(rig);
    peer->allowed = 0;
    for (int i = 0; i < 3000; i++) {
        char name[32];
        snprintf(name, sizeof name, "S%d.SIM", i);
        rig_publish(rig, rig_topic(rig, GW_BBO, name));
    }
    pass(rig, 1000);
    for (int i = 0; i < 20; i++) {
        peer->allowed = 1000;
        pass(rig, 1000000);
        CHECK(peer->offered <= 33 << 10);
    }
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    CHECK_EQUAL(rig->stats->delivered[GW_BBO], 3000);
    rig_free(rig);
}

int main(void) {
    RUN(f36_lossless_queue_bounded_in_frames);
    RUN(f36_lossless_queue_bounded_in_age);
    RUN(paced_frames_age_only_while_nothing_moves);
    RUN(f36_conflated_client_is_closed_only_for_stalling);
    RUN(what_was_conflated_is_told_in_the_next_frame);
    RUN(an_old_snapshot_frame_makes_nobody_old);
    RUN(turning_to_conflation_saves_a_slow_client);
    RUN(a_log_overrun_is_a_slow_client);
    RUN(a_lap_of_many_topics_dooms_nobody);
    RUN(f37_a_slow_reader_s_memory_is_bounded);
    RUN(f37_a_slow_reader_costs_little_at_a_time);
    return 0;
}
