/* Records of any length through the plane: fed, conflated, lapped, joined late; and what another origin counts. */
#include "plane_text.h"

static void long_records_are_delivered_whole(void) {
    rig_t *rig = long_rig(1 << 20);
    unsigned a = rig_topic(rig, GW_TEST, "A.SIM");
    rig_register(rig, a);
    peer_t *all = reader_of(rig, "A.SIM", true), *newest = reader_of(rig, "*", false);
    uint64_t seq = 0;
    for (size_t length = 0; length <= LONG; length += 1 + length / 3) {
        publish_text(rig, a, length, (gw_header_t){0});
        rig_settle(rig);
        seq++;
        expect_text(all, "update", seq, length, "");
        expect_text(newest, "update", seq, length, "");
    }
    for (size_t i = 0; i < 300; i++) { /* over the ring's end, and batches */
        size_t lengths[40];
        for (size_t k = 0; k < 40; k++) publish_text(rig, a, lengths[k] = (i * 97 + k * 379) % LONG, (gw_header_t){0});
        rig_settle(rig);
        for (size_t k = 0; k < 40; k++) {
            expect_text(all, "update", ++seq, lengths[k], "");
            expect_text(newest, "update", seq, lengths[k], "");
        }
    }
    CHECK_EQUAL(rig->stats->ring_lapped[0], 0);
    rig_check_balance(rig);
    rig_free(rig);
}

/* The state is the whole record: what a full socket missed is told of it, also where a shorter one follows. */
static void the_newest_of_any_length_is_the_state(void) {
    rig_t *rig = long_rig(1 << 20);
    unsigned a = rig_topic(rig, GW_TEST, "A.SIM");
    rig_register(rig, a);
    peer_t *peer = reader_of(rig, "A.SIM", false);
    static const size_t lengths[] = {LONG, SHORT, 10, LONG, 1500, 0};
    uint64_t seq = 0;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        publish_text(rig, a, 7, (gw_header_t){0});
        rig_settle(rig);
        expect_text(peer, "update", ++seq, 7, "");
        peer->allowed = 0;
        for (int n = 0; n < 3; n++) publish_text(rig, a, lengths[i], (gw_header_t){0});
        rig_settle(rig);
        peer->allowed = RIG_NO_LIMIT;
        rig_settle(rig);
        seq += 3;
        expect_text(peer, "update", seq, lengths[i], ",\"skipped\":2");
        expect_text(reader_of(rig, "A.SIM", true), "snapshot", seq, lengths[i], "");
    }
    rig_check_balance(rig);
    rig_free(rig);
}

/* A last value longer than the table's slots is taken from the ring while it is there. */
static void who_comes_late_gets_a_long_one_from_the_ring(void) {
    rig_t *rig = long_rig(1 << 16);
    unsigned a = rig_topic(rig, GW_TEST, "A.SIM"), b = rig_topic(rig, GW_TRADE, "B.SIM");
    for (int there = 1; there >= 0; there--) {
        if (!there) rig_segment(rig, 1 << 16, 64);
        publish_text(rig, a, LONG, (gw_header_t){0});
        publish_text(rig, a, LONG - 1, (gw_header_t){0});
        for (int i = 0; i < (there ? 10 : 600); i++) rig_publish(rig, b);
        rig_settle(rig); /* the plane attaches only now */
        peer_t *peer = reader_of(rig, "A.SIM", true);
        if (there) expect_text(peer, "snapshot", 2, LONG - 1, "");
        CHECK(peer_whole(peer));
        publish_text(rig, a, SHORT, (gw_header_t){0});
        rig_settle(rig);
        if (!there) CHECK(strstr(next(peer), "\"type\":\"gap\""));
        expect_text(peer, there ? "update" : "snapshot", 3, SHORT, there ? "" : ",\"skipped\":2");
        CHECK(peer_whole(peer));
        rig_remove(rig, peer);
        rig_settle(rig);
    }
    rig_check_balance(rig);
    rig_free(rig);
}

static void a_lap_takes_long_ones_from_the_ring(void) {
    rig_t *rig = long_rig(1 << 16);
    unsigned a = rig_topic(rig, GW_TEST, "A.SIM"), b = rig_topic(rig, GW_TRADE, "B.SIM");
    publish_text(rig, a, SHORT, (gw_header_t){0});
    rig_settle(rig);
    peer_t *peer = reader_of(rig, "A.SIM", false);
    expect_text(peer, "snapshot", 1, SHORT, "");
    for (int i = 0; i < 100; i++) publish_text(rig, a, LONG, (gw_header_t){0});
    for (int i = 0; i < 100; i++) rig_publish(rig, b);
    rig_settle(rig);
    CHECK_EQUAL(rig->stats->ring_lapped[0], 1);
    expect_text(peer, "snapshot", 101, LONG, ",\"skipped\":99");
    /* Now it is overwritten: the next record tells what is missing. */
    for (int i = 0; i < 2; i++) publish_text(rig, a, LONG, (gw_header_t){0});
    for (int i = 0; i < 1000; i++) rig_publish(rig, b);
    rig_settle(rig);
    CHECK_EQUAL(rig->stats->ring_lapped[0], 2);
    CHECK(peer_whole(peer));
    publish_text(rig, a, SHORT, (gw_header_t){0});
    rig_settle(rig);
    expect_text(peer, "snapshot", 104, SHORT, ",\"skipped\":2");
    CHECK(peer_whole(peer));
    rig_check_balance(rig);
    rig_free(rig);
}

/* Reading them back is work: a lap, or another segment, with many takes as many turns. */
static void many_long_ones_are_read_back_over_turns(void) {
    enum { TOPICS = 50, BYTES = 60000, UNITS = TOPICS * (BYTES / (int)GW_CELL) / GW_UNITS_CELLS };
    rig_t *rig = long_rig(1 << 22);
    unsigned ids[TOPICS], other = rig_topic(rig, GW_TRADE, "B.SIM");
    for (int segment = 0; segment < 2; segment++) {
        if (segment) rig_segment(rig, 1 << 22, 64);
        for (int i = 0; i < TOPICS; i++) {
            char name[24];
            snprintf(name, sizeof name, "A%d.SIM", i);
            ids[i] = rig_topic(rig, GW_TEST, name);
            publish_text(rig, ids[i], SHORT, (gw_header_t){0});
        }
        if (!segment) rig_settle(rig);
        for (int i = 0; i < 40000; i++) rig_publish(rig, other);
        for (int i = 0; i < TOPICS; i++) publish_text(rig, ids[i], BYTES, (gw_header_t){0});
        const int step = segment ? GW_STEP_EPOCH : GW_STEP_LAP;
        const uint64_t before = rig->stats->steps_resumed[step];
        rig_settle(rig);
        CHECK(rig->stats->steps_resumed[step] - before >= UNITS / GW_UNITS_TURN / 2);
        for (int i = 0; i < TOPICS; i += 7) CHECK_EQUAL(rig->plane->by_ring[rig->topics[ids[i]].id]->seq, 2);
    }
    CHECK_EQUAL(rig->stats->ring_lapped[0], 1);
    rig_free(rig);
}

/* What another origin counts is never old, whatever its number is, and begins with a snapshot. */
static void another_origin_is_a_new_beginning(void) {
    rig_t *rig = long_rig(1 << 20);
    unsigned a = rig_topic(rig, GW_TEST, "A.SIM");
    rig_register(rig, a);
    peer_t *all = reader_of(rig, "A.SIM", true), *newest = reader_of(rig, "*", false);
    for (uint64_t seq = 1; seq <= 5; seq++) {
        publish_text(rig, a, SHORT, (gw_header_t){0});
        rig_settle(rig);
        expect_text(all, "update", seq, SHORT, "");
        expect_text(newest, "update", seq, SHORT, "");
    }
    gw_chain_t *chain = &rig->writer.chains[rig->topics[a].id];
    static const uint64_t seqs[] = {2, 900, 5, 5, 1}; /* a frame of the same seq, but of before, is not sent again */
    for (uint8_t i = 0; i < 5; i++) {
        const gw_header_t header = {.origin = i % 2 ? 0 : 1};
        chain->seq = seqs[i] - 1;
        publish_text(rig, a, LONG - i, header);
        publish_text(rig, a, SHORT + i, header);
        rig_settle(rig);
        peer_t *both[] = {all, newest};
        for (int k = 0; k < 2; k++) {
            expect_text(both[k], "snapshot", seqs[i], LONG - (size_t)i, "");
            expect_text(both[k], "update", seqs[i] + 1, SHORT + (size_t)i, "");
        }
    }
    chain->seq = 0; /* of the same one it is old */
    publish_text(rig, a, SHORT, (gw_header_t){.origin = 1});
    rig_settle(rig);
    CHECK(peer_whole(all) && peer_whole(newest));
    /* Also where a lap hides it. */
    for (int i = 0; i < 6000; i++) publish_text(rig, a, SHORT, (gw_header_t){.origin = 2});
    rig_settle(rig);
    CHECK_EQUAL(rig->stats->ring_lapped[0], 1);
    expect_text(all, "snapshot", chain->seq, SHORT, "");
    expect_text(newest, "snapshot", chain->seq, SHORT, "");
    CHECK(peer_whole(all) && peer_whole(newest));
    rig_check_balance(rig);
    rig_free(rig);
}

/* A client whose socket is full has a mark, of what the origin before counted: it is told the new one's as a state. */
static void a_mark_is_told_of_another_origin(void) {
    rig_t *rig = long_rig(1 << 20);
    unsigned a = rig_topic(rig, GW_TEST, "A.SIM");
    rig_register(rig, a);
    peer_t *peer = reader_of(rig, "A.SIM", false);
    for (int i = 0; i < 2; i++) publish_text(rig, a, SHORT, (gw_header_t){0});
    rig_settle(rig);
    for (uint64_t seq = 1; seq <= 2; seq++) expect_text(peer, "update", seq, SHORT, "");
    peer->allowed = 0;
    for (int i = 0; i < 3; i++) publish_text(rig, a, SHORT, (gw_header_t){0});
    rig_settle(rig);
    rig->writer.chains[rig->topics[a].id].seq = 6; /* as if nothing had happened but two records lost */
    publish_text(rig, a, LONG, (gw_header_t){.origin = 1});
    rig_settle(rig);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    expect_text(peer, "snapshot", 7, LONG, ",\"skipped\":3");
    CHECK(peer_whole(peer));
    rig_check_balance(rig);
    rig_free(rig);
}

int main(void) {
    RUN(long_records_are_delivered_whole);
    RUN(the_newest_of_any_length_is_the_state);
    RUN(who_comes_late_gets_a_long_one_from_the_ring);
    RUN(a_lap_takes_long_ones_from_the_ring);
    RUN(many_long_ones_are_read_back_over_turns);
    RUN(another_origin_is_a_new_beginning);
    RUN(a_mark_is_told_of_another_origin);
    return 0;
}
