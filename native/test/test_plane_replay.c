/* What a client missed, from the ring: what a reply says of it, that all of it comes in order and once, beside live data,
 * and each way in which a replay ends before. */
#include "plane_replays.h"

/* --- what is asked for ------------------------------------------------------------------------------- */

static void a_name_is_replayed_from_a_seq_then_live(void) {
    for (int mixed = 0; mixed < 2; mixed++) {
        scene_t s = scene(RING, rig_options());
        s.rig->mixed = mixed;
        if (mixed) rig_connect(s.rig);
        history(&s, s.a, 3000);
        history(&s, s.b, 100);
        peer_t *peer = rig_connect(s.rig);
        CHECK_EQUAL(peer->format, mixed);
        const frame_t f = ask_seq(&s, peer, 1200);
        CHECK_EQUAL(f.recovery[0], GW_RECOVERY_REPLAYING);
        CHECK_EQUAL(f.seqs[0], 1200);
        CHECK_EQUAL(f.reach[0], 3000);
        rig_check_balance(s.rig);
        rig_settle(s.rig);
        expect_updates(peer, 1201, 3000, true);
        expect_completed(peer, 1201, 3000);
        nothing(peer);
        publish(&s, s.a, 2);
        rig_settle(s.rig);
        expect_updates(peer, 3001, 3002, false);
        CHECK_EQUAL(s.rig->stats->replays[GW_REPLAY_COMPLETED], 1);
        CHECK_EQUAL(s.rig->stats->replayed[GW_TRADE], 1800);
        CHECK_EQUAL(s.rig->stats->routed[GW_TRADE], 1802);
        CHECK_EQUAL(s.rig->stats->stage[GW_STAGE_TOTAL].count, 2); /* what was replayed is nobody's latency */
        end(&s);
    }
}

static void records_that_come_meanwhile_are_replayed_too(void) {
    scene_t s = scene(RING, rig_options());
    history(&s, s.a, 2000);
    peer_t *peer = rig_connect(s.rig);
    ask_seq(&s, peer, 0);
    publish(&s, s.a, 3);
    for (int i = 0; i < 400; i++) { /* live data goes on all the time, and comes first: the pass has its floor */
        publish(&s, s.b, 1);
        s.rig->now += 100000;
        gw_plane_cycle(s.rig->plane);
        rig_check_balance(s.rig);
    }
    rig_settle(s.rig);
    expect_updates(peer, 1, 2003, true);
    expect_completed(peer, 1, 2003);
    end(&s);
}

static void the_last_n_and_a_moment(void) {
    scene_t s = scene(RING, rig_options());
    history(&s, s.a, 1000);
    const uint64_t since = (uint64_t)rig_realtime(s.rig) + 1;
    history(&s, s.b, 600);
    history(&s, s.a, 20);
    peer_t *last = rig_connect(s.rig), *all = rig_connect(s.rig), *moment = rig_connect(s.rig), *none = rig_connect(s.rig);
    const gw_item_t a = item(7, GW_TRADE, "A.SIM", true, true);
    frame_t f = ask(&s, last, from(a, GW_FROM_LAST, 5, NULL));
    CHECK(f.recovery[0] == GW_RECOVERY_REPLAYING && f.seqs[0] == 1015 && f.reach[0] == 1020);
    f = ask(&s, all, from(a, GW_FROM_LAST, UINT64_MAX, NULL));
    CHECK(f.recovery[0] == GW_RECOVERY_REPLAYING && f.seqs[0] == 0);
    f = ask(&s, moment, from(a, GW_FROM_TS, since, NULL));
    CHECK(f.recovery[0] == GW_RECOVERY_REPLAYING && f.seqs[0] == 1000);
    f = ask_seq(&s, none, 1020);
    CHECK(f.recovery[0] == GW_RECOVERY_REPLAYING && f.seqs[0] == 1020 && f.reach[0] == 1020);
    rig_settle(s.rig);
    expect_updates(last, 1016, 1020, true);
    expect_completed(last, 1016, 1020);
    expect_updates(all, 1, 1020, true);
    expect_completed(all, 1, 1020);
    expect_updates(moment, 1001, 1020, true);
    expect_completed(moment, 1001, 1020);
    expect_completed(none, 1021, 1020);
    end(&s);
}

static void a_pattern_is_replayed_from_a_moment(void) {
    scene_t s = scene(RING, rig_options());
    history(&s, s.a, 300);
    const uint64_t since = (uint64_t)rig_realtime(s.rig) + 1;
    for (int i = 0; i < 50; i++) publish(&s, s.a, 1), publish(&s, s.b, 1);
    rig_settle(s.rig);
    peer_t *peer = rig_connect(s.rig), *quiet = rig_connect(s.rig);
    frame_t f = ask(&s, peer, from(item(7, GW_TRADE, "*.SIM", true, true), GW_FROM_TS, since, NULL));
    CHECK(f.recovery[0] == GW_RECOVERY_REPLAYING && f.reach[0] == 0);
    rig_settle(s.rig);
    uint64_t next[2] = {301, 1};
    for (int i = 0; i < 100; i++) {
        f = take(peer);
        CHECK(f.kind == DATA && f.replay && f.seq == next[f.name[0] == 'B']++);
    }
    f = take(peer);
    CHECK_EQUAL(f.kind, REPLAYED);
    nothing(peer);
    ask(&s, quiet, from(item(7, GW_TRADE, "*.SIM", true, true), GW_FROM_TS, (uint64_t)rig_realtime(s.rig) + 5, NULL));
    rig_settle(s.rig);
    CHECK_EQUAL(take(quiet).kind, REPLAYED); /* at once, where nothing was missed */
    nothing(quiet);
    end(&s);
}

static void what_cannot_be_had_is_said_and_the_state_follows(void) {
    scene_t s = scene(1u << 16, rig_options()); /* 512 records */
    history(&s, s.a, 2000);
    peer_t *old = rig_connect(s.rig), *ahead = rig_connect(s.rig), *other = rig_connect(s.rig), *moment = rig_connect(s.rig);
    frame_t f = ask_seq(&s, old, 100);
    CHECK_EQUAL(f.recovery[0], GW_RECOVERY_INSUFFICIENT);
    CHECK(f.seqs[0] == 2000 && f.reach[0] > 1488 && f.reach[0] <= 2000);
    const uint64_t oldest = f.reach[0];
    f = ask_seq(&s, ahead, 2001);
    CHECK_EQUAL(f.recovery[0], GW_RECOVERY_INSUFFICIENT);
    f = ask(&s, other, from(item(7, GW_TRADE, "A.SIM", true, false), GW_FROM_SEQ, 1990, "e0000000"));
    CHECK_EQUAL(f.recovery[0], GW_RECOVERY_INSUFFICIENT);
    f = ask(&s, moment, from(item(7, GW_TRADE, "*.SIM", true, true), GW_FROM_TS, RIG_REAL_NS + RIG_START_NS, NULL));
    CHECK_EQUAL(f.recovery[0], GW_RECOVERY_INSUFFICIENT);
    CHECK(f.reach[0] > RIG_REAL_NS + RIG_START_NS);
    rig_settle(s.rig);
    peer_t *peers[] = {old, ahead, other, moment};
    for (int i = 0; i < 4; i++) {
        f = take(peers[i]);
        CHECK(f.kind == DATA && f.snapshot && f.seq == 2000 && !f.skipped);
        nothing(peers[i]);
    }
    peer_t *again = rig_connect(s.rig);
    f = ask_seq(&s, again, oldest - 1); /* what it says can be had */
    CHECK_EQUAL(f.recovery[0], GW_RECOVERY_REPLAYING);
    rig_settle(s.rig);
    expect_updates(again, oldest, 2000, true);
    expect_completed(again, oldest, 2000);
    CHECK_EQUAL(s.rig->stats->replays[GW_REPLAY_INSUFFICIENT], 4);
    end(&s);
}

static void of_a_conflated_topic_comes_the_state_since(void) {
    scene_t s = scene(1u << 16, rig_options());
    history(&s, s.a, 2000);
    peer_t *peer = rig_connect(s.rig), *same = rig_connect(s.rig);
    const gw_item_t a = item(7, GW_TRADE, "A.SIM", false, true);
    frame_t f = ask(&s, peer, from(a, GW_FROM_SEQ, 40, s.rig->plane->epoch)); /* which the ring needs not have */
    CHECK(f.recovery[0] == GW_RECOVERY_REPLAYING && f.seqs[0] == 40 && f.reach[0] == 2000);
    ask(&s, same, from(a, GW_FROM_SEQ, 2000, s.rig->plane->epoch));
    rig_settle(s.rig);
    f = take(peer);
    CHECK(f.kind == DATA && !f.snapshot && f.seq == 2000 && f.skipped == 1959);
    expect_completed(peer, 41, 2000);
    expect_completed(same, 2001, 2000);
    CHECK_EQUAL(s.rig->stats->conflated[GW_TRADE], 1959);
    publish(&s, s.a, 1);
    rig_settle(s.rig);
    expect_updates(peer, 2001, 2001, false);
    expect_updates(same, 2001, 2001, false);
    end(&s);
}

static gw_item_t limited(gw_item_t x, uint16_t interval_ms, uint32_t age_ms) {
    x.interval_ms = interval_ms;
    x.age_ms = age_ms;
    return x;
}

/* What a rate has had in its cell, or what is too old, is no way to get more. */
static void the_state_since_keeps_to_rate_and_age(void) {
    scene_t s = scene(RING, rig_options());
    history(&s, s.a, 50);
    peer_t *peer = rig_connect(s.rig), *aged = rig_connect(s.rig);
    const gw_item_t a = limited(item(7, GW_TRADE, "A.SIM", false, false), 5000, 0);
    const gw_item_t old = limited(item(7, GW_TRADE, "A.SIM", false, false), 0, 100);
    rig_subscribe(s.rig, peer, 2, &a, 1);
    rig_settle(s.rig);
    while (peer->read < peer->length) take(peer);
    publish(&s, s.a, 1);
    rig_settle(s.rig);
    expect_updates(peer, 51, 51, false); /* the cell has its frame */
    frame_t f = ask(&s, peer, from(a, GW_FROM_SEQ, 40, s.rig->plane->epoch));
    CHECK(f.recovery[0] == GW_RECOVERY_REPLAYING && f.seqs[0] == 40 && f.reach[0] == 51);
    rig_settle(s.rig);
    expect_completed(peer, 41, 51);
    nothing(peer);
    rig_check_balance(s.rig);
    CHECK_EQUAL(s.rig->stats->pending[GW_TRADE], 1);
    CHECK(rig_client(s.rig, peer)->links->hold);
    publish(&s, s.a, 1);
    for (int i = 0; i < 60; i++) s.rig->now += 100000000, gw_plane_cycle(s.rig->plane);
    f = take(peer);
    CHECK(f.kind == DATA && !f.snapshot && f.seq == 52 && f.skipped == 11);
    ask(&s, aged, from(old, GW_FROM_SEQ, 50, s.rig->plane->epoch)); /* seconds ago */
    rig_settle(s.rig);
    expect_completed(aged, 51, 52);
    nothing(aged);
    CHECK_EQUAL(s.rig->stats->filtered[GW_TRADE], 1);
    rig_check_balance(s.rig);
    publish(&s, s.a, 1);
    rig_settle(s.rig);
    f = take(aged);
    CHECK(f.kind == DATA && f.seq == 53 && f.skipped == 2);
    for (int i = 0; i < 60; i++) s.rig->now += 100000000, gw_plane_cycle(s.rig->plane);
    end(&s);
}

/* A replay that has begun and waits for its client's socket. */
static peer_t *stuck(scene_t *s, unsigned history_of) {
    history(s, s->a, history_of);
    peer_t *peer = rig_connect(s->rig);
    peer->allowed = 2000; /* less than a slice of the pass */
    ask_seq(s, peer, 0);
    rig_settle(s->rig);
    CHECK_EQUAL(s->rig->plane->pass.count, 1);
    rig_check_balance(s->rig);
    return peer;
}

static void a_hole_of_the_venue_is_told_in_its_place(void) {
    scene_t s = scene(RING, rig_options());
    history(&s, s.a, 3);
    rig_publish_header(s.rig, s.a, (gw_header_t){.gap = GW_GAP_FEED, .lost = 7});
    history(&s, s.a, 2);
    peer_t *peer = rig_connect(s.rig);
    ask_seq(&s, peer, 1);
    rig_settle(s.rig);
    expect_updates(peer, 2, 3, true);
    const frame_t hole = take(peer);
    CHECK(hole.kind == GAP && hole.skipped == 7);
    expect_updates(peer, 4, 6, true);
    expect_completed(peer, 2, 6);
    nothing(peer);
    peer_t *behind = stuck(&s, 900); /* one that comes while it is replayed is not told before its turn */
    rig_publish_header(s.rig, s.a, (gw_header_t){.gap = GW_GAP_FEED, .lost = 2});
    rig_settle(s.rig);
    behind->allowed = RIG_NO_LIMIT;
    rig_settle(s.rig);
    frame_t f;
    uint64_t seq = 0, told = 0;
    while (peer_frame(behind, &f)) {
        if (f.kind == DATA) CHECK_EQUAL(f.seq, ++seq);
        if (f.kind != GAP || seq < 10) continue;
        CHECK_EQUAL(seq, 906);
        told++;
    }
    CHECK(seq == 907 && told == 1);
    end(&s);
}

/* --- one pass for all -------------------------------------------------------------------------------- */

static void many_clients_are_one_encoding(void) {
    scene_t s = scene(RING, rig_options());
    history(&s, s.a, 2000);
    peer_t *peers[40];
    for (unsigned i = 0; i < 40; i++) peers[i] = rig_connect(s.rig);
    rig_settle(s.rig);
    const uint64_t frames = s.rig->plane->lanes[0].log.index;
    for (unsigned i = 0; i < 40; i++) {
        gw_item_t x = from(item(7, GW_TRADE, "A.SIM", true, true), GW_FROM_SEQ, i * 10, s.rig->plane->epoch);
        rig_subscribe(s.rig, peers[i], 1, &x, 1);
    }
    for (int i = 0; i < 10; i++) rig_settle(s.rig);
    for (unsigned i = 0; i < 40; i++) {
        CHECK_EQUAL(take(peers[i]).kind, REPLY);
        while (peers[i]->read < peers[i]->length) {
            const frame_t f = take(peers[i]);
            if (f.kind != DATA) break;
            CHECK_EQUAL(f.seq, i * 10 + 1);
            expect_updates(peers[i], i * 10 + 2, 2000, true);
        }
    }
    CHECK(s.rig->plane->lanes[0].log.index - frames <= 2000 + 40); /* and a notice each */
    end(&s);
}

static void a_full_socket_leaves_the_pass_and_joins_the_next(void) {
    scene_t s = scene(RING, rig_options());
    history(&s, s.a, 4000);
    peer_t *slow = rig_connect(s.rig), *quick = rig_connect(s.rig);
    ask_seq(&s, slow, 0);
    slow->allowed = 30000;
    ask_seq(&s, quick, 0);
    for (int i = 0; i < 5; i++) rig_settle(s.rig);
    expect_updates(quick, 1, 4000, true); /* it waits for nobody */
    expect_completed(quick, 1, 4000);
    CHECK(rig_client(s.rig, slow)->queued < 2000);
    rig_check_balance(s.rig);
    uint64_t next = 1;
    for (int i = 0; i < 400 && next <= 4000; i++) {
        frame_t f;
        slow->allowed = slow->allowed > 20000 ? slow->allowed : 20000 + i * 777;
        rig_settle(s.rig);
        rig_check_balance(s.rig);
        while (peer_frame(slow, &f)) {
            if (f.kind == HEARTBEAT) continue;
            if (f.kind == REPLAYED) break;
            CHECK(f.kind == DATA && f.replay);
            CHECK_EQUAL(f.seq, next++);
        }
    }
    CHECK_EQUAL(next, 4001);
    slow->allowed = RIG_NO_LIMIT;
    end(&s);
}

/* --- ends --------------------------------------------------------------------------------------------- */

static void lapped_in_the_middle(void) {
    scene_t s = scene(1u << 17, rig_options());
    peer_t *peer = stuck(&s, 900);
    history(&s, s.a, 2000); /* a batch at a time: the plane itself is not lapped */
    CHECK_EQUAL(s.rig->stats->ring_lapped[0], 0);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(s.rig);
    uint64_t seq = 0;
    frame_t f = take(peer);
    for (; f.kind == DATA; f = take(peer)) CHECK_EQUAL(f.seq, ++seq);
    CHECK_EQUAL(f.kind, GAP);
    CHECK_EQUAL(f.from, seq + 1);
    CHECK_EQUAL(f.to, 2899);
    f = take(peer);
    CHECK(f.kind == DATA && f.snapshot && f.seq == 2900 && f.skipped == 2899 - seq);
    expect_completed(peer, 1, 2900);
    CHECK_EQUAL(s.rig->stats->dropped_lapped[GW_TRADE], 2899 - seq);
    CHECK_EQUAL(s.rig->stats->replays[GW_REPLAY_LAPPED], 1);
    publish(&s, s.a, 1);
    rig_settle(s.rig);
    expect_updates(peer, 2901, 2901, false);
    end(&s);
}

static void a_lap_takes_only_from_those_who_were_before_it(void) {
    scene_t s = scene(1u << 17, rig_options());
    peer_t *old = stuck(&s, 900), *new = rig_connect(s.rig);
    rig_settle(s.rig);
    new->allowed = 0;
    history(&s, s.a, 1000);
    gw_item_t x = from(item(7, GW_TRADE, "A.SIM", true, true), GW_FROM_SEQ, 1800, s.rig->plane->epoch);
    rig_subscribe(s.rig, new, 1, &x, 1);
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->plane->pass.count, 2);
    old->allowed = new->allowed = RIG_NO_LIMIT;
    rig_settle(s.rig);
    frame_t f;
    unsigned gaps = 0;
    while (peer_frame(old, &f)) gaps += f.kind == GAP;
    CHECK_EQUAL(gaps, 1);
    while (take(new).reply != 1) {}
    expect_updates(new, 1801, 1900, true);
    expect_completed(new, 1801, 1900);
    end(&s);
}

static void a_lap_of_the_plane_ends_it(void) {
    scene_t s = scene(1u << 17, rig_options());
    peer_t *peer = stuck(&s, 900);
    publish(&s, s.a, 2000);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(s.rig);
    uint64_t seq = 0;
    frame_t f = take(peer);
    for (; f.kind == DATA; f = take(peer)) CHECK_EQUAL(f.seq, ++seq);
    CHECK(f.kind == GAP && f.from == seq + 1 && f.to == 2899);
    f = take(peer);
    CHECK(f.kind == DATA && f.snapshot && f.seq == 2900);
    CHECK_EQUAL(s.rig->stats->ring_lapped[0], 1);
    end(&s);
}

static void another_epoch_ends_it(void) {
    scene_t s = scene(RING, rig_options());
    peer_t *peer = stuck(&s, 900);
    rig_segment(s.rig, RING, 64);
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->plane->pass.count, 0);
    CHECK(s.rig->stats->dropped_epoch[GW_TRADE] > 800);
    peer->allowed = RIG_NO_LIMIT;
    publish(&s, s.a, 2);
    rig_settle(s.rig);
    frame_t f = take(peer);
    while (f.kind == DATA && f.epoch == 1) f = take(peer);
    CHECK_EQUAL(f.kind, EPOCH);
    f = take(peer);
    CHECK(f.kind == DATA && f.snapshot && f.seq == 1);
    expect_updates(peer, 2, 2, false);
    end(&s);
}

static void an_end_of_the_instrument_ends_it(void) {
    scene_t s = scene(RING, rig_options());
    peer_t *peer = stuck(&s, 900);
    rig_retire(s.rig, s.a);
    rig_settle(s.rig);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(s.rig);
    uint64_t seq = 0;
    frame_t f = take(peer);
    for (; f.kind == DATA; f = take(peer)) CHECK_EQUAL(f.seq, ++seq);
    CHECK(f.kind == GAP && f.from == seq + 1 && f.to == 899);
    f = take(peer);
    CHECK(f.kind == DATA && f.snapshot && f.seq == 900);
    expect_completed(peer, 1, 900);
    CHECK_EQUAL(take(peer).kind, RETIRED);
    end(&s);
}

static void requests_in_the_middle(void) {
    scene_t s = scene(RING, rig_options());
    peer_t *peer = stuck(&s, 900); /* it conflates from now on */
    gw_item_t x = item(7, GW_TRADE, "A.SIM", false, true);
    x.resync = 0;
    rig_subscribe(s.rig, peer, 2, &x, 1);
    rig_settle(s.rig);
    rig_check_balance(s.rig);
    CHECK_EQUAL(s.rig->plane->pass.count, 0);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(s.rig);
    frame_t f, last = {0};
    while (peer_frame(peer, &f))
        if (f.kind == DATA) last = f;
    CHECK_EQUAL(last.seq, 900);
    at_rest(&s);

    peer_t *ends = stuck(&s, 100); /* it unsubscribes */
    const uint32_t id = 7;
    rig_unsubscribe(s.rig, ends, 2, &id, 1);
    ends->allowed = RIG_NO_LIMIT;
    at_rest(&s);
    peer_t *goes = stuck(&s, 100); /* it is closed */
    rig_close(s.rig, goes, 1000);
    goes->allowed = RIG_NO_LIMIT;
    at_rest(&s);
    peer_t *again = stuck(&s, 100); /* it asks again */
    again->allowed = RIG_NO_LIMIT;
    ask_seq(&s, again, 1190);
    rig_settle(s.rig);
    expect_updates(again, 1191, 1200, true);
    expect_completed(again, 1191, 1200);
    end(&s);
}

static void a_rate_in_the_middle_ends_it_with_the_state(void) {
    scene_t s = scene(RING, rig_options());
    history(&s, s.a, 900);
    peer_t *peer = rig_connect(s.rig);
    const gw_item_t b = limited(item(8, GW_TRADE, "B.SIM", false, false), 5000, 0);
    rig_subscribe(s.rig, peer, 2, &b, 1);
    rig_settle(s.rig);
    while (peer->read < peer->length) take(peer);
    publish(&s, s.b, 1);
    rig_settle(s.rig);
    expect_updates(peer, 1, 1, false); /* the cell of both */
    peer->allowed = 2000;
    ask_seq(&s, peer, 0);
    rig_settle(s.rig);
    CHECK_EQUAL(s.rig->plane->pass.count, 1);
    gw_item_t x = limited(item(7, GW_TRADE, "A.SIM", false, true), 5000, 0);
    x.resync = 0;
    rig_subscribe(s.rig, peer, 3, &x, 1);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(s.rig);
    rig_check_balance(s.rig);
    CHECK_EQUAL(s.rig->plane->pass.count, 0);
    frame_t f;
    uint64_t seq = 0;
    unsigned jumps = 0, ends = 0;
    for (int i = 0; i < 60; i++) s.rig->now += 100000000, gw_plane_cycle(s.rig->plane);
    while (peer_frame(peer, &f)) {
        ends += f.kind == REPLAYED && f.from == 1 && f.to == 900;
        if (f.kind != DATA) continue;
        CHECK_EQUAL(f.seq, seq + 1 + f.skipped);
        jumps += f.skipped > 0;
        seq = f.seq;
    }
    CHECK(jumps == 1 && seq == 900 && ends == 1);
    end(&s);
}

int main(void) {
    RUN(a_name_is_replayed_from_a_seq_then_live);
    RUN(records_that_come_meanwhile_are_replayed_too);
    RUN(the_last_n_and_a_moment);
    RUN(a_pattern_is_replayed_from_a_moment);
    RUN(what_cannot_be_had_is_said_and_the_state_follows);
    RUN(of_a_conflated_topic_comes_the_state_since);
    RUN(the_state_since_keeps_to_rate_and_age);
    RUN(a_hole_of_the_venue_is_told_in_its_place);
    RUN(many_clients_are_one_encoding);
    RUN(a_full_socket_leaves_the_pass_and_joins_the_next);
    RUN(lapped_in_the_middle);
    RUN(a_lap_takes_only_from_those_who_were_before_it);
    RUN(a_lap_of_the_plane_ends_it);
    RUN(another_epoch_ends_it);
    RUN(an_end_of_the_instrument_ends_it);
    RUN(requests_in_the_middle);
    RUN(a_rate_in_the_middle_ends_it_with_the_state);
    return 0;
}
