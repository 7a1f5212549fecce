/* What may end, move or change while a request takes many turns, and what each step of it does at most. */
#include "plane_reader.h"

#define US INT64_C(1000)

/* A plane that does little in a turn. */
static rig_t *sliced(gw_plane_options_t o, int64_t units) {
    rig_t *rig = rig_new(o);
    rig_segment(rig, 1 << 20, 4096);
    rig_settle(rig);
    rig->plane->turn_units = units;
    return rig;
}

static int turn(rig_t *rig) {
    rig->now += 200 * US;
    int busy = gw_plane_cycle(rig->plane);
    rig_check_balance(rig);
    return busy;
}

static void settle(rig_t *rig) {
    for (int i = 0; i < 20000; i++)
        if (!turn(rig) && i > 2) return;
    CHECK(!"the plane never rests");
}

static unsigned topic(rig_t *rig, const char *form, unsigned i) {
    return rig_named(rig, GW_TRADE, form, i);
}

static gw_item_t numbered(const char *form, unsigned i, bool lossless, bool snapshot) {
    char name[32];
    snprintf(name, sizeof name, form, i);
    return item(i + 1, GW_TRADE, name, lossless, snapshot);
}

static unsigned read_data_of(peer_t *peer) {
    frame_t f;
    unsigned n = 0;
    while (peer_frame(peer, &f)) n += f.kind == DATA;
    return n;
}

/* Names that no directory has are forgotten with their last link; the request that ended them begins again. */
static void an_epoch_amid_an_unsubscribe_finds_no_topic_that_is_gone(void) {
    rig_t *rig = sliced(rig_options(), 64);
    peer_t *peer = rig_connect(rig);
    gw_item_t items[40];
    uint32_t ids[40];
    for (unsigned i = 0; i < 40; i++) {
        items[i] = numbered("N%u.SIM", i, true, true);
        ids[i] = i + 1;
    }
    rig_subscribe(rig, peer, 1, items, 40);
    settle(rig);
    CHECK_EQUAL(rig->stats->links[0], 40);
    rig_unsubscribe(rig, peer, 2, ids, 40);
    while (rig->stats->links[0] == 40) turn(rig);
    CHECK(rig->stats->links[0] > 0);
    rig_segment(rig, 1 << 20, 4096);
    settle(rig);
    CHECK_EQUAL(rig->stats->links[0], 0);
    CHECK_EQUAL(rig->wait.subscribed, 0);
    rig_free(rig);
}

/* Its socket says that it takes more while a request is under way, and a message of the plane touches it. */
static void a_blocked_client_s_socket_is_not_forgotten_for_a_message(void) {
    gw_plane_options_t o = rig_options();
    o.topics_per_client_max = 1;
    rig_t *rig = sliced(o, 64);
    peer_t *peer = rig_connect(rig);
    for (unsigned i = 0; i < 300; i++) rig_register(rig, topic(rig, "S%u.SIM", i));
    gw_item_t first = numbered("S%u.SIM", 0, true, false), all = item(900, GW_TRADE, "*", true, false);
    rig_subscribe(rig, peer, 1, &first, 1);
    settle(rig);
    peer->allowed = 0;
    rig_publish(rig, 0);
    while (!rig->stats->clients_blocked[0]) turn(rig);
    rig_subscribe(rig, peer, 2, &all, 1); /* has no room for more than the one link: it will be told */
    peer->allowed = RIG_NO_LIMIT;
    while (!rig_client(rig, peer)->late) turn(rig);
    settle(rig);
    CHECK_EQUAL(rig->stats->clients_blocked[0], 0);
    CHECK_EQUAL(read_data_of(peer), 1);
    rig_free(rig);
}

/* A busy client's records are counted from the beginning: a send that is cut counts nothing anew. */
static void a_client_that_is_let_go_amid_a_request_settles_all_it_had(void) {
    gw_plane_options_t o = rig_options();
    o.topics_per_client_max = 2;
    o.lossless_frames_max = 60;
    rig_t *rig = sliced(o, 64);
    peer_t *peer = rig_connect(rig);
    unsigned a = topic(rig, "A%u.SIM", 0);
    gw_item_t name = item(1, GW_TRADE, "A0.SIM", true, false), pattern = item(2, GW_TRADE, "S*", true, false);
    rig_register(rig, a);
    for (unsigned i = 0; i < 300; i++) rig_register(rig, topic(rig, "S%u.SIM", i));
    rig_subscribe(rig, peer, 1, &name, 1);
    rig_subscribe(rig, peer, 2, &pattern, 1);
    settle(rig);
    gw_client_t *c = rig_client(rig, peer);
    CHECK_EQUAL(c->links_count, 2);
    rig_subscribe(rig, peer, 3, &pattern, 1);
    turn(rig);
    for (int i = 0; i < 50; i++) rig_publish(rig, a);
    while (!c->job->old.count) turn(rig);
    rig_publish(rig, topic(rig, "S%u.SIM", 900)); /* it has no room for this one: a message touches it */
    for (int i = 0; i < 20; i++) rig_publish(rig, a);
    peer->allowed = 5;
    while (!(c->flags & GW_CLIENT_DOOMED)) turn(rig);
    CHECK(c->queued > 0 && c->flags & GW_CLIENT_BLOCKED);
    peer->allowed = RIG_NO_LIMIT;
    settle(rig);
    CHECK_EQUAL(rig->stats->pending[GW_TRADE], 0);
    rig_free(rig);
}

/* What the last steps of a turn leave for a visit does not wait until something else wakes the plane. */
static void a_message_made_at_the_end_of_a_turn_is_sent_in_the_next(void) {
    gw_plane_options_t o = rig_options();
    o.topics_per_client_max = 0;
    rig_t *rig = sliced(o, GW_UNITS_TURN);
    peer_t *peer = rig_connect(rig);
    gw_item_t all = item(1, GW_TRADE, "*", true, false);
    rig_subscribe(rig, peer, 1, &all, 1);
    settle(rig);
    rig_register(rig, topic(rig, "S%u.SIM", 0)); /* without a record: it is found by the clock */
    rig->now += 60000 * US;
    while (gw_plane_cycle(rig->plane)) {
    }
    CHECK(!rig_client(rig, peer)->control && !rig_client(rig, peer)->turn_next);
    rig_free(rig);
}

/* --- what a step does at most ----------------------------------------------------------------- */

/* Between two turns of a job the thread may sleep, but not while a record, a visit or a command waits. */
static void a_long_job_leaves_the_cpu_to_others(void) {
    rig_t *rig = sliced(rig_options(), 128);
    peer_t *peer = rig_connect(rig), *other = rig_connect(rig);
    gw_item_t names[40], one = item(1, GW_TRADE, "A.SIM", true, false);
    const unsigned topic = rig_topic(rig, GW_TRADE, "A.SIM");
    for (unsigned i = 0; i < 40; i++) names[i] = numbered("N%u.SIM", i, true, true);
    rig_subscribe(rig, other, 1, &one, 1);
    settle(rig);
    CHECK(!gw_plane_rests(rig->plane)); /* nothing is left to do: that is a wait */
    rig_subscribe(rig, peer, 2, names, 40);
    CHECK(!gw_plane_rests(rig->plane));
    turn(rig);
    CHECK(rig_client(rig, peer)->job);
    CHECK(gw_plane_rests(rig->plane));
    rig_publish(rig, topic);
    CHECK(!gw_plane_rests(rig->plane));
    turn(rig);
    CHECK(rig_client(rig, peer)->job);
    CHECK(gw_plane_rests(rig->plane)); /* it was sent in that turn */
    rig->plane->o.spin = 1;
    CHECK(!gw_plane_rests(rig->plane));
    rig->plane->o.spin = 0;
    settle(rig);
    CHECK(!rig_client(rig, peer)->job && !gw_plane_rests(rig->plane));
    rig_free(rig);
}

/* Each of the names is held against all patterns of the client: 100 units, of 512 in a turn. */
static void names_end_some_at_a_time(void) {
    rig_t *rig = sliced(rig_options(), 512);
    peer_t *peer = rig_connect(rig);
    gw_item_t names[40], patterns[50];
    uint32_t ids[40];
    for (unsigned i = 0; i < 40; i++) {
        names[i] = numbered("N%u.SIM", i, true, true);
        ids[i] = i + 1;
    }
    rig_subscribe(rig, peer, 1, names, 40);
    for (unsigned part = 0; part < 2; part++) {
        for (unsigned i = 0; i < 50; i++) patterns[i] = numbered("*Q%u*", 100 + part * 50 + i, true, true);
        rig_subscribe(rig, peer, 2 + part, patterns, 50);
    }
    settle(rig);
    rig_unsubscribe(rig, peer, 4, ids, 40);
    const gw_client_t *c = rig_client(rig, peer);
    uint32_t before = 0, turns = 0;
    for (turn(rig); c->job; turn(rig), turns++) {
        if (c->job->work_count == 40) continue;
        CHECK(c->job->work_count - before <= 512 / 100 + 3);
        before = c->job->work_count;
    }
    CHECK(turns >= 5);
    CHECK_EQUAL(rig->stats->links[0], 0);
    rig_free(rig);
}

static void names_begin_some_at_a_time(void) {
    rig_t *rig = sliced(rig_options(), 512);
    peer_t *peer = rig_connect(rig);
    gw_item_t names[60];
    for (unsigned i = 0; i < 60; i++) names[i] = numbered("N%u.SIM", i, true, true);
    settle(rig);
    rig_subscribe(rig, peer, 1, names, 60);
    turn(rig);
    CHECK_EQUAL(rig->stats->links[0], 512 / 16);
    settle(rig);
    CHECK_EQUAL(rig->stats->links[0], 60);
    frame_t f;
    CHECK(peer_frame(peer, &f) && f.kind == REPLY && peer_frame(peer, &f) && f.kind == REPLY);
    CHECK_EQUAL(f.seqs_count, 60);
    rig_free(rig);
}

/* The last step of a request is as long as it has names: two such are more than a turn's units. */
static void requests_that_end_have_their_part_of_a_turn(void) {
    rig_t *rig = rig_new(rig_options());
    rig_segment(rig, 1 << 20, 4096);
    rig_settle(rig);
    rig->plane->turn_units = 512;
    peer_t *peers[30];
    gw_item_t names[40];
    for (unsigned i = 0; i < 40; i++) {
        names[i] = numbered("N%u.SIM", i, true, true);
        rig_publish(rig, topic(rig, "N%u.SIM", i));
    }
    for (unsigned k = 0; k < 30; k++) {
        peers[k] = rig_connect(rig);
        rig_subscribe(rig, peers[k], 1, names, 40);
    }
    settle(rig);
    /* All wait for the same before they begin, so all have begun before the first one ends. */
    for (unsigned i = 0; i < 4000; i++) rig_register(rig, topic(rig, "S%u.SIM", i));
    for (unsigned k = 0; k < 30; k++) rig_subscribe(rig, peers[k], 2, names, 40);
    bool busy[30] = {false};
    unsigned ended = 0;
    for (int i = 0; ended < 30 && i < 1000; i++) {
        unsigned before = ended;
        turn(rig);
        for (unsigned k = 0; k < 30; k++) {
            bool now = rig_client(rig, peers[k])->job != NULL;
            ended += busy[k] && !now;
            busy[k] = now;
        }
        CHECK(ended - before <= 2);
    }
    CHECK_EQUAL(ended, 30);
    settle(rig);
    rig_free(rig);
}

/* A lap of many topics is more than the log may take until all who wait were visited. */
static void a_lap_visits_no_more_than_a_turn_does(void) {
    rig_t *rig = rig_new(rig_options());
    rig_segment(rig, 16384, 4096);
    rig_settle(rig);
    for (unsigned i = 0; i < 1000; i++) rig_publish(rig, topic(rig, "S%u.SIM", i));
    rig_settle(rig);
    gw_item_t all = item(1, GW_TRADE, "*", true, false);
    for (unsigned k = 0; k < 60; k++) rig_subscribe(rig, rig_connect(rig), 1, &all, 1);
    for (int i = 0; i < 50; i++) rig_settle(rig);
    CHECK_EQUAL(rig->stats->links[0], 60000);
    rig->plane->turn_units = 1 << 24;
    for (unsigned k = 0; k < 2; k++)
        for (unsigned i = 0; i < 1000; i++) rig_publish(rig, i);
    uint64_t laps = rig->stats->ring_lapped[0];
    for (int i = 0; i < 400; i++) {
        uint64_t sends = rig->stats->sends[0];
        turn(rig);
        CHECK(rig->stats->sends[0] - sends <= 32);
    }
    CHECK(rig->stats->ring_lapped[0] > laps);
    settle(rig);
    for (unsigned k = 0; k < 60; k++) CHECK_EQUAL(read_data_of(&rig->peers[k]), 1000);
    rig_free(rig);
}

/* The queue of a client whose socket is full becomes marks in turns. */
static void a_long_queue_is_conflated_some_at_a_time(void) {
    rig_t *rig = rig_new(rig_options());
    rig_segment(rig, 1 << 20, 4096);
    peer_t *peer = rig_connect(rig);
    gw_item_t all = item(1, GW_TRADE, "*", false, false);
    rig_subscribe(rig, peer, 1, &all, 1);
    rig_settle(rig);
    for (unsigned i = 0; i < 1000; i++) rig_register(rig, topic(rig, "S%u.SIM", i));
    rig_publish(rig, 0);
    rig->now += 60000 * US; /* new topics without a record are found by the clock */
    for (int i = 0; i < 50; i++) rig_settle(rig);
    const gw_client_t *c = rig_client(rig, peer);
    CHECK_EQUAL(c->links_count, 1000);
    rig->plane->turn_units = 256;
    for (unsigned i = 0; i < 1000; i++) rig_publish(rig, i);
    peer->allowed = 150;
    uint32_t before = 999, turns = 0;
    while (!(c->flags & GW_CLIENT_BLOCKED)) turn(rig);
    peer->allowed = RIG_NO_LIMIT;
    for (; c->queued; turns++) {
        CHECK(before - c->queued <= 256);
        before = c->queued;
        turn(rig);
    }
    CHECK(turns > 3);
    settle(rig);
    CHECK_EQUAL(read_data_of(peer), 1001);
    CHECK_EQUAL(rig->stats->clients_blocked[0], 0);
    rig_free(rig);
}

/* A new topic's name is told to those who waited for it some at a time; some of them go meanwhile. */
static void those_who_await_a_name_are_told_some_at_a_time(void) {
    rig_t *rig = sliced(rig_options(), 4096);
    peer_t *peers[60];
    gw_item_t name = item(1, GW_TRADE, "N0.SIM", true, true);
    for (unsigned k = 0; k < 60; k++) {
        peers[k] = rig_connect(rig);
        rig_subscribe(rig, peers[k], 1, &name, 1);
    }
    settle(rig);
    rig->plane->turn_units = 64;
    rig_publish(rig, topic(rig, "N%u.SIM", 0));
    unsigned before = 60, turns = 0;
    for (unsigned left = 60; left; turns++) {
        turn(rig);
        if (turns == 0) rig_remove(rig, peers[59]), rig_remove(rig, peers[0]), rig_remove(rig, peers[30]);
        left = 0;
        for (unsigned k = 0; k < 60; k++) left += rig_client(rig, peers[k])->names_waiting;
        CHECK(before - left <= 64);
        before = left;
    }
    CHECK(turns > 1);
    settle(rig);
    for (unsigned k = 1; k < 59; k++) CHECK(k == 30 || read_data_of(peers[k]) == 1);
    rig_free(rig);
}

/* One who always asks for more gets its data and its replies nevertheless. */
static void between_two_requests_there_is_a_visit(void) {
    rig_t *rig = sliced(rig_options(), 1024);
    peer_t *peer = rig_connect(rig);
    gw_item_t name = item(1, GW_TRADE, "S0.SIM", true, false), all = item(2, GW_TRADE, "S*9*", true, false);
    for (unsigned i = 0; i < 2000; i++) rig_register(rig, topic(rig, "S%u.SIM", i));
    rig_subscribe(rig, peer, 1, &name, 1);
    settle(rig);
    unsigned reply = 1, got = 0;
    for (int i = 0; i < 200; i++) {
        for (; reply < 3 + (unsigned)i / 2; reply++) rig_subscribe(rig, peer, reply + 1, &all, 1);
        rig_publish(rig, 0);
        turn(rig);
        CHECK(i < 3 || rig_client(rig, peer)->job);
        got += read_data_of(peer);
    }
    CHECK(got > 150);
    settle(rig);
    rig_free(rig);
}

/* A writer that starts twice within a second: neither segment is given back at once. */
static void a_segment_is_given_back_in_pieces(void) {
    rig_t *rig = rig_new(rig_options());
    rig_segment(rig, 16 << 20, 64);
    rig_settle(rig);
    rig_segment(rig, 16 << 20, 64);
    turn(rig);
    rig_segment(rig, 16 << 20, 64);
    const gw_plane_t *p = rig->plane;
    for (int i = 0; i < 40; i++) {
        size_t left = p->unmap ? p->unmap_size : 0;
        const void *before = p->mapping;
        turn(rig);
        if (p->mapping != before) CHECK(left <= 4u << 20); /* by the epoch and by the clock */
        else CHECK(left <= (p->unmap ? p->unmap_size : 0) + (4u << 20));
    }
    CHECK_EQUAL(rig->stats->epochs[0], 3);
    rig_free(rig);
}

/* Of a request's patterns the last one that covers a topic has it, whenever in the request that comes. */
static void a_topic_that_comes_amid_a_request_is_its_last_pattern_s(void) {
    unsigned amid = 0;
    for (unsigned after = 0; after < 30; after++) {
        rig_t *rig = sliced(rig_options(), 16);
        peer_t *peer = rig_connect(rig);
        gw_item_t patterns[40];
        for (unsigned i = 0; i < 39; i++) patterns[i] = numbered(i ? "X%u*" : "*.SIM", i, true, false);
        patterns[39] = item(40, GW_TRADE, "N*", false, false);
        settle(rig);
        rig_subscribe(rig, peer, 1, patterns, 40);
        for (unsigned i = 0; i < after; i++) turn(rig);
        const unsigned one = topic(rig, "N%u.SIM", 0);
        rig_publish(rig, one);
        const gw_client_t *c = rig_client(rig, peer);
        for (unsigned i = 0; i < 50 && !c->links; i++) turn(rig);
        amid += c->links && c->job && c->links->sub->id == 1;
        settle(rig);
        CHECK_EQUAL(c->links_count, 1);
        CHECK(c->links->sub->id == 40 && !c->links->lossless);
        rig_publish(rig, one);
        settle(rig);
        CHECK(read_data_of(peer) >= 1);
        rig_free(rig);
    }
    CHECK(amid > 0); /* else nothing of it was tried */
}

/* Records of a new epoch come while many clients are still on their way to it: one snapshot for all of them. */
static void a_promised_snapshot_is_encoded_once(void) {
    rig_t *rig = sliced(rig_options(), 4096);
    gw_item_t name = item(1, GW_TRADE, "S0.SIM", true, true);
    rig_publish(rig, topic(rig, "S%u.SIM", 0));
    for (unsigned k = 0; k < 60; k++) rig_subscribe(rig, rig_connect(rig), 1, &name, 1);
    settle(rig);
    rig->plane->turn_units = 64;
    rig_segment(rig, 1 << 20, 4096);
    rig_publish(rig, 0); /* the plane finds it in the table */
    while (rig->stats->epochs[0] < 2 || rig->plane->epoch_phase) turn(rig);
    uint64_t index = rig->plane->lanes[0].log.index;
    rig_publish(rig, 0);
    while (!rig->stats->records_taken[0] || rig->wait.cursor != *rig->plane->reader.segment.tail) turn(rig);
    CHECK(rig->plane->lanes[0].log.index - index <= 4); /* the epoch's state, the record, and both as snapshots */
    settle(rig);
    for (unsigned k = 0; k < 60; k++) CHECK(read_data_of(&rig->peers[k]) >= 2);
    rig_free(rig);
}

int main(void) {
    RUN(an_epoch_amid_an_unsubscribe_finds_no_topic_that_is_gone);
    RUN(a_blocked_client_s_socket_is_not_forgotten_for_a_message);
    RUN(a_client_that_is_let_go_amid_a_request_settles_all_it_had);
    RUN(a_message_made_at_the_end_of_a_turn_is_sent_in_the_next);
    RUN(a_long_job_leaves_the_cpu_to_others);
    RUN(names_end_some_at_a_time);
    RUN(names_begin_some_at_a_time);
    RUN(requests_that_end_have_their_part_of_a_turn);
    RUN(a_lap_visits_no_more_than_a_turn_does);
    RUN(a_long_queue_is_conflated_some_at_a_time);
    RUN(those_who_await_a_name_are_told_some_at_a_time);
    RUN(between_two_requests_there_is_a_visit);
    RUN(a_segment_is_given_back_in_pieces);
    RUN(a_promised_snapshot_is_encoded_once);
    RUN(a_topic_that_comes_amid_a_request_is_its_last_pattern_s);
    return 0;
}
