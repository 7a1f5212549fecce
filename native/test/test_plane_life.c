/* Instruments that end and come back in the same epoch: their numbers go on, so that no number is given twice, nobody who
 * stayed sees a hole, and who was away is never given another life's records for those that it missed. */
#include "plane_replays.h"

/* The topic ends, and its name goes on behind its last number, as the feed process has it. */
static void come_back(scene_t *s, unsigned topic) {
    const uint64_t last = s->rig->topics[topic].count;
    CHECK(rig_retire(s->rig, topic));
    rig_register(s->rig, topic);
    gw_writer_topic_continue(&s->rig->writer, (uint32_t)s->rig->topics[topic].id, last);
    s->rig->topics[topic].count = last;
}

static peer_t *subscriber(scene_t *s, const char *name, bool lossless) {
    peer_t *peer = rig_connect(s->rig);
    ask(s, peer, item(7, GW_TRADE, name, lossless, true));
    rig_settle(s->rig);
    peer->read = peer->length;
    return peer;
}

static void expect_first(peer_t *peer, uint64_t seq) {
    frame_t f = take(peer);
    CHECK_EQUAL(f.kind, RETIRED);
    f = take(peer);
    CHECK(f.kind == DATA && f.snapshot && !f.skipped);
    CHECK_EQUAL(f.seq, seq);
}

static void the_number_before_its_end_is_told(void) {
    scene_t s = scene(RING, rig_options());
    history(&s, s.a, 7);
    gw_record_t last = {.h = {.ts_publish = s.rig->now}};
    CHECK_EQUAL(gw_writer_topic_retire(&s.rig->writer, (uint32_t)s.rig->topics[s.a].id, GW_TRADE, &last, s.rig->now), 7);
    CHECK_EQUAL(last.h.topic_seq, 8);
    s.rig->topics[s.a].id = -1;
    end(&s);
}

static void who_stays_has_no_hole(void) {
    scene_t s = scene(RING, rig_options());
    history(&s, s.a, 5);
    peer_t *peers[] = {subscriber(&s, "A.SIM", true), subscriber(&s, "A.SIM", false), subscriber(&s, "*", true)};
    come_back(&s, s.a);
    publish(&s, s.a, 1);
    rig_settle(s.rig);
    publish(&s, s.a, 1);
    rig_settle(s.rig);
    for (int i = 0; i < 3; i++) {
        expect_first(peers[i], 6);
        expect_updates(peers[i], 7, 7, false);
        nothing(peers[i]);
    }
    CHECK_EQUAL(s.rig->stats->dropped_lapped[GW_TRADE], 0);
    end(&s);
}

/* The ring was overrun: of the new life only those records are missing that it had. */
static void a_lap_loses_no_more_than_there_was(void) {
    scene_t s = scene(1u << 13, rig_options()); /* 64 records */
    history(&s, s.a, 50);
    peer_t *peer = subscriber(&s, "A.SIM", true);
    come_back(&s, s.a);
    publish(&s, s.a, 3);
    publish(&s, s.b, 100);
    publish(&s, s.a, 1);
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->stats->ring_lapped[0], 1);
    frame_t f = take(peer);
    CHECK_EQUAL(f.kind, RETIRED);
    f = take(peer);
    if (f.kind == GAP) {
        CHECK(f.from == 51 && f.to == 53);
        f = take(peer);
    }
    CHECK(f.kind == DATA && f.snapshot && f.seq == 54);
    CHECK_EQUAL(f.skipped, 3);
    end(&s);
}

static void an_end_that_a_lap_shows_loses_no_more_either(void) {
    scene_t s = scene(1u << 13, rig_options());
    history(&s, s.a, 50);
    peer_t *peer = subscriber(&s, "A.SIM", true);
    come_back(&s, s.a);
    rig_settle(s.rig);
    CHECK_EQUAL(take(peer).kind, RETIRED);
    subscriber(&s, "N.SIM", true); /* for which the directory is gone through: the topic is known before its first record */
    publish(&s, s.a, 2);
    publish(&s, s.b, 100);
    CHECK(rig_retire(s.rig, s.a));
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->stats->dropped_lapped[GW_TRADE], 2);
    end(&s);
}

/* The client had records up to `seq`, then went away. */
static frame_t asked(scene_t *s, uint64_t seq, peer_t **peer) {
    *peer = rig_connect(s->rig);
    const frame_t f = ask_seq(s, *peer, seq);
    rig_settle(s->rig);
    return f;
}

static void what_was_missed_is_of_one_life_or_not_to_be_had(void) {
    scene_t s = scene(RING, rig_options());
    peer_t *peer;
    history(&s, s.a, 200);
    come_back(&s, s.a);
    history(&s, s.a, 300);
    frame_t f = asked(&s, 100, &peer); /* 101 to 200 went with the first life */
    CHECK_EQUAL(f.recovery[0], GW_RECOVERY_INSUFFICIENT);
    CHECK_EQUAL(f.reach[0], 201);
    f = take(peer);
    CHECK(f.kind == DATA && f.snapshot && f.seq == 500);
    nothing(peer);
    f = asked(&s, 200, &peer); /* it had all of that: the new life from its beginning */
    CHECK(f.recovery[0] == GW_RECOVERY_REPLAYING && f.seqs[0] == 200 && f.reach[0] == 500);
    expect_updates(peer, 201, 500, true);
    expect_completed(peer, 201, 500);
    f = asked(&s, 450, &peer);
    CHECK_EQUAL(f.recovery[0], GW_RECOVERY_REPLAYING);
    expect_updates(peer, 451, 500, true);
    expect_completed(peer, 451, 500);
    f = asked(&s, 501, &peer);
    CHECK_EQUAL(f.recovery[0], GW_RECOVERY_INSUFFICIENT);
    end(&s);
}

/* While it is away: a seq that is ahead of a topic's that has none. */
static void an_ended_one_has_nothing_to_replay(void) {
    scene_t s = scene(RING, rig_options());
    peer_t *peer;
    history(&s, s.a, 20);
    peer_t *holds = subscriber(&s, "A.SIM", true);
    CHECK(rig_retire(s.rig, s.a));
    rig_settle(s.rig);
    CHECK_EQUAL(take(holds).kind, RETIRED);
    const frame_t f = asked(&s, 20, &peer);
    CHECK_EQUAL(f.recovery[0], GW_RECOVERY_INSUFFICIENT);
    CHECK_EQUAL(f.seqs[0], 0);
    nothing(peer);
    end(&s);
}

int main(void) {
    RUN(the_number_before_its_end_is_told);
    RUN(who_stays_has_no_hole);
    RUN(a_lap_loses_no_more_than_there_was);
    RUN(an_end_that_a_lap_shows_loses_no_more_either);
    RUN(what_was_missed_is_of_one_life_or_not_to_be_had);
    RUN(an_ended_one_has_nothing_to_replay);
    return 0;
}
