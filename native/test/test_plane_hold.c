/* The controller in the plane: what is held back and for how long, levels of slow clients. */
#include "plane_scene.h"

static void a_class_gets_one_update_an_interval_and_is_told(void) {
    scene_t s = scene(1);
    peer_t *quick = join(&s, GW_BBO, "*", 1), *screen = join(&s, GW_BBO, "*", 2);
    frame_t f, told = {.kind = DATA};
    set_interval(&s, 2, 3); /* 20 ms */
    rig_publish(s.rig, s.bbo);
    pass(&s, MS); /* nothing was sent for so long: it goes at once */
    CHECK(data(screen, &f, &told) && f.seq == 1);
    CHECK(told.kind == CONFLATION && told.interval_ms[2] == 20 && told.interval_ms[1] == -2);
    for (int i = 0; i < 10; i++) {
        rig_publish(s.rig, s.bbo);
        rig_publish(s.rig, s.other);
        pass(&s, MS);
    }
    expect_nothing(screen);
    for (uint64_t i = 1; i < 22; i++) CHECK(data(quick, &f, NULL) && !f.skipped);
    CHECK_EQUAL(screen->sends, 3); /* hello, ack, the first update */
    pass(&s, 12 * MS);
    CHECK_EQUAL(screen->sends, 4); /* both topics in one */
    expect(screen, 11, 9);
    expect(screen, 10, 9);
    CHECK_EQUAL(s.rig->stats->class_conflated[2], 18);
    CHECK_EQUAL(s.rig->stats->class_conflated[1], 0);
    set_interval(&s, 2, 0);
    rig_publish(s.rig, s.bbo);
    pass(&s, MS);
    CHECK(data(screen, &f, &told) && f.seq == 12 && !f.skipped);
    CHECK_EQUAL(told.interval_ms[2], 0);
    rig_free(s.rig);
}

static void what_has_no_room_is_told_later(void) {
    scene_t s = scene(1);
    peer_t *screen = join(&s, GW_BBO, "A.SIM", 2);
    const gw_client_t *c = rig_client(s.rig, screen);
    frame_t f, told = {.kind = DATA};
    screen->allowed = 0;
    for (unsigned i = 2; c->control_length < (64u << 10) + GW_CONTROL_SLACK - 80; i++) {
        rig_text(s.rig, screen, i);
        gw_plane_cycle(s.rig->plane);
    }
    set_interval(&s, 2, 3);
    screen->allowed = RIG_NO_LIMIT;
    pass(&s, MS);
    for (int i = 0; i < 3; i++) {
        rig_publish(s.rig, s.bbo);
        pass(&s, 20 * MS);
    }
    while (data(screen, &f, &told)) {}
    CHECK(told.kind == CONFLATION && told.interval_ms[2] == 20);
    rig_free(s.rig);
}

static void nobody_gets_less_than_one_in_twenty(void) {
    scene_t s = scene(1);
    peer_t *screen = join(&s, GW_BBO, "A.SIM", 2);
    set_interval(&s, 2, 6); /* 250 ms */
    for (int i = 0; i < 41; i++) {
        rig_publish(s.rig, s.bbo);
        pass(&s, MS);
    }
    expect(screen, 1, 0);
    expect(screen, 21, 19);
    expect(screen, 41, 19);
    rig_free(s.rig);
}

static void what_is_paused_waits_and_then_is_the_newest(void) {
    scene_t s = scene(1);
    peer_t *bulk = join(&s, GW_BBO, "A.SIM", 3);
    set_interval(&s, 3, GW_INTERVAL_PAUSED);
    for (int i = 0; i < 100; i++) {
        rig_publish(s.rig, s.bbo);
        pass(&s, 10 * MS);
    }
    expect_nothing(bulk);
    CHECK_EQUAL(s.rig->stats->pending[GW_BBO], 1);
    set_interval(&s, 3, 0);
    pass(&s, MS);
    expect(bulk, 100, 99);
    rig_free(s.rig);
}

/* The first record of a topic in a new epoch comes as a snapshot, though it had to wait. */
static void what_is_held_first_in_an_epoch_is_a_snapshot(void) {
    scene_t s = scene(1);
    peer_t *screen = join(&s, GW_BBO, "A.SIM", 2);
    frame_t f;
    rig_publish(s.rig, s.bbo);
    pass(&s, MS);
    expect(screen, 1, 0);
    rig_segment(s.rig, 1 << 20, 4096);
    pass(&s, MS);
    for (int i = 0; i < 3; i++) rig_publish(s.rig, s.bbo);
    s.rig->now += TARGET_NS / 2;
    pass(&s, MS);
    CHECK(data(screen, &f, NULL) && f.snapshot && f.seq == 3 && f.skipped == 2);
    rig_free(s.rig);
}

static void lossless_is_never_held(void) {
    scene_t s = scene(1);
    peer_t *peer = join(&s, GW_TRADE, "A.SIM", 2);
    set_interval(&s, 2, 6);
    for (uint64_t i = 1; i < 10; i++) {
        rig_publish(s.rig, s.trade);
        pass(&s, MS);
        expect(peer, i, 0);
    }
    rig_free(s.rig);
}

/* A link that turns lossless, or back to a class that is not degraded, waits no longer. */
static void other_parameters_count_at_once(void) {
    scene_t s = scene(1);
    peer_t *peer = join(&s, GW_BBO, "A.SIM", 2);
    gw_item_t x = item(GW_BBO * 2, GW_BBO, "A.SIM", false, false);
    set_interval(&s, 2, 6);
    for (int i = 0; i < 3; i++) {
        rig_publish(s.rig, s.bbo);
        pass(&s, MS);
    }
    expect(peer, 1, 0);
    expect_nothing(peer);
    x.resync = 0;
    x.priority = 1;
    rig_subscribe(s.rig, peer, 2, &x, 1);
    pass(&s, MS);
    expect(peer, 3, 1);
    CHECK_EQUAL(s.rig->stats->class_links[1], 1);
    CHECK_EQUAL(s.rig->stats->class_links[2], 0);
    rig_publish(s.rig, s.bbo);
    pass(&s, MS);
    expect(peer, 4, 0);
    rig_free(s.rig);
}

/* Records that stood in the ring: the urgent classes go first, the others get what is newest then. */
static void under_pressure_the_low_classes_come_last(void) {
    scene_t s = scene(1);
    peer_t *screens[20], *quick = join(&s, GW_BBO, "A.SIM", 1);
    for (int i = 0; i < 20; i++) screens[i] = join(&s, GW_BBO, "A.SIM", 2);
    for (int i = 0; i < 5; i++) rig_publish(s.rig, s.bbo);
    s.rig->now += TARGET_NS / 2;
    gw_plane_cycle(s.rig->plane);
    for (uint64_t i = 1; i <= 5; i++) expect(quick, i, 0);
    unsigned served = 0;
    for (int i = 0; i < 20; i++) served += screens[i]->sends > 2;
    CHECK_EQUAL(served, 16); /* some, then the ring is looked at again */
    rig_publish(s.rig, s.bbo);
    s.rig->now += TARGET_NS / 2;
    gw_plane_cycle(s.rig->plane);
    expect(quick, 6, 0);
    pass(&s, 2 * MS);
    for (int i = 0; i < 20; i++) {
        frame_t f;
        uint64_t last = 0;
        while (data(screens[i], &f, NULL)) {
            CHECK_EQUAL(f.seq, last + 1 + f.skipped);
            last = f.seq;
        }
        CHECK_EQUAL(last, 6);
    }
    for (int i = 0; i < 3; i++) rig_publish(s.rig, s.bbo);
    pass(&s, MS / 2); /* no pressure: every one of them */
    gw_plane_cycle(s.rig->plane); /* a turn serves 16 clients */
    for (uint64_t i = 7; i <= 9; i++) expect(screens[0], i, 0);
    rig_free(s.rig);
}

static void one_bbo(rig_t *rig) {
    if (rig->yields == 2) rig_publish(rig, 1);
}

/* Who waits for this CPU may be about to publish: it is let first, and what it brings is more urgent. */
static void what_is_held_waits_for_a_feed_on_the_same_cpu(void) {
    scene_t s = scene(1);
    peer_t *quick = join(&s, GW_BBO, "A.SIM", 1);
    for (int i = 0; i < 20; i++) join(&s, GW_BBO, "A.SIM", 2);
    CHECK_EQUAL(s.bbo, 1);
    s.rig->at_yield = one_bbo;
    for (int i = 0; i < 5; i++) rig_publish(s.rig, s.bbo);
    pass(&s, MS / 2);
    CHECK_EQUAL(s.rig->yields, 0); /* nothing was held */
    rig_publish(s.rig, s.bbo);
    s.rig->now += TARGET_NS / 2;
    gw_plane_cycle(s.rig->plane);
    CHECK_EQUAL(s.rig->yields, 1);
    CHECK_EQUAL(s.rig->plane->holds_count, 4);
    gw_plane_cycle(s.rig->plane); /* the feed publishes: nothing is let go */
    CHECK_EQUAL(s.rig->yields, 2);
    CHECK_EQUAL(s.rig->plane->holds_count, 4);
    for (uint64_t i = 1; i <= 6; i++) expect(quick, i, 0);
    gw_plane_cycle(s.rig->plane);
    expect(quick, 7, 0);
    rig_free(s.rig);
}

/* What is due may go at once, but not before more urgent work. */
static void an_interval_is_no_way_around_pressure(void) {
    scene_t s = scene(1);
    peer_t *quick = join(&s, GW_BBO, "A.SIM", 1), *screen = join(&s, GW_BBO, "A.SIM", 2);
    set_interval(&s, 2, 1);
    for (int i = 0; i < 5; i++) rig_publish(s.rig, s.bbo);
    s.rig->now += TARGET_NS / 2;
    gw_plane_cycle(s.rig->plane);
    for (uint64_t i = 1; i <= 5; i++) expect(quick, i, 0);
    expect(screen, 5, 4);
    rig_free(s.rig);
}

/* Those under pressure renew themselves with each cycle; one of another interval still gets its turn. */
static void no_interval_starves_another(void) {
    scene_t s = scene(1);
    for (int i = 0; i < 40; i++) join(&s, GW_BBO, "A.SIM", 2);
    peer_t *peer = join(&s, GW_BBO, "B.SIM", 1);
    set_interval(&s, 1, 3); /* 20 ms */
    for (uint64_t i = 0; i < 2; i++) {
        rig_publish(s.rig, s.other);
        pass(&s, MS);
    }
    expect(peer, 1, 0);
    for (int i = 0; i < 15; i++) {
        rig_publish(s.rig, s.bbo);
        s.rig->now += TARGET_NS / 2;
        gw_plane_cycle(s.rig->plane);
    }
    expect(peer, 2, 0);
    rig_free(s.rig);
}

static uint32_t released(scene_t *s, uint32_t served) {
    s->rig->plane->served = served;
    return gw_holds_release(s->rig->plane);
}

/* However many urgent clients a round serves, the others get their twentieth. */
static void one_in_twenty_writes_is_for_what_is_held(void) {
    scene_t s = scene(1);
    for (int i = 0; i < 60; i++) join(&s, GW_BBO, "A.SIM", 3);
    set_interval(&s, 3, GW_INTERVAL_PAUSED);
    rig_publish(s.rig, s.bbo);
    pass(&s, MS);
    set_interval(&s, 3, 0);
    s.rig->plane->now = s.rig->now += GW_HOLD_GRACE_NS; /* they have waited for long enough, whoever else waits */
    CHECK_EQUAL(released(&s, 100), 16);
    CHECK_EQUAL(released(&s, 319), 0); /* those let go wait for a visit: first so many more are served */
    CHECK_EQUAL(released(&s, 600), 30);
    CHECK_EQUAL(released(&s, 600), 14);
    CHECK_EQUAL(released(&s, 600), 0);
    rig_free(s.rig);
}

/* Class 1 waits for its interval, but then comes before what is pressed, and before the next batch. */
static void what_is_urgent_is_due_when_it_is_due(void) {
    scene_t s = scene(1);
    for (int i = 0; i < 20; i++) join(&s, GW_BBO, "A.SIM", 1);
    for (int i = 0; i < 2; i++) join(&s, GW_BBO, "A.SIM", 2);
    set_interval(&s, 1, 1);
    set_interval(&s, 2, 3);
    for (int i = 0; i < 2; i++) {
        rig_publish(s.rig, s.bbo);
        pass(&s, MS);
    }
    s.rig->plane->now = s.rig->now += 30 * MS;
    rig_publish(s.rig, s.bbo); /* stands in the ring */
    unsigned yields = s.rig->yields;
    CHECK_EQUAL(released(&s, 0), 20);
    CHECK_EQUAL(s.rig->yields, yields); /* there is something to send, and something to take */
    rig_free(s.rig);
}

/* 60 clients of 200 topics whose interval ends at once, or whose floor one topic's next record meets: 12,000
 * updates, of which a turn lets go 4,096. */
static void what_is_held_is_let_go_some_at_a_time(void) {
    for (int floor = 0; floor < 2; floor++) {
        scene_t s = scene(1);
        char name[32];
        peer_t *peers[60];
        for (int i = 0; i < 60; i++) peers[i] = join(&s, GW_BBO, "*", 2);
        for (unsigned i = 0; i < 197; i++) {
            snprintf(name, sizeof name, "N%u.SIM", i);
            rig_topic(s.rig, GW_BBO, name);
        }
        for (unsigned i = 1; i < 200; i++) rig_publish(s.rig, i);
        for (int i = 0; i < 200; i++) rig_settle(s.rig);
        set_interval(&s, 2, 6); /* 250 ms */
        uint64_t held = 0, least = 12000, letting = 0;
        for (unsigned i = 1; i < 200; i++) rig_publish(s.rig, i); /* the first of a hold goes at once */
        for (int i = 0; i < 20; i++) gw_plane_cycle(s.rig->plane);
        for (unsigned i = 1; i < 200; i++) rig_publish(s.rig, i);
        for (int i = 0; i < 20; i++) gw_plane_cycle(s.rig->plane);
        for (int i = 0; i < 60; i++) held += rig_client(s.rig, peers[i])->held;
        CHECK(held > 11000);
        if (!floor) s.rig->now += 2 * GW_HOLD_GRACE_NS;
        for (int i = 0; floor && i < 20; i++) rig_publish(s.rig, s.bbo);
        for (least = held; least;) {
            gw_plane_cycle(s.rig->plane);
            rig_check_balance(s.rig);
            uint64_t now = 0;
            for (int i = 0; i < 60; i++) now += rig_client(s.rig, peers[i])->held;
            CHECK(least - now <= 4096 || now > least);
            CHECK(++letting < 100);
            least = now;
        }
        CHECK(letting >= 3);
        rig_free(s.rig);
    }
}

static void who_only_watches_holds_nothing(void) {
    scene_t s = scene(0);
    peer_t *screen = join(&s, GW_BBO, "A.SIM", 2);
    for (int i = 0; i < 5; i++) rig_publish(s.rig, s.bbo);
    s.rig->now += 10 * TARGET_NS;
    gw_plane_cycle(s.rig->plane);
    for (uint64_t i = 1; i <= 5; i++) expect(screen, i, 0);
    screen->allowed = 0;
    for (int i = 0; i < 50; i++) {
        rig_publish(s.rig, s.bbo);
        pass(&s, 10 * MS);
    }
    CHECK_EQUAL(s.rig->stats->level_down[0], 0);
    rig_free(s.rig);
}

/* --- levels ---------------------------------------------------------------------------------------- */

static void publish_for(scene_t *s, int64_t ns) {
    for (; ns > 0; ns -= 5 * MS) {
        rig_publish(s->rig, s->bbo);
        pass(s, 5 * MS);
    }
}

static void a_slow_client_goes_down_and_up_again_alone(void) {
    scene_t s = scene(1);
    peer_t *peers[5];
    frame_t f, told = {.kind = DATA};
    for (int i = 0; i < 5; i++) peers[i] = join(&s, GW_BBO, "A.SIM", 1);
    peers[0]->allowed = 0;
    publish_for(&s, 90 * MS);
    CHECK_EQUAL(s.rig->stats->levels[0], 5);
    publish_for(&s, 60 * MS);
    CHECK_EQUAL(s.rig->stats->levels[1], 1);
    gw_event_t e = event_of(&s, GW_EVENT_LEVEL);
    CHECK(e.handle == peers[0]->handle && e.code == 1 && e.error == 0 && strstr(e.reason, "waited"));
    publish_for(&s, 400 * MS);
    CHECK_EQUAL(s.rig->stats->levels[3], 1);
    CHECK_EQUAL(s.rig->stats->levels[0], 4);
    peers[0]->allowed = RIG_NO_LIMIT;
    pass(&s, MS);
    CHECK(data(peers[0], &f, &told) && f.snapshot && f.skipped); /* the newest, as a snapshot */
    CHECK(told.kind == SLOW && told.level == 3);
    uint64_t sends = peers[0]->sends;
    publish_for(&s, 900 * MS);
    CHECK(peers[0]->sends - sends <= 5); /* one in 250 ms */
    publish_for(&s, 6500 * MS);
    while (data(peers[0], &f, &told)) {}
    CHECK_EQUAL(told.level, 0);
    CHECK_EQUAL(s.rig->stats->levels[0], 5);
    publish_for(&s, 50 * MS);
    for (unsigned i = 0; i < 10; i++) CHECK(data(peers[0], &f, NULL) && !f.skipped);
    for (int i = 1; i < 5; i++)
        while (data(peers[i], &f, &told)) CHECK(!f.skipped && !f.snapshot);
    CHECK_EQUAL(told.level, 0); /* the others heard nothing */
    rig_free(s.rig);
}

/* One whose control queue is full as well. */
static void a_level_that_cannot_be_told_is_counted(void) {
    scene_t s = scene(1);
    peer_t *peer = join(&s, GW_BBO, "A.SIM", 1);
    static const uint8_t filler[1 << 20] = {0};
    peer->allowed = 0;
    gw_plane_t *p = s.rig->plane;
    CHECK_EQUAL(gw_client_control(p, rig_client(s.rig, peer), filler, p->o.control_bytes_max, 0), 0);
    publish_for(&s, 150 * MS);
    CHECK_EQUAL(s.rig->stats->levels[1], 1);
    const uint64_t told = s.rig->stats->notices_left_out[GW_LEFT_SLOW];
    CHECK_EQUAL(told, 0); /* the slack is for that */
    CHECK_EQUAL(gw_client_control(p, rig_client(s.rig, peer), filler, GW_CONTROL_SLACK - 200, 0), 0);
    publish_for(&s, 400 * MS);
    CHECK_EQUAL(s.rig->stats->levels[3], 1);
    CHECK(s.rig->stats->notices_left_out[GW_LEFT_SLOW] > 0);
    rig_free(s.rig);
}

static void a_relapse_makes_the_way_up_longer(void) {
    scene_t s = scene(1);
    peer_t *peer = join(&s, GW_BBO, "A.SIM", 1);
    for (int i = 0; i < 4; i++) {
        peer->allowed = 0;
        while (!s.rig->stats->levels[1]) publish_for(&s, 10 * MS);
        peer->allowed = RIG_NO_LIMIT;
        int64_t from = s.rig->now;
        while (!s.rig->stats->levels[0]) publish_for(&s, 50 * MS);
        CHECK(s.rig->now - from >= (950 * MS) << i && s.rig->now - from <= (1100 * MS) << i);
    }
    rig_free(s.rig);
}

static void when_most_are_behind_it_is_not_they(void) {
    scene_t s = scene(1);
    peer_t *peers[5];
    for (int i = 0; i < 5; i++) {
        peers[i] = join(&s, GW_BBO, "A.SIM", 1);
        if (i < 3) peers[i]->allowed = 0;
    }
    publish_for(&s, 500 * MS);
    CHECK_EQUAL(s.rig->stats->level_down[0], 0);
    peers[0]->allowed = RIG_NO_LIMIT; /* two of five are slow */
    publish_for(&s, 300 * MS);
    CHECK_EQUAL(s.rig->stats->levels[0], 3);
    rig_free(s.rig);
}

/* Whose socket takes nothing is not calm, though it be nobody's fault. */
static void nobody_goes_up_while_behind(void) {
    scene_t s = scene(1);
    peer_t *peers[5];
    for (int i = 0; i < 5; i++) peers[i] = join(&s, GW_BBO, "A.SIM", 1);
    peers[0]->allowed = 0;
    publish_for(&s, 180 * MS);
    CHECK_EQUAL(s.rig->stats->levels[1], 1);
    for (int i = 0; i < 5; i++) peers[i]->allowed = 0;
    publish_for(&s, 5000 * MS);
    CHECK_EQUAL(s.rig->stats->level_up[0], 0);
    CHECK_EQUAL(s.rig->stats->levels[1], 1);
    for (int i = 0; i < 5; i++) peers[i]->allowed = RIG_NO_LIMIT;
    publish_for(&s, 1200 * MS);
    CHECK_EQUAL(s.rig->stats->level_up[0], 1);
    rig_free(s.rig);
}

static void a_stall_is_no_calm(void) {
    scene_t s = scene(1);
    peer_t *peer = join(&s, GW_BBO, "A.SIM", 1);
    peer->allowed = 0;
    while (!s.rig->stats->levels[1]) publish_for(&s, 10 * MS);
    peer->allowed = RIG_NO_LIMIT;
    publish_for(&s, 300 * MS);
    stop(&s, 2000 * MS);
    publish_for(&s, 600 * MS);
    CHECK_EQUAL(s.rig->stats->level_up[0], 0);
    publish_for(&s, 200 * MS);
    CHECK_EQUAL(s.rig->stats->level_up[0], 1);
    rig_free(s.rig);
}

int main(void) {
    RUN(a_class_gets_one_update_an_interval_and_is_told);
    RUN(what_has_no_room_is_told_later);
    RUN(nobody_gets_less_than_one_in_twenty);
    RUN(what_is_paused_waits_and_then_is_the_newest);
    RUN(what_is_held_first_in_an_epoch_is_a_snapshot);
    RUN(lossless_is_never_held);
    RUN(other_parameters_count_at_once);
    RUN(under_pressure_the_low_classes_come_last);
    RUN(what_is_held_waits_for_a_feed_on_the_same_cpu);
    RUN(an_interval_is_no_way_around_pressure);
    RUN(no_interval_starves_another);
    RUN(one_in_twenty_writes_is_for_what_is_held);
    RUN(what_is_urgent_is_due_when_it_is_due);
    RUN(what_is_held_is_let_go_some_at_a_time);
    RUN(who_only_watches_holds_nothing);
    RUN(a_slow_client_goes_down_and_up_again_alone);
    RUN(a_level_that_cannot_be_told_is_counted);
    RUN(a_relapse_makes_the_way_up_longer);
    RUN(when_most_are_behind_it_is_not_they);
    RUN(nobody_goes_up_while_behind);
    RUN(a_stall_is_no_calm);
    return 0;
}
