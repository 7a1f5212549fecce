/* What takes long is done some at a time: each cycle's work is counted against its budget, and somebody else's
 * request does not wait for it. Beside it, the accounting of what such work leaves behind. */
#define RIG_PEERS 400
#define RIG_FDS 2048
#include "plane_scene.h"
#include <sys/resource.h>

#define GOODBYES_A_SLICE (2 * GW_UNITS_TURN / GW_UNITS_LINK)
#define LINKS_A_TURN (GW_UNITS_TURN / GW_UNITS_LINK + GW_UNITS_QUANTUM / GW_UNITS_LINK)
#define TOPICS 3000

static rig_t *rig_with_topics(unsigned topics) {
    gw_plane_options_t o = rig_options();
    o.clients_max = RIG_PEERS;
    rig_t *rig = rig_new(o);
    rig_segment(rig, 1 << 22, 4096);
    for (unsigned i = 0; i < topics; i++) rig_publish(rig, rig_named(rig, GW_BBO, "S%u.SIM", i));
    rig_settle(rig);
    return rig;
}

static peer_t *subscriber(rig_t *rig, const char *name, bool lossless, bool snapshot) {
    peer_t *peer = rig_connect(rig);
    gw_item_t x = item(1000, GW_BBO, name, lossless, snapshot);
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    peer->read = peer->length = 0;
    return peer;
}

/* Cycles until `done`; the most links that one of them made or ended. */
static uint64_t most_links(rig_t *rig, bool (*done)(rig_t *), unsigned *cycles) {
    uint64_t most = 0;
    for (*cycles = 0; !done(rig); ++*cycles) {
        uint64_t before = rig->stats->links[0], after;
        CHECK(*cycles < 100000);
        rig->now += 200000;
        gw_plane_cycle(rig->plane);
        after = rig->stats->links[0];
        uint64_t changed = after > before ? after - before : before - after;
        if (changed > most) most = changed;
    }
    return most;
}

static bool no_links(rig_t *rig) { return !rig->stats->links[0]; }
static bool all_links(rig_t *rig) { return rig->stats->links[0] == TOPICS && !rig->plane->jobs.first; }

/* Replies with these numbers in this order, and nothing else but data. */
static bool has_reply(peer_t *peer, unsigned reply) {
    frame_t f;
    while (peer_frame(peer, &f))
        if (f.kind == REPLY && f.reply == reply) return true;
    return false;
}

static void patterns_beside(rig_t *rig, peer_t *peer, unsigned count) {
    static gw_item_t items[255];
    for (unsigned i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "*%03uX", i);
        items[i] = item(i, GW_BBO, name, false, false);
    }
    for (unsigned at = 0; at < count; at += 51) {
        rig_subscribe(rig, peer, 2, items + at, 51);
        rig_settle(rig);
    }
    peer->read = peer->length = 0;
}

static void f67_a_pattern_ends_in_slices_and_nobody_waits_for_it(void) {
    rig_t *rig = rig_with_topics(TOPICS);
    peer_t *greedy = rig_connect(rig), *modest = rig_connect(rig);
    unsigned cycles;
    patterns_beside(rig, greedy, 255);
    gw_item_t star = item(1000, GW_BBO, "*", false, false);
    rig_subscribe(rig, greedy, 3, &star, 1);
    CHECK(most_links(rig, all_links, &cycles) <= LINKS_A_TURN);
    CHECK(cycles > TOPICS / LINKS_A_TURN);
    rig_settle(rig);
    CHECK(has_reply(greedy, 3));

    uint32_t id = 1000;
    gw_item_t one = item(1, GW_BBO, "S7.SIM", false, false);
    rig_unsubscribe(rig, greedy, 4, &id, 1);
    gw_plane_cycle(rig->plane);
    rig_subscribe(rig, modest, 1, &one, 1);
    gw_plane_cycle(rig->plane);
    gw_plane_cycle(rig->plane);
    CHECK(has_reply(modest, 1)); /* long before the other's */
    CHECK(!has_reply(greedy, 4));
    CHECK(rig->stats->links[0] > TOPICS - 4 * LINKS_A_TURN);
    rig_unsubscribe(rig, modest, 2, &one.id, 1);
    CHECK(most_links(rig, no_links, &cycles) <= LINKS_A_TURN);
    rig_settle(rig);
    CHECK(has_reply(greedy, 4));
    CHECK(rig->stats->steps_resumed[GW_STEP_JOBS] > 0);
    rig_check_balance(rig);
    rig_free(rig);
}

static void f67_stats_of_many_frames_are_counted_in_slices(void) {
    rig_t *rig = rig_with_topics(8);
    peer_t *peer = subscriber(rig, "*", true, false);
    peer->allowed = 0;
    for (unsigned i = 0; i < 3000; i++) rig_publish(rig, i % 8);
    rig_settle(rig);
    CHECK_EQUAL(rig->plane->clients[0].queued, 3000);
    rig->plane->turn_units = 500;
    rig_query(rig, peer, 7);
    unsigned turns = 0;
    const gw_event_t *e = NULL;
    for (; !e; turns++) {
        CHECK(turns < 100);
        gw_commands_run(rig->plane, 256);
        e = gw_plane_take_event(rig->plane);
        rig_check_balance(rig); /* also in the middle */
    }
    CHECK(turns >= 3000 * GW_UNITS_FRAME / 500);
    CHECK(e->kind == GW_EVENT_STATS && e->rows_count == 1);
    CHECK_EQUAL(e->rows[0].pending, 3000);
    rig_free(rig);
}

static void f68_new_topics_are_bound_in_slices(void) {
    rig_t *rig = rig_with_topics(0);
    peer_t *peers[40];
    frame_t f;
    for (unsigned i = 0; i < 40; i++) {
        peers[i] = rig_connect(rig);
        patterns_beside(rig, peers[i], 255);
    }
    peer_t *all = subscriber(rig, "*", true, false);
    for (unsigned i = 0; i < TOPICS; i++) rig_publish(rig, rig_named(rig, GW_BBO, "S%u.SIM", i));
    const gw_plane_t *p = rig->plane;
    uint64_t most = 0;
    unsigned cycles = 0;
    for (; rig->stats->records_taken[0] < TOPICS; cycles++) {
        uint64_t before = rig->stats->links[0];
        CHECK(cycles < 1000);
        rig->now += 1000;
        gw_plane_cycle(rig->plane);
        uint64_t made = rig->stats->links[0] - before;
        if (made > most) most = made;
    }
    CHECK(most <= GW_UNITS_TURN / GW_UNITS_LINK && cycles >= TOPICS / most);
    CHECK(rig->stats->steps_resumed[GW_STEP_COVER] > 0);
    rig_settle(rig);
    CHECK_EQUAL(p->topics_waiting, 0);
    for (unsigned i = 0; i < TOPICS; i++) /* the first record of each, in the ring's order */
        CHECK(peer_frame(all, &f) && f.kind == DATA && !f.snapshot && f.seq == 1);
    CHECK(peer_whole(all));
    rig_free(rig);
}

/* Topics without a record are looked for by the clock; what is left of that is no round over clients. */
static void f68_topics_without_a_record_are_bound_in_slices(void) {
    rig_t *rig = rig_with_topics(0);
    subscriber(rig, "*", true, false);
    const uint64_t *resumed = rig->stats->steps_resumed;
    uint64_t rounds = resumed[GW_STEP_ROUNDS];
    for (unsigned i = 0; i < TOPICS; i++) rig_register(rig, rig_named(rig, GW_BBO, "S%u.SIM", i));
    rig->now += 100000000;
    unsigned cycles = 0;
    for (gw_plane_cycle(rig->plane); rig->plane->cover_wanted; cycles++) gw_plane_cycle(rig->plane);
    CHECK(cycles >= TOPICS * GW_UNITS_TOPIC / GW_UNITS_TURN);
    CHECK_EQUAL(rig->stats->links[0], TOPICS);
    CHECK_EQUAL(resumed[GW_STEP_COVER], cycles);
    CHECK_EQUAL(resumed[GW_STEP_ROUNDS], rounds);
    rig_free(rig);
}

static unsigned renewed(const rig_t *rig) {
    unsigned n = 0;
    for (uint32_t i = 0; i < rig->plane->clients_high; i++) n += !(rig->plane->clients[i].flags & GW_CLIENT_BUSY);
    return n;
}

/* Each client's job is done in slices too, and those who have little to renew do not wait for the others. */
static void f68_another_segment_is_followed_in_slices(void) {
    rig_t *rig = rig_with_topics(TOPICS);
    peer_t *many[8], *few = NULL;
    frame_t f;
    for (int i = 0; i < 8; i++) many[i] = subscriber(rig, "*", false, false);
    few = subscriber(rig, "S7.SIM", true, false);
    rig_segment(rig, 1 << 22, 4096);
    for (unsigned i = 0; i < TOPICS; i++) rig_publish(rig, i);
    unsigned cycles = 0, first = 0;
    while (cycles++ < 1000 && (cycles < 2 || rig->plane->epoch_phase || rig->plane->jobs.first)) {
        uint64_t links = rig->stats->links[0];
        gw_plane_cycle(rig->plane);
        CHECK_EQUAL(rig->stats->links[0], links); /* no link is made anew */
        if (!first && !rig->plane->epoch_phase && !(rig->plane->clients[8].flags & GW_CLIENT_BUSY)) {
            first = cycles;
            CHECK(renewed(rig) <= 2);
        }
    }
    CHECK(first > 1 && cycles > first + 8 * TOPICS * GW_UNITS_LINK / (2 * GW_UNITS_TURN));
    CHECK(rig->stats->steps_resumed[GW_STEP_EPOCH] > 0);
    rig_settle(rig);
    CHECK(peer_frame(few, &f) && f.kind == EPOCH);
    CHECK(peer_frame(few, &f) && f.kind == DATA && f.snapshot && f.seq == 1);
    for (int i = 0; i < 8; i++) {
        CHECK(peer_frame(many[i], &f) && f.kind == EPOCH);
        for (unsigned k = 0; k < TOPICS; k++) CHECK(peer_frame(many[i], &f) && f.kind == DATA && f.snapshot);
    }
    rig_check_balance(rig);
    rig_free(rig);
}

static void f68_a_lap_is_compared_in_slices(void) {
    rig_t *rig = rig_with_topics(TOPICS);
    peer_t *peer = subscriber(rig, "*", false, false);
    for (unsigned k = 0; k < 20; k++)
        for (unsigned i = 0; i < TOPICS; i++) rig_publish(rig, i);
    unsigned turns = 0;
    do gw_plane_cycle(rig->plane);
    while (++turns < 1000 && rig->plane->lap_next < rig->plane->lap_end);
    CHECK(turns >= TOPICS * GW_UNITS_TOPIC / GW_UNITS_TURN);
    CHECK_EQUAL(rig->stats->ring_lapped[0], 1);
    CHECK(rig->stats->steps_resumed[GW_STEP_LAP] > 0);
    rig_settle(rig);
    frame_t f;
    for (unsigned i = 0; i < TOPICS; i++) CHECK(peer_frame(peer, &f) && f.kind == DATA && f.seq == 21);
    CHECK_EQUAL(f.skipped, 19);
    rig_check_balance(rig);
    rig_free(rig);
}

static void f69_letting_go_of_many_takes_many_turns(void) {
    rig_t *rig = rig_with_topics(300);
    peer_t *peers[300], *stays;
    for (int i = 0; i < 300; i++) peers[i] = subscriber(rig, "*", false, false);
    stays = subscriber(rig, "S7.SIM", true, false);
    CHECK_EQUAL(rig->stats->links[0], 90001);
    for (int i = 0; i < 300; i++) peers[i]->error = ECONNRESET;
    for (unsigned i = 0; i < 300; i++) rig_publish(rig, i);
    unsigned cycles = 0;
    uint64_t most = 0;
    for (; rig->stats->links[0] > 1; cycles++) {
        uint64_t before = rig->stats->links[0];
        CHECK(cycles < 10000);
        gw_plane_cycle(rig->plane);
        if (before - rig->stats->links[0] > most) most = before - rig->stats->links[0];
        rig_publish(rig, 7);
        rig->now += 1000;
    }
    CHECK(most <= GOODBYES_A_SLICE && cycles >= 90000 / GOODBYES_A_SLICE);
    rig_settle(rig);
    CHECK_EQUAL(rig->stats->delivered[GW_BBO], cycles + 1); /* who stays has missed nothing meanwhile */
    (void)stays;
    rig_check_balance(rig);
    rig_free(rig);
}

/* Each look at the clock takes a microsecond here, so a slice has a length, and the rest that follows it too. */
static int64_t slow_clock(void *self) { return ((rig_t *)self)->now += 1000; }
static int64_t stopped_clock(void *self) { return ((rig_t *)self)->now += INT64_C(10000000000); }

/* One ends after the other, in slices, none of which begins before it is due. */
static void many_ends_come_one_by_one_with_rests_between(void) {
    rig_t *rig = rig_with_topics(300);
    peer_t *peers[100];
    for (int i = 0; i < 100; i++) peers[i] = subscriber(rig, "*", false, false);
    for (int i = 0; i < 100; i++) rig_remove(rig, peers[i]);
    rig->plane->io.monotonic = slow_clock;
    unsigned slices = 0, rests = 0, ended = 0;
    while (rig->stats->clients[0]) {
        uint64_t before = rig->stats->links[0];
        int64_t due = gw_goodbyes_due(rig->plane);
        CHECK(slices + rests < 100000);
        gw_plane_cycle(rig->plane);
        uint64_t links = before - rig->stats->links[0];
        unsigned ends = rig_events(rig, GW_EVENT_REMOVED);
        CHECK(links <= GOODBYES_A_SLICE);
        CHECK(ends <= 1 + GOODBYES_A_SLICE / 300); /* not all of them at the last */
        CHECK(!links || due <= rig->now || due == INT64_MAX);
        slices += links > 0;
        rests += !links;
        ended += ends;
    }
    CHECK_EQUAL(ended, 100);
    CHECK(slices >= 100 * 300 / GOODBYES_A_SLICE && rests >= slices / 2);
    CHECK_EQUAL(gw_goodbyes_due(rig->plane), INT64_MAX);
    rig_free(rig);
}

/* A slice in which others had the CPU is followed by a rest of a millisecond, not of three times as long. */
static void a_rest_between_goodbyes_is_bounded(void) {
    rig_t *rig = rig_with_topics(300);
    peer_t *peers[8];
    for (int i = 0; i < 8; i++) peers[i] = subscriber(rig, "*", false, false);
    for (int i = 0; i < 8; i++) rig_remove(rig, peers[i]);
    gw_commands_run(rig->plane, 8);
    rig->plane->io.monotonic = stopped_clock;
    CHECK(gw_goodbyes_run(rig->plane));
    CHECK_EQUAL(gw_goodbyes_due(rig->plane) - rig->now, 1000000);
    CHECK(!gw_goodbyes_run(rig->plane));
    rig->plane->io.monotonic = rig_monotonic;
    rig->now += 1000000;
    rig->plane->now = rig->now;
    CHECK(gw_goodbyes_run(rig->plane));
    rig_free(rig);
}

/* Of one that is closed nothing is left to be written once its close frame has left: marks that wait for the end of
 * their links neither keep it from being told, nor keep the thread awake in a rest between goodbyes. */
static void a_closed_client_with_marks_is_shut_before_its_links_end(void) {
    rig_t *rig = rig_with_topics(3);
    peer_t *peer = subscriber(rig, "*", false, false);
    const gw_client_t *c = rig_client(rig, peer);
    peer->allowed = 0;
    for (int i = 0; i < 4; i++) {
        rig_publish(rig, 0);
        rig_settle(rig);
    }
    CHECK((c->flags & GW_CLIENT_BLOCKED) && (c->flags & GW_CLIENT_DIRTY));
    rig->plane->goodbyes_ns = INT64_MAX - 1; /* others have said theirs just now */
    peer->allowed = RIG_NO_LIMIT;
    rig_close(rig, peer, 1001);
    rig_settle(rig);
    CHECK(c->shut && c->links_count == 3);
    CHECK(!(c->flags & GW_CLIENT_BLOCKED));
    CHECK(!gw_plane_cycle(rig->plane));
    rig->plane->goodbyes_ns = 0;
    rig_settle(rig);
    CHECK_EQUAL(c->links_count, 0);
    rig_check_balance(rig);
    rig_free(rig);
}

static void f70_seven_greedy_clients_leave_room_for_an_eighth(void) {
    gw_plane_options_t o = rig_options();
    o.waiting_topics_max = 512;
    rig_t *rig = rig_new(o);
    rig_segment(rig, 1 << 16, 64);
    static gw_item_t names[64];
    frame_t f;
    for (unsigned k = 0; k < 7; k++) {
        peer_t *greedy = rig_connect(rig);
        for (unsigned at = 0; at < 1024; at += 64) {
            for (unsigned i = 0; i < 64; i++) {
                char name[32];
                snprintf(name, sizeof name, "Q%u-%u.SIM", k, at + i);
                names[i] = item(at + i, GW_BBO, name, false, false);
            }
            rig_subscribe(rig, greedy, 1, names, 64);
            rig_settle(rig);
            greedy->read = greedy->length = 0;
        }
    }
    CHECK(rig->plane->topics_waiting < 512);
    peer_t *honest = rig_connect(rig);
    gw_item_t x = item(1, GW_BBO, "NEW.SIM", true, true);
    rig_subscribe(rig, honest, 1, &x, 1);
    rig_settle(rig);
    while (peer_frame(honest, &f)) CHECK_EQUAL(f.kind, REPLY); /* and no LIMIT */
    rig_publish(rig, rig_topic(rig, GW_BBO, "NEW.SIM"));
    rig_settle(rig);
    CHECK(peer_frame(honest, &f) && f.kind == DATA && f.seq == 1);
    rig_free(rig);
}

/* A record that was being sent when the epoch changed is delivered, and nobody else's. */
static void a_cut_frame_over_an_epoch_is_counted_once(void) {
    rig_t *rig = rig_with_topics(1);
    peer_t *peer = rig_connect(rig);
    gw_item_t both[] = {item(1, GW_BBO, "S0.SIM", true, false), item(2, GW_BBO, "*", true, false)};
    rig_subscribe(rig, peer, 1, both, 2);
    rig_settle(rig);
    peer->allowed = 20;
    rig_publish(rig, 0);
    rig_settle(rig);
    CHECK(rig->plane->clients[0].rest.bytes != NULL);
    rig_segment(rig, 1 << 20, 64);
    rig_settle(rig);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    uint32_t id = 1;
    rig_unsubscribe(rig, peer, 2, &id, 1);
    rig_query(rig, peer, 7);
    rig_settle(rig);
    const gw_event_t *e;
    while ((e = gw_plane_take_event(rig->plane)))
        if (e->kind == GW_EVENT_STATS) {
            CHECK(e->rows_count == 1 && e->rows[0].id == 2);
            CHECK_EQUAL(e->rows[0].routed, 0);
            CHECK_EQUAL(e->rows[0].delivered, 0);
        }
    rig_check_balance(rig);
    rig_free(rig);
}

/* Who asked for something else holds no feed back any more. */
static void a_queue_that_a_request_empties_holds_no_feed_back(void) {
    for (int how = 0; how < 2; how++) {
        rig_t *rig = rig_with_topics(1);
        peer_t *peer = subscriber(rig, "S0.SIM", true, false);
        peer->allowed = 0;
        for (int i = 0; i < 400; i++) {
            rig_publish_flags(rig, 0, GW_FLAG_PACED);
            rig->now += 1000;
            gw_plane_cycle(rig->plane);
        }
        CHECK_EQUAL(rig->wait.backlogged, 1);
        gw_item_t x = item(1000, GW_BBO, "S0.SIM", false, false);
        x.resync = 0;
        if (how) rig_unsubscribe(rig, peer, 2, &x.id, 1);
        else rig_subscribe(rig, peer, 2, &x, 1);
        gw_plane_cycle(rig->plane);
        CHECK_EQUAL(rig->wait.backlogged, 0);
        rig_free(rig);
    }
}

/* The promise of a snapshot with an epoch's first record is over once that record came, whoever had it. */
static void a_promise_of_another_epoch_ends_with_its_first_record(void) {
    rig_t *rig = rig_with_topics(1);
    peer_t *first = subscriber(rig, "S0.SIM", true, false);
    frame_t f;
    rig_segment(rig, 1 << 20, 64);
    rig_register(rig, 0);
    rig_settle(rig);
    rig_remove(rig, first);
    rig_settle(rig);
    for (int i = 0; i < 5; i++) rig_publish(rig, 0);
    rig_settle(rig);
    peer_t *second = subscriber(rig, "S0.SIM", true, false);
    rig_publish(rig, 0);
    rig_settle(rig);
    CHECK(peer_frame(second, &f) && f.kind == DATA && !f.snapshot && f.seq == 6);
    rig_free(rig);
}

int main(void) {
    struct rlimit files = {RIG_FDS, RIG_FDS};
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &files), 0);
    RUN(f67_a_pattern_ends_in_slices_and_nobody_waits_for_it);
    RUN(f67_stats_of_many_frames_are_counted_in_slices);
    RUN(f68_new_topics_are_bound_in_slices);
    RUN(f68_topics_without_a_record_are_bound_in_slices);
    RUN(f68_another_segment_is_followed_in_slices);
    RUN(f68_a_lap_is_compared_in_slices);
    RUN(f69_letting_go_of_many_takes_many_turns);
    RUN(many_ends_come_one_by_one_with_rests_between);
    RUN(a_rest_between_goodbyes_is_bounded);
    RUN(a_closed_client_with_marks_is_shut_before_its_links_end);
    RUN(f70_seven_greedy_clients_leave_room_for_an_eighth);
    RUN(a_cut_frame_over_an_epoch_is_counted_once);
    RUN(a_queue_that_a_request_empties_holds_no_feed_back);
    RUN(a_promise_of_another_epoch_ends_with_its_first_record);
    return 0;
}
